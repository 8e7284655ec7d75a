//! A cache that gateways share.

mod store;
#[cfg(test)]
mod tests;

pub use store::CacheStore;
