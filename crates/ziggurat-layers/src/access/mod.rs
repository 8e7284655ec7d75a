//! Asks whether a caller may use a model, and these parameters.
//!
//! ```
//! use tower_layer::Layer;
//! use ziggurat_core::CallService;
//! use ziggurat_layers::AccessLayer;
//!
//! fn guarded(models: impl CallService) -> impl CallService {
//!     AccessLayer::new()
//!         // Who calls says for whom.
//!         .require(["user"])
//!         // Nobody chooses the price.
//!         .deny(["service_tier"])
//!         .layer(models)
//! }
//! ```
//!
//! | question | a caller who may not is told |
//! | --- | --- |
//! | [`Caller::may_use`](ziggurat_core::Caller::may_use) the model | `Permission`, 403, parameter `model` |
//! | is every parameter [allowed](AccessLayer::allow), and none [denied](AccessLayer::deny) | `Permission`, 403, that parameter |
//! | is every [required](AccessLayer::require) parameter there | `InvalidRequest`, 400, that parameter |
//! | what [further rules](AccessLayer::rule) say | their error |
//!
//! Parameters are the top-level members of the request, by the names that the caller's dialect has for them; what is denied by OpenAI's
//! name is so wherever another dialect has it, inside of another member too. Of a conversation that
//! was built in code, or rewritten by a layer, those are known that the superset has, by OpenAI's names, and its extras. The list of
//! models is not guarded here: who answers it tells each caller of its own models; nor are answers that were kept, which are each
//! caller's own.
//!
//! # Where it belongs
//!
//! Above the cache, so that nobody is answered from it who may not ask, and above all that counts or holds something for a call.
//! The same question is asked for each model that a [fallback](crate::fallback) turns to: hand it this layer.
//!
//! # Streams and cancellation
//!
//! The decision falls before the inner service is called, on the call alone. Replies pass through untouched, and dropping the
//! future drops the inner one.
//!
//! # Options
//!
//! | option | default | |
//! | --- | --- | --- |
//! | [`allow`](AccessLayer::allow) | all | the only parameters there may be |
//! | [`deny`](AccessLayer::deny) | none | parameters there may not be |
//! | [`require`](AccessLayer::require) | none | parameters there must be: `enforced_params`, and `user` for `enforce_user_param` |
//! | [`rule`](AccessLayer::rule) | none | any question to a call |
//!
//! # Cost
//!
//! A permitted call allocates nothing, unless something inside a parameter is required (`metadata.team`): that parameter is read
//! then, and where a dialect keeps the `user` elsewhere, the request.

mod future;
mod layer;
mod rules;
mod service;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::AccessLayer;
pub use service::Access;
