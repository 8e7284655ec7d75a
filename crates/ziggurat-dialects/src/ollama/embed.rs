//! Embeddings: `/api/embed`, and the older `/api/embeddings` for one text.

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Ask, Embed, EmbedInput, Embeddings, EncodedRequest, Error, Glance, Losses, Members, Payload,
    RawJson, Str, Target, Truncate, Typed, Vector,
};

use super::{OLLAMA, error, usage};
use crate::embedding::{self, Takes, narrow};
use crate::json::{self, Array, At, Fields, Object};
use crate::plain_error::malformed;

/// Reads a request.
pub(super) fn decode(members: &Members) -> Result<Embed, Error> {
    let mut embed = Embed::default();
    for (name, value) in members.iter().filter(|(_, value)| *value != "null") {
        let at = At::root(name);
        match name.as_str() {
            "model" => {}
            "input" if value.starts_with('"') => {
                embed.inputs.push(EmbedInput::Text(json::read_text(value, value, at)?));
            }
            "input" => {
                let texts: Vec<&RawValue> = json::read(value, at, "a string or a list of strings")?;
                for (index, text) in texts.iter().enumerate() {
                    let text = json::read_text(text.get(), value, at.index(index))?;
                    embed.inputs.push(EmbedInput::Text(text));
                }
            }
            // The older form.
            "prompt" => {
                embed.alone = true;
                embed.inputs.push(EmbedInput::Text(json::read_text(value, value, at)?));
            }
            "dimensions" => embed.dimensions = Some(json::read(value, at, "a whole number")?),
            "truncate" => {
                let cut: bool = json::read(value, at, "true or false")?;
                embed.truncate = Some(if cut { Truncate::End } else { Truncate::Refuse });
            }
            _ => {
                let value = RawJson::parse(value.clone())
                    .map_err(|_| at.error("this is not valid JSON"))?;
                embed.extras.push(name.clone(), value);
            }
        }
    }
    if !embed.extras.is_empty() {
        embed.extras.dialect = Some(OLLAMA);
    }
    if embed.inputs.is_empty() {
        return Err(At::root("input").error("at least one text is required"));
    }
    Ok(embed)
}

/// Writes a request.
pub(super) fn encode(
    embed: &Embed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let takes = Takes {
        dimensions: true,
        other_forms: false,
        task: false,
        truncate: (Truncate::End, true),
        user: false,
    };
    narrow(embed, OLLAMA, &takes, target, losses)?;
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    let mut list = Array::begin(object.member("input"));
    for (index, input) in embed.inputs.iter().enumerate() {
        json::string(list.item(), embedding::text(input, index, target, losses)?);
    }
    list.end();
    if let Some(truncate) = embed.truncate {
        object.flag("truncate", truncate != Truncate::Refuse);
    }
    if let Some(dimensions) = embed.dimensions {
        object.number("dimensions", dimensions);
    }
    if embed.extras.dialect == Some(OLLAMA) {
        object.extras(&embed.extras);
    }
    object.end();
    Ok(EncodedRequest::new(out.into()))
}

/// Whether the caller asked in the older form.
pub(super) fn echo(payload: &Payload) -> Option<RawJson> {
    match payload.decode().ok()? {
        Typed::Embed(embed) if embed.alone => Some(json::constant(r#"{"alone":true}"#)),
        _ => None,
    }
}

/// Reads usage and model of an answer. Its vectors are not looked at.
pub(super) fn glance(body: &Bytes) -> Glance {
    let mut glance = Glance::default();
    let look = || {
        let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not valid UTF-8"))?;
        let mut fields: Fields<'_> =
            serde_json::from_str(&text).map_err(|_| malformed("it is no JSON object"))?;
        if let Some(failed) = fields.get("error") {
            return Err(error::in_body(failed, &text));
        }
        if fields.get("embeddings").is_none() {
            return Err(malformed("it holds no `embeddings`"));
        }
        let model = fields.get("model").and_then(|raw| json::shared_text(raw, &text));
        Ok((model, usage::take(&mut fields)))
    };
    match look() {
        Ok((model, usage)) => (glance.model, glance.usage) = (model, usage),
        Err(error) => glance.error = Some(error),
    }
    glance
}

/// Reads an answer.
pub(super) fn decode_reply(body: &Bytes) -> Result<Embeddings, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not valid UTF-8"))?;
    let mut fields: Fields<'_> =
        serde_json::from_str(&text).map_err(|_| malformed("it is no JSON object"))?;
    if let Some(failed) = fields.get("error") {
        return Err(error::in_body(failed, &text));
    }
    let list = fields.take("embeddings").unwrap_or_default();
    let list: Vec<&RawValue> =
        serde_json::from_str(list).map_err(|_| malformed("its `embeddings` cannot be read"))?;
    let vector = |raw: &&RawValue| embedding::numbers(RawJson::from_raw(raw, &text));
    let vectors: Option<Vec<Vector>> = list.iter().map(vector).collect();
    let vectors = vectors.ok_or_else(|| malformed("its `embeddings` are no lists of numbers"))?;
    let mut embeddings = Embeddings::new(vectors);
    let model = fields.text("model", &text, At::root("model"));
    embeddings.model = model.map_err(crate::plain_error::misread)?.unwrap_or_default();
    embeddings.usage = usage::take(&mut fields);
    fields.leave(&mut embeddings.extras, &text);
    if !embeddings.extras.is_empty() {
        embeddings.extras.dialect = Some(OLLAMA);
    }
    Ok(embeddings)
}

/// Writes an answer.
pub(super) fn encode_reply(embeddings: &Embeddings, ask: &Ask) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::begin(&mut out);
    if ask.echo.is_some() {
        let vector = embeddings.vectors.first().map_or(&[][..], |vector| &vector[..]);
        object.raw("embedding", &embedding::floats(vector)?);
        object.end();
        return Ok(out.into());
    }
    let model = &embeddings.model;
    object.text("model", if model.is_empty() { &ask.model } else { model });
    let mut list = Array::begin(object.member("embeddings"));
    for vector in &embeddings.vectors {
        list.item().extend_from_slice(embedding::floats(vector)?.as_bytes());
    }
    list.end();
    if let Some(usage) = &embeddings.usage {
        object.number("prompt_eval_count", usage.total_input());
    }
    if embeddings.extras.dialect == Some(OLLAMA) {
        object.extras(&embeddings.extras);
    }
    object.end();
    Ok(out.into())
}
