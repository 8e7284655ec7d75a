//! Whole answers.

mod plain;

use bytes::Bytes;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Error, Extras, Glance, Loss, LossAction, Losses,
    Operation, Part, Restore, StopReason, Str, ToolCallKind,
};

use super::call::{self, Call};
use super::{OLLAMA, error, logprobs, models, stop, usage};
use crate::clock::{rfc3339, unix_seconds};
use crate::json::{self, Array, At, Fields, Object};
use crate::plain_error::{self, malformed, misread};
use crate::tools::{self, undo};

// === reading ===

/// Reads a whole answer.
pub(super) fn decode(
    operation: Operation,
    body: &Bytes,
    restore: &Restore,
) -> Result<Answer, Error> {
    let text = text_of(body)?;
    if operation == Operation::Chat
        && let Some(reply) = plain::decode(&text)
    {
        return Ok(Answer::Chat(reply));
    }
    let fields = object_of(&text)?;
    if let Some(failed) = fields.get("error") {
        return Err(error::in_body(failed, &text));
    }
    match operation {
        Operation::Chat => {
            let reply = decode_chat(fields, &text, restore).map_err(misread)?;
            tools::runnable(reply)
        }
        Operation::Models => models::decode(fields, &text),
        other => Err(plain_error::unknown(other)),
    }
}

fn text_of(body: &Bytes) -> Result<Str, Error> {
    Str::from_utf8(body.clone()).map_err(|_| malformed("it is not valid UTF-8"))
}

fn object_of(text: &Str) -> Result<Fields<'_>, Error> {
    serde_json::from_str(text).map_err(|_| malformed("it is no JSON object"))
}

fn decode_chat(mut fields: Fields<'_>, body: &Str, restore: &Restore) -> Result<ChatReply, Error> {
    let model = fields.text("model", body, At::root("model"))?.unwrap_or_default();
    let created = fields.text("created_at", body, At::root("created_at"))?;
    let word = fields.text("done_reason", body, At::root("done_reason"))?;
    fields.take("done");

    let mut reply = ChatReply::new("", model);
    reply.created = created.as_deref().and_then(unix_seconds);
    reply.usage = usage::take(&mut fields);
    let logprobs = fields.take("logprobs").and_then(logprobs::decode);

    let at = At::root("message");
    let Some(message) = fields.take("message") else {
        return Err(at.error("this field is required"));
    };
    let mut message: Fields<'_> = json::read(message, at, "an object")?;
    message.take("role");
    let mut parts = Vec::new();
    let mut text =
        |name| message.text(name, body, at).map(|text| text.filter(|text| !text.is_empty()));
    if let Some(text) = text("thinking")? {
        parts.push(Part::new(Content::Reasoning { text, signature: None, redacted: None }));
    }
    parts.extend(text("content")?.map(Part::text));
    let calls: Option<Vec<&RawValue>> = message.value("tool_calls", at, "a list of calls")?;
    let calls = calls.unwrap_or_default();
    let place = created.unwrap_or_default();
    let at = at.name("tool_calls");
    for (ordinal, raw) in calls.iter().enumerate() {
        let call = call::decode(raw.get(), body, at.index(ordinal))?;
        parts.push(part_of(name_call(call, &place, ordinal), restore));
    }

    let stop = stop::decode(word.as_deref(), !calls.is_empty());
    let mut choice = Choice::new(0, parts, stop);
    choice.logprobs = logprobs;
    choice.extras = leftover(message, body);
    reply.choices = vec![choice];
    reply.extras = leftover(fields, body);
    Ok(reply)
}

/// Gives a call without an id one of its own. `place` is when the answer was made: earlier calls of the conversation have another.
pub(super) fn name_call(mut call: Call, place: &str, ordinal: usize) -> Call {
    if call.id.is_empty() {
        let ordinal = ordinal.to_string();
        call.id = tools::made_id(&["ollama", place, &ordinal, &call.name, &call.arguments]);
    }
    call
}

/// A call as its caller knows it.
fn part_of(call: Call, restore: &Restore) -> Part {
    let (name, arguments, kind) = undo(call.name, call.arguments, restore);
    let mut part =
        Part::new(Content::ToolCall { id: call.id, name, arguments, kind, signature: None });
    part.extras = call.extras;
    part
}

