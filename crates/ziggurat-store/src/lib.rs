//! The stores behind the layers of the Ziggurat LLM gateway: what several gateways share.
//!
//! The layers keep their books in memory, and each has a trait, or a subscription, for books elsewhere. Here they are in Redis:
//!
#![cfg_attr(feature = "redis", doc = "```")]
#![cfg_attr(not(feature = "redis"), doc = "```ignore")]
//! use std::sync::Arc;
//! use ziggurat_layers::cache::Caches;
//! use ziggurat_layers::rate_limit::{By, LimitRules, Limiter, Limits};
//! use ziggurat_layers::route::Registry;
//! use ziggurat_layers::{CacheLayer, RateLimitLayer};
//! use ziggurat_store::redis::{CacheStore, LimitStore, Redis, Settings, SharedCoolDowns};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let redis = Redis::connect(Settings::from_url("redis://127.0.0.1:6379").unwrap()).unwrap();
//! // What one gateway was answered, another answers.
//! let store = Arc::new(CacheStore::new(redis.clone()));
//! let cache = CacheLayer::new(Arc::new(Caches::new().store(store)));
//! // What callers use of one gateway counts at another.
//! let rules = LimitRules::new().each(By::Key, Limits::new().rpm(60));
//! let limits = RateLimitLayer::new(Limiter::new(), rules).shared(Arc::new(LimitStore::new(redis.clone())));
//! // A deployment that is ill for one gateway is left alone by another, as long as this is held.
//! let registry = Registry::new();
//! let sharing = SharedCoolDowns::start(&redis, &registry);
//! # drop((cache, limits, sharing));
//! # }
//! ```
//!
//! What the keys are, how long they live and what happens while Redis is away, the module `redis` says; what a file of SQLite holds,
//! the module `sqlite`.
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `redis` | on | the stores in Redis |
//! | `sqlite` | off | conversations in SQLite: a file, or memory |
//! | `tls` | off | `rediss://`, through rustls |
//! | `cluster` | off | a Redis Cluster |
//!
//! Not here: Redis Sentinel, and the gateway's own records (keys, spend).

#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
