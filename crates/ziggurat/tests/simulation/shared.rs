//! Limits that three gateways share, over a store that is lost and gateways that are killed.

mod counts;

use std::sync::Arc;

use tower::ServiceBuilder;
use ziggurat::layers::rate_limit::{By, LimitRules, Limiter, Limits, Outage, RateLimitLayer};
use ziggurat::layers::retry::RetryLayer;
use ziggurat_testkit::sim::{self, Fault, Report, Simulation, Stack, World};

use self::counts::SharedCounts;
use crate::bounds;
use crate::pick::Pick;

const INSTANCES: usize = 3;
const PARALLEL: u64 = 3;
const RPM: u64 = 20;

fn stack(world: &World) -> Stack {
    let limits = Limits::new().rpm(RPM).tpm(20_000).max_parallel(PARALLEL);
    let limiter = Limiter::new();
    let out = limiter.clone();
    world.gauge("places that are taken", move || out.in_flight() as u64);
    let rules = LimitRules::new().each(By::Key, limits);
    let outage = if world.seed().is_multiple_of(2) { Outage::Local(100) } else { Outage::Refuse };
    let shared = Arc::new(SharedCounts::new(world));
    let layer = RateLimitLayer::new(limiter, rules).ambient(world.ambient());
    world.calls(
        ServiceBuilder::new()
            .layer(layer.shared(shared).outage(outage))
            .layer(world.probe("limited"))
            .layer(RetryLayer::new().retries(1).ambient(world.ambient()))
            .service(Pick::new(world, &[("model", &["a", "b"])])),
    )
}

/// How often the limits may be had at once. While the store is away each gateway has them for itself, one that was started again
/// once more; when it is back it may have forgotten them, until all have told it of their calls.
fn times(report: &Report) -> u64 {
    let happened =
        |fault| report.accidents.iter().filter(|(kind, _)| *kind == fault).count() as u64;
    match happened(Fault::StoreLoss) {
        0 => 1,
        losses => 1 + losses + INSTANCES as u64 + happened(Fault::Crash),
    }
}

#[test]
fn shared_limits_hold_whatever_is_lost() {
    let summary = Simulation::new()
        .instances(INSTANCES)
        .calls(30, 120)
        .keys(["key-0", "key-1"])
        .most_attempts(2)
        // All places of both keys, by all gateways together.
        .recovery(PARALLEL * 2 / INSTANCES as u64)
        .check("no more at once than is allowed", |report| {
            bounds::parallel(report, "limited", times(report) * PARALLEL)
        })
        .check("no more in any time than is allowed", |report| {
            bounds::requests(report, "limited", times(report) * RPM, times(report) * RPM)
        })
        .run(sim::seeds(100), stack);
    assert!(summary.answered > 0);
}
