//! Embeddings: what is refused, and the answer.

use serde_json::Value;

use super::{error::Fault, fields, proto::Kind};
use crate::{
    json::{Json, obj},
    vectors,
};

const MOST_INPUTS: usize = 100;
const MOST_NUMBERS: u64 = 3072;

/// Answers `batchEmbedContents`.
pub(super) fn batch(body: &Value, name: &str) -> Result<Json, Fault> {
    let body = Kind::One(&fields::EMBEDDING_ALL).read(body, "")?;
    let requests = body["requests"].as_array().map_or(&[][..], |list| &list[..]);
    if requests.is_empty() {
        return Err(Fault::field(
            "BatchEmbedContentsRequest.requests",
            "requests is not specified",
        ));
    }
    if requests.len() > MOST_INPUTS {
        let what = "at most 100 requests can be in one batch";
        return Err(Fault::field("BatchEmbedContentsRequest.requests", what));
    }
    let mut embeddings = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        if request["model"] != format!("models/{name}") {
            let path = format!("BatchEmbedContentsRequest.requests[{index}].model");
            return Err(Fault::field(&path, "model must match the model of the request"));
        }
        embeddings.push(embedding(request)?);
    }
    Ok(obj! { "embeddings": embeddings })
}

/// Answers `embedContent`.
pub(super) fn one(body: &Value) -> Result<Json, Fault> {
    let request = Kind::One(&fields::EMBEDDING).read(body, "")?;
    Ok(obj! { "embedding": embedding(&request)? })
}

fn embedding(request: &Value) -> Result<Json, Fault> {
    let parts = request["content"]["parts"].as_array().map_or(&[][..], |list| &list[..]);
    let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    if texts.is_empty() || texts.len() < parts.len() {
        let what = "content is required, and holds texts only";
        return Err(Fault::field("EmbedContentRequest.content", what));
    }
    if request.get("title").is_some() && request["taskType"] != "RETRIEVAL_DOCUMENT" {
        let what = "title is only for RETRIEVAL_DOCUMENT";
        return Err(Fault::field("EmbedContentRequest.title", what));
    }
    let numbers = match request.get("outputDimensionality").and_then(Value::as_u64) {
        None => MOST_NUMBERS,
        Some(count) if (1..=MOST_NUMBERS).contains(&count) => count,
        Some(_) => {
            let what = "output_dimensionality must be between 1 and 3072";
            return Err(Fault::field("EmbedContentRequest.output_dimensionality", what));
        }
    };
    let numbers = usize::try_from(numbers).unwrap_or_default();
    Ok(obj! { "values": vectors::list(&vectors::vector(&texts.join("\n"), numbers)) })
}
