//! Embeddings: what is refused, and the answer.

use serde_json::{Map, Value};

use super::{
    error::Fault,
    fields::{Field, Members},
};
use crate::{
    json::{Json, obj},
    vectors,
};

const KNOWN: [&str; 5] = ["model", "input", "encoding_format", "dimensions", "user"];
const MOST_INPUTS: usize = 2048;

/// How many numbers the vectors of a model have, and whether they can have fewer.
fn size(model: &str) -> Option<(u64, bool)> {
    match model {
        "text-embedding-3-small" => Some((1536, true)),
        "text-embedding-3-large" => Some((3072, true)),
        "text-embedding-ada-002" => Some((1536, false)),
        _ => None,
    }
}

/// Answers a request.
pub(super) fn answer(body: &Map<String, Value>) -> Result<Json, Fault> {
    let top = Members::top(body);
    let Some(name) = top.get("model") else {
        return Err(Fault::invalid("", "", "you must provide a model parameter".to_owned()));
    };
    let name = name.string()?;
    let (most, shortens) = size(name).ok_or_else(|| Fault::no_such_model(name))?;
    top.only(&KNOWN)?;
    let texts = inputs(&top.need("input")?)?;
    let in_base64 = match top.get("encoding_format").map(|field| field.string()).transpose()? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message =
                format!("Invalid value: '{other}'. Supported values are: 'float' and 'base64'.");
            return Err(Fault::invalid("invalid_value", "encoding_format", message));
        }
    };
    let dimensions = match top.get("dimensions") {
        None => most,
        Some(field) if !shortens => {
            return Err(Fault::unsupported(&field.path, ""));
        }
        Some(field) => match field.value.as_u64() {
            Some(count) if (1..=most).contains(&count) => count,
            _ => return Err(field.invalid("invalid_value", "dimensions out of range")),
        },
    };
    top.get("user").map(|field| field.string()).transpose()?;
    let item = |(index, text): (usize, &String)| {
        let vector = vectors::vector(text, usize::try_from(dimensions).unwrap_or_default());
        let embedding = match in_base64 {
            true => Json::from(vectors::base64(&vector)),
            false => vectors::list(&vector),
        };
        obj! { "object": "embedding", "index": index, "embedding": embedding }
    };
    let data: Vec<Json> = texts.iter().enumerate().map(item).collect();
    let tokens: u64 = texts.iter().map(|text| vectors::tokens(text)).sum();
    let usage = obj! { "prompt_tokens": tokens, "total_tokens": tokens };
    Ok(obj! { "object": "list", "data": data, "model": name, "usage": usage })
}

/// A text, texts, tokens, or lists of tokens.
fn inputs(field: &Field<'_>) -> Result<Vec<String>, Fault> {
    let text = |text: &str| match text.is_empty() {
        true => Err(Fault::invalid("", "", "'$.input' is invalid.".to_owned())),
        false => Ok(text.to_owned()),
    };
    if let Some(one) = field.value.as_str() {
        return Ok(vec![text(one)?]);
    }
    let items = field.some_items()?;
    field.at_most(items.len(), MOST_INPUTS)?;
    let is_token = |value: &Value| value.is_u64();
    if items.iter().all(|item| is_token(item.value)) {
        return Ok(vec![field.value.to_string()]);
    }
    let one = |item: &Field<'_>| match item.value {
        Value::String(one) => text(one),
        Value::Array(tokens) if !tokens.is_empty() && tokens.iter().all(is_token) => {
            Ok(item.value.to_string())
        }
        _ => Err(Fault::invalid("", "", "'$.input' is invalid.".to_owned())),
    };
    items.iter().map(one).collect()
}
