//! Whole answers, read.

use bytes::Bytes;
use ziggurat_core::{
    Answer, ChatReply, Choice, Content, Error, Operation, Part, Restore, Str, TokenCount,
};

use super::plain;
use crate::node::Node;
use crate::openai_api::{error, malformed, models, usage};
use crate::responses::{RESPONSES, items, wire};
use crate::spelled::Spelled;
use crate::stops;
use crate::tools::runnable;

/// Whether a member repeats what its request said, or says of the answer what nobody needs.
pub(super) fn is_repeated(name: &[u8]) -> bool {
    matches!(
        name,
        b"background"
            | b"billing"
            | b"completed_at"
            | b"context_management"
            | b"conversation"
            | b"frequency_penalty"
            | b"incomplete_details"
            | b"instructions"
            | b"max_output_tokens"
            | b"max_tool_calls"
            | b"metadata"
            | b"moderation"
            | b"object"
            | b"output_text"
            | b"parallel_tool_calls"
            | b"presence_penalty"
            | b"previous_response_id"
            | b"prompt"
            | b"prompt_cache_key"
            | b"prompt_cache_options"
            | b"prompt_cache_retention"
            | b"reasoning"
            | b"safety_identifier"
            | b"status"
            | b"store"
            | b"temperature"
            | b"text"
            | b"tool_choice"
            | b"tools"
            | b"top_logprobs"
            | b"top_p"
            | b"truncation"
            | b"user"
    )
}

/// Reads a whole answer.
pub(in crate::responses) fn decode(
    operation: Operation,
    body: &Bytes,
    restore: &Restore,
) -> Result<Answer, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not UTF-8"))?;
    if operation == Operation::Chat
        && let Some(mut reply) = plain::decode(&text)
    {
        reply.choices.iter_mut().for_each(|choice| stops::cut(restore.stops(), choice));
        return Ok(Answer::Chat(reply));
    }
    let root = Node::root("answer", &text);
    if !root.is_object() {
        return Err(malformed("it is no JSON object"));
    }
    if operation != Operation::Chat
        && let Some(error) = failure(&root, &text)
    {
        return Err(error);
    }
    match operation {
        Operation::Models => models::decode(&root).map_err(blame),
        Operation::CountTokens => {
            let count = root.get("input_tokens").and_then(|count| count.as_count());
            let input_tokens = count.ok_or_else(|| malformed("it holds no `input_tokens`"))?;
            Ok(Answer::TokenCount(TokenCount { input_tokens, estimated: false }))
        }
        Operation::Chat => {
            let told = |error| failure(&root, &text).unwrap_or_else(|| blame(error));
            let mut reply = chat(&root, restore).map_err(told)?;
            if let Some(choice) = reply.choices.first_mut() {
                stops::cut(restore.stops(), choice);
            }
            runnable(reply)
        }
        operation => Err(malformed(format_args!("no answer to {operation} is known"))),
    }
}

/// What is wrong with an answer is the provider's fault, whatever the reader calls it.
pub(in crate::responses) fn blame(error: Error) -> Error {
    malformed(error.message())
}

/// The failure that an answer tells, if it tells one. One that was not finished, and is not being written, has failed, too.
pub(in crate::responses) fn failure(root: &Node<'_>, text: &Str) -> Option<Error> {
    let [failed, status] = root.seek(["error", "status"]);
    if let Some(failed) = failed {
        return Some(error::in_stream(RESPONSES, &failed, text));
    }
    let status = status.and_then(|status| status.as_string());
    match status.as_deref() {
        Some(status @ ("failed" | "cancelled")) => {
            Some(malformed(format_args!("the answer is {status}")))
        }
        _ => None,
    }
}

fn chat(root: &Node<'_>, restore: &Restore) -> Result<ChatReply, Error> {
    let mut reply = ChatReply::default();
    let mut parts = Vec::new();
    let mut logprobs = Vec::new();
    let mut status = None;
    let mut reason = None;
    let (mut has_output, mut has_failed) = (false, false);
    root.members(|name, node| {
        match name {
            "id" => reply.id = node.as_string().unwrap_or_default(),
            "model" => reply.model = node.as_string().unwrap_or_default(),
            "created_at" => reply.created = node.as_count(),
            "service_tier" => reply.service_tier = node.as_string(),
            "usage" => reply.usage = usage::decode(&node, &usage::RESPONSES),
            "status" => status = node.as_string(),
            "error" => has_failed = true,
            "incomplete_details" => {
                reason = node.get("reason").and_then(|reason| reason.as_string());
            }
            "output" => {
                has_output = true;
                node.items(|_, item| read_item(&item, restore, &mut parts, &mut logprobs))?;
            }
            name if is_repeated(name.as_bytes()) => {}
            _ => node.keep(RESPONSES, &mut reply.extras, name)?,
        }
        Ok(())
    })?;
    if !has_output {
        root.need("output")?;
    }
    match status.as_deref() {
        Some(status @ ("queued" | "in_progress")) => {
            return Err(root.error("invalid_value", format_args!("it is still {status}")));
        }
        Some("failed" | "cancelled") => has_failed = true,
        _ => {}
    }
    if has_failed {
        return Err(root.error("invalid_value", "it has failed"));
    }
    let calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall { .. }));
    let refused = parts.iter().any(|part| matches!(part.content, Content::Refusal { .. }));
    let stop = wire::decode_stop(status.as_deref(), reason.as_ref(), calls, refused);
    let mut choice = Choice::new(0, parts, stop);
    choice.logprobs = wire::logprobs(&logprobs);
    reply.choices = vec![choice];
    Ok(reply)
}

/// Reads one item of an answer.
fn read_item(
    item: &Node<'_>,
    restore: &Restore,
    parts: &mut Vec<Part>,
    logprobs: &mut Vec<Str>,
) -> Result<(), Error> {
    let mut message = Spelled::new(item.text().as_bytes());
    let text = plain::message(&mut message).and_then(|at| item.text_at(&at));
    if let (Some(text), Some(())) = (text, message.end()) {
        parts.push(Part::text(text));
        return Ok(());
    }
    let [kind, content] = item.seek(["type", "content"]);
    let kind = kind.map_or_else(|| item.need("type"), Ok)?.string()?;
    if let Some(call) = items::call_kind(&kind) {
        let mut part = items::call(item, call)?;
        if let Content::ToolCall { name, .. } = &mut part.content
            && let Some(original) = restore.tool_name(name)
        {
            *name = original;
        }
        parts.push(part);
        return Ok(());
    }
    match kind.as_str() {
        "message" => {
            if let Some(content) = content {
                items::said(&content, parts, logprobs)?;
            }
        }
        "reasoning" => {
            let part = items::reasoning(item)?;
            if !is_empty(&part) {
                parts.push(part);
            }
        }
        _ => parts.push(items::opaque(kind, item)?),
    }
    Ok(())
}

/// Whether reasoning neither shows anything nor can be sent back.
fn is_empty(part: &Part) -> bool {
    let Content::Reasoning { text, signature, redacted } = &part.content else { return false };
    text.is_empty() && signature.is_none() && redacted.is_none()
}
