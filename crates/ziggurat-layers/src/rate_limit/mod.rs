//! Limits requests, tokens and parallel calls: for each key, user, team, organisation, model, deployment, provider, tag, or by
//! whatever else can be computed from a [`Call`](ziggurat_core::Call).
//!
//! ```
//! use tower_layer::Layer;
//! use ziggurat_core::CallService;
//! use ziggurat_layers::rate_limit::{By, LimitRules, Limiter, Limits, RateLimitLayer};
//!
//! fn limited(provider: impl CallService) -> impl CallService {
//!     let rules = LimitRules::new()
//!         .each(By::Key, Limits::new().rpm(60).tpm(100_000).max_parallel(10))
//!         .one(By::Model, "gpt-4.1", Limits::new().tpm(2_000_000));
//!     RateLimitLayer::new(Limiter::new(), rules).layer(provider)
//! }
//! ```
//!
//! # What is counted
//!
//! A call counts in all the dimensions that its [rules](Rules) name, or, when one of them refuses it, in none: a call that is
//! refused has used nothing, nowhere, and nobody sees half of a decision.
//!
//! - **Requests** count when they pass.
//! - **Tokens** are reserved by an [estimate](Estimator) when the call passes: its input, and the output that the caller allows (or
//!   a [guess](RateLimitLayer::unbounded_output)). The reservation stands for as long as the call is in flight, so that calls
//!   together never pass what they could not pass one by one. At the end what was used is booked in its place. More than was
//!   reserved is a debt, which later calls wait for. What nobody told stays as it was reserved; a call that was given up before
//!   anything was sent, or that was answered with an error, has used no tokens.
//! - **Parallel calls** hold a place from the call to the end of its answer, a stream's last frame.
//!
//! There are no windows that begin anew and let twice the limit pass: what was used comes back bit by bit (the generic cell rate
//! algorithm, by [`governor`]). In any span of time at most the [burst](Rate::burst) passes, and what comes back in that span;
//! `rpm(60)` lets 60 pass at once after a rest, and then one a second. The arithmetic rounds in the limit's favour, to whole
//! nanoseconds. The *decisions* are governor's; the state is kept here, for what governor has no words for: several limits
//! decided together, tokens given back, and debts.
//!
//! # Refusals
//!
//! A call that does not fit fails with an error of kind [`RateLimit`](ziggurat_core::ErrorKind::RateLimit), a 429, that names the
//! dimension, the id in it (never a secret), the limit, and when to come back: the longest wait of all the limits that refuse. A
//! place is free when a call ends, which nobody knows: there it says one second. A call that is larger than a limit ever lets pass
//! is told so, and not when to come back.
//!
//! What is left of the tightest limit of each kind is in [`ReplyHead::limits`](ziggurat_core::ReplyHead::limits) of every answer
//! and in [`Error::limits`](ziggurat_core::Error::limits) of every error, from where a front door writes `x-ratelimit-*`.
//!
//! # Where it belongs
//!
//! Below the cache, whose hits cost nothing; above fallback and retry, so that a call counts once however often it is tried. Around one
//! deployment or provider it works the same: it then listens to the attempt and not to the call, and
//! [`LimitRules::fixed`] names what is limited.
//!
//! # Streams and cancellation
//!
//! A reply holds its place and its reservation until it is read to its end, fails, or is dropped; the call's settlement says so, once.
//! Dropping the future gives back at once: everything, when the inner service was never asked; the place alone, when it was, for
//! its provider may bill. A panic inside is a cancellation. A call that has no settlement yet is given one here.
//!
//! # Shared limits
//!
//! With [`RateLimitLayer::shared`] the counts live in a store that several gateways share: one round trip decides a call in all its
//! dimensions, and takes all or nothing. Each gateway keeps its own books, too, of the calls that it let pass: while the store
//! does not answer they decide, or nothing passes ([`RateLimitLayer::outage`]). The bound is then N gateways × the share that each
//! keeps. A call that passed during an outage and is still in flight afterwards counts in the store from then on.
//!
//! # Options
//!
//! | of the layer | default | what it does |
//! | --- | --- | --- |
//! | [`estimator`](RateLimitLayer::estimator) | [`Characters`] | what a call may take |
//! | [`unbounded_output`](RateLimitLayer::unbounded_output) | 256 tokens | what is reserved for the output of a call that sets no bound; never so much that the call would not fit for it |
//! | [`shared`](RateLimitLayer::shared) | none | counts that several gateways share |
//! | [`outage`](RateLimitLayer::outage) | `Local(100)` | what happens while these do not answer |
//! | [`group`](RateLimitLayer::group) | one for all | who shares them with whom |
//! | [`ambient`](RateLimitLayer::ambient) | the system's | names leases of shared limits |
//!
//! | of the limiter | default | what it does |
//! | --- | --- | --- |
//! | [`with_max_keys`](Limiter::with_max_keys) | 100,000 | how many keys are known at once |
//!
//! | of the rules | default | what it does |
//! | --- | --- | --- |
//! | [`each`](LimitRules::each) | no limits | what each one has in a dimension |
//! | [`one`](LimitRules::one) | as each | what one of them has |
//! | [`lookup`](LimitRules::lookup) | as one, or each | what a function says that one has |
//! | [`by`](LimitRules::by), [`fixed`](LimitRules::fixed) | none | dimensions of one's own |
//!
//! | of a limit | default | what it does |
//! | --- | --- | --- |
//! | [`rpm`](Limits::rpm), [`rpd`](Limits::rpd), [`tpm`](Limits::tpm), [`itpm`](Limits::itpm), [`otpm`](Limits::otpm), [`tpd`](Limits::tpd), [`rate`](Limits::rate) | no limit | requests, tokens, input and output tokens in a minute, a day or any other time |
//! | [`max_parallel`](Limits::max_parallel) | no limit | calls in flight |
//! | [`burst`](Rate::burst) | the limit | what passes at once after a rest |
//!
//! # Cost
//!
//! No allocation for a call of up to four dimensions whose keys are known; a short lock for each dimension when it passes and when it
//! ends. The estimate of a large body is one search for quotes. With shared limits: a few allocations and the round trip.

mod estimate;
mod future;
mod gcra;
mod layer;
mod ledger;
mod limiter;
mod limits;
mod refusal;
mod rules;
mod service;
mod shared;
mod table;
#[cfg(test)]
mod tests;

pub use estimate::{Characters, Estimate, Estimator, Tokens, UnboundedOutput};
pub use future::ResponseFuture;
pub use layer::RateLimitLayer;
pub use limiter::Limiter;
pub use limits::{Limits, Rate};
pub use rules::{By, Dimension, Dimensions, LimitRules, Rules};
pub use service::RateLimit;
pub use shared::{Acquire, Lease, LeaseDimension, Outage, SharedLimits, Unavailable, Verdict};
