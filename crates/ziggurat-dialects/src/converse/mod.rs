//! Amazon Bedrock's Converse and ConverseStream.
//!
//! The model and whether the answer is streamed are in the path; streams are AWS's binary ones.
//!
//! | file | holds |
//! | --- | --- |
//! | `request/` | requests, both ways, and the one edit of a request that leaves as it came |
//! | `reply/` | whole answers, both ways, and what a gateway reads of them in passing |
//! | `models.rs` | lists of models |
//! | `stream/` | events, both ways, and the facts read while a stream is cut |
//! | `error.rs` | errors, both ways, and as exceptions in a stream |
//! | `block.rs`, `citation.rs`, `media.rs`, `state.rs`, `stop.rs`, `usage.rs` | what these have in common |
//! | `family.rs` | whose model it is, as each takes some things in words of its own |
//! | `words.rs` | what a caller calls the fields |

mod block;
mod citation;
mod embed;
mod error;
mod family;
mod media;
mod models;
mod reply;
mod request;
mod rerank;
mod state;
mod stop;
mod stream;
mod usage;
mod words;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ziggurat_core::{
    Answer, Ask, Codec, Content, CutOptions, Cutter, Dialect, EncodedRequest, Error, ErrorKind,
    Glance, Losses, Members, Operation, Payload, Prepared, RawJson, Restore, Secret, Str,
    StreamDecoder, StreamEncoder, Target, Typed,
};

use crate::framing::event_stream::EventStreamCutter;
use crate::hints::Segment;
use crate::ranking;

pub(crate) use words::word;

/// Bedrock Converse.
pub const CONVERSE: Dialect = Dialect::new(&Converse);

/// The codec behind [`CONVERSE`].
#[derive(Debug)]
struct Converse;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

static REPLY_HEADERS: [HeaderName; 3] = [REQUEST_ID, ERROR_TYPE, header::RETRY_AFTER];

