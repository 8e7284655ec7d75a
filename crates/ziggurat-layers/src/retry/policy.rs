//! Which failures are tried again, and how often.

use ziggurat_core::{Error, ErrorKind, Origin};

/// How often failures of some kinds are tried again. What it names wins over every other check, the layer's own number and the
/// caller's; only a caller who wants no retries at all has none.
///
/// ```
/// use ziggurat_core::ErrorKind;
/// use ziggurat_layers::retry::RetryPolicy;
///
/// let policy = RetryPolicy::new()
///     .on([ErrorKind::Timeout, ErrorKind::RequestTimeout], 0)
///     .on([ErrorKind::RateLimit], 5)
///     .otherwise(1);
/// assert_eq!(policy.retries(ErrorKind::RateLimit), Some(5));
/// assert_eq!(policy.retries(ErrorKind::Server), None);
/// ```
///
/// LiteLLM's `retry_policy` names classes of exceptions; [`litellm`](Self::litellm) takes those names:
///
/// | name | kinds |
/// | --- | --- |
/// | `BadRequestErrorRetries` | `InvalidRequest`, `Unsupported`, `ContextLength`, `TooLarge` |
/// | `AuthenticationErrorRetries` | `Authentication` |
/// | `TimeoutErrorRetries` | `Timeout`, `RequestTimeout` |
/// | `RateLimitErrorRetries` | `RateLimit`, `QuotaExhausted` |
/// | `ContentPolicyViolationErrorRetries` | `ContentPolicy` |
/// | `InternalServerErrorRetries` | `Server` |
/// | `ServiceUnavailableErrorRetries` | `Overloaded` |
/// | `NotFoundErrorRetries` | `NotFound` |
/// | `DefaultRetries` | what no other name covers: [`otherwise`](Self::otherwise) |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    kinds: Vec<(ErrorKind, u32)>,
    otherwise: Option<u32>,
}

impl RetryPolicy {
    /// A policy that names nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tries failures of these kinds again so many times, whoever erred; 0 is never.
    #[must_use]
    pub fn on(mut self, kinds: impl IntoIterator<Item = ErrorKind>, retries: u32) -> Self {
        for kind in kinds {
            self.kinds.retain(|(known, _)| *known != kind);
            self.kinds.push((kind, retries));
        }
        self
    }

    /// For kinds that are not named: so many times, as far as trying again can help at all.
    #[must_use]
    pub fn otherwise(mut self, retries: u32) -> Self {
        self.otherwise = Some(retries);
        self
    }

    /// The same by LiteLLM's name; `None` when there is no such name.
    #[must_use]
    pub fn litellm(self, name: &str, retries: u32) -> Option<Self> {
        let kinds: &[ErrorKind] = match name {
            "BadRequestErrorRetries" => &[
                ErrorKind::InvalidRequest,
                ErrorKind::Unsupported,
                ErrorKind::ContextLength,
                ErrorKind::TooLarge,
            ],
            "AuthenticationErrorRetries" => &[ErrorKind::Authentication],
            "TimeoutErrorRetries" => &[ErrorKind::Timeout, ErrorKind::RequestTimeout],
            "RateLimitErrorRetries" => &[ErrorKind::RateLimit, ErrorKind::QuotaExhausted],
            "ContentPolicyViolationErrorRetries" => &[ErrorKind::ContentPolicy],
            "InternalServerErrorRetries" => &[ErrorKind::Server],
            "ServiceUnavailableErrorRetries" => &[ErrorKind::Overloaded],
            "NotFoundErrorRetries" => &[ErrorKind::NotFound],
            "DefaultRetries" => return Some(self.otherwise(retries)),
            _ => return None,
        };
        Some(self.on(kinds.iter().copied(), retries))
    }

    /// How often failures of this kind are tried again, if the policy names it.
    #[must_use]
    pub fn retries(&self, kind: ErrorKind) -> Option<u32> {
        self.kinds.iter().find(|(known, _)| *known == kind).map(|(_, retries)| *retries)
    }

    /// For kinds that are not named.
    pub(super) fn others(&self) -> Option<u32> {
        self.otherwise
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hope {
    /// It cannot.
    None,
    /// At another deployment only.
    Elsewhere,
    /// At the same one, too.
    Anywhere,
    /// A refusal of our own, which time may lift.
    Later,
}

/// What an error's kind and origin say. The text says nothing here.
pub(super) fn hope(error: &Error) -> Hope {
    match (error.kind(), error.origin()) {
        (ErrorKind::Cancelled, _) | (_, Origin::Caller) => Hope::None,
        (ErrorKind::RateLimit | ErrorKind::Overloaded, Origin::Gateway) => Hope::Later,
        (
            ErrorKind::Authentication
            | ErrorKind::Billing
            | ErrorKind::Permission
            | ErrorKind::NotFound
            | ErrorKind::QuotaExhausted,
            Origin::Provider,
        ) => Hope::Elsewhere,
        // The provider waited for us.
        (ErrorKind::RequestTimeout, Origin::Provider) => Hope::Anywhere,
        (kind, _) if kind.is_retryable() && forbids(error) => Hope::Elsewhere,
        (kind, _) if kind.is_retryable() => Hope::Anywhere,
        _ => Hope::None,
    }
}

/// OpenAI and Anthropic say so when coming back does not help; their clients obey it, too.
fn forbids(error: &Error) -> bool {
    error
        .said()
        .and_then(|said| said.headers.get("x-should-retry"))
        .is_some_and(|told| told.as_bytes() == b"false")
}
