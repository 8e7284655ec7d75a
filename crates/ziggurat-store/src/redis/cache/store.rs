use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use redis::cmd;
use ziggurat_layers::cache::{Key, Store, StoreError, StoreFuture};

use crate::redis::{Error, Redis};

/// Keys that are looked at, or unlinked, by one command: a bound on how long others wait for it.
const BATCH: usize = 512;
/// Ten years. Redis refuses times that do not fit its arithmetic.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Entries of a [cache](ziggurat_layers::cache) in Redis, each under `{prefix}cache:{namespace}:{key}` for its time.
///
/// Redis holds the bytes as they are given, and forgets them by itself when their time is over, or before, where its
/// `maxmemory-policy` says so. An answer of some hundred kilobytes keeps the commands behind it waiting on the same connection:
/// give the cache a [`Redis`] of its own where limits are in Redis too.
#[derive(Clone, Debug)]
pub struct CacheStore {
    redis: Redis,
    /// What all keys of ours begin with.
    prefix: Arc<str>,
}

impl CacheStore {
    /// Entries in this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self::in_namespace(redis, "")
    }

    /// Entries in this Redis that share nothing with those of other namespaces.
    #[must_use]
    pub fn in_namespace(redis: Redis, namespace: &str) -> Self {
        let prefix = format!("{}cache:{namespace}:", redis.prefix()).into();
        Self { redis, prefix }
    }

    fn key(&self, key: Key) -> Vec<u8> {
        [self.prefix.as_bytes(), &key.to_hex()].concat()
    }
}

impl Store for CacheStore {
    fn get(&self, key: Key) -> StoreFuture<Option<Bytes>> {
        let (redis, key) = (self.redis.clone(), self.key(key));
        Box::pin(async move {
            let value: Option<Vec<u8>> = redis.run(cmd("GET").arg(key)).await?;
            Ok(value.map(Bytes::from))
        })
    }

    fn put(&self, key: Key, value: Bytes, ttl: Duration) -> StoreFuture<()> {
        let (redis, key) = (self.redis.clone(), self.key(key));
        Box::pin(async move {
            let ttl = u64::try_from(ttl.min(LONGEST).as_millis()).unwrap_or(u64::MAX);
            if ttl == 0 {
                // No time at all, which Redis would refuse; what was there is replaced by nothing.
                return Ok(redis.run(cmd("UNLINK").arg(key)).await?);
            }
            let mut set = cmd("SET");
            set.arg(key).arg(&value[..]).arg("PX").arg(ttl);
            Ok(redis.run(&set).await?)
        })
    }

    fn delete(&self, keys: Vec<Key>) -> StoreFuture<u64> {
        let this = self.clone();
        Box::pin(async move {
            let mut deleted = 0;
            for batch in keys.chunks(BATCH) {
                let keys: Vec<_> = batch.iter().map(|key| this.key(*key)).collect();
                deleted += this.redis.run::<u64>(cmd("UNLINK").arg(keys)).await?;
            }
            Ok(deleted)
        })
    }

    /// Looks through the whole database, a few hundred keys at a time, and unlinks those that are ours. What is put meanwhile
    /// may stay.
    fn clear(&self) -> StoreFuture<()> {
        let this = self.clone();
        Box::pin(async move {
            for node in this.redis.nodes().await? {
                let mut cursor = 0_u64;
                loop {
                    let mut scan = cmd("SCAN");
                    scan.arg(cursor).arg("MATCH").arg(pattern(&this.prefix));
                    scan.arg("COUNT").arg(BATCH);
                    let (next, keys): (u64, Vec<Vec<u8>>) = this.redis.run_at(&node, &scan).await?;
                    if !keys.is_empty() {
                        this.redis.run::<u64>(cmd("UNLINK").arg(keys)).await?;
                    }
                    if next == 0 {
                        break;
                    }
                    cursor = next;
                }
            }
            Ok(())
        })
    }

    fn ping(&self) -> StoreFuture<()> {
        let redis = self.redis.clone();
        Box::pin(async move { Ok(redis.ping().await.map(drop)?) })
    }
}

/// Whatever begins so: the prefix may hold what means something in a pattern.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('*');
    pattern
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::new("the shared cache failed").with_source(error)
    }
}
