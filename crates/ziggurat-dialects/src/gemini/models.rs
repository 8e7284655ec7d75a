//! Lists of models.

use bytes::Bytes;
use ziggurat_core::{Answer, Error, ModelInfo, Str};

use super::camel::members;
use super::error;
use crate::json::{self, Array, Fields, Object};

/// What stands before a model's own name.
const PREFIX: &str = "models/";

/// Reads a list of models, or what is known of one.
pub(super) fn decode(mut fields: Fields<'_>, body: &Str) -> Result<Answer, Error> {
    let list = fields.take("models").or_else(|| fields.take("tunedModels"));
    let list = list.or_else(|| fields.take("publisherModels"));
    let Some(list) = list else {
        // A page without models has no list at all.
        return match model(&fields, body) {
            Some(model) => Ok(Answer::Model(model)),
            None if fields.is_empty() => Ok(Answer::Models(Vec::new())),
            None => Err(error::malformed("it names no model")),
        };
    };
    let list: Vec<&serde_json::value::RawValue> = serde_json::from_str(list)
        .map_err(|_| error::malformed("`models` is no list of models"))?;
    let models = list.into_iter().filter_map(|raw| model(&members(raw.get()), body));
    Ok(Answer::Models(models.collect()))
}

fn model(fields: &Fields<'_>, body: &Str) -> Option<ModelInfo> {
    let name = json::shared_text(fields.get("name")?, body)?;
    // Of Vertex's `publishers/google/models/x` the model's own name is the last part.
    let id = name.rsplit_once(PREFIX).map_or(name.as_str(), |(_, id)| id);
    Some(ModelInfo::new(name.slice_ref(id), "google", 0))
}

/// Writes a list of models, all on one page.
pub(super) fn encode(models: &[ModelInfo]) -> Bytes {
    let mut out = Vec::with_capacity(64 + 192 * models.len());
    let mut object = Object::begin(&mut out);
    let mut array = Array::begin(object.member("models"));
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
    write(model, Object::begin(&mut out));
    out.into()
}

fn write(model: &ModelInfo, mut object: Object<'_>) {
    object.text("name", &format!("{PREFIX}{}", model.id));
    object.text("displayName", &model.id);
    object.raw(
        "supportedGenerationMethods",
        r#"["generateContent","streamGenerateContent","countTokens"]"#,
    );
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_there_and_back() {
        let models =
            vec![ModelInfo::new("gemini-3-pro", "google", 0), ModelInfo::new("a/b", "google", 0)];
        let text = Str::from_utf8(encode(&models)).unwrap();
        assert!(text.contains(r#""name":"models/gemini-3-pro""#), "{text}");
        assert_eq!(decode(members(&text), &text).unwrap(), Answer::Models(models.clone()));
        let text = Str::from_utf8(encode_one(&models[0])).unwrap();
        assert_eq!(decode(members(&text), &text).unwrap(), Answer::Model(models[0].clone()));
    }

    #[test]
    fn an_empty_page_is_a_list() {
        let text = Str::from("{}");
        assert_eq!(decode(members(&text), &text).unwrap(), Answer::Models(Vec::new()));
        let text = Str::from(r#"{"x":1}"#);
        assert!(decode(members(&text), &text).is_err());
    }
}
