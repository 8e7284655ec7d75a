//! OpenAI's legacy Completions: a prompt in, its continuation out.
//!
//! | file | holds |
//! | --- | --- |
//! | `request.rs` | requests, both ways |
//! | `reply.rs` | whole answers, written |
//! | `stream.rs` | chunks, written |
//! | `words.rs` | what it calls the fields of the superset |
//!
//! Its answers are read as those of Chat Completions are, whose reader takes a `text` where a message would be: some servers send one for
//! the other. For a model that converses the prompt is what its user says.

mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use ziggurat_core::{
    Answer, Ask, Codec, CutOptions, Cutter, Dialect, EncodedRequest, Error, Glance, Losses,
    Members, Operation, Payload, Prepared, RawJson, Restore, Secret, Str, StreamDecoder,
    StreamEncoder, Target, Typed,
};

use crate::OPENAI;
use crate::openai_api::{KEEP_ALIVE, LONGEST_NAME, error};

pub(crate) use words::{lost, word};

/// OpenAI's legacy Completions.
pub const COMPLETIONS: Dialect = Dialect::new(&Completions);

/// The codec behind [`COMPLETIONS`].
#[derive(Debug)]
struct Completions;

impl Codec for Completions {
    fn name(&self) -> &'static str {
        "completions"
    }

    fn root(&self) -> &'static str {
        OPENAI.root()
    }

    fn path(&self, operation: Operation, model: &str, stream: bool) -> Cow<'static, str> {
        match operation {
            Operation::Chat => Cow::Borrowed("/completions"),
            operation => OPENAI.path(operation, model, stream),
        }
    }

    fn request_headers(&self) -> &'static [HeaderName] {
        OPENAI.request_headers()
    }

    fn steering_headers(&self) -> &'static [HeaderName] {
        OPENAI.steering_headers()
    }

    fn reply_headers(&self) -> &'static [HeaderName] {
        OPENAI.reply_headers()
    }

    fn request_id_header(&self) -> HeaderName {
        OPENAI.request_id_header()
    }

    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
        OPENAI.authorize(headers, key)
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

    fn prepare(&self, payload: &mut Payload, stream: bool) -> Result<Prepared, Error> {
        OPENAI.prepare(payload, stream)
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        OPENAI.output_bound(payload)
    }

    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        if request::knows(name) {
            payload.set_default(name.clone(), value.clone());
        }
    }

    fn echo(&self, payload: &Payload) -> Option<RawJson> {
        request::echo(payload)
    }

    fn glance(&self, operation: Operation, body: &Bytes) -> Glance {
        OPENAI.glance(operation, body)
    }

    fn decode_reply(
        &self,
        operation: Operation,
        body: &Bytes,
        restore: &Restore,
    ) -> Result<Answer, Error> {
        OPENAI.decode_reply(operation, body, restore)
    }

    fn encode_reply(
        &self,
        answer: &Answer,
        ask: &Ask,
        losses: &mut Losses,
    ) -> Result<Bytes, Error> {
        match answer {
            Answer::Chat(answer) => reply::encode(answer, ask, losses),
            other => OPENAI.encode_reply(other, ask, losses),
        }
    }

    fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
        OPENAI.cutter(options)
    }

    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
        OPENAI.decoder(restore)
    }

    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(ask))
    }

    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(KEEP_ALIVE)
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::decode(COMPLETIONS, status, headers, body)
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
    if id.starts_with("cmpl-") && id.len() <= LONGEST_NAME {
        return id.clone();
    }
    Str::from(format!("cmpl-{}", ask.call_id))
}
