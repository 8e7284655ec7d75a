use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ziggurat_layers::rate_limit::{Acquire, Lease, SharedLimits, Tokens, Unavailable, Verdict};

use super::script::{self, Scripts};
use super::worker::{Books, Worker};
use crate::redis::{ErrorKind, Redis};

/// How long nobody needs to come back to a Redis that is away.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);

/// Keeps the counts of rate limits in Redis. See the [module](super). Clones are one store.
#[derive(Clone)]
pub struct LimitStore(Arc<Worker>);

impl LimitStore {
    /// A store in this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self::with_lease(redis, LEASE)
    }

    /// How long the places of a gateway that died stay taken; 30 seconds unless told, one at least. The leases of calls that live are
    /// renewed three times in it. A store that is in use already is left as it is, and a new one returned.
    #[must_use]
    pub fn lease(self, time: Duration) -> Self {
        Self::with_lease(self.0.books().redis.clone(), time)
    }

    fn with_lease(redis: Redis, lease: Duration) -> Self {
        let lease = lease.max(Duration::from_secs(1));
        Self(Arc::new(Worker::new(Books::new(redis, Scripts::new(), lease))))
    }

    /// Waits until everything that ended has been told, or as long as `time`: for an orderly end of the process.
    pub async fn flush(&self, time: Duration) {
        self.0.start();
        let _ = tokio::time::timeout(time, self.0.books().told()).await;
    }
}

impl SharedLimits for LimitStore {
    fn acquire(&self, lease: Arc<Lease>) -> Acquire {
        self.0.start();
        let books = Arc::clone(self.0.books());
        Box::pin(async move {
            // Dropped before the answer, or without one: it may have been granted, so it is given back.
            let mut asked = Asked { books: &books, lease: Some(lease) };
            let lease = asked.lease.as_ref().ok_or(UNAVAILABLE)?;
            let ask = script::acquire(&books.scripts, books.redis.prefix(), books.lease, lease);
            let answer = match books.redis.script::<Vec<i64>>(&ask).await {
                Ok(answer) => answer,
                Err(error) => {
                    if !matches!(error.kind(), ErrorKind::Slow | ErrorKind::Broken) {
                        // It was not carried out.
                        asked.lease = None;
                    }
                    return Err(UNAVAILABLE);
                }
            };
            let verdict = script::verdict(lease, &answer).ok_or(UNAVAILABLE)?;
            if let Some(lease) = asked.lease.take()
                && matches!(verdict, Verdict::Granted(_))
            {
                books.begin(lease);
            }
            Ok(verdict)
        })
    }

    fn adopt(&self, lease: Arc<Lease>) {
        self.0.books().adopt(lease);
    }

    fn settle(&self, lease: Arc<Lease>, used: Tokens) {
        self.0.books().end(lease, used);
    }
}

const UNAVAILABLE: Unavailable = Unavailable { retry_after: RETRY_AFTER };

/// A lease that was asked for and not yet answered.
struct Asked<'a> {
    books: &'a Books,
    lease: Option<Arc<Lease>>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.books.end(lease, Tokens::default());
        }
    }
}

impl fmt::Debug for LimitStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitStore").field("redis", &self.0.books().redis).finish_non_exhaustive()
    }
}
