//! Answers, and streams, that are known already.
//!
//! A call that asks for the same as one before it gets the same answer: whole or, where it asks for a stream, in the frames that
//! came, from the first to the terminator. Calls that ask for the same *at one time* are made once, and all of them read the
//! answer while it comes. Equal is what a model would be asked, not how it was written: a conversation in one dialect is answered
//! with what was kept of the same conversation in another, in the asking dialect.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use tower_layer::Layer;
//! use ziggurat_core::CallService;
//! use ziggurat_layers::CacheLayer;
//! use ziggurat_layers::cache::{CacheScope, Caches};
//!
//! fn remembering(models: impl CallService) -> impl CallService {
//!     // Outlives the layer: the next stack gets the same one.
//!     let caches = Arc::new(Caches::new().local(256 << 20));
//!     CacheLayer::new(caches)
//!         .ttl(Duration::from_secs(3600))
//!         .scope(CacheScope::Team)
//!         .layer(models)
//! }
//! ```
//!
//! # Where it belongs
//!
//! Above everything that counts, costs or chooses (rate limits, budgets, fallback, retry, route), so that a hit costs nothing
//! below; below everything that may refuse (access, guards), so that what must not be asked is not answered from memory either.
//!
//! # The key
//!
//! A digest (BLAKE3) over: who shares the answer ([`CacheScope`], the caller's own key by default, and
//! [`partition`](CacheLayer::partition)); the model by the name that was asked for; whether it is a stream; the namespace; the
//! caller's loss policy; the region it must come from; headers that steer the answer ([`steering_headers`](ziggurat_core::Codec::steering_headers):
//! `anthropic-beta`, `openai-beta`); and the conversation in its canonical form ([`Chat::canonical`](ziggurat_core::Chat::canonical)).
//!
//! Not in it, since they do not change the answer: how it was written (dialect, white space, order of members); whether a stream
//! ends with its usage (each caller is shown what it asked for); marks and keys of the provider's prompt cache; the caller's labels
//! (`metadata`), `store`; tags, retries, fallbacks and deadlines. `user` is in it.
//!
//! A caller without a key (a plain proxy in front of which nobody authenticates) is known by the credentials of the request, so
//! that whoever brings other ones, or none, shares nothing.
//!
//! A call's very bytes are looked up before: one that came before in the same bytes is not decoded, however large. Bodies of more
//! than 8 KiB are known by a digest from the first time on; shorter ones, which cost little to decode, by themselves once they
//! were answered from here.
//!
//! Only conversations are cached. What cannot be decoded passes, and gets its error below.
//!
//! # What is kept
//!
//! Complete, successful answers only: a whole body without an error in it; a stream that was read to its terminator, with a
//! reason why it stopped. Not: errors; streams that broke off, or that their readers left; answers larger than
//! [`max_entry`](CacheLayer::max_entry); answers of another model than the one asked for (a fallback's, the caller's own fallbacks
//! included), which would outlive the outage, and reach others who may not use that model. Kept are the provider's bytes. Where something was undone on the way (tools that went by another name) the answer is
//! written anew in the provider's dialect, so that every caller finds their own names.
//!
//! In this process entries are bounded by weight, and evicted by use. A [`Store`] shares them with others; with both, this process
//! stands in front of it. A store that fails or is slow is a miss. Entries go there off the answer's path, at most 64 at once.
//!
//! # What callers are told
//!
//! The head of a hit says [`cached`](ziggurat_core::ReplyHead::cached) and `cache_key` (`x-ziggurat-cached`, `x-ziggurat-cache-key`
//! over http), which deployment and model answered, and what was lost in translation. It says nothing of the request that was once
//! made: not its attempts, headers, name or time at the provider, nor what was left of limits then. The same is true of those who
//! share a flight that somebody else began.
//!
//! In the books [`Outcome::cached`](ziggurat_core::Outcome::cached) goes with a cost of zero and the tokens that the answer once
//! took. It is what to believe: the head of a stream leaves before it is known who stays to pay for it.
//!
//! # What callers may say
//!
//! | in the body's `cache` | in `Cache-Control` | |
//! | --- | --- | --- |
//! | `no-cache` | `no-cache`, `max-age=0` | asks anew, alone; the answer is kept |
//! | `no-store` | `no-store` | may be answered with what is kept; what comes is not, and no flight is shared |
//! | `ttl` | | how long the answer is kept, in seconds |
//! | `s-maxage` | `max-age`, `s-maxage` | how old the answer may be, in seconds |
//! | `namespace` | | entries of other namespaces are not seen |
//! | `use-cache` | | used, or not, whatever the mode |
//!
//! # Options
//!
//! | option | default | |
//! | --- | --- | --- |
//! | [`scope`](CacheLayer::scope) | the caller's key | who shares answers |
//! | [`partition`](CacheLayer::partition) | none | what else keeps them apart |
//! | [`namespace`](CacheLayer::namespace) | none | of calls that name none |
//! | [`ttl`](CacheLayer::ttl) | 600 s | how long an answer is kept |
//! | [`max_entry`](CacheLayer::max_entry) | 1 MiB | the largest answer that is kept |
//! | [`only_when_asked`](CacheLayer::only_when_asked) | off | caches calls with `use-cache` alone |
//! | [`allow`](CacheLayer::allow) | all | what callers may say |
//! | [`single_flight`](CacheLayer::single_flight) | on | whether equal calls at one time are made once |
//! | [`window`](CacheLayer::window) | 1 MiB | how far readers of one flight may be apart once it is not recorded |
//! | [`dialects`](CacheLayer::dialects) | none | those of entries in a shared store, beside the asker's own |
//! | [`ambient`](CacheLayer::ambient) | the machine's clock | when entries were made |
//! | [`Caches::local`] | nothing | bytes to keep in this process |
//! | [`Caches::store`] | none | shared with others |
//! | [`Caches::store_timeout`] | 100 ms | how long a call waits for the store |
//! | [`Caches::local_ttl`] | 60 s | how long a copy in front of a store is used |
//!
//! [`Caches`] are what an operator asks: [`ping`](Caches::ping), [`delete`](Caches::delete), [`clear`](Caches::clear),
//! [`stats`](Caches::stats), which count the flights, too. What is under way when it is deleted is not kept.
//!
//! # Flights
//!
//! The first of several equal calls begins a flight, a call of its own in the name of whoever began it; that call and all others
//! follow. Nobody runs it: whoever of them is polled at the tip reads on upstream, one frame for each poll, and wakes the others, so
//! that back-pressure reaches the provider and no task is left behind. Frames stay until the answer is complete, so that whoever
//! comes late reads it from the start. Once it is too large to be kept nobody joins any more, frames that all have read go, and
//! the fastest waits for the slowest within the window.
//!
//! - It has books of its own: limits and budgets below register there. Its usage, cost and attempts are taken over by the call
//!   that began it; if that one leaves before the end, by one that stays, which is then not
//!   [cached](ziggurat_core::Outcome::cached). All others end as cached, at no cost.
//! - It ends when the last follower leaves, which cancels the request to the provider. What was produced until then is on the
//!   account of the one who left last.
//! - Its failure reaches all of them. What the gateway refused because of *who asked* (a limit, a permission) reaches that caller's
//!   own calls; calls of others are then made for themselves. So are they when another model answered: those who ask with other
//!   keys may not be allowed to use it.
//! - A panic inside passes through whoever was driving, and is an error to the others.
//! - It has the deadline and the terms of the call that began it. Calls on other terms (`no-cache`, another `max-age`, retries,
//!   fallbacks, tags) do not share it, nor do those who have more than twice as long as it has; each keeps its own deadline, which
//!   the front door watches, and leaves when that is over.
//!
//! # Streams and cancellation
//!
//! A hit is replayed as fast as it is read. Dropping a follower, or the reply of a hit, drops nothing of anybody else.
//!
//! # Cost
//!
//! Measured over a service that answers at once (`benches/cache.rs`): off for a call, under 0.1 µs and no allocation. A hit on
//! 2 KiB takes 1 µs and two allocations: a look-up, and a comparison with the bytes that came before; on 10 MB 2.4 ms, all of it
//! for the digest. The first time in these words it takes 7 µs, for then it is decoded. A frame of a replayed stream is a clone
//! of handles: 25 ns. A miss pays for decoding the request where a proxy would not, for the digest of what it says, for the
//! flight, and for the copy that is kept: 17 µs.

mod body;
mod caches;
mod digest;
mod entry;
mod flight;
mod future;
mod key;
mod layer;
mod memory;
mod policy;
mod service;
mod store;
#[cfg(test)]
mod tests;

pub use caches::{CacheStats, Caches};
pub use entry::Entry;
pub use future::ResponseFuture;
pub use key::{Key, NoKey};
pub use layer::CacheLayer;
pub use policy::{CacheControl, CacheScope};
pub use service::Cache;
pub use store::{Store, StoreError, StoreFuture};
