//! Answers, and streams, that are known already.

mod key;
mod store;

pub use key::{Key, NoKey};
pub use store::{Store, StoreError, StoreFuture};
