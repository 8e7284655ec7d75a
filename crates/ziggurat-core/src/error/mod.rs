//! The one error that travels between layers.

mod kind;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{Dialect, RateLimits, Str};

pub use kind::{ErrorKind, Origin};

/// Any error, as tower's own layers box it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call failed: one pointer wide, cheap to clone.
///
/// [`kind`](Self::kind) says what to do about it, [`origin`](Self::origin) who erred. Decisions are made on these, never
/// on the text.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_core::{Error, ErrorKind, Origin};
///
/// let error = Error::new(ErrorKind::RateLimit, "too many requests for this key")
///     .with_retry_after(Duration::from_secs(3));
/// assert_eq!(error.origin(), Origin::Gateway);
/// assert_eq!(error.status(), 429);
/// assert!(error.is_retryable());
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    origin: Origin,
    message: Cow<'static, str>,
    param: Option<Cow<'static, str>>,
    code: Option<Cow<'static, str>>,
    status: Option<StatusCode>,
    deployment: Option<Str>,
    elsewhere: bool,
    retry_after: Option<Duration>,
    provider: Option<Arc<ProviderError>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    course: Option<Arc<Course>>,
}

/// What else happened to the call that failed.
#[derive(Clone, Debug, Default)]
struct Course {
    attempts: u32,
    fallbacks: u32,
    others: Vec<Error>,
    limits: RateLimits,
}

/// What a provider said when it refused or failed, as it said it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProviderError {
    /// The dialect of the body.
    pub dialect: Option<Dialect>,
    /// The HTTP status; absent when the error came inside a stream.
    pub status: Option<StatusCode>,
    /// The provider's type of error: `invalid_request_error`, `overloaded_error`.
    pub error_type: Option<Str>,
    /// The provider's code: `context_length_exceeded`.
    pub code: Option<Str>,
    /// The provider's name for the request.
    pub request_id: Option<Str>,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The body of the answer, or the event of the stream, untouched.
    pub body: Bytes,
}