fn leftover(fields: Fields<'_>, body: &Str) -> Extras {
    let mut extras = Extras::default();
    fields.leave(&mut extras, body);
    if !extras.is_empty() {
        extras.dialect = Some(OLLAMA);
    }
    extras
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
    let mut fields = object_of(&text)?;
    if let Some(failed) = fields.get("error") {
        return Err(error::in_body(failed, &text));
    }
    if operation == Operation::Chat && fields.get("message").is_none() {
        return Err(malformed("it holds no `message`"));
    }
    let mut glance = Glance::default();
    glance.model = fields.get("model").and_then(|raw| json::shared_text(raw, &text));
    glance.usage = usage::take(&mut fields);
    Ok(glance)
}

// === writing ===

/// Writes a whole answer.
pub(super) fn encode(answer: &Answer, ask: &Ask, losses: &mut Losses) -> Result<Bytes, Error> {
    match answer {
        Answer::Chat(reply) => encode_chat(reply, ask, losses),
        Answer::Models(models) => Ok(models::encode(models)),
        Answer::Model(model) => Ok(models::encode_one(model)),
        other => Err(plain_error::unknown(other.operation())),
    }
}

fn encode_chat(reply: &ChatReply, ask: &Ask, losses: &mut Losses) -> Result<Bytes, Error> {
    let mut lost = |path: &'static str, reason: &'static str| {
        losses.note(Loss::new(path, reason, LossAction::Dropped));
    };
    if reply.choices.len() > 1 {
        lost("choices", "only the first of several answers can be told");
    }
    if reply.service_tier.is_some() {
        lost("service_tier", "the caller's dialect has no such field");
    }
    let choice = reply.choices.first();
    if choice.is_some_and(|choice| choice.stop.reason == StopReason::Error) {
        return Err(plain_error::failed());
    }
    let said = Said::of(choice.map_or(&[][..], |choice| &choice.parts), &mut lost);

    let text = json::joined(&said.texts, "");
    let mut out = Vec::with_capacity(512 + text.json_len() + said.thoughts.len());
    let mut object = Object::begin(&mut out);
    object.text("model", if reply.model.is_empty() { &ask.model } else { &reply.model });
    object.text("created_at", &rfc3339(reply.created.unwrap_or(ask.created)));
    let mut message = Object::begin(object.member("message"));
    message.text("role", "assistant");
    message.text("content", &text);
    if !said.thoughts.is_empty() {
        message.text("thinking", &said.thoughts);
    }
    if !said.calls.is_empty() {
        let mut list = Array::begin(message.member("tool_calls"));
        for (index, part) in said.calls.iter().enumerate() {
            if let Content::ToolCall { id, name, arguments, kind, .. } = &part.content {
                let free = *kind == ToolCallKind::Custom;
                let extras = Some(&part.extras);
                call::write(&mut list, index, id, name, (arguments, free), extras);
            }
        }
        list.end();
    }
    if let Some(choice) = choice.filter(|choice| choice.extras.dialect == Some(OLLAMA)) {
        message.extras(&choice.extras);
    }
    message.end();
    object.flag("done", true);
    object.text("done_reason", choice.map_or("stop", |choice| stop::word(&choice.stop)));
    if let Some(list) = choice.and_then(|choice| choice.logprobs.as_ref()).and_then(logprobs::list)
    {
        object.raw("logprobs", list);
    }
    usage::write(&reply.usage.unwrap_or_default(), &mut object);
    if reply.extras.dialect == Some(OLLAMA) {
        object.extras(&reply.extras);
    }
    object.end();
    Ok(out.into())
}

/// What the parts of an answer say, by the member that says it here.
#[derive(Default)]
struct Said<'a> {
    texts: SmallVec<[&'a Str; 2]>,
    thoughts: String,
    calls: Vec<&'a Part>,
}

impl<'a> Said<'a> {
    fn of(parts: &'a [Part], lost: &mut impl FnMut(&'static str, &'static str)) -> Self {
        let mut said = Self::default();
        for part in parts {
            match &part.content {
                Content::Text { text, citations } => {
                    if !citations.is_empty() {
                        lost("citations", "nothing is cited in the caller's dialect");
                    }
                    said.texts.push(text);
                }
                Content::Refusal { text } => said.texts.push(text),
                Content::Reasoning { redacted: Some(_), .. } => {
                    lost("thinking", "it is not meant to be read");
                }
                Content::Reasoning { text, signature, .. } => {
                    if signature.is_some() {
                        lost("thinking.signature", "the caller's dialect has no such field");
                    }
                    said.thoughts.push_str(text);
                }
                Content::ToolCall { .. } => said.calls.push(part),
                _ => lost("content", "an answer holds no such part in the caller's dialect"),
            }
        }
        said
    }
}

#[cfg(test)]
mod tests;
