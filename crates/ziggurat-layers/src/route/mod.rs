//! One of several deployments.
//!
//! A [`Table`] says which deployments answer for which model; a [`Route`] is a service over it that sends each call to one of them,
//! by strategy, health and limits. What is known of deployments is in a [`Registry`], which outlives tables.
//!
//! ```
//! use std::time::Duration;
//!
//! use ziggurat_core::CallService;
//! use ziggurat_layers::route::{CoolDown, Endpoint, Registry, Route, Rules, Strategy, Table};
//!
//! fn route<S: CallService>(azure: S, openai: S, spare: S) -> impl CallService {
//!     let registry = Registry::new();
//!     let rules = Rules::new()
//!         .strategy(Strategy::latency())
//!         .cool_down(CoolDown::new().time(Duration::from_secs(30)));
//!     let table = Table::builder(&registry)
//!         .rules(rules)
//!         .group(
//!             "gpt",
//!             [
//!                 Endpoint::new("azure", azure).model("gpt-4.1").max_parallel(50),
//!                 Endpoint::new("openai", openai).model("gpt-4.1").rpm(500).tpm(200_000),
//!                 // Only when neither of the others is left.
//!                 Endpoint::new("spare", spare).model("gpt-4.1-mini").order(2),
//!             ],
//!         )
//!         .build();
//!     Route::new(table)
//! }
//! ```
//!
//! # How one is chosen
//!
//! 1. **The group.** The call's model is an alias, else the name of a group, else the id of one deployment (which is then taken as
//!    it is, cool-down or not; its limits hold), else it fits a pattern: the most specific first, `openai/gpt-*` before `openai/*`
//!    before `*`. Nothing fits: an error of kind [`NotFound`](ziggurat_core::ErrorKind::NotFound).
//! 2. **What the call is.** Whoever names a region ([`Controls::region`](ziggurat_core::Controls)) gets only deployments there. With
//!    [`pre_call_checks`](Rules::pre_call_checks): context window (by an estimate of the prompt), abilities. With [`tags`](Rules::tags): one or all of the call's and the caller's tags; `!tag` excludes, `&tag` demands; who matches
//!    nobody, or has no tags, gets the deployments with the tag `default`, if there are any. If nobody is left by what the call
//!    is, that is said: [`ContextLength`](ziggurat_core::ErrorKind::ContextLength) for a prompt that is too long for all.
//! 3. **Who can take it now.** Deployments that cool down, that a check found ill, or whose limits are reached are left out.
//! 4. **Who was not tried.** Those that an earlier attempt went to ([`Scope::tried`](ziggurat_core::Scope::tried)) are passed
//!    over while others remain.
//! 5. **Session.** Where the session's deployment is among those left, it is that one.
//! 6. **Order.** Of those left, only the ones of the lowest `order`.
//! 7. **Strategy**, and a place is taken there. Was somebody else faster, the choice is made again without it.
//!
//! If nobody can take the call now the error says how many deployments there are, why each is out, and when the first comes back:
//! kind [`RateLimit`](ziggurat_core::ErrorKind::RateLimit) (429) if limits or 429s are among the reasons,
//! [`Overloaded`](ziggurat_core::ErrorKind::Overloaded) (503) if all are faults.
//!
//! An error of the deployment names it, and says with [`elsewhere`](ziggurat_core::Error::elsewhere) whether a healthy sibling
//! with room could take the call at once.
//!
//! # Whose fault it was
//!
//! | [`Blame`] | kinds | counts against the deployment |
//! | --- | --- | --- |
//! | the provider's | `Server`, `BadUpstream`, `Overloaded`, `Timeout`, `RateLimit`; a stream that breaks, too | yes |
//! | the credential's | `Authentication`, `Permission`, `Billing`, `QuotaExhausted` from the provider | yes |
//! | missing | `NotFound` from the provider | yes, unless the model's name came from the caller through a pattern |
//! | nobody's | everything a caller does wrong, a prompt that is too long, a refused content, a caller who left, a deadline that passed above | never |
//!
//! By the rule of thumb (LiteLLM's) a 429, a refused credential and a missing model cool a deployment at once, other faults when they are more
//! than half of at least five calls in the last minute; one without siblings only when a thousand calls all failed. With
//! [`allowed_fails`](CoolDown::allowed_fails) or a [policy](CoolDown::policy) failures are counted instead, each at most a
//! cool-down's time after the one before.
//!
//! When a cool-down is over, one call at a time may try the deployment. If content comes it is well again; if it fails it rests
//! twice as long, and so on, up to [`longest`](CoolDown::longest).
//!
//! # Where it belongs
//!
//! It is the innermost service, above what differs from deployment to deployment: [`peek`](crate::peek),
//! [`timeout`](crate::timeout) and the way to the provider are part of each endpoint's service. Retries stand above it, so that
//! every attempt is routed afresh; limits per key stand above those, so that an attempt elsewhere does not count twice.
//! With [`peek`](crate::peek) below, `Ok` means that content has come: the time to it is the latency, and a deployment on probation
//! is well from then on.
//!
//! # Streams and cancellation
//!
//! The route is always ready: which deployment it will be is known only with the call. A clone of its service is made ready and
//! called inside the future. Each attempt registers for its own end before its deployment is asked, in the attempt that was opened
//! above, else in one that is opened here and kept in the future and the reply. There the place is given back, tokens are
//! corrected from estimate to use, and health learns how it went: where the answer ends, breaks or is dropped, exactly once, also
//! when the deployment's service panics.
//!
//! Dropping the future before its deployment was asked gives everything back, the request counted against `rpm` too. Dropping it
//! later, or the reply, cancels the request; tokens that nobody told of are then taken to be those that were held.
//!
//! # Limits
//!
//! `max_parallel` is exact. `rpm` and `tpm` know no windows: a limit can be used at once, and comes back evenly, so that in any
//! time *t* at most limit × (1 + *t* / 60 s) passes. Tokens are held by an estimate of the prompt and the most output that the
//! call asks for.
//!
//! # Options
//!
//! | of all deployments of a group ([`Rules`]) | default |
//! | --- | --- |
//! | [`strategy`](Rules::strategy): [`Shuffle`](Strategy::Shuffle) by weight, [`LeastBusy`](Strategy::LeastBusy), [`Latency`](Strategy::Latency) (peak-EWMA, the better of two drawn), [`Usage`](Strategy::Usage), [`Cost`](Strategy::Cost) | `Shuffle` |
//! | [`pre_call_checks`](Rules::pre_call_checks) | off |
//! | [`tags`](Rules::tags): [`Any`](TagMatch::Any) or [`All`](TagMatch::All) | off |
//! | [`session_affinity`](Rules::session_affinity), by the call's session; [`caller_affinity`](Rules::caller_affinity), by the caller's key: for so long after the last call. 65,536 are remembered | off |
//! | [`cool_down`](Rules::cool_down) | [`CoolDown::new`] |
//!
//! | of cool-downs ([`CoolDown`]) | default |
//! | --- | --- |
//! | [`time`](CoolDown::time), where neither the deployment nor the answer's `Retry-After` says | 5 s |
//! | [`longest`](CoolDown::longest), for `Retry-After` and for failing again | 5 min |
//! | [`allowed_fails`](CoolDown::allowed_fails), [`policy`](CoolDown::policy) by kind | the rule of thumb |
//! | [`off`](CoolDown::off) | on |
//!
//! | of one deployment ([`Settings`], or the methods of [`Endpoint`]) | default |
//! | --- | --- |
//! | `model`: the model that calls carry from here on | the one they came with |
//! | `price` | unknown, which is dearest |
//! | `weight`, `rpm`, `tpm`: its share, by the first that any candidate has | all alike |
//! | `rpm`, `tpm`, `max_parallel`: its limits | none |
//! | `order` | last |
//! | `tags` | none |
//! | `max_input_tokens`, `lacks`: for pre-call checks | unknown |
//! | `region`: for calls that name one. A deployment whose region is not known is in none | unknown |
//! | `cooldown_time`: wins over all others; zero is never | the answer's `Retry-After`, else the group's |
//! | `allowed_fails`, `allowed_fails_policy` | the group's |
//!
//! | of active checks ([`HealthChecks`]) | default |
//! | --- | --- |
//! | `interval` between rounds, and up to a tenth more by chance | 5 min |
//! | `timeout` of a check | 30 s |
//! | `concurrency` | 8 |
//!
//! # More than one instance
//!
//! Whoever [subscribes](Registry::subscribe) to a registry is told of each cool-down that begins here, and can
//! [cool](Registry::cool) deployments by what others tell. [`Registry::states`] is for people and metrics.
//!
//! # Cost
//!
//! A decision allocates nothing, up to 256 deployments in a group, and takes no lock: health is a handful of atomics. Whether a
//! deployment can take the call is looked at when it is about to be chosen, so that by chance and by latency one of a hundred costs
//! little more than one of one; by calls in flight, use or cost each of them is compared. The
//! call's body is looked into only where a deployment has `tpm`, or a pre-call check needs it. A table's entry, once found, is
//! an `Arc`; an attempt registers an `Arc` that exists already.

mod bits;
mod blame;
mod bucket;
mod check;
mod clock;
mod cool_down;
mod endpoint;
mod fleet;
mod future;
mod health;
mod lane;
mod latency;
mod minute;
mod needs;
mod pattern;
mod registry;
mod rules;
mod service;
mod session;
mod table;

pub use blame::Blame;
pub use check::{HealthChecks, Watch};
pub use cool_down::{AllowedFails, CoolDown};
pub use endpoint::{Endpoint, Settings};
pub use future::ResponseFuture;
pub use health::Cause;
pub use needs::Ability;
pub use registry::{Condition, Cooled, HealthState, Registry, Subscription};
pub use rules::{Rules, Strategy, TagMatch};
pub use service::Route;
pub use table::{Captured, Group, Table, TableBuilder};

#[cfg(test)]
mod tests;
