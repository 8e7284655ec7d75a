//! Wall time that jumps, and randomness that repeats.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ziggurat_core::{Ambient, Instant};

use super::chance::Chance;

/// 2026-01-02 03:04:05 UTC.
const BEGIN: Duration = Duration::from_secs(1_767_323_045);

/// Wall time and randomness of a simulated world. Wall time goes with the runtime's paused clock, apart from its jumps.
#[derive(Debug)]
pub(super) struct SimAmbient {
    began: Instant,
    jumped_ms: AtomicI64,
    chance: Chance,
}

impl SimAmbient {
    pub(super) fn new(seed: u64) -> Self {
        let chance = Chance::new(seed, "ambient");
        Self { began: Instant::now(), jumped_ms: AtomicI64::new(0), chance }
    }

    /// Sets the wall clock forth, or back.
    pub(super) fn jump(&self, ms: i64) {
        self.jumped_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Ambient for SimAmbient {
    fn unix_time(&self) -> Duration {
        let now = BEGIN + self.began.elapsed();
        let jumped = self.jumped_ms.load(Ordering::Relaxed);
        let by = Duration::from_millis(jumped.unsigned_abs());
        if jumped < 0 { now.saturating_sub(by) } else { now + by }
    }

    fn random(&self) -> u64 {
        self.chance.bits()
    }
}
