//! Asks another model when one fails.
//!
//! ```
//! use tower::ServiceBuilder;
//! use ziggurat_core::CallService;
//! use ziggurat_layers::fallback::{FallbackLayer, FallbackPolicy};
//! use ziggurat_layers::{AccessLayer, PeekLayer, RetryLayer};
//!
//! fn resilient(models: impl CallService) -> impl CallService {
//!     let access = AccessLayer::new().deny(["service_tier"]);
//!     let policy = FallbackPolicy::new()
//!         .on("gpt", ["claude", "gemini"])
//!         .on_context_length("gpt", ["gpt-long"])
//!         .otherwise(["mistral"]);
//!     ServiceBuilder::new()
//!         .layer(access.clone())
//!         // Who may not use a model is not answered by it in another's place.
//!         .layer(FallbackLayer::new(policy).permit(move |call| access.check(call)))
//!         .layer(RetryLayer::new())
//!         .layer(PeekLayer::new())
//!         .service(models)
//! }
//! ```
//!
//! # Which models
//!
//! First those that the caller lists ([`Controls::fallbacks`](ziggurat_core::Controls::fallbacks)), each with the parameters it
//! sets for it; then those of the [`FallbackPolicy`]: for a prompt that is too long, or content that the provider forbids, from the
//! lists for these if there are any at all, else from the general ones. A model that is asked and fails has its own list asked next,
//! before the rest of the list that it stands in; so on down.
//!
//! No model is asked twice for one call (the same model with other parameters counts as another), no more than
//! [`max_fallbacks`](FallbackLayer::max_fallbacks) are asked, and none after the call's deadline. A model that the caller
//! [may not use](FallbackLayer::permit) is passed over, and the refusal noted. A caller may switch fallbacks off
//! ([`Controls::disable_fallbacks`](ziggurat_core::Controls::disable_fallbacks)). Counting tokens and listing models have none:
//! another model's answer would be wrong.
//!
//! # After which failures
//!
//! The kind and the origin of the error decide, never its text:
//!
//! | failure | another model is asked |
//! | --- | --- |
//! | whatever the provider or the way to it did; a refusal of the gateway's own below this layer | yes |
//! | `ContextLength`, `ContentPolicy`, `Unsupported`, `NotFound`, whoever says it | yes |
//! | `InvalidRequest`, by a provider | one: if it says so, too, the request is wrong and nobody else is asked |
//! | the caller's own fault in everything else | no |
//! | `Cancelled` | no |
//!
//! LiteLLM asks all models after an invalid request. That makes a typing error cost a call to each; the second opinion keeps the case
//! that matters, a parameter that one model takes and another does not.
//!
//! If all fail, the first error is the answer, with the others [attached](ziggurat_core::Error::others) in their order. When to come
//! back is the earliest time that any of them told and that has not passed yet, for one model is enough.
//!
//! # What the caller sees
//!
//! [`ReplyHead::group`](ziggurat_core::ReplyHead::group) names the model that answered in place of the first,
//! [`ReplyHead::fallbacks`](ziggurat_core::ReplyHead::fallbacks) says how many others were asked, and
//! [`ReplyHead::attempts`](ziggurat_core::ReplyHead::attempts) counts the attempts at all of them; so does the error.
//!
//! # Where it belongs
//!
//! Above [`retry`](crate::retry), which numbers attempts and makes each its own scope: a model is given up when trying again did not
//! help. Where nothing is to be tried again, `RetryLayer::new().retries(0)` stands below. Below the rate limits and budgets of the
//! caller, which count the call once, and below the cache.
//!
//! # Streams and cancellation
//!
//! With [`peek`](crate::peek) below, `Ok` means that content has come: a stream that fails before is taken up by another model, one
//! that fails after is the caller's to see, and no text is ever sent twice. It makes no difference which dialect the caller speaks:
//! translation stands below. Dropping the future drops the model that is being asked, and nobody is asked any more.
//!
//! # Options
//!
//! | option | default | |
//! | --- | --- | --- |
//! | [`FallbackPolicy::on`] | none | `fallbacks` |
//! | [`FallbackPolicy::otherwise`] | none | `default_fallbacks` |
//! | [`FallbackPolicy::on_context_length`] | none | `context_window_fallbacks` |
//! | [`FallbackPolicy::on_content_policy`] | none | `content_policy_fallbacks` |
//! | [`max_fallbacks`](FallbackLayer::max_fallbacks) | 5 | how many other models one call may be handed to |
//! | [`permit`](FallbackLayer::permit) | `Caller::may_use` | who may be handed to which |
//!
//! # Cost
//!
//! Nothing is allocated before the first failure: one clone of the call and of the inner service, and nothing at all where no list
//! concerns the call. After it the rest is one boxed future.

mod future;
mod layer;
mod policy;
mod service;
mod target;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::FallbackLayer;
pub use policy::FallbackPolicy;
pub use service::Fallback;
