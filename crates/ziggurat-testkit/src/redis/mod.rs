//! A Redis of one's own, for tests of what gateways share.
//!
//! [`PrivateRedis`] starts Debian's `redis-server` on a free loopback port, in a directory of its own, without persistence. It
//! can be killed, started again on the same port, and stopped in its tracks as a server that hangs is. It ends with its owner,
//! and soon after when the owner is killed.
//!
//! ```
//! use serde_json::json;
//! use ziggurat_testkit::redis::PrivateRedis;
//!
//! let mut redis = PrivateRedis::start();
//! println!("point a client at {}", redis.url());
//! redis.command(&["SET", "greeting", "hello"]);
//! redis.kill(); // as `kill -9`: whoever is connected sees a reset
//! redis.restart(); // on the same port, empty
//! assert_eq!(redis.command(&["GET", "greeting"]), json!(null));
//! ```
//!
//! Everything here blocks for the few milliseconds it takes, and works the same under paused time: a server's time is real.

#[expect(clippy::panic, reason = "a test whose server is missing says so by failing")]
mod process;
#[cfg(test)]
mod tests;
mod wire;

pub use process::{AUTHORITY, PrivateRedis};
