//! Which models there are.

use std::borrow::Cow;

use ziggurat_core::{Answer, Error, ModelInfo};

use crate::hints::InPath;
use crate::json::{Array, Object};
use crate::node::Node;

/// Where models are asked for: all of them, or one.
pub(crate) fn path(model: &str) -> Cow<'static, str> {
    if model.is_empty() {
        Cow::Borrowed("/models")
    } else {
        Cow::Owned(format!("/models/{}", InPath(model)))
    }
}

/// Reads a list of models, or one.
pub(crate) fn decode(root: &Node<'_>) -> Result<Answer, Error> {
    let Some(list) = root.get("data") else { return Ok(Answer::Model(decode_one(root)?)) };
    let mut models = Vec::new();
    list.items(|_, node| {
        models.push(decode_one(&node)?);
        Ok(())
    })?;
    Ok(Answer::Models(models))
}

fn decode_one(node: &Node<'_>) -> Result<ModelInfo, Error> {
    let owner = node.get("owned_by").and_then(|owner| owner.as_string()).unwrap_or_default();
    let created = node.get("created").and_then(|created| created.as_count()).unwrap_or(0);
    Ok(ModelInfo::new(node.need("id")?.string()?, owner, created))
}

/// Writes a list of models.
pub(crate) fn encode(out: &mut Vec<u8>, models: &[ModelInfo]) {
    let mut object = Object::begin(out);
    object.text("object", "list");
    let mut list = Array::begin(object.member("data"));
    for info in models {
        encode_one(list.item(), info);
    }
    list.end();
    object.end();
}

/// Writes one model.
pub(crate) fn encode_one(out: &mut Vec<u8>, info: &ModelInfo) {
    let mut object = Object::begin(out);
    object.text("id", &info.id);
    object.text("object", "model");
    object.number("created", info.created);
    object.text("owned_by", &info.owned_by);
    object.end();
}
