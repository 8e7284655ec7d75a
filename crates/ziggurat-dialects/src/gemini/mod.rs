//! Gemini's `generateContent`, of AI Studio and of Vertex AI.
//!
//! | file | holds |
//! | --- | --- |
//! | `request/` | requests, both ways, and the edit of a request that leaves as it came |
//! | `reply/` | whole answers, both ways, and what a gateway reads of them in passing |
//! | `stream/` | chunks, both ways, and the facts read while a stream is cut |
//! | `models.rs` | lists of models |
//! | `error.rs` | errors, both ways |
//! | `part.rs`, `blob.rs`, `signature.rs`, `grounding.rs`, `logprobs.rs`, `stop.rs`, `usage.rs` | what these have in common |
//! | `camel.rs` | the two spellings of a name |
//! | `words.rs` | the caller's words for fields |

mod blob;
mod camel;
mod embed;
mod error;
mod grounding;
mod logprobs;
mod models;
mod part;
mod predict;
mod reply;
mod request;
mod signature;
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

pub(crate) use camel::camel as camel_name;
pub use predict::PREDICT;
pub(crate) use words::word;

use crate::framing::sse::{Decoded, EventReader as _, SseCutter};
use crate::hints::InPath;
use crate::media;

/// Gemini `generateContent`.
pub const GEMINI: Dialect = Dialect::new(&Gemini);

/// The codec behind [`GEMINI`].
#[derive(Debug)]
struct Gemini;

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

static REPLY_HEADERS: [HeaderName; 3] =
    [REQUEST_ID, header::RETRY_AFTER, HeaderName::from_static("x-gemini-service-tier")];

impl Codec for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn root(&self) -> &'static str {
        "/v1beta"
    }

    fn path(&self, operation: Operation, model: &str, stream: bool) -> Cow<'static, str> {
        let model = model.strip_prefix("models/").unwrap_or(model);
        let verb = match operation {
            Operation::Models if model.is_empty() => return Cow::Borrowed("/models"),
            Operation::Models => "",
            Operation::CountTokens => ":countTokens",
            Operation::Embeddings => ":batchEmbedContents",
            _ if stream => ":streamGenerateContent?alt=sse",
            _ => ":generateContent",
        };
        // A tuned model is a resource of its own kind.
        let kind = if model.starts_with("tunedModels/") { "" } else { "models/" };
        Cow::Owned(format!("/{kind}{}{verb}", InPath(model)))
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

    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
        let Some(key) = key else { return Ok(()) };
        // Tokens of OAuth are a bearer's, keys have a header of their own.
        let (name, value) = match key.expose() {
            token if token.starts_with("ya29.") => {
                (header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")))
            }
            key => (API_KEY, HeaderValue::from_str(key)),
        };
        let mut value = value.map_err(|_| {
            let message = "the provider's key has characters that a header cannot carry";
            Error::new(ErrorKind::Server, message)
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }

    fn decode_request(&self, operation: Operation, members: &Members) -> Result<Typed, Error> {
        match operation {
            Operation::Embeddings => embed::decode(members),
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

    fn prepare(&self, payload: &mut Payload, _stream: bool) -> Result<Prepared, Error> {
        request::prepare(payload)
    }

    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        request::output_bound(payload)
    }

    fn inlines(&self, content: &Content) -> bool {
        // What Google has itself it reads from where it is; other addresses newer models of Vertex alone.
        const GOOGLES: [&str; 4] =
            ["gs://", "https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"];
        media::address(content)
            .is_some_and(|address| !GOOGLES.iter().any(|own| address.starts_with(own)))
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

    fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
        // Usage stands in chunks that the caller cannot do without, so none is withheld.
        Box::new(SseCutter::new(Decoded::<stream::Decoder>::new(), options))
    }

    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::restoring(restore))
    }

    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(ask))
    }

    fn keep_alive(&self) -> Bytes {
        // Google's own clients read every line as JSON.
        Bytes::new()
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::decode(status, headers, body)
    }

    fn encode_error(&self, error: &Error, _request_id: Option<&str>) -> (StatusCode, Bytes) {
        error::encode(error)
    }

    fn encode_stream_error(&self, error: &Error, _request_id: Option<&str>) -> Bytes {
        let mut out = Vec::with_capacity(192);
        error::encode_in_stream(error, &mut out);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorized(key: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        GEMINI.authorize(&mut headers, Some(&Secret::new(key))).unwrap();
        headers
    }

    #[test]
    fn a_key_has_a_header_of_its_own_and_a_token_is_a_bearers() {
        let headers = authorized("AIzaSyX");
        assert_eq!(headers[API_KEY], "AIzaSyX");
        assert!(headers[API_KEY].is_sensitive());
        assert_eq!(authorized("ya29.x")[header::AUTHORIZATION], "Bearer ya29.x");
        let error =
            GEMINI.authorize(&mut HeaderMap::new(), Some(&Secret::new("a\nb"))).unwrap_err();
        assert!(!format!("{error:?}").contains("a\nb"));
    }

    #[test]
    fn the_path_names_the_model_and_what_is_asked() {
        let path = |operation, model, stream| GEMINI.path(operation, model, stream).into_owned();
        assert_eq!(
            path(Operation::Chat, "gemini-3-pro", false),
            "/models/gemini-3-pro:generateContent"
        );
        assert_eq!(
            path(Operation::Chat, "models/gemini-3-pro", true),
            "/models/gemini-3-pro:streamGenerateContent?alt=sse"
        );
        assert_eq!(
            path(Operation::CountTokens, "tunedModels/x", false),
            "/tunedModels/x:countTokens"
        );
        assert_eq!(path(Operation::Models, "", false), "/models");
        assert_eq!(path(Operation::Models, "a b", false), "/models/a%20b");
    }
}
