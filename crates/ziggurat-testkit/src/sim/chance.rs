//! Seeded chance.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;

/// A stream of chance that a seed decides. Each part of a simulated world has its own, so that a layer which asks for one more
/// random number does not change the weather.
#[derive(Debug)]
pub struct Chance(Mutex<Rng>);

impl Chance {
    /// The stream of this name under this seed.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a: names that differ give streams that have nothing in common.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut rng = Rng::with_seed(seed ^ hash);
        // The first numbers of neighbouring seeds are alike.
        rng.u64(..);
        Self(Mutex::new(Rng::with_seed(rng.u64(..))))
    }

    fn with<R>(&self, ask: impl FnOnce(&mut Rng) -> R) -> R {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        self.with(|rng| rng.u64(..))
    }

    /// A number below this bound; 0 where the bound is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.with(|rng| rng.u64(..bound)) }
    }

    /// An index below this bound; 0 where the bound is 0.
    pub fn index(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.with(|rng| rng.usize(..bound)) }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in so many of a hundred times.
    pub fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A time from `low` to `high`, in whole milliseconds.
    pub fn time(&self, low: Duration, high: Duration) -> Duration {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.between(ms(low), ms(high)))
    }

    /// One of these.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.index(of.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_decide_everything() {
        let draw = |seed, name| {
            let chance = Chance::new(seed, name);
            (0..20).map(|_| chance.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "network"), draw(7, "network"));
        assert_ne!(draw(7, "network"), draw(7, "weather"));
        assert_ne!(draw(7, "network"), draw(8, "network"));
    }

    #[test]
    fn bounds_hold() {
        let chance = Chance::new(1, "bounds");
        assert_eq!((chance.below(0), chance.index(0)), (0, 0));
        assert!(chance.pick::<u8>(&[]).is_none());
        for _ in 0..200 {
            assert!((3..=5).contains(&chance.between(3, 5)));
            let time = chance.time(Duration::from_secs(1), Duration::from_secs(2));
            assert!((1..=2).contains(&(time.as_millis() / 1000)));
        }
        assert!((0..100).all(|_| !chance.percent(0) && chance.percent(100)));
    }
}
