//! Routing by every strategy, with limits of each deployment and cool-downs that instances tell each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::{Layer, ServiceBuilder};
use ziggurat::layers::RetryLayer;
use ziggurat::layers::fallback::{FallbackLayer, FallbackPolicy};
use ziggurat::layers::route::{
    Cause, CoolDown, Endpoint, Registry, Route, Rules, Strategy, Subscription, Table,
};
use ziggurat::prelude::Service;
use ziggurat::{Call, CallService, Error, Instant, NanoDollars, Price, Reply};
use ziggurat_testkit::sim::{
    self, Fault, Faults, Pass, Probe, Report, Simulation, Stack, World, peak,
};

use crate::pick::{Lane, lane};
use crate::{bounds, deployment, secs};

const INSTANCES: usize = 2;
const PARALLEL: u64 = 2;
/// Until when deployments cool down, by the shared state's clock.
type CoolDowns = BTreeMap<String, (Duration, Cause)>;

/// The strategy that the seed decides.
fn strategy(seed: u64) -> Strategy {
    match seed % 5 {
        0 => Strategy::Shuffle,
        1 => Strategy::LeastBusy,
        2 => Strategy::latency(),
        3 => Strategy::Usage,
        _ => Strategy::Cost,
    }
}

fn endpoint(world: &World, name: &str) -> Endpoint<Probe<Lane>> {
    let lane = world.probe(&format!("at {name}")).layer(lane(world, deployment(world, name)));
    let price = NanoDollars(1_000_000 * world.chance(name).between(1, 9));
    let endpoint = Endpoint::new(name, lane).price(Price::per_million(price, price));
    // One has no limits, for a group that is all taken refuses.
    if name == "d" { endpoint } else { endpoint.max_parallel(u32::try_from(PARALLEL).unwrap()) }
}

fn stack(world: &World) -> Stack {
    let registry = Registry::with(world.ambient());
    let cool_down = CoolDown::new().time(secs(10)).longest(secs(60));
    let rules = Rules::new().strategy(strategy(world.seed())).cool_down(cool_down);
    let group = |names: &[&str]| names.iter().map(|name| endpoint(world, name)).collect::<Vec<_>>();
    let table = Table::builder(&registry)
        .rules(rules)
        .group("fast", group(&["a", "b", "c"]))
        .group("smart", group(&["c", "d"]))
        .build();
    let told = tell(world, &registry);
    world.gauge("calls in flight at deployments", move || {
        registry.states().iter().map(|state| u64::from(state.in_flight)).sum()
    });
    let route = Keeping { inner: Route::new(table), _kept: Arc::new(told) };
    let fallbacks = FallbackPolicy::new().on("fast", ["smart"]);
    world.calls(
        ServiceBuilder::new()
            .layer(FallbackLayer::new(fallbacks))
            .layer(RetryLayer::new().retries(2).ambient(world.ambient()))
            .service(route),
    )
}

/// Tells other instances of cool-downs, and hears of theirs, for as long as what is returned is kept.
fn tell(world: &World, registry: &Registry) -> (Subscription, Arc<()>) {
    let link = world.shared::<CoolDowns>("cool-downs");
    let (noting, telling) = (world.clone(), link.clone());
    let subscription = registry.subscribe(move |cooled| {
        let (instance, ms) = (noting.instance(), cooled.time.as_millis());
        noting.note(format_args!("cooled: {instance} {} {ms}", cooled.deployment));
        let (deployment, until) = (cooled.deployment.to_string(), telling.time() + cooled.time);
        // Where it is away the others find out by themselves.
        let tell = |all: &mut CoolDowns| {
            let known = all.entry(deployment).or_insert((until, cooled.cause));
            known.0 = known.0.max(until);
        };
        telling.now(tell).ok();
    });
    let kept = Arc::new(());
    let (weak, hearing) = (Arc::downgrade(&kept), registry.clone());
    tokio::spawn(async move {
        while weak.strong_count() > 0 {
            tokio::time::sleep(secs(1)).await;
            let Ok(all) = link.call(|all| all.clone()).await else { continue };
            let now = link.time();
            for (deployment, (until, cause)) in all {
                if until > now {
                    hearing.cool(&deployment, Instant::now() + (until - now), cause);
                }
            }
        }
    });
    (subscription, kept)
}

/// A service that keeps something.
#[derive(Clone)]
struct Keeping<S> {
    inner: S,
    _kept: Arc<dyn Send + Sync>,
}

