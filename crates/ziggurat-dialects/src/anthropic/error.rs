//! Errors: what a provider's mean, and how ours read.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ziggurat_core::{Error, ErrorKind, Origin, ProviderError, Str};

use super::{ANTHROPIC, REQUEST_ID};
use crate::fields::NO_THREADS;
use crate::hints::{come_back, contains, redact, text_header};
use crate::json::{self, Fields, Object};
use crate::said::{is_our_credential, said_here};

/// The status of an overloaded provider.
const OVERLOADED: StatusCode = match StatusCode::from_u16(529) {
    Ok(status) => status,
    Err(_) => StatusCode::SERVICE_UNAVAILABLE,
};

/// Reads an answer whose status says that the call failed.
pub(super) fn decode(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let text = Str::from_utf8(body.clone()).unwrap_or_default();
    let told = Told::read(&text);
    let kind = told.kind(Some(status));
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => format!("the provider answered with status {}", status.as_u16()),
    };
    let mut said = told.said();
    said.status = Some(status);
    if let Some(id) = text_header(headers, &REQUEST_ID) {
        said.request_id = Some(Str::from(id));
    }
    said.headers = headers.clone();
    said.body = body;
    let error = told.annotate(Error::provider(kind, message, said));
    match come_back(status, headers) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// Reads an error that came in a stream, or in an answer whose status says success. `event` is what came.
pub(super) fn in_body(text: &Str, event: Bytes) -> Error {
    let told = Told::read(text);
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => "the provider reported an error in its answer".to_owned(),
    };
    let mut said = told.said();
    said.body = event;
    told.annotate(Error::provider(told.kind(None), message, said))
}

