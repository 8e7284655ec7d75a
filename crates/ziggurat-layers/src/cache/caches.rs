//! What is kept, where, and what is on its way.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::DefaultHashBuilder;
use ziggurat_core::{Ambient, Dialect};

use super::digest::Wire;
use super::flight::Flight;
use super::memory::{Alias, Held, Memory};
use super::{Entry, Key, Store, StoreError};

/// How many answers are on their way to a store at once; more are not sent there.
const MOST_PUTS: usize = 64;
/// How long one may take on its way. Nobody waits for it.
const PUT_TIME: Duration = Duration::from_secs(5);

/// The state of caches: what is kept in this process, the store that is shared with others, and the flights under way. It
/// outlives layers: a stack that is built anew from another configuration gets the same `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use ziggurat_layers::CacheLayer;
/// use ziggurat_layers::cache::Caches;
///
/// // 256 MiB in this process.
/// let caches = Arc::new(Caches::new().local(256 << 20));
/// let layer = CacheLayer::new(caches.clone());
/// assert_eq!(caches.stats().entries, 0);
/// ```
pub struct Caches {
    local: Option<Memory>,
    store: Option<Arc<dyn Store>>,
    store_timeout: Duration,
    local_ttl: Duration,
    flights: Mutex<Flights>,
    puts: AtomicUsize,
    /// Grows with every flush, so that what was asked before is not kept after.
    flushes: AtomicU64,
    counts: Counts,
}

/// Those under way, by the keys of their answers.
pub(super) type Flights = HashMap<Key, Arc<Flight>, DefaultHashBuilder>;

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    shared: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
    store_failures: AtomicU64,
}

/// What caches did so far, and what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Calls that were answered with what was kept.
    pub hits: u64,
    /// Calls that shared the flight of another.
    pub shared: u64,
    /// Calls that had to be made.
    pub misses: u64,
    /// Answers that were kept.
    pub stored: u64,
    /// What a store was asked and did not do, or not in time.
    pub store_failures: u64,
    /// What is in this process: answers and other names for them.
    pub entries: u64,
    /// What they weigh, in bytes.
    pub bytes: u64,
    /// Calls under way that others may share.
    pub flights: u64,
}

impl Default for Caches {
    fn default() -> Self {
        Self::new()
    }
}

impl Caches {
    /// Keeps nothing, yet equal calls at one time share one flight.
    #[must_use]
    pub fn new() -> Self {
        Self {
            local: None,
            store: None,
            store_timeout: Duration::from_millis(100),
            local_ttl: Duration::from_secs(60),
            flights: Mutex::new(Flights::default()),
            puts: AtomicUsize::new(0),
            flushes: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    /// Keeps up to so many bytes in this process: in up to 32 parts of 16 MiB or more, none of which keeps an answer that is larger
    /// than itself.
    #[must_use]
    pub fn local(mut self, bytes: u64) -> Self {
        self.local = Some(Memory::new(bytes));
        self
    }

    /// Shares a store with others. What is kept in this process stands in front of it.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// How long a call waits for the store before it goes on without it: 100 ms unless set.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// How long a copy in front of a store is used, at most: 60 s unless set. What others delete from the store is seen here
    /// after that time.
    #[must_use]
    pub fn local_ttl(mut self, ttl: Duration) -> Self {
        self.local_ttl = ttl;
        self
    }

    /// Whether the store is there. Without one, this process is.
    ///
    /// # Errors
    ///
    /// When it does not answer, or not in time.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.store {
            Some(store) => self.in_time(store.ping()).await,
            None => Ok(()),
        }
    }

