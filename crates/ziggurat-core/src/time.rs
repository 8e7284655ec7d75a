//! Time and chance, both replaceable in tests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The clock of waits and measurements. It stands still where a test pauses tokio's time.
pub type Instant = tokio::time::Instant;

/// Wall time and randomness, so that a test or a simulation can bring its own.
pub trait Ambient: fmt::Debug + Send + Sync + 'static {
    /// Time since 1970-01-01 UTC.
    fn unix_time(&self) -> Duration;
    /// 64 random bits. They name calls and spread retries; they are no secret.
    fn random(&self) -> u64;
}

/// The machine's own clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Ambient for System {
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

impl<T: Ambient + ?Sized> Ambient for Arc<T> {
    fn unix_time(&self) -> Duration {
        (**self).unix_time()
    }

    fn random(&self) -> u64 {
        (**self).random()
    }
}
