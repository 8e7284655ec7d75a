//! Errors: a status, and a message in `error`.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ziggurat_core::{Error, Str};

use super::OLLAMA;
use crate::framing::ndjson::end_line;
use crate::json::{self, Fields, Object};
use crate::plain_error::{self, told};
use crate::said::said_here;

/// Reads an answer whose status says that the call failed.
pub(super) fn decode(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let text = Str::from_utf8(body.clone()).unwrap_or_default();
    let fields: Fields<'_> = serde_json::from_str(&text).unwrap_or_default();
    let message = fields.get("error").and_then(|error| message(error, &text));
    plain_error::decode(OLLAMA, status, headers, body, message)
}

/// Reads an error that came in a stream, or in an answer whose status says success. `error` is its member of that name.
pub(super) fn in_body(error: &str, text: &Str) -> Error {
    plain_error::in_body(OLLAMA, message(error, text), text.clone().into_bytes())
}

/// What an error says: a text; servers that stand before others pass an object on.
fn message(error: &str, text: &Str) -> Option<Str> {
    json::shared_text(error, text).or_else(|| {
        let inner: Fields<'_> = serde_json::from_str(error).ok()?;
        json::shared_text(inner.get("message")?, text)
    })
}

/// Writes an error for a caller.
pub(super) fn encode(error: &Error) -> (StatusCode, Bytes) {
    let (status, _) = told(error);
    if let Some(said) = said_here(error, OLLAMA)
        && let Some(status) = said.status.filter(|status| status.as_u16() >= 400)
    {
        if is_envelope(&said.body) {
            return (status, said.body.clone());
        }
        return (status, body(error).into());
    }
    (status, body(error).into())
}

/// Whether a body is an error as clients read it.
fn is_envelope(body: &[u8]) -> bool {
    serde_json::from_slice::<Fields<'_>>(body)
        .is_ok_and(|fields| fields.get("error").is_some_and(|error| error.starts_with('"')))
}

/// Writes an error into a stream that has begun: the stream ends with it.
pub(super) fn encode_in_stream(error: &Error, out: &mut Vec<u8>) {
    let start = out.len();
    out.append(&mut body(error));
    end_line(out, start);
}

fn body(error: &Error) -> Vec<u8> {
    let (_, message) = told(error);
    let mut out = Vec::with_capacity(16 + message.len());
    let mut object = Object::begin(&mut out);
    object.text("error", &message);
    object.end();
    out
}

#[cfg(test)]
mod tests {
    use ziggurat_core::ErrorKind;

    use super::*;

    fn read(status: u16, body: &'static str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        decode(status, &HeaderMap::new(), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn a_status_says_what_to_do() {
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Authentication),
            (404, ErrorKind::NotFound),
            (429, ErrorKind::RateLimit),
            (500, ErrorKind::Server),
            (502, ErrorKind::BadUpstream),
            (503, ErrorKind::Overloaded),
        ] {
            let error = read(status, r#"{"error":"so it is"}"#);
            assert_eq!(error.kind(), kind, "{status}");
            assert_eq!(error.message(), "so it is");
        }
        let error = read(400, r#"{"error":"\"gemma\" does not support thinking"}"#);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let error = read(400, r#"{"error":"the input length exceeds the context length"}"#);
        assert_eq!(error.kind(), ErrorKind::ContextLength);
    }

    #[test]
    fn what_is_no_error_of_this_dialect_goes_by_its_status() {
        for body in ["", "<html>", "[]", r#"{"error":7}"#] {
            let error = read(503, body);
            assert_eq!(error.kind(), ErrorKind::Overloaded, "{body}");
            assert_eq!(error.message(), "the provider answered with status 503");
        }
        assert_eq!(read(500, r#"{"error":{"message":"m"}}"#).message(), "m");
    }

    #[test]
    fn an_error_goes_there_and_back() {
        let body = r#"{"error":"model 'x' not found"}"#;
        let (status, back) = encode(&read(404, body));
        assert_eq!((status.as_u16(), &back[..]), (404, body.as_bytes()));
        let ours = Error::new(ErrorKind::RateLimit, "too many requests");
        let (status, written) = encode(&ours);
        assert_eq!(
            (status.as_u16(), &written[..]),
            (429, &br#"{"error":"too many requests"}"#[..])
        );
    }

    #[test]
    fn our_own_credential_is_not_the_callers() {
        let (status, body) = encode(&read(401, r#"{"error":"unauthorized","signin_url":"s"}"#));
        assert_eq!(status, 502);
        assert!(!body.windows(6).any(|at| at == b"signin"));
    }

    #[test]
    fn an_error_in_a_stream_is_one_line() {
        let mut out = Vec::new();
        let error = Error::new(ErrorKind::Overloaded, "two\nlines\u{2028}");
        encode_in_stream(&error, &mut out);
        assert_eq!(out, b"{\"error\":\"two\\nlines\\u2028\"}\n");
    }
}
