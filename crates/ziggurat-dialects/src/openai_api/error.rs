//! Errors: what a provider's mean, and how ours read.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ziggurat_core::{Dialect, Error, ErrorKind, Origin, ProviderError, RawJson, Str};

use crate::hints::{come_back, contains, redact, text_header};
use crate::json::{self, Object};
use crate::node::Node;
use crate::openai_api::{REQUEST_ID, is_family};
use crate::said::is_our_credential;

/// Reads an answer whose status says that the call failed.
pub(crate) fn decode(
    dialect: Dialect,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Error {
    let text = Str::from_utf8(body.clone()).unwrap_or_default();
    let told = Told::read(&text);
    let kind = kind_of(status, &told);
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => format!("the provider answered with status {}", status.as_u16()),
    };
    let mut said = told.said(dialect);
    said.status = Some(status);
    said.request_id = text_header(headers, &REQUEST_ID).map(Str::from);
    said.headers = headers.clone();
    said.body = body;
    let error = Error::provider(kind, message, said);
    told.annotate(match come_back(status, headers) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    })
}

/// Reads an error that came in a stream, or in an answer whose status says success.
pub(crate) fn in_stream(dialect: Dialect, node: &Node<'_>, event: &Str) -> Error {
    let told = Told::of(node);
    let kind = match told.number() {
        Some(status) => kind_of(status, &told),
        None => kind_by_word(&told).unwrap_or(ErrorKind::BadUpstream),
    };
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => "the provider reported an error in its answer".to_owned(),
    };
    let mut said = told.said(dialect);
    said.body = event.clone().into_bytes();
    told.annotate(Error::provider(kind, message, said))
}

/// The stream ended, and nothing said that it was complete.
pub(crate) fn truncated() -> Error {
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

    fn said(&self, dialect: Dialect) -> ProviderError {
        let mut said = ProviderError::default();
        said.dialect = Some(dialect);
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
    "bio_policy",
    "image_content_policy_violation",
    "misalignment_policy_violation",
];
/// What is wrong with a picture, in an answer that failed because of it.
const IMAGES: &[&str] = &[
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
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
        () if told.is_any(&["invalid_request_error"]) || told.is_any(IMAGES) => {
            ErrorKind::InvalidRequest
        }
        () => return None,
    })
}

/// Writes an error for a caller.
pub(crate) fn encode(error: &Error) -> (StatusCode, Bytes) {
    let mut came = None;
    if let Some(said) = error.said()
        && error.origin() == Origin::Provider
        && said.dialect.is_some_and(is_family)
        && let Some(status) = said.status.filter(|status| status.as_u16() >= 400)
        && !is_our_credential(error)
    {
        if is_envelope(&said.body) {
            return (status, said.body.clone());
        }
        came = Some(status);
    }
    let written = Written::of(error);
    let status = came.or_else(|| error.status_override()).unwrap_or(written.status);
    (status, written.body(error).into())
}

/// Whether a body is an error as clients read it. Some servers put only words into `error`, or say it elsewhere.
fn is_envelope(body: &Bytes) -> bool {
    let Ok(text) = Str::from_utf8(body.clone()) else { return false };
    let named = Node::root("error", &text).get("error").is_some_and(|error| error.is_object());
    named && RawJson::parse(text).is_ok()
}

