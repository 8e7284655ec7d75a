//! Tries a call that failed again, within a budget.
//!
//! ```
//! use tower::ServiceBuilder;
//! use ziggurat_core::{CallService, ErrorKind};
//! use ziggurat_layers::retry::{RetryBudget, RetryLayer, RetryPolicy};
//! use ziggurat_layers::PeekLayer;
//!
//! fn stubborn(provider: impl CallService) -> impl CallService {
//!     ServiceBuilder::new()
//!         .layer(
//!             RetryLayer::new()
//!                 .retries(3)
//!                 .policy(RetryPolicy::new().on([ErrorKind::Timeout], 1))
//!                 .budget(RetryBudget::percent(10).per_second(1)),
//!         )
//!         // Makes of an overload inside a 200 an error, which can be tried again.
//!         .layer(PeekLayer::new())
//!         .service(provider)
//! }
//! ```
//!
//! # What is tried again
//!
//! The kind and the origin of the error decide, never its text:
//!
//! | failure | tried again |
//! | --- | --- |
//! | `RateLimit`, `Overloaded`, `Server`, `BadUpstream`, `Timeout`, `Conflict`; a provider's `RequestTimeout` | yes |
//! | the same, when the provider says `x-should-retry: false` | if a sibling is free |
//! | the provider refuses our credential or has no such model: `Authentication`, `Permission`, `Billing`, `QuotaExhausted`, `NotFound` | if a sibling is free |
//! | a refusal of the gateway's own, `RateLimit` or `Overloaded` (all deployments are full, or cool down) | if a sibling is free, or if it is over [soon](RetryLayer::max_wait_for_refusals) |
//! | the caller's fault: `InvalidRequest`, `ContextLength`, `ContentPolicy`, `Unsupported` … | no |
//! | `Cancelled` | never |
//!
//! A sibling is free when the error says so ([`Error::elsewhere`](ziggurat_core::Error::elsewhere)): the layer that chooses among
//! deployments knows. A [`RetryPolicy`] that names the kind wins over this table.
//!
//! How often: what the policy for the kind says (the model's, else the one for all); else the caller's own number, up to
//! [`most`](RetryLayer::most); else the model's; else [`retries`](RetryLayer::retries). A caller who asks for 0 retries has none,
//! whatever a policy says. All retries of the call at this model count together.
//!
//! How long it waits: not at all where a sibling is free. As long as the provider asks for
//! ([`Error::retry_after`](ziggurat_core::Error::retry_after): `Retry-After`, or the reset of the limit that was hit), and a
//! little longer by chance, so that not all come back in one instant; one that asks for more than
//! [`max_wait`](RetryLayer::max_wait) is not tried again. Else a random time between nothing and the
//! [backoff](RetryLayer::backoff), which doubles.
//!
//! Not after the deadline: a wait that ends at the call's deadline or later is not begun, and the error comes back at once.
//!
//! Not in a storm: each deployment has a [`RetryBudget`]. A retry is taken from the budget of the deployment that failed, one that
//! goes to a sibling too; where the deployment is not known, from the model's. When everything is down, the load grows by the
//! budget's share, and not by the number of retries. [`RetryBudgets`] are the books; they survive a new stack that is given them.
//!
//! # Where it belongs
//!
//! Above the choice of a deployment, so that each attempt is routed afresh; above [`peek`](crate::peek), which makes `Ok` mean
//! that content has come: what is `Ok` is never tried again. Below budgets and rate limits, which count the call once, and below
//! the fallback to other models, which is asked when trying again did not help.
//!
//! # Attempts
//!
//! Each attempt is a numbered [scope](ziggurat_core::Scope::attempt) of the call: what is below registers there, and learns the
//! end of its attempt. A failed one is closed with its error before the next begins; the one that answers ends where its reply
//! ends. A call that has no settlement gets one. The number of attempts, at all models together, is in
//! [`ReplyHead::attempts`](ziggurat_core::ReplyHead::attempts) and [`Error::attempts`](ziggurat_core::Error::attempts).
//!
//! When all attempts fail, the first error is the answer: what comes later is often only the echo (a cool-down, a refusal because
//! of the retries). Only a provider's verdict on the call itself (it is invalid, too long, against a policy) goes before it: that is
//! what the caller can mend, whichever deployment was out of order before. The others are [attached](ziggurat_core::Error::others), and when to come back is the latest time any of them
//! told that has not passed yet.
//!
//! # Streams and cancellation
//!
//! A stream whose head is `Ok` is passed through untouched, and its failure is the caller's to see. Dropping the future drops the
//! attempt or the wait that is under way: the attempt is closed as cancelled, and nothing is tried any more.
//!
//! # Options
//!
//! | option | default | |
//! | --- | --- | --- |
//! | [`retries`](RetryLayer::retries) | 2 | `num_retries` |
//! | [`most`](RetryLayer::most) | 10 | the most a caller may ask for |
//! | [`backoff`](RetryLayer::backoff) | 0.5 s, 8 s | the first wait, and the longest |
//! | [`max_wait`](RetryLayer::max_wait) | 60 s | the longest wait that a provider may ask for |
//! | [`max_wait_for_refusals`](RetryLayer::max_wait_for_refusals) | 1 s | the same for refusals of the gateway's own |
//! | [`least_time`](RetryLayer::least_time) | 0 | what must be left until the deadline for an attempt to begin |
//! | [`policy`](RetryLayer::policy) | none | numbers by kind: `retry_policy` |
//! | [`model_policy`](RetryLayer::model_policy) | none | the same for one model, or a pattern: `model_group_retry_policy` |
//! | [`model_retries`](RetryLayer::model_retries) | none | `num_retries` for one model, or a pattern |
//! | [`least_wait`](RetryLayer::least_wait) | 0 | what a backoff waits at least: `retry_after` |
//! | [`budget`](RetryLayer::budget) | 20 %, 10 a second | what one deployment may cause |
//! | [`budgets`](RetryLayer::budgets) | the layer's own | the books of it |
//! | [`ambient`](RetryLayer::ambient) | the machine's | where chance comes from |
//!
//! # Cost
//!
//! Nothing is allocated before the first failure: one clone of the call and of the inner service, and a look into the books. After
//! it the rest of the attempts is one boxed future.

mod budget;
mod future;
mod layer;
mod models;
mod policy;
mod service;
#[cfg(test)]
mod tests;

pub use budget::{RetryBudget, RetryBudgets};
pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use policy::RetryPolicy;
pub use service::Retry;
