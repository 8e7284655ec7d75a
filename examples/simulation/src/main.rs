//! Tests a stack, with a layer of one's own in it, under thousands of seeded faults.
//!
//! ```text
//! cargo run -p example-simulation -- 2000
//! ```
//!
//! [`queue`] is the layer: so many calls at once, the others wait. [`app`] is what stands below it, over any transport: the
//! simulated one here, a real one in the program that it was written for. Whatever happens to providers and callers, no more calls are under
//! way than there are places, and all places are free again in the end. Change the layer so that it loses a place (keep the permit in
//! the future alone, or forget it where the stream breaks), and a seed says so, with all that happened.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod queue;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tower::ServiceBuilder;
use ziggurat::http::{Deployment, TranslateLayer};
use ziggurat::layers::{PeekLayer, RetryLayer, TimeoutLayer};
use ziggurat::prelude::*;
use ziggurat::{Ambient, Body, BoxError};
use ziggurat_testkit::sim::{Report, Simulation, Stack, Summary, World, peak};

use queue::QueueLayer;

/// How many calls may be under way at once.
const PLACES: usize = 4;

fn main() {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    println!("{:#?}", simulate(0..seeds));
}

/// What stands below the layer, over any transport, with chance from outside.
fn app<T, B>(transport: T, ambient: Arc<dyn Ambient>) -> impl CallService
where
    T: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let openai = "https://api.openai.com/v1".parse().unwrap_or_default();
    let gpt = Deployment::new("gpt", OPENAI, openai).key(Secret::new("sk-…")).model("gpt-4.1");
    ServiceBuilder::new()
        .layer(RetryLayer::new().retries(1).ambient(ambient))
        .layer(PeekLayer::new())
        .layer(TimeoutLayer::new().idle(Duration::from_secs(30)).attempt(Duration::from_secs(120)))
        .layer(TranslateLayer::new(gpt))
        .service(transport)
}

/// The stack in a world: its providers, its clock, its chance.
fn stack(world: &World) -> Stack {
    stack_with(QueueLayer::new(PLACES), world)
}

fn stack_with(queue: QueueLayer, world: &World) -> Stack {
    let places = queue.clone();
    // What must be zero when all is over.
    world.gauge("places that are taken", move || (PLACES - places.free()) as u64);
    // A call keeps its place while it is tried again, and to the end of its stream.
    let layers = ServiceBuilder::new()
        .layer(queue)
        // Notes what the layer lets through, and when that is over.
        .layer(world.probe("through"))
        .service(app(world.provider("gpt"), world.ambient()));
    world.calls(layers)
}

/// Runs it under these seeds.
fn simulate(seeds: impl IntoIterator<Item = u64>) -> Summary {
    Simulation::new()
        .most_attempts(2)
        // As many at once as there are places, when all is well again.
        .recovery(PLACES as u64)
        .check("no more are under way than there are places", in_places)
        .run(seeds, stack)
}

fn in_places(report: &Report) -> Result<(), String> {
    match peak(report.passed("through").map(|pass| (pass.began, pass.ended))) {
        seen if seen <= PLACES as u64 => Ok(()),
        seen => Err(format!("{seen} are under way, there are {PLACES} places")),
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_testkit::sim;

    use super::*;

    #[test]
    fn whatever_happens_the_queue_keeps_its_places() {
        let summary = simulate(sim::seeds(100));
        assert!(summary.answered > 0);
    }

    /// A layer that is wrong is seen to be: this one forgets a place now and then.
    #[test]
    fn a_place_that_is_lost_is_found() {
        let broken = |world: &World| stack_with(QueueLayer::new(PLACES).forgetful(), world);
        let simulation = Simulation::new().recovery(PLACES as u64);
        let found = (0..50).find_map(|seed| {
            let report = simulation.simulate(seed, broken);
            report.violations.into_iter().next()
        });
        assert!(found.is_some(), "nothing was seen");
    }
}
