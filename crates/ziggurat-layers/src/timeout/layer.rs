use std::time::Duration;

use tower_layer::Layer;

use super::Timeout;
use super::clock::Limits;

/// Gives up on a provider that keeps one waiting. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeoutLayer {
    limits: Limits,
}

impl TimeoutLayer {
    /// A layer whose clocks are all off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds the time from the call to a stream's first content.
    #[must_use]
    pub fn first_content(mut self, limit: Duration) -> Self {
        self.limits.first_content = Some(limit);
        self
    }

    /// Bounds the silence between two frames of a stream.
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.limits.idle = Some(limit);
        self
    }

    /// Bounds the time from the call to the end of its answer.
    #[must_use]
    pub fn attempt(mut self, limit: Duration) -> Self {
        self.limits.attempt = Some(limit);
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.limits)
    }
}
