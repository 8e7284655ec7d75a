//! Embeddings: `:batchEmbedContents`, and `:embedContent` for one content.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Ask, Embed, EmbedInput, EmbedTask, Embeddings, EncodedRequest, Error, Glance, Losses, Members,
    Payload, RawJson, Str, Target, Truncate, Typed, Usage, Vector,
};

use super::camel::object;
use super::{GEMINI, error, usage};
use crate::embedding::{self, Takes, known, narrow};
use crate::json::{self, Array, At, Fields, Object};

/// How many inputs are taken at once.
pub(super) const MOST_INPUTS: usize = 100;

/// Reads a request. What is said of each content is taken for all of them, and must be the same.
pub(super) fn decode(members: &Members) -> Result<Typed, Error> {
    let requests = members.get("requests").filter(|requests| *requests != "null");
    let embed = match requests {
        Some(requests) => {
            let at = At::root("requests").in_brackets();
            let list: Vec<&RawValue> = json::read(requests, at, "a list")?;
            let mut embed: Option<Embed> = None;
            for (index, raw) in list.iter().enumerate() {
                let at = at.index(index);
                let one = one(object(raw.get(), at)?, requests, at)?;
                match &mut embed {
                    None => embed = Some(one),
                    Some(embed) => {
                        let same = embed.with_inputs(&one.inputs) == one;
                        if !same {
                            let what = "all requests of a batch must say the same, but for their \
                                        content";
                            return Err(at.error(what));
                        }
                        embed.inputs.extend(one.inputs);
                    }
                }
            }
            embed.ok_or_else(|| at.error("at least one request is required"))?
        }
        None => {
            let mut out = Vec::new();
            let mut whole = Object::begin(&mut out);
            for (name, value) in members.iter() {
                whole.raw_named(name, value);
            }
            whole.end();
            let text = Str::from_utf8(out.into()).unwrap_or_default();
            let at = At::root("content").in_brackets();
            let mut embed = one(object(&text, at)?, &text, at)?;
            embed.alone = true;
            embed
        }
    };
    Ok(Typed::Embed(Arc::new(embed)))
}

fn one(mut fields: Fields<'_>, body: &Str, at: At<'_>) -> Result<Embed, Error> {
    let mut embed = Embed::default();
    // The model is the gateway's business.
    fields.take("model");
    let Some(content) = fields.take("content") else {
        return Err(at.name("content").error("this field is required"));
    };
    let input = match texts(content, body) {
        Some(text) => EmbedInput::Text(text),
        None => EmbedInput::Other(
            RawJson::parse(body.slice_ref(content))
                .map_err(|_| at.name("content").error("this is not valid JSON"))?,
        ),
    };
    embed.inputs.push(input);
    embed.dimensions = fields.value("outputDimensionality", at, "a whole number")?;
    embed.task = fields.text("taskType", body, at)?.and_then(task);
    let cut: Option<bool> = fields.value("autoTruncate", at, "true or false")?;
    embed.truncate = cut.map(|cut| if cut { Truncate::End } else { Truncate::Refuse });
    fields.leave(&mut embed.extras, body);
    if !embed.extras.is_empty() {
        embed.extras.dialect = Some(GEMINI);
    }
    Ok(embed)
}

/// The text of a content that holds nothing else.
fn texts(content: &str, body: &Str) -> Option<Str> {
    // Clients of Vertex send a bare text.
    if let Some(text) = json::shared_text(content, body) {
        return Some(text);
    }
    let content = object(content, At::root("content")).ok()?;
    let parts: Vec<Fields<'_>> = serde_json::from_str(content.get("parts")?).ok()?;
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        let mut members = part.iter();
        match (members.next(), members.next()) {
            (Some(("text", raw)), None) => texts.push(json::shared_text(raw, body)?),
            _ => return None,
        }
    }
    match texts.len() {
        0 => None,
        1 => texts.pop(),
        _ => Some(texts.iter().map(Str::as_str).collect::<Vec<_>>().join("\n").into()),
    }
}

fn task(word: Str) -> Option<EmbedTask> {
    Some(match word.as_str() {
        "TASK_TYPE_UNSPECIFIED" => return None,
        "RETRIEVAL_QUERY" => EmbedTask::Query,
        "RETRIEVAL_DOCUMENT" => EmbedTask::Document,
        "SEMANTIC_SIMILARITY" => EmbedTask::Similarity,
        "CLASSIFICATION" => EmbedTask::Classification,
        "CLUSTERING" => EmbedTask::Clustering,
        "QUESTION_ANSWERING" => EmbedTask::QuestionAnswering,
        "FACT_VERIFICATION" => EmbedTask::FactVerification,
        "CODE_RETRIEVAL_QUERY" => EmbedTask::CodeQuery,
        _ => EmbedTask::Other(word),
    })
}

