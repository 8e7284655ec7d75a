//! Embeddings: `/v2/embed`, and the models on Bedrock that speak the same.

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Ask, Embed, EmbedInput, EmbedTask, Embeddings, EncodedRequest, Error, Glance, Losses, Members,
    Payload, RawJson, Str, Target, Truncate, Usage, Vector, VectorForm,
};

use super::{COHERE, error, usage};
use crate::embedding::{self, Takes, input_type, narrow};
use crate::json::{self, Array, At, Fields, Object};
use crate::plain_error::malformed;

/// How many inputs are taken at once.
pub(crate) const MOST_INPUTS: usize = 96;

/// Reads a request.
pub(super) fn decode(members: &Members) -> Result<Embed, Error> {
    let mut embed = Embed::default();
    for (name, value) in members.iter().filter(|(_, value)| *value != "null") {
        let at = At::root(name);
        let list = || json::read::<Vec<&RawValue>>(value, at, "a list");
        let text =
            |(index, raw): (usize, &&RawValue)| json::read_text(raw.get(), value, at.index(index));
        match name.as_str() {
            "model" => {}
            "texts" => {
                for item in list()?.iter().enumerate().map(text) {
                    embed.inputs.push(EmbedInput::Text(item?));
                }
            }
            "images" => {
                for item in list()?.iter().enumerate().map(text) {
                    embed.inputs.push(EmbedInput::Image(item?));
                }
            }
            "inputs" => {
                let items = list()?;
                let raw = |raw: &&RawValue| EmbedInput::Other(RawJson::from_raw(raw, value));
                embed.inputs.extend(items.iter().map(raw));
            }
            "input_type" => {
                let word = json::read_text(value, value, at)?;
                embed.task = Some(match word.as_str() {
                    "search_query" => EmbedTask::Query,
                    "search_document" => EmbedTask::Document,
                    "classification" => EmbedTask::Classification,
                    "clustering" => EmbedTask::Clustering,
                    _ => EmbedTask::Other(word),
                });
            }
            "embedding_types" => {
                for form in list()?.iter().enumerate().map(text) {
                    embed.forms.push(VectorForm::of(form?));
                }
            }
            "output_dimension" => {
                embed.dimensions = Some(json::read(value, at, "a whole number")?);
            }
            "truncate" => {
                embed.truncate = Some(match json::read_text(value, value, at)?.as_str() {
                    "NONE" => Truncate::Refuse,
                    "START" => Truncate::Start,
                    "END" => Truncate::End,
                    _ => return Err(at.error("`NONE`, `START` or `END` is expected")),
                });
            }
            _ => {
                let value = RawJson::parse(value.clone())
                    .map_err(|_| at.error("this is not valid JSON"))?;
                embed.extras.push(name.clone(), value);
            }
        }
    }
    if !embed.extras.is_empty() {
        embed.extras.dialect = Some(COHERE);
    }
    if embed.inputs.is_empty() {
        return Err(At::root("texts").error("at least one text is required"));
    }
    Ok(embed)
}

/// Writes a request.
pub(super) fn encode(
    embed: &Embed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    write(&mut object, embed, target, losses)?;
    object.end();
    Ok(EncodedRequest::new(out.into()))
}

/// Writes all but the model's name.
pub(crate) fn write(
    object: &mut Object<'_>,
    embed: &Embed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let takes = Takes {
        dimensions: true,
        other_forms: true,
        task: true,
        truncate: (Truncate::End, true),
        user: false,
    };
    narrow(embed, COHERE, &takes, target, losses)?;
    let is_image = |input: &&EmbedInput| matches!(input, EmbedInput::Image(_));
    let images = embed.inputs.iter().filter(is_image).count();
    let other = |input: &EmbedInput| matches!(input, EmbedInput::Other(_));
    if images == embed.inputs.len() {
        let mut list = Array::begin(object.member("images"));
        for input in &embed.inputs {
            if let EmbedInput::Image(url) = input {
                json::string(list.item(), url);
            }
        }
        list.end();
    } else if target.source == Some(COHERE) && embed.inputs.iter().all(other) {
        let mut list = Array::begin(object.member("inputs"));
        for input in &embed.inputs {
            if let EmbedInput::Other(raw) = input {
                list.item().extend_from_slice(raw.get().as_bytes());
            }
        }
        list.end();
    } else {
        let mut list = Array::begin(object.member("texts"));
        for (index, input) in embed.inputs.iter().enumerate() {
            json::string(list.item(), embedding::text(input, index, target, losses)?);
        }
        list.end();
    }
    // It must be said: without it texts are to be found, as everywhere else.
    let task = match &embed.task {
        Some(task) => input_type(task),
        None if images > 0 => "image",
        None => "search_document",
    };
    object.text("input_type", task);
    let mut forms = Array::begin(object.member("embedding_types"));
    let mut any = false;
    for form in &embed.forms {
        // Floats are made base64 here: not every model does that itself.
        if *form != VectorForm::Base64 || target.source == Some(COHERE) {
            json::string(forms.item(), form.name());
            any = true;
        }
    }
    if !any {
        json::string(forms.item(), "float");
    }
    forms.end();
    if let Some(dimensions) = embed.dimensions {
        object.number("output_dimension", dimensions);
    }
    if let Some(truncate) = embed.truncate {
        let word = match truncate {
            Truncate::Refuse => "NONE",
            Truncate::Start => "START",
            _ => "END",
        };
        object.text("truncate", word);
    }
    if embed.extras.dialect == Some(COHERE) {
        object.extras(&embed.extras);
    }
    Ok(())
}

