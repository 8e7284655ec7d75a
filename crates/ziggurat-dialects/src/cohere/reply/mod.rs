//! Whole answers.

mod plain;

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Error, Glance, Loss, LossAction, Losses, Operation,
    Part, RawJson, Restore, StopReason, Str, ToolCallKind,
};

use super::{COHERE, citation, content, error, logprobs, models, reply_id, request, stop, usage};
use crate::fence::Fence;
use crate::json::{self, Array, At, Fields, Object};
use crate::plain_error::{self, malformed, misread};
use crate::tools::{runnable, undo};

/// Where what was billed is kept among the extras.
const BILLED: &str = "usage.billed_units";

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
    let fields = object_of(&text)?;
    if let Some(error) = error::reported(&fields, &text) {
        return Err(error);
    }
    match operation {
        Operation::Chat => {
            let reply = decode_chat(fields, &text, restore).map_err(misread)?;
            runnable(reply)
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
    let id = fields.text("id", body, At::root("id"))?.unwrap_or_default();
    let word = fields.text("finish_reason", body, At::root("finish_reason"))?;
    let mut reply = ChatReply::new(id, "");
    let counts = fields.take("usage");
    reply.usage = counts.and_then(usage::read);
    let logprobs = fields.take("logprobs").and_then(|list| logprobs::decode(list, body));

    let at = At::root("message");
    let Some(message) = fields.take("message") else {
        return Err(at.error("this field is required"));
    };
    let mut message: Fields<'_> = json::read(message, at, "an object")?;
    message.take("role");
    let inside = at.name("content");
    let contents: Option<Vec<&RawValue>> = message.value("content", at, "a list of contents")?;
    let said = contents
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(index, raw)| request::part(raw, body, inside.index(index)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut parts = request::assistant(&mut message, said, body, at)?;
    parts.iter_mut().for_each(|part| restored(part, restore));
    // A model that only calls may say an empty text.
    parts.retain(|part| !part.is_empty_text());

    let calls = parts.iter().any(is_call);
    let mut choice = Choice::new(0, parts, stop::decode(word.as_deref(), calls));
    choice.logprobs = logprobs;
    choice.extras = request::leftover(message, body);
    reply.choices = vec![choice];
    reply.extras = request::leftover(fields, body);
    // Every answer of this dialect is known by that.
    reply.extras.dialect = Some(COHERE);
    if let Some(billed) = counts.and_then(usage::billed) {
        reply.extras.push(Str::from_static(BILLED), billed);
    }
    Ok(reply)
}

/// Undoes what was changed in the request for the provider's sake.
fn restored(part: &mut Part, restore: &Restore) {
    match &mut part.content {
        Content::ToolCall { name, arguments, kind, .. } => {
            (*name, *arguments, *kind) =
                undo(std::mem::take(name), std::mem::take(arguments), restore);
        }
        Content::Text { text, .. } if restore.strips_fence() => *text = Fence::strip(text).into(),
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
    if let Some(error) = error::reported(&fields, &text) {
        return Err(error);
    }
    if operation == Operation::Chat && fields.get("message").is_none() {
        return Err(malformed("it holds no `message`"));
    }
    let mut glance = Glance::default();
    glance.usage = fields.get("usage").and_then(usage::read);
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
    let own = reply.extras.dialect == Some(COHERE);
    let said = Said::of(choice.map_or(&[][..], |choice| &choice.parts), &mut lost);

    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    object.text("id", &reply_id(&reply.id, ask));
    let word = choice.map_or("COMPLETE", |choice| stop::word(&choice.stop, !said.calls.is_empty()));
    object.text("finish_reason", word);
    said.write(object.member("message"), choice);
    usage::write(
        &reply.usage.unwrap_or_default(),
        reply.extras.get(BILLED).filter(|_| own),
        object.member("usage"),
    );
    if let Some(logprobs) = choice.and_then(|choice| choice.logprobs.as_ref()) {
        let mut pieces = Vec::new();
        let mut list = Array::begin(&mut pieces);
        let any = logprobs::write(logprobs, &mut list);
        list.end();
        if any {
            object.member("logprobs").extend_from_slice(&pieces);
        }
    }
    if own {
        for (name, value) in reply.extras.members.iter().filter(|(name, _)| name != BILLED) {
            object.raw_named(name, value.get());
        }
    }
    object.end();
    Ok(out.into())
}

/// What the parts of an answer say, by the member that says it here. Text beside calls is the plan.
#[derive(Default)]
struct Said<'a> {
    /// Kind and text of each content.
    contents: Vec<(&'static str, &'a str)>,
    citations: Vec<RawJson>,
    calls: Vec<&'a Part>,
}

impl<'a> Said<'a> {
    fn of(parts: &'a [Part], lost: &mut impl FnMut(&'static str, &'static str)) -> Self {
        let mut said = Self::default();
        for part in parts {
            match &part.content {
                Content::Text { text, citations } => {
                    for raw in citations {
                        match citation::adopt(raw, text, said.contents.len()) {
                            Some(citation) => said.citations.push(citation),
                            None => lost("citations", "it names no source"),
                        }
                    }
                    said.contents.push(("text", text));
                }
                Content::Refusal { text } => said.contents.push(("text", text)),
                Content::Reasoning { redacted: Some(_), .. } => {
                    lost("thinking", "it is not meant to be read");
                }
                Content::Reasoning { text, signature, .. } => {
                    if signature.is_some() {
                        lost("thinking.signature", "the caller's dialect has no such field");
                    }
                    said.contents.push(("thinking", text));
                }
                Content::ToolCall { .. } => said.calls.push(part),
                _ => lost("content", "an answer holds no such part in the caller's dialect"),
            }
        }
        said
    }

    fn write(&self, out: &mut Vec<u8>, choice: Option<&Choice>) {
        let mut message = Object::begin(out);
        message.text("role", "assistant");
        let is_plan = |kind: &str| kind == "text" && !self.calls.is_empty();
        let plan: String =
            self.contents.iter().filter(|(kind, _)| is_plan(kind)).map(|(_, text)| *text).collect();
        if !plan.is_empty() {
            message.text("tool_plan", &plan);
        }
        if !self.calls.is_empty() {
            let mut list = Array::begin(message.member("tool_calls"));
            for part in &self.calls {
                if let Content::ToolCall { id, name, arguments, kind, .. } = &part.content {
                    let free = *kind == ToolCallKind::Custom;
                    let arguments = (arguments.as_str(), free);
                    content::write_call(list.object(), id, name, arguments, Some(&part.extras));
                }
            }
            list.end();
        }
        let mut contents = self.contents.iter().filter(|(kind, _)| !is_plan(kind)).peekable();
        if contents.peek().is_some() || self.calls.is_empty() {
            let mut list = Array::begin(message.member("content"));
            for (kind, text) in contents {
                content::write_text(list.item(), kind, text);
            }
            list.end();
        }
        content::write_citations(&mut message, self.citations.iter());
        if let Some(choice) = choice.filter(|choice| choice.extras.dialect == Some(COHERE)) {
            message.extras(&choice.extras);
        }
        message.end();
    }
}

#[cfg(test)]
mod tests;
