//! Errors: what a provider's mean, and how ours read.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ziggurat_core::{Error, ErrorKind, Origin, ProviderError, Str};

use super::{CONVERSE, ERROR_TYPE, REQUEST_ID};
use crate::framing::event_stream::{self, Message};
use crate::hints::{come_back, contains, redact, text_header};
use crate::json::{self, Fields, Object};
use crate::said::{is_our_credential, said_here};

/// Reads an answer whose status says that the call failed.
pub(super) fn decode(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let text = Str::from_utf8(body.clone()).unwrap_or_default();
    let mut told = Told::read(&text);
    // `ValidationException:http://internal.amazon.com/…`
    let header = text_header(headers, &ERROR_TYPE).and_then(|name| name.split(':').next());
    if let Some(name) = header.map(str::trim).filter(|name| !name.is_empty()) {
        told.error_type = Some(Str::from(name));
    }
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
    match come_back(status, headers) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// Reads an exception that came in a stream.
pub(super) fn in_stream(message: &Message) -> Error {
    let payload = message.payload();
    let text = Str::from_utf8(payload.clone()).unwrap_or_default();
    let mut told = Told::read(&text);
    let name = message.header(":exception-type").or_else(|| message.header(":error-code"));
    told.error_type = name.map(Str::from).or(told.error_type);
    if let Some(message) = message.header(":error-message") {
        told.message = Some(Str::from(message));
    }
    let words = match &told.message {
        Some(message) => message.to_string(),
        None => "the provider reported an error in its stream".to_owned(),
    };
    let mut said = told.said();
    said.body = payload;
    Error::provider(told.kind(None), words, said)
}

/// The error in an answer whose status says success.
pub(super) fn in_body(text: &Str, body: Bytes) -> Error {
    let told = Told::read(text);
    let message = match &told.message {
        Some(message) => message.to_string(),
        None => "the provider reported an error in its answer".to_owned(),
    };
    let mut said = told.said();
    said.body = body;
    Error::provider(told.kind(None), message, said)
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
    /// The status of the model's own server.
    original: Option<u16>,
}

impl Told {
    fn read(body: &Str) -> Self {
        let mut told = Self::default();
        let Ok(mut fields) = serde_json::from_str::<Fields<'_>>(body) else { return told };
        let mut text = |name: &str| fields.take(name).and_then(|raw| json::shared_text(raw, body));
        told.message = text("message").or_else(|| text("Message"));
        // `com.amazon.coral.service#ValidationException`
        told.error_type = text("__type").or_else(|| text("code")).map(|name| {
            let short = name.rsplit('#').next().unwrap_or(&name);
            name.slice_ref(short)
        });
        told.original = fields.take("originalStatusCode").and_then(|raw| raw.parse().ok());
        told
    }

    fn said(&self) -> ProviderError {
        let mut said = ProviderError::default();
        said.dialect = Some(CONVERSE);
        said.error_type = self.error_type.clone();
        said
    }

    /// What the error means: by its type where that is known, else by the status.
    fn kind(&self, status: Option<StatusCode>) -> ErrorKind {
        let message = self.message.as_deref().unwrap_or_default();
        let says = |words: &str| contains(message, words);
        // In a stream the first letter is small.
        let name = self.error_type.as_deref().unwrap_or_default();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let any = |others: &[&str]| others.iter().any(|other| is(other));
        match () {
            () if is("ValidationException") => {
                let long = ["too long", "maximum context", "context window", "too many tokens"];
                match long.iter().any(|words| says(words)) {
                    true => ErrorKind::ContextLength,
                    false => ErrorKind::InvalidRequest,
                }
            }
            () if is("ServiceQuotaExceededException") => ErrorKind::QuotaExhausted,
            () if is("ConflictException") => ErrorKind::Conflict,
            () if is("AccessDeniedException") => ErrorKind::Permission,
            () if any(&[
                "UnrecognizedClientException",
                "InvalidSignatureException",
                "ExpiredTokenException",
                "ExpiredToken",
                "IncompleteSignature",
                "IncompleteSignatureException",
                "InvalidClientTokenId",
                "MissingAuthenticationToken",
                "MissingAuthenticationTokenException",
            ]) =>
            {
                ErrorKind::Authentication
            }
            () if is("ResourceNotFoundException") => ErrorKind::NotFound,
            () if is("ModelTimeoutException") => ErrorKind::Timeout,
            () if any(&["ModelErrorException", "ModelStreamErrorException"]) => {
                match self.original {
                    Some(400..=499) => ErrorKind::InvalidRequest,
                    _ => ErrorKind::BadUpstream,
                }
            }
            () if is("ThrottlingException") => ErrorKind::RateLimit,
            () if is("ModelNotReadyException") => ErrorKind::Overloaded,
            () if is("InternalServerException") => ErrorKind::Server,
            () if is("ServiceUnavailableException") => ErrorKind::Overloaded,
            () => match status.map(|status| status.as_u16()) {
                Some(401) => ErrorKind::Authentication,
                Some(402) => ErrorKind::Billing,
                Some(403) => ErrorKind::Permission,
                Some(404) => ErrorKind::NotFound,
                Some(405) => ErrorKind::MethodNotAllowed,
                Some(408 | 504) => ErrorKind::Timeout,
                Some(409) => ErrorKind::Conflict,
                Some(413) => ErrorKind::TooLarge,
                Some(424 | 502) => ErrorKind::BadUpstream,
                Some(429) => ErrorKind::RateLimit,
                Some(503) => ErrorKind::Overloaded,
                Some(400..=499) => ErrorKind::InvalidRequest,
                Some(500..=599) => ErrorKind::Server,
                _ => ErrorKind::BadUpstream,
            },
        }
    }
}

/// Writes an error for a caller.
pub(super) fn encode(error: &Error) -> (StatusCode, Bytes) {
    let written = Written::of(error);
    if let Some(said) = said_here(error, CONVERSE)
        && let Some(status) = said.status.filter(|status| status.as_u16() >= 400)
    {
        if serde_json::from_slice::<Fields<'_>>(&said.body).is_ok() {
            return (status, said.body.clone());
        }
        return (status, written.body(error));
    }
    (error.status_override().unwrap_or(written.status), written.body(error))
}

