//! What the assistant says, thinks and calls, as the items of requests and of answers hold it.

use ziggurat_core::{Content, Error, Part, RawJson, Str, ToolCallKind};

use super::{RESPONSES, wire};
use crate::json::{Array, Object, Text};
use crate::node::Node;
use crate::openai_api::parts::{cache_mark, call_signature, write_call_signature};
use crate::origin::{self, Origin};

/// What stands between the parts of a summary where they are one text.
pub(super) const BETWEEN: &str = "\n\n";

/// What tells a part that is not understood from an item that is not: it stands in a message.
const WITHIN: &str = "within";

// === reading ===

/// Reads what the assistant says in one message, and the lists of probabilities that stand with it.
pub(super) fn said(
    content: &Node<'_>,
    parts: &mut Vec<Part>,
    logprobs: &mut Vec<Str>,
) -> Result<(), Error> {
    if content.is_string() {
        let text = content.string()?;
        if !text.is_empty() {
            parts.push(Part::text(text));
        }
        return Ok(());
    }
    content.items(|_, node| {
        let kind = node.need("type")?.string()?;
        parts.push(match kind.as_str() {
            "output_text" | "input_text" | "text" => text(&node, logprobs)?,
            "refusal" => Part::new(Content::Refusal { text: node.need("refusal")?.string()? }),
            _ => within(kind, &node)?,
        });
        Ok(())
    })
}

fn text(node: &Node<'_>, logprobs: &mut Vec<Str>) -> Result<Part, Error> {
    let mut citations = Vec::new();
    let mut text = None;
    let mut part = Part::text(Str::new());
    node.members(|name, node| {
        match name {
            "type" => {}
            "text" => text = Some(node.string()?),
            // A part has none of these, and kept they would be taken for its item's.
            "role" | "content" | "id" | "status" => {}
            "annotations" => node.items(|_, citation| {
                citations.push(citation.raw()?);
                Ok(())
            })?,
            "logprobs" => {
                if let Some(list) = wire::listed(&node) {
                    logprobs.push(node.share(list));
                }
            }
            "prompt_cache_breakpoint" => part.cache = Some(cache_mark(&node)?),
            _ => node.keep(RESPONSES, &mut part.extras, name)?,
        }
        Ok(())
    })?;
    if !citations.is_empty() {
        part.extras.dialect = Some(RESPONSES);
    }
    let text = text.map_or_else(|| node.need("text")?.string(), Ok)?;
    part.content = Content::Text { text, citations };
    Ok(part)
}

/// A part of a message that only this dialect understands.
pub(super) fn within(kind: Str, node: &Node<'_>) -> Result<Part, Error> {
    let mut part = Part::new(Content::Opaque { kind, value: node.raw()? });
    part.extras.dialect = Some(RESPONSES);
    part.extras.push(Str::from_static(WITHIN), RawJson::of(&true).unwrap_or(RawJson::NULL));
    Ok(part)
}

/// An item that only this dialect understands.
pub(super) fn opaque(kind: Str, node: &Node<'_>) -> Result<Part, Error> {
    let mut part = Part::new(Content::Opaque { kind, value: node.raw()? });
    part.extras.dialect = Some(RESPONSES);
    Ok(part)
}

/// Whether a part that is not understood stands in a message.
pub(super) fn is_within(part: &Part) -> bool {
    part.extras.get(WITHIN).is_some()
}

/// Reads reasoning. A provider's own is kept with its name, and what the gateway marked goes by its mark.
///
/// A summary without any part tells that there is nothing to show: then what is encrypted is all of it.
pub(super) fn reasoning(node: &Node<'_>) -> Result<Part, Error> {
    let [id, summary, content, encrypted] =
        node.pick(["id", "summary", "content", "encrypted_content"])?;
    let mut texts: Vec<Str> = Vec::new();
    for list in [summary, content].into_iter().flatten() {
        list.items(|_, part| {
            texts.extend(part.get("text").map(|text| text.string()).transpose()?);
            Ok(())
        })?;
    }
    let made = encrypted.map(|made| made.string()).transpose()?.filter(|made| !made.is_empty());
    let marked = made.as_ref().is_some_and(|made| origin::origin(made) != Origin::Unknown);
    let text = match &texts[..] {
        [text] => text.clone(),
        texts => Str::from(texts.join(BETWEEN)),
    };
    let (signature, redacted) = if texts.is_empty() { (None, made) } else { (made, None) };
    let mut part = Part::new(Content::Reasoning { text, signature, redacted });
    if !marked {
        part.extras.dialect = Some(RESPONSES);
        if let Some(id) = id {
            id.keep(RESPONSES, &mut part.extras, "id")?;
        }
        if let Some(summary) = summary.filter(|_| texts.len() > 1) {
            summary.keep(RESPONSES, &mut part.extras, "summary")?;
        }
    }
    Ok(part)
}

/// Which kind of call an item is, if it is one.
pub(super) fn call_kind(kind: &str) -> Option<ToolCallKind> {
    match kind {
        "function_call" => Some(ToolCallKind::Function),
        "custom_tool_call" => Some(ToolCallKind::Custom),
        _ => None,
    }
}

/// Type, beginning of the id and name of the arguments of a kind of call.
pub(super) fn words(kind: ToolCallKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        ToolCallKind::Custom => ("custom_tool_call", "ctc", "input"),
        _ => ("function_call", "fc", "arguments"),
    }
}