impl Error {
    /// An error of this kind that the gateway raises. `message` is for the caller to read: lower case, no full stop, no secrets.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let origin = if kind.is_callers() { Origin::Caller } else { Origin::Gateway };
        Self(Arc::new(Inner {
            kind,
            origin,
            message: message.into(),
            param: None,
            code: None,
            status: None,
            deployment: None,
            elsewhere: false,
            retry_after: None,
            provider: None,
            source: None,
            course: None,
        }))
    }

    /// An error that a provider made or reported.
    pub fn provider(
        kind: ErrorKind,
        message: impl Into<Cow<'static, str>>,
        said: ProviderError,
    ) -> Self {
        let mut error = Self::new(kind, message).with_origin(Origin::Provider);
        error.inner().provider = Some(Arc::new(said));
        error
    }

    /// The caller sent something that cannot be understood.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// Something was registered or opened on a call that is over.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Cancelled, "the call is already over")
    }

    /// Blames someone.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.inner().origin = origin;
        self
    }

    /// Names the caller's field that is at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.inner().param = Some(param.into());
        self
    }

    /// Sets a code more precise than the kind's own.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.inner().code = Some(code.into());
        self
    }

    /// Sets a status more precise than the kind's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.inner().status = Some(status);
        self
    }

    /// Says which deployment failed.
    #[must_use]
    pub fn with_deployment(mut self, deployment: impl Into<Str>) -> Self {
        self.inner().deployment = Some(deployment.into());
        self
    }

    /// Says whether a healthy sibling could take the call at once.
    #[must_use]
    pub fn with_elsewhere(mut self, elsewhere: bool) -> Self {
        self.inner().elsewhere = elsewhere;
        self
    }

    /// Says when to come back, or that nobody knows.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.inner().retry_after = retry_after.into();
        self
    }

    /// Says how many attempts it took, at all models together, and how many models were asked after the first.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32, fallbacks: u32) -> Self {
        let course = self.course();
        course.attempts = attempts;
        course.fallbacks = fallbacks;
        self
    }

    /// Attaches what happened when the call was tried elsewhere afterwards.
    #[must_use]
    pub fn with_others(mut self, others: Vec<Self>) -> Self {
        if !others.is_empty() {
            self.course().others = others;
        }
        self
    }

    /// Says how much is left of the limits that the call counted against.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        if !limits.is_empty() {
            self.course().limits = limits;
        }
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.inner().source = Some(Arc::from(source.into()));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Who erred.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// What happened, for the caller to read.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The caller's field that is at fault.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// A code more precise than the kind's own.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The status that was set, if the kind's own is not meant.
    #[must_use]
    pub fn status_override(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The HTTP status: the one that was set, else the kind's own (a dialect may have another for the kind).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status.unwrap_or_else(|| self.0.kind.status())
    }

    /// Which deployment failed.
    #[must_use]
    pub fn deployment(&self) -> Option<&str> {
        self.0.deployment.as_deref()
    }

    /// Whether a healthy sibling could take the call at once.
    #[must_use]
    pub fn elsewhere(&self) -> bool {
        self.0.elsewhere
    }

    /// When to come back.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// How many attempts it took, if somebody counted.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.0.course.as_ref().map(|course| course.attempts).filter(|attempts| *attempts > 0)
    }

    /// How many models were asked after the first.
    #[must_use]
    pub fn fallbacks(&self) -> u32 {
        self.0.course.as_ref().map_or(0, |course| course.fallbacks)
    }

    /// What happened when the call was tried elsewhere after this error.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        self.0.course.as_ref().map_or(&[], |course| &course.others)
    }

    /// How much is left of the limits that the call counted against.
    #[must_use]
    pub fn limits(&self) -> Option<&RateLimits> {
        self.0.course.as_ref().map(|course| &course.limits).filter(|limits| !limits.is_empty())
    }

    /// What the provider said, when it said something.
    #[must_use]
    pub fn said(&self) -> Option<&ProviderError> {
        self.0.provider.as_deref()
    }

    /// The provider's own status.
    #[must_use]
    pub fn provider_status(&self) -> Option<StatusCode> {
        self.said().and_then(|said| said.status)
    }

    /// Whether the same call may succeed when it is sent again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Whether the caller left or the call was otherwise given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    fn course(&mut self) -> &mut Course {
        Arc::make_mut(self.inner().course.get_or_insert_default())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The provider's body stays out: it may quote a prompt.
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &self.0.kind)
            .field("origin", &self.0.origin)
            .field("message", &self.0.message);
        if let Some(param) = &self.0.param {
            debug.field("param", param);
        }
        if let Some(deployment) = &self.0.deployment {
            debug.field("deployment", deployment);
        }
        if let Some(said) = &self.0.provider {
            debug.field("provider_status", &said.status).field("request_id", &said.request_id);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        if !self.others().is_empty() {
            debug.field("others", &self.others());
        }
        debug.finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// An error of tower's own layers, or of anybody's between ours. One of ours comes back as it was.
impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => *ours,
            Err(other) => {
                let mut cause: Option<&(dyn StdError + 'static)> = Some(other.as_ref());
                while let Some(error) = cause {
                    if let Some(ours) = error.downcast_ref::<Self>() {
                        return ours.clone();
                    }
                    cause = error.source();
                }
                Self::new(ErrorKind::Server, "a layer of the gateway failed").with_source(other)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn ours_survives_a_foreign_layer() {
        let ours = Error::new(ErrorKind::Overloaded, "busy");
        let back = Error::from(BoxError::from(ours));
        assert_eq!(back.kind(), ErrorKind::Overloaded);

        let foreign = Error::from(BoxError::from("closed"));
        assert_eq!(foreign.kind(), ErrorKind::Server);
        assert_eq!(std::error::Error::source(&foreign).unwrap().to_string(), "closed");
    }

    #[test]
    fn debug_keeps_the_providers_body_to_itself() {
        let said = ProviderError { body: Bytes::from_static(b"my prompt"), ..Default::default() };
        let error = Error::provider(ErrorKind::Server, "failed", said);
        assert!(!format!("{error:?}").contains("prompt"));
    }

    #[test]
    fn a_changed_clone_leaves_the_first_alone() {
        let first = Error::new(ErrorKind::Server, "failed");
        let second = first.clone().with_deployment("a");
        assert_eq!(first.deployment(), None);
        assert_eq!(second.deployment(), Some("a"));
    }
}