/// What an answer repeats: the texts, and the forms that were asked for.
pub(super) fn echo(payload: &Payload) -> Option<RawJson> {
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    for name in ["texts", "embedding_types"] {
        if let Some(value) = payload.member(name) {
            object.raw(name, &value);
        }
    }
    object.end();
    json::raw_json(out).filter(|echo| echo.get() != "{}")
}

/// Reads usage and model of an answer. Its vectors are not looked at.
pub(crate) fn glance(body: &Bytes) -> Glance {
    let mut glance = Glance::default();
    match look(body) {
        Ok(usage) => glance.usage = usage,
        Err(error) => glance.error = Some(error),
    }
    glance
}

fn look(body: &Bytes) -> Result<Option<Usage>, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not valid UTF-8"))?;
    let fields: Fields<'_> =
        serde_json::from_str(&text).map_err(|_| malformed("it is no JSON object"))?;
    if fields.get("embeddings").is_none() {
        return Err(match fields.get("message") {
            Some(message) => error::in_body(json::shared_text(message, &text), &text),
            None => malformed("it holds no `embeddings`"),
        });
    }
    Ok(fields.get("meta").and_then(usage::read))
}

/// Reads an answer: vectors by form, or, of older models, plain lists.
pub(crate) fn decode_reply(body: &Bytes) -> Result<Embeddings, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not valid UTF-8"))?;
    let mut fields: Fields<'_> =
        serde_json::from_str(&text).map_err(|_| malformed("it is no JSON object"))?;
    let mut embeddings = Embeddings::default();
    let id = fields.text("id", &text, At::root("id")).map_err(crate::plain_error::misread)?;
    embeddings.id = id.unwrap_or_default();
    embeddings.usage = fields.get("meta").and_then(usage::read);
    let vectors = fields.take("embeddings").unwrap_or_default();
    let unreadable = |_| malformed("its `embeddings` cannot be read");
    if vectors.starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(vectors).map_err(unreadable)?;
        let vector = |raw: &&RawValue| embedding::numbers(RawJson::from_raw(raw, &text));
        let read: Option<Vec<Vector>> = list.iter().map(vector).collect();
        let read = read.ok_or_else(|| malformed("its `embeddings` are no lists of numbers"))?;
        embeddings.vectors = Embeddings::new(read).vectors;
    } else {
        let forms: Fields<'_> = serde_json::from_str(vectors).map_err(unreadable)?;
        for (form, list) in forms.iter().filter(|(_, list)| *list != "null") {
            let list: Vec<&RawValue> = serde_json::from_str(list).map_err(unreadable)?;
            embeddings.vectors.resize(list.len().max(embeddings.vectors.len()), Vec::new());
            for (vector, raw) in embeddings.vectors.iter_mut().zip(list) {
                let value = || RawJson::from_raw(raw, &text);
                vector.push(match form {
                    "float" => Vector::Floats(value()),
                    "base64" => Vector::Base64(
                        json::shared_text(raw.get(), &text)
                            .ok_or_else(|| malformed("a vector is no base64"))?,
                    ),
                    form => Vector::Other(form.into(), value()),
                });
            }
        }
    }
    for name in ["texts", "meta", "response_type", "images"] {
        fields.take(name);
    }
    fields.leave(&mut embeddings.extras, &text);
    if !embeddings.extras.is_empty() {
        embeddings.extras.dialect = Some(COHERE);
    }
    Ok(embeddings)
}

/// Writes an answer.
pub(super) fn encode_reply(embeddings: &Embeddings, ask: &Ask) -> Result<Bytes, Error> {
    let echo: Fields<'_> = ask
        .echo
        .as_ref()
        .and_then(|echo| serde_json::from_str(echo.get()).ok())
        .unwrap_or_default();
    let forms: Vec<String> = echo
        .get("embedding_types")
        .and_then(|raw| serde_json::from_str(raw).ok())
        .unwrap_or_default();
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::begin(&mut out);
    let id = if embeddings.id.is_empty() { &ask.call_id } else { &embeddings.id };
    object.text("id", id);
    object.text("response_type", "embeddings_by_type");
    let mut by_form = Object::begin(object.member("embeddings"));
    let default = [String::from("float")];
    for form in if forms.is_empty() { &default[..] } else { &forms[..] } {
        let has = |vector: &Vec<Vector>| vector.iter().any(|v| v.form().name() == form);
        if !matches!(form.as_str(), "float" | "base64") && !embeddings.vectors.iter().all(has) {
            // The target makes no such vectors: that was reported when it was asked.
            continue;
        }
        let mut list = Array::begin(by_form.member_named(form));
        for vector in &embeddings.vectors {
            let item = list.item();
            match form.as_str() {
                "float" => item.extend_from_slice(embedding::floats(vector)?.as_bytes()),
                "base64" => json::string(item, &embedding::base64(vector)?),
                form => {
                    if let Some(Vector::Other(_, value)) =
                        vector.iter().find(|v| v.form().name() == form)
                    {
                        item.extend_from_slice(value.get().as_bytes());
                    }
                }
            }
        }
        list.end();
    }
    by_form.end();
    object.raw("texts", echo.get("texts").unwrap_or("[]"));
    let mut meta = Object::begin(object.member("meta"));
    meta.raw("api_version", r#"{"version":"2"}"#);
    if let Some(usage) = &embeddings.usage {
        let mut billed = Object::begin(meta.member("billed_units"));
        billed.number("input_tokens", usage.total_input());
        billed.end();
    }
    meta.end();
    if embeddings.extras.dialect == Some(COHERE) {
        object.extras(&embeddings.extras);
    }
    object.end();
    Ok(out.into())
}