/// Reads a call.
pub(super) fn call(node: &Node<'_>, kind: ToolCallKind) -> Result<Part, Error> {
    let (_, _, field) = words(kind);
    let id = node.need("call_id")?.string()?;
    let name = node.need("name")?.string()?;
    let arguments = match node.get(field) {
        None => Str::new(),
        // Some servers send the object itself.
        Some(arguments) if arguments.is_object() => arguments.raw()?.into_text(),
        Some(arguments) => arguments.string()?,
    };
    let signature = call_signature(node);
    let signed = signature.is_some();
    let mut part = Part::new(Content::ToolCall { id, name, arguments, kind, signature });
    node.members(|name, node| {
        match name {
            "type" | "id" | "call_id" | "name" | "status" => {}
            name if name == field => {}
            "extra_content" | "thought_signature" if signed => {}
            _ => node.keep(RESPONSES, &mut part.extras, name)?,
        }
        Ok(())
    })?;
    Ok(part)
}

// === writing ===

/// Reasoning as it is written.
#[derive(Debug, Default)]
pub(super) struct Thought<'a> {
    pub(super) id: &'a str,
    /// The summary, if there is any.
    pub(super) text: Option<&'a str>,
    /// The parts of the summary where they are known, as they came.
    pub(super) summary: Option<&'a RawJson>,
    /// What only its provider can read.
    pub(super) encrypted: Option<&'a str>,
}

impl Thought<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut item = Object::begin(out);
        item.text("type", "reasoning");
        item.text("id", self.id);
        match (self.summary, self.text) {
            (Some(summary), _) => item.raw("summary", summary.get()),
            (None, text) => {
                let mut list = Array::begin(item.member("summary"));
                if let Some(text) = text {
                    summary_text(list.item(), text);
                }
                list.end();
            }
        }
        if let Some(encrypted) = self.encrypted {
            item.text("encrypted_content", encrypted);
        }
        item.end();
    }
}

/// Writes a part of a summary.
pub(super) fn summary_text(out: &mut Vec<u8>, text: &str) {
    let mut part = Object::begin(out);
    part.text("type", "summary_text");
    part.text("text", text);
    part.end();
}

/// A call as it is written in an answer.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) item_id: &'a str,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: &'a str,
    pub(super) kind: ToolCallKind,
    pub(super) signature: Option<&'a str>,
    pub(super) status: &'a str,
}

impl Call<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (word, _, field) = words(self.kind);
        let mut item = Object::begin(out);
        item.text("type", word);
        item.text("id", self.item_id);
        item.text("call_id", self.id);
        item.text("name", self.name);
        item.text(field, self.arguments);
        if let Some(signature) = self.signature {
            write_call_signature(&mut item, signature);
        }
        item.text("status", self.status);
        item.end();
    }
}

/// Writes a message of the answer; `content` is its parts, as a list without brackets.
pub(super) fn write_message(out: &mut Vec<u8>, id: &str, status: &str, content: &[u8]) {
    let mut item = Object::begin(out);
    item.text("type", "message");
    item.text("id", id);
    item.text("role", "assistant");
    item.text("status", status);
    let list = item.member("content");
    list.push(b'[');
    list.extend_from_slice(content);
    list.push(b']');
    item.end();
}

/// Writes a text of the answer; annotations and probabilities are lists without brackets.
pub(super) fn write_text(
    out: &mut Vec<u8>,
    text: &(impl Text + ?Sized),
    annotations: &[u8],
    logprobs: &[u8],
) {
    out.extend_from_slice(br#"{"type":"output_text","text":"#);
    text.write(out);
    out.extend_from_slice(br#","annotations":["#);
    out.extend_from_slice(annotations);
    out.extend_from_slice(br#"],"logprobs":["#);
    out.extend_from_slice(logprobs);
    out.extend_from_slice(b"]}");
}

/// Writes a refusal of the answer.
pub(super) fn write_refusal(out: &mut Vec<u8>, text: &str) {
    let mut part = Object::begin(out);
    part.text("type", "refusal");
    part.text("refusal", text);
    part.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(item: &str) -> Part {
        let body = Str::from(item);
        reasoning(&Node::root("input", &body)).unwrap()
    }

    fn made(part: &Part) -> (Option<&str>, Option<&str>) {
        match &part.content {
            Content::Reasoning { signature, redacted, .. } => {
                (signature.as_deref(), redacted.as_deref())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_summary_without_parts_leaves_what_is_encrypted() {
        let hidden = read(r#"{"id":"rs_1","summary":[],"encrypted_content":"gAAA"}"#);
        assert_eq!(made(&hidden), (None, Some("gAAA")));
        let empty = read(r#"{"summary":[{"text":""}],"encrypted_content":"gAAA"}"#);
        assert_eq!(made(&empty), (Some("gAAA"), None));
        let raw = read(r#"{"summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]}"#);
        assert!(matches!(&raw.content, Content::Reasoning { text, .. } if *text == "Hm."));
    }

    #[test]
    fn what_the_gateway_marked_is_no_providers_own() {
        let marked = read(r#"{"id":"rs_1","summary":[],"encrypted_content":"zig1.bQ==.EqQB"}"#);
        assert_eq!(marked.extras.dialect, None);
        let own = read(r#"{"id":"rs_1","summary":[],"encrypted_content":"gAAA"}"#);
        assert_eq!(own.extras.dialect, Some(RESPONSES));
        assert_eq!(own.extras.get("id").unwrap().get(), "\"rs_1\"");
    }

    #[test]
    fn the_parts_of_a_summary_are_kept() {
        let summary = r#"[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}]"#;
        let part = read(&format!(r#"{{"id":"rs_1","summary":{summary}}}"#));
        assert!(matches!(&part.content, Content::Reasoning { text, .. } if *text == "a\n\nb"));
        assert_eq!(part.extras.get("summary").unwrap().get(), summary);
    }
}