impl<S: CallService> Service<Call> for Keeping<S> {
    type Response = Reply;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> S::Future {
        self.inner.call(call)
    }
}

/// A cool-down as it is in the trace.
struct Cooled<'a> {
    line: usize,
    at: Duration,
    instance: usize,
    deployment: &'a str,
    time: Duration,
}

fn cool_downs(report: &Report) -> impl Iterator<Item = Cooled<'_>> {
    report.trace.iter().enumerate().filter_map(|(line, text)| {
        let mut words = text.split_whitespace();
        let at = Duration::from_secs_f64(words.next()?.parse().ok()?);
        if words.next()? != "cooled:" {
            return None;
        }
        let instance = words.next()?.parse().ok()?;
        let deployment = words.next()?;
        let time = Duration::from_millis(words.next()?.parse().ok()?);
        Some(Cooled { line, at, instance, deployment, time })
    })
}

/// Nobody is sent to a deployment that cools down, at the instance that knows it and, `after` a while, at the others.
fn left_alone(report: &Report, after: Duration) -> Result<(), String> {
    // A killed instance has forgotten its own.
    let lives = |instance: usize, from: usize| {
        let starts = format!("instance {instance} starts");
        let mut later = report.trace.iter().enumerate().skip(from);
        later.find(|(_, line)| line.ends_with(&starts)).map_or(usize::MAX, |(line, _)| line)
    };
    for cooled in cool_downs(report) {
        let until = cooled.at + cooled.time;
        let life = lives(cooled.instance, cooled.line);
        let probe = format!("at {}", cooled.deployment);
        let sent = report.passed(&probe).find(|pass| {
            let number = usize::try_from(pass.began.number).unwrap();
            let own = pass.instance == cooled.instance;
            let from = if own { cooled.at } else { cooled.at + after };
            number > cooled.line + 1 && number < life && pass.began.at >= from
                // The trace knows milliseconds.
                && pass.began.at + Duration::from_millis(2) < until
        });
        if let Some(pass) = sent {
            let Cooled { at, deployment, time, instance, .. } = cooled;
            return Err(format!(
                "{deployment} cools down at {instance} from {at:?} for {time:?}, and call {:?} is sent there at {:?} by {}",
                pass.call, pass.began.at, pass.instance
            ));
        }
    }
    Ok(())
}

/// No instance has more calls at a deployment than it may have.
fn in_places(report: &Report) -> Result<(), String> {
    for (deployment, instance) in
        ["a", "b", "c"].iter().flat_map(|name| (0..INSTANCES).map(move |instance| (name, instance)))
    {
        let probe = format!("at {deployment}");
        let there = report.passed(&probe).filter(|pass| pass.instance == instance);
        let seen = peak(there.map(|pass: &Pass| (pass.began, pass.ended)));
        if seen > PARALLEL {
            return Err(format!("{seen} calls of {instance} are at {deployment}"));
        }
    }
    Ok(())
}

fn simulation() -> Simulation {
    Simulation::new()
        .instances(INSTANCES)
        .calls(20, 80)
        .models(["fast", "smart"])
        // Two models at most, three attempts at each.
        .most_attempts(6)
        .check("attempts are counted", |report| bounds::counted(report, true))
        .check("no more at a deployment than it may have", in_places)
}

#[test]
fn every_strategy_keeps_limits_and_cool_downs() {
    let summary = simulation()
        .check("what cools down is left alone", |report| left_alone(report, secs(3600)))
        .run(sim::seeds(100), stack);
    assert!(summary.answered > summary.calls / 2, "{summary:?}");
}

#[test]
fn instances_tell_each_other_of_cool_downs() {
    let faults = Faults::all();
    let faults = faults.without(Fault::Freeze).without(Fault::StoreLoss).without(Fault::Crash);
    simulation()
        .faults(faults)
        .check("what cools down is left alone everywhere", |report| {
            left_alone(report, Duration::from_millis(1100))
        })
        .run(sim::seeds(50), stack);
}

#[test]
fn what_callers_do_wrong_cools_nobody() {
    let faults = Faults::only([Fault::Invalid, Fault::ContextLength, Fault::ContentPolicy]);
    let summary = simulation()
        .faults(faults)
        .check("nobody cools down", |report| match cool_downs(report).count() {
            0 => Ok(()),
            some => Err(format!("{some} cool-downs")),
        })
        .run(sim::seeds(50), stack);
    assert!(summary.failed + summary.attempts - summary.calls > 0, "{summary:?}");
}
