//! The messages of a request, read.

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Content, Error, Extras, Message, Part, RawJson, Role, Str, ToolCallKind,
};

use super::documents;
use crate::cohere::{COHERE, citation};
use crate::json::{self, At, Fields};
use crate::media;
use crate::tools::FAILED;

/// How many messages are taken.
const MAX_MESSAGES: usize = 100_000;

/// Reads the messages. What the operator says first is the system prompt.
pub(super) fn decode(value: &Str, at: At<'_>, chat: &mut Chat) -> Result<(), Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of messages")?;
    if items.len() > MAX_MESSAGES {
        return Err(at.error(format_args!("at most {MAX_MESSAGES} messages are taken")));
    }
    for (index, raw) in items.into_iter().enumerate() {
        let mut message = message(raw.get(), value, at.index(index))?;
        if message.role == Role::System && chat.messages.is_empty() {
            // What the prompt has no room for stays with its first part.
            if let Some(first) = message.parts.first_mut()
                && !message.extras.is_empty()
            {
                first.extras = message.extras;
            }
            chat.system.append(&mut message.parts);
        } else {
            chat.messages.push(message.at(index));
        }
    }
    Ok(())
}

fn message(raw: &str, body: &Str, at: At<'_>) -> Result<Message, Error> {
    let mut fields: Fields<'_> = json::read(raw, at, "an object")?;
    let role = fields.need("role", body, at)?;
    let role = match role.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => {
            let wrong =
                format_args!("`system`, `user`, `assistant` or `tool` is expected, not `{other}`");
            return Err(at.name("role").error(wrong));
        }
    };
    let said = match fields.take("content") {
        Some(content) => content_of(content, body, at.name("content"))?,
        None => Vec::new(),
    };
    let parts = match role {
        Role::Tool => {
            let call_id = fields.need("tool_call_id", body, at)?;
            vec![result(call_id, said)]
        }
        Role::Assistant => assistant(&mut fields, said, body, at)?,
        _ => said,
    };
    let mut message = Message::new(role, parts);
    message.extras = leftover(fields, body);
    Ok(message)
}

/// What an assistant plans, thinks, says and calls, in this order.
pub(in crate::cohere) fn assistant(
    fields: &mut Fields<'_>,
    mut said: Vec<Part>,
    body: &Str,
    at: At<'_>,
) -> Result<Vec<Part>, Error> {
    let plan = fields.text("tool_plan", body, at)?.filter(|plan| !plan.is_empty());
    let citations: Option<Vec<&RawValue>> = fields.value("citations", at, "a list")?;
    cite(&mut said, citations.unwrap_or_default(), body);
    if let Some(plan) = plan {
        let thoughts = said
            .iter()
            .take_while(|part| matches!(part.content, Content::Reasoning { .. }))
            .count();
        said.insert(thoughts, Part::text(plan));
    }
    let calls: Option<Vec<&RawValue>> = fields.value("tool_calls", at, "a list of calls")?;
    let inside = at.name("tool_calls");
    for (index, raw) in calls.into_iter().flatten().enumerate() {
        said.push(tool_call(raw.get(), body, inside.index(index))?);
    }
    Ok(said)
}

/// Gives citations to the texts that they are about: by their place among the contents, else to the last one.
fn cite(said: &mut [Part], raw: Vec<&RawValue>, body: &Str) {
    for raw in raw {
        let place = citation::content_index(raw.get()).and_then(|at| usize::try_from(at).ok());
        let is_text = |part: &Part| matches!(part.content, Content::Text { .. });
        let at = place
            .filter(|at| said.get(*at).is_some_and(is_text))
            .or_else(|| said.iter().rposition(is_text));
        if let Some(Content::Text { citations, .. }) =
            at.and_then(|at| said.get_mut(at)).map(|part| &mut part.content)
        {
            citations.push(RawJson::from_raw(raw, body));
        }
    }
}

/// Text, or a list of parts.
fn content_of(raw: &str, body: &Str, at: At<'_>) -> Result<Vec<Part>, Error> {
    if raw.starts_with('"') {
        let text = json::read_text(raw, body, at)?;
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] });
    }
    let items: Vec<&RawValue> = json::read(raw, at, "a string or a list of parts")?;
    let read = |(index, raw): (usize, &&RawValue)| part(raw, body, at.index(index));
    items.iter().enumerate().map(read).collect()
}

/// Reads one part of a content. What is not known is kept as it is, for this dialect only.
pub(in crate::cohere) fn part(raw: &RawValue, body: &Str, at: At<'_>) -> Result<Part, Error> {
    let mut fields: Fields<'_> = json::read(raw.get(), at, "an object")?;
    let kind = fields.need("type", body, at)?;
    let content = match kind.as_str() {
        "text" => Content::Text { text: fields.need("text", body, at)?, citations: Vec::new() },
        "thinking" => Content::Reasoning {
            text: fields.need("thinking", body, at)?,
            signature: None,
            redacted: None,
        },
        "image_url" => {
            let inside = at.name("image_url");
            let image: Option<Fields<'_>> = fields.value("image_url", at, "an object")?;
            let Some(mut image) = image else {
                return Err(inside.error("this field is required"));
            };
            let source = media::source(&image.need("url", body, inside)?);
            Content::Image { source, detail: image.text("detail", body, inside)? }
        }
        "document" => {
            let Some(document) = fields.take("document") else {
                return Err(at.name("document").error("this field is required"));
            };
            return documents::decode_one(document, body, at.name("document"));
        }
        _ => {
            let value = RawJson::from_raw(raw, body);
            let mut part = Part::new(Content::Opaque { kind, value });
            part.extras.dialect = Some(COHERE);
            return Ok(part);
        }
    };
    let mut part = Part::new(content);
    part.extras = leftover(fields, body);
    Ok(part)
}

/// Reads one call.
pub(in crate::cohere) fn tool_call(raw: &str, body: &Str, at: At<'_>) -> Result<Part, Error> {
    let mut outer: Fields<'_> = json::read(raw, at, "an object")?;
    let id = outer.need("id", body, at)?;
    outer.take("type");
    let inside = at.name("function");
    let function: Option<Fields<'_>> = outer.value("function", at, "an object")?;
    let Some(mut function) = function else {
        return Err(inside.error("this field is required"));
    };
    let name = function.need("name", body, inside)?;
    let arguments = match function.take("arguments") {
        None => Str::new(),
        Some(object) if object.starts_with('{') => json::compact(object, body),
        Some(text) => json::read_text(text, body, inside.name("arguments"))?,
    };
    let mut part = Part::new(Content::ToolCall {
        id,
        name,
        arguments,
        kind: ToolCallKind::Function,
        signature: None,
    });
    part.extras = leftover(outer, body);
    Ok(part)
}

/// A tool's answer. One that failed says so at its beginning.
fn result(call_id: Str, mut parts: Vec<Part>) -> Part {
    let mut is_error = false;
    if let Some(Content::Text { text, .. }) = parts.first_mut().map(|part| &mut part.content)
        && let Some(rest) = text.strip_prefix(FAILED)
    {
        is_error = true;
        *text = text.slice_ref(rest);
        if text.is_empty() {
            parts.remove(0);
        }
    }
    Part::new(Content::ToolResult { call_id, name: None, parts, is_error })
}

/// The extras of something that left these fields over.
pub(in crate::cohere) fn leftover(fields: Fields<'_>, body: &Str) -> Extras {
    let mut extras = Extras::default();
    fields.leave(&mut extras, body);
    if !extras.is_empty() {
        extras.dialect = Some(COHERE);
    }
    extras
}
