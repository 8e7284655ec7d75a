//! Simulates a whole stack, its callers and its providers, with everything that can go wrong, under thousands of seeds.
//!
//! A world is made from a seed: callers who ask whole and streamed in two dialects, leave, read slowly; providers that answer in
//! real bytes, cut anywhere, and fail in every way they know; clocks that jump, machines that stand still, shared state that is
//! lost, instances that are killed. Time is the runtime's paused clock, so that an hour takes milliseconds; nothing touches the
//! network. The same seed always says the same, word for word, and a seed that fails prints itself, what happened, and how to see
//! it again.
//!
//! ```
//! use std::time::Duration;
//!
//! use tower::ServiceBuilder;
//! use ziggurat_core::Secret;
//! use ziggurat_dialects::OPENAI;
//! use ziggurat_http::{Deployment, TranslateLayer};
//! use ziggurat_layers::{PeekLayer, TimeoutLayer};
//! use ziggurat_testkit::sim::{self, World};
//!
//! let summary = sim::run(sim::seeds(20), |world: &World| {
//!     let gpt = Deployment::new("gpt", OPENAI, "http://gpt.test/v1".parse().unwrap())
//!         .key(Secret::new("sk-…"));
//!     // The stack under test: any service over calls, or, with `world.http`, any service over http.
//!     world.calls(
//!         ServiceBuilder::new()
//!             .layer(PeekLayer::new())
//!             .layer(TimeoutLayer::new().attempt(Duration::from_secs(120)))
//!             .layer(TranslateLayer::new(gpt))
//!             .service(world.provider("gpt")),
//!     )
//! });
//! assert!(summary.answered > 0 && summary.failed > 0);
//! ```
//!
//! # What must hold
//!
//! At the end of every run these are checked, and whatever [`Simulation::check`] adds:
//!
//! | invariant | what it says |
//! | --- | --- |
//! | one answer or one error | A caller who stays gets one of them, in its own dialect: never both, never none. A stream ends with the reason why and its terminator (which a provider may have left out), or with an error. |
//! | one attempt's text | Text is what one attempt said, from its beginning, and all of it where the answer ended well. Words are unique to attempts, so that a repeated or mixed text is seen. |
//! | no attempt after the commit point | Nothing is asked of a provider for a call whose caller has read content. |
//! | usage is told as it was | The usage in an answer is that of the attempt which gave it. |
//! | attempts are bounded | As [`Simulation::most_attempts`] says. |
//! | retries keep to their budget | As [`Simulation::retry_budget`] says. |
//! | settled once | Whoever registers at a probe is told once. |
//! | booked as it was | The books say success, failure or cancellation as the caller would. |
//! | usage is booked as it was | Not less than was read to its end, not more than providers sent, lost attempts included. |
//! | nothing leaks | When all is over, no request is open at a provider, every [`gauge`](World::gauge) is zero, and no task is left. |
//! | the stack recovers | When the faults are over, everything works again, for as many at once as [`Simulation::recovery`] says. |
//!
//! Limits are checked by comparing what passed a [`probe`](World::probe) with [`peak`] and [`most_within`].
//!
//! # What a stack is built of
//!
//! The function that builds it is given a [`World`]: clock and chance for layers that take an
//! [`Ambient`](ziggurat_core::Ambient), [`provider`](World::provider)s to stand under translation, state that instances
//! [`share`](World::shared) over a network that fails, [`probe`](World::probe)s to stand anywhere. It is called once for each
//! instance, and again after one was killed.
//!
//! What a layer does must follow from these alone. A layer that asks the machine for time or chance, or that goes through a map in
//! the order of its hashes, does not repeat itself: comparing the [`trace`](Report::trace) of two runs of one seed shows it.
//!
//! # Seeds
//!
//! [`seeds`] gives as many as a test can afford. `ZIGGURAT_LONG=1` runs ten thousand, `ZIGGURAT_LONG=500` so many, and
//! `ZIGGURAT_SEED=17` one. Seeds that once failed go into a file beside the test, read by [`listed`], so that they are run first
//! and for ever.
//!
//! # Not covered
//!
//! Threads: all of a run happens on one. Sockets, TLS and HTTP framing: [`FakeProvider`](crate::FakeProvider) stands for those.

mod caller;
mod chance;
mod clock;
mod fault;
mod invariants;
mod probe;
mod provider;
mod reader;
mod report;
mod shared;
mod simulation;
mod stack;
mod wire;
mod world;

pub use chance::Chance;
pub use fault::{Fault, Faults};
pub use probe::{Probe, ProbeLayer};
pub use provider::{SimBody, SimTransport};
pub use report::{
    AttemptRecord, CallEnd, CallRecord, Moment, Pass, Report, Violation, most_within, peak,
};
pub use shared::{Link, Lost};
pub use simulation::{Simulation, Summary, listed, run, seeds};
pub use stack::Stack;
pub use wire::Wire;
pub use world::{TOP, World};
