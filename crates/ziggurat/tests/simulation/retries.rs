//! Retries over two deployments.

use tower::ServiceBuilder;
use ziggurat::layers::retry::{RetryBudget, RetryLayer};
use ziggurat_testkit::sim::{self, Fault, Faults, Simulation, Stack, World};

use crate::bounds;
use crate::pick::Pick;

/// The budget that the seed decides: a share in percent, and so many a second.
fn budget(seed: u64) -> (u32, u32) {
    [(20, 1), (20, 0), (10, 0), (0, 1)][usize::try_from(seed % 4).unwrap()]
}

fn stack(world: &World) -> Stack {
    let (percent, per_second) = budget(world.seed());
    let budget = RetryBudget::percent(percent).per_second(per_second);
    let lanes: &[&str] = if world.chance("lanes").percent(30) { &["a"] } else { &["a", "b"] };
    world.calls(
        ServiceBuilder::new()
            .layer(RetryLayer::new().retries(2).budget(budget).ambient(world.ambient()))
            .layer(world.probe("attempt"))
            .service(Pick::new(world, &[("model", lanes)])),
    )
}

#[test]
fn retries_keep_to_their_number_and_their_budget() {
    let summary = Simulation::new()
        // A gateway that is started again has forgotten what it tried.
        .faults(Faults::all().without(Fault::Crash))
        .calls(20, 80)
        .most_attempts(3)
        .check("retries keep to the budget", |report| {
            let (percent, per_second) = budget(report.seed);
            // Each of two deployments has one, and so has the model where nobody knows the deployment.
            bounds::retries(report, "attempt", percent.into(), u64::from(per_second) * 3)
        })
        .check("attempts are counted", |report| bounds::counted(report, false))
        .run(sim::seeds(100), stack);
    if summary.seeds >= 100 {
        assert!(summary.attempts > summary.calls, "some are tried again: {summary:?}");
        assert_eq!(summary.faults.len(), Fault::ALL.len() - 1, "{summary:?}");
    }
}
