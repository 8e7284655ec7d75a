//! The decision, which is `governor`'s; the state is ours, so that several decisions can be taken together and undone together.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use ziggurat_core::LimitState;

use super::limits::{Cells, Rate};

/// When the next cell is due if they come evenly, in nanoseconds since the limiter began: all there is of a bucket. What is
/// in the past is a full bucket.
pub(super) type Due = u64;

/// What a decision finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It fits.
    Pass,
    /// It fits after this time.
    Wait(Duration),
    /// It never fits.
    Never,
}

/// Would `amount` fit, with `held` of it taken already by others who have not yet settled?
pub(super) fn test(rate: &Rate, due: Due, now: u64, held: u64, amount: u64) -> Verdict {
    if amount == 0 {
        return Verdict::Pass;
    }
    let Some(cells) = rate.cells().filter(|_| can_fit(rate, amount)) else {
        return Verdict::Never;
    };
    let asked = cells.of(held.saturating_add(amount));
    let fits = u32::try_from(asked).ok().filter(|asked| *asked <= cells.all.get());
    match fits.and_then(NonZeroU32::new) {
        Some(asked) => {
            // The limiter counts from the time it was made: it is made at 0.
            let (store, clock) = (Held(Cell::new(due)), Stopped(Cell::new(0)));
            let limiter: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> =
                RateLimiter::new(cells.quota, store, clock);
            limiter.clock().0.set(now);
            match limiter.check_n(asked) {
                Ok(Ok(_)) => Verdict::Pass,
                Ok(Err(until)) => Verdict::Wait(until.wait_time_from(Nanos::from(now))),
                Err(_) => Verdict::Never,
            }
        }
        None => Verdict::Wait(wait(cells, due, now, asked)),
    }
}

/// Whether `amount` fits a full bucket.
pub(super) fn can_fit(rate: &Rate, amount: u64) -> bool {
    let fits =
        |cells: &Cells| amount <= rate.most() && cells.of(amount) <= u64::from(cells.all.get());
    amount == 0 || rate.cells().is_some_and(fits)
}

/// Takes `amount` whether it fits or not: what is missing is a debt, which time pays off.
pub(super) fn take(rate: &Rate, due: Due, now: u64, amount: u64) -> Due {
    let Some(cells) = rate.cells() else { return due };
    due.max(now).saturating_add(cells.of(amount).saturating_mul(cells.every))
}

/// What is left of a bucket, less what is held.
pub(super) fn left(rate: &Rate, due: Due, now: u64, held: u64) -> LimitState {
    let Some(cells) = rate.cells() else { return LimitState::new(0, 0, rate.period()) };
    let missing = due.saturating_sub(now).div_ceil(cells.every).saturating_add(cells.of(held));
    let remaining = cells.amount(u64::from(cells.all.get()).saturating_sub(missing));
    let reset = due.saturating_sub(now).saturating_add(cells.of(held).saturating_mul(cells.every));
    LimitState::new(rate.amount(), remaining.min(rate.most()), Duration::from_nanos(reset))
}

/// How long it takes until so many cells are there.
fn wait(cells: &Cells, due: Due, now: u64, asked: u64) -> Duration {
    let all = u64::from(cells.all.get()).saturating_mul(cells.every);
    let then = due.max(now).saturating_add(asked.saturating_mul(cells.every)).saturating_sub(all);
    Duration::from_nanos(then.saturating_sub(now))
}

/// The state of one bucket, for one decision.
struct Held(Cell<Due>);

impl StateStore for Held {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = decide(Some(Nanos::from(self.0.get())))?;
        self.0.set(next.as_u64());
        Ok(outcome)
    }
}

/// A clock that shows what it is told: all limits of a call are decided at one time.
struct Stopped(Cell<u64>);

impl Clock for Stopped {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.get())
    }
}
