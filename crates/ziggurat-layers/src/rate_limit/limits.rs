//! What a limit is: so many of something, in a time or at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use ziggurat_core::LimitKind;

use super::Tokens;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The limits of one key of one dimension. Nothing is limited until it is said. Cloning copies nothing.
///
/// ```
/// use ziggurat_layers::rate_limit::Limits;
///
/// let limits = Limits::new().rpm(60).tpm(100_000).max_parallel(10);
/// assert!(!limits.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Option<Arc<All>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct All {
    rates: Vec<Rate>,
    max_parallel: Option<u64>,
}

/// So many requests, or tokens, in a time.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_layers::rate_limit::{Limits, Rate};
///
/// // 600 an hour, of which at most 20 at once.
/// let rate = Rate::requests(600, Duration::from_secs(3600)).burst(20);
/// let limits = Limits::new().rate(rate);
/// assert_eq!(limits.rates().next().unwrap().amount(), 600);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    kind: LimitKind,
    amount: u64,
    period: Duration,
    burst: u64,
    quota: Option<Cells>,
}

/// A rate in the terms of the decision: cells that come back one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cells {
    /// How many requests or tokens a cell is: one, unless there are more than fit 32 bits.
    unit: u64,
    /// After how many nanoseconds the next one comes back.
    pub(super) every: u64,
    /// How many there are.
    pub(super) all: NonZeroU32,
    pub(super) quota: Quota,
}

impl Limits {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// So many requests a minute.
    #[must_use]
    pub fn rpm(self, requests: u64) -> Self {
        self.rate(Rate::requests(requests, MINUTE))
    }

    /// So many requests a day.
    #[must_use]
    pub fn rpd(self, requests: u64) -> Self {
        self.rate(Rate::requests(requests, DAY))
    }

    /// So many tokens a minute, in and out.
    #[must_use]
    pub fn tpm(self, tokens: u64) -> Self {
        self.rate(Rate::tokens(tokens, MINUTE))
    }

    /// So many input tokens a minute.
    #[must_use]
    pub fn itpm(self, tokens: u64) -> Self {
        self.rate(Rate::input_tokens(tokens, MINUTE))
    }

    /// So many output tokens a minute.
    #[must_use]
    pub fn otpm(self, tokens: u64) -> Self {
        self.rate(Rate::output_tokens(tokens, MINUTE))
    }

    /// So many tokens a day, in and out.
    #[must_use]
    pub fn tpd(self, tokens: u64) -> Self {
        self.rate(Rate::tokens(tokens, DAY))
    }

    /// So many calls in flight.
    #[must_use]
    pub fn max_parallel(mut self, calls: u64) -> Self {
        self.all().max_parallel = Some(calls);
        self
    }

    /// Any other rate, in place of one that counts the same in the same time.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        let rates = &mut self.all().rates;
        match rates.iter_mut().find(|old| old.kind == rate.kind && old.period == rate.period) {
            Some(old) => *old = rate,
            None => rates.push(rate),
        }
        self
    }

    /// The rates.
    pub fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.0.iter().flat_map(|all| &all.rates)
    }

    /// The most calls in flight.
    #[must_use]
    pub fn most_parallel(&self) -> Option<u64> {
        self.0.as_ref().and_then(|all| all.max_parallel)
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|all| all.rates.is_empty() && all.max_parallel.is_none())
    }

    /// Whether any tokens are limited.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        self.rates().any(|rate| Tokens::default().of(rate.kind()).is_some())
    }

    /// The same with only so many hundredths of everything, at least one.
    #[must_use]
    pub(super) fn percent(&self, percent: u8) -> Self {
        let share =
            |amount: u64| match u64::try_from(u128::from(amount) * u128::from(percent) / 100) {
                Ok(share) => share.max(amount.min(1)),
                Err(_) => amount,
            };
        let scaled = |rate: &Rate| {
            Rate::new(rate.kind, share(rate.amount), rate.period).burst(share(rate.burst))
        };
        Self(self.0.as_ref().map(|all| {
            let rates = all.rates.iter().map(scaled).collect();
            Arc::new(All { rates, max_parallel: all.max_parallel.map(share) })
        }))
    }

    fn all(&mut self) -> &mut All {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl Rate {
    /// So many requests in `period`.
    #[must_use]
    pub fn requests(amount: u64, period: Duration) -> Self {
        Self::new(LimitKind::Requests, amount, period)
    }

    /// So many tokens in `period`, in and out.
    #[must_use]
    pub fn tokens(amount: u64, period: Duration) -> Self {
        Self::new(LimitKind::Tokens, amount, period)
    }

    /// So many input tokens in `period`.
    #[must_use]
    pub fn input_tokens(amount: u64, period: Duration) -> Self {
        Self::new(LimitKind::InputTokens, amount, period)
    }

    /// So many output tokens in `period`.
    #[must_use]
    pub fn output_tokens(amount: u64, period: Duration) -> Self {
        Self::new(LimitKind::OutputTokens, amount, period)
    }

    fn new(kind: LimitKind, amount: u64, period: Duration) -> Self {
        // A period of nothing would be no limit; one of years would be none that a clock of nanoseconds can keep.
        let period = period.clamp(Duration::from_millis(1), 400 * DAY);
        Self { kind, amount, period, burst: amount, quota: Cells::new(amount, amount, period) }
    }

    /// How much may come at once after a rest; the amount itself unless told. In any span of time at most the burst passes, and
    /// what comes back in that span.
    #[must_use]
    pub fn burst(mut self, burst: u64) -> Self {
        self.burst = burst;
        self.quota = Cells::new(self.amount, burst, self.period);
        self
    }

    /// What is counted.
    #[must_use]
    pub fn kind(&self) -> LimitKind {
        self.kind
    }

    /// How much comes back in a [`period`](Self::period).
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// The time in which the amount comes back.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// How much may come at once.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.burst
    }

    /// The rate in cells; `None` when nothing may pass.
    pub(super) fn cells(&self) -> Option<&Cells> {
        self.quota.as_ref()
    }

    /// The time in nanoseconds.
    pub(super) fn nanos(&self) -> u64 {
        nanos(self.period)
    }
}

impl Cells {
    /// Rounded so that never more than the limit passes: a cell comes back after a whole number of nanoseconds, not sooner.
    fn new(amount: u64, burst: u64, period: Duration) -> Option<Self> {
        if amount == 0 {
            return None;
        }
        let unit = amount.max(burst).div_ceil(u64::from(u32::MAX));
        let every = (u128::from(unit) * u128::from(nanos(period))).div_ceil(u128::from(amount));
        let every = u64::try_from(every).ok()?.max(1);
        // All of it comes back in some centuries at most: the clock ends there.
        let all = (burst / unit).min(u64::MAX / 8 / every);
        let all = u32::try_from(all).ok().and_then(NonZeroU32::new)?;
        let quota = Quota::with_period(Duration::from_nanos(every))?.allow_burst(all);
        Some(Self { unit, every, all, quota })
    }

    /// How many cells so many requests or tokens take.
    pub(super) fn of(&self, amount: u64) -> u64 {
        amount.div_ceil(self.unit)
    }

    /// How many requests or tokens so many cells are.
    pub(super) fn amount(&self, cells: u64) -> u64 {
        cells.saturating_mul(self.unit)
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
