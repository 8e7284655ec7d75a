//! One line in the log for each call, when it has ended.
//!
//! Outermost over calls, so that it sees everything, also what the other layers refuse. It learns
//! of the end where everybody does, from the call's settlement: of a stream that is its last frame,
//! and a caller who leaves is a line, too. The line names who, what, where, how long and how many
//! tokens; never a word of the conversation, and of an error only what the gateway itself says.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Level, enabled, event};
use ziggurat_core::{
    Call, CallService, Caller, Dialect, End, Error, Operation, Origin, Outcome, Reply, ReplyHead,
    Settle, Str, Ticket,
};

use crate::logs::CALL;

/// Makes an [`Observe`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ObserveLayer(());

/// Writes a line for each call. Forwards everything.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
}

/// A call's line: what is known of it before it begins. Written when the call ends.
pub(crate) struct Line {
    // Not the head: its headers are slices of the connection's buffer, which would live as long as the answer.
    id: Str,
    request_id: Str,
    dialect: Option<Dialect>,
    caller: Caller,
    model: Str,
    operation: Operation,
    streamed: bool,
    answered: OnceLock<Answered>,
}

/// What is known once an answer begins.
struct Answered {
    fallbacks: u32,
    group: Option<Str>,
}

impl ObserveLayer {
    /// A layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner }
    }
}

impl<S: CallService> Service<Call> for Observe<S> {
    type Response = Reply;
    type Error = Error;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        // A successful call is a line at `info`; where not even failures are wanted, nothing is kept.
        let line = enabled!(target: CALL, Level::WARN).then(|| {
            let line = Arc::new(Line::of(&call));
            // A call that is over, or has no settlement, has no end to be told of.
            drop(call.register(Arc::<Line>::clone(&line), Ticket::default()));
            line
        });
        ObserveFuture { inner: self.inner.call(call), line }
    }
}

pin_project! {
    /// The reply to come.
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        line: Option<Arc<Line>>,
    }
}

impl<F: Future<Output = Result<Reply, Error>>> Future for ObserveFuture<F> {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let reply = ready!(this.inner.poll(cx));
        if let (Some(line), Ok(reply)) = (this.line.take(), &reply) {
            let _ = line.answered.set(Answered::of(reply.head()));
        }
        Poll::Ready(reply)
    }
}

impl Answered {
    fn of(head: &ReplyHead) -> Self {
        Self { fallbacks: head.fallbacks, group: head.group.clone() }
    }
}

// === impl Line ===

impl Line {
    pub(crate) fn of(call: &Call) -> Self {
        Self {
            id: call.id().clone(),
            request_id: call.head().request_id.clone(),
            dialect: call.dialect(),
            caller: call.caller().clone(),
            model: call.model().clone(),
            operation: call.operation(),
            streamed: call.is_streamed(),
            answered: OnceLock::new(),
        }
    }
}

impl Settle for Line {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        let error = match &outcome.end {
            End::Failure(error) => Some(error),
            _ => None,
        };
        // What a caller did wrong is no fault of ours to be warned of.
        let warn = error.is_some_and(|error| error.origin() != Origin::Caller);
        if warn {
            self.write::<true>(outcome, error);
        } else if enabled!(target: CALL, Level::INFO) {
            self.write::<false>(outcome, error);
        }
    }
}

