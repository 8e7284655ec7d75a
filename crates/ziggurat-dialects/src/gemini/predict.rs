//! What Google's cloud has of its own for vectors: `:predict` (Vertex AI, text embeddings). Nothing else of it is spoken.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use ziggurat_core::{
    Answer, Ask, Codec, CutOptions, Cutter, Dialect, Embed, Embeddings, EncodedRequest, Error,
    ErrorKind, Glance, Losses, Members, Operation, Payload, Prepared, RawJson, Restore, Secret,
    StreamDecoder, StreamEncoder, Target, Truncate, Typed, Usage, Vector,
};

use super::camel::object;
use super::{GEMINI, embed, error};
use crate::embedding::{self, Takes, narrow};
use crate::hints::InPath;
use crate::json::{Array, At, Fields, Object};

/// Google's `:predict`, for vectors.
pub const PREDICT: Dialect = Dialect::new(&Predict);

/// The codec behind [`PREDICT`].
#[derive(Debug)]
struct Predict;

impl Codec for Predict {
    fn name(&self) -> &'static str {
        "predict"
    }

    fn path(&self, _: Operation, model: &str, _: bool) -> Cow<'static, str> {
        Cow::Owned(format!("/models/{}:predict", InPath(model)))
    }

    fn request_headers(&self) -> &'static [HeaderName] {
        GEMINI.request_headers()
    }

    fn reply_headers(&self) -> &'static [HeaderName] {
        GEMINI.reply_headers()
    }

    fn request_id_header(&self) -> HeaderName {
        GEMINI.request_id_header()
    }

    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
        GEMINI.authorize(headers, key)
    }

    fn decode_request(&self, operation: Operation, _: &Members) -> Result<Typed, Error> {
        // Nobody calls us in it.
        Ok(Typed::Own(operation))
    }

    fn encode_request(
        &self,
        request: &Typed,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<EncodedRequest, Error> {
        match request {
            Typed::Embed(embed) => encode(embed, target, losses),
            other => {
                let message = format!("{} cannot be asked for here", other.operation());
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    fn prepare(&self, _: &mut Payload, _: bool) -> Result<Prepared, Error> {
        Ok(Prepared::default())
    }

    fn most_inputs(&self, operation: Operation, model: &str) -> Option<usize> {
        // Vertex AI, text embeddings: the newer family takes one text a request, the older ones 250.
        let most = if model.starts_with("gemini-") { 1 } else { 250 };
        (operation == Operation::Embeddings).then_some(most)
    }

    fn glance(&self, _: Operation, body: &Bytes) -> Glance {
        let mut glance = Glance::default();
        match decode(body) {
            Ok(embeddings) => glance.usage = embeddings.usage,
            Err(error) => glance.error = Some(error),
        }
        glance
    }

    fn decode_reply(&self, _: Operation, body: &Bytes, _: &Restore) -> Result<Answer, Error> {
        decode(body).map(Box::new).map(Answer::Embeddings)
    }

    fn encode_reply(
        &self,
        answer: &Answer,
        ask: &Ask,
        losses: &mut Losses,
    ) -> Result<Bytes, Error> {
        GEMINI.encode_reply(answer, ask, losses)
    }

    fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
        GEMINI.cutter(options)
    }

    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
        GEMINI.decoder(restore)
    }

    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
        GEMINI.encoder(ask)
    }

    fn keep_alive(&self) -> Bytes {
        GEMINI.keep_alive()
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        GEMINI.decode_error(status, headers, body)
    }

    fn encode_error(&self, error: &Error, request_id: Option<&str>) -> (StatusCode, Bytes) {
        GEMINI.encode_error(error, request_id)
    }

    fn encode_stream_error(&self, error: &Error, request_id: Option<&str>) -> Bytes {
        GEMINI.encode_stream_error(error, request_id)
    }
}

/// Writes a request.
fn encode(
    embed: &Embed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let takes = Takes {
        dimensions: true,
        other_forms: false,
        task: true,
        // A text that is too long is cut, unless that is switched off.
        truncate: (Truncate::End, true),
        user: false,
    };
    narrow(embed, GEMINI, &takes, target, losses)?;
    let mut out = Vec::with_capacity(256);
    let mut whole = Object::begin(&mut out);
    let mut list = Array::begin(whole.member("instances"));
    for (index, input) in embed.inputs.iter().enumerate() {
        let mut instance = list.object();
        instance.text("content", embedding::text(input, index, target, losses)?);
        if let Some(task) = &embed.task {
            instance.text("task_type", embed::task_word(task));
        }
        if let Some(title) = embed.extras.get("title") {
            instance.raw("title", title.get());
        }
        instance.end();
    }
    list.end();
    let cut = embed.truncate.map(|truncate| truncate != Truncate::Refuse);
    if cut.is_some() || embed.dimensions.is_some() {
        let mut parameters = Object::begin(whole.member("parameters"));
        if let Some(dimensions) = embed.dimensions {
            parameters.number("outputDimensionality", dimensions);
        }
        if let Some(cut) = cut {
            parameters.flag("autoTruncate", cut);
        }
        parameters.end();
    }
    whole.end();
    Ok(EncodedRequest::new(out.into()))
}

