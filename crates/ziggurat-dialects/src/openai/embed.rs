//! Embeddings.

use bytes::Bytes;
use ziggurat_core::{
    Ask, Embed, EmbedInput, EmbedTask, Embeddings, EncodedRequest, Error, Glance, Losses, Members,
    Operation, Outline, Payload, RawJson, Str, Target, Truncate, Vector, VectorForm,
};

use super::OPENAI;
use crate::embedding::{self, Takes, narrow};
use crate::json::{self, Array, Object};
use crate::node::Node;
use crate::openai_api::{error, malformed, usage};

/// How many inputs are taken at once.
pub(super) const MOST_INPUTS: usize = 2048;

const FORM: &str = "encoding_format";

/// Reads a request.
pub(super) fn decode(members: &Members) -> Result<Embed, Error> {
    let mut embed = Embed::default();
    let mut input = false;
    for (name, value) in members.iter() {
        let node = Node::root(name, value);
        if node.is_null() {
            continue;
        }
        match name.as_str() {
            "model" => {}
            "input" => {
                input = true;
                inputs(&node, &mut embed.inputs)?;
            }
            "dimensions" => {
                let count = u32::try_from(node.count()?);
                embed.dimensions = Some(count.map_err(|_| node.expected("a small number"))?);
            }
            FORM => embed.forms = vec![VectorForm::of(node.string()?)],
            "user" => embed.user = Some(node.string()?),
            // Of servers that speak like OpenAI, and of clients that speak to several.
            "input_type" => embed.task = Some(EmbedTask::Other(node.string()?)),
            _ => node.keep(OPENAI, &mut embed.extras, name)?,
        }
    }
    if !input {
        return Err(Error::invalid("`input` is required")
            .with_param("input")
            .with_code("missing_required_parameter"));
    }
    if embed.inputs.is_empty() {
        return Err(Error::invalid("`input`: at least one input is required")
            .with_param("input")
            .with_code("empty_array"));
    }
    Ok(embed)
}

/// A text, texts, tokens, or lists of tokens.
fn inputs(node: &Node<'_>, inputs: &mut Vec<EmbedInput>) -> Result<(), Error> {
    if node.is_string() {
        inputs.push(EmbedInput::Text(node.string()?));
        return Ok(());
    }
    if !node.is_list() {
        return Err(node.expected("a string, or a list of strings or tokens"));
    }
    let mut tokens = false;
    node.items(|_, item| {
        if item.is_string() {
            inputs.push(EmbedInput::Text(item.string()?));
        } else if item.is_list() {
            inputs.push(EmbedInput::Tokens(item.raw()?));
        } else if item.as_count().is_some() {
            tokens = true;
        } else {
            return Err(item.expected("a string or tokens"));
        }
        Ok(())
    })?;
    match (tokens, inputs.is_empty()) {
        (false, _) => {}
        (true, true) => inputs.push(EmbedInput::Tokens(node.raw()?)),
        (true, false) => return Err(node.expected("a list of strings, or of tokens")),
    }
    Ok(())
}

/// Writes a request.
pub(super) fn encode(
    embed: &Embed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let own = target.source == Some(OPENAI);
    let takes = Takes {
        dimensions: true,
        other_forms: own,
        task: own,
        truncate: (Truncate::Refuse, false),
        user: true,
    };
    narrow(embed, OPENAI, &takes, target, losses)?;
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    let mut list = Array::begin(object.member("input"));
    for (index, input) in embed.inputs.iter().enumerate() {
        match input {
            EmbedInput::Tokens(tokens) => list.item().extend_from_slice(tokens.get().as_bytes()),
            input => {
                let text = embedding::text(input, index, target, losses)?;
                json::string(list.item(), text);
            }
        }
    }
    list.end();
    if let [form] = &embed.forms[..]
        && (own || matches!(form, VectorForm::Float | VectorForm::Base64))
    {
        object.text(FORM, form.name());
    }
    if let Some(dimensions) = embed.dimensions {
        object.number("dimensions", dimensions);
    }
    if let (true, Some(task)) = (own, &embed.task) {
        let word = match task {
            EmbedTask::Other(word) => word,
            task => embedding::input_type(task),
        };
        object.text("input_type", word);
    }
    if let Some(user) = &embed.user {
        object.text("user", user);
    }
    if embed.extras.dialect == Some(OPENAI) {
        object.extras(&embed.extras);
    }
    object.end();
    Ok(EncodedRequest::new(out.into()))
}

