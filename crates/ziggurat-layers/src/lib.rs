//! The layers of the Ziggurat LLM gateway that stand between its two ends.
//!
//! Each is a [`tower_layer::Layer`] around any service that answers a [`Call`](ziggurat_core::Call) with a
//! [`Reply`](ziggurat_core::Reply), has a feature of its own, and can be taken out and set into another tower:
//!
//! ```
//! use std::time::Duration;
//!
//! use tower::ServiceBuilder;
//! use ziggurat_core::{Call, CallService};
//! use ziggurat_layers::{PeekLayer, TimeoutLayer};
//!
//! fn stack(provider: impl CallService) -> impl CallService {
//!     ServiceBuilder::new()
//!         // A provider that fails in its first event has failed, not answered.
//!         .layer(PeekLayer::new())
//!         // A provider that says nothing is not waited for.
//!         .layer(TimeoutLayer::new().first_content(Duration::from_secs(30)).idle(Duration::from_secs(60)))
//!         .service(provider)
//! }
//! ```
//!
//! | feature | layer | what it does |
//! | --- | --- | --- |
//! | `access` | [`AccessLayer`] | asks whether a caller may use a model, and these parameters |
//! | `cache` | [`CacheLayer`] | answers equal calls with what is known already, streams too; equal calls at one time are made once |
//! | `conversation` | [`ConversationLayer`] | keeps answers, so that a caller sends what is new of a conversation and no more (OpenAI Responses) |
//! | `fallback` | [`FallbackLayer`] | asks another model when one fails |
//! | `peek` | [`PeekLayer`] | holds the head back until content has come, so that `Ok` is the commit point |
//! | `retry` | [`RetryLayer`] | tries a call that failed again, within a budget |
//! | `route` | [`Route`] | sends each call to one of several deployments: strategy, health, cool-down |
//! | `rate-limit` | [`RateLimitLayer`] | requests, tokens and parallel calls, by key, user, team, model or whatever else |
//! | `split` | [`SplitLayer`] | asks in several calls what a provider does not take in one |
//! | `stack` | [`Stack`] | the layers in their one right order, however they are named |
//! | `timeout` | [`TimeoutLayer`] | one clock each for the first content, for silence and for the whole attempt |
//!
//! The layers decide on facts of [frames](ziggurat_core::Frame) and never look into a wire format. None of them reserves
//! anything in `poll_ready`: it only forwards. Dropping what they return drops what is inside, which cancels the request to
//! the provider.

#[cfg(feature = "access")]
pub mod access;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "conversation")]
pub mod conversation;
#[cfg(feature = "fallback")]
pub mod fallback;
#[cfg(feature = "peek")]
pub mod peek;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "route")]
pub mod route;
#[cfg(feature = "split")]
pub mod split;
#[cfg(feature = "stack")]
pub mod stack;
#[cfg(feature = "timeout")]
pub mod timeout;

#[cfg(any(feature = "cache", feature = "conversation"))]
mod credentials;
#[cfg(any(feature = "access", feature = "fallback"))]
mod forbidden;
#[cfg(any(feature = "cache", feature = "conversation"))]
mod store;

#[cfg(feature = "access")]
pub use access::{Access, AccessLayer};
#[cfg(feature = "cache")]
pub use cache::{Cache, CacheLayer};
#[cfg(feature = "conversation")]
pub use conversation::{Conversation, ConversationLayer};
#[cfg(feature = "fallback")]
pub use fallback::{Fallback, FallbackLayer};
#[cfg(feature = "peek")]
pub use peek::{Peek, PeekLayer};
#[cfg(feature = "rate-limit")]
pub use rate_limit::{RateLimit, RateLimitLayer};
#[cfg(feature = "retry")]
pub use retry::{Retry, RetryLayer};
#[cfg(feature = "route")]
pub use route::Route;
#[cfg(feature = "split")]
pub use split::{Split, SplitLayer};
#[cfg(feature = "stack")]
pub use stack::Stack;
#[cfg(feature = "timeout")]
pub use timeout::{Timeout, TimeoutLayer};

#[cfg(test)]
mod fake;
#[cfg(test)]
mod scripted;
