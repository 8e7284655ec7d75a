//! Errors: what a provider's mean, and how ours read.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ziggurat_core::{Error, ErrorKind, Origin, ProviderError, Str};

use super::OPENAI;
use super::node::Node;
use crate::hints::{contains, redact, retry_after, text_header};
use crate::json::{self, Object};

/// Reads an answer whose status says that the call failed.
pub(super) fn decode(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let text = Str::from_utf8(body.clone()).unwrap_or_default();
    let told = Told::read(&text);
    let kind = kind_of(status, &told);
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => format!("the provider answered with status {}", status.as_u16()),
    };
    let mut said = told.said();
    said.status = Some(status);
    said.request_id = text_header(headers, &super::REQUEST_ID).map(Str::from);
    said.headers = headers.clone();
    said.body = body;
    let error = Error::provider(kind, message, said);
    told.annotate(match retry_after(headers) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    })
}

/// Reads an error that came in a stream, or in an answer whose status says success.
pub(super) fn in_stream(node: &Node<'_>, event: &Str) -> Error {
    let told = Told::of(node);
    let kind = match told.number() {
        Some(status) => kind_of(status, &told),
        None => kind_by_word(&told).unwrap_or(ErrorKind::BadUpstream),
    };
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => "the provider reported an error in its answer".to_owned(),
    };
    let mut said = told.said();
    said.body = event.clone().into_bytes();
    told.annotate(Error::provider(kind, message, said))
}

/// The stream ended, and nothing said that it was complete.
pub(super) fn truncated() -> Error {
    let message = "the stream ended before its end marker";
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// What a provider's error says, as far as it is understood.
#[derive(Debug, Default)]
struct Told {
    message: Option<Str>,
    error_type: Option<Str>,
    code: Option<Str>,
    param: Option<Str>,
    /// Azure's inner code.
    inner: Option<Str>,
}

impl Told {
    /// Compatible servers wrap their errors in many ways: in `error`, in a list, or not at all.
    fn read(text: &Str) -> Self {
        let root = Node::root("error", text);
        if root.is_object() {
            return match root.get("error") {
                Some(error) => Self::of(&error),
                None => Self::of(&root),
            };
        }
        let mut told = Self::default();
        if root.is_list() {
            // What cannot be read tells nothing.
            drop(root.items(|_, item| {
                told = Self::of(&item.get("error").unwrap_or(item));
                Ok(())
            }));
        }
        told
    }

    fn of(node: &Node<'_>) -> Self {
        if let Some(message) = node.as_string() {
            return Self { message: Some(message), ..Self::default() };
        }
        let names =
            ["message", "type", "code", "param", "detail", "innererror", "error_description"];
        let Ok([message, kind, code, param, detail, inner, description]) = node.pick(names) else {
            return Self::default();
        };
        let string = |node: Option<Node<'_>>| node.and_then(|node| node.as_string());
        let inner = inner.as_ref().and_then(|inner| inner.get("code"));
        Self {
            message: string(message).or_else(|| string(detail)).or_else(|| string(description)),
            error_type: string(kind),
            // A number, for a few servers.
            code: code.and_then(|code| {
                code.as_string().or_else(|| code.as_count().map(|code| code.to_string().into()))
            }),
            param: string(param),
            inner: string(inner),
        }
    }

    /// A code that is an HTTP status.
    fn number(&self) -> Option<StatusCode> {
        let code = self.code.as_deref()?.parse().ok()?;
        (400..600).contains(&code).then(|| StatusCode::from_u16(code).ok()).flatten()
    }

    fn said(&self) -> ProviderError {
        let mut said = ProviderError::default();
        said.dialect = Some(OPENAI);
        said.error_type = self.error_type.clone();
        said.code = self.code.clone();
        said
    }

    fn annotate(&self, mut error: Error) -> Error {
        if let Some(param) = &self.param {
            error = error.with_param(param.to_string());
        }
        if let Some(code) = self.code.as_deref().filter(|code| is_word(code)) {
            error = error.with_code(code.to_owned());
        }
        error
    }

    fn is_any(&self, words: &[&str]) -> bool {
        [&self.code, &self.error_type, &self.inner]
            .into_iter()
            .flatten()
            .any(|told| words.contains(&told.as_str()))
    }
}

/// Codes are kept if they are plain words: others may hold anything.
fn is_word(code: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&code.len())
        && code.bytes().all(plain)
        && code.bytes().any(|byte| byte.is_ascii_lowercase())
}

