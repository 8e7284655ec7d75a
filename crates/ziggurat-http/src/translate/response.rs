//! From a provider's answer to a reply.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Response, response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;

use ziggurat_core::{
    Answer, BoxError, CutOptions, Dialect, Error, ErrorKind, Instant, Operation, Origin,
    ProviderError, Reply, ReplyBody, ReplyHead, Restore, Scope, Str, Usage,
};

use super::deployment::Deployment;
use super::frames::WireFrames;
use super::request::Plan;

/// The most of an error's body that is kept, in bytes.
const MAX_ERROR: u64 = 1 << 20;
/// The largest whole answer where no deployment says otherwise, in bytes.
const MAX_REPLY: u64 = 256 << 20;

pin_project! {
    /// The reply of a [`Translate`](super::Translate): a whole answer, or the head of a stream. Dropping it drops the request.
    pub struct TranslateFuture<F, RB: HttpBody> {
        #[pin]
        state: State<F, RB>,
        exchange: Option<Exchange>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, RB: HttpBody> {
        Refused { error: Option<Error> },
        // The request is under way.
        Asking { #[pin] answer: F },
        // The answer is read.
        Reading { #[pin] body: ReadWhole<RB>, parts: Option<response::Parts> },
        // The answer says that the call failed, and is read for the reason.
        Failed { reading: Pin<Box<dyn Future<Output = Bytes> + Send>>, parts: Option<response::Parts> },
    }
}

/// What is known of a request that is under way.
struct Exchange {
    plan: Plan,
    deployment: Option<Arc<Deployment>>,
    scope: Option<Scope>,
    sent: Instant,
}

impl<F, RB: HttpBody> TranslateFuture<F, RB> {
    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) }, exchange: None }
    }

    pub(super) fn new(
        answer: F,
        plan: Plan,
        deployment: Option<Arc<Deployment>>,
        scope: Option<Scope>,
    ) -> Self {
        let exchange = Exchange { plan, deployment, scope, sent: Instant::now() };
        Self { state: State::Asking { answer }, exchange: Some(exchange) }
    }
}

impl<F, RB, E> Future for TranslateFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    RB: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Refused { error } => {
                    return Poll::Ready(Err(error.take().unwrap_or_else(Error::closed)));
                }
                StateProjection::Asking { answer } => {
                    let answer = ready!(answer.poll(cx));
                    let Some(exchange) = this.exchange.as_ref() else { return closed() };
                    let (parts, body) = match answer {
                        Ok(response) => response.into_parts(),
                        Err(error) => {
                            return Poll::Ready(Err(exchange.at(unreachable(error.into()))));
                        }
                    };
                    if !parts.status.is_success() {
                        State::Failed { reading: Box::pin(read_error(body)), parts: Some(parts) }
                    } else if exchange.plan.streamed
                        && is_stream(&parts.headers, exchange.plan.dialect)
                    {
                        let Some(exchange) = this.exchange.take() else { return closed() };
                        let frames = exchange.frames(body);
                        return Poll::Ready(Ok(exchange.reply(parts, frames)));
                    } else {
                        let body = ReadWhole::new(body, exchange.max_reply());
                        State::Reading { body, parts: Some(parts) }
                    }
                }
                StateProjection::Reading { body, parts } => {
                    let read = ready!(body.poll(cx));
                    let (Some(exchange), Some(parts)) = (this.exchange.take(), parts.take()) else {
                        return closed();
                    };
                    return Poll::Ready(exchange.whole(parts, read));
                }
                StateProjection::Failed { reading, parts } => {
                    let body = ready!(reading.as_mut().poll(cx));
                    let (Some(exchange), Some(parts)) = (this.exchange.take(), parts.take()) else {
                        return closed();
                    };
                    let dialect = exchange.plan.dialect;
                    let error = dialect.decode_error(parts.status, &parts.headers, body);
                    return Poll::Ready(Err(exchange.at(error)));
                }
            };
            this.state.set(next);
        }
    }
}

fn closed() -> Poll<Result<Reply, Error>> {
    Poll::Ready(Err(Error::closed()))
}

impl Exchange {
    /// Says where it happened.
    fn at(&self, error: Error) -> Error {
        match &self.deployment {
            Some(deployment) => error.with_deployment(deployment.id.clone()),
            None => error,
        }
    }

