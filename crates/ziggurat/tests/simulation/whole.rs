//! Everything together, with every fault, on several instances, behind front doors of every kind.

use http::Request;
use tower::{Layer, ServiceBuilder};
use ziggurat::http::{Disconnect, Drains};
use ziggurat::layers::fallback::{FallbackLayer, FallbackPolicy};
use ziggurat::layers::rate_limit::{By, LimitRules, Limiter, Limits, RateLimitLayer};
use ziggurat::layers::{AccessLayer, RetryLayer};
use ziggurat::{Body, Caller};
use ziggurat_testkit::sim::{self, CallEnd, Chance, Fault, Report, Simulation, Stack, TOP, World};

use crate::pick::Pick;
use crate::{bounds, secs};

const INSTANCES: usize = 2;
const DEADLINE: u64 = 90;

/// Whether the seed's front doors set a deadline.
fn has_deadline(seed: u64) -> bool {
    !seed.is_multiple_of(3)
}

fn stack(world: &World) -> Stack {
    let chance = world.chance("doors");
    let mut door = world.front_door();
    if has_deadline(world.seed()) {
        door = door.deadline(secs(DEADLINE));
    }
    if chance.percent(40) {
        door = door.keepalive_after(secs(5));
    }
    if chance.percent(50) {
        let drains = Drains::new(4);
        let running = drains.clone();
        world.gauge("drains", move || running.running() as u64);
        let most = chance.between(1, 30);
        let drain = Disconnect::drain().at_most_tokens(most).at_most_time(secs(most));
        let drain = if chance.percent(50) { drain } else { Disconnect::drain() };
        door = door.drains(drains).disconnect(move |_| drain);
    }

    let limiter = Limiter::new();
    let out = limiter.clone();
    world.gauge("places that are taken", move || out.in_flight() as u64);
    let rules = LimitRules::new().each(By::Key, Limits::new().rpm(60).max_parallel(8));
    let fallbacks = FallbackPolicy::new()
        .on("fast", ["smart", "long"])
        .on("smart", ["fast"])
        .on_context_length("smart", ["long"])
        .on_content_policy("fast", ["long"]);
    let access = AccessLayer::new();
    let models: &[(&str, &[&str])] =
        &[("fast", &["a", "b"]), ("smart", &["c"]), ("long", &["d", "b"])];
    let layers = ServiceBuilder::new()
        .layer(world.probe(TOP))
        .layer(access.clone())
        .layer(RateLimitLayer::new(limiter, rules).ambient(world.ambient()))
        .layer(world.probe("limited"))
        .layer(FallbackLayer::new(fallbacks).permit(move |call| access.check(call)))
        .layer(world.probe("model"))
        .layer(RetryLayer::new().retries(2).ambient(world.ambient()))
        .layer(world.probe("attempt"))
        .service(Pick::new(world, models));
    world.http(door.layer(layers))
}

/// One of the keys may use two of the models only.
fn dress(request: &mut Request<Body>, _: &Chance) {
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
    if caller.key() == Some("key-0") {
        request.extensions_mut().insert(caller.models(["fast", "long"]));
    }
}

/// Nobody is answered by a model that it may not use.
fn allowed(report: &Report) -> Result<(), String> {
    for pass in report.passed("model") {
        if pass.key == "key-0" && pass.model == "smart" {
            return Err(format!("call {:?} is asked of a model that is not allowed", pass.call));
        }
    }
    Ok(())
}

/// Nobody waits longer than the deadline.
fn in_time(report: &Report) -> Result<(), String> {
    if !has_deadline(report.seed) {
        return Ok(());
    }
    let frozen = report.accidents.iter().filter(|(fault, _)| *fault == Fault::Freeze).count();
    // A caller that reads slowly learns of it at its next read; a machine that stands still keeps no time.
    let most = secs(DEADLINE + 3 + 41 * frozen as u64);
    for pass in report.passed(TOP) {
        let took = pass.ended.map(|ended| ended.at - pass.began.at).unwrap_or_default();
        let slow = pass.call.and_then(|id| report.calls.get(usize::try_from(id).ok()?));
        let slow = slow.is_some_and(|call| call.end == CallEnd::Answered);
        if took > most && !slow {
            return Err(format!("call {:?} took {took:?}", pass.call));
        }
    }
    Ok(())
}

fn simulation() -> Simulation {
    Simulation::new()
        .instances(INSTANCES)
        .calls(10, 60)
        .models(["fast", "smart"])
        // Three models at most, three attempts at each.
        .most_attempts(9)
        .recovery(2)
        // When all is well again the first asks the first model, which it may.
        .keys(["key-0", "key-1", "key-2"])
        .dress(dress)
        .check("attempts are counted", |report| bounds::counted(report, false))
        .check("no more at once than is allowed", |report| {
            let crashes =
                report.accidents.iter().filter(|(fault, _)| *fault == Fault::Crash).count();
            bounds::parallel(report, "limited", 8 * (INSTANCES + crashes) as u64)
        })
        .check("models that are not allowed are not asked", allowed)
        .check("nobody waits beyond the deadline", in_time)
}

#[test]
fn whatever_happens_the_whole_stack_holds() {
    let list = sim::listed(include_str!("seeds.txt"));
    let summary = simulation().run(list.into_iter().chain(sim::seeds(150)), stack);
    if summary.seeds >= 150 {
        assert!(summary.answered > summary.calls / 2, "{summary:?}");
        assert!(summary.attempts > summary.calls, "{summary:?}");
        assert_eq!(summary.faults.len(), Fault::ALL.len(), "{summary:?}");
    }
}

#[test]
fn a_seed_repeats_itself_through_the_whole_stack() {
    for seed in 0..3 {
        let trace = || simulation().simulate(seed, stack).trace;
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}
