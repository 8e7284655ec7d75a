//! What keeps entries outside the process.

use std::time::Duration;

use bytes::Bytes;

use super::Key;
pub use crate::store::{StoreError, StoreFuture};

/// Keeps entries outside the process, for several gateways to share: bytes under keys of 32 bytes, for a time.
///
/// A store may fail and may be slow: the cache waits for it a bounded time and then goes on without it. What it gives back is
/// not trusted to be an entry; anything else is a miss.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// use bytes::Bytes;
/// use ziggurat_layers::cache::{Key, Store, StoreFuture};
///
/// /// Forgets nothing.
/// #[derive(Default)]
/// struct Elephant(Mutex<HashMap<Key, Bytes>>);
///
/// impl Store for Elephant {
///     fn get(&self, key: Key) -> StoreFuture<Option<Bytes>> {
///         let value = self.0.lock().unwrap().get(&key).cloned();
///         Box::pin(async move { Ok(value) })
///     }
///
///     fn put(&self, key: Key, value: Bytes, _: Duration) -> StoreFuture<()> {
///         self.0.lock().unwrap().insert(key, value);
///         Box::pin(async { Ok(()) })
///     }
///
///     fn delete(&self, keys: Vec<Key>) -> StoreFuture<u64> {
///         let mut values = self.0.lock().unwrap();
///         let deleted = keys.iter().filter(|key| values.remove(key).is_some()).count();
///         Box::pin(async move { Ok(deleted as u64) })
///     }
///
///     fn clear(&self) -> StoreFuture<()> {
///         self.0.lock().unwrap().clear();
///         Box::pin(async { Ok(()) })
///     }
///
///     fn ping(&self) -> StoreFuture<()> {
///         Box::pin(async { Ok(()) })
///     }
/// }
///
/// let shared: Arc<dyn Store> = Arc::new(Elephant::default());
/// ```
pub trait Store: Send + Sync + 'static {
    /// The value under a key, unless its time is over.
    fn get(&self, key: Key) -> StoreFuture<Option<Bytes>>;

    /// Keeps a value for so long, in place of what is there.
    fn put(&self, key: Key, value: Bytes, ttl: Duration) -> StoreFuture<()>;

    /// Forgets these, and says how many there were.
    fn delete(&self, keys: Vec<Key>) -> StoreFuture<u64>;

    /// Forgets everything that caches keep here, and nothing else.
    fn clear(&self) -> StoreFuture<()>;

    /// Whether it is there.
    fn ping(&self) -> StoreFuture<()>;
}
