//! Limits: kept by each gateway for itself, exactly.

use tower::ServiceBuilder;
use ziggurat::layers::rate_limit::{By, LimitRules, Limiter, Limits, RateLimitLayer};
use ziggurat::layers::retry::RetryLayer;
use ziggurat_testkit::sim::{self, CallEnd, Fault, Faults, Simulation, Stack, World};

use crate::bounds;
use crate::pick::Pick;

const PARALLEL: u64 = 3;
const RPM: u64 = 12;

fn stack(world: &World) -> Stack {
    let limits = Limits::new().rpm(RPM).tpm(5000).max_parallel(PARALLEL);
    let limiter = Limiter::new();
    let out = limiter.clone();
    world.gauge("places that are taken", move || out.in_flight() as u64);
    let rules = LimitRules::new().each(By::Key, limits);
    world.calls(
        ServiceBuilder::new()
            .layer(RateLimitLayer::new(limiter, rules).ambient(world.ambient()))
            .layer(world.probe("limited"))
            .layer(RetryLayer::new().retries(1).ambient(world.ambient()))
            .service(Pick::new(world, &[("model", &["a", "b"])])),
    )
}

#[test]
fn local_limits_are_exact() {
    let summary = Simulation::new()
        // A gateway that is started again has forgotten what it counted.
        .faults(Faults::all().without(Fault::Crash))
        .calls(30, 90)
        .keys(["key-0", "key-1"])
        .most_attempts(2)
        .recovery(PARALLEL * 2)
        .check("no more at once than is allowed", |report| {
            bounds::parallel(report, "limited", PARALLEL)
        })
        .check("no more in any time than is allowed", |report| {
            bounds::requests(report, "limited", RPM, RPM)
        })
        .check("what is refused costs a provider nothing", |report| {
            let passed: std::collections::BTreeSet<_> =
                report.passed("limited").filter_map(|pass| pass.call).collect();
            let refused = report.calls.iter().find(|call| {
                !passed.contains(&call.id) && report.attempts_at(call.question).next().is_some()
            });
            refused.map_or(Ok(()), |call| Err(format!("call {} was asked all the same", call.id)))
        })
        .run(sim::seeds(100), stack);
    assert!(summary.answered > 0);
}

#[test]
fn what_is_refused_says_when_to_come_back() {
    let simulation = Simulation::new().faults(Faults::none()).calls(90, 90).keys(["key-0"]);
    let report = simulation.simulate(1, stack);
    assert_eq!(report.violations, []);
    let limited: Vec<_> = report.calls.iter().filter(|call| call.status == Some(429)).collect();
    let passed: Vec<_> = report.passed("limited").filter_map(|pass| pass.call).collect();
    let ours = limited.iter().filter(|call| !passed.contains(&call.id));
    let mut seen = 0;
    for call in ours {
        assert!([CallEnd::Refused, CallEnd::Left].contains(&call.end), "{call:?}");
        assert!(call.headers.iter().any(|(name, _)| name == "retry-after"), "{:?}", call.headers);
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}
