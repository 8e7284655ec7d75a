//! Whole answers.

mod plain;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Error, ErrorKind, Glance, Loss, LossAction, Losses,
    Operation, Part, RawJson, Restore, StopReason, Str, TokenCount, ToolCallKind,
};

use super::block::{decode_block, leftover, write_input};
use super::usage::{self, Counts};
use super::{ANTHROPIC, citation, error, models, stop};
use crate::fence::Fence;
use crate::json::{self, Array, At, Fields, Object};
use crate::origin;
use crate::tools::{free_text, runnable};

// === reading ===

/// Reads a whole answer.
pub(super) fn decode(
    operation: Operation,
    body: &Bytes,
    restore: &Restore,
) -> Result<Answer, Error> {
    let text = text_of(body)?;
    if operation == Operation::Chat
        && let Some(reply) = plain::decode(&text, restore)
    {
        return Ok(Answer::Chat(reply));
    }
    let mut fields = object_of(&text)?;
    if let Some(error) = reported(&fields, &text, body) {
        return Err(error);
    }
    match operation {
        Operation::Chat => {
            let reply = decode_chat(fields, &text, restore).map_err(misread)?;
            runnable(reply)
        }
        Operation::CountTokens => match fields.take("input_tokens").map(str::parse) {
            Some(Ok(input_tokens)) => {
                Ok(Answer::TokenCount(TokenCount { input_tokens, estimated: false }))
            }
            _ => Err(error::malformed("it counts no `input_tokens`")),
        },
        Operation::Models => models::decode(fields, &text),
        other => Err(unknown(other)),
    }
}

fn text_of(body: &Bytes) -> Result<Str, Error> {
    Str::from_utf8(body.clone()).map_err(|_| error::malformed("it is not valid UTF-8"))
}

fn object_of(text: &Str) -> Result<Fields<'_>, Error> {
    serde_json::from_str(text).map_err(|_| error::malformed("it is no JSON object"))
}

/// The error in an answer whose status says success.
fn reported(fields: &Fields<'_>, text: &Str, body: &Bytes) -> Option<Error> {
    let says = fields.get("type") == Some("\"error\"")
        || (fields.get("error").is_some() && fields.get("type").is_none());
    says.then(|| error::in_body(text, body.clone()))
}

/// What is wrong with an answer is not the caller's fault.
fn misread(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidRequest => error::malformed(error),
        _ => error,
    }
}

fn unknown(operation: Operation) -> Error {
    let message = format!("the provider has no such operation: {operation}");
    Error::new(ErrorKind::Unsupported, message)
}

fn decode_chat(mut fields: Fields<'_>, body: &Str, restore: &Restore) -> Result<ChatReply, Error> {
    let mut text = |name: &'static str| fields.text(name, body, At::root(name));
    let id = text("id")?.unwrap_or_default();
    let model = text("model")?.unwrap_or_default();
    let reason = text("stop_reason")?.unwrap_or_default();
    let sequence = text("stop_sequence")?;
    let details = fields.take("stop_details");
    let details = details.and_then(|raw| RawJson::parse(body.slice_ref(raw)).ok());
    fields.take("type");
    fields.take("role");

    let at = At::root("content");
    let Some(content) = fields.take("content") else {
        return Err(at.error("this field is required"));
    };
    let blocks: Vec<&RawValue> = json::read(content, at, "a list")?;
    let mut parts = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.into_iter().enumerate() {
        let mut part = decode_block(block, body, at.index(index), false)?;
        undo(&mut part, restore);
        parts.push(part);
    }
    let calls = parts.iter().any(is_call);

    let mut reply = ChatReply::new(id, model);
    let mut rest = None;
    if let Some(raw) = fields.take("usage") {
        let mut inner: Fields<'_> = json::read(raw, At::root("usage"), "an object")?;
        reply.usage = Some(Counts::take(&mut inner).usage());
        reply.service_tier = inner.text("service_tier", body, At::root("usage"))?;
        rest = inner.object();
    }
    let stop = stop::decode(&reason, sequence, details, calls);
    reply.choices = vec![Choice::new(0, parts, stop)];
    reply.extras = leftover(fields, body);
    if let Some(rest) = rest {
        reply.extras.dialect = Some(ANTHROPIC);
        reply.extras.push(Str::from_static("usage"), rest);
    }
    Ok(reply)
}

