//! Anthropic's Messages.
//!
//! | file | holds |
//! | --- | --- |
//! | `request/` | requests, both ways, and the one edit of a request that leaves as it came |
//! | `reply.rs` | whole answers, both ways, and what a gateway reads of them in passing |
//! | `models.rs` | lists of models |
//! | `stream/` | events, both ways, and the facts read while a stream is cut |
//! | `error.rs` | errors, both ways |
//! | `words.rs` | what it calls the fields of the superset |
//! | `block.rs`, `citation.rs`, `stop.rs`, `usage.rs` | what these have in common |

mod block;
mod citation;
mod error;
mod models;
mod reply;
mod request;
mod stop;
mod stream;
mod usage;
mod words;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ziggurat_core::{
    Answer, Ask, Codec, CutOptions, Cutter, Dialect, EncodedRequest, Error, ErrorKind, Glance,
    Losses, Members, Operation, Payload, Prepared, RawJson, Restore, Secret, Str, StreamDecoder,
    StreamEncoder, Target, Typed,
};

use crate::framing::sse::SseCutter;
use crate::hints::InPath;

pub(crate) use words::word;

/// Anthropic Messages.
pub const ANTHROPIC: Dialect = Dialect::new(&Anthropic);

/// The codec behind [`ANTHROPIC`].
#[derive(Debug)]
struct Anthropic;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The version for callers who name none: it takes what older models take, sampling included.
const DEFAULT_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

static REQUEST_HEADERS: [HeaderName; 2] = [VERSION, HeaderName::from_static("anthropic-beta")];

static STEERING_HEADERS: [HeaderName; 1] = [HeaderName::from_static("anthropic-beta")];

