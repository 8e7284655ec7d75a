//! Lists of models, `/api/tags`, and what is known of one, `/api/show`.

use bytes::Bytes;
use ziggurat_core::{Answer, Error, ModelInfo, Str};

use crate::clock::{rfc3339, unix_seconds};
use crate::json::{self, Array, Fields, Object};
use crate::plain_error::malformed;

/// Reads a list of models, or what is known of one.
pub(super) fn decode(mut fields: Fields<'_>, body: &Str) -> Result<Answer, Error> {
    if let Some(info) = fields.take("model_info") {
        let model = shown(info, fields, body);
        return model.map(Answer::Model).ok_or_else(|| malformed("the model shown has no name"));
    }
    let Some(list) = fields.take("models") else {
        return Err(malformed("it lists no `models`"));
    };
    let list: Vec<Fields<'_>> =
        serde_json::from_str(list).map_err(|_| malformed("`models` is no list of models"))?;
    Ok(Answer::Models(list.into_iter().filter_map(|fields| model(fields, body)).collect()))
}

fn model(mut fields: Fields<'_>, body: &Str) -> Option<ModelInfo> {
    let mut text = |name| json::shared_text(fields.take(name)?, body);
    let id = text("model").or_else(|| text("name"))?;
    Some(ModelInfo::new(id, "ollama", created(fields, body)))
}

/// `/api/show` does not repeat the name it was asked for, only what the model's file calls itself.
fn shown(info: &str, fields: Fields<'_>, body: &Str) -> Option<ModelInfo> {
    let mut info: Fields<'_> = serde_json::from_str(info).ok()?;
    let id = json::shared_text(info.take("general.basename")?, body)?;
    Some(ModelInfo::new(id, "ollama", created(fields, body)))
}

fn created(mut fields: Fields<'_>, body: &Str) -> u64 {
    let time = fields.take("modified_at").and_then(|time| json::shared_text(time, body));
    time.and_then(|time| unix_seconds(&time)).unwrap_or(0)
}

/// Writes a list of models. Of their files nothing is known here.
pub(super) fn encode(models: &[ModelInfo]) -> Bytes {
    let mut out = Vec::with_capacity(64 + 224 * models.len());
    let mut object = Object::begin(&mut out);
    let mut array = Array::begin(object.member("models"));
    for model in models {
        let mut object = array.object();
        object.text("name", &model.id);
        object.text("model", &model.id);
        object.text("modified_at", &rfc3339(model.created));
        object.number("size", 0_u8);
        object.text("digest", "");
        details(model, object.member("details"));
        object.end();
    }
    array.end();
    object.end();
    out.into()
}

/// Writes what is known of one model, as `/api/show` tells it.
pub(super) fn encode_one(model: &ModelInfo) -> Bytes {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    for name in ["modelfile", "parameters", "template"] {
        object.text(name, "");
    }
    details(model, object.member("details"));
    let mut info = Object::begin(object.member("model_info"));
    info.text("general.basename", &model.id);
    info.end();
    object.raw("capabilities", "[\"completion\"]");
    object.text("modified_at", &rfc3339(model.created));
    object.end();
    out.into()
}

fn details(model: &ModelInfo, out: &mut Vec<u8>) {
    let mut details = Object::begin(out);
    details.text("parent_model", "");
    details.text("format", "");
    details.text("family", &model.owned_by);
    details.raw("families", "[]");
    details.text("parameter_size", "");
    details.text("quantization_level", "");
    details.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_there_and_back() {
        let models = vec![
            ModelInfo::new("qwen3:8b", "ollama", 1_739_923_200),
            ModelInfo::new("b", "ollama", 0),
        ];
        let text = Str::from_utf8(encode(&models)).unwrap();
        assert!(text.contains(
            r#""name":"qwen3:8b","model":"qwen3:8b","modified_at":"2025-02-19T00:00:00Z""#
        ));
        let back = decode(serde_json::from_str(&text).unwrap(), &text).unwrap();
        assert_eq!(back, Answer::Models(models));
    }

    #[test]
    fn one_model_is_shown() {
        let model = ModelInfo::new("qwen3", "ollama", 0);
        let body = encode_one(&model);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["model_info"]["general.basename"], "qwen3");
        assert_eq!(json["details"]["family"], "ollama");
        assert_eq!(json["modified_at"], "1970-01-01T00:00:00Z");
        let text = Str::from_utf8(body).unwrap();
        let back = decode(serde_json::from_str(&text).unwrap(), &text).unwrap();
        assert_eq!(back, Answer::Model(model));
    }

    #[test]
    fn a_server_that_names_no_model_is_malformed() {
        let text = Str::from(r#"{"data":[]}"#);
        assert!(decode(serde_json::from_str(&text).unwrap(), &text).is_err());
    }
}