    /// Forgets these answers, also those on their way, and says how many were there.
    ///
    /// # Errors
    ///
    /// When the store fails; in this process they are forgotten all the same.
    pub async fn delete(&self, keys: &[Key]) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for key in keys {
            let flight = self.flights().remove(key);
            if let Some(flight) = flight {
                flight.forget();
            }
            if let Some(local) = &self.local {
                deleted += u64::from(local.remove(key));
            }
        }
        if let Some(store) = &self.store {
            deleted = deleted.max(self.in_time(store.delete(keys.to_vec())).await?);
        }
        Ok(deleted)
    }

    /// Forgets everything, also what is on its way.
    ///
    /// # Errors
    ///
    /// When the store fails; in this process all is forgotten all the same.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        // Those who come from now on do not join what was asked before.
        let flights = std::mem::take(&mut *self.flights());
        drop(flights);
        if let Some(local) = &self.local {
            local.clear();
        }
        match &self.store {
            Some(store) => self.in_time(store.clear()).await,
            None => Ok(()),
        }
    }

    /// What was done so far, and what is held.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&self.counts.hits),
            shared: read(&self.counts.shared),
            misses: read(&self.counts.misses),
            stored: read(&self.counts.stored),
            store_failures: read(&self.counts.store_failures),
            entries: self.local.as_ref().map_or(0, Memory::count),
            bytes: self.local.as_ref().map_or(0, Memory::weight),
            flights: self.flights().len() as u64,
        }
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let result = match tokio::time::timeout(self.store_timeout, asked).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new("the store did not answer in time")),
        };
        if result.is_err() {
            self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    // === for the layer ===

    pub(super) fn has_store(&self) -> bool {
        self.store.is_some()
    }

    pub(super) fn has_memory(&self) -> bool {
        self.local.is_some()
    }

    /// Whether there is a place to keep answers in.
    pub(super) fn keep(&self) -> bool {
        self.local.is_some() || self.store.is_some()
    }

    pub(super) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    pub(super) fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hit(&self) {
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn shared(&self) {
        self.counts.shared.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// What these bytes ask for, if they came before.
    pub(super) fn alias(&self, wire: &Wire) -> Option<Alias> {
        self.local.as_ref()?.alias(wire)
    }

    pub(super) fn learn(&self, wire: Wire, alias: Alias) {
        if let Some(local) = &self.local {
            local.learn(wire, alias);
        }
    }

    /// What is kept in this process.
    pub(super) fn get(&self, key: Key, max_age: Option<Duration>) -> Option<Arc<Held>> {
        self.local.as_ref()?.get(&key, max_age)
    }

    /// What the store has. It is kept here, too, from now on.
    pub(super) async fn fetch(
        &self,
        key: Key,
        dialects: &[Dialect],
        ambient: &dyn Ambient,
    ) -> Option<Arc<Held>> {
        let store = self.store.as_ref()?;
        let flushes = self.flushes();
        let bytes = self.in_time(store.get(key)).await.ok()??;
        let entry = Entry::from_bytes(bytes, dialects)?;
        let held = Arc::new(Held::new(entry, ambient.unix_time(), self.local_ttl));
        if !held.is_fresh(None) {
            return None;
        }
        if let Some(local) = self.local.as_ref().filter(|_| flushes == self.flushes()) {
            local.put(key, Arc::clone(&held));
        }
        Some(held)
    }

    /// Keeps an answer. The store gets it off the answer's path.
    pub(super) fn put(self: &Arc<Self>, key: Key, entry: Entry) {
        let most = if self.store.is_some() { self.local_ttl } else { Duration::MAX };
        let made = entry.created();
        let held = Arc::new(Held::new(entry, made, most));
        self.counts.stored.fetch_add(1, Ordering::Relaxed);
        if let Some(local) = &self.local {
            local.put(key, Arc::clone(&held));
        }
        let Some(store) = &self.store else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.puts.fetch_add(1, Ordering::Relaxed) >= MOST_PUTS {
            self.puts.fetch_sub(1, Ordering::Relaxed);
            self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let putting = Putting(Arc::clone(self));
        let store = Arc::clone(store);
        drop(runtime.spawn(async move {
            let put = store.put(key, held.entry.to_bytes(), held.entry.ttl());
            if !matches!(tokio::time::timeout(PUT_TIME, put).await, Ok(Ok(()))) {
                putting.0.counts.store_failures.fetch_add(1, Ordering::Relaxed);
            }
            drop(putting);
        }));
    }
}

/// One answer on its way to the store.
struct Putting(Arc<Caches>);

impl Drop for Putting {
    fn drop(&mut self) {
        self.0.puts.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caches").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
