mod counting;
mod estimating;
mod random;
mod service;
mod shared;

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tower::{Layer, Service, ServiceExt};
use ziggurat_core::{
    Answer, Call, Caller, ChatReply, End, Error, Guard, LimitKind, Reply, Settlement, Usage,
};

use super::*;

/// Answers at once, and keeps the calls.
#[derive(Clone, Default)]
pub(super) struct Provider {
    pub(super) calls: Arc<Mutex<Vec<Call>>>,
    pub(super) usage: Option<Usage>,
}

impl Provider {
    pub(super) fn using(usage: Usage) -> Self {
        Self { usage: Some(usage), ..Self::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

impl Service<Call> for Provider {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.calls.lock().unwrap().push(call);
        let mut answer = ChatReply::new("1", "model");
        answer.usage = self.usage;
        ready(Ok(Reply::answer(Answer::Chat(Box::new(answer)))))
    }
}

/// A call of this key.
pub(super) fn from(key: &'static str) -> Call {
    let mut call = Call::chat("model").user("Hello!");
    call.set_caller(Caller::new(key));
    call
}

/// A call for so many tokens, by [`sized`].
pub(super) fn of(key: &'static str, input: u64, output: u64) -> Call {
    let mut call = Call::chat(format!("{input}/{output}")).user("Hello!");
    call.set_caller(Caller::new(key));
    call
}

/// Reads the estimate from the model's name.
pub(super) fn sized(call: &Call) -> Estimate {
    let (input, output) = call.model().split_once('/').unwrap();
    Estimate::new(input.parse().unwrap(), output.parse().ok())
}

pub(super) fn per_key(limits: Limits) -> RateLimitLayer {
    RateLimitLayer::new(Limiter::new(), LimitRules::new().each(By::Key, limits)).estimator(sized)
}

/// Sends a call as a front door does, and reads the answer to its end.
pub(super) async fn send(
    layer: &RateLimitLayer,
    provider: &Provider,
    call: Call,
) -> Result<Reply, Error> {
    let (result, guard) = begin(layer, provider, call).await;
    let mut reply = crate::fake::close(result, guard)?;
    reply.take_body();
    Ok(reply)
}

/// Sends a call, and leaves it open.
pub(super) async fn begin(
    layer: &RateLimitLayer,
    provider: &Provider,
    mut call: Call,
) -> (Result<Reply, Error>, Guard) {
    let guard = Settlement::open();
    call.set_scope(guard.scope());
    (layer.layer(provider.clone()).oneshot(call).await, guard)
}

pub(super) fn end_with(guard: Guard, usage: Option<Usage>) {
    if let Some(usage) = usage {
        guard.scope().report_usage(&usage);
    }
    guard.close(End::Success);
}

pub(super) fn remaining(reply: &Reply, kind: LimitKind) -> u64 {
    reply.head().limits.get(kind).unwrap().remaining
}