/// The form of the vectors that the caller wants.
pub(super) fn echo(payload: &Payload) -> Option<RawJson> {
    let form = match payload.member(FORM) {
        Some(form) => form,
        None => match payload.decode().ok()? {
            ziggurat_core::Typed::Embed(embed) => {
                RawJson::string(embed.forms.first()?.name()).into_text()
            }
            _ => return None,
        },
    };
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.raw(FORM, &form);
    object.end();
    json::raw_json(out)
}

/// Reads usage, model and error of an answer. Its vectors are not looked at.
pub(super) fn glance(body: &Bytes) -> Glance {
    let mut glance = super::reply::glance(Operation::Embeddings, body);
    let text = Str::from_utf8(body.clone()).ok();
    let outline = text.and_then(|text| Some((Outline::read(&text).ok()?, text)));
    let data = outline.and_then(|(outline, text)| Some(outline.find(&text, "data")?.value(&text)));
    if glance.error.is_none() && data.is_none_or(|data| !data.starts_with('[')) {
        glance.error = Some(malformed("it has no `data`"));
    }
    glance
}

/// Reads an answer.
pub(super) fn decode_reply(body: &Bytes) -> Result<Embeddings, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not UTF-8"))?;
    let root = Node::root("answer", &text);
    if !root.is_object() {
        return Err(malformed("it is no JSON object"));
    }
    if let Some(failed) = root.get("error") {
        return Err(error::in_stream(OPENAI, &failed, &text));
    }
    read(&root).map_err(|error| malformed(error.message()))
}

fn read(root: &Node<'_>) -> Result<Embeddings, Error> {
    let mut embeddings = Embeddings::default();
    let mut vectors: Vec<(u64, Vector)> = Vec::new();
    root.members(|name, node| {
        match name {
            "object" => {}
            "id" => embeddings.id = node.as_string().unwrap_or_default(),
            "model" => embeddings.model = node.as_string().unwrap_or_default(),
            "usage" => embeddings.usage = usage::decode(&node, &usage::CHAT),
            "data" => node.items(|place, item| {
                let [index, value] = item.pick(["index", "embedding"])?;
                let value = value.ok_or_else(|| item.expected("an embedding"))?;
                let vector = match value.if_string()? {
                    Some(text) => Vector::Base64(text),
                    None => embedding::numbers(value.raw()?)
                        .ok_or_else(|| value.expected("a list of numbers, or base64"))?,
                };
                let index = index.and_then(|index| index.as_count());
                vectors.push((index.unwrap_or(place as u64), vector));
                Ok(())
            })?,
            _ => node.keep(OPENAI, &mut embeddings.extras, name)?,
        }
        Ok(())
    })?;
    root.need("data")?;
    vectors.sort_by_key(|(index, _)| *index);
    embeddings.vectors = vectors.into_iter().map(|(_, vector)| vec![vector]).collect();
    Ok(embeddings)
}

/// Writes an answer.
pub(super) fn encode_reply(embeddings: &Embeddings, ask: &Ask) -> Result<Bytes, Error> {
    let base64 = ask.echo.as_ref().is_some_and(|echo| echo.get().contains("\"base64\""));
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::begin(&mut out);
    object.text("object", "list");
    let mut list = Array::begin(object.member("data"));
    for (index, vector) in embeddings.vectors.iter().enumerate() {
        let mut item = list.object();
        item.text("object", "embedding");
        item.number("index", index);
        match base64 {
            true => item.text("embedding", &embedding::base64(vector)?),
            false => item.raw("embedding", &embedding::floats(vector)?),
        }
        item.end();
    }
    list.end();
    let model = &embeddings.model;
    object.text("model", if model.is_empty() { &ask.model } else { model });
    // Clients look for both.
    let input = embeddings.usage.as_ref().map_or(0, ziggurat_core::Usage::total_input);
    let mut usage = Object::begin(object.member("usage"));
    usage.number("prompt_tokens", input);
    usage.number("total_tokens", input);
    usage.end();
    if embeddings.extras.dialect == Some(OPENAI) {
        object.extras(&embeddings.extras);
    }
    object.end();
    Ok(out.into())
}
