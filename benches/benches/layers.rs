//! What each layer costs by itself: a call that is answered in one piece, and an event of a stream; and what it costs to settle a
//! call. The service at the bottom answers at once, so that its own row is the price of the vocabulary.

mod support;

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Call, CallService, End, Error, Facts, Frame, Frames, NanoDollars, Outcome, Price, Reply,
    ReplyBody, ReplyHead, Settle, Settlement, Str, Ticket, Usage,
};
use ziggurat_layers::fallback::FallbackPolicy;
use ziggurat_layers::rate_limit::{By, LimitRules, Limiter, Limits};
use ziggurat_layers::{
    AccessLayer, FallbackLayer, PeekLayer, RateLimitLayer, RetryLayer, Stack, TimeoutLayer,
};

use support::{measure, measure_events, now};

const EVENTS: usize = 1000;
const TEXT: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" tower\"}}]}\n\n";

/// Answers at once: whole, or with so many pieces of text.
#[derive(Clone)]
struct Canned {
    body: Bytes,
    events: Option<usize>,
}

impl Service<Call> for Canned {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        drop(call);
        ready(Ok(match self.events {
            None => Reply::new(ReplyHead::default(), ReplyBody::Whole(self.body.clone())),
            Some(left) => Reply::frames(Pieces { left, text: self.body.clone(), ended: false }),
        }))
    }
}

struct Pieces {
    left: usize,
    text: Bytes,
    ended: bool,
}

impl Frames for Pieces {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        if self.left == 0 {
            let last = (!std::mem::replace(&mut self.ended, true))
                .then(|| Frame::new(Bytes::from_static(b"data: [DONE]\n\n"), Facts::TERMINATOR));
            return Poll::Ready(last.map(Ok));
        }
        self.left -= 1;
        let mut frame = Frame::new(self.text.clone(), Facts::CONTENT);
        frame.set_contents(1);
        Poll::Ready(Some(Ok(frame)))
    }
}

/// One call as a front door makes it: opened, answered, read to its end, settled.
fn ask(mut service: impl CallService, mut call: Call) -> usize {
    let guard = Settlement::open();
    call.set_scope(guard.scope());
    let Ok(mut reply) = now(service.call(call)) else { return 0 };
    reply.hold(guard);
    if !reply.is_streamed() {
        return match reply.take_body() {
            ReplyBody::Whole(bytes) => bytes.len(),
            _ => 0,
        };
    }
    let mut length = 0;
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = reply.poll_frame(&mut cx) {
        length += frame.bytes().len();
    }
    length
}

fn stack(criterion: &mut Criterion, name: &str, layer: impl Layer<Canned, Service: CallService>) {
    let whole = layer.layer(Canned { body: Bytes::from_static(TEXT), events: None });
    let call = Call::chat("model").user("Hello!");
    let input = || (whole.clone(), call.clone());
    measure(criterion, &format!("{name}, a whole call"), input, |(service, call)| {
        ask(service, call)
    });

    let call = Call::chat("model").user("Hello!").streamed();
    let input = |events| {
        let canned = Canned { body: Bytes::from_static(TEXT), events: Some(events) };
        (layer.layer(canned), call.clone())
    };
    let run = |(service, call)| ask(service, call);
    measure(criterion, &format!("{name}, a stream of one event"), || input(1), run);
    measure_events(criterion, &format!("{name}, an event"), EVENTS, input, run);
}

fn layers(criterion: &mut Criterion) {
    // The timers of the timeout layer need a runtime around them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let _inside = runtime.enter();
    let minute = Duration::from_secs(60);
    let timeout = TimeoutLayer::new().first_content(minute).idle(minute).attempt(10 * minute);
    stack(criterion, "no layer", tower_layer::Identity::new());
    stack(criterion, "peek", PeekLayer::new());
    stack(criterion, "timeout", timeout);
    // So much that it is never reached: every call is counted, in three dimensions of three limits each.
    let limits = Limits::new().rpm(1 << 40).tpm(1 << 50).max_parallel(1 << 20);
    let rules = LimitRules::new().each(By::Model, limits.clone()).each(By::All, limits.clone());
    let rules = rules.fixed("deployment", "openai-1", limits);
    stack(criterion, "rate limit", RateLimitLayer::new(Limiter::new(), rules));
    stack(criterion, "peek over timeout", tower_layer::Stack::new(timeout, PeekLayer::new()));
    let access = AccessLayer::new().deny(["service_tier"]);
    // One that concerns the call, so that everything is kept that a second model would need.
    let fallback = FallbackLayer::new(FallbackPolicy::new().on("model", ["other"]));
    stack(criterion, "access", access.clone());
    stack(criterion, "fallback", fallback.clone());
    stack(criterion, "retry", RetryLayer::new());
    let all = Stack::new().access(access).fallback(fallback).retry(RetryLayer::new());
    let all = all.peek(PeekLayer::new()).timeout(timeout);
    stack(criterion, "access, fallback, retry, peek, timeout", all);
}

/// Counts tokens.
#[derive(Default)]
struct Meter(AtomicU64);

impl Settle for Meter {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        self.0.fetch_add(ticket.0 + outcome.tokens(), Ordering::Relaxed);
    }
}

fn settlement(criterion: &mut Criterion) {
    let meters: [Arc<Meter>; 3] = std::array::from_fn(|_| Arc::default());
    let deployment = Str::from("deployment-1");
    let price = Price::per_million(NanoDollars(2_000_000_000), NanoDollars(8_000_000_000));
    measure(
        criterion,
        "settlement, opened and closed",
        || (),
        |()| {
            Settlement::open().close(End::Success);
        },
    );
    measure(
        criterion,
        "settlement, three registrants and an attempt",
        || (),
        |()| {
            let guard = Settlement::open();
            let scope = guard.scope();
            for (number, meter) in meters.iter().enumerate() {
                let ticket = Ticket(number as u64, 0);
                scope.register(meter.clone(), ticket).expect("the call is open");
            }
            let attempt = scope.attempt().expect("the call is open");
            let inner = attempt.scope();
            inner.set_deployment(deployment.clone());
            inner.set_price(&price);
            inner.report_first_content();
            inner.report_usage(&Usage::new(12, 9));
            attempt.close(End::Success);
            guard.close(End::Success);
        },
    );
    assert!(meters.iter().all(|meter| meter.0.load(Ordering::Relaxed) > 0));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = layers, settlement
}
criterion_main!(benches);
