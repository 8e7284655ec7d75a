//! The task that tells Redis which calls live and which have ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::ScriptInvocation;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use ziggurat_core::Str;
use ziggurat_layers::rate_limit::{Lease, Tokens};

use super::script::{self, Scripts};
use crate::redis::{ErrorKind, Redis};

/// How many ended calls may wait to be told.
const QUEUE: usize = 65_536;
/// How many leases one script ends or renews: it keeps the server from everything else for about a millisecond.
const BATCH: usize = 128;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The calls in flight, and those that have ended.
pub(super) struct Books {
    pub(super) redis: Redis,
    pub(super) scripts: Scripts,
    pub(super) lease: Duration,
    state: Mutex<State>,
    ended: Notify,
    told: Notify,
}

#[derive(Default)]
struct State {
    live: HashMap<Str, Live>,
    ended: VecDeque<Ended>,
    /// How many of those are being told.
    telling: usize,
}

/// A call in flight, and whether it passed without being asked for.
struct Live {
    lease: Arc<Lease>,
    adopted: bool,
}

struct Ended {
    lease: Arc<Lease>,
    used: Tokens,
    adopted: bool,
}

/// The task, which ends with the last handle on its store.
pub(super) struct Worker {
    books: Arc<Books>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Books {
    pub(super) fn new(redis: Redis, scripts: Scripts, lease: Duration) -> Self {
        Self {
            redis,
            scripts,
            lease,
            state: Mutex::default(),
            ended: Notify::new(),
            told: Notify::new(),
        }
    }

    /// A lease was granted.
    pub(super) fn begin(&self, lease: Arc<Lease>) {
        self.live(Live { lease, adopted: false });
    }

    /// A call passed while Redis was away.
    pub(super) fn adopt(&self, lease: Arc<Lease>) {
        self.live(Live { lease, adopted: true });
    }

    fn live(&self, live: Live) {
        if script::has_lease(&live.lease) {
            self.lock().live.insert(live.lease.id().clone(), live);
        }
    }

    pub(super) fn end(&self, lease: Arc<Lease>, used: Tokens) {
        if !script::has_lease(&lease) {
            return;
        }
        let mut state = self.lock();
        let adopted = state.live.remove(lease.id()).is_some_and(|live| live.adopted);
        let oldest = (state.ended.len() >= QUEUE).then(|| state.ended.pop_front()).flatten();
        state.ended.push_back(Ended { lease, used, adopted });
        drop(state);
        drop(oldest);
        self.ended.notify_one();
    }

    /// Returns when everything that ended was told.
    pub(super) async fn told(&self) {
        loop {
            let told = self.told.notified();
            {
                let state = self.lock();
                if state.ended.is_empty() && state.telling == 0 {
                    return;
                }
            }
            told.await;
        }
    }

    async fn work(self: Arc<Self>) {
        let mut renewals = interval(self.lease / 3);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wait = FIRST_WAIT;
        let mut connection = None;
        loop {
            tokio::select! {
                () = self.ended.notified() => {}
                // A server that is new, or was away, knows nothing of what lives.
                number = self.redis.another(connection) => {
                    connection = Some(number);
                    renewals.reset();
                    self.renew_all().await;
                    continue;
                }
                _ = renewals.tick() => {
                    self.renew_all().await;
                    continue;
                }
            }
            while !self.tell().await {
                // Renewals wait, too: a Redis that is away for the one is away for the other.
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            wait = FIRST_WAIT;
        }
    }

    /// Tells all that have ended so far. False when Redis did not take it; it is told again.
    async fn tell(&self) -> bool {
        loop {
            let batch = self.batch();
            if batch.is_empty() {
                self.told.notify_waiters();
                return true;
            }
            let mut ask = self.scripts.settle.prepare_invoke();
            for Ended { lease, used, adopted } in &batch {
                script::settle(&mut ask, self.redis.prefix(), lease, *used, *adopted);
            }
            let answer = self.redis.script::<i64>(&ask).await;
            let mut state = self.lock();
            state.telling = 0;
            if let Err(error) = answer {
                // What it refuses it would refuse again.
                if error.kind() != ErrorKind::Refused {
                    for ended in batch.into_iter().rev() {
                        state.ended.push_front(ended);
                    }
                    state.ended.truncate(QUEUE);
                    return false;
                }
                drop(state);
                tracing::warn!(%error, "ended calls could not be told to the shared rate limits");
            }
        }
    }

    /// The next that ended, of one group: their keys are in one slot.
    fn batch(&self) -> Vec<Ended> {
        let mut state = self.lock();
        let mut batch: Vec<Ended> = Vec::new();
        while batch.len() < BATCH {
            let Some(Ended { lease, .. }) = state.ended.front() else { break };
            if batch.first().is_some_and(|first| first.lease.group() != lease.group()) {
                break;
            }
            batch.extend(state.ended.pop_front());
        }
        state.telling = batch.len();
        batch
    }

    /// Says of every call in flight that it lives. What is not said now is said the next time.
    async fn renew_all(&self) {
        let mut live: Vec<Arc<Lease>> =
            self.lock().live.values().map(|live| Arc::clone(&live.lease)).collect();
        live.sort_unstable_by(|a, b| a.group().cmp(&b.group()));
        for group in live.chunk_by(|a, b| a.group() == b.group()) {
            for batch in group.chunks(BATCH) {
                let ask = self.renewal(batch);
                if let Err(error) = self.redis.script::<i64>(&ask).await {
                    tracing::debug!(%error, "leases of the shared rate limits were not renewed");
                    if error.kind() != ErrorKind::Refused {
                        return;
                    }
                }
            }
        }
    }

    fn renewal(&self, batch: &[Arc<Lease>]) -> ScriptInvocation<'_> {
        let mut ask = self.scripts.renew.prepare_invoke();
        ask.arg(u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX));
        // One that has ended in the meantime would come to life again.
        let state = self.lock();
        let alive = batch.iter().filter(|lease| state.live.contains_key(lease.id()));
        alive.for_each(|lease| script::renew(&mut ask, self.redis.prefix(), lease));
        ask
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    pub(super) fn new(books: Books) -> Self {
        Self { books: Arc::new(books), task: Mutex::default() }
    }

    pub(super) fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// Sees to it that the task runs. The first call does, as only it is sure to be inside a runtime; and a later one, where that
    /// runtime is gone.
    pub(super) fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            *task = Some(runtime.spawn(Arc::clone(&self.books).work()));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}
