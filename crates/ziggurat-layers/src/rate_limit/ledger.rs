//! What one key has used, and what its calls in flight hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use ziggurat_core::{Error, LimitKind, LimitState, RateLimits};

use super::estimate::Tokens;
use super::gcra::{self, Due, Verdict};
use super::limits::Rate;
use super::refusal::Refusal;
use super::{Dimension, Limits};

/// The account of one key in one dimension.
#[derive(Debug)]
pub(super) struct Account {
    dimension: Box<str>,
    of: Box<str>,
    key: Box<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls in flight.
    parallel: u64,
    /// What they have reserved and not yet settled.
    held: Tokens,
    buckets: SmallVec<[Bucket; 3]>,
}

/// What was used of one rate. Buckets are never taken away, so that a limit that is changed, or comes back, finds its own.
#[derive(Debug)]
struct Bucket {
    kind: LimitKind,
    period: u64,
    due: Due,
}

/// The account of one dimension of a call, and what is allowed there.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) account: Arc<Account>,
    pub(super) limits: Limits,
}

/// Those of all dimensions of a call, no account twice.
pub(super) type Shares = SmallVec<[Share; 4]>;

impl Account {
    pub(super) fn new(dimension: &Dimension<'_>) -> Self {
        let (key, of) = dimension.key.parts();
        Self {
            dimension: dimension.name.as_ref().into(),
            of: of.into(),
            key: key.into(),
            state: Mutex::default(),
        }
    }

    /// The dimension, the key, and of what the key is one.
    pub(super) fn names(&self) -> (&str, &str, &str) {
        (&self.dimension, &self.key, &self.of)
    }

    pub(super) fn is(&self, dimension: &Dimension<'_>) -> bool {
        // Comparing nothing to nothing costs more than comparing texts: there is no address behind an empty box, and a processor
        // that is to load from it, if only no bytes, takes the long way (a third of the layer's time).
        let same = |a: &str, b: &str| a.len() == b.len() && (a.is_empty() || a == b);
        let (key, of) = dimension.key.parts();
        same(&self.of, of) && same(&self.key, key) && same(&self.dimension, &dimension.name)
    }

    /// When all its buckets are full again and nothing is held; `None` while something is.
    pub(super) fn idle_from(&self) -> Option<u64> {
        let state = self.lock();
        let idle = state.parallel == 0 && state.held == Tokens::default();
        idle.then(|| state.buckets.iter().map(|bucket| bucket.due).max().unwrap_or(0))
    }

    /// Gives a hold back, and books what was used of it in truth.
    pub(super) fn settle(&self, limits: &Limits, now: u64, held: Tokens, used: Tokens) {
        let mut state = self.lock();
        state.parallel = state.parallel.saturating_sub(1);
        state.held = state.held.less(held);
        state.spend(limits, now, used);
    }

    /// Takes what somebody else has decided: a call is in flight, whatever the limits say here.
    pub(super) fn book(&self, limits: &Limits, now: u64, held: Tokens) {
        self.lock().admit(limits, now, held);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody else's code runs under the lock, so that a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bucket(&mut self, rate: &Rate) -> &mut Bucket {
        let (kind, period) = (rate.kind(), rate.nanos());
        let known = self.buckets.iter().position(|b| b.kind == kind && b.period == period);
        let at = known.unwrap_or_else(|| {
            self.buckets.push(Bucket { kind, period, due: 0 });
            self.buckets.len() - 1
        });
        &mut self.buckets[at]
    }

    fn admit(&mut self, limits: &Limits, now: u64, tokens: Tokens) {
        for rate in limits.rates().filter(|rate| rate.kind() == LimitKind::Requests) {
            let bucket = self.bucket(rate);
            bucket.due = gcra::take(rate, bucket.due, now, 1);
        }
        self.parallel = self.parallel.saturating_add(1);
        self.held = self.held.plus(tokens);
    }

    fn spend(&mut self, limits: &Limits, now: u64, used: Tokens) {
        for rate in limits.rates() {
            if let Some(amount) = used.of(rate.kind()).filter(|amount| *amount > 0) {
                let bucket = self.bucket(rate);
                bucket.due = gcra::take(rate, bucket.due, now, amount);
            }
        }
    }
}

/// Takes a request, a place and the tokens in all accounts, or in none: nobody sees half of it, and a call that is refused has
/// taken nothing anywhere.
pub(super) fn take(shares: &[Share], now: u64, tokens: Tokens) -> Result<RateLimits, Error> {
    // All calls lock in one order, that of the addresses.
    let mut order: SmallVec<[usize; 4]> = (0..shares.len()).collect();
    order.sort_unstable_by_key(|at| Arc::as_ptr(&shares[*at].account).addr());
    let mut locked: SmallVec<[(&Share, MutexGuard<'_, State>); 4]> =
        order.into_iter().map(|at| (&shares[at], shares[at].account.lock())).collect();

    let mut refusal = None;
    for (share, state) in &mut locked {
        Refusal::worst(&mut refusal, refuse(share, state, now, tokens));
    }
    let mut left = RateLimits::default();
    for (share, state) in &mut locked {
        if refusal.is_none() {
            state.admit(&share.limits, now, tokens);
        }
        tell(&share.limits, state, now, &mut left);
    }
    drop(locked);
    match refusal {
        None => Ok(left),
        Some(refusal) => Err(refusal.with_limits(left).into_error()),
    }
}

/// Refuses a call that is larger than a limit, whatever was used of it.
pub(super) fn too_large(shares: &[Share], tokens: Tokens) -> Option<Refusal> {
    let mut refusal = None;
    for Share { account, limits } in shares {
        for rate in limits.rates() {
            let amount = tokens.of(rate.kind()).unwrap_or(1);
            if !gcra::can_fit(rate, amount) {
                Refusal::worst(&mut refusal, Some(Refusal::rate(account, rate, amount, None)));
            }
        }
        if limits.most_parallel() == Some(0) {
            Refusal::worst(&mut refusal, Some(Refusal::parallel(account, 0)));
        }
    }
    refusal
}

/// The limit of this account that refuses the call for longest.
fn refuse(share: &Share, state: &mut State, now: u64, tokens: Tokens) -> Option<Refusal> {
    let Share { account, limits } = share;
    let mut refusal = None;
    for rate in limits.rates() {
        let held = state.held.of(rate.kind()).unwrap_or(0);
        let amount = tokens.of(rate.kind()).unwrap_or(1);
        let due = state.bucket(rate).due;
        let wait = match gcra::test(rate, due, now, held, amount) {
            Verdict::Pass => continue,
            Verdict::Wait(wait) => Some(wait),
            Verdict::Never => None,
        };
        Refusal::worst(&mut refusal, Some(Refusal::rate(account, rate, amount, wait)));
    }
    if let Some(most) = limits.most_parallel().filter(|most| state.parallel >= *most) {
        Refusal::worst(&mut refusal, Some(Refusal::parallel(account, most)));
    }
    refusal
}

fn tell(limits: &Limits, state: &mut State, now: u64, left: &mut RateLimits) {
    for rate in limits.rates() {
        let held = state.held.of(rate.kind()).unwrap_or(0);
        left.tighten(rate.kind(), gcra::left(rate, state.bucket(rate).due, now, held));
    }
    if let Some(most) = limits.most_parallel() {
        let free = most.saturating_sub(state.parallel);
        left.tighten(LimitKind::Parallel, LimitState::new(most, free, Duration::ZERO));
    }
}
