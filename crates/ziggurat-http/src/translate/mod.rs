//! The last layer: a [`Call`](ziggurat_core::Call) becomes a provider's `http::Request`, and what comes back a reply.
//!
//! A call that leaves in the dialect it came in goes as the bytes it came as, apart from a few top-level edits; its stream comes
//! back as the slices it arrives in. Any other call goes through the superset, and what the target cannot express is
//! treated by the deployment's loss policy.
//!
//! Dropping the future, or the reply's body, drops the request to the provider, which closes or resets it. After a stream's
//! last event the rest of the answer is read, within bounds, so that the connection can serve again.

mod deployment;
mod frames;
mod layer;
mod request;
mod response;
mod service;

pub use deployment::Deployment;
pub use layer::TranslateLayer;
#[cfg(feature = "fetch")]
pub(crate) use request::configure;
pub use response::TranslateFuture;
pub use service::Translate;