const CONTEXT: &[&str] = &["context_length_exceeded"];
const POLICY: &[&str] = &[
    "content_policy_violation",
    "invalid_prompt",
    "content_filter",
    "ResponsibleAIPolicyViolation",
];
const UNSUPPORTED: &[&str] = &["unsupported_parameter", "unsupported_value", "unknown_parameter"];
const QUOTA: &[&str] = &["insufficient_quota", "credit_balance_exhausted"];

/// How servers say that the conversation is too long, where they have no code for it.
const TOO_LONG: &[&str] = &[
    "maximum context length",
    "context window",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "exceeds the maximum number of tokens",
    "reduce the length",
];

/// What a status means, and within it the code. The words of a message decide only where there is no code for it.
fn kind_of(status: StatusCode, told: &Told) -> ErrorKind {
    let message = told.message.as_deref().unwrap_or_default();
    match status.as_u16() {
        400 | 422 if told.is_any(CONTEXT) => ErrorKind::ContextLength,
        400 | 422 if told.is_any(POLICY) => ErrorKind::ContentPolicy,
        400 | 422 if told.is_any(UNSUPPORTED) => ErrorKind::Unsupported,
        400 | 422 if TOO_LONG.iter().any(|words| contains(message, words)) => {
            ErrorKind::ContextLength
        }
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        405 => ErrorKind::MethodNotAllowed,
        408 | 504 | 524 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        413 => ErrorKind::TooLarge,
        424 | 502 => ErrorKind::BadUpstream,
        429 if told.is_any(QUOTA) => ErrorKind::QuotaExhausted,
        429 if contains(message, "quota") && contains(message, "billing") => {
            ErrorKind::QuotaExhausted
        }
        429 if told.is_any(&["NoCapacity"]) => ErrorKind::Overloaded,
        429 | 498 => ErrorKind::RateLimit,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::BadUpstream,
    }
}

/// What a type or a code means where there is no status.
fn kind_by_word(told: &Told) -> Option<ErrorKind> {
    Some(match () {
        () if told.is_any(CONTEXT) => ErrorKind::ContextLength,
        () if told.is_any(POLICY) => ErrorKind::ContentPolicy,
        () if told.is_any(UNSUPPORTED) => ErrorKind::Unsupported,
        () if told.is_any(QUOTA) => ErrorKind::QuotaExhausted,
        () if told.is_any(&["rate_limit_exceeded", "rate_limit_error", "requests", "tokens"]) => {
            ErrorKind::RateLimit
        }
        () if told.is_any(&[
            "server_is_overloaded",
            "slow_down",
            "service_unavailable_error",
            "overloaded_error",
        ]) =>
        {
            ErrorKind::Overloaded
        }
        () if told.is_any(&["timeout", "timeout_error"]) => ErrorKind::Timeout,
        () if told.is_any(&["server_error", "internal_server_error", "api_error"]) => {
            ErrorKind::Server
        }
        () if told.is_any(&["invalid_request_error"]) => ErrorKind::InvalidRequest,
        () => return None,
    })
}

/// Writes an error for a caller.
pub(super) fn encode(error: &Error) -> (StatusCode, Bytes) {
    if let Some(said) = error.said()
        && error.origin() == Origin::Provider
        && said.dialect == Some(OPENAI)
        && let Some(status) = said.status
        && !is_our_credential(error)
        && said.body.trim_ascii_start().starts_with(b"{")
    {
        return (status, said.body.clone());
    }
    let written = Written::of(error);
    let status = error.status_override().unwrap_or(written.status);
    (status, written.body(error).into())
}

