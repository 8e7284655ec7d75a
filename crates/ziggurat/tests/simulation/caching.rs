//! A cache of two tiers and single flight, for callers who ask the same in two dialects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tower::ServiceBuilder;
use ziggurat::layers::RetryLayer;
use ziggurat::layers::cache::{CacheLayer, Caches, Key, Store, StoreError, StoreFuture};
use ziggurat_testkit::sim::{
    self, CallEnd, CallRecord, Chance, Fault, Link, Pass, Report, Simulation, Stack, TOP, World,
    peak,
};

use crate::pick::Pick;
use crate::secs;

type Values = HashMap<Key, (Bytes, Duration)>;

/// What Redis is to a cache. Now and then a value comes back broken.
struct Shared {
    link: Link<Values>,
    chance: Arc<Chance>,
}

impl Shared {
    fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Values, Duration) -> R + Send + 'static,
    ) -> StoreFuture<R> {
        let link = self.link.clone();
        Box::pin(async move {
            let now = link.time();
            let done = link.call(move |values| work(values, now)).await;
            done.map_err(|lost| StoreError::new("the store is away").with_source(lost))
        })
    }
}

impl Store for Shared {
    fn get(&self, key: Key) -> StoreFuture<Option<Bytes>> {
        let broken = self.chance.percent(10);
        self.ask(move |values, now| {
            let (value, _) = values.get(&key).filter(|(_, until)| *until > now)?;
            Some(if broken { value.slice(..value.len() / 2) } else { value.clone() })
        })
    }

    fn put(&self, key: Key, value: Bytes, ttl: Duration) -> StoreFuture<()> {
        self.ask(move |values, now| drop(values.insert(key, (value, now + ttl))))
    }

    fn delete(&self, keys: Vec<Key>) -> StoreFuture<u64> {
        self.ask(move |values, _| {
            keys.iter().filter(|key| values.remove(key).is_some()).count() as u64
        })
    }

    fn clear(&self) -> StoreFuture<()> {
        self.ask(|values, _| values.clear())
    }

    fn ping(&self) -> StoreFuture<()> {
        self.ask(|_, _| ())
    }
}

fn stack(world: &World) -> Stack {
    let store = Shared { link: world.shared("redis"), chance: Arc::new(world.chance("store")) };
    let mut caches = Caches::new();
    // In this process, in the store, in both, in none.
    if world.seed() & 1 == 0 {
        caches = caches.local(1 << 20).local_ttl(secs(20));
    }
    if world.seed() & 2 == 0 {
        caches = caches.store(Arc::new(store));
    }
    let caches = Arc::new(caches);
    let state = Arc::clone(&caches);
    world.gauge("flights", move || state.stats().flights);
    let cache = CacheLayer::new(caches).ambient(world.ambient()).ttl(secs(40));
    world.calls(
        ServiceBuilder::new()
            .layer(cache)
            .layer(world.probe("miss"))
            .layer(RetryLayer::new().retries(1).ambient(world.ambient()))
            .service(Pick::new(world, &[("model", &["a", "b"])])),
    )
}

fn header<'a>(call: &'a CallRecord, name: &str) -> Option<&'a str> {
    let found = call.headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn is_hit(call: &CallRecord) -> bool {
    header(call, "x-ziggurat-cached") == Some("true")
}

fn call_of<'a>(report: &'a Report, pass: &Pass) -> Option<&'a CallRecord> {
    report.calls.get(usize::try_from(pass.call?).ok()?)
}

/// Nobody reads what was asked for with another key.
fn apart(report: &Report) -> Result<(), String> {
    for call in report.calls.iter().filter(|call| call.end == CallEnd::Answered) {
        let Some(attempt) =
            report.attempts_at(call.question).find(|attempt| attempt.text == call.text)
        else {
            continue;
        };
        let own = report.passed("miss").filter(|pass| pass.key == call.key).any(|pass| {
            call_of(report, pass).is_some_and(|asked| asked.question == call.question)
                && pass.began < attempt.began
                && pass.ended.is_none_or(|ended| ended > attempt.began)
        });
        if !own {
            return Err(format!("call {} of {} reads what another asked", call.id, call.key));
        }
    }
    Ok(())
}

/// Of equal calls one is made at a time, at each instance.
fn one_flight(report: &Report) -> Result<(), String> {
    let mut flights: BTreeMap<_, Vec<&Pass>> = BTreeMap::new();
    for pass in report.passed("miss") {
        if let Some(call) = call_of(report, pass) {
            let equal = (pass.instance, &call.key, call.question, call.streamed);
            flights.entry(equal).or_default().push(pass);
        }
    }
    for (equal, passes) in flights {
        let seen = peak(passes.iter().map(|pass| (pass.began, pass.ended)));
        if seen > 1 {
            return Err(format!("{seen} flights at once for {equal:?}"));
        }
    }
    Ok(())
}

/// What flights cost is borne by one of those who shared them, and hits cost nothing: what all callers are charged is what all
/// flights cost.
fn charged_once(report: &Report) -> Result<(), String> {
    // A killed instance charges nobody any more.
    if report.accidents.iter().any(|(fault, _)| *fault == Fault::Crash) {
        return Ok(());
    }
    let sum = |probe| {
        let costs = report.passed(probe).filter_map(|pass| pass.outcomes.first()?.cost);
        costs.map(|cost| cost.total().0).sum::<u64>()
    };
    match (sum(TOP), sum("miss")) {
        (charged, cost) if charged == cost => Ok(()),
        (charged, cost) => Err(format!("{charged} are charged, flights cost {cost}")),
    }
}

fn simulation() -> Simulation {
    Simulation::new()
        .instances(2)
        .calls(30, 120)
        .popular(70)
        .most_attempts(2)
        .check("who asks with another key has another cache", apart)
        .check("equal calls share one flight", one_flight)
        .check("flights are charged once", charged_once)
}

#[test]
fn equal_calls_share_answers_and_whole_ones_only() {
    let summary = simulation().run(sim::seeds(100), stack);
    assert!(summary.answered > summary.calls / 2, "{summary:?}");
}

#[test]
fn there_are_hits_in_every_tier_and_across_dialects() {
    for tier in [0, 1, 2] {
        let seen = (0..8).map(|seed| seed * 4 + tier).any(|seed| {
            let report = simulation().simulate(seed, stack);
            assert_eq!(report.violations, []);
            report.calls.iter().filter(|call| is_hit(call)).any(|hit| {
                report.calls.iter().any(|other| other.text == hit.text && other.wire != hit.wire)
            })
        });
        assert!(seen, "tier {tier}");
    }
}
