//! Answers that are written while nobody waits for them (OpenAI Responses, `background`).
//!
//! The caller is told at once that it is `queued`, and asks for it later. The call goes on below in a task of its own, with a scope
//! of its own, until it ends or is cancelled: what it costs is booked there, whoever is still there to see.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use ziggurat_core::{
    Ask, Call, CallService, Dialect, End, Error, Event, Facts, Guard, Members, RawJson, Reply,
    ReplyBody, ReplyHead, Start, Str, Ticket,
};

use super::jobs::{Follow, Job};
use super::layer::Settings;
use super::service::Asked;
use super::turns::{self, Keeper};
use super::{Owner, body, items};

/// Begins an answer in the background, and tells its caller of it.
pub(super) async fn begin<S: CallService>(
    settings: Arc<Settings>,
    mut service: S,
    mut call: Call,
    asked: Asked,
) -> Result<Reply, Error> {
    if !asked.keeps {
        let message = "an answer that is written in the background is kept: `store` must be true";
        return Err(Error::invalid(message).with_param("store"));
    }
    let owner = Owner::of(&call);
    let ask = turns::ask(&settings, &call);
    call.payload_mut().remove("background");
    let Some(input) = turns::complete(&settings, owner, &mut call, &asked).await? else {
        // It cannot be read, and whoever does refuses it.
        return service.call(call).await;
    };
    let dialect = settings.dialect;
    let queued = begun(dialect, &ask);
    let Some(id) = queued.as_ref().and_then(items::id) else { return Err(Error::closed()) };
    let queued = marked(&queued.unwrap_or(RawJson::NULL), &id, Some("queued"));
    let previous = asked.previous.and_then(|id| turns::plain(&id));
    let keeper = Keeper::new(Arc::clone(&settings), owner, previous, input);
    let streamed = call.is_streamed();
    let job = Job::new(marked(&queued, &id, Some("in_progress")), streamed);
    settings.jobs.begin(owner, &id, &job)?;
    // Whatever ends this before somebody writes the answer gives the place free.
    let writer = Writer { dialect, ask, id, job: Arc::clone(&job) };
    keeper.begin(queued.clone()).await?;
    // Its own books: those of the call that began it are closed with the answer that says so.
    call.clear_scope();
    let (_, guard) = call.open_scope();
    if let Some(observer) = &settings.observer {
        // It was opened just now.
        drop(call.register(observer(&call), Ticket::default()));
    }
    let task = tokio::spawn(async move {
        let told = match writer.write(service, call, guard).await {
            Ok(response) => response,
            Err(error) => writer.failed(&error),
        };
        keeper.keep(told.clone()).await;
        writer.job.end(told);
    });
    job.runs_in(task.abort_handle());

    let mut head = ReplyHead::default();
    head.dialect = Some(dialect);
    let body = match streamed {
        true => ReplyBody::Frames(Box::new(Follow::new(job, None))),
        false => ReplyBody::Whole(Bytes::from(queued.get().to_owned())),
    };
    Ok(Reply::new(head, body))
}

/// Writes one answer. The job ends with it, whether it wrote one or is dropped: a task may be aborted, or panic.
struct Writer {
    dialect: Dialect,
    ask: Ask,
    id: Str,
    job: Arc<Job>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.job.end(unfinished(&self.job.response()));
    }
}

/// An answer that nobody writes any more.
pub(super) fn unfinished(response: &RawJson) -> RawJson {
    let Ok(members) = Members::parse(response.clone().into_text()) else { return response.clone() };
    let error = r#"{"code":"server_error","message":"the gateway was stopped before the answer was complete"}"#;
    items::with(&members, &[("status", "\"failed\""), ("error", error)])
}

impl Writer {
    /// Asks for the answer and reads it to its end.
    async fn write<S: CallService>(
        &self,
        mut service: S,
        call: Call,
        guard: Option<Guard>,
    ) -> Result<RawJson, Error> {
        let mut reply = match service.call(call).await {
            Ok(reply) => reply,
            Err(error) => {
                if let Some(guard) = guard {
                    guard.close(End::Failure(error.clone()));
                }
                return Err(error);
            }
        };
        if let Some(guard) = guard {
            reply.hold(guard);
        }
        let mut ask = self.ask.clone();
        let same = reply.head().dialect == Some(self.dialect);
        ask.origin = reply.head().model.clone().filter(|_| !same);
        if !reply.is_streamed() {
            let whole = match body::whole(self.dialect, &ask, &mut reply) {
                Ok(whole) => whole,
                Err(error) => {
                    reply.end(&End::Failure(error.clone()));
                    return Err(error);
                }
            };
            drop(reply.take_body());
            return whole.and_then(|bytes| self.response(&bytes)).ok_or_else(Error::closed);
        }
        let scope = reply.scope();
        reply.encode(self.dialect, &ask, scope);
        let mut last = None;
        while let Some(frame) = poll_fn(|cx| reply.poll_frame(cx)).await {
            let frame = frame?;
            let told = self.log(frame.bytes(), frame.facts())?;
            last = told.or(last);
        }
        last.ok_or_else(Error::closed)
    }

