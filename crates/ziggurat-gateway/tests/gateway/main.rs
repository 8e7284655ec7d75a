//! The gateway over real sockets, with a fake provider of each kind behind it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by failing")]

mod admission;
mod binary;
mod caching;
mod calls;
mod client;
mod clouds;
mod completions;
mod conversations;
mod departures;
mod embeddings;
mod fallbacks;
mod instances;
mod keys;
mod limits;
mod media;
mod prices;
mod providers;
mod ranking;
mod rate_limits;
mod reload;
mod requests;
mod responses;
mod retries;
mod routing;
mod shared;
mod shutdown;
mod surfaces;
mod upstreams;
mod world;
