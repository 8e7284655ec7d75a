//! What the layers that make several deployments look like one add to a call, all together: observe, access, cache, rate limit,
//! fallback, retry, route, and per deployment peek and timeout. In process, without sockets and without translation, on one
//! thread and on two. The cache is there and off for the call, the first attempt is good.

mod support;

use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Call, CallService, Caller, Error, Instant, NanoDollars, Outcome, Price, Reply, ReplyBody,
    ReplyHead, Settle, Settlement, Ticket, Usage,
};
use ziggurat_layers::cache::{CacheLayer, Caches};
use ziggurat_layers::fallback::FallbackPolicy;
use ziggurat_layers::rate_limit::{By, LimitRules, Limiter, Limits, RateLimitLayer};
use ziggurat_layers::retry::RetryBudgets;
use ziggurat_layers::route::{Endpoint, Registry, Route, Table};
use ziggurat_layers::{AccessLayer, FallbackLayer, PeekLayer, RetryLayer, Stack, TimeoutLayer};

use support::{measure, now};

/// Answers at once, as a provider of a whole answer does.
#[derive(Clone)]
struct Canned {
    body: Bytes,
}

impl Service<Call> for Canned {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        if let Some(scope) = call.scope() {
            scope.report_usage(&Usage::new(12, 9));
        }
        ready(Ok(Reply::new(ReplyHead::default(), ReplyBody::Whole(self.body.clone()))))
    }
}

/// Counts calls and tokens at their end, as whoever observes does at least.
#[derive(Default)]
struct Meter(AtomicU64);

impl Settle for Meter {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        self.0.fetch_add(1 + outcome.tokens(), Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct ObserveLayer(Arc<Meter>);

#[derive(Clone)]
struct Observe<S> {
    inner: S,
    meter: Arc<Meter>,
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, meter: Arc::clone(&self.0) }
    }
}

impl<S: CallService> Service<Call> for Observe<S> {
    type Response = Reply;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> S::Future {
        let meter: Arc<dyn Settle> = Arc::<Meter>::clone(&self.meter);
        drop(call.register(meter, Ticket::default()));
        self.inner.call(call)
    }
}

/// All of them over so many deployments.
fn tower(deployments: usize) -> impl CallService {
    let minute = Duration::from_secs(60);
    let clocks = TimeoutLayer::new().first_content(minute).idle(minute).attempt(10 * minute);
    let price = Price::per_million(NanoDollars(2_000_000_000), NanoDollars(8_000_000_000));
    let endpoints = (0..deployments).map(|number| {
        let provider = PeekLayer::new().layer(clocks.layer(canned()));
        Endpoint::new(format!("deployment-{number}"), provider)
            .model("gpt-4.1")
            .price(price.clone())
            .max_parallel(1_000_000)
    });
    let table = Table::builder(&Registry::new()).group("gpt", endpoints).build();
    let access = AccessLayer::new();
    let limits = LimitRules::new()
        .each(By::Key, Limits::new().rpm(4_000_000_000).max_parallel(1_000_000))
        .each(By::Team, Limits::new().tpm(4_000_000_000))
        .each(By::Model, Limits::new().rpm(4_000_000_000));
    Stack::new()
        .observe(ObserveLayer(Arc::default()))
        .access(access)
        .cache(CacheLayer::new(Arc::new(Caches::new().local(64 << 20))).only_when_asked())
        .rate_limit(RateLimitLayer::new(Limiter::new(), limits))
        .fallback(FallbackLayer::new(FallbackPolicy::new()))
        .retry(RetryLayer::new().budgets(RetryBudgets::new()))
        .service(Route::new(table))
}

fn canned() -> Canned {
    Canned { body: Bytes::from_static(b"{\"choices\":[]}") }
}

fn asked() -> Call {
    let mut call = Call::chat("gpt").user("Hello!");
    call.set_caller(Caller::new("key-7").team("search"));
    call
}

/// One call as a front door makes it: opened, answered, read to its end, settled.
fn ask(service: &mut impl CallService, mut call: Call) -> usize {
    let guard = Settlement::open();
    call.set_scope(guard.scope());
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else { return 0 };
    let Ok(mut reply) = now(service.call(call)) else { return 0 };
    reply.hold(guard);
    match reply.take_body() {
        ReplyBody::Whole(bytes) => bytes.len(),
        _ => 0,
    }
}

fn one_thread(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let _inside = runtime.enter();
    let bare = canned();
    let run = |(mut service, call)| ask(&mut service, call);
    measure(criterion, "bare service, one thread", || (bare.clone(), asked()), run);
    for deployments in [1, 3] {
        let tower = tower(deployments);
        // Names and books are made when a deployment is first chosen.
        for _ in 0..1000 {
            ask(&mut tower.clone(), asked());
        }
        let name = format!("all layers over {deployments}, one thread");
        let run = |(mut service, call)| ask(&mut service, call);
        measure(criterion, &name, || (tower.clone(), asked()), run);
    }
}

/// Two threads that ask at the same time, of clones of one service: the time of a call, in which both ask one.
fn together(criterion: &mut Criterion, name: &str, service: impl CallService) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let gate = Barrier::new(2);
            let time = || {
                let mut service = service.clone();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                let runtime = runtime.expect("a runtime starts");
                let _inside = runtime.enter();
                let calls: Vec<Call> = (0..rounds.min(1000)).map(|_| asked()).collect();
                gate.wait();
                let start = Instant::now();
                for round in 0..rounds {
                    let call = calls[usize::try_from(round).unwrap_or(0) % calls.len()].clone();
                    std::hint::black_box(ask(&mut service, call));
                }
                start.elapsed()
            };
            std::thread::scope(|scope| {
                let other = scope.spawn(time);
                let ours = time();
                ours.max(other.join().unwrap_or_default())
            })
        });
    });
}

fn two_threads(criterion: &mut Criterion) {
    together(criterion, "bare service, two threads", canned());
    together(criterion, "all layers over 3, two threads", tower(3));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = one_thread, two_threads
}
criterion_main!(benches);
