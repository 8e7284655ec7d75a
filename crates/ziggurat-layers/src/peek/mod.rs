//! Holds a stream's head back until content has come.
//!
//! Providers begin to answer before they know whether they can: an overload arrives as an error event in a 200, a crash as a
//! stream that ends without a word. Below this layer such an answer is `Ok`; above it is an `Err`, and `Ok` means that
//! content has come. That makes `Ok` the commit point, and retries, fallbacks and hedges ordinary tower logic on `Result`.
//!
//! ```
//! use tower_layer::Layer;
//! use ziggurat_core::CallService;
//! use ziggurat_layers::PeekLayer;
//!
//! fn committed(provider: impl CallService) -> impl CallService {
//!     PeekLayer::new().layer(provider)
//! }
//! ```
//!
//! What is read first decides:
//!
//! | the stream begins with | result |
//! | --- | --- |
//! | content: text, reasoning, a tool call | `Ok` |
//! | a reason to stop, without content (a refusal, an empty answer) | `Ok` |
//! | an error event, or an error of the transport | that error |
//! | its end or its terminator, without content or a reason to stop | an error of kind [`BadUpstream`](ziggurat_core::ErrorKind::BadUpstream) |
//! | comments, pings, empty deltas, usage | wait for more |
//!
//! A reply in one piece passes through, unless there is nothing in it: then it is the same error.
//!
//! With [`until_tokens`](PeekLayer::until_tokens) or [`until_elapsed`](PeekLayer::until_elapsed) one waits for a little more,
//! for providers that fail after their first words.
//!
//! # Where it belongs
//!
//! Below all that decides on `Result`, and above [`timeout`](crate::timeout), whose errors are then among them: a provider
//! that never says anything is an error, too.
//!
//! # Streams and cancellation
//!
//! The frames that were held back come first when the reply is read: the same frames, in order, byte for byte. They end
//! the call when the caller reads them, not when they are peeked at. What is held back is [bounded](PeekLayer::max_held);
//! past the bound the reply goes out as it is. What breaks after the head has gone out is the caller's to see, as an error in the
//! stream: nothing here, and nothing above that decides on `Result`, says a word twice.
//!
//! Dropping the future while it holds frames drops the reply, which cancels the request to the provider. What the frames
//! told of usage is reported on the call's scope in any case, for a provider bills what it began: when the reply goes out,
//! when it turns out to be an error, and when it is dropped.
//!
//! # Options
//!
//! | option | default | |
//! | --- | --- | --- |
//! | [`until_tokens`](PeekLayer::until_tokens) | the first content | how many events with content are waited for |
//! | [`until_elapsed`](PeekLayer::until_elapsed) | off | how long is waited after the first content, if that is less |
//! | [`max_held`](PeekLayer::max_held) | 1 MiB | the most bytes that are held back |
//!
//! # Cost
//!
//! One allocation a stream, for the frames that were held (up to four of them; more take a second), and one indirect call
//! for each frame.

mod body;
#[cfg(all(test, feature = "retry", feature = "timeout"))]
mod commit;
mod future;
mod held;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::PeekLayer;
pub use service::Peek;