impl Line {
    fn write<const WARN: bool>(&self, outcome: &Outcome, error: Option<&Error>) {
        let usage = outcome.usage.as_ref();
        let answered = self.answered.get();
        let fallbacks = answered.map(|answered| answered.fallbacks);
        let fallbacks = fallbacks.or(error.map(Error::fallbacks)).filter(|number| *number > 0);
        let group = answered.and_then(|answered| answered.group.as_deref());
        macro_rules! line {
            ($level:expr) => {
                event!(
                    target: CALL,
                    $level,
                    end = end(outcome),
                    status = error.map(|error| self.status(error).as_u16()),
                    model = Some(self.model.as_str()).filter(|model| !model.is_empty()),
                    deployment = deployment(outcome, error),
                    dialect = self.dialect.map(|dialect| dialect.name()),
                    operation = self.operation.name(),
                    stream = self.streamed,
                    input_tokens = usage.map(|usage| usage.total_input()),
                    output_tokens = usage.map(|usage| usage.total_output()),
                    estimated = usage.filter(|usage| usage.estimated).map(|_| true),
                    cost = outcome.cost.map(|cost| tracing::field::display(cost.total())),
                    first_content_ms = outcome.first_content.map(milliseconds),
                    total_ms = milliseconds(outcome.total),
                    attempts = if outcome.cached { 0 } else { outcome.attempts.len().max(1) },
                    fallbacks,
                    answered_by = group,
                    cached = outcome.cached.then_some(true),
                    losses = outcome.losses.len(),
                    caller = self.caller.key(),
                    call_id = self.id.as_str(),
                    request_id = self.request_id.as_str(),
                    error = error.map(|error| error.kind().name()),
                    origin = error.map(|error| origin(error.origin())),
                    provider_status = error
                        .and_then(Error::provider_status)
                        .map(|status| status.as_u16()),
                    provider_request_id =
                        error.and_then(|error| error.said()?.request_id.as_deref()),
                    reason = error.and_then(reason),
                    cause = error.and_then(cause).map(tracing::field::display),
                    "call"
                )
            };
        }
        if WARN { line!(Level::WARN) } else { line!(Level::INFO) }
    }

    /// The status that the caller is told: dialects differ, Anthropic's for overload is 529.
    fn status(&self, error: &Error) -> StatusCode {
        self.dialect.map_or_else(|| error.status(), |dialect| dialect.encode_error(error, None).0)
    }
}

fn end(outcome: &Outcome) -> &'static str {
    match outcome.end {
        End::Success => "success",
        End::Failure(_) => "failure",
        End::Cancelled => "cancelled",
        _ => "other",
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Caller => "caller",
        Origin::Gateway => "gateway",
        Origin::Provider => "provider",
        _ => "other",
    }
}

fn deployment<'a>(outcome: &'a Outcome, error: Option<&'a Error>) -> Option<&'a str> {
    let last = || outcome.attempts.last().and_then(|attempt| attempt.deployment.as_deref());
    let failed = || error.and_then(Error::deployment);
    outcome.deployment.as_deref().or_else(failed).or_else(last)
}

/// The gateway's own words about a failure. A caller's mistake is told with the caller's words in
/// it, and a provider may quote the prompt: neither is for the log.
fn reason(error: &Error) -> Option<&str> {
    (error.origin() != Origin::Caller && error.said().is_none()).then(|| error.message())
}

/// What the operating system, the resolver of names or TLS said. Other causes may quote what was read.
fn cause(error: &Error) -> Option<String> {
    let mut cause = error.source();
    let mut told = None;
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if let Some(code) = io.raw_os_error() {
                return Some(std::io::Error::from_raw_os_error(code).to_string());
            }
            // The innermost is the one that knows.
            told = Some(io.to_string());
        }
        cause = error.source();
    }
    told.map(|told| told.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Milliseconds with three decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_failure_to_connect_names_its_cause() {
        let told = |source: io::Error| {
            cause(&Error::new(ziggurat_core::ErrorKind::BadUpstream, "no").with_source(source))
        };
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(told(io::Error::other(refused)).unwrap(), "connection refused");
        // Names that are not found and certificates that are not trusted have no code: they were not told.
        let certificate = io::Error::new(io::ErrorKind::InvalidData, "invalid peer\ncertificate");
        assert_eq!(told(certificate).unwrap(), "invalid peercertificate");
        let quoting = serde_json::from_str::<u8>("\"the prompt\"").unwrap_err();
        let error = Error::new(ziggurat_core::ErrorKind::BadUpstream, "no").with_source(quoting);
        assert_eq!(cause(&error), None);
    }
}
