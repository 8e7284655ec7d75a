//! Lists of models.

use bytes::Bytes;
use ziggurat_core::{Answer, Error, ModelInfo, Str};

use super::error;
use crate::clock::{rfc3339, unix_seconds};
use crate::json::{self, Array, Fields, Object};

/// Reads a list of models, or what is known of one.
pub(super) fn decode(mut fields: Fields<'_>, body: &Str) -> Result<Answer, Error> {
    let Some(list) = fields.take("data") else {
        return match model(fields, body) {
            Some(model) => Ok(Answer::Model(model)),
            None => Err(error::malformed("it names no model")),
        };
    };
    let list: Vec<Fields<'_>> =
        serde_json::from_str(list).map_err(|_| error::malformed("`data` is no list of models"))?;
    Ok(Answer::Models(list.into_iter().filter_map(|fields| model(fields, body)).collect()))
}

fn model(mut fields: Fields<'_>, body: &Str) -> Option<ModelInfo> {
    let id = json::shared_text(fields.take("id")?, body)?;
    let created = fields.take("created_at").and_then(|raw| json::shared_text(raw, body));
    let created = created.and_then(|time| unix_seconds(&time)).unwrap_or(0);
    Some(ModelInfo::new(id, "anthropic", created))
}

/// Writes a list of models, all on one page.
pub(super) fn encode(models: &[ModelInfo]) -> Bytes {
    let mut out = Vec::with_capacity(64 + 128 * models.len());
    let mut object = Object::begin(&mut out);
    let mut array = Array::begin(object.member("data"));
    for model in models {
        write(model, array.object());
    }
    array.end();
    object.flag("has_more", false);
    for (name, model) in [("first_id", models.first()), ("last_id", models.last())] {
        match model {
            Some(model) => object.text(name, &model.id),
            None => object.raw(name, "null"),
        }
    }
    object.end();
    out.into()
}

/// Writes what is known of one model.
pub(super) fn encode_one(model: &ModelInfo) -> Bytes {
    let mut out = Vec::with_capacity(128);
    write(model, Object::begin(&mut out));
    out.into()
}

fn write(model: &ModelInfo, mut object: Object<'_>) {
    object.text("type", "model");
    object.text("id", &model.id);
    object.text("display_name", &model.id);
    object.text("created_at", &rfc3339(model.created));
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_there_and_back() {
        let models = vec![
            ModelInfo::new("a", "anthropic", 1_739_923_200),
            ModelInfo::new("b", "anthropic", 0),
        ];
        let body = encode(&models);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["data"][0]["type"], "model");
        assert_eq!(json["data"][0]["created_at"], "2025-02-19T00:00:00Z");
        assert_eq!(json["first_id"], "a");
        assert_eq!(json["last_id"], "b");
        let text = Str::from_utf8(body).unwrap();
        let back = decode(serde_json::from_str(&text).unwrap(), &text).unwrap();
        assert_eq!(back, Answer::Models(models));
        let empty: serde_json::Value = serde_json::from_slice(&encode(&[])).unwrap();
        assert!(empty["first_id"].is_null());
    }

    #[test]
    fn one_model_goes_there_and_back() {
        let model = ModelInfo::new("a", "anthropic", 951_827_696);
        let text = Str::from_utf8(encode_one(&model)).unwrap();
        assert!(text.contains("2000-02-29T12:34:56Z"), "{text}");
        let back = decode(serde_json::from_str(&text).unwrap(), &text).unwrap();
        assert_eq!(back, Answer::Model(model));
    }

    #[test]
    fn times_go_there_and_back() {
        for seconds in [0, 86_399, 68_169_600, 1_709_251_199, 4_102_444_800] {
            assert_eq!(unix_seconds(&rfc3339(seconds)), Some(seconds));
        }
        assert_eq!(unix_seconds("yesterday"), None);
    }
}
