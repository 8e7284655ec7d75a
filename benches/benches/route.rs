//! What it costs to choose one of several deployments: by each strategy, of one, ten and a hundred of them.
//!
//! A row is a whole call through the route, to a deployment that answers at once, without the making and the settling of the call.
//! What the first row needs, where there is no route, is to be taken off the others; what is left is the decision, the place that is
//! taken, and the registration for the end of the attempt.

mod support;

use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use tower_service::Service;
use ziggurat_core::{
    Call, CallService, Error, Guard, Instant, NanoDollars, Price, Reply, ReplyBody, ReplyHead,
    Settlement,
};
use ziggurat_layers::route::{Cause, Endpoint, Registry, Route, Rules, Strategy, Table, TagMatch};

use support::{measure, now};

/// Answers at once.
#[derive(Clone)]
struct Canned;

impl Service<Call> for Canned {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        drop(call);
        let body = ReplyBody::Whole(Bytes::from_static(b"{}"));
        ready(Ok(Reply::new(ReplyHead::default(), body)))
    }
}

/// A call in an attempt, as a retry above hands it down.
struct Asked {
    call: Call,
    guards: [Guard; 2],
}

impl Asked {
    fn new(call: &Call) -> Self {
        let mut call = call.clone();
        let whole = Settlement::open();
        let attempt = whole.scope().attempt().expect("the call is open");
        call.set_scope(attempt.scope());
        Self { call, guards: [attempt, whole] }
    }
}

fn row(criterion: &mut Criterion, name: &str, service: &impl CallService, call: &Call) {
    // What was used of limits and latencies is there before it counts.
    for _ in 0..1000 {
        let Asked { call, guards } = Asked::new(call);
        let reply = now(service.clone().call(call)).expect("somebody has room");
        drop((reply, guards));
    }
    let input = || (service.clone(), Asked::new(call));
    measure(criterion, name, input, |(mut service, Asked { call, guards })| {
        let reply = now(service.call(call));
        // Settled outside of what is timed.
        (reply, guards)
    });
}

/// As many deployments, all of them the same, or each a little different.
fn table(
    many: usize,
    rules: Rules,
    make: impl Fn(usize, Endpoint<Canned>) -> Endpoint<Canned>,
) -> Route<Canned> {
    let endpoint = |at: usize| make(at, Endpoint::new(format!("deployment-{at}"), Canned));
    let table = Table::builder(&Registry::new()).rules(rules);
    Route::new(table.group("gpt", (0..many).map(endpoint)).build())
}

/// Limits that nobody reaches.
fn limited(_: usize, endpoint: Endpoint<Canned>) -> Endpoint<Canned> {
    endpoint.rpm(1 << 40).tpm(1 << 50).max_parallel(1 << 20)
}

fn priced(at: usize, endpoint: Endpoint<Canned>) -> Endpoint<Canned> {
    endpoint.price(Price::per_million(NanoDollars(1000 + at as u64 % 7), NanoDollars(1000)))
}

fn route(criterion: &mut Criterion) {
    let plain = |_, endpoint| endpoint;
    let call = Call::chat("gpt").user("Hello!");
    row(criterion, "no route", &Canned, &call);
    for many in [1, 10, 100] {
        let mut case = |name: &str, route: &Route<Canned>, call: &Call| {
            row(criterion, &format!("{name} of {many}"), route, call);
        };
        let by = |strategy| Rules::new().strategy(strategy);
        case("shuffle", &table(many, Rules::new(), plain), &call);
        let weighted = |at, endpoint: Endpoint<_>| endpoint.weight((at % 5 + 1) as f64);
        case("shuffle by weight", &table(many, Rules::new(), weighted), &call);
        case("least busy", &table(many, by(Strategy::LeastBusy), plain), &call);
        case("latency", &table(many, by(Strategy::latency()), plain), &call);
        case("usage", &table(many, by(Strategy::Usage), limited), &call);
        case("cost", &table(many, by(Strategy::Cost), priced), &call);
        case("shuffle, limits", &table(many, Rules::new(), limited), &call);
        let ordered = |at, endpoint: Endpoint<_>| endpoint.order(i64::from(at % 3 == 0));
        case("shuffle, orders", &table(many, Rules::new(), ordered), &call);

        let tagged =
            |at, endpoint: Endpoint<_>| endpoint.tag(if at % 2 == 0 { "even" } else { "odd" });
        let mut asking = call.clone();
        asking.controls_mut().tags = vec!["even".into()];
        case("shuffle, tags", &table(many, Rules::new().tags(TagMatch::Any), tagged), &asking);

        let affine = Rules::new().session_affinity(Duration::from_secs(3600));
        let mut talking = call.clone();
        talking.controls_mut().session = Some("a session".into());
        case("shuffle, session", &table(many, affine, plain), &talking);

        let resting = table(many, by(Strategy::LeastBusy), plain);
        let registry = resting.table().registry();
        let until = Instant::now() + Duration::from_secs(3600);
        for at in (1..many).filter(|at| at % 2 == 1) {
            registry.cool(&format!("deployment-{at}"), until, Cause::Fault);
        }
        case("least busy, half of them cooling", &resting, &call);
    }
}

criterion_group!(benches, route);
criterion_main!(benches);
