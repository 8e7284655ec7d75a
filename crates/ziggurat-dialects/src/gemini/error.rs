//! Errors: what a provider's mean, and how ours read.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use ziggurat_core::{Error, ErrorKind, Origin, ProviderError, Str};

use super::{GEMINI, REQUEST_ID};
use crate::hints::{come_back, contains, redact, text_header};
use crate::json::{self, Array, Fields, Object};
use crate::said::{is_our_credential, said_here};

/// Longer waits than a day are no advice.
const LONGEST_WAIT: f64 = 86_400.0;

/// Reads an answer whose status says that the call failed.
pub(super) fn decode(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let text = Str::from_utf8(body.clone()).unwrap_or_default();
    let told = Told::read(&text);
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => format!("the provider answered with status {}", status.as_u16()),
    };
    let mut said = told.said();
    said.status = Some(status);
    said.request_id = text_header(headers, &REQUEST_ID).map(Str::from);
    said.headers = headers.clone();
    said.body = body;
    let error = Error::provider(told.kind(Some(status)), message, said);
    error.with_retry_after(told.retry_delay.or_else(|| come_back(status, headers)))
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
    let status = told.number.and_then(|number| StatusCode::from_u16(number).ok());
    let error = Error::provider(told.kind(status), message, said);
    error.with_retry_after(told.retry_delay)
}