/// Writes an error into a stream that has begun: the stream ends with it.
pub(crate) fn encode_in_stream(error: &Error) -> Vec<u8> {
    let mut out = b"data: ".to_vec();
    out.append(&mut Written::of(error).body(error));
    out.extend_from_slice(b"\n\n");
    out
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
        let own = |said: &ProviderError| said.dialect.is_some_and(is_family);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;
    use crate::OPENAI;

    fn read(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        decode(OPENAI, status, &HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()))
    }

    fn body(code: &str) -> String {
        json!({"error": {"message": "m", "type": "t", "param": null, "code": code}}).to_string()
    }

    fn written(error: &Error) -> (u16, Value) {
        let (status, body) = encode(error);
        (status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn a_status_and_a_code_are_a_kind() {
        use ErrorKind::*;
        for (status, code, kind) in [
            (400, "context_length_exceeded", ContextLength),
            (400, "content_policy_violation", ContentPolicy),
            (400, "invalid_prompt", ContentPolicy),
            (400, "content_filter", ContentPolicy),
            (400, "unsupported_parameter", Unsupported),
            (400, "unknown_parameter", Unsupported),
            (400, "invalid_value", InvalidRequest),
            (422, "", InvalidRequest),
            (401, "", Authentication),
            (402, "", Billing),
            (403, "", Permission),
            (404, "model_not_found", NotFound),
            (404, "DeploymentNotFound", NotFound),
            (408, "", Timeout),
            (504, "", Timeout),
            (524, "", Timeout),
            (409, "", Conflict),
            (413, "", TooLarge),
            (424, "", BadUpstream),
            (429, "insufficient_quota", QuotaExhausted),
            (429, "credit_balance_exhausted", QuotaExhausted),
            (429, "rate_limit_exceeded", RateLimit),
            (429, "NoCapacity", Overloaded),
            (498, "", RateLimit),
            (500, "", Server),
            (520, "", Server),
            (502, "", BadUpstream),
            (503, "slow_down", Overloaded),
        ] {
            assert_eq!(read(status, &body(code)).kind(), kind, "{status} {code}");
        }
    }

    #[test]
    fn words_decide_where_there_is_no_code() {
        let kind = |status, message: &str| {
            read(status, &json!({"error": {"message": message}}).to_string()).kind()
        };
        let long = "This model's Maximum Context Length is 8192 tokens";
        assert_eq!(kind(400, long), ErrorKind::ContextLength);
        assert_eq!(kind(500, long), ErrorKind::Server, "the status comes first");
        let spent = "You exceeded your current quota, please check your plan and billing details";
        assert_eq!(kind(429, spent), ErrorKind::QuotaExhausted);
    }

    #[test]
    fn errors_are_found_however_they_are_wrapped() {
        for body in [
            r#"{"error":{"message":"it broke","type":"t"}}"#,
            r#"{"error":"it broke"}"#,
            r#"{"message":"it broke","code":7}"#,
            r#"{"detail":"it broke"}"#,
            r#"{"error":{"error_description":"it broke"}}"#,
            r#"[{"error":{"message":"it broke","code":503}}]"#,
        ] {
            assert_eq!(read(500, body).message(), "it broke", "{body}");
        }
    }

    #[test]
    fn a_body_that_is_no_json_counts_by_its_status_and_is_kept() {
        let html = "<html><body>Service Unavailable</body></html>";
        let error = read(503, html);
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert_eq!(error.message(), "the provider answered with status 503");
        assert_eq!(error.said().unwrap().body, html);
        let (status, body) = written(&error);
        assert_eq!(status, 503);
        assert_eq!(body["error"]["code"], "server_is_overloaded");
    }

    #[test]
    fn what_the_provider_said_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("req_1"));
        headers.insert("retry-after-ms", HeaderValue::from_static("1500"));
        headers.insert("retry-after", HeaderValue::from_static("9"));
        let body = json!({"error": {"message": "slow", "type": "tokens", "param": "p",
            "code": "rate_limit_exceeded"}});
        let error =
            decode(OPENAI, StatusCode::TOO_MANY_REQUESTS, &headers, Bytes::from(body.to_string()));
        assert_eq!(error.origin(), Origin::Provider);
        assert_eq!(error.message(), "slow");
        assert_eq!(error.param(), Some("p"));
        assert_eq!(error.code(), Some("rate_limit_exceeded"));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        let said = error.said().unwrap();
        assert_eq!(said.request_id.as_deref(), Some("req_1"));
        assert_eq!(said.error_type.as_deref(), Some("tokens"));
        assert_eq!(said.status, Some(StatusCode::TOO_MANY_REQUESTS));
    }

    #[test]
    fn an_error_of_this_dialect_reaches_the_caller_as_it_came() {
        let body = "{\n  \"error\": {\"message\": \"m\", \"new\": 1.50}\n}\n";
        let (status, bytes) = encode(&read(418, body));
        assert_eq!(status, 418);
        assert_eq!(bytes, body);
    }

    #[test]
    fn an_error_in_a_shape_of_its_own_is_put_into_the_one_that_clients_read() {
        // Ollama's words and FastAPI's reached the client as an error without a message.
        for body in [r#"{"error":"no such model"}"#, r#"{"detail":"no such model"}"#] {
            let (status, written) = written(&read(422, body));
            assert_eq!(status, 422, "{body}");
            assert_eq!(written["error"]["message"], "no such model", "{body}");
        }
        let (status, written) = written(&read(404, "404 page not found"));
        assert_eq!(status, 404);
        assert_eq!(written["error"]["message"], "the provider answered with status 404");
    }

    #[test]
    fn a_redirection_is_no_answer_to_a_call() {
        let (status, bytes) = encode(&read(302, r#"{"error":{"message":"m"}}"#));
        assert_eq!(status, 502);
        assert!(bytes.starts_with(b"{"));
    }

    #[test]
    fn our_own_credential_is_not_the_callers_fault() {
        for status in [401, 403] {
            let error = read(status, r#"{"error":{"message":"Incorrect API key: sk-abc"}}"#);
            let (status, body) = written(&error);
            assert_eq!(status, 502);
            assert!(!body.to_string().contains("sk-abc"));
            assert_eq!(body["error"]["type"], "server_error");
        }
        // The caller's own key is the caller's.
        let own = Error::new(ErrorKind::Authentication, "no such key");
        assert_eq!(written(&own).0, 401);
    }

    #[test]
    fn every_kind_is_written_with_all_four_members() {
        use ErrorKind::*;
        for (kind, status, error_type, code) in [
            (InvalidRequest, 400, "invalid_request_error", json!("invalid_value")),
            (Unsupported, 400, "invalid_request_error", json!("unsupported_parameter")),
            (ContextLength, 400, "invalid_request_error", json!("context_length_exceeded")),
            (ContentPolicy, 400, "invalid_request_error", json!("content_policy_violation")),
            (Authentication, 401, "invalid_request_error", json!("invalid_api_key")),
            (Billing, 429, "insufficient_quota", json!("insufficient_quota")),
            (Permission, 403, "invalid_request_error", json!("permission_denied")),
            (NotFound, 404, "invalid_request_error", json!("model_not_found")),
            (MethodNotAllowed, 405, "invalid_request_error", json!("method_not_allowed")),
            (Conflict, 409, "invalid_request_error", json!("conflict")),
            (TooLarge, 413, "invalid_request_error", json!("request_too_large")),
            (RequestTimeout, 408, "invalid_request_error", json!("request_timeout")),
            (RateLimit, 429, "rate_limit_error", json!("rate_limit_exceeded")),
            (QuotaExhausted, 429, "insufficient_quota", json!("insufficient_quota")),
            (Cancelled, 499, "invalid_request_error", json!("cancelled")),
            (Server, 500, "server_error", Value::Null),
            (BadUpstream, 502, "server_error", json!("upstream_error")),
            (Overloaded, 503, "service_unavailable_error", json!("server_is_overloaded")),
            (Timeout, 504, "server_error", json!("timeout")),
        ] {
            let expected =
                json!({"error": {"message": "m", "type": error_type, "param": null, "code": code}});
            assert_eq!(written(&Error::new(kind, "m")), (status, expected), "{kind:?}");
        }
        let named = Error::invalid("m").with_param("messages").with_code("invalid_type");
        let (_, body) = written(&named);
        assert_eq!(body["error"]["param"], "messages");
        assert_eq!(body["error"]["code"], "invalid_type");
        let teapot = Error::invalid("m").with_status(StatusCode::IM_A_TEAPOT);
        assert_eq!(written(&teapot).0, 418);
    }

    #[test]
    fn an_error_of_another_dialect_is_said_in_this_ones_words() {
        let mut said = ProviderError::default();
        said.status = StatusCode::from_u16(529).ok();
        said.body = Bytes::from_static(b"{\"type\":\"error\"}");
        let error =
            Error::provider(ErrorKind::Overloaded, "organization org-12345678 is busy", said)
                .with_code("overloaded_error");
        let (status, body) = written(&error);
        assert_eq!(status, 503);
        assert_eq!(body["error"]["code"], "server_is_overloaded");
        assert_eq!(body["error"]["message"], "organization [redacted] is busy");
    }

    #[test]
    fn an_error_in_a_stream_is_one_event() {
        let error = read(500, "{\n\"error\": {\"message\": \"a\\nb\"}}");
        let event = String::from_utf8(encode_in_stream(&error)).unwrap();
        assert_eq!(
            event,
            "data: {\"error\":{\"message\":\"a\\nb\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
        );
    }
}
