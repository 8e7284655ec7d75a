//! Redis: one connection for everything that gateways share.
//!
//! A [`Redis`] is a handle to be cloned. It connects by itself when it is first used and again whenever it must; a gateway
//! starts without its Redis and outlives it.
//!
//! ```
//! use ziggurat_store::redis::{Redis, Settings};
//! use ziggurat_testkit::redis::PrivateRedis;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = PrivateRedis::start();
//! let redis = Redis::connect(Settings::from_url(&server.url()).unwrap()).unwrap();
//! assert!(redis.ping().await.is_ok());
//!
//! drop(server);
//! assert!(redis.ping().await.is_err());
//! # }
//! ```
//!
//! # What is kept there
//!
//! Every key begins with [`Settings::prefix`] (`ziggurat:`), has a lifetime, and is written by one of three:
//!
//! | by | key | what it is | it lives |
//! | --- | --- | --- | --- |
//! | [`CacheStore`] | `cache:{namespace}:{digest}` | a string: one answer, whole or as the frames of its stream | as long as the cache said, ten years at most |
//! | [`LimitStore`] | `limit:{group}:h:{name}:{key}` | a hash: what one dimension has used, and what is held of it | until all is whole again |
//! | | `limit:{group}:l:{name}:{key}` | a sorted set: the leases of calls in flight, by their end | as the hash; each lease 30 s unless it is renewed |
//! | [`SharedCoolDowns`] | `cooldowns` | a sorted set: what cools, why, and by whose word, by its end | until the last of them ends |
//! | | `cooldowns:told` | a channel, no key | |
//!
//! The braces around a group are written: they are the hash tag of a cluster. The other braces are not. Ends are by the server's clock. Everything
//! may be deleted at any time (`/cache/flushall` deletes the cache's alone): a cache is empty then, limits begin afresh with the calls in
//! flight counted, and gateways keep the cool-downs they know.
//!
//! # When Redis is away
//!
//! | who asks | meanwhile | when it is back |
//! | --- | --- | --- |
//! | [`CacheStore`] | misses; what is answered is not kept | is asked again |
//! | [`LimitStore`] | the layer's [`Outage`](ziggurat_layers::rate_limit::Outage): a local limit, or 503 with `Retry-After` | is told of all calls in flight, and of those that ended |
//! | [`SharedCoolDowns`] | each gateway keeps to what it finds out itself | is told of what began and is not over |
//!
//! A command waits for its answer as long as [`Settings::timeout`] says (250 ms) and no longer. A connection that breaks, a
//! heartbeat (one `PING` a second) without an answer, or three commands in a row without one, and Redis counts as away: every command
//! fails at once, so that a dead Redis costs a call no time. A task behind the handle alone knocks on, after 50 ms at first
//! and once a second at most; the answer to its `PING` brings everything back.
//!
//! A command that failed may have been carried out. None is sent twice.
//!
//! # Secrets
//!
//! Neither the settings nor an error nor a log line shows a password or a user's name: host and port are all they show.

mod cache;
mod connection;
mod cool_downs;
mod error;
mod handle;
mod keeper;
pub mod limits;
mod settings;
#[cfg(test)]
mod tests;

pub use cache::CacheStore;
pub use cool_downs::SharedCoolDowns;
pub use error::{Error, ErrorKind};
pub use handle::Redis;
pub use limits::LimitStore;
pub use settings::{BadSettings, Settings};