/// A provider's answer that cannot be used.
pub(super) fn malformed(why: impl std::fmt::Display) -> Error {
    let message = format!("the provider's answer is malformed: {why}");
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// The stream ended, and nothing said that it was complete.
pub(super) fn truncated() -> Error {
    let message = "the stream ended before the reason why it did";
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// What a provider's error says, as far as it is understood.
#[derive(Debug, Default)]
struct Told {
    /// The HTTP status, repeated in the body.
    number: Option<u16>,
    status: Option<Str>,
    message: Option<Str>,
    /// `API_KEY_INVALID`.
    reason: Option<Str>,
    /// Whether a quota of a day is used up.
    per_day: bool,
    retry_delay: Option<Duration>,
}

impl Told {
    fn read(body: &Str) -> Self {
        let mut told = Self::default();
        // Some paths wrap it in a list of one.
        let list: Option<Vec<&RawValue>> = serde_json::from_str(body).ok();
        let whole =
            list.as_ref().and_then(|list| list.first()).map_or(body.as_str(), |raw| raw.get());
        let Ok(mut outer) = serde_json::from_str::<Fields<'_>>(whole) else { return told };
        let text = |fields: &mut Fields<'_>, name: &str| {
            fields.take(name).and_then(|raw| json::shared_text(raw, body))
        };
        let Some(inner) = outer.take("error") else {
            // A proxy's own words.
            told.message = text(&mut outer, "message");
            return told;
        };
        let Ok(mut error) = serde_json::from_str::<Fields<'_>>(inner) else {
            told.message = json::shared_text(inner, body);
            return told;
        };
        told.message = text(&mut error, "message");
        told.status = text(&mut error, "status");
        told.number = error.take("code").and_then(|code| code.parse().ok());
        let details: Vec<Fields<'_>> = error
            .take("details")
            .and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default();
        for mut detail in details {
            let kind = text(&mut detail, "@type").unwrap_or_default();
            match kind.rsplit('.').next() {
                Some("ErrorInfo") => told.reason = text(&mut detail, "reason"),
                Some("RetryInfo") => {
                    told.retry_delay = text(&mut detail, "retryDelay").and_then(|text| span(&text));
                }
                Some("QuotaFailure") => {
                    let violations = detail.take("violations").unwrap_or_default();
                    told.per_day |= violations.contains("PerDay");
                }
                _ => {}
            }
        }
        told
    }

    fn said(&self) -> ProviderError {
        let mut said = ProviderError::default();
        said.dialect = Some(GEMINI);
        said.error_type = self.status.clone();
        said.code = self.reason.clone();
        said
    }

    /// What the error means: by its status word, else by the number.
    fn kind(&self, status: Option<StatusCode>) -> ErrorKind {
        let message = self.message.as_deref().unwrap_or_default();
        let says = |words: &str| contains(message, words);
        let invalid = || match () {
            () if self.reason.as_deref() == Some("API_KEY_INVALID") => ErrorKind::Authentication,
            () if says("API key not valid") => ErrorKind::Authentication,
            () if says("token count") && says("exceeds the maximum") => ErrorKind::ContextLength,
            () if says("exceeds the maximum number of tokens") => ErrorKind::ContextLength,
            () => ErrorKind::InvalidRequest,
        };
        let limited =
            || if self.per_day { ErrorKind::QuotaExhausted } else { ErrorKind::RateLimit };
        match self.status.as_deref().unwrap_or_default() {
            "INVALID_ARGUMENT" | "OUT_OF_RANGE" => match status.map(|status| status.as_u16()) {
                Some(413) => ErrorKind::TooLarge,
                _ => invalid(),
            },
            "FAILED_PRECONDITION" => ErrorKind::Billing,
            "UNAUTHENTICATED" => ErrorKind::Authentication,
            "PERMISSION_DENIED" => ErrorKind::Permission,
            "NOT_FOUND" => ErrorKind::NotFound,
            "ABORTED" | "ALREADY_EXISTS" => ErrorKind::Conflict,
            "RESOURCE_EXHAUSTED" => limited(),
            "CANCELLED" => ErrorKind::Cancelled,
            "UNIMPLEMENTED" => ErrorKind::Unsupported,
            "INTERNAL" | "UNKNOWN" | "DATA_LOSS" => ErrorKind::Server,
            "UNAVAILABLE" => ErrorKind::Overloaded,
            "DEADLINE_EXCEEDED" => ErrorKind::Timeout,
            _ => match status.map(|status| status.as_u16()) {
                Some(400) => invalid(),
                Some(401) => ErrorKind::Authentication,
                Some(402) => ErrorKind::Billing,
                Some(403) => ErrorKind::Permission,
                Some(404) => ErrorKind::NotFound,
                Some(405) => ErrorKind::MethodNotAllowed,
                Some(408 | 504 | 524) => ErrorKind::Timeout,
                Some(409) => ErrorKind::Conflict,
                Some(413) => ErrorKind::TooLarge,
                Some(429) => limited(),
                Some(499) => ErrorKind::Cancelled,
                Some(502) => ErrorKind::BadUpstream,
                Some(503 | 529) => ErrorKind::Overloaded,
                Some(400..=499) => ErrorKind::InvalidRequest,
                Some(500..=599) => ErrorKind::Server,
                _ => ErrorKind::BadUpstream,
            },
        }
    }
}

