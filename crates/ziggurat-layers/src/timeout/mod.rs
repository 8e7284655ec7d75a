//! Gives up on a provider that keeps one waiting.
//!
//! Three clocks, each off until it is set:
//!
//! - [`first_content`](TimeoutLayer::first_content), from the call until a stream's first content: waiting for the head counts,
//!   comments and empty events do not help. Not for calls that are answered in one piece.
//! - [`idle`](TimeoutLayer::idle), the silence between two frames of a stream. Any frame ends a silence, a comment too. Only
//!   waiting for the provider counts; the time that a slow caller takes to read does not.
//! - [`attempt`](TimeoutLayer::attempt), from the call until its answer is complete.
//!
//! ```
//! use std::time::Duration;
//!
//! use tower_layer::Layer;
//! use ziggurat_core::CallService;
//! use ziggurat_layers::TimeoutLayer;
//!
//! fn patient(provider: impl CallService) -> impl CallService {
//!     TimeoutLayer::new()
//!         .first_content(Duration::from_secs(30))
//!         .idle(Duration::from_secs(60))
//!         .attempt(Duration::from_secs(600))
//!         .layer(provider)
//! }
//! ```
//!
//! # Where it belongs
//!
//! Next to the provider, below everything that tries again or elsewhere: a time that ran out is an ordinary error of kind
//! [`Timeout`](ziggurat_core::ErrorKind::Timeout), the provider's fault, which a retry may act on. The call's own deadline is
//! not kept here but by the front door, for all attempts together.
//!
//! # Streams and cancellation
//!
//! When a time runs out, the inner future or the inner stream is dropped at once, which cancels the request to the provider;
//! a stream ends with the error, and the call is settled as failed. After the dialect's terminator no clock runs any more. A
//! raw body (speech, a file) is not watched after its head. Dropping the future or the reply drops what is inside.
//!
//! # Cost
//!
//! One timer for each call, boxed when the provider first keeps one waiting; for a stream one more box, around the source of
//! frames. So one allocation a call and two a stream, and none for each frame. The timer is not reset by frames: it fires, finds that
//! something came in the meantime, and is set to what is left.

mod body;
mod clock;
mod future;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use service::Timeout;
