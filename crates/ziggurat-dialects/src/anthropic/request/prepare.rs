//! What has to change in a request that leaves in the dialect it came in.

use memchr::memmem;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Payload, Prepared, RawJson, Str};

use crate::json::{self, Array, At, Fields};
use crate::origin::MARK;

/// Usage always comes, so nothing is asked for. Only thinking that the gateway itself signed, for another provider's answer
/// earlier in the conversation, has to go: this provider would refuse it.
pub(in crate::anthropic) fn prepare(payload: &mut Payload) -> Result<Prepared, Error> {
    let prepared = Prepared::default();
    let Some(messages) = payload.member("messages") else { return Ok(prepared) };
    if memmem::find(messages.as_bytes(), MARK.as_bytes()).is_none() {
        return Ok(prepared);
    }
    let Some(stripped) = strip(&messages)? else { return Ok(prepared) };
    payload.set("messages", stripped.messages);
    if stripped.from_calls {
        let on = payload.member("thinking").is_some_and(|thinking| {
            serde_json::from_str::<Fields<'_>>(&thinking)
                .is_ok_and(|fields| fields.get("type") == Some("\"enabled\""))
        });
        if on {
            // Calls without the thinking before them are refused while thinking is on.
            payload.remove("thinking");
        }
    }
    Ok(prepared)
}

struct Stripped {
    messages: RawJson,
    /// Whether the last turn called tools and lost its thinking.
    from_calls: bool,
}

/// Takes our own thinking blocks out of the assistant's messages; `None` if there was none.
fn strip(messages: &Str) -> Result<Option<Stripped>, Error> {
    let at = At::root("messages");
    let items: Vec<&RawValue> = json::read(messages, at, "a list of messages")?;
    let mut found = false;
    let mut from_calls = false;
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
        let kept: Vec<&RawValue> = blocks.iter().copied().filter(|raw| !is_ours(raw)).collect();
        let lost = kept.len() < blocks.len();
        found |= lost;
        from_calls = lost && kept.iter().any(|raw| kind(raw) == Some("\"tool_use\""));
        if !lost {
            array.item().extend_from_slice(raw.get().as_bytes());
        } else if !kept.is_empty() {
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
    }
    array.end();
    Ok(found
        .then(|| json::raw_json(out))
        .flatten()
        .map(|messages| Stripped { messages, from_calls }))
}

fn kind(block: &RawValue) -> Option<&str> {
    serde_json::from_str::<Fields<'_>>(block.get()).ok()?.get("type")
}

fn is_ours(block: &RawValue) -> bool {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(block.get()) else { return false };
    let made = match fields.get("type") {
        Some("\"thinking\"") => fields.get("signature"),
        Some("\"redacted_thinking\"") => fields.get("data"),
        _ => None,
    };
    made.and_then(|made| made.strip_prefix('"')).is_some_and(|made| made.starts_with(MARK))
}
