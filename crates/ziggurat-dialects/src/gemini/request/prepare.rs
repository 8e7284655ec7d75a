//! What has to change in a request that leaves in the dialect it came in, and what is read of it in passing.

use memchr::memmem;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Payload, Prepared, RawJson, Str};

use super::decode::at;
use crate::gemini::camel::{camel, members, object};
use crate::gemini::signature::{self, MARK_BASE64};
use crate::json::{self, Array, Fields, Object};
use crate::origin::MARK;

/// Usage always comes, so nothing is asked for. The path names the model, and a body that names it, too, is refused. Signatures
/// that the gateway marked as another model's have to go: this provider would refuse them.
pub(in crate::gemini) fn prepare(payload: &mut Payload) -> Result<Prepared, Error> {
    let prepared = Prepared::default();
    if payload.dialect().is_none() {
        return Ok(prepared);
    }
    let Some(contents) = payload.member("contents") else { return Ok(prepared) };
    if memmem::find(contents.as_bytes(), MARK_BASE64.as_bytes()).is_some()
        && let Some(stripped) = strip(&contents)?
    {
        payload.set("contents", stripped);
    }
    Ok(prepared)
}

/// The contents without what other models thought; `None` if there was none.
fn strip(contents: &Str) -> Result<Option<RawJson>, Error> {
    let at = at("contents");
    let items: Vec<&RawValue> = json::read(contents, at, "a list of contents")?;
    let mut found = false;
    let mut out = Vec::with_capacity(contents.len());
    let mut array = Array::begin(&mut out);
    for (index, raw) in items.into_iter().enumerate() {
        let fields = object(raw.get(), at.index(index))?;
        let parts: Option<Vec<&RawValue>> =
            fields.get("parts").and_then(|parts| serde_json::from_str(parts).ok());
        let marked = parts.as_ref().is_some_and(|parts| parts.iter().any(|raw| is_marked(raw)));
        let Some(parts) = parts.filter(|_| marked) else {
            array.item().extend_from_slice(raw.get().as_bytes());
            continue;
        };
        found = true;
        let kept: Vec<String> = parts.iter().filter_map(|raw| unmarked(raw)).collect();
        if kept.is_empty() {
            continue;
        }
        let mut content = array.object();
        for (name, value) in fields.iter() {
            if name == "parts" {
                let mut list = Array::begin(content.member_named(name));
                for part in &kept {
                    list.item().extend_from_slice(part.as_bytes());
                }
                list.end();
            } else {
                content.raw_named(name, value);
            }
        }
        content.end();
    }
    array.end();
    Ok(found.then(|| json::raw_json(out)).flatten())
}

/// The mark in a part's signature.
fn is_marked(part: &RawValue) -> bool {
    let fields = members(part.get());
    let signature = fields.get("thoughtSignature");
    let signature = signature.and_then(|raw| json::shared_text(raw, &Str::new()));
    signature.is_some_and(|signature| signature::read(signature).starts_with(MARK))
}

/// A part without a mark: thinking goes, and a call stays without its signature.
fn unmarked(part: &RawValue) -> Option<String> {
    if !is_marked(part) {
        return Some(part.get().to_owned());
    }
    let fields: Fields<'_> = members(part.get());
    let is_thought = fields.get("thought") == Some("true") || fields.get("text") == Some("\"\"");
    if is_thought {
        return None;
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "thoughtSignature") {
        object.raw_named(name, value);
    }
    object.end();
    String::from_utf8(out).ok()
}

/// The most output tokens that a request asks for, all its answers together.
pub(in crate::gemini) fn output_bound(payload: &Payload) -> Option<u64> {
    let name = payload.names().find(|name| {
        *name == "generationConfig" || camel(name).as_deref() == Some("generationConfig")
    })?;
    let config = payload.member(name)?;
    let config = members(&config);
    let number = |name| config.get(name)?.parse::<u64>().ok();
    let each = number("maxOutputTokens")?;
    Some(each.saturating_mul(number("candidateCount").unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ziggurat_core::Operation;

    use super::*;
    use crate::gemini::GEMINI;

    fn prepared(body: &str) -> String {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let mut payload = Payload::wire(GEMINI, Operation::Chat, bytes).unwrap();
        prepare(&mut payload).unwrap();
        let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn what_other_models_thought_stays_here() {
        let mark = signature::write("EqQB", Some("claude-opus-5"));
        let body = |parts: &str| {
            format!(
                r#"{{"contents":[{{"role":"user","parts":[{{"text":"emlnMS"}}]}},{{"role":"model","parts":[{parts}]}}]}}"#
            )
        };
        let call = r#"{"functionCall":{"name":"f","args":{}}}"#;
        let thought = format!(r#"{{"text":"Hm.","thought":true,"thoughtSignature":"{mark}"}}"#);
        let signed = format!(
            r#"{{"functionCall":{{"name":"f","args":{{}}}},"thought_signature":"{mark}"}}"#
        );
        assert_eq!(prepared(&body(&format!("{thought},{signed}"))), body(call));
        let only = prepared(&body(&thought));
        assert_eq!(only, r#"{"contents":[{"role":"user","parts":[{"text":"emlnMS"}]}]}"#);
        // What the provider itself signed is its own, letter by letter.
        let own = body(r#"{ "text":"Hm.","thought":true,"thoughtSignature":"Q2lRQg==" }"#);
        assert_eq!(prepared(&own), own);
    }

    #[test]
    fn the_bound_of_the_output_is_read_without_decoding() {
        for config in [
            r#""generationConfig":{"maxOutputTokens":100,"candidateCount":2}"#,
            r#""generation_config":{"max_output_tokens":100,"candidate_count":2}"#,
        ] {
            let body = format!(r#"{{"contents":"is not looked at",{config}}}"#);
            let payload = Payload::wire(GEMINI, Operation::Chat, Bytes::from(body)).unwrap();
            assert_eq!(output_bound(&payload), Some(200));
        }
    }
}
