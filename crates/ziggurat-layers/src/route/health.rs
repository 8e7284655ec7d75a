//! What is known of one deployment: the state that survives a reload.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ziggurat_core::Str;

use super::bucket::Bucket;
use super::latency::Latency;
use super::minute::Minute;
use super::registry::{Cooled, Shared};

/// What is known of one deployment. Atomics only: deciding and settling take no lock.
pub(super) struct Health {
    pub(super) id: Str,
    /// Its number in the registry, for sessions.
    pub(super) number: u16,
    shared: Arc<Shared>,
    /// 0 when it is well. Else twice the time when its cool-down ends, plus 1 while a probe is out.
    cooling: AtomicU64,
    cause: AtomicU8,
    /// How many probes have failed one after the other.
    strikes: AtomicU32,
    /// Until when the last active check speaks against it.
    ill_until: AtomicU64,
    in_flight: AtomicU32,
    /// Failures that count towards `allowed_fails`: when the last was (40 bits of milliseconds), and how many.
    fails: AtomicU64,
    pub(super) requests: Bucket,
    pub(super) tokens: Bucket,
    /// Requests begun, and tokens used in units of [`TOKENS`], in the last minute.
    pub(super) begun: Minute,
    spent: Minute,
    /// Calls that ended with a verdict on the deployment, and those that spoke against it.
    pub(super) judged: Minute,
    pub(super) failed: Minute,
    /// Of whole answers, and of streams.
    latency: [Latency; 2],
}

/// So many tokens are one of the count of the last minute.
const TOKENS: u64 = 16;

/// Why a deployment is not asked for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The provider's rate limit.
    RateLimit,
    /// The provider failed.
    Fault,
    /// Our credential was refused.
    Credential,
    /// The provider does not know the model.
    Missing,
}

/// What a deployment is to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It is well.
    Open,
    /// Its cool-down is over, and one call may try it: the word to claim.
    HalfOpen(u64),
    /// It cools down until then, or somebody tries it.
    Shut(u64),
}

impl Cause {
    /// A short name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Fault => "fault",
            Self::Credential => "credential",
            Self::Missing => "missing",
        }
    }

    fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::RateLimit,
            2 => Self::Credential,
            3 => Self::Missing,
            _ => Self::Fault,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::RateLimit => 0,
            Self::Fault => 1,
            Self::Credential => 2,
            Self::Missing => 3,
        }
    }
}