pub(super) fn task_word(task: &EmbedTask) -> &str {
    match task {
        EmbedTask::Query => "RETRIEVAL_QUERY",
        EmbedTask::Document => "RETRIEVAL_DOCUMENT",
        EmbedTask::Similarity => "SEMANTIC_SIMILARITY",
        EmbedTask::Classification => "CLASSIFICATION",
        EmbedTask::Clustering => "CLUSTERING",
        EmbedTask::QuestionAnswering => "QUESTION_ANSWERING",
        EmbedTask::FactVerification => "FACT_VERIFICATION",
        EmbedTask::CodeQuery => "CODE_RETRIEVAL_QUERY",
        EmbedTask::Other(word) => match known(word) {
            Some(EmbedTask::Query) => "RETRIEVAL_QUERY",
            Some(_) => "RETRIEVAL_DOCUMENT",
            None => word,
        },
        _ => "TASK_TYPE_UNSPECIFIED",
    }
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
        task: true,
        truncate: (Truncate::End, false),
        user: false,
    };
    narrow(embed, GEMINI, &takes, target, losses)?;
    let named = target.model.starts_with("models/") || target.model.starts_with("tunedModels/");
    let model = format!("{}{}", if named { "" } else { "models/" }, target.model);
    let mut out = Vec::with_capacity(256);
    let mut batch = Object::begin(&mut out);
    let mut list = Array::begin(batch.member("requests"));
    for (index, input) in embed.inputs.iter().enumerate() {
        let mut request = list.object();
        request.text("model", &model);
        match input {
            EmbedInput::Other(content) if target.source == Some(GEMINI) => {
                request.raw("content", content.get());
            }
            input => {
                let text = embedding::text(input, index, target, losses)?;
                let mut content = Object::begin(request.member("content"));
                let mut parts = Array::begin(content.member("parts"));
                let mut part = parts.object();
                part.text("text", text);
                part.end();
                parts.end();
                content.end();
            }
        }
        if let Some(task) = &embed.task {
            request.text("taskType", task_word(task));
        }
        if let Some(dimensions) = embed.dimensions {
            request.number("outputDimensionality", dimensions);
        }
        if embed.extras.dialect == Some(GEMINI) {
            request.extras(&embed.extras);
        }
        request.end();
    }
    list.end();
    batch.end();
    Ok(EncodedRequest::new(out.into()))
}

/// Whether the caller asked in the form for one content.
pub(super) fn echo(payload: &Payload) -> Option<RawJson> {
    match payload.decode().ok()? {
        Typed::Embed(embed) if embed.alone => Some(json::constant(r#"{"alone":true}"#)),
        _ => None,
    }
}

/// Reads usage of an answer. Its vectors are not looked at.
pub(super) fn glance(body: &Bytes) -> Glance {
    let mut glance = Glance::default();
    match look(body) {
        Ok(usage) => glance.usage = usage,
        Err(error) => glance.error = Some(error),
    }
    glance
}

fn look(body: &Bytes) -> Result<Option<Usage>, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| error::malformed("it is not UTF-8"))?;
    let fields =
        object(&text, At::root("answer")).map_err(|_| error::malformed("it is no JSON object"))?;
    if fields.get("error").is_some() {
        return Err(error::in_body(&text, body.clone()));
    }
    if fields.get("embeddings").or_else(|| fields.get("embedding")).is_none() {
        return Err(error::malformed("it holds no `embeddings`"));
    }
    Ok(fields.get("usageMetadata").and_then(usage::read))
}

/// Reads an answer.
pub(super) fn decode_reply(body: &Bytes) -> Result<Embeddings, Error> {
    let usage = look(body)?;
    let text = Str::from_utf8(body.clone()).map_err(|_| error::malformed("it is not UTF-8"))?;
    let mut fields =
        object(&text, At::root("answer")).map_err(|_| error::malformed("it is no JSON object"))?;
    let unreadable = || error::malformed("its `embeddings` cannot be read");
    let list: Vec<Fields<'_>> = match (fields.take("embeddings"), fields.take("embedding")) {
        (Some(list), _) => serde_json::from_str(list).map_err(|_| unreadable())?,
        (None, Some(one)) => vec![serde_json::from_str(one).map_err(|_| unreadable())?],
        (None, None) => return Err(unreadable()),
    };
    let vector = |fields: &Fields<'_>| {
        let values = RawJson::parse(text.slice_ref(fields.get("values")?)).ok()?;
        embedding::numbers(values)
    };
    let vectors: Option<Vec<Vector>> = list.iter().map(vector).collect();
    let mut embeddings = Embeddings::new(vectors.ok_or_else(unreadable)?);
    embeddings.usage = usage;
    Ok(embeddings)
}

/// Writes an answer.
pub(super) fn encode_reply(embeddings: &Embeddings, ask: &Ask) -> Result<Bytes, Error> {
    fn write(vector: &[Vector], mut object: Object<'_>) -> Result<(), Error> {
        object.raw("values", &embedding::floats(vector)?);
        object.end();
        Ok(())
    }
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::begin(&mut out);
    if ask.echo.is_some() {
        let vector = embeddings.vectors.first().map_or(&[][..], |vector| &vector[..]);
        write(vector, Object::begin(object.member("embedding")))?;
    } else {
        let mut list = Array::begin(object.member("embeddings"));
        for vector in &embeddings.vectors {
            write(vector, list.object())?;
        }
        list.end();
    }
    if let Some(usage) = embeddings.usage.as_ref().filter(|usage| !usage.estimated) {
        let mut counts = Object::begin(object.member("usageMetadata"));
        usage::write(usage, &mut counts);
        counts.end();
    }
    object.end();
    Ok(out.into())
}
