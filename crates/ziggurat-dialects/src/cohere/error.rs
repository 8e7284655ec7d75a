//! Errors: a status, and a message beside the request's id.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ziggurat_core::{Error, Str, Usage};

use super::{COHERE, usage};
use crate::json::{self, Fields, Object};
use crate::plain_error::{self, told};
use crate::said::said_here;

/// Reads an answer whose status says that the call failed.
pub(super) fn decode(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let text = Str::from_utf8(body.clone()).unwrap_or_default();
    let fields: Fields<'_> = serde_json::from_str(&text).unwrap_or_default();
    plain_error::decode(COHERE, status, headers, body, message(&fields, &text))
}

/// The error that an answer is whose status says success.
pub(super) fn reported(fields: &Fields<'_>, text: &Str) -> Option<Error> {
    // An answer has a message, too, but it is an object.
    let is_error = fields.get("message").is_some_and(|message| message.starts_with('"'));
    is_error.then(|| in_body(message(fields, text), text))
}

/// An error that came in a stream, or in an answer whose status says success.
pub(super) fn in_body(message: Option<Str>, text: &Str) -> Error {
    plain_error::in_body(COHERE, message, text.clone().into_bytes())
}

fn message(fields: &Fields<'_>, text: &Str) -> Option<Str> {
    let member = |name| json::shared_text(fields.get(name)?, text);
    member("message").or_else(|| member("data")).or_else(|| member("error"))
}

/// Writes an error for a caller.
pub(super) fn encode(error: &Error, request_id: Option<&str>) -> (StatusCode, Bytes) {
    let (mut status, message) = told(error);
    if let Some(said) = said_here(error, COHERE)
        && let Some(came) = said.status.filter(|status| status.as_u16() >= 400)
    {
        if is_envelope(&said.body) {
            return (came, said.body.clone());
        }
        status = came;
    }
    let mut out = Vec::with_capacity(64 + message.len());
    let mut object = Object::begin(&mut out);
    if let Some(id) = request_id {
        object.text("id", id);
    }
    object.text("message", &message);
    object.end();
    (status, out.into())
}

/// Whether a body is an error as clients read it.
fn is_envelope(body: &[u8]) -> bool {
    serde_json::from_slice::<Fields<'_>>(body)
        .is_ok_and(|fields| fields.get("message").is_some_and(|message| message.starts_with('"')))
}

/// Writes an error into a stream that has begun: the stream ends with it.
pub(super) fn encode_in_stream(error: &Error, so_far: &Usage, out: &mut Vec<u8>) {
    let (_, message) = told(error);
    out.extend_from_slice(b"event: message-end\ndata: ");
    let mut object = Object::begin(out);
    object.text("type", "message-end");
    let mut delta = Object::begin(object.member("delta"));
    delta.text("error", &message);
    delta.text("finish_reason", "ERROR");
    if !so_far.is_unknown() {
        usage::write(so_far, None, delta.member("usage"));
    }
    delta.end();
    object.end().extend_from_slice(b"\n\n");
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
            (403, ErrorKind::Permission),
            (404, ErrorKind::NotFound),
            (422, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimit),
            (498, ErrorKind::ContentPolicy),
            (499, ErrorKind::Cancelled),
            (500, ErrorKind::Server),
            (501, ErrorKind::Server),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Timeout),
        ] {
            let error = read(status, r#"{"id":"1","message":"so it is"}"#);
            assert_eq!(error.kind(), kind, "{status}");
            assert_eq!(error.message(), "so it is");
        }
        assert_eq!(read(500, r#"{"data":"d"}"#).message(), "d");
        assert_eq!(read(500, "<html>").message(), "the provider answered with status 500");
        let long = r#"{"message":"too many tokens: the total must be at most 128000"}"#;
        assert_eq!(read(400, long).kind(), ErrorKind::ContextLength);
    }

    #[test]
    fn an_error_goes_there_and_back() {
        let body = r#"{"id":"1","message":"model not found"}"#;
        let (status, back) = encode(&read(404, body), Some("req"));
        assert_eq!((status.as_u16(), &back[..]), (404, body.as_bytes()));
        let ours = Error::new(ErrorKind::RateLimit, "too many requests");
        let (status, written) = encode(&ours, Some("req"));
        let expected = br#"{"id":"req","message":"too many requests"}"#;
        assert_eq!((status.as_u16(), &written[..]), (429, &expected[..]));
        let (status, _) = encode(&read(401, r#"{"message":"invalid api token"}"#), None);
        assert_eq!(status, 502, "our own credential is not the caller's");
    }

    #[test]
    fn a_stream_ends_with_its_error() {
        let mut out = Vec::new();
        let error = Error::new(ErrorKind::Overloaded, "busy");
        encode_in_stream(&error, &Usage::default(), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"error\":\"busy\",\"finish_reason\":\"ERROR\"}}\n\n"
        );
    }
}
