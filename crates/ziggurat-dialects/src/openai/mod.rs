//! OpenAI's Chat Completions, and the servers that speak like it.
//!
//! | file | holds |
//! | --- | --- |
//! | `request/` | requests, both ways |
//! | `reply/` | whole answers, both ways, and what a gateway reads of them in passing |
//! | `stream/` | chunks, both ways, and the facts read while a stream is cut |
//! | `prepare.rs` | the one edit of a request that leaves as it came |
//! | `wire.rs` | what these have in common: stop words, citations, reasoning blocks |
//! | `words.rs` | what it calls the fields of the superset |
//!
//! What it shares with Responses (errors, usage, headers) is in `openai_api`.

mod embed;
mod prepare;
mod quirks;
mod reply;
mod request;
mod stream;
mod wire;
mod words;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use ziggurat_core::{
    Answer, Ask, Codec, Content, CutOptions, Cutter, Dialect, EncodedRequest, Error, Glance,
    Losses, Members, Operation, Payload, Prepared, RawJson, Restore, Secret, Str, StreamDecoder,
    StreamEncoder, Target, Typed,
};

use crate::framing::sse::SseCutter;
use crate::media;
use crate::openai_api::{
    self, KEEP_ALIVE, LONGEST_NAME, REPLY_HEADERS, REQUEST_HEADERS, REQUEST_ID, STEERING_HEADERS,
    error, models,
};
use crate::ranking;

pub use quirks::{Json, MaxTokensName, Quirks};
pub(crate) use words::word;

/// OpenAI Chat Completions.
pub const OPENAI: Dialect = Dialect::new(&OpenAi);

/// The codec behind [`OPENAI`].
#[derive(Debug)]
struct OpenAi;

impl Codec for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn root(&self) -> &'static str {
        "/v1"
    }

    fn path(&self, operation: Operation, model: &str, _stream: bool) -> Cow<'static, str> {
        match operation {
            Operation::Models => models::path(model),
            Operation::CountTokens => Cow::Borrowed("/responses/input_tokens"),
            Operation::Embeddings => Cow::Borrowed("/embeddings"),
            Operation::Rerank => Cow::Borrowed("/rerank"),
            Operation::Moderation => Cow::Borrowed("/moderations"),
            _ => Cow::Borrowed("/chat/completions"),
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
        match operation {
            Operation::Embeddings => Ok(Typed::Embed(Arc::new(embed::decode(members)?))),
            Operation::Rerank => Ok(Typed::Rerank(Arc::new(ranking::decode(OPENAI, members)?))),
            Operation::Moderation => Ok(Typed::Own(operation)),
            operation => request::decode(operation, members),
        }
    }

    fn encode_request(
        &self,
        request: &Typed,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<EncodedRequest, Error> {
        match request {
            Typed::Embed(embed) => embed::encode(embed, target, losses),
            Typed::Rerank(rerank) => ranking::encode(OPENAI, rerank, target, losses),
            request => request::encode(request, target, losses),
        }
    }

    fn prepare(&self, payload: &mut Payload, stream: bool) -> Result<Prepared, Error> {
        prepare::prepare(payload, stream)
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        let number = |name| payload.member(name)?.parse::<u64>().ok();
        let each = number("max_completion_tokens").or_else(|| number("max_tokens"))?;
        Some(each.saturating_mul(number("n").unwrap_or(1)))
    }

    fn inlines(&self, content: &Content) -> bool {
        // Pictures alone are read from where they are.
        matches!(content, Content::Audio { .. } | Content::Document { .. })
            && media::address(content).is_some()
    }

    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        payload.set_default(name.clone(), value.clone());
    }

    fn most_inputs(&self, operation: Operation, _model: &str) -> Option<usize> {
        match operation {
            Operation::Embeddings => Some(embed::MOST_INPUTS),
            _ => None,
        }
    }

    fn echo(&self, payload: &Payload) -> Option<RawJson> {
        match payload.operation() {
            Operation::Embeddings => embed::echo(payload),
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
        match answer {
            Answer::Ranking(ranking) => Ok(ranking::encode_reply(ranking, ask)),
            Answer::Embeddings(embeddings) => embed::encode_reply(embeddings, ask),
            answer => reply::encode(answer, ask, losses),
        }
    }

    fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
        Box::new(SseCutter::new(stream::Side::new(options), options))
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
        error::decode(OPENAI, status, headers, body)
    }

    fn encode_error(&self, error: &Error, _request_id: Option<&str>) -> (StatusCode, Bytes) {
        error::encode(error)
    }

    fn encode_stream_error(&self, error: &Error, _request_id: Option<&str>) -> Bytes {
        error::encode_in_stream(error).into()
    }
}

/// The id of an answer: the provider's if it has this dialect's form, else one made of the call's.
fn reply_id(id: &Str, ask: &Ask) -> Str {
    if id.starts_with("chatcmpl-") && id.len() <= LONGEST_NAME {
        return id.clone();
    }
    Str::from(["chatcmpl-", &ask.call_id].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_below_v1() {
        assert_eq!(OPENAI.path(Operation::Chat, "m", true), "/chat/completions");
        assert_eq!(OPENAI.path(Operation::Models, "", false), "/models");
        assert_eq!(OPENAI.path(Operation::Models, "a/b:1", false), "/models/a/b:1");
        assert_eq!(OPENAI.path(Operation::Models, "a b?ä", false), "/models/a%20b%3F%C3%A4");
    }

    #[test]
    fn the_bound_of_the_output_is_read_without_decoding() {
        let bound = |body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            OPENAI.output_bound(&Payload::wire(OPENAI, Operation::Chat, body).unwrap())
        };
        assert_eq!(bound(r#"{"max_tokens":100}"#), Some(100));
        assert_eq!(bound(r#"{"max_tokens":100,"max_completion_tokens":50,"n":3}"#), Some(150));
        assert_eq!(bound(r#"{"max_tokens":null,"n":3}"#), None);
        assert_eq!(bound(r#"{"messages":"is not looked at"}"#), None);
    }

    #[test]
    fn the_key_is_a_bearer_token_and_never_printed() {
        let mut headers = HeaderMap::new();
        OPENAI.authorize(&mut headers, Some(&Secret::new("sk-1"))).unwrap();
        assert_eq!(headers["authorization"], "Bearer sk-1");
        assert!(headers["authorization"].is_sensitive());
        assert!(OPENAI.authorize(&mut headers, Some(&Secret::new("a\nb"))).is_err());
        let mut none = HeaderMap::new();
        OPENAI.authorize(&mut none, None).unwrap();
        assert!(none.is_empty());
    }
}
