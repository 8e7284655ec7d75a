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
//! # When Redis is away
//!
//! A command waits for its answer as long as [`Settings::timeout`] says (250 ms) and no longer. A connection that breaks, a
//! heartbeat (one `PING` a second) without an answer, or three commands in a row without one, and Redis counts as away: every command
//! fails at once, so that a dead Redis costs a call no time. A task behind the handle alone knocks on, after 50 ms at first
//! and once a second at most; the answer to its `PING` brings everything back. What a command's failure means is its user's to decide:
//! a cache misses, a limit falls back to its local count or refuses, a cool-down stays local.
//!
//! A command that failed may have been carried out. None is sent twice.
//!
//! # Secrets
//!
//! Neither the settings nor an error nor a log line shows a password or a user's name: host and port are all they show.

mod cache;
mod connection;
mod error;
mod handle;
mod keeper;
pub mod limits;
mod settings;
#[cfg(test)]
mod tests;

pub use cache::CacheStore;
pub use error::{Error, ErrorKind};
pub use handle::Redis;
pub use limits::LimitStore;
pub use settings::{BadSettings, Settings};