/// Reads a duration as protobuf writes it: `34s`, `0.5s`.
fn span(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    (0.0..=LONGEST_WAIT).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// Writes an error for a caller.
pub(super) fn encode(error: &Error) -> (StatusCode, Bytes) {
    let mut came = None;
    if let Some(said) = said_here(error, GEMINI)
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
    written.body(error, status, &mut out);
    (status, out.into())
}

/// Whether a body is an error as clients read it.
fn is_envelope(body: &[u8]) -> bool {
    serde_json::from_slice::<Fields<'_>>(body)
        .is_ok_and(|mut outer| outer.take("error").is_some_and(|error| error.starts_with('{')))
}

/// Writes an error into a stream that has begun: the stream ends with it.
pub(super) fn encode_in_stream(error: &Error, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    match said_here(error, GEMINI).map(|said| said.body.trim_ascii()) {
        // Data of an event is one line.
        Some(body) if is_envelope(body) && !body.contains(&b'\n') && !body.contains(&b'\r') => {
            out.extend_from_slice(body);
        }
        _ => {
            let written = Written::of(error);
            written.body(error, written.status, out);
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// Status and status word of an error.
struct Written {
    status: StatusCode,
    word: &'static str,
    /// In place of the error's own.
    message: Option<&'static str>,
}

impl Written {
    fn of(error: &Error) -> Self {
        if is_our_credential(error) {
            return Self {
                status: StatusCode::BAD_GATEWAY,
                word: "INTERNAL",
                message: Some("the provider refused the credential that the gateway presented"),
            };
        }
        let kind = error.kind();
        let word = match kind {
            ErrorKind::Authentication => "UNAUTHENTICATED",
            ErrorKind::Billing => "FAILED_PRECONDITION",
            ErrorKind::Permission => "PERMISSION_DENIED",
            ErrorKind::NotFound => "NOT_FOUND",
            ErrorKind::MethodNotAllowed => "UNIMPLEMENTED",
            ErrorKind::Conflict => "ABORTED",
            ErrorKind::RateLimit | ErrorKind::QuotaExhausted => "RESOURCE_EXHAUSTED",
            ErrorKind::Cancelled => "CANCELLED",
            ErrorKind::Overloaded => "UNAVAILABLE",
            ErrorKind::Timeout | ErrorKind::RequestTimeout => "DEADLINE_EXCEEDED",
            kind if kind.status().is_server_error() => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        };
        Self { status: kind.status(), word, message: None }
    }

    fn body(&self, error: &Error, status: StatusCode, out: &mut Vec<u8>) {
        const TYPE: &str = "type.googleapis.com/google.rpc.";
        let message = self.message.map_or_else(|| redact(error.message()), Cow::Borrowed);
        let mut object = Object::begin(out);
        let mut inner = Object::begin(object.member("error"));
        inner.number("code", status.as_u16());
        inner.text("message", &message);
        inner.text("status", self.word);
        let retry = error.retry_after();
        let param = error.param().filter(|_| self.word == "INVALID_ARGUMENT");
        if param.is_some() || retry.is_some() {
            let mut details = Array::begin(inner.member("details"));
            if let Some(param) = param {
                let mut detail = details.object();
                detail.text("@type", &format!("{TYPE}BadRequest"));
                let mut violations = Array::begin(detail.member("fieldViolations"));
                let mut violation = violations.object();
                violation.text("field", param);
                violation.text("description", &message);
                violation.end();
                violations.end();
                detail.end();
            }
            if let Some(wait) = retry {
                let mut detail = details.object();
                detail.text("@type", &format!("{TYPE}RetryInfo"));
                // Whole seconds: half a second too late is better than too early.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                detail.text("retryDelay", &format!("{seconds}s"));
                detail.end();
            }
            details.end();
        }
        inner.end();
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(status: u16, body: &Value) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        decode(status, &HeaderMap::new(), Bytes::from(body.to_string()))
    }

    fn said(code: u16, status: &str, message: &str) -> Value {
        json!({"error": {"code": code, "message": message, "status": status}})
    }

    #[test]
    fn a_status_and_its_word_are_a_kind() {
        use ErrorKind::*;
        for (status, word, message, kind) in [
            (400, "INVALID_ARGUMENT", "Invalid JSON payload", InvalidRequest),
            (400, "INVALID_ARGUMENT", "API key not valid. Please pass one", Authentication),
            (
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                ContextLength,
            ),
            (400, "FAILED_PRECONDITION", "User location is not supported", Billing),
            (401, "UNAUTHENTICATED", "m", Authentication),
            (403, "PERMISSION_DENIED", "m", Permission),
            (404, "NOT_FOUND", "m", NotFound),
            (409, "ABORTED", "m", Conflict),
            (413, "INVALID_ARGUMENT", "m", TooLarge),
            (429, "RESOURCE_EXHAUSTED", "m", RateLimit),
            (499, "CANCELLED", "m", Cancelled),
            (500, "INTERNAL", "m", Server),
            (503, "UNAVAILABLE", "m", Overloaded),
            (504, "DEADLINE_EXCEEDED", "m", Timeout),
            (502, "", "m", BadUpstream),
            (418, "", "m", InvalidRequest),
            (429, "", "m", RateLimit),
        ] {
            assert_eq!(read(status, &said(status, word, message)).kind(), kind, "{status} {word}");
        }
    }

    #[test]
    fn details_say_more() {
        let mut body = said(429, "RESOURCE_EXHAUSTED", "quota");
        body["error"]["details"] = json!([
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]);
        let error = read(429, &body);
        assert_eq!(error.kind(), ErrorKind::RateLimit);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(34_500)));
        body["error"]["details"] = json!([
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
             "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]);
        assert_eq!(read(429, &body).kind(), ErrorKind::QuotaExhausted);
        let mut body = said(400, "INVALID_ARGUMENT", "m");
        body["error"]["details"] = json!([
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
        assert_eq!(read(400, &body).kind(), ErrorKind::Authentication);
    }

    #[test]
    fn a_list_of_one_and_other_shapes_are_read() {
        let error = read(503, &json!([said(503, "UNAVAILABLE", "busy")]));
        assert_eq!((error.kind(), error.message()), (ErrorKind::Overloaded, "busy"));
        let error = read(500, &json!({"error": "plain"}));
        assert_eq!(error.message(), "plain");
        assert_eq!(read(500, &json!("x")).message(), "the provider answered with status 500");
        let event = said(503, "UNAVAILABLE", "busy").to_string();
        let error = in_body(&Str::from(event.clone()), event.into());
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert_eq!(error.provider_status(), None);
    }

    #[test]
    fn every_kind_reads_as_google_would_say_it() {
        use ErrorKind::*;
        for (kind, status, word) in [
            (InvalidRequest, 400, "INVALID_ARGUMENT"),
            (Unsupported, 400, "INVALID_ARGUMENT"),
            (ContextLength, 400, "INVALID_ARGUMENT"),
            (ContentPolicy, 400, "INVALID_ARGUMENT"),
            (Authentication, 401, "UNAUTHENTICATED"),
            (Billing, 402, "FAILED_PRECONDITION"),
            (Permission, 403, "PERMISSION_DENIED"),
            (NotFound, 404, "NOT_FOUND"),
            (Conflict, 409, "ABORTED"),
            (TooLarge, 413, "INVALID_ARGUMENT"),
            (RateLimit, 429, "RESOURCE_EXHAUSTED"),
            (QuotaExhausted, 429, "RESOURCE_EXHAUSTED"),
            (Cancelled, 499, "CANCELLED"),
            (Server, 500, "INTERNAL"),
            (BadUpstream, 502, "INTERNAL"),
            (Overloaded, 503, "UNAVAILABLE"),
            (Timeout, 504, "DEADLINE_EXCEEDED"),
        ] {
            let (code, body) = encode(&Error::new(kind, "m"));
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(code.as_u16(), status);
            assert_eq!(body, said(status, word, "m"));
        }
    }

    #[test]
    fn the_field_and_the_wait_are_told() {
        let error = Error::invalid("no").with_param("contents[0]");
        let (_, body) = encode(&error.with_retry_after(Duration::from_millis(1500)));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["details"][0]["fieldViolations"][0]["field"], "contents[0]");
        assert_eq!(body["error"]["details"][1]["retryDelay"], "2s");
    }

    #[test]
    fn what_a_provider_said_goes_on_but_for_our_credential() {
        let body = said(503, "UNAVAILABLE", "busy");
        let (status, out) = encode(&read(503, &body));
        assert_eq!((status.as_u16(), out), (503, Bytes::from(body.to_string())));
        let (status, out) = encode(&read(403, &said(403, "PERMISSION_DENIED", "key AIzaSecret")));
        assert_eq!(status, 502);
        assert!(!String::from_utf8(out.to_vec()).unwrap().contains("AIza"));
        let mut event = Vec::new();
        encode_in_stream(&Error::new(ErrorKind::Overloaded, "busy"), &mut event);
        assert_eq!(event, format!("data: {body}\n\n").into_bytes());
    }
}
