//! What has to change in a request that leaves in the dialect it came in.

use memchr::memmem;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Payload, Prepared, RawJson, Str};

use crate::converse::state::{MARK_BASE64, read_redacted};
use crate::json::{self, Array, At, Fields};
use crate::origin::MARK;

/// Usage always comes, so nothing is asked for. Only reasoning of another provider, which the gateway marked when it passed by, has
/// to go: this provider would refuse it.
pub(in crate::converse) fn prepare(payload: &mut Payload) -> Result<Prepared, Error> {
    let prepared = Prepared::default();
    let Some(messages) = payload.member("messages") else { return Ok(prepared) };
    let has = |mark: &str| memmem::find(messages.as_bytes(), mark.as_bytes()).is_some();
    if !has(MARK) && !has(MARK_BASE64) {
        return Ok(prepared);
    }
    if let Some(stripped) = strip(&messages)? {
        payload.set("messages", stripped);
    }
    Ok(prepared)
}

/// Takes marked reasoning out of the assistant's messages; `None` if there was none.
fn strip(messages: &Str) -> Result<Option<RawJson>, Error> {
    let at = At::root("messages");
    let items: Vec<&RawValue> = json::read(messages, at, "a list of messages")?;
    let mut found = false;
    let mut out = Vec::with_capacity(messages.len());
    let mut array = Array::begin(&mut out);
    for (index, raw) in items.into_iter().enumerate() {
        let fields: Fields<'_> = json::read(raw.get(), at.index(index), "an object")?;
        let blocks = fields
            .get("content")
            .filter(|_| fields.get("role") == Some("\"assistant\""))
            .and_then(|content| serde_json::from_str::<Vec<&RawValue>>(content).ok());
        let Some(blocks) = blocks else {
            array.item().extend_from_slice(raw.get().as_bytes());
            continue;
        };
        let kept: Vec<&RawValue> =
            blocks.iter().copied().filter(|raw| !is_marked(raw, messages)).collect();
        if kept.len() == blocks.len() {
            array.item().extend_from_slice(raw.get().as_bytes());
            continue;
        }
        found = true;
        if kept.is_empty() {
            continue;
        }
        let mut message = array.object();
        for (name, value) in fields.iter() {
            if name == "content" {
                let mut content = Array::begin(message.member_named(name));
                for block in &kept {
                    content.item().extend_from_slice(block.get().as_bytes());
                }
                content.end();
            } else {
                message.raw_named(name, value);
            }
        }
        message.end();
    }
    array.end();
    Ok(found.then(|| json::raw_json(out)).flatten())
}

fn is_marked(block: &RawValue, body: &Str) -> bool {
    let Ok(outer) = serde_json::from_str::<Fields<'_>>(block.get()) else { return false };
    let Some(Ok(content)) = outer.get("reasoningContent").map(serde_json::from_str::<Fields<'_>>)
    else {
        return false;
    };
    let redacted = content.get("redactedContent").and_then(|raw| json::shared_text(raw, body));
    let text = content.get("reasoningText").map(serde_json::from_str::<Fields<'_>>);
    let signature = match &text {
        Some(Ok(text)) => text.get("signature").and_then(|raw| json::shared_text(raw, body)),
        _ => None,
    };
    redacted.map(|data| read_redacted(&data)).or(signature).is_some_and(|it| it.starts_with(MARK))
}
