//! OpenAI's Responses.
//!
//! | file | holds |
//! | --- | --- |
//! | `request/` | requests, both ways |
//! | `reply/` | whole answers, both ways, and what a gateway reads of them in passing |
//! | `stream/` | streams, both ways, and the facts read while a stream is cut |
//! | `items.rs` | what requests and answers hold: messages, reasoning, calls |
//! | `head.rs` | the answer around its items, and what of a request it repeats |
//! | `prepare.rs` | the one edit of a request that leaves as it came |
//! | `wire.rs` | what these have in common: ids, why an answer ended, probabilities, grammars |
//! | `words.rs` | what it calls the fields of the superset |
//!
//! What it shares with Chat Completions (errors, usage, headers) is in `openai_api`.

mod head;
mod items;
mod prepare;
mod reply;
mod request;
mod stream;
mod wire;
mod words;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use ziggurat_core::{
    Answer, Ask, Codec, Content, CutOptions, Cutter, Dialect, EncodedRequest, Error, Glance,
    Losses, Members, Operation, Payload, Prepared, RawJson, Restore, Secret, Str, StreamDecoder,
    StreamEncoder, Target, Typed,
};

use crate::framing::sse::{Decoded, EventReader as _, SseCutter};
use crate::media;
use crate::openai_api::{
    self, KEEP_ALIVE, REPLY_HEADERS, REQUEST_HEADERS, REQUEST_ID, STEERING_HEADERS, error, models,
};

pub(crate) use words::{lost, word};

/// OpenAI Responses.
pub const RESPONSES: Dialect = Dialect::new(&Responses);

/// The codec behind [`RESPONSES`].
#[derive(Debug)]
struct Responses;

impl Codec for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn root(&self) -> &'static str {
        "/v1"
    }

    fn path(&self, operation: Operation, model: &str, _stream: bool) -> Cow<'static, str> {
        match operation {
            Operation::Models => models::path(model),
            Operation::CountTokens => Cow::Borrowed("/responses/input_tokens"),
            _ => Cow::Borrowed("/responses"),
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
        openai_api::authorize(headers, key)
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
        prepare::prepare(payload)
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        payload.member("max_output_tokens")?.parse().ok()
    }

    fn inlines(&self, content: &Content) -> bool {
        matches!(content, Content::Audio { .. }) && media::address(content).is_some()
    }

    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        request::set_default(payload, name, value);
    }

    fn echo(&self, payload: &Payload) -> Option<RawJson> {
        head::echo(payload)
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
        Box::new(SseCutter::new(Decoded::<stream::Decoder>::new(), options))
    }

    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::restoring(restore))
    }

    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(ask))
    }

    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(KEEP_ALIVE)
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::decode(RESPONSES, status, headers, body)
    }

    fn encode_error(&self, error: &Error, _request_id: Option<&str>) -> (StatusCode, Bytes) {
        error::encode(error)
    }

    fn encode_stream_error(&self, error: &Error, _request_id: Option<&str>) -> Bytes {
        stream::error_event(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_below_v1() {
        assert_eq!(RESPONSES.path(Operation::Chat, "m", true), "/responses");
        assert_eq!(RESPONSES.path(Operation::CountTokens, "m", false), "/responses/input_tokens");
        assert_eq!(RESPONSES.path(Operation::Models, "a/b:1", false), "/models/a/b:1");
    }

    #[test]
    fn the_bound_of_the_output_is_read_without_decoding() {
        let bound = |body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            RESPONSES.output_bound(&Payload::wire(RESPONSES, Operation::Chat, body).unwrap())
        };
        assert_eq!(bound(r#"{"max_output_tokens":100}"#), Some(100));
        assert_eq!(bound(r#"{"max_output_tokens":null}"#), None);
        assert_eq!(bound(r#"{"input":"is not looked at"}"#), None);
    }
}