/// The header by which clients tell errors apart.
pub(super) fn headers(error: &Error) -> Vec<(HeaderName, HeaderValue)> {
    let said = said_here(error, CONVERSE).and_then(|said| said.error_type.as_deref());
    // One that came in a stream begins with a small letter.
    let name: Cow<'_, str> = match said.and_then(|name| name.split_at_checked(1)) {
        Some((first, rest)) => format!("{}{rest}", first.to_ascii_uppercase()).into(),
        None => Written::of(error).name.into(),
    };
    let value = HeaderValue::from_str(&name).ok();
    value.map(|value| (ERROR_TYPE, value)).into_iter().collect()
}

/// Writes an error into a stream that has begun: the stream ends with it.
pub(super) fn encode_in_stream(error: &Error, out: &mut Vec<u8>) {
    let written = Written::of(error);
    let said = said_here(error, CONVERSE).filter(|said| said.body.trim_ascii().starts_with(b"{"));
    let name = said.and_then(|said| said.error_type.as_deref()).unwrap_or(written.name);
    // What clients know an exception by begins with a small letter here.
    let mut first = name.chars();
    let name = match first.next() {
        Some(letter) => format!("{}{}", letter.to_ascii_lowercase(), first.as_str()),
        None => "internalServerException".to_owned(),
    };
    // Not every error can happen in a stream: of one that they do not know clients make nothing.
    let name = match name.as_str() {
        "internalServerException"
        | "modelStreamErrorException"
        | "validationException"
        | "throttlingException"
        | "serviceUnavailableException" => name.as_str(),
        _ if error.kind().status().is_client_error() => "validationException",
        _ => "modelStreamErrorException",
    };
    let body = match said {
        Some(said) => said.body.clone(),
        None => written.body(error),
    };
    let headers = [
        (":exception-type", name),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    event_stream::write(&headers, &body, out);
}

/// Status and type of an error.
struct Written {
    status: StatusCode,
    name: &'static str,
    /// In place of the error's own.
    message: Option<&'static str>,
}

impl Written {
    fn of(error: &Error) -> Self {
        if is_our_credential(error) {
            return Self {
                status: StatusCode::BAD_GATEWAY,
                name: "InternalServerException",
                message: Some("the provider refused the credential that the gateway presented"),
            };
        }
        let kind = error.kind();
        let (status, name) = match kind {
            ErrorKind::Authentication => (403, "UnrecognizedClientException"),
            ErrorKind::Permission => (403, "AccessDeniedException"),
            ErrorKind::NotFound => (404, "ResourceNotFoundException"),
            ErrorKind::Conflict => (400, "ConflictException"),
            ErrorKind::Billing | ErrorKind::QuotaExhausted => {
                (400, "ServiceQuotaExceededException")
            }
            ErrorKind::RateLimit => (429, "ThrottlingException"),
            ErrorKind::Timeout => (408, "ModelTimeoutException"),
            ErrorKind::BadUpstream => (424, "ModelErrorException"),
            ErrorKind::Overloaded => (503, "ServiceUnavailableException"),
            ErrorKind::Server => (500, "InternalServerException"),
            kind if kind.status().is_server_error() => {
                (kind.status().as_u16(), "InternalServerException")
            }
            kind => (kind.status().as_u16(), "ValidationException"),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, name, message: None }
    }

    fn body(&self, error: &Error) -> Bytes {
        let message = self.message.map_or_else(|| redact(error.message()), Cow::Borrowed);
        let mut out = Vec::with_capacity(128);
        let mut object = Object::begin(&mut out);
        // Clients know an overlong conversation by these words.
        if error.kind() == ErrorKind::ContextLength && !contains(&message, "too long") {
            object.text("message", &format!("Input is too long for requested model. {message}"));
        } else {
            object.text("message", &message);
        }
        object.end();
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(status: u16, name: &str, body: &str) -> Error {
        let mut headers = HeaderMap::new();
        if !name.is_empty() {
            headers.insert(ERROR_TYPE, HeaderValue::from_str(name).unwrap());
        }
        headers.insert(REQUEST_ID, HeaderValue::from_static("req-1"));
        let status = StatusCode::from_u16(status).unwrap();
        decode(status, &headers, Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn every_error_of_the_provider_has_a_kind() {
        use ErrorKind::*;
        for (status, name, message, expected) in [
            (400, "ValidationException", "Input is too long for requested model.", ContextLength),
            (400, "ValidationException", "prompt is too long: 9 > 8", ContextLength),
            (400, "ValidationException", "The model's maximum context is 8", ContextLength),
            (400, "ValidationException:http://internal.amazon.com/x/", "no", InvalidRequest),
            (400, "ServiceQuotaExceededException", "no", QuotaExhausted),
            (400, "ConflictException", "no", Conflict),
            (403, "AccessDeniedException", "no", Permission),
            (403, "UnrecognizedClientException", "no", Authentication),
            (403, "InvalidSignatureException", "no", Authentication),
            (403, "ExpiredTokenException", "no", Authentication),
            (404, "ResourceNotFoundException", "no", NotFound),
            (408, "ModelTimeoutException", "no", Timeout),
            (424, "ModelErrorException", "no", BadUpstream),
            (429, "ThrottlingException", "no", RateLimit),
            (429, "ModelNotReadyException", "no", Overloaded),
            (500, "InternalServerException", "no", Server),
            (503, "ServiceUnavailableException", "no", Overloaded),
            (418, "", "no", InvalidRequest),
            (502, "", "no", BadUpstream),
        ] {
            let error = decoded(status, name, &format!(r#"{{"message":"{message}"}}"#));
            assert_eq!(error.kind(), expected, "{status} {name} {message}");
            assert_eq!(error.message(), message);
            assert_eq!(error.said().unwrap().request_id.as_deref(), Some("req-1"));
        }
    }

    #[test]
    fn the_type_may_be_in_the_body_and_the_message_may_be_capital() {
        let body = r#"{"__type":"com.amazon.coral#ThrottlingException","Message":"slow down"}"#;
        let error = decoded(400, "", body);
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, "slow down"));
        let error = decoded(500, "", "<html>");
        assert_eq!(error.message(), "the provider answered with status 500");
    }

    #[test]
    fn a_models_own_refusal_is_the_callers() {
        let body = r#"{"message":"no","originalStatusCode":400,"resourceName":"x"}"#;
        assert_eq!(decoded(424, "ModelErrorException", body).kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn every_kind_has_its_status_and_type() {
        use ErrorKind::*;
        for (kind, status, name) in [
            (InvalidRequest, 400, "ValidationException"),
            (Unsupported, 400, "ValidationException"),
            (ContextLength, 400, "ValidationException"),
            (ContentPolicy, 400, "ValidationException"),
            (Authentication, 403, "UnrecognizedClientException"),
            (Billing, 400, "ServiceQuotaExceededException"),
            (Permission, 403, "AccessDeniedException"),
            (NotFound, 404, "ResourceNotFoundException"),
            (MethodNotAllowed, 405, "ValidationException"),
            (Conflict, 400, "ConflictException"),
            (TooLarge, 413, "ValidationException"),
            (RateLimit, 429, "ThrottlingException"),
            (QuotaExhausted, 400, "ServiceQuotaExceededException"),
            (Server, 500, "InternalServerException"),
            (BadUpstream, 424, "ModelErrorException"),
            (Overloaded, 503, "ServiceUnavailableException"),
            (Timeout, 408, "ModelTimeoutException"),
        ] {
            let error = Error::new(kind, "no");
            let (written, body) = encode(&error);
            assert_eq!(written, status, "{kind:?}");
            assert_eq!(headers(&error)[0].1, name, "{kind:?}");
            let prefix =
                if kind == ContextLength { "Input is too long for requested model. " } else { "" };
            assert_eq!(body, format!(r#"{{"message":"{prefix}no"}}"#), "{kind:?}");
        }
    }

    #[test]
    fn the_providers_own_words_come_back_untouched() {
        let error = decoded(429, "ThrottlingException:http://x", r#"{"message":"slow","x":1}"#);
        let (status, body) = encode(&error);
        assert_eq!((status.as_u16(), &body[..]), (429, &br#"{"message":"slow","x":1}"#[..]));
        assert_eq!(headers(&error)[0].1, "ThrottlingException");
        let (status, body) = encode(&decoded(503, "", "<html>"));
        assert_eq!(status, 503);
        assert!(body.starts_with(br#"{"message":"the provider answered"#));
    }

    #[test]
    fn our_own_credential_is_not_the_callers_fault() {
        for name in ["AccessDeniedException", "ExpiredTokenException"] {
            let refused = decoded(403, name, r#"{"message":"arn:aws:iam::1:user/secret"}"#);
            let (status, body) = encode(&refused);
            assert_eq!(status, 502);
            assert!(!String::from_utf8_lossy(&body).contains("secret"));
            assert_eq!(headers(&refused)[0].1, "InternalServerException");
        }
    }

    #[test]
    fn an_exception_goes_through_a_stream_and_back() {
        for (kind, name, back) in [
            (ErrorKind::RateLimit, "throttlingException", ErrorKind::RateLimit),
            (ErrorKind::Overloaded, "serviceUnavailableException", ErrorKind::Overloaded),
            (ErrorKind::Server, "internalServerException", ErrorKind::Server),
            (ErrorKind::BadUpstream, "modelStreamErrorException", ErrorKind::BadUpstream),
            (ErrorKind::NotFound, "validationException", ErrorKind::InvalidRequest),
            (ErrorKind::Timeout, "modelStreamErrorException", ErrorKind::BadUpstream),
        ] {
            let mut out = Vec::new();
            encode_in_stream(&Error::new(kind, "no"), &mut out);
            let message = Message::read(&Bytes::from(out), 1 << 20).unwrap().unwrap();
            assert_eq!(message.header(":message-type"), Some("exception"));
            assert_eq!(message.header(":exception-type"), Some(name), "{kind:?}");
            let error = in_stream(&message);
            assert_eq!((error.kind(), error.message()), (back, "no"), "{kind:?}");
            let told = headers(&error)[0].1.to_str().unwrap().to_owned();
            assert!(told[1..] == name[1..] && told.starts_with(char::is_uppercase), "{told}");
            // The provider's own exception comes out as it came in.
            let mut again = Vec::new();
            encode_in_stream(&error, &mut again);
            let again = Message::read(&Bytes::from(again), 1 << 20).unwrap().unwrap();
            assert_eq!(again.header(":exception-type"), Some(name));
            assert_eq!(again.payload(), message.payload());
        }
    }

    #[test]
    fn a_message_of_the_type_error_tells_in_its_headers() {
        let mut out = Vec::new();
        let headers = [
            (":message-type", "error"),
            (":error-code", "ThrottlingException"),
            (":error-message", "slow down"),
        ];
        event_stream::write(&headers, b"", &mut out);
        let error = in_stream(&Message::read(&Bytes::from(out), 1 << 20).unwrap().unwrap());
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, "slow down"));
    }
}
