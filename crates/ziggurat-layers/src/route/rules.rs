//! How deployments are chosen.

use std::time::Duration;

use super::CoolDown;

/// How the deployments of a group are chosen.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_layers::route::{Rules, Strategy, TagMatch};
///
/// let rules = Rules::new()
///     .strategy(Strategy::latency())
///     .pre_call_checks()
///     .tags(TagMatch::Any)
///     .session_affinity(Duration::from_secs(3600));
/// assert!(rules.checks);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rules {
    /// Which of those that are left is chosen; by weight unless told.
    pub strategy: Strategy,
    /// Whether context window and abilities are looked at before a call leaves.
    pub checks: bool,
    /// Whether tags are looked at, and how.
    pub tags: Option<TagMatch>,
    /// For how long a session sticks to a deployment.
    pub session_affinity: Option<Duration>,
    /// For how long a caller (by their key) sticks to a deployment; a session wins.
    pub caller_affinity: Option<Duration>,
    /// When a deployment is left alone.
    pub cool_down: CoolDown,
}

/// Which of the deployments that are left is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// At random, by `weight`; where none of them has one by `rpm`, then by `tpm`, then all alike.
    #[default]
    Shuffle,
    /// The one with the fewest calls in flight.
    LeastBusy,
    /// The faster of two that are drawn, by the time to the first content (for whole answers, to the answer) and the calls in
    /// flight.
    Latency {
        /// How fast the past is forgotten.
        decay: Duration,
    },
    /// The one that has used least of what it may in the last minute.
    Usage,
    /// The cheapest.
    Cost,
}

/// How many of a call's tags a deployment must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagMatch {
    /// One of them.
    Any,
    /// All of them.
    All,
}

/// How fast the past is forgotten unless told.
const DECAY: Duration = Duration::from_secs(30);

impl Strategy {
    /// By latency, with a memory of 30 s.
    #[must_use]
    pub fn latency() -> Self {
        Self::Latency { decay: DECAY }
    }

    pub(super) fn decay(self) -> Duration {
        match self {
            Self::Latency { decay } => decay,
            _ => DECAY,
        }
    }
}

impl Rules {
    /// By weight, without checks, tags or sessions, with LiteLLM's rule of thumb for cool-downs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which of those that are left is chosen.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Looks at context window and abilities before a call leaves.
    #[must_use]
    pub fn pre_call_checks(mut self) -> Self {
        self.checks = true;
        self
    }

    /// Looks at tags.
    #[must_use]
    pub fn tags(mut self, matches: TagMatch) -> Self {
        self.tags = Some(matches);
        self
    }

    /// Sends a session's calls to one deployment, until it has been silent for so long.
    #[must_use]
    pub fn session_affinity(mut self, time: Duration) -> Self {
        self.session_affinity = Some(time);
        self
    }

    /// Sends a caller's calls to one deployment, until they have been silent for so long.
    #[must_use]
    pub fn caller_affinity(mut self, time: Duration) -> Self {
        self.caller_affinity = Some(time);
        self
    }

    /// When a deployment is left alone.
    #[must_use]
    pub fn cool_down(mut self, cool_down: CoolDown) -> Self {
        self.cool_down = cool_down;
        self
    }
}
