//! Lists of models, as Bedrock's `foundation-models` gives them.

use bytes::Bytes;
use ziggurat_core::{Answer, Error, ModelInfo, Str};

use super::error;
use crate::json::{self, Array, Fields, Object};

/// Reads a list of models, or what is known of one.
pub(super) fn decode(mut fields: Fields<'_>, body: &Str) -> Result<Answer, Error> {
    if let Some(details) = fields.take("modelDetails") {
        let details = serde_json::from_str(details).unwrap_or_default();
        return match model(details, body) {
            Some(model) => Ok(Answer::Model(model)),
            None => Err(error::malformed("it names no model")),
        };
    }
    let list: Vec<Fields<'_>> = fields
        .take("modelSummaries")
        .and_then(|list| serde_json::from_str(list).ok())
        .ok_or_else(|| error::malformed("`modelSummaries` is no list of models"))?;
    Ok(Answer::Models(list.into_iter().filter_map(|fields| model(fields, body)).collect()))
}

fn model(mut fields: Fields<'_>, body: &Str) -> Option<ModelInfo> {
    let id = json::shared_text(fields.take("modelId")?, body)?;
    let owner = fields.take("providerName").and_then(|raw| json::shared_text(raw, body));
    Some(ModelInfo::new(id, owner.unwrap_or(Str::from_static("bedrock")), 0))
}

/// Writes a list of models.
pub(super) fn encode(models: &[ModelInfo]) -> Bytes {
    let mut out = Vec::with_capacity(64 + 192 * models.len());
    let mut object = Object::begin(&mut out);
    let mut array = Array::begin(object.member("modelSummaries"));
    for model in models {
        write(model, array.object());
    }
    array.end();
    object.end();
    out.into()
}

/// Writes what is known of one model.
pub(super) fn encode_one(model: &ModelInfo) -> Bytes {
    let mut out = Vec::with_capacity(192);
    let mut object = Object::begin(&mut out);
    write(model, Object::begin(object.member("modelDetails")));
    object.end();
    out.into()
}

fn write(model: &ModelInfo, mut object: Object<'_>) {
    object.text("modelArn", &format!("arn:aws:bedrock:::foundation-model/{}", model.id));
    object.text("modelId", &model.id);
    object.text("modelName", &model.id);
    object.text("providerName", &model.owned_by);
    object.raw("responseStreamingSupported", "true");
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_there_and_back() {
        let models = [ModelInfo::new("a", "x", 0), ModelInfo::new("b", "y", 0)];
        let read = |bytes: Bytes| {
            let text = Str::from_utf8(bytes).unwrap();
            decode(serde_json::from_str(&text).unwrap(), &text).unwrap()
        };
        assert_eq!(read(encode(&models)), Answer::Models(models.to_vec()));
        assert_eq!(read(encode_one(&models[0])), Answer::Model(models[0].clone()));
    }
}
