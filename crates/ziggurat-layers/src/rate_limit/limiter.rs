//! What is counted, and the calls in flight.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use slab::Slab;
use ziggurat_core::{Error, Instant, Outcome, RateLimits, Settle, Ticket};

use super::Dimensions;
use super::estimate::Tokens;
use super::ledger::{self, Share, Shares};
use super::limits::nanos;
use super::shared::{Lease, SharedLimits};
use super::table::Table;

const MAX_KEYS: usize = 100_000;
const HOLDS: usize = 8;
/// How many calls in flight each of these takes before it grows.
const FEW_HOLDS: usize = 16;

/// What was counted so far, by dimension and key. It is handed to the layer, and to the next one after a reload: limits may
/// change, what was used stays. Cloning gives another handle on the same counts.
///
/// ```
/// use ziggurat_layers::rate_limit::{By, LimitRules, Limiter, Limits, RateLimitLayer};
///
/// let limiter = Limiter::new();
/// let before = RateLimitLayer::new(limiter.clone(), LimitRules::new().each(By::Key, Limits::new().rpm(60)));
/// let after = RateLimitLayer::new(limiter, LimitRules::new().each(By::Key, Limits::new().rpm(90)));
/// # drop((before, after));
/// ```
#[derive(Clone)]
pub struct Limiter(Arc<State>);

struct State {
    begun: Instant,
    accounts: Table,
    /// Each on cache lines of its own, since each is the business of other threads.
    holds: [CachePadded<Mutex<Slab<Hold>>>; HOLDS],
}

thread_local! {
    /// Where calls that begin on this thread are held.
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % HOLDS
    };
}

/// What a call in flight has taken.
struct Hold {
    shares: Shares,
    tokens: Tokens,
    /// Whether it may have reached a provider.
    sent: bool,
    shared: Option<(Arc<dyn SharedLimits>, Arc<Lease>)>,
}

impl Limiter {
    /// A limiter that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_keys(MAX_KEYS)
    }

    /// A limiter that knows so many keys at once; 100,000 unless told. Keys whose limits are whole again are forgotten without a
    /// loss. When there are more than that, those that are nearest to it are forgotten early; never one with a call in flight.
    #[must_use]
    pub fn with_max_keys(keys: usize) -> Self {
        Self(Arc::new(State {
            begun: Instant::now(),
            accounts: Table::new(keys),
            holds: std::array::from_fn(|_| Mutex::new(Slab::with_capacity(FEW_HOLDS)).into()),
        }))
    }

    /// How many keys are known.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.0.accounts.len()
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.holds.iter().map(|holds| lock(holds).len()).sum()
    }

    /// The accounts of these dimensions.
    pub(super) fn shares(&self, dimensions: Dimensions<'_>) -> Shares {
        let mut shares = Shares::new();
        for dimension in dimensions.0 {
            let account = self.0.accounts.account(&dimension, || self.now());
            if !shares.iter().any(|share| Arc::ptr_eq(&share.account, &account)) {
                shares.push(Share { account, limits: dimension.limits });
            }
        }
        shares
    }

    /// Takes all or nothing.
    pub(super) fn take(
        &self,
        shares: Shares,
        tokens: Tokens,
    ) -> Result<(Ticket, RateLimits), Error> {
        let left = ledger::take(&shares, self.now(), tokens)?;
        Ok((self.hold(Hold { shares, tokens, sent: true, shared: None }), left))
    }

    /// Books what the shared limits have granted.
    pub(super) fn book(&self, shared: Arc<dyn SharedLimits>, lease: Arc<Lease>) -> Ticket {
        let now = self.now();
        let (shares, tokens) = (lease.shares().clone(), lease.tokens());
        for share in &shares {
            share.account.book(&share.limits, now, tokens);
        }
        self.hold(Hold { shares, tokens, sent: true, shared: Some((shared, lease)) })
    }

    /// Lets the shared limits know of the call's end, too.
    pub(super) fn share(&self, ticket: Ticket, shared: Arc<dyn SharedLimits>, lease: Arc<Lease>) {
        if let Some((holds, at)) = self.place(ticket)
            && let Some(hold) = lock(holds).get_mut(at)
        {
            hold.shared = Some((shared, lease));
        }
    }

    /// Says that a call was given up before anything of it was sent.
    pub(super) fn unsent(&self, ticket: Ticket) {
        if let Some((holds, at)) = self.place(ticket)
            && let Some(hold) = lock(holds).get_mut(at)
        {
            hold.sent = false;
        }
    }

    /// Gives everything back: the call was over before it began.
    pub(super) fn release(&self, ticket: Ticket) {
        if let Some(hold) = self.remove(ticket) {
            hold.end(self.now(), Tokens::default());
        }
    }

    pub(super) fn settles(&self) -> Arc<dyn Settle> {
        Arc::clone(&self.0) as Arc<dyn Settle>
    }

    fn now(&self) -> u64 {
        self.0.now()
    }

    fn hold(&self, hold: Hold) -> Ticket {
        let shard = SHARD.with(|shard| *shard);
        let at = lock(&self.0.holds[shard]).insert(hold);
        Ticket(shard as u64, at as u64)
    }

    fn place(&self, ticket: Ticket) -> Option<(&Mutex<Slab<Hold>>, usize)> {
        self.0.place(ticket)
    }

    fn remove(&self, ticket: Ticket) -> Option<Hold> {
        self.0.remove(ticket)
    }
}

impl State {
    fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.begun))
    }

    fn place(&self, Ticket(shard, at): Ticket) -> Option<(&Mutex<Slab<Hold>>, usize)> {
        Some((self.holds.get(usize::try_from(shard).ok()?)?, usize::try_from(at).ok()?))
    }

    fn remove(&self, ticket: Ticket) -> Option<Hold> {
        let (holds, at) = self.place(ticket)?;
        lock(holds).try_remove(at)
    }
}

impl Settle for State {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        let Some(hold) = self.remove(ticket) else { return };
        // Where attempts are made, one that was sent has a deployment.
        let attempts = &outcome.attempts;
        let sent = hold.sent
            && (attempts.is_empty() || attempts.iter().any(|attempt| attempt.deployment.is_some()));
        let used = hold.tokens.used(outcome, sent);
        hold.end(self.at(outcome.ended), used);
    }
}

impl Hold {
    fn end(self, now: u64, used: Tokens) {
        for share in &self.shares {
            share.account.settle(&share.limits, now, self.tokens, used);
        }
        if let Some((shared, lease)) = self.shared {
            shared.settle(lease, used);
        }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("keys", &self.keys())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

fn lock(holds: &Mutex<Slab<Hold>>) -> MutexGuard<'_, Slab<Hold>> {
    // Nobody else's code runs under the lock, so that a poisoned state is still a whole one.
    holds.lock().unwrap_or_else(PoisonError::into_inner)
}
