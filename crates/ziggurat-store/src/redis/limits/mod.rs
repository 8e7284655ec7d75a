//! Rate limits that gateways share.
//!
//! [`LimitStore`] keeps the counts of a [`RateLimitLayer`](ziggurat_layers::RateLimitLayer) in Redis:
//!
//! ```
//! use std::sync::Arc;
//! use ziggurat_layers::RateLimitLayer;
//! use ziggurat_layers::rate_limit::{By, LimitRules, Limiter, Limits};
//! use ziggurat_store::redis::{LimitStore, Redis, Settings};
//!
//! let redis = Redis::connect(Settings::from_url("redis://127.0.0.1:6379").unwrap()).unwrap();
//! let layer = RateLimitLayer::new(Limiter::new(), LimitRules::new().each(By::Key, Limits::new().rpm(60)))
//!     .shared(Arc::new(LimitStore::new(redis)));
//! # drop(layer);
//! ```
//!
//! # One round trip
//!
//! A call is decided by one script in all its dimensions, all or nothing; a script runs alone, so that the limits are exact however
//! many gateways ask. Time is the server's (`TIME`): gateways' clocks do not matter. A server's clock that is set back keeps
//! buckets empty for as long as it was set back; one that is set forward fills them by as much.
//!
//! Places and reserved tokens are *leases*, 30 seconds long unless [told](LimitStore::lease), renewed by a task behind the store for
//! as long as the call lives. A gateway that dies (`kill -9`) renews nothing: after the time of a lease its places are free, and the
//! tokens that it had reserved count as used. What a call used is told by the same task, in batches; it is not waited for, and tried
//! again until Redis has answered. Calls that only count requests need no lease, and nothing is sent when they end.
//!
//! # Away and back
//!
//! While Redis is away nothing is asked of it, and calls are decided by the layer's
//! [`Outage`](ziggurat_layers::rate_limit::Outage). When it is back, it is told at once of all calls in flight, also of those that passed
//! in the meantime. What was used of the rates is forgotten where the data was lost. So the most that passes beyond the limits: the
//! layer's local share for each gateway during the outage; the limit once more in the moment until all have told of their calls;
//! and one burst after a loss of data.
//!
//! # Keys, and clusters
//!
//! Each dimension has two keys, `{prefix}limit:{group}:h:{name}:{key}` (what was used and is held) and `…:l:…` (the leases); they expire
//! when all is whole again. The group stands in braces, the *hash tag* by which a cluster chooses the node: one call's keys are
//! on one node, or one script could not decide them. Unless the layer says [otherwise](ziggurat_layers::RateLimitLayer::group) there is
//! one group, hence one node that counts for everybody; with a group for each organisation they spread over the nodes, and a
//! limit of everybody (of a model, say) is then one of each organisation.
//!
//! # Options
//!
//! | option | default | what it does |
//! | --- | --- | --- |
//! | [`lease`](LimitStore::lease) | 30 s | how long places of a dead gateway stay taken |
//!
//! At most 65,536 ended calls wait to be told while Redis is away; the oldest are then given up, and their leases end by themselves.

mod keys;
mod script;
mod store;
#[cfg(test)]
mod tests;
mod worker;

pub use store::LimitStore;