impl Codec for Converse {
    fn name(&self) -> &'static str {
        "converse"
    }

    fn path(&self, operation: Operation, model: &str, stream: bool) -> Cow<'static, str> {
        let model = Segment(model);
        Cow::Owned(match operation {
            Operation::CountTokens => {
                format!("/model/{}/count-tokens", Segment(family::bare(model.0)))
            }
            Operation::Embeddings | Operation::Rerank => format!("/model/{model}/invoke"),
            Operation::Models if model.0.is_empty() => return Cow::Borrowed("/foundation-models"),
            Operation::Models => format!("/foundation-models/{model}"),
            _ if stream => format!("/model/{model}/converse-stream"),
            _ => format!("/model/{model}/converse"),
        })
    }

    fn request_headers(&self) -> &'static [HeaderName] {
        &[]
    }

    fn reply_headers(&self) -> &'static [HeaderName] {
        &REPLY_HEADERS
    }

    fn request_id_header(&self) -> HeaderName {
        REQUEST_ID
    }

    /// A key of Bedrock's own is a bearer's. Who signs instead has none.
    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
        let Some(key) = key else { return Ok(()) };
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(|_| {
                let message = "the provider's key has characters that a header cannot carry";
                Error::new(ErrorKind::Server, message)
            })?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
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
        match request {
            Typed::Embed(embed) => embed::encode(embed, target, losses),
            Typed::Rerank(rerank) => rerank::encode(rerank, target, losses),
            request => request::encode(request, target, losses),
        }
    }

    fn prepare(&self, payload: &mut Payload, _stream: bool) -> Result<Prepared, Error> {
        request::prepare(payload)
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        let config = payload.member("inferenceConfig")?;
        let config: crate::json::Fields<'_> = serde_json::from_str(&config).ok()?;
        config.get("maxTokens")?.parse().ok()
    }

    fn inlines(&self, content: &Content) -> bool {
        crate::media::address(content).is_some_and(|address| !address.starts_with("s3://"))
    }

    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        request::set_default(payload, name, value);
    }

    fn most_inputs(&self, operation: Operation, model: &str) -> Option<usize> {
        match operation {
            Operation::Embeddings => embed::most_inputs(model),
            _ => None,
        }
    }

    fn glance(&self, operation: Operation, body: &Bytes) -> Glance {
        match operation {
            Operation::Embeddings => embed::glance(body),
            Operation::Rerank => ranking::glance(body),
            operation => reply::glance(operation, body),
        }
    }

    fn decode_reply(
        &self,
        operation: Operation,
        body: &Bytes,
        restore: &Restore,
    ) -> Result<Answer, Error> {
        match operation {
            Operation::Rerank => ranking::decode_reply(body).map(Box::new).map(Answer::Ranking),
            Operation::Embeddings => {
                embed::decode_reply(body).map(Box::new).map(Answer::Embeddings)
            }
            operation => reply::decode(operation, body, restore),
        }
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
        // Usage is in the last event, without which clients take a stream for broken off.
        Box::new(EventStreamCutter::new(stream::Side::new(), options))
    }

    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(restore))
    }

    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(ask))
    }

    fn stream_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/vnd.amazon.eventstream")
    }

    fn keep_alive(&self) -> Bytes {
        let mut out = Vec::with_capacity(96);
        stream::write_ping(&mut out);
        out.into()
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::decode(status, headers, body)
    }

    fn encode_error(&self, error: &Error, _request_id: Option<&str>) -> (StatusCode, Bytes) {
        error::encode(error)
    }

    fn error_headers(&self, error: &Error) -> Vec<(HeaderName, HeaderValue)> {
        error::headers(error)
    }

    fn encode_stream_error(&self, error: &Error, _request_id: Option<&str>) -> Bytes {
        let mut out = Vec::with_capacity(256);
        error::encode_in_stream(error, &mut out);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_path_and_the_model_is_one_segment_of_it() {
        let path = |operation, model, stream| CONVERSE.path(operation, model, stream);
        assert_eq!(
            path(Operation::Chat, "anthropic.claude-haiku-4-5-20251001-v1:0", false),
            "/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
        );
        assert_eq!(
            path(
                Operation::Chat,
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-5",
                true
            ),
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-sonnet-5/converse-stream"
        );
        assert_eq!(path(Operation::CountTokens, "m", false), "/model/m/count-tokens");
        assert_eq!(path(Operation::Models, "", false), "/foundation-models");
        assert_eq!(path(Operation::Models, "a b", false), "/foundation-models/a%20b");
    }

    #[test]
    fn a_key_is_a_bearers_and_no_key_is_no_header() {
        let mut headers = HeaderMap::new();
        CONVERSE.authorize(&mut headers, None).unwrap();
        assert!(headers.is_empty());
        CONVERSE.authorize(&mut headers, Some(&Secret::new("ABSK"))).unwrap();
        assert_eq!(headers[header::AUTHORIZATION], "Bearer ABSK");
        assert!(headers[header::AUTHORIZATION].is_sensitive());
        let error = CONVERSE.authorize(&mut headers, Some(&Secret::new("a\nsecret"))).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn the_bound_of_the_output_is_read_without_decoding() {
        let body = Bytes::from_static(
            br#"{"messages":"is not looked at","inferenceConfig":{"maxTokens":100}}"#,
        );
        let payload = Payload::wire(CONVERSE, Operation::Chat, body).unwrap();
        assert_eq!(CONVERSE.output_bound(&payload), Some(100));
    }

    #[test]
    fn what_keeps_a_stream_alive_says_nothing() {
        let mut cutter = CONVERSE.cutter(&CutOptions::default());
        cutter.push(CONVERSE.keep_alive());
        let frame = cutter.next_frame().unwrap().unwrap();
        assert_eq!(frame.facts(), ziggurat_core::Facts::KEEP_ALIVE);
    }
}
