//! When a deployment is left alone for a while, and for how long.

use std::time::Duration;

use ziggurat_core::{Error, ErrorKind};

use super::Blame;
use super::health::Cause;

/// When a deployment is left alone for a while, and for how long.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_layers::route::{AllowedFails, CoolDown};
///
/// let mut policy = AllowedFails::default();
/// policy.rate_limit = Some(10);
/// let cool_down = CoolDown::new().time(Duration::from_secs(30)).allowed_fails(3).policy(policy);
/// assert!(cool_down.enabled);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoolDown {
    /// Whether there are any.
    pub enabled: bool,
    /// For how long, where neither the deployment nor the answer says; 5 s unless told. Zero is none.
    pub time: Duration,
    /// The longest that an answer's `Retry-After`, or failing again and again, makes it; 5 min unless told.
    pub longest: Duration,
    /// How many failures are borne, each at most the cool-down's time after the one before. `None` is the rule of thumb: a 429
    /// and a refused credential cool at once, other faults when they are more than half of at least five calls in a minute.
    pub allowed_fails: Option<u32>,
    /// How many failures of a kind are borne.
    pub policy: AllowedFails,
}

/// How many failures of a kind are borne before a deployment cools down; the others are left to
/// [`CoolDown::allowed_fails`]. What a caller does wrong is none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllowedFails {
    /// The credential was refused, or has no credit.
    pub authentication: Option<u32>,
    /// The provider took too long.
    pub timeout: Option<u32>,
    /// The provider's rate limit.
    pub rate_limit: Option<u32>,
    /// The provider broke.
    pub internal_server: Option<u32>,
    /// The provider is overloaded.
    pub service_unavailable: Option<u32>,
    /// The provider's answer cannot be used: unreachable, malformed, cut.
    pub bad_gateway: Option<u32>,
    /// The provider does not know the model.
    pub not_found: Option<u32>,
}

/// LiteLLM's default, once any count is asked for.
const ALLOWED: u32 = 3;

impl CoolDown {
    /// After LiteLLM's rule of thumb, for 5 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            enabled: true,
            time: Duration::from_secs(5),
            longest: Duration::from_secs(300),
            allowed_fails: None,
            policy: AllowedFails::default(),
        }
    }

    /// None.
    #[must_use]
    pub fn off() -> Self {
        Self { enabled: false, ..Self::new() }
    }

    /// For so long.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// For so long at most.
    #[must_use]
    pub fn longest(mut self, time: Duration) -> Self {
        self.longest = time;
        self
    }

    /// After more than so many failures.
    #[must_use]
    pub fn allowed_fails(mut self, fails: u32) -> Self {
        self.allowed_fails = Some(fails);
        self
    }

    /// After more than so many failures of a kind.
    #[must_use]
    pub fn policy(mut self, policy: AllowedFails) -> Self {
        self.policy = policy;
        self
    }

    /// How many failures of this kind are borne; `None` when failures are not counted.
    pub(super) fn allowed(&self, kind: ErrorKind) -> Option<u32> {
        let counted = self.allowed_fails.is_some() || !self.policy.is_empty();
        let allowed = self.policy.of(kind).or(self.allowed_fails);
        counted.then(|| allowed.unwrap_or(ALLOWED))
    }
}

impl Default for CoolDown {
    fn default() -> Self {
        Self::new()
    }
}

impl AllowedFails {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn of(&self, kind: ErrorKind) -> Option<u32> {
        match kind {
            ErrorKind::Authentication | ErrorKind::Permission | ErrorKind::Billing => {
                self.authentication
            }
            ErrorKind::Timeout => self.timeout,
            ErrorKind::RateLimit | ErrorKind::QuotaExhausted => self.rate_limit,
            ErrorKind::Server => self.internal_server,
            ErrorKind::Overloaded => self.service_unavailable,
            ErrorKind::BadUpstream => self.bad_gateway,
            ErrorKind::NotFound => self.not_found,
            _ => None,
        }
    }
}

/// Why this error cools a deployment down, if it can.
pub(super) fn cause(error: &Error) -> Option<Cause> {
    Some(match Blame::of(error) {
        Blame::Provider if error.kind() == ErrorKind::RateLimit => Cause::RateLimit,
        Blame::Provider => Cause::Fault,
        Blame::Credential => Cause::Credential,
        Blame::Missing => Cause::Missing,
        Blame::Nobody => return None,
    })
}
