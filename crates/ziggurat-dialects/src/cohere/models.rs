//! Lists of models.

use bytes::Bytes;
use ziggurat_core::{Answer, Error, ModelInfo, Str};

use crate::json::{self, Array, Fields, Object};
use crate::plain_error::malformed;

/// Reads a list of models, or what is known of one.
pub(super) fn decode(mut fields: Fields<'_>, body: &Str) -> Result<Answer, Error> {
    let Some(list) = fields.take("models") else {
        return match model(&fields, body) {
            Some(model) => Ok(Answer::Model(model)),
            None => Err(malformed("it names no model")),
        };
    };
    let list: Vec<Fields<'_>> =
        serde_json::from_str(list).map_err(|_| malformed("`models` is no list of models"))?;
    Ok(Answer::Models(list.iter().filter_map(|fields| model(fields, body)).collect()))
}

fn model(fields: &Fields<'_>, body: &Str) -> Option<ModelInfo> {
    let id = json::shared_text(fields.get("name")?, body)?;
    Some(ModelInfo::new(id, "cohere", 0))
}

/// Writes a list of models, all on one page.
pub(super) fn encode(models: &[ModelInfo]) -> Bytes {
    let mut out = Vec::with_capacity(64 + 128 * models.len());
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
    let mut out = Vec::with_capacity(128);
    write(model, Object::begin(&mut out));
    out.into()
}

fn write(model: &ModelInfo, mut object: Object<'_>) {
    object.text("name", &model.id);
    object.flag("is_deprecated", false);
    object.raw("endpoints", "[\"chat\"]");
    object.flag("finetuned", false);
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_there_and_back() {
        let models =
            vec![ModelInfo::new("command-a", "cohere", 0), ModelInfo::new("b", "cohere", 0)];
        let text = Str::from_utf8(encode(&models)).unwrap();
        let back = decode(serde_json::from_str(&text).unwrap(), &text).unwrap();
        assert_eq!(back, Answer::Models(models));
        let text = Str::from(r#"{"data":[]}"#);
        assert!(decode(serde_json::from_str(&text).unwrap(), &text).is_err());
    }

    #[test]
    fn one_model_goes_there_and_back() {
        let model = ModelInfo::new("command-a", "cohere", 0);
        let text = Str::from_utf8(encode_one(&model)).unwrap();
        let back = decode(serde_json::from_str(&text).unwrap(), &text).unwrap();
        assert_eq!(back, Answer::Model(model));
    }
}
