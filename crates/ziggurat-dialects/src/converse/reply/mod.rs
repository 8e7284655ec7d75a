//! Whole answers.

mod plain;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Error, ErrorKind, Extras, Glance, Loss, LossAction,
    Losses, Operation, Part, RawJson, Restore, Stop, StopReason, Str, TokenCount, ToolCallKind,
};

use super::block::decode_blocks;
use super::{CONVERSE, citation, error, models, state, stop, usage};
use crate::fence::Fence;
use crate::json::{self, Array, At, Fields, Object};
use crate::origin;
use crate::tools::{CONVERSE_IDS, free_text, runnable, write_input};

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
    match operation {
        Operation::Chat => {
            if is_error(&fields) {
                return Err(error::in_body(&text, body.clone()));
            }
            let reply = decode_chat(fields, &text, restore).map_err(misread)?;
            runnable(reply)
        }
        Operation::CountTokens => match fields.take("inputTokens").map(str::parse) {
            Some(Ok(input_tokens)) => {
                Ok(Answer::TokenCount(TokenCount { input_tokens, estimated: false }))
            }
            _ => Err(error::malformed("it counts no `inputTokens`")),
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

/// Whether an answer whose status says success is an error.
fn is_error(fields: &Fields<'_>) -> bool {
    fields.get("output").is_none()
        && (fields.get("__type").is_some() || fields.get("message").is_some())
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
    let at = At::root("output");
    let Some(output) = fields.take("output") else {
        return Err(at.error("this field is required"));
    };
    let mut output: Fields<'_> = json::read(output, at, "an object")?;
    let message = output.value::<Fields<'_>>("message", at, "an object")?.unwrap_or_default();
    let mut parts = match message.get("content") {
        Some(content) => decode_blocks(content, body, at.name("content"))?,
        None => Vec::new(),
    };
    parts.iter_mut().for_each(|part| undo(part, restore));
    let calls = parts.iter().any(is_call);

    let mut reply = ChatReply::new("", "");
    let word = fields.text("stopReason", body, At::root("stopReason"))?.unwrap_or_default();
    let stop = stop::decode(&word, stop_sequence(&fields, body), calls);
    reply.choices = vec![Choice::new(0, parts, stop)];
    reply.usage = usage::read(&fields, body);
    fields.take("usage");
    reply.service_tier = service_tier(&mut fields, body);
    fields.leave(&mut reply.extras, body);
    if !reply.extras.is_empty() {
        reply.extras.dialect = Some(CONVERSE);
    }
    Ok(reply)
}

/// The stop text that was hit, where the model was asked to tell it.
pub(super) fn stop_sequence(fields: &Fields<'_>, body: &Str) -> Option<Str> {
    let additional: Fields<'_> =
        serde_json::from_str(fields.get("additionalModelResponseFields")?).ok()?;
    json::shared_text(additional.get("stop_sequence")?, body)
}

/// The tier that served, if that is all that `serviceTier` says.
pub(super) fn service_tier(fields: &mut Fields<'_>, body: &Str) -> Option<Str> {
    let mut tier: Fields<'_> = serde_json::from_str(fields.get("serviceTier")?).ok()?;
    let word = json::shared_text(tier.take("type")?, body)?;
    if tier.is_empty() {
        fields.take("serviceTier");
    }
    Some(word)
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
    if operation == Operation::Chat {
        if is_error(&fields) {
            glance.error = Some(error::in_body(&text, body.clone()));
        } else if fields.get("output").is_none() {
            return Err(error::malformed("it holds no `output`"));
        }
    }
    glance.usage = usage::read(&fields, &text);
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
            object.number("inputTokens", count.input_tokens);
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
    if choice.is_some_and(|choice| choice.logprobs.is_some()) {
        lost("logprobs".to_owned(), "the caller's dialect has no such field");
    }
    let own = reply.extras.dialect == Some(CONVERSE);
    let parts = choice.map_or(&[][..], |choice| &choice.parts);
    let complete = Stop::new(StopReason::Stop);
    let stop = choice.map_or(&complete, |choice| &choice.stop);
    let Some(word) = stop::word(stop, parts.iter().any(is_call)) else {
        return Err(error::malformed("the model failed while it answered"));
    };

    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    let mut output = Object::begin(object.member("output"));
    let mut message = Object::begin(output.member("message"));
    message.text("role", "assistant");
    let mut array = Array::begin(message.member("content"));
    for (index, part) in parts.iter().enumerate() {
        if let Err(reason) = write_block(part, reply, ask, &mut array) {
            lost(format!("output.message.content.{index}"), reason);
        }
    }
    array.end();
    message.end();
    output.end();
    object.text("stopReason", word);
    let mut counts = Object::begin(object.member("usage"));
    usage::write(&reply.usage.unwrap_or_default(), &mut counts);
    counts.end();
    // Clients read it without asking whether it is there.
    if !own || reply.extras.get("metrics").is_none() {
        object.raw("metrics", r#"{"latencyMs":0}"#);
    }
    if let Some(sequence) = &stop.sequence
        && !(own && reply.extras.get("additionalModelResponseFields").is_some())
    {
        let mut fields = Object::begin(object.member("additionalModelResponseFields"));
        fields.text("stop_sequence", sequence);
        fields.end();
    }
    write_rest(reply.service_tier.as_ref(), &reply.extras, &mut object);
    object.end();
    Ok(out.into())
}

/// Writes the tier that served, and what else its own provider said.
fn write_rest(tier: Option<&Str>, extras: &Extras, object: &mut Object<'_>) {
    let own = extras.dialect == Some(CONVERSE);
    if let Some(tier) = tier.and_then(|tier| known_tier(tier))
        && !(own && extras.get("serviceTier").is_some())
    {
        let mut inner = Object::begin(object.member("serviceTier"));
        inner.text("type", tier);
        inner.end();
    }
    if own {
        object.extras(extras);
    }
}

/// The tier that served, by a name that this dialect's clients know.
pub(super) fn known_tier(tier: &str) -> Option<&str> {
    match tier {
        "standard" | "auto" => Some("default"),
        "default" | "priority" | "flex" | "reserved" => Some(tier),
        _ => None,
    }
}

/// A signature as a caller gets it, who may ask another model next; none where its own model signs nothing.
pub(super) fn signature(signature: Option<&Str>, ask: &Ask, model: &str) -> Option<String> {
    let origin = ask.origin.as_deref();
    match signature.filter(|signature| !signature.is_empty()) {
        Some(signature) => Some(origin::mark(origin, signature).into_owned()),
        // By this one the gateway knows the block again, and takes it out before a provider sees it.
        None => origin.map(|_| origin::unsigned(model)),
    }
}

/// Writes a block, or says why it cannot be said.
fn write_block(
    part: &Part,
    reply: &ChatReply,
    ask: &Ask,
    array: &mut Array<'_>,
) -> Result<(), &'static str> {
    match &part.content {
        Content::Opaque { value, .. } if part.extras.dialect == Some(CONVERSE) => {
            array.item().extend_from_slice(value.get().as_bytes());
            return Ok(());
        }
        Content::Text { .. }
        | Content::Refusal { .. }
        | Content::Reasoning { .. }
        | Content::ToolCall { .. } => {}
        _ => return Err("the caller's dialect has no such content"),
    }
    let mut object = array.object();
    let mut loss = Ok(());
    match &part.content {
        Content::Text { text, citations } => {
            let told: Vec<RawJson> =
                citations.iter().filter_map(|raw| citation::adopt(raw, text)).collect();
            if told.len() < citations.len() {
                loss = Err("a citation that names no place cannot be told");
            }
            match told.is_empty() {
                true => object.text("text", text),
                false => citation::write(text, told.into_iter(), &mut object),
            }
        }
        Content::Refusal { text } => object.text("text", text),
        Content::Reasoning { redacted: Some(data), .. } => {
            let mut outer = Object::begin(object.member("reasoningContent"));
            outer.text("redactedContent", &state::write_redacted(ask.origin.as_deref(), data));
            outer.end();
        }
        Content::Reasoning { text, signature: proof, .. } => {
            let mut outer = Object::begin(object.member("reasoningContent"));
            let mut inner = Object::begin(outer.member("reasoningText"));
            inner.text("text", text);
            let model = if reply.model.is_empty() { &ask.model } else { &reply.model };
            if let Some(proof) = signature(proof.as_ref(), ask, model) {
                inner.text("signature", &proof);
            }
            inner.end();
            outer.end();
        }
        Content::ToolCall { id, name, arguments, kind, .. } => {
            let mut call = Object::begin(object.member("toolUse"));
            call.text("toolUseId", &CONVERSE_IDS.fit_id(id));
            call.text("name", name);
            write_input(arguments, *kind == ToolCallKind::Custom, call.member("input"));
            if part.extras.dialect == Some(CONVERSE) {
                call.extras(&part.extras);
            }
            call.end();
        }
        _ => {}
    }
    object.end();
    loss
}
