//! How long a deployment takes, of late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::nanos;

/// A moving average that follows a rise at once and a fall slowly, in one word: when it was taken (40 bits of milliseconds)
/// and what it was (24 bits of 64 µs). 0 is: nothing is known.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

const MILLI: u64 = 1_000_000;
const UNIT: u64 = 64_000;
const MOST: u64 = (1 << 24) - 1;

impl Latency {
    /// Takes note of a time that was measured.
    pub(super) fn observe(&self, now: u64, taken: Duration, decay: Duration) {
        let taken = (nanos(taken) / UNIT).clamp(1, MOST);
        let next = |word| {
            let (at, old) = unpack(word);
            let new = if old < taken {
                taken
            } else {
                let kept = kept(now, at, decay);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between the two"
                )]
                let new = (old as f64 * kept + taken as f64 * (1.0 - kept)) as u64;
                new.clamp(taken, old)
            };
            Some(pack(now, new))
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Takes note of a time that was too short to count, because it ended in a failure: it can only make it look slower.
    pub(super) fn observe_at_least(&self, now: u64, taken: Duration) {
        let taken = (nanos(taken) / UNIT).clamp(1, MOST);
        let next = |word| (unpack(word).1 < taken).then(|| pack(now, taken));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// The average in nanoseconds, as it was when it was taken.
    pub(super) fn last(&self) -> Option<u64> {
        let (_, value) = unpack(self.0.load(Ordering::Relaxed));
        (value > 0).then_some(value * UNIT)
    }

    /// The average in nanoseconds; the longer it was not tried, the less it is.
    pub(super) fn decayed(&self, now: u64, decay: Duration) -> Option<u64> {
        let (at, value) = unpack(self.0.load(Ordering::Relaxed));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "less than it was"
        )]
        (value > 0).then(|| ((value * UNIT) as f64 * kept(now, at, decay)) as u64)
    }
}

/// What is left of a value that was taken then.
fn kept(now: u64, at: u64, decay: Duration) -> f64 {
    let age = now.saturating_sub(at) as f64;
    (-age / nanos(decay).max(1) as f64).exp()
}

fn pack(now: u64, value: u64) -> u64 {
    ((now / MILLI) << 24) | value
}

fn unpack(word: u64) -> (u64, u64) {
    ((word >> 24).saturating_mul(MILLI), word & MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::clock::SECOND;

    const DECAY: Duration = Duration::from_secs(30);

    fn close(value: Option<u64>, millis: u64) -> bool {
        value.is_some_and(|value| value.abs_diff(millis * MILLI) < MILLI)
    }

    #[test]
    fn a_rise_counts_at_once_and_a_fall_slowly() {
        let latency = Latency::default();
        assert_eq!(latency.last(), None);
        let ms = Duration::from_millis;
        latency.observe(SECOND, ms(200), DECAY);
        assert!(close(latency.last(), 200));
        latency.observe(2 * SECOND, ms(1000), DECAY);
        assert!(close(latency.last(), 1000), "a peak holds at once");
        latency.observe(32 * SECOND, ms(200), DECAY);
        // After one time constant, e⁻¹ of what it was above the new.
        assert!(close(latency.last(), 200 + 294), "{:?}", latency.last());
        assert!(close(latency.decayed(62 * SECOND, DECAY), 181), "not tried, it is forgotten");
        assert!(close(latency.last(), 494));
    }

    #[test]
    fn a_failure_can_only_make_it_look_slower() {
        let latency = Latency::default();
        latency.observe(SECOND, Duration::from_millis(200), DECAY);
        latency.observe_at_least(2 * SECOND, Duration::from_millis(5));
        assert!(close(latency.last(), 200));
        latency.observe_at_least(3 * SECOND, Duration::from_secs(30));
        assert!(close(latency.last(), 30_000));
        latency.observe(4 * SECOND, Duration::MAX, DECAY);
        assert!(latency.last().is_some_and(|most| most > 1000 * SECOND), "bounded, not wrapped");
    }
}
