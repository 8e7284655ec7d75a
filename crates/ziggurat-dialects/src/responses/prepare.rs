//! The one edit of a request that leaves as it came: reasoning and signatures that the gateway marked go.

use memchr::memmem;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Operation, Payload, Prepared, RawJson, Str};

use crate::json::{self, Array, At, Fields};
use crate::origin::MARK;

/// Usage always comes, so nothing is asked for. Reasoning of other providers' models, which the gateway gave the caller as items
/// of this dialect, is taken out: this provider could not read it.
pub(super) fn prepare(payload: &mut Payload) -> Result<Prepared, Error> {
    if matches!(payload.operation(), Operation::Chat | Operation::CountTokens)
        && payload.dialect().is_some()
        && let Some(input) = payload.member("input").filter(|input| input.starts_with('['))
        && memmem::find(input.as_bytes(), MARK.as_bytes()).is_some()
        && let Some(stripped) = strip(&input)?
    {
        payload.set("input", stripped);
    }
    Ok(Prepared::default())
}

/// The items without what bears the gateway's mark; `None` if there was none.
fn strip(input: &Str) -> Result<Option<RawJson>, Error> {
    let items: Vec<&RawValue> = json::read(input, At::root("input"), "a list of items")?;
    let mut found = false;
    let mut out = Vec::with_capacity(input.len());
    let mut array = Array::begin(&mut out);
    for item in items {
        let marked = memmem::find(item.get().as_bytes(), MARK.as_bytes()).is_some();
        let fields = marked.then(|| serde_json::from_str::<Fields<'_>>(item.get()).ok()).flatten();
        match fields {
            Some(fields) if is_marked(&fields, "reasoning", "encrypted_content") => found = true,
            Some(mut fields)
                if fields.get("type").is_some_and(|kind| kind.ends_with("_call\"")) =>
            {
                // What a call was signed with stands in a member that this provider does not know.
                found |= fields.take(SIGNED).is_some();
                let mut object = array.object();
                for (name, value) in fields.iter() {
                    object.raw_named(name, value);
                }
                object.end();
            }
            _ => array.item().extend_from_slice(item.get().as_bytes()),
        }
    }
    array.end();
    Ok(found.then(|| json::raw_json(out)).flatten())
}

/// The member of a call in which a signature is carried.
const SIGNED: &str = "extra_content";

fn is_marked(fields: &Fields<'_>, kind: &str, member: &str) -> bool {
    let text = |name| fields.get(name).and_then(|value| value.strip_prefix('"'));
    text("type").and_then(|text| text.strip_suffix('"')) == Some(kind)
        && text(member).is_some_and(|made| made.starts_with(MARK))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::RESPONSES;

    fn prepared(body: &str) -> String {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let mut payload = Payload::wire(RESPONSES, Operation::Chat, bytes).unwrap();
        assert_eq!(prepare(&mut payload).unwrap(), Prepared::default());
        let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn reasoning_of_another_providers_model_stays_here() {
        let body = |item: &str| {
            format!(
                r#"{{"input":[{{"role":"user","content":"zig1. \u00e9"}},{item}{{"role":"user","content":"x"}}],"x":1.0}}"#
            )
        };
        let ours = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"zig1.bQ==.EqQB"},"#;
        assert_eq!(prepared(&body(ours)), body(""));
        let own =
            body(r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"},"#);
        assert_eq!(prepared(&own), own);
        let call =
            |signed: &str| body(&format!(r#"{{"type":"function_call","call_id":"a"{signed}}},"#));
        let signed = r#","extra_content":{"google":{"thought_signature":"zig1.bQ==.EqQB"}}"#;
        assert_eq!(prepared(&call(signed)), call(""));
        let own = call(r#","extra_content":{"google":{"thought_signature":"EqQB"}}"#);
        assert_eq!(prepared(&own), own);
        let text = r#"{"input":"zig1.","stream":true}"#;
        assert_eq!(prepared(text), text);
    }
}