static REPLY_HEADERS: [HeaderName; 17] = [
    REQUEST_ID,
    HeaderName::from_static("anthropic-organization-id"),
    HeaderName::from_static("anthropic-workspace-id"),
    HeaderName::from_static("anthropic-ratelimit-requests-limit"),
    HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    HeaderName::from_static("anthropic-ratelimit-input-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
    HeaderName::from_static("anthropic-ratelimit-output-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
    header::RETRY_AFTER,
    HeaderName::from_static("x-should-retry"),
];

/// What the provider itself sends while it thinks.
const KEEP_ALIVE: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

impl Codec for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn path(&self, operation: Operation, model: &str, _stream: bool) -> Cow<'static, str> {
        match operation {
            Operation::CountTokens => Cow::Borrowed("/v1/messages/count_tokens"),
            Operation::Models if model.is_empty() => Cow::Borrowed("/v1/models"),
            Operation::Models => Cow::Owned(format!("/v1/models/{}", InPath(model))),
            _ => Cow::Borrowed("/v1/messages"),
        }
    }

    fn request_headers(&self) -> &'static [HeaderName] {
        &REQUEST_HEADERS
    }

    fn steering_headers(&self) -> &'static [HeaderName] {
        &STEERING_HEADERS
    }

    fn reply_headers(&self) -> &'static [HeaderName] {
        &REPLY_HEADERS
    }

    fn request_id_header(&self) -> HeaderName {
        REQUEST_ID
    }

    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
        if !headers.contains_key(VERSION) {
            headers.insert(VERSION, DEFAULT_VERSION);
        }
        let Some(key) = key else { return Ok(()) };
        let invalid = |_| {
            let message = "the provider's key has characters that a header cannot carry";
            Error::new(ErrorKind::Server, message)
        };
        // Tokens of a subscription are taken as such only.
        let (name, value) = match key.expose() {
            token if token.starts_with("sk-ant-oat") => {
                (header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")))
            }
            key => (API_KEY, HeaderValue::from_str(key)),
        };
        let mut value = value.map_err(invalid)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }

    fn decode_request(&self, operation: Operation, members: &Members) -> Result<Typed, Error> {
        request::decode(operation, members)
    }

    fn encode_request(
        &self,
        request: &Typed,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<EncodedRequest, Error> {
        request::encode(request, target, losses)
    }

    fn prepare(&self, payload: &mut Payload, _stream: bool) -> Result<Prepared, Error> {
        request::prepare(payload)
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        payload.member("max_tokens")?.parse().ok()
    }

    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        request::set_default(payload, name, value);
    }

    fn glance(&self, operation: Operation, body: &Bytes) -> Glance {
        reply::glance(operation, body)
    }

    fn decode_reply(
        &self,
        operation: Operation,
        body: &Bytes,
        restore: &Restore,
    ) -> Result<Answer, Error> {
        reply::decode(operation, body, restore)
    }

    fn encode_reply(
        &self,
        answer: &Answer,
        ask: &Ask,
        losses: &mut Losses,
    ) -> Result<Bytes, Error> {
        reply::encode(answer, ask, losses)
    }

    fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
        // Usage stands in events that the caller cannot do without, so none is withheld.
        Box::new(SseCutter::new(stream::Side::new(), options))
    }

    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(restore))
    }

    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(ask))
    }

    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(KEEP_ALIVE)
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::decode(status, headers, body)
    }

    fn encode_error(&self, error: &Error, request_id: Option<&str>) -> (StatusCode, Bytes) {
        error::encode(error, request_id)
    }

    fn encode_stream_error(&self, error: &Error, request_id: Option<&str>) -> Bytes {
        let mut out = Vec::with_capacity(192);
        error::encode_in_stream(error, request_id, &mut out);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorized(key: Option<&str>, version: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.extend(version.map(|version| (VERSION, HeaderValue::from_static(version))));
        ANTHROPIC.authorize(&mut headers, key.map(Secret::new).as_ref()).unwrap();
        headers
    }

    #[test]
    fn a_key_goes_with_a_version() {
        let headers = authorized(Some("sk-ant-api03-x"), None);
        assert_eq!(headers[API_KEY], "sk-ant-api03-x");
        assert!(headers[API_KEY].is_sensitive());
        assert_eq!(headers[VERSION], "2023-06-01");
        assert!(!headers.contains_key(header::AUTHORIZATION));
    }

    #[test]
    fn a_version_that_the_caller_names_stays() {
        assert_eq!(authorized(None, Some("2026-10-21"))[VERSION], "2026-10-21");
    }

    #[test]
    fn a_token_of_a_subscription_is_a_bearers() {
        let headers = authorized(Some("sk-ant-oat01-x"), None);
        assert_eq!(headers[header::AUTHORIZATION], "Bearer sk-ant-oat01-x");
        assert!(!headers.contains_key(API_KEY));
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_without_being_told() {
        let key = Secret::new("sk\nsecret");
        let error = ANTHROPIC.authorize(&mut HeaderMap::new(), Some(&key)).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn the_bound_of_the_output_is_read_without_decoding() {
        let body = Bytes::from_static(br#"{"messages":"is not looked at","max_tokens":100}"#);
        let payload = Payload::wire(ANTHROPIC, Operation::Chat, body).unwrap();
        assert_eq!(ANTHROPIC.output_bound(&payload), Some(100));
    }

    #[test]
    fn every_operation_has_its_path() {
        let path = |operation, model| ANTHROPIC.path(operation, model, true);
        assert_eq!(path(Operation::Chat, "m"), "/v1/messages");
        assert_eq!(path(Operation::CountTokens, "m"), "/v1/messages/count_tokens");
        assert_eq!(path(Operation::Models, ""), "/v1/models");
        assert_eq!(path(Operation::Models, "a b"), "/v1/models/a%20b");
    }

    #[test]
    fn what_keeps_a_stream_alive_says_nothing() {
        use crate::framing::sse;
        let ping = ANTHROPIC.keep_alive();
        let events: Vec<_> = sse::events(&ping).collect();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].name, Some(&b"ping"[..]));
    }
}