    fn response(&self, bytes: &Bytes) -> Option<RawJson> {
        let text = Str::from_utf8(bytes.clone()).ok()?;
        Some(marked(&RawJson::parse(text).ok()?, &self.id, None))
    }

    /// Keeps events for those who follow them. Gives the answer, if one of them completes it.
    fn log(&self, events: &Bytes, facts: Facts) -> Result<Option<RawJson>, Error> {
        let mut complete = None;
        let ends = facts.any(Facts::TERMINATOR | Facts::ERROR);
        let mut all = body::events(events).into_iter().peekable();
        while let Some(event) = all.next() {
            let kind = items::text(&event, "type").unwrap_or_default();
            let number = event.get("sequence_number").and_then(|number| number.parse().ok());
            let response = event.get("response").and_then(|text| RawJson::parse(text.clone()).ok());
            let response = response.map(|response| marked(&response, &self.id, None));
            let data = match &response {
                Some(response) => items::with(&event, &[("response", response.get())]),
                None => items::with(&event, &[]),
            };
            // Usage is booked where the answer is written, and not where it is read.
            let told = match all.peek() {
                None if ends => facts_of_the_last(facts),
                _ => Facts::CONTENT,
            };
            // An event is one line.
            let data = data.get().replace(['\n', '\r'], " ");
            let bytes = Bytes::from(format!("event: {kind}\ndata: {data}\n\n"));
            self.job.push(number, bytes, told)?;
            if let Some(response) = response {
                if body::completes(&kind) {
                    complete = Some(response);
                } else {
                    self.job.set(response);
                }
            }
        }
        Ok(complete)
    }

    /// The answer that says why there is none.
    fn failed(&self, error: &Error) -> RawJson {
        // Its kind alone: a message may quote the prompt.
        tracing::warn!(id = %self.id, error = error.kind().name(), "an answer in the background failed");
        let mut encoder = self.dialect.encoder(&self.ask);
        let mut out = Vec::new();
        encoder.encode(&Event::Error(error.clone()), &mut out);
        let told = body::complete(&Bytes::from(out));
        let told = told.map(|told| marked(&told, &self.id, None));
        let told = told.unwrap_or_else(|| self.job.response());
        if self.job.streamed {
            let data = format!(r#"{{"type":"response.failed","response":{}}}"#, told.get());
            let event = Bytes::from(format!("event: response.failed\ndata: {data}\n\n"));
            // It is the last; that it is too much is said by its end.
            drop(self.job.push(None, event, Facts::ERROR | Facts::TERMINATOR));
        }
        told
    }
}

fn facts_of_the_last(facts: Facts) -> Facts {
    let failed = if facts.has(Facts::ERROR) { Facts::ERROR } else { Facts::NONE };
    Facts::CONTENT | Facts::TERMINATOR | failed
}

/// An answer that has begun, as its dialect writes it.
fn begun(dialect: Dialect, ask: &Ask) -> Option<RawJson> {
    let mut encoder = dialect.encoder(ask);
    let mut out = Vec::new();
    encoder.encode(&Event::Start(Box::new(Start::new("", ask.model.clone()))), &mut out);
    let out = Bytes::from(out);
    let first = body::events(&out).into_iter().next()?;
    RawJson::parse(first.get("response")?.clone()).ok()
}

/// An answer under the id that its caller was told, and with what is true of it here.
pub(super) fn marked(response: &RawJson, id: &Str, status: Option<&str>) -> RawJson {
    let Ok(members) = Members::parse(response.clone().into_text()) else { return response.clone() };
    let (id, status) = (RawJson::string(id), status.map(RawJson::string));
    let mut told = vec![("id", id.get()), ("background", "true"), ("store", "true")];
    if let Some(status) = &status {
        told.push(("status", status.get()));
    }
    items::with(&members, &told)
}
