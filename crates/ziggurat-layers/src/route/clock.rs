//! Time as a number, for atomics.

use std::time::Duration;

use ziggurat_core::Instant;

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const MINUTE: u64 = 60 * SECOND;

/// Counts nanoseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    // An hour before it was made, so that no time is 0 and a decision that looks back has something to look at.
    epoch: Duration,
    made: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { epoch: Duration::from_secs(3600), made: Instant::now() }
    }

    pub(super) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, instant: Instant) -> u64 {
        nanos(self.epoch + instant.saturating_duration_since(self.made))
    }
}

/// Five hundred years are enough.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