/// A provider's answer that cannot be used.
pub(super) fn malformed(why: impl std::fmt::Display) -> Error {
    let message = format!("the provider's answer is malformed: {why}");
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// The stream ended, and nothing said that it was complete.
pub(super) fn truncated() -> Error {
    let message = "the stream ended before its last event";
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// What a provider's error says, as far as it is understood.
#[derive(Debug, Default)]
struct Told {
    error_type: Option<Str>,
    message: Option<Str>,
    code: Option<Str>,
    request_id: Option<Str>,
}

impl Told {
    fn read(body: &Str) -> Self {
        let mut told = Self::default();
        let Ok(mut outer) = serde_json::from_str::<Fields<'_>>(body) else { return told };
        let text = |fields: &mut Fields<'_>, name: &str| {
            fields.take(name).and_then(|raw| json::shared_text(raw, body))
        };
        told.request_id = text(&mut outer, "request_id");
        let Some(Ok(mut error)) = outer.take("error").map(serde_json::from_str::<Fields<'_>>)
        else {
            // A proxy's own words.
            told.message = text(&mut outer, "message");
            return told;
        };
        told.error_type = text(&mut error, "type");
        told.message = text(&mut error, "message");
        if let Some(Ok(mut details)) = error.take("details").map(serde_json::from_str::<Fields<'_>>)
        {
            told.code = text(&mut details, "error_code");
        }
        told
    }

    fn said(&self) -> ProviderError {
        let mut said = ProviderError::default();
        said.dialect = Some(ANTHROPIC);
        said.error_type = self.error_type.clone();
        said.code = self.code.clone();
        said.request_id = self.request_id.clone();
        said
    }

    fn annotate(&self, error: Error) -> Error {
        match &self.code {
            Some(code) => error.with_code(code.to_string()),
            None => error,
        }
    }

    /// What the error means: by its type where that says more than the status, else by the status.
    fn kind(&self, status: Option<StatusCode>) -> ErrorKind {
        let message = self.message.as_deref().unwrap_or_default();
        let says = |words: &str| contains(message, words);
        let by_type = match self.error_type.as_deref().unwrap_or_default() {
            "invalid_request_error" => Some(match () {
                () if says("prompt is too long") || says("exceed context limit") => {
                    ErrorKind::ContextLength
                }
                () if says("credit balance") || says("spend limit") => ErrorKind::Billing,
                () => ErrorKind::InvalidRequest,
            }),
            "authentication_error" => Some(ErrorKind::Authentication),
            "billing_error" => Some(ErrorKind::Billing),
            "permission_error" => Some(ErrorKind::Permission),
            "not_found_error" => Some(ErrorKind::NotFound),
            "conflict_error" => Some(ErrorKind::Conflict),
            "request_too_large" => Some(ErrorKind::TooLarge),
            "rate_limit_error" => Some(match self.code.as_deref() {
                Some("enforced_spend_limit_reached" | "contract_spend_limit_reached") => {
                    ErrorKind::QuotaExhausted
                }
                _ => ErrorKind::RateLimit,
            }),
            "timeout_error" => Some(ErrorKind::Timeout),
            "overloaded_error" => Some(ErrorKind::Overloaded),
            "api_error" if status.is_none() => Some(ErrorKind::Server),
            _ => None,
        };
        if let Some(kind) = by_type {
            // Other refusals go by the type of an invalid request.
            let other = status.filter(|status| *status != StatusCode::BAD_REQUEST);
            if kind != ErrorKind::InvalidRequest || other.is_none() {
                return kind;
            }
        }
        match status.map(|status| status.as_u16()) {
            Some(401) => ErrorKind::Authentication,
            Some(402) => ErrorKind::Billing,
            Some(403) => ErrorKind::Permission,
            Some(404) => ErrorKind::NotFound,
            Some(405) => ErrorKind::MethodNotAllowed,
            Some(408 | 504 | 524) => ErrorKind::Timeout,
            Some(409) => ErrorKind::Conflict,
            Some(413) => ErrorKind::TooLarge,
            Some(429) => ErrorKind::RateLimit,
            Some(502) => ErrorKind::BadUpstream,
            Some(503 | 529) => ErrorKind::Overloaded,
            Some(400..=499) => ErrorKind::InvalidRequest,
            Some(500..=599) => ErrorKind::Server,
            _ => ErrorKind::BadUpstream,
        }
    }
}

/// Writes an error for a caller.
pub(super) fn encode(error: &Error, request_id: Option<&str>) -> (StatusCode, Bytes) {
    let mut came = None;
    if let Some(said) = said_here(error, ANTHROPIC)
        && let Some(status) = said.status.filter(|status| status.as_u16() >= 400)
    {
        if is_envelope(&said.body) {
            return (status, said.body.clone());
        }
        came = Some(status);
    }
    let written = Written::of(error);
    let status = came.or_else(|| error.status_override()).unwrap_or(written.status);
    let mut out = Vec::with_capacity(192);
    written.body(error, request_id, &mut out);
    (status, out.into())
}

/// Whether a body is an error as clients read it.
fn is_envelope(body: &[u8]) -> bool {
    serde_json::from_slice::<Fields<'_>>(body)
        .is_ok_and(|mut outer| outer.take("error").is_some_and(|error| error.starts_with('{')))
}

/// Writes an error into a stream that has begun: the stream ends with it.
pub(super) fn encode_in_stream(error: &Error, request_id: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: ");
    match said_here(error, ANTHROPIC).map(|said| said.body.trim_ascii()) {
        // Data of an event is one line.
        Some(body)
            if body.starts_with(b"{") && !body.contains(&b'\n') && !body.contains(&b'\r') =>
        {
            out.extend_from_slice(body);
        }
        _ => Written::of(error).body(error, request_id, out),
    }
    out.extend_from_slice(b"\n\n");
}

/// Status and type of an error.
struct Written {
    status: StatusCode,
    error_type: &'static str,
    /// In place of the error's own.
    message: Option<&'static str>,
}

impl Written {
    fn of(error: &Error) -> Self {
        const INVALID: &str = "invalid_request_error";
        if is_our_credential(error) {
            return Self {
                status: StatusCode::BAD_GATEWAY,
                error_type: "api_error",
                message: Some("the provider refused the credential that the gateway presented"),
            };
        }
        let kind = error.kind();
        let error_type = match kind {
            ErrorKind::Authentication => "authentication_error",
            ErrorKind::Billing => "billing_error",
            ErrorKind::Permission => "permission_error",
            ErrorKind::NotFound => "not_found_error",
            ErrorKind::Conflict => "conflict_error",
            ErrorKind::TooLarge => "request_too_large",
            ErrorKind::RateLimit | ErrorKind::QuotaExhausted => "rate_limit_error",
            ErrorKind::Overloaded => "overloaded_error",
            ErrorKind::Timeout | ErrorKind::RequestTimeout => "timeout_error",
            ErrorKind::Server | ErrorKind::BadUpstream | ErrorKind::Cancelled => "api_error",
            kind if kind.status().is_server_error() => "api_error",
            _ => INVALID,
        };
        let status = if kind == ErrorKind::Overloaded { OVERLOADED } else { kind.status() };
        Self { status, error_type, message: None }
    }

    fn body(&self, error: &Error, request_id: Option<&str>, out: &mut Vec<u8>) {
        let message = self.message.map_or_else(|| redact(error.message()), Cow::Borrowed);
        let mut object = Object::begin(out);
        object.text("type", "error");
        let mut inner = Object::begin(object.member("error"));
        inner.text("type", self.error_type);
        // Clients know an overlong conversation by these words.
        if error.kind() == ErrorKind::ContextLength && !contains(&message, "prompt is too long") {
            inner.text("message", &format!("prompt is too long: {message}"));
        } else {
            inner.text("message", &message);
        }
        // Clients go by the code where there is something to be done about it.
        if let Some(code) = error.code().filter(|code| *code == NO_THREADS) {
            let mut details = Object::begin(inner.member("details"));
            details.text("error_code", code);
            details.end();
        }
        inner.end();
        match request_id {
            Some(id) => object.text("request_id", id),
            None => object.raw("request_id", "null"),
        }
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn decoded(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        decode(status, &HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()))
    }

    fn error(kind: &str, message: &str, code: &str) -> String {
        format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}","details":{{"error_code":"{code}"}}}},"request_id":"req_1"}}"#
        )
    }

    #[test]
    fn every_error_of_the_provider_has_a_kind() {
        use ErrorKind::*;
        for (status, kind, message, code, expected) in [
            (400, "invalid_request_error", "prompt is too long: 9 tokens > 8", "", ContextLength),
            (
                400,
                "invalid_request_error",
                "input length and max_tokens exceed context limit",
                "",
                ContextLength,
            ),
            (400, "invalid_request_error", "Your credit balance is too low", "", Billing),
            (400, "invalid_request_error", "max_tokens: missing", "", InvalidRequest),
            (422, "invalid_request_error", "x", "", InvalidRequest),
            (401, "authentication_error", "x", "", Authentication),
            (402, "billing_error", "x", "", Billing),
            (403, "permission_error", "x", "", Permission),
            (404, "not_found_error", "x", "", NotFound),
            (409, "conflict_error", "x", "", Conflict),
            (413, "request_too_large", "x", "", TooLarge),
            (429, "rate_limit_error", "x", "ramp_limit_exceeded", RateLimit),
            (429, "rate_limit_error", "x", "enforced_spend_limit_reached", QuotaExhausted),
            (429, "rate_limit_error", "x", "contract_spend_limit_reached", QuotaExhausted),
            (500, "api_error", "x", "", Server),
            (503, "api_error", "x", "", Overloaded),
            (504, "timeout_error", "x", "", Timeout),
            (529, "overloaded_error", "x", "", Overloaded),
        ] {
            let error = decoded(status, &error(kind, message, code));
            assert_eq!(error.kind(), expected, "{status} {kind} {message}");
            assert_eq!(error.message(), message);
            assert_eq!(error.said().unwrap().request_id.as_deref(), Some("req_1"));
        }
    }

    #[test]
    fn a_body_that_is_no_error_goes_by_its_status() {
        use ErrorKind::*;
        for (status, expected) in [
            (401, Authentication),
            (408, Timeout),
            (413, TooLarge),
            (418, InvalidRequest),
            (502, BadUpstream),
            (520, Server),
            (529, Overloaded),
        ] {
            let error = decoded(status, "<html>no</html>");
            assert_eq!(error.kind(), expected, "{status}");
            assert_eq!(error.message(), format!("the provider answered with status {status}"));
        }
    }

    #[test]
    fn the_headers_say_when_to_come_back() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("12"));
        headers.insert("request-id", HeaderValue::from_static("req_2"));
        let error = decode(StatusCode::TOO_MANY_REQUESTS, &headers, Bytes::new());
        assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(12)));
        assert_eq!(error.said().unwrap().request_id.as_deref(), Some("req_2"));
    }

    #[test]
    fn every_kind_has_its_status_and_type() {
        use ErrorKind::*;
        for (kind, status, error_type) in [
            (InvalidRequest, 400, "invalid_request_error"),
            (Unsupported, 400, "invalid_request_error"),
            (ContextLength, 400, "invalid_request_error"),
            (ContentPolicy, 400, "invalid_request_error"),
            (Authentication, 401, "authentication_error"),
            (Billing, 402, "billing_error"),
            (Permission, 403, "permission_error"),
            (NotFound, 404, "not_found_error"),
            (MethodNotAllowed, 405, "invalid_request_error"),
            (Conflict, 409, "conflict_error"),
            (TooLarge, 413, "request_too_large"),
            (HeadersTooLarge, 431, "invalid_request_error"),
            (RequestTimeout, 408, "timeout_error"),
            (RateLimit, 429, "rate_limit_error"),
            (QuotaExhausted, 429, "rate_limit_error"),
            (Cancelled, 499, "api_error"),
            (Server, 500, "api_error"),
            (BadUpstream, 502, "api_error"),
            (Overloaded, 529, "overloaded_error"),
            (Timeout, 504, "timeout_error"),
        ] {
            let (written, body) = encode(&Error::new(kind, "no"), Some("req_9"));
            assert_eq!(written, status, "{kind:?}");
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["type"], "error");
            assert_eq!(body["error"]["type"], error_type);
            assert_eq!(body["request_id"], "req_9");
            let prefix = if kind == ContextLength { "prompt is too long: " } else { "" };
            assert_eq!(body["error"]["message"], format!("{prefix}no"));
        }
    }

    #[test]
    fn the_providers_own_words_come_back_untouched() {
        let body = error("overloaded_error", "Overloaded", "x");
        let proxy = decoded(404, r#"{"message":"no route"}"#);
        let (status, written) = encode(&proxy, Some("ours"));
        assert_eq!(status, 404);
        assert!(written.starts_with(
            br#"{"type":"error","error":{"type":"not_found_error","message":"no route"}"#
        ));
        let (status, written) = encode(&decoded(529, &body), Some("ours"));
        assert_eq!((status.as_u16(), &written[..]), (529, body.as_bytes()));
        let mut stream = Vec::new();
        encode_in_stream(&decoded(529, &body), None, &mut stream);
        assert_eq!(stream, format!("event: error\ndata: {body}\n\n").into_bytes());
    }

    #[test]
    fn our_own_credential_is_not_the_callers_fault() {
        for status in [401, 403] {
            let refused = decoded(status, &error("authentication_error", "invalid x-api-key", "x"));
            let (status, body) = encode(&refused, None);
            assert_eq!(status, 502);
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["type"], "api_error");
            assert!(!body.to_string().contains("x-api-key"));
        }
        // A caller who brought the key gets to read what it is worth.
        let own =
            decoded(401, &error("authentication_error", "no", "x")).with_origin(Origin::Caller);
        assert_eq!(encode(&own, None).0, 401);
    }

    #[test]
    fn keys_in_messages_are_not_repeated() {
        let leak = Error::new(ErrorKind::Server, "bad key sk-ant-api03-abcdef");
        assert!(!String::from_utf8_lossy(&encode(&leak, None).1).contains("abcdef"));
    }

    #[test]
    fn an_error_in_a_stream_goes_by_its_type() {
        let text = Str::from(error("overloaded_error", "Overloaded", "x"));
        let event = Bytes::from_static(b"event");
        let error = in_body(&text, event);
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert_eq!(error.provider_status(), None);
        assert_eq!(in_body(&Str::from("{}"), Bytes::new()).kind(), ErrorKind::BadUpstream);
    }
}