impl Health {
    pub(super) fn new(id: Str, number: u16, shared: Arc<Shared>) -> Self {
        Self {
            id,
            number,
            shared,
            cooling: AtomicU64::new(0),
            cause: AtomicU8::new(0),
            strikes: AtomicU32::new(0),
            ill_until: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            fails: AtomicU64::new(0),
            requests: Bucket::default(),
            tokens: Bucket::default(),
            begun: Minute::default(),
            spent: Minute::default(),
            judged: Minute::default(),
            failed: Minute::default(),
            latency: [Latency::default(), Latency::default()],
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    // === cool-downs ===

    pub(super) fn gate(&self, now: u64) -> Gate {
        let word = self.cooling.load(Ordering::Acquire);
        if word == 0 {
            return Gate::Open;
        }
        let until = word >> 1;
        if until > now || word & 1 == 1 { Gate::Shut(until) } else { Gate::HalfOpen(word) }
    }

    /// Whether it is well, and no check speaks against it.
    pub(super) fn is_well(&self, now: u64) -> bool {
        self.cooling.load(Ordering::Relaxed) == 0 && !self.is_ill(now)
    }

    /// Lets one call try it. The claim is the word that the call gives back.
    pub(super) fn claim_probe(&self, word: u64) -> Option<u64> {
        let claimed = word | 1;
        let swap =
            self.cooling.compare_exchange(word, claimed, Ordering::AcqRel, Ordering::Relaxed);
        swap.is_ok().then_some(claimed)
    }

    /// The call that tried it could not tell: another may.
    pub(super) fn give_up_probe(&self, claimed: u64) {
        let word = claimed & !1;
        // Cooled anew meanwhile: then there is nothing to give back.
        let _ = self.cooling.compare_exchange(claimed, word, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The call that tried it was answered: it is well again.
    pub(super) fn pass_probe(&self, claimed: u64) {
        let swap = self.cooling.compare_exchange(claimed, 0, Ordering::AcqRel, Ordering::Relaxed);
        if swap.is_ok() {
            self.strikes.store(0, Ordering::Relaxed);
            self.fails.store(0, Ordering::Relaxed);
        }
    }

    /// Whether this call is the one that tries it.
    pub(super) fn is_probe(&self, claimed: u64) -> bool {
        claimed != 0 && self.cooling.load(Ordering::Acquire) == claimed
    }

    pub(super) fn strike(&self) -> u32 {
        self.strikes.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Cools it down until then, unless it cools for longer already. Tells whether it did.
    pub(super) fn cool(&self, until: u64, cause: Cause) -> bool {
        let until = until.min(u64::MAX >> 1);
        let longer = |word: u64| (word >> 1 < until).then_some(until << 1);
        // Before, so that whoever sees the cool-down sees its cause.
        let before = self.cause.swap(cause.number(), Ordering::AcqRel);
        if self.cooling.fetch_update(Ordering::AcqRel, Ordering::Acquire, longer).is_ok() {
            return true;
        }
        self.cause.store(before, Ordering::Release);
        false
    }

    /// Cools it down for so long, and tells those who asked to be told.
    pub(super) fn cool_and_tell(&self, now: u64, time: Duration, cause: Cause) {
        let until = now.saturating_add(super::clock::nanos(time));
        if self.cool(until, cause) {
            self.shared.tell(&Cooled { deployment: self.id.clone(), time, cause });
        }
    }

    /// Ends its cool-down.
    pub(super) fn warm(&self) {
        self.cooling.store(0, Ordering::Release);
        self.strikes.store(0, Ordering::Relaxed);
        self.fails.store(0, Ordering::Relaxed);
        self.ill_until.store(0, Ordering::Relaxed);
    }

    pub(super) fn cause(&self) -> Cause {
        Cause::from_u8(self.cause.load(Ordering::Acquire))
    }

    /// Counts a failure; those before the last one that is longer ago than `memory` are forgotten.
    pub(super) fn count_fail(&self, now: u64, memory: Duration) -> u32 {
        const MILLI: u64 = 1_000_000;
        let count = |word: u64| {
            let (at, count) = (word >> 24, word & 0xff_ffff);
            let age = (now / MILLI).saturating_sub(at);
            let kept = if u128::from(age) < memory.as_millis() { count } else { 0 };
            ((now / MILLI) << 24) | (kept + 1).min(0xff_ffff)
        };
        let next = |word| Some(count(word));
        let before = self.fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let count = count(before.unwrap_or_else(|word| word)) & 0xff_ffff;
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    // === active checks ===

    pub(super) fn is_ill(&self, now: u64) -> bool {
        self.ill_until.load(Ordering::Relaxed) > now
    }

    pub(super) fn ill_until(&self) -> u64 {
        self.ill_until.load(Ordering::Relaxed)
    }

    pub(super) fn set_ill_until(&self, until: u64) {
        self.ill_until.store(until, Ordering::Relaxed);
    }

    // === calls in flight ===

    /// Counts a call in, if it is one of `most`.
    pub(super) fn enter(&self, most: Option<u32>) -> bool {
        let most = most.unwrap_or(u32::MAX);
        let next = |count: u32| (count < most).then_some(count + 1);
        self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next).is_ok()
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    // === use ===

    pub(super) fn spend(&self, now: u64, tokens: u64) {
        if tokens > 0 {
            self.spent.add(now, tokens.div_ceil(TOKENS));
        }
    }

    /// Tokens used in the last minute, about.
    pub(super) fn spent(&self, now: u64) -> u64 {
        self.spent.count(now) * TOKENS
    }

    pub(super) fn latency(&self, streamed: bool) -> &Latency {
        &self.latency[usize::from(streamed)]
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("id", &self.id).finish_non_exhaustive()
    }
}