/// Reads an answer.
fn decode(body: &Bytes) -> Result<Embeddings, Error> {
    let text = ziggurat_core::Str::from_utf8(body.clone())
        .map_err(|_| error::malformed("it is not UTF-8"))?;
    let mut fields =
        object(&text, At::root("answer")).map_err(|_| error::malformed("it is no JSON object"))?;
    if fields.get("error").is_some() {
        return Err(error::in_body(&text, body.clone()));
    }
    let unreadable = || error::malformed("its `predictions` cannot be read");
    let list = fields.take("predictions").ok_or_else(unreadable)?;
    let list: Vec<Fields<'_>> = serde_json::from_str(list).map_err(|_| unreadable())?;
    let mut vectors: Vec<Vector> = Vec::with_capacity(list.len());
    let mut tokens = None;
    for prediction in &list {
        let made = prediction.get("embeddings").ok_or_else(unreadable)?;
        let made: Fields<'_> = serde_json::from_str(made).map_err(|_| unreadable())?;
        let values = made.get("values").ok_or_else(unreadable)?;
        let values = RawJson::parse(text.slice_ref(values)).ok().and_then(embedding::numbers);
        vectors.push(values.ok_or_else(unreadable)?);
        let statistics: Option<Fields<'_>> =
            made.get("statistics").and_then(|told| serde_json::from_str(told).ok());
        let count = statistics.as_ref().and_then(|told| told.get("token_count"));
        if let Some(count) = count.and_then(|count| count.parse::<f64>().ok())
            && count >= 0.0
        {
            *tokens.get_or_insert(0.0) += count;
        }
    }
    let mut embeddings = Embeddings::new(vectors);
    // As a float it is told, and there are no halves of tokens.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let usage = tokens.map(|tokens: f64| Usage::new(tokens.round() as u64, 0));
    embeddings.usage = usage;
    Ok(embeddings)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use ziggurat_core::{Capabilities, EmbedTask, Str};

    use super::*;
    use crate::OPENAI;

    #[test]
    fn texts_are_instances() {
        let mut embed = Embed::texts(["a", "b"]);
        embed.task = Some(EmbedTask::Query);
        embed.dimensions = Some(3);
        embed.truncate = Some(Truncate::Refuse);
        let capabilities = Capabilities::default();
        let target = Target::new("text-embedding-005", &capabilities, Some(OPENAI));
        let mut losses = Losses::default();
        let typed = Typed::Embed(std::sync::Arc::new(embed));
        let request = PREDICT.encode_request(&typed, &target, &mut losses).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"},
                    {"content": "b", "task_type": "RETRIEVAL_QUERY"}],
                "parameters": {"outputDimensionality": 3, "autoTruncate": false}})
        );
        assert!(losses.found().is_empty());
        let chat = Typed::Chat(std::sync::Arc::default());
        assert!(PREDICT.encode_request(&chat, &target, &mut losses).is_err());
    }

    #[test]
    fn predictions_are_vectors() {
        let body = json!({"predictions": [
            {"embeddings": {"values": [0.5, -1], "statistics": {"token_count": 3.0, "truncated": false}}},
            {"embeddings": {"values": [1, 2], "statistics": {"token_count": 4, "truncated": false}}}],
            "metadata": {"billableCharacterCount": 9}});
        let bytes = Bytes::from(body.to_string());
        let answer =
            PREDICT.decode_reply(Operation::Embeddings, &bytes, &Restore::default()).unwrap();
        let Answer::Embeddings(embeddings) = answer else { panic!("{answer:?}") };
        assert_eq!(embeddings.usage, Some(Usage::new(7, 0)));
        let floats = RawJson::parse(Str::from("[0.5,-1]")).unwrap();
        assert_eq!(embeddings.vectors[0], [Vector::Floats(floats)]);
        let glance = PREDICT.glance(Operation::Embeddings, &bytes);
        assert_eq!(glance.usage, Some(Usage::new(7, 0)));
        for wrong in ["{}", "[]", r#"{"predictions":[{}]}"#, r#"{"error":{"code":400}}"#] {
            let bytes = Bytes::from_static(wrong.as_bytes());
            assert!(PREDICT.glance(Operation::Embeddings, &bytes).error.is_some(), "{wrong}");
        }
    }
}
