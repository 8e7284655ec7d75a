//! Ollama's own API: `/api/chat`.
//!
//! | file | holds |
//! | --- | --- |
//! | `request/` | requests, both ways |
//! | `reply.rs` | whole answers, both ways, and what a gateway reads of them in passing |
//! | `models.rs` | lists of models |
//! | `stream/` | lines, both ways, and the facts read while a stream is cut |
//! | `error.rs` | errors, both ways |
//! | `words.rs` | what it calls the fields of the superset |
//! | `call.rs`, `logprobs.rs`, `stop.rs`, `usage.rs` | what these have in common |

mod call;
mod embed;
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
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ziggurat_core::{
    Answer, Ask, Codec, Content, CutOptions, Cutter, Dialect, EncodedRequest, Error, Glance,
    Losses, Members, Operation, Payload, Prepared, RawJson, Restore, Secret, Str, StreamDecoder,
    StreamEncoder, Target, Typed,
};

use crate::framing::ndjson::LineCutter;
use crate::hints::bearer;
use crate::media;

pub(crate) use words::word;

/// Ollama's `/api/chat`.
pub const OLLAMA: Dialect = Dialect::new(&Ollama);

/// The codec behind [`OLLAMA`].
#[derive(Debug)]
struct Ollama;

static REPLY_HEADERS: [HeaderName; 1] = [header::RETRY_AFTER];

/// A line that says nothing. Clients read every line as a value, a blank one would end them.
const KEEP_ALIVE_LINE: &str = r#"{"model":"","created_at":"1970-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":false}"#;

impl Codec for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn path(&self, operation: Operation, _model: &str, _stream: bool) -> Cow<'static, str> {
        Cow::Borrowed(match operation {
            Operation::Models => "/api/tags",
            Operation::Embeddings => "/api/embed",
            _ => "/api/chat",
        })
    }

    fn request_headers(&self) -> &'static [HeaderName] {
        &[]
    }

    fn reply_headers(&self) -> &'static [HeaderName] {
        &REPLY_HEADERS
    }

    fn request_id_header(&self) -> HeaderName {
        // It has none; who stands before it may.
        HeaderName::from_static("x-request-id")
    }

    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
        bearer(headers, key)
    }

    fn decode_request(&self, operation: Operation, members: &Members) -> Result<Typed, Error> {
        match operation {
            Operation::Embeddings => Ok(Typed::Embed(Arc::new(embed::decode(members)?))),
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
            request => request::encode(request, target, losses),
        }
    }

    fn prepare(&self, _payload: &mut Payload, _stream: bool) -> Result<Prepared, Error> {
        // Usage always comes.
        Ok(Prepared::default())
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        request::output_bound(payload)
    }

    fn inlines(&self, content: &Content) -> bool {
        matches!(content, Content::Image { .. }) && media::address(content).is_some()
    }

    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        request::set_default(payload, name, value);
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
            Answer::Embeddings(embeddings) => embed::encode_reply(embeddings, ask),
            answer => reply::encode(answer, ask, losses),
        }
    }

    fn stream_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/x-ndjson")
    }

    fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
        // Usage stands in the last line, which the caller cannot do without.
        Box::new(LineCutter::new(stream::Side::new(), options))
    }

    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(restore))
    }

    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(ask))
    }

    fn keep_alive(&self) -> Bytes {
        Bytes::from([KEEP_ALIVE_LINE, "\n"].concat())
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::decode(status, headers, body)
    }

    fn encode_error(&self, error: &Error, _request_id: Option<&str>) -> (StatusCode, Bytes) {
        error::encode(error)
    }

    fn encode_stream_error(&self, error: &Error, _request_id: Option<&str>) -> Bytes {
        let mut out = Vec::new();
        error::encode_in_stream(error, &mut out);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_the_output_is_an_option() {
        let bound = |body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            OLLAMA.output_bound(&Payload::wire(OLLAMA, Operation::Chat, body).unwrap())
        };
        assert_eq!(bound(r#"{"options":{"num_predict":100}}"#), Some(100));
        assert_eq!(bound(r#"{"options":{"num_predict":-1}}"#), None);
        assert_eq!(bound(r#"{"options":7}"#), None);
        assert_eq!(bound("{}"), None);
    }

    #[test]
    fn defaults_are_put_among_the_options() {
        let with = |body: &'static str, name: &'static str, value: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            let mut payload = Payload::wire(OLLAMA, Operation::Chat, body).unwrap();
            let value = RawJson::parse(value.into()).unwrap();
            OLLAMA.set_default(&mut payload, &name.into(), &value);
            let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
            String::from_utf8(sent).unwrap()
        };
        assert_eq!(with("{}", "max_tokens", "9"), r#"{"options":{"num_predict":9}}"#);
        let said = r#"{"options":{"num_predict":1,"x":1.50}}"#;
        assert_eq!(with(said, "max_tokens", "9"), said);
        assert_eq!(
            with(r#"{"options":{"x":1.50}}"#, "temperature", "0"),
            r#"{"options":{"x":1.50,"temperature":0}}"#
        );
        assert_eq!(with(r#"{"options":null}"#, "stop", "[]"), r#"{"options":{"stop":[]}}"#);
        assert_eq!(with("{}", "keep_alive", "\"1h\""), r#"{"keep_alive":"1h"}"#);
        assert_eq!(with("{}", "logit_bias", "{}"), "{}");
    }

    #[test]
    fn a_keep_alive_says_nothing() {
        let mut events = Vec::new();
        let mut decoder = OLLAMA.decoder(&Restore::default());
        let line = Bytes::from_static(br#"{"model":"m","message":{"content":"Hi"}}"#);
        decoder.decode(&line, &mut events).unwrap();
        events.clear();
        decoder.decode(&OLLAMA.keep_alive(), &mut events).unwrap();
        assert!(matches!(events[..], [ziggurat_core::Event::Ping]), "{events:?}");
    }
}
