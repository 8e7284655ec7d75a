//! Log probabilities: the list that OpenAI's dialect keeps in `content`.

use ziggurat_core::RawJson;

use crate::json::{Fields, Object, raw_json};

/// In the form of all dialects.
pub(super) fn decode(list: &str) -> Option<RawJson> {
    if !list.starts_with('[') || list[1..].trim_start().starts_with(']') {
        return None;
    }
    let mut out = Vec::with_capacity(list.len() + 16);
    let mut object = Object::begin(&mut out);
    object.raw("content", list);
    object.end();
    raw_json(out)
}

/// The list of them, if there is one.
pub(super) fn list(logprobs: &RawJson) -> Option<&str> {
    let fields: Fields<'_> = logprobs.read().ok()?;
    fields.get("content").filter(|list| list.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_there_and_back() {
        let told = r#"[{"token":"Hi","logprob":-0.1,"bytes":[72,105],"top_logprobs":[]}]"#;
        let decoded = decode(told).unwrap();
        assert_eq!(decoded.get(), format!(r#"{{"content":{told}}}"#));
        assert_eq!(list(&decoded), Some(told));
        assert_eq!(decode("[ ]"), None);
        assert_eq!(list(&RawJson::parse(r#"{"content":null}"#.into()).unwrap()), None);
    }
}