/// Writes an error into a stream that has begun: the stream ends with it.
pub(super) fn encode_in_stream(error: &Error) -> Vec<u8> {
    let mut out = b"data: ".to_vec();
    out.append(&mut Written::of(error).body(error));
    out.extend_from_slice(b"\n\n");
    out
}

/// Whether a provider refused the credential that this gateway presented: that is not the caller's doing.
fn is_our_credential(error: &Error) -> bool {
    error.origin() == Origin::Provider
        && matches!(error.kind(), ErrorKind::Authentication | ErrorKind::Permission)
}

/// Status, type and code of an error.
struct Written {
    status: StatusCode,
    error_type: &'static str,
    code: Option<&'static str>,
    /// In place of the error's own.
    message: Option<&'static str>,
}

impl Written {
    fn of(error: &Error) -> Self {
        const INVALID: &str = "invalid_request_error";
        if is_our_credential(error) {
            return Self {
                status: StatusCode::BAD_GATEWAY,
                error_type: "server_error",
                code: Some("upstream_auth"),
                message: Some("the provider refused the credential that the gateway presented"),
            };
        }
        let kind = error.kind();
        let (error_type, code) = match kind {
            ErrorKind::InvalidRequest => (INVALID, Some("invalid_value")),
            ErrorKind::Unsupported => (INVALID, Some("unsupported_parameter")),
            ErrorKind::ContextLength => (INVALID, Some("context_length_exceeded")),
            ErrorKind::ContentPolicy => (INVALID, Some("content_policy_violation")),
            ErrorKind::Authentication => (INVALID, Some("invalid_api_key")),
            ErrorKind::Billing | ErrorKind::QuotaExhausted => {
                ("insufficient_quota", Some("insufficient_quota"))
            }
            ErrorKind::Permission => (INVALID, Some("permission_denied")),
            ErrorKind::NotFound => (INVALID, Some("model_not_found")),
            ErrorKind::MethodNotAllowed => (INVALID, Some("method_not_allowed")),
            ErrorKind::Conflict => (INVALID, Some("conflict")),
            ErrorKind::TooLarge => (INVALID, Some("request_too_large")),
            ErrorKind::HeadersTooLarge => (INVALID, Some("headers_too_large")),
            ErrorKind::RequestTimeout => (INVALID, Some("request_timeout")),
            ErrorKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
            ErrorKind::Cancelled => (INVALID, Some("cancelled")),
            ErrorKind::BadUpstream => ("server_error", Some("upstream_error")),
            ErrorKind::Overloaded => ("service_unavailable_error", Some("server_is_overloaded")),
            ErrorKind::Timeout => ("server_error", Some("timeout")),
            _ => ("server_error", None),
        };
        // Clients of this dialect know a spent balance as a 429.
        let status = match kind {
            ErrorKind::Billing => StatusCode::TOO_MANY_REQUESTS,
            kind => kind.status(),
        };
        Self { status, error_type, code, message: None }
    }

    fn body(&self, error: &Error) -> Vec<u8> {
        let own = |said: &ProviderError| said.dialect == Some(OPENAI);
        // A code of another dialect means nothing here.
        let code = match error.said() {
            Some(said) if !own(said) => None,
            _ => error.code(),
        };
        let code = if self.message.is_some() { self.code } else { code.or(self.code) };
        let message = self.message.map_or_else(|| redact(error.message()), Cow::Borrowed);
        let mut out = Vec::with_capacity(160 + message.len());
        let mut object = Object::begin(&mut out);
        let mut inner = Object::begin(object.member("error"));
        inner.text("message", &message);
        inner.text("type", self.error_type);
        for (name, value) in [("param", error.param()), ("code", code)] {
            match value {
                Some(value) => json::string(inner.member(name), value),
                None => inner.raw(name, "null"),
            }
        }
        inner.end();
        object.end();
        out
    }
}