/// Undoes what was changed in the request for the provider's sake.
fn undo(part: &mut Part, restore: &Restore) {
    if restore.is_empty() {
        return;
    }
    match &mut part.content {
        Content::ToolCall { name, arguments, .. } if restore.is_answer(name) => {
            let answer = std::mem::take(arguments);
            *part = Part::text(answer);
        }
        Content::ToolCall { name, arguments, kind, .. } => {
            if restore.is_custom(name) {
                *kind = ToolCallKind::Custom;
                *arguments = free_text(arguments);
            }
            if let Some(callers) = restore.tool_name(name) {
                *name = callers;
            }
        }
        Content::Text { text, .. } if restore.strips_fence() => {
            *text = Fence::strip(text).into();
        }
        _ => {}
    }
}

fn is_call(part: &Part) -> bool {
    matches!(part.content, Content::ToolCall { .. })
}

/// Reads what matters to a gateway from a whole answer.
pub(super) fn glance(operation: Operation, body: &Bytes) -> Glance {
    look(operation, body).unwrap_or_else(|error| {
        let mut glance = Glance::default();
        glance.error = Some(error);
        glance
    })
}

fn look(operation: Operation, body: &Bytes) -> Result<Glance, Error> {
    let text = text_of(body)?;
    let fields = object_of(&text)?;
    let mut glance = Glance::default();
    glance.error = reported(&fields, &text, body);
    glance.model = fields.get("model").and_then(|raw| json::shared_text(raw, &text));
    glance.usage = fields.get("usage").and_then(Counts::read).map(|counts| counts.usage());
    if glance.error.is_none() && operation == Operation::Chat && fields.get("content").is_none() {
        return Err(error::malformed("it holds no `content`"));
    }
    Ok(glance)
}

// === writing ===

/// Writes a whole answer.
pub(super) fn encode(answer: &Answer, ask: &Ask, losses: &mut Losses) -> Result<Bytes, Error> {
    match answer {
        Answer::Chat(reply) => encode_chat(reply, ask, losses),
        Answer::TokenCount(count) => {
            let mut out = Vec::with_capacity(32);
            let mut object = Object::begin(&mut out);
            object.number("input_tokens", count.input_tokens);
            object.end();
            Ok(out.into())
        }
        Answer::Models(models) => Ok(models::encode(models)),
        Answer::Model(model) => Ok(models::encode_one(model)),
        other => Err(unknown(other.operation())),
    }
}

