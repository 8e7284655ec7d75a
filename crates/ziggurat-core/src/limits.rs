//! How much of a rate limit is left.

use std::time::Duration;

use smallvec::SmallVec;

/// How much is left of the limits that a call counted against: the tightest of each kind. Told to callers in the headers
/// `x-ratelimit-limit-…`, `-remaining-…` and `-reset-…`.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_core::{LimitKind, LimitState, RateLimits};
///
/// let mut limits = RateLimits::default();
/// limits.tighten(LimitKind::Requests, LimitState::new(100, 40, Duration::from_secs(36)));
/// limits.tighten(LimitKind::Requests, LimitState::new(10, 9, Duration::from_secs(6)));
/// assert_eq!(limits.get(LimitKind::Requests).unwrap().remaining, 9);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits(SmallVec<[(LimitKind, LimitState); 3]>);

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LimitKind {
    /// Requests in a time.
    Requests,
    /// Tokens in a time, in and out.
    Tokens,
    /// Input tokens in a time.
    InputTokens,
    /// Output tokens in a time.
    OutputTokens,
    /// Calls in flight.
    Parallel,
}

/// How much is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitState {
    /// The most there can be.
    pub limit: u64,
    /// What is left.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

impl LimitKind {
    /// The word in headers: `requests`, `input-tokens`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input-tokens",
            Self::OutputTokens => "output-tokens",
            Self::Parallel => "max_parallel_requests",
        }
    }
}

impl LimitState {
    /// So much of `limit` is left.
    #[must_use]
    pub fn new(limit: u64, remaining: u64, reset: Duration) -> Self {
        Self { limit, remaining, reset }
    }
}

impl RateLimits {
    /// Takes note of a limit, if it is tighter than what is known of its kind.
    pub fn tighten(&mut self, kind: LimitKind, state: LimitState) {
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, known)) if known.remaining <= state.remaining => {}
            Some((_, known)) => *known = state,
            None => self.0.push((kind, state)),
        }
    }

    /// What is left of a kind.
    #[must_use]
    pub fn get(&self, kind: LimitKind) -> Option<&LimitState> {
        self.0.iter().find(|(known, _)| *known == kind).map(|(_, state)| state)
    }

    /// What is left, by kind.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKind, &LimitState)> {
        self.0.iter().map(|(kind, state)| (*kind, state))
    }

    /// Whether nothing was limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