    fn max_reply(&self) -> u64 {
        self.deployment.as_ref().map_or(MAX_REPLY, |deployment| deployment.max_reply)
    }

    fn frames<RB>(&self, body: RB) -> ReplyBody
    where
        RB: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let max_event = self.deployment.as_ref().map(|deployment| deployment.max_event);
        let options = CutOptions::default().withhold_usage(self.plan.withhold_usage);
        let options = max_event.map_or(options, |bytes| options.max_event(bytes));
        let decode = self.plan.decode.as_ref();
        let id = self.deployment.as_ref().map(|deployment| deployment.id.clone());
        let frames = WireFrames::new(body, self.plan.dialect, &options, decode, id);
        ReplyBody::Frames(Box::new(frames))
    }

    fn whole(self, parts: response::Parts, read: Result<Bytes, Error>) -> Result<Reply, Error> {
        let bytes = read.map_err(|error| self.at(error))?;
        let read = match &self.plan.decode {
            Some(restore) if self.plan.operation == Operation::Chat && !self.plan.streamed => {
                self.decoded(&bytes, restore)
            }
            _ => self.glanced(&parts, bytes),
        };
        let (body, usage) = read.map_err(|error| self.at(error))?;
        let price = self.deployment.as_ref().and_then(|deployment| deployment.price.as_ref());
        let cost = price.zip(usage.as_ref()).and_then(|(price, usage)| price.cost(usage));
        let mut reply = self.reply(parts, body);
        reply.head_mut().cost = cost;
        Ok(reply)
    }

    /// A conversation's answer that is read in full, which tells all that a glance would.
    fn decoded(
        &self,
        bytes: &Bytes,
        restore: &Restore,
    ) -> Result<(ReplyBody, Option<Usage>), Error> {
        let dialect = self.plan.dialect;
        let answer = dialect.decode_reply(Operation::Chat, bytes, restore);
        let usage = match &answer {
            Ok(answer) => answer.usage(),
            // What it took was taken, even if nobody can read what came of it.
            Err(_) => {
                let glance = dialect.glance(Operation::Chat, bytes);
                glance.usage.filter(|_| glance.error.is_none())
            }
        };
        self.report(usage.as_ref());
        Ok((ReplyBody::Answer(answer?), usage))
    }

    /// Any other answer: what matters to us is seen at a glance.
    fn glanced(
        &self,
        parts: &response::Parts,
        bytes: Bytes,
    ) -> Result<(ReplyBody, Option<Usage>), Error> {
        let (dialect, operation) = (self.plan.dialect, self.plan.operation);
        let mut glance = dialect.glance(operation, &bytes);
        if let Some(error) = glance.error {
            return Err(error);
        }
        if self.plan.streamed {
            return Err(whole_for_stream(&self.plan, parts, bytes));
        }
        if let (None, Some(tokens)) = (&glance.usage, self.plan.estimated) {
            glance.usage = Some(Usage::new(tokens, 0).estimated());
        }
        self.report(glance.usage.as_ref());
        let body = match &self.plan.decode {
            None => ReplyBody::Whole(bytes),
            Some(restore) => {
                let mut answer = dialect.decode_reply(operation, &bytes, restore)?;
                if let Answer::Embeddings(embeddings) = &mut answer {
                    embeddings.usage = glance.usage;
                }
                ReplyBody::Answer(answer)
            }
        };
        Ok((body, glance.usage))
    }

    fn report(&self, usage: Option<&Usage>) {
        if let (Some(scope), Some(usage)) = (&self.scope, usage) {
            scope.report_usage(usage);
        }
    }

    fn reply(self, parts: response::Parts, body: ReplyBody) -> Reply {
        let dialect = self.plan.dialect;
        let mut head = ReplyHead::default();
        head.status = parts.status;
        head.dialect = Some(dialect);
        head.deployment = self.deployment.as_ref().map(|deployment| deployment.id.clone());
        head.model = Some(self.plan.model);
        head.request_id = parts
            .headers
            .get(dialect.request_id_header())
            .and_then(|value| value.to_str().ok())
            .map(Str::from);
        for name in dialect.reply_headers() {
            for value in parts.headers.get_all(name) {
                head.headers.append(name, value.clone());
            }
        }
        head.provider_time = Some(self.sent.elapsed());
        head.losses = self.plan.losses;
        Reply::new(head, body)
    }
}