fn encode_chat(reply: &ChatReply, ask: &Ask, losses: &mut Losses) -> Result<Bytes, Error> {
    let mut lost = |path: String, reason: &'static str| {
        losses.note(Loss::new(path, reason, LossAction::Dropped));
    };
    if reply.choices.len() > 1 {
        lost("choices".to_owned(), "only the first of several answers can be told");
    }
    let choice = reply.choices.first();
    let stop = choice.map(|choice| &choice.stop);
    if stop.is_some_and(|stop| stop.reason == StopReason::Error) {
        return Err(error::malformed("the model failed while it answered"));
    }
    if choice.is_some_and(|choice| choice.logprobs.is_some()) {
        lost("logprobs".to_owned(), "the caller's dialect has no such field");
    }
    let own = reply.extras.dialect == Some(ANTHROPIC);
    let parts = choice.map_or(&[][..], |choice| &choice.parts);
    let model = if reply.model.is_empty() { &ask.model } else { &reply.model };

    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    object.text("id", &message_id(&reply.id, ask));
    object.text("type", "message");
    object.text("role", "assistant");
    object.text("model", model);
    let mut array = Array::begin(object.member("content"));
    for (index, part) in parts.iter().enumerate() {
        if let Err(reason) = write_block(part, model, ask.origin.as_deref(), &mut array) {
            lost(format!("content.{index}"), reason);
        }
    }
    array.end();
    match stop {
        Some(stop) => stop::write(stop, parts.iter().any(is_call), &mut object),
        None => {
            object.text("stop_reason", "end_turn");
            object.raw("stop_sequence", "null");
        }
    }
    let mut inner = Object::begin(object.member("usage"));
    usage::write(&reply.usage.unwrap_or_default(), &mut inner);
    if let Some(tier) = &reply.service_tier {
        match service_tier(tier) {
            Some(tier) => inner.text("service_tier", tier),
            None => lost("service_tier".to_owned(), "the caller's dialect has no such tier"),
        }
    }
    if let Some(rest) = reply.extras.get("usage").filter(|_| own) {
        inner.members_of(rest);
    }
    inner.end();
    if own {
        for (name, value) in reply.extras.members.iter().filter(|(name, _)| name != "usage") {
            object.raw_named(name, value.get());
        }
    }
    object.end();
    Ok(out.into())
}

/// The tier that served, by a name that this dialect's clients know.
pub(super) fn service_tier(tier: &str) -> Option<&str> {
    match tier {
        "default" | "auto" => Some("standard"),
        "standard" | "priority" | "batch" => Some(tier),
        _ => None,
    }
}

/// An id that this dialect's clients know: the provider's, if it looks like one, else one made of the call's.
pub(super) fn message_id(id: &Str, ask: &Ask) -> Str {
    if id.starts_with("msg_") { id.clone() } else { format!("msg_{}", ask.call_id).into() }
}

/// Writes a block, or says why it cannot be said.
fn write_block(
    part: &Part,
    model: &str,
    origin: Option<&str>,
    array: &mut Array<'_>,
) -> Result<(), &'static str> {
    const NO_SUCH: &str = "the caller's dialect has no such content";
    match &part.content {
        Content::Opaque { value, .. } if part.extras.dialect == Some(ANTHROPIC) => {
            array.item().extend_from_slice(value.get().as_bytes());
            return Ok(());
        }
        Content::Text { .. }
        | Content::Refusal { .. }
        | Content::Reasoning { .. }
        | Content::ToolCall { .. } => {}
        _ => return Err(NO_SUCH),
    }
    let mut object = array.object();
    let mut loss = Ok(());
    match &part.content {
        Content::Text { text, citations } => {
            object.text("type", "text");
            object.text("text", text);
            let adopted: Vec<RawJson> =
                citations.iter().filter_map(|raw| citation::adopt(raw, text)).collect();
            if adopted.len() < citations.len() {
                loss = Err("a citation without an address cannot be told");
            }
            citation::write(&adopted, &mut object);
        }
        Content::Refusal { text } => {
            object.text("type", "text");
            object.text("text", text);
        }
        Content::Reasoning { redacted: Some(data), .. } => {
            object.text("type", "redacted_thinking");
            object.text("data", &origin::mark(origin, data));
        }
        Content::Reasoning { text, signature, .. } => {
            object.text("type", "thinking");
            object.text("thinking", text);
            match signature.as_deref().filter(|signature| !signature.is_empty()) {
                Some(signature) => object.text("signature", &origin::mark(origin, signature)),
                // Some clients drop a block without one. By this one the gateway knows the block again, and takes it out
                // before a provider sees it.
                None => object.text("signature", &origin::unsigned(model)),
            }
        }
        Content::ToolCall { id, name, arguments, kind, .. } => {
            object.text("type", "tool_use");
            object.text("id", id);
            object.text("name", name);
            write_input(arguments, *kind == ToolCallKind::Custom, object.member("input"));
        }
        _ => {}
    }
    if part.extras.dialect == Some(ANTHROPIC) {
        object.extras(&part.extras);
    }
    object.end();
    loss
}
