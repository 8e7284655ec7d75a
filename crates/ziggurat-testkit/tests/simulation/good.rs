//! A small stack that does nothing wrong.

use std::time::Duration;

use tower::ServiceBuilder;
use ziggurat_core::{CallService, Secret};
use ziggurat_dialects::{ANTHROPIC, OPENAI};
use ziggurat_http::{Deployment, TranslateLayer};
use ziggurat_layers::{PeekLayer, TimeoutLayer};
use ziggurat_testkit::sim::{self, CallEnd, Fault, Faults, Report, Simulation, Stack, World};

/// A deployment at a simulated provider, whose dialect the seed decides.
pub(crate) fn deployment(world: &World) -> Deployment {
    let openai = world.chance("dialect").percent(50);
    let (dialect, base) = if openai {
        (OPENAI, "http://openai.test/v1")
    } else {
        (ANTHROPIC, "http://anthropic.test")
    };
    Deployment::new("only", dialect, base.parse().unwrap()).key(Secret::new("sk")).model("gpt-4.1")
}

/// What stands under the layers that a test adds.
pub(crate) fn base(world: &World) -> impl CallService + use<> {
    ServiceBuilder::new()
        .layer(PeekLayer::new())
        .layer(
            TimeoutLayer::new()
                .first_content(Duration::from_secs(30))
                .idle(Duration::from_secs(30))
                .attempt(Duration::from_secs(300)),
        )
        .layer(TranslateLayer::new(deployment(world)))
        .service(world.provider("only"))
}

fn stack(world: &World) -> Stack {
    world.calls(base(world))
}

#[test]
fn a_good_stack_passes_and_everything_happens_to_it() {
    let summary = Simulation::new().most_attempts(1).run(sim::seeds(100), stack);
    if summary.seeds < 100 {
        return;
    }
    assert!(summary.answered > summary.calls / 3, "{summary:?}");
    assert!(summary.failed > summary.calls / 20, "{summary:?}");
    assert!(summary.left > summary.calls / 50, "{summary:?}");
    for fault in Fault::ALL {
        assert!(summary.faults.contains_key(&fault), "{fault:?} never happened: {summary:?}");
    }
}

#[test]
fn a_seed_says_the_same_every_time() {
    let trace = |seed| Simulation::new().simulate(seed, stack).trace;
    for seed in 0..5 {
        let first = trace(seed);
        assert!(first.len() > 50);
        assert_eq!(first, trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}

#[test]
fn without_faults_everyone_is_answered_but_those_who_leave() {
    let fair = |report: &Report| {
        let ends = [CallEnd::Answered, CallEnd::Left];
        match report.calls.iter().find(|call| !ends.contains(&call.end)) {
            None => Ok(()),
            Some(call) => Err(format!("call {}: {:?}", call.id, call.end)),
        }
    };
    let summary = Simulation::new()
        .faults(Faults::none())
        .check("everyone is answered", fair)
        .run(0..20, stack);
    assert_eq!((summary.failed, summary.faults.len()), (0, 0));
    assert!(summary.answered > 0);
}

#[test]
fn one_fault_alone_can_be_asked_for() {
    for fault in Fault::ALL {
        let summary = Simulation::new().faults(Faults::only([fault])).run(0..6, stack);
        assert_eq!(summary.faults.keys().collect::<Vec<_>>(), [&fault]);
    }
}

#[test]
fn a_check_of_ones_own_is_heard() {
    let report = Simulation::new()
        .check("nobody is answered", |report| match report.count(&CallEnd::Answered) {
            0 => Ok(()),
            some => Err(format!("{some} are")),
        })
        .simulate(3, stack);
    assert_eq!(report.violations.len(), 1);
    assert_eq!(report.violations[0].invariant, "nobody is answered");
}
