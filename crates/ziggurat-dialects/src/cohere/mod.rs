//! Cohere's chat, version 2.
//!
//! | file | holds |
//! | --- | --- |
//! | `request/` | requests, both ways |
//! | `reply/` | whole answers, both ways, and what a gateway reads of them in passing |
//! | `models.rs` | lists of models |
//! | `stream/` | events, both ways, and the facts read while a stream is cut |
//! | `error.rs` | errors, both ways |
//! | `words.rs` | what it calls the fields of the superset |
//! | `citation.rs`, `content.rs`, `logprobs.rs`, `stop.rs`, `usage.rs` | what these have in common |

mod citation;
mod content;
pub(crate) mod embed;
mod error;
mod logprobs;
mod models;
mod reply;
mod request;
mod stop;
mod stream;
mod usage;
mod words;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use ziggurat_core::{
    Answer, Ask, Codec, CutOptions, Cutter, Dialect, EncodedRequest, Error, Glance, Losses,
    Members, Operation, Payload, Prepared, RawJson, Restore, Secret, Str, StreamDecoder,
    StreamEncoder, Target, Typed, Usage,
};

use crate::framing::sse::SseCutter;
use crate::hints::{InPath, bearer};
use crate::ranking;

pub(crate) use words::word;

/// Cohere's chat, version 2.
pub const COHERE: Dialect = Dialect::new(&Cohere);

/// The codec behind [`COHERE`].
#[derive(Debug)]
struct Cohere;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-debug-trace-id");

static REQUEST_HEADERS: [HeaderName; 1] = [HeaderName::from_static("x-client-name")];

static REPLY_HEADERS: [HeaderName; 5] = [
    REQUEST_ID,
    HeaderName::from_static("x-endpoint-monthly-call-limit"),
    HeaderName::from_static("x-trial-endpoint-call-limit"),
    HeaderName::from_static("x-trial-endpoint-call-remaining"),
    header::RETRY_AFTER,
];

/// A comment: clients skip it.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

impl Codec for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn path(&self, operation: Operation, model: &str, _stream: bool) -> Cow<'static, str> {
        match operation {
            Operation::Models if model.is_empty() => Cow::Borrowed("/v1/models"),
            Operation::Embeddings => Cow::Borrowed("/v2/embed"),
            Operation::Rerank => Cow::Borrowed("/v2/rerank"),
            Operation::Models => Cow::Owned(format!("/v1/models/{}", InPath(model))),
            _ => Cow::Borrowed("/v2/chat"),
        }
    }

    fn request_headers(&self) -> &'static [HeaderName] {
        &REQUEST_HEADERS
    }

    fn steering_headers(&self) -> &'static [HeaderName] {
        &[]
    }

    fn reply_headers(&self) -> &'static [HeaderName] {
        &REPLY_HEADERS
    }

    fn request_id_header(&self) -> HeaderName {
        REQUEST_ID
    }

    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
        bearer(headers, key)
    }

    fn decode_request(&self, operation: Operation, members: &Members) -> Result<Typed, Error> {
        match operation {
            Operation::Embeddings => Ok(Typed::Embed(Arc::new(embed::decode(members)?))),
            Operation::Rerank => Ok(Typed::Rerank(Arc::new(ranking::decode(COHERE, members)?))),
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
            Typed::Rerank(rerank) => ranking::encode(COHERE, rerank, target, losses),
            request => request::encode(request, target, losses),
        }
    }

    fn prepare(&self, _payload: &mut Payload, _stream: bool) -> Result<Prepared, Error> {
        // Usage always comes.
        Ok(Prepared::default())
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        payload.member("max_tokens")?.parse().ok()
    }

    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        request::set_default(payload, name, value);
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
        // Usage stands in the last event, which the caller cannot do without.
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

    fn encode_stream_error(&self, error: &Error, _request_id: Option<&str>) -> Bytes {
        let mut out = Vec::new();
        error::encode_in_stream(error, &Usage::default(), &mut out);
        out.into()
    }
}

/// The id of an answer: the provider's unless it is known by another dialect's form, else the call's.
fn reply_id(id: &Str, ask: &Ask) -> Str {
    let foreign = ["chatcmpl-", "msg_", "resp_", "gen-"];
    let own = (1..=256).contains(&id.len()) && !foreign.iter().any(|form| id.starts_with(form));
    if own { id.clone() } else { ask.call_id.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_versions() {
        assert_eq!(COHERE.path(Operation::Chat, "m", true), "/v2/chat");
        assert_eq!(COHERE.path(Operation::Models, "", false), "/v1/models");
        assert_eq!(COHERE.path(Operation::Models, "a b", false), "/v1/models/a%20b");
    }

    #[test]
    fn the_id_is_the_providers_or_the_calls() {
        let mut ask = Ask::new(Operation::Chat, "m");
        ask.call_id = "call".into();
        assert_eq!(reply_id(&"c14c80c3".into(), &ask), "c14c80c3");
        for foreign in ["chatcmpl-1", "msg_1", ""] {
            assert_eq!(reply_id(&foreign.into(), &ask), "call");
        }
    }
}
