//! Answers on their way to the caller, and into the store.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ziggurat_core::{
    Ask, Dialect, End, Error, Facts, Frame, Frames, Losses, Members, RawJson, Reply, ReplyBody,
    Restore, Scope, Str,
};

use super::items;
use super::turns::Keeper;

/// Lets an answer be kept. It is written in the caller's dialect if it is not yet.
pub(super) async fn keep(
    mut reply: Reply,
    mut ask: Ask,
    keeper: Keeper,
    scope: Option<Scope>,
) -> Result<Reply, Error> {
    let dialect = keeper.settings.dialect;
    let same = reply.head().dialect == Some(dialect);
    ask.origin = reply.head().model.clone().filter(|_| !same);
    if reply.is_streamed() {
        reply.encode(dialect, &ask, scope);
        reply.wrap_frames(|frames| Keeping { frames, keeper: Some(keeper), last: None });
        return Ok(reply);
    }
    match whole(dialect, &ask, &mut reply) {
        Ok(None) => {}
        Ok(Some(bytes)) => {
            let response = Str::from_utf8(bytes).ok().and_then(|text| RawJson::parse(text).ok());
            if let Some(response) = response {
                keeper.keep(response).await;
            }
        }
        Err(error) => {
            reply.end(&End::Failure(error.clone()));
            return Err(error);
        }
    }
    Ok(reply)
}

/// The bytes of a whole answer, written if they are not yet. `None` if it is no such answer.
pub(super) fn whole(
    dialect: Dialect,
    ask: &Ask,
    reply: &mut Reply,
) -> Result<Option<Bytes>, Error> {
    let mut losses = Losses::default();
    let bytes = match (reply.body(), reply.head().dialect) {
        (ReplyBody::Whole(bytes), Some(theirs)) if theirs == dialect => {
            return Ok(Some(bytes.clone()));
        }
        (ReplyBody::Whole(bytes), Some(theirs)) => {
            let answer = theirs.decode_reply(ask.operation, bytes, &Restore::default())?;
            dialect.encode_reply(&answer, ask, &mut losses)?
        }
        (ReplyBody::Answer(answer), _) => dialect.encode_reply(answer, ask, &mut losses)?,
        _ => return Ok(None),
    };
    reply.head_mut().losses.extend(losses.into_found());
    reply.set_whole(bytes.clone(), dialect);
    Ok(Some(bytes))
}

type BeingKept = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Frames that are kept when the last has come.
struct Keeping {
    frames: Box<dyn Frames>,
    keeper: Option<Keeper>,
    /// The frame with which the answer is complete, until it is kept.
    last: Option<(BeingKept, Option<Frame>)>,
}

impl Frames for Keeping {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        if self.last.is_none() {
            let frame = match ready!(self.frames.poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            let is_last = frame.facts().has(Facts::TERMINATOR);
            let Some(response) = is_last.then(|| complete(frame.bytes())).flatten() else {
                return Poll::Ready(Some(Ok(frame)));
            };
            let Some(keeper) = self.keeper.take() else { return Poll::Ready(Some(Ok(frame))) };
            self.last = Some((Box::pin(keeper.keep(response)), Some(frame)));
        }
        let frame = match &mut self.last {
            Some((keeping, frame)) => {
                ready!(keeping.as_mut().poll(cx));
                frame.take()
            }
            None => None,
        };
        self.last = None;
        Poll::Ready(frame.map(Ok))
    }
}

/// The answer in the event that completes it (OpenAI Responses, `response.completed` and its like).
pub(super) fn complete(bytes: &Bytes) -> Option<RawJson> {
    let is_last = |event: &Members| items::text(event, "type").is_some_and(|kind| completes(&kind));
    let last = events(bytes).into_iter().find(is_last)?;
    RawJson::parse(last.get("response")?.clone()).ok()
}

/// Whether an event of this type is an answer's last.
pub(super) fn completes(kind: &str) -> bool {
    matches!(kind, "response.completed" | "response.incomplete" | "response.failed")
}

/// The data of whole events, as far as it is an object.
pub(super) fn events(bytes: &Bytes) -> Vec<Members> {
    let Ok(text) = Str::from_utf8(bytes.clone()) else { return Vec::new() };
    let mut found = Vec::new();
    let mut data = String::new();
    for line in text.lines().chain([""]) {
        if let Some(rest) = line.strip_prefix("data:") {
            data.push_str(rest.strip_prefix(' ').unwrap_or(rest));
        } else if line.is_empty() && !data.is_empty() {
            found.extend(Members::parse(std::mem::take(&mut data).into()));
        }
    }
    found
}
