//! What to do about an error, and who erred.

use http::StatusCode;

/// What an error is, by what can be done about it.
///
/// Each dialect has its own status, type and code for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be understood, or breaks a rule.
    InvalidRequest,
    /// The request is fine, but this model cannot do what it asks.
    Unsupported,
    /// The conversation is longer than the model takes.
    ContextLength,
    /// The provider's policy forbids the content.
    ContentPolicy,
    /// The key is missing or wrong.
    Authentication,
    /// The account has no credit.
    Billing,
    /// The key does not allow this.
    Permission,
    /// There is no such model, path or object.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The request collides with another.
    Conflict,
    /// The body is larger than is taken.
    TooLarge,
    /// The headers are larger than is taken.
    HeadersTooLarge,
    /// The caller did not send its request in time.
    RequestTimeout,
    /// Too many requests or tokens for now.
    RateLimit,
    /// The quota is used up: coming back soon does not help.
    QuotaExhausted,
    /// The call was given up, mostly because the caller left.
    Cancelled,
    /// Something broke.
    Server,
    /// The provider's answer cannot be used: unreachable, malformed, cut.
    BadUpstream,
    /// There is no capacity for the moment.
    Overloaded,
    /// The provider did not answer in time.
    Timeout,
}

impl ErrorKind {
    /// The usual HTTP status of this kind.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::Unsupported
            | Self::ContextLength
            | Self::ContentPolicy => StatusCode::BAD_REQUEST,
            Self::Authentication => StatusCode::UNAUTHORIZED,
            Self::Billing => StatusCode::PAYMENT_REQUIRED,
            Self::Permission => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimit | Self::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Cancelled => CLIENT_CLOSED_REQUEST,
            Self::Server => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadUpstream => StatusCode::BAD_GATEWAY,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether the same call may succeed when it is sent again.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Conflict
                | Self::RateLimit
                | Self::Server
                | Self::BadUpstream
                | Self::Overloaded
                | Self::Timeout
        )
    }

    /// Whether an error of this kind is the caller's, unless something else is known.
    #[must_use]
    pub fn is_callers(self) -> bool {
        matches!(
            self,
            Self::InvalidRequest
                | Self::Unsupported
                | Self::ContextLength
                | Self::ContentPolicy
                | Self::Authentication
                | Self::Permission
                | Self::NotFound
                | Self::MethodNotAllowed
                | Self::TooLarge
                | Self::HeadersTooLarge
                | Self::RequestTimeout
                | Self::Cancelled
        )
    }

    /// A short name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unsupported => "unsupported",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::Authentication => "authentication",
            Self::Billing => "billing",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::RateLimit => "rate_limit",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Cancelled => "cancelled",
            Self::Server => "server",
            Self::BadUpstream => "bad_upstream",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
        }
    }
}

/// Who erred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The one who asked.
    Caller,
    /// This program, or the one who runs it.
    Gateway,
    /// The provider, or the way to it.
    Provider,
}

/// 499, nginx's status for a client that closed its request.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};
