//! Errors in dialects that have a status and a message for them, and little else.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ziggurat_core::{Dialect, Error, ErrorKind, Origin, ProviderError, Str};

use crate::hints::{come_back, contains, redact, text_header};
use crate::said::is_our_credential;

/// How providers say that the conversation is too long.
const TOO_LONG: [&str; 8] = [
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "exceeds the maximum number of tokens",
    "reduce the length",
];

/// An answer whose status says that the call failed. `message` is what its body says.
pub(crate) fn decode(
    dialect: Dialect,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
    message: Option<Str>,
) -> Error {
    let message = match message {
        Some(message) => message.to_string(),
        None => format!("the provider answered with status {}", status.as_u16()),
    };
    let kind = kind_of(status, &message);
    let mut said = ProviderError::default();
    said.dialect = Some(dialect);
    said.status = Some(status);
    said.request_id = text_header(headers, &dialect.request_id_header()).map(Str::from);
    said.headers = headers.clone();
    said.body = body;
    let error = Error::provider(kind, message, said);
    match come_back(status, headers) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// An error that came in a stream, or in an answer whose status says success. `event` is what came.
pub(crate) fn in_body(dialect: Dialect, message: Option<Str>, event: Bytes) -> Error {
    let message = match message {
        Some(message) => message.to_string(),
        None => "the provider reported an error in its answer".to_owned(),
    };
    let kind = match () {
        () if is_too_long(&message) => ErrorKind::ContextLength,
        () if contains(&message, "overloaded") || contains(&message, "server busy") => {
            ErrorKind::Overloaded
        }
        () if contains(&message, "rate limit") => ErrorKind::RateLimit,
        () if contains(&message, "timed out") || contains(&message, "timeout") => {
            ErrorKind::Timeout
        }
        () => ErrorKind::BadUpstream,
    };
    let mut said = ProviderError::default();
    said.dialect = Some(dialect);
    said.body = event;
    Error::provider(kind, message, said)
}

fn is_too_long(message: &str) -> bool {
    TOO_LONG.iter().any(|words| contains(message, words))
}

/// What a status means. The words of the message decide only where there is no status for it.
fn kind_of(status: StatusCode, message: &str) -> ErrorKind {
    match status.as_u16() {
        400 | 422 if is_too_long(message) => ErrorKind::ContextLength,
        400 | 422 if contains(message, "does not support") => ErrorKind::Unsupported,
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        405 => ErrorKind::MethodNotAllowed,
        408 | 504 | 524 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimit,
        // Cohere blocked the request.
        498 => ErrorKind::ContentPolicy,
        499 => ErrorKind::Cancelled,
        502 => ErrorKind::BadUpstream,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::BadUpstream,
    }
}

/// A provider's answer that cannot be used.
pub(crate) fn malformed(why: impl std::fmt::Display) -> Error {
    let message = format!("the provider's answer is malformed: {why}");
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// What is wrong with an answer is not the caller's fault.
pub(crate) fn misread(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidRequest => malformed(error),
        _ => error,
    }
}

/// The stream ended, and nothing said that it was complete.
pub(crate) fn truncated() -> Error {
    let message = "the stream ended before its last event";
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// The model gave up.
pub(crate) fn failed() -> Error {
    let message = "the model failed before its answer was complete";
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// The provider has no such operation.
pub(crate) fn unknown(operation: ziggurat_core::Operation) -> Error {
    let message = format!("the provider has no such operation: {operation}");
    Error::new(ErrorKind::Unsupported, message)
}

/// Status and message of an error for its caller.
pub(crate) fn told(error: &Error) -> (StatusCode, Cow<'_, str>) {
    if is_our_credential(error) {
        let message = "the provider refused the credential that the gateway presented";
        return (StatusCode::BAD_GATEWAY, Cow::Borrowed(message));
    }
    let status = error.status_override().unwrap_or_else(|| error.kind().status());
    (status, redact(error.message()))
}