/// Whether an answer says that it is a stream as this dialect's are, whatever parameters its media type has.
fn is_stream(headers: &HeaderMap, dialect: Dialect) -> bool {
    let Some(said) = headers.get(CONTENT_TYPE) else { return false };
    essence(said).eq_ignore_ascii_case(essence(&dialect.stream_type()))
}

fn essence(media_type: &HeaderValue) -> &[u8] {
    let bytes = media_type.as_bytes();
    bytes.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

fn whole_for_stream(plan: &Plan, parts: &response::Parts, body: Bytes) -> Error {
    let mut said = ProviderError::default();
    said.dialect = Some(plan.dialect);
    said.status = Some(parts.status);
    said.headers = parts.headers.clone();
    said.body = body;
    Error::provider(
        ErrorKind::BadUpstream,
        "the provider answered a streamed call with something that is no event stream",
        said,
    )
}

pin_project! {
    /// Reads all of a provider's answer. One that comes in one piece is not copied.
    struct ReadWhole<B: HttpBody> {
        #[pin]
        body: B,
        first: Option<B::Data>,
        whole: BytesMut,
        most: u64,
        announced: u64,
    }
}

impl<B: HttpBody> ReadWhole<B> {
    fn new(body: B, most: u64) -> Self {
        let announced = body.size_hint().lower();
        Self { body, first: None, whole: BytesMut::new(), most, announced }
    }
}

impl<B> Future for ReadWhole<B>
where
    B: HttpBody<Error: Into<BoxError>>,
{
    type Output = Result<Bytes, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let data = match ready!(this.body.as_mut().poll_frame(cx)) {
                None => {
                    let whole = match this.first.take() {
                        Some(mut only) => only.copy_to_bytes(only.remaining()),
                        None => std::mem::take(this.whole).freeze(),
                    };
                    return Poll::Ready(Ok(whole));
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.has_remaining() => data,
                    _ => continue,
                },
            };
            let so_far = this.whole.len() + this.first.as_ref().map_or(0, Buf::remaining);
            if (so_far + data.remaining()) as u64 > *this.most || *this.announced > *this.most {
                let message = format!("the provider's answer is larger than {} bytes", this.most);
                let error = Error::new(ErrorKind::BadUpstream, message);
                return Poll::Ready(Err(error.with_origin(Origin::Provider)));
            }
            if so_far == 0 {
                *this.first = Some(data);
                continue;
            }
            if let Some(first) = this.first.take() {
                // What is announced is trusted up to a point.
                let expected = usize::try_from((*this.announced).min(4 << 20)).unwrap_or(0);
                this.whole.reserve(expected);
                append(this.whole, first);
            }
            append(this.whole, data);
        }
    }
}

fn append(whole: &mut BytesMut, mut data: impl Buf) {
    while data.has_remaining() {
        let chunk = data.chunk();
        let length = chunk.len();
        whole.extend_from_slice(chunk);
        data.advance(length);
    }
}

/// The body of an error, as far as it can be had: that it breaks off changes nothing about the error.
async fn read_error<B>(body: B) -> Bytes
where
    B: HttpBody,
{
    let mut body = pin!(body);
    let mut read = BytesMut::new();
    let reading = async {
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Ok(data) = frame.into_data() {
                append(&mut read, data);
            }
            if read.len() as u64 >= MAX_ERROR {
                break;
            }
        }
    };
    drop(tokio::time::timeout(Duration::from_secs(5), reading).await);
    read.freeze()
}

/// The provider could not be asked.
fn unreachable(error: BoxError) -> Error {
    // A layer between us and the wire may speak our language.
    match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => {
            let timeout = has_timed_out(other.as_ref());
            let (kind, message) = if timeout {
                (ErrorKind::Timeout, "the provider could not be reached in time")
            } else {
                (ErrorKind::BadUpstream, "the provider could not be reached")
            };
            Error::new(kind, message).with_origin(Origin::Provider).with_source(other)
        }
    }
}

/// The provider broke off in the middle of its answer.
pub(super) fn broken(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => Error::new(ErrorKind::BadUpstream, "the provider's answer broke off")
            .with_origin(Origin::Provider)
            .with_source(other),
    }
}

fn has_timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
            || error.downcast_ref::<tokio::time::error::Elapsed>().is_some()
        {
            return true;
        }
        cause = error.source();
    }
    false
}
