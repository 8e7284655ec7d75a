//! Log probabilities: by piece of text, each with the tokens that make it.

use serde_json::value::RawValue;
use ziggurat_core::{RawJson, Str};

use crate::json::{self, Array, Fields, Object, raw_json};

/// In the form of all dialects: one entry for each piece. Several tokens of one piece are told as their product.
pub(super) fn decode(list: &str, body: &Str) -> Option<RawJson> {
    let pieces: Vec<Fields<'_>> = match list.starts_with('{') {
        true => vec![serde_json::from_str(list).ok()?],
        false => serde_json::from_str(list).ok()?,
    };
    let mut out = Vec::with_capacity(list.len() + 64);
    let mut object = Object::begin(&mut out);
    let mut content = Array::begin(object.member("content"));
    let mut any = false;
    for piece in pieces {
        let text = piece.get("text").and_then(|text| json::shared_text(text, body));
        let logprobs: Vec<f64> = serde_json::from_str(piece.get("logprobs")?).ok()?;
        any = true;
        let mut entry = content.object();
        entry.text("token", text.as_deref().unwrap_or_default());
        entry.float("logprob", logprobs.iter().sum());
        entry.raw("bytes", "null");
        entry.raw("top_logprobs", "[]");
        entry.end();
    }
    content.end();
    object.end();
    any.then(|| raw_json(out)).flatten()
}

/// Writes the list of them; false if there is none.
pub(super) fn write(logprobs: &RawJson, list: &mut Array<'_>) -> bool {
    let entries = entries(logprobs).unwrap_or_default();
    for (token, logprob) in &entries {
        let mut piece = list.object();
        piece.raw("text", token);
        piece.raw("token_ids", "[]");
        piece.raw("logprobs", &format!("[{logprob}]"));
        piece.end();
    }
    !entries.is_empty()
}

/// Token and probability of each entry, as JSON.
fn entries(logprobs: &RawJson) -> Option<Vec<(&str, &str)>> {
    let fields: Fields<'_> = logprobs.read().ok()?;
    let list: Vec<&RawValue> = serde_json::from_str(fields.get("content")?).ok()?;
    let mut read = Vec::with_capacity(list.len());
    for raw in list {
        let fields: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
        let token = fields.get("token").filter(|token| token.starts_with('"'))?;
        read.push((token, fields.get("logprob")?));
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_go_there_and_back() {
        let told = r#"[{"text":"Hi","token_ids":[1,2],"logprobs":[-0.25,-0.5]},{"text":"!","logprobs":[-1.0]}]"#;
        let decoded = decode(told, &Str::from(told)).unwrap();
        assert_eq!(
            decoded.get(),
            r#"{"content":[{"token":"Hi","logprob":-0.75,"bytes":null,"top_logprobs":[]},{"token":"!","logprob":-1.0,"bytes":null,"top_logprobs":[]}]}"#
        );
        let mut out = Vec::new();
        let mut list = Array::begin(&mut out);
        assert!(write(&decoded, &mut list));
        list.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"[{"text":"Hi","token_ids":[],"logprobs":[-0.75]},{"text":"!","token_ids":[],"logprobs":[-1.0]}]"#
        );
    }

    #[test]
    fn what_are_none_say_nothing() {
        for told in ["[]", "{}", "7", r#"[{"text":"x"}]"#] {
            assert_eq!(decode(told, &Str::from(told)), None, "{told}");
        }
        let mut out = Vec::new();
        assert!(!write(&RawJson::NULL, &mut Array::begin(&mut out)));
    }
}
