//! Whole answers, read.

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Answer, ChatReply, Choice, Content, Error, ErrorKind, Glance, Operation, Part, Restore, Stop,
    Str, TokenCount, ToolCallKind,
};

use super::plain;
use crate::clock::unix_seconds;
use crate::fence::Fence;
use crate::gemini::camel::{members, object};
use crate::gemini::{GEMINI, error, grounding, logprobs, models, part, stop, usage};
use crate::json::{self, At, Fields};
use crate::tools::{free_text, made_id, runnable};

/// Reads a whole answer.
pub(in crate::gemini) fn decode(
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
    if fields.get("error").is_some() {
        return Err(error::in_body(&text, body.clone()));
    }
    match operation {
        Operation::Chat => {
            let reply = chat(fields, &text, restore).map_err(misread)?;
            runnable(reply)
        }
        Operation::CountTokens => match fields.take("totalTokens").map(str::parse) {
            Some(Ok(input_tokens)) => {
                Ok(Answer::TokenCount(TokenCount { input_tokens, estimated: false }))
            }
            _ => Err(error::malformed("it counts no `totalTokens`")),
        },
        Operation::Models => models::decode(fields, &text),
        other => {
            let message = format!("the provider has no such operation: {other}");
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

fn text_of(body: &Bytes) -> Result<Str, Error> {
    Str::from_utf8(body.clone()).map_err(|_| error::malformed("it is not valid UTF-8"))
}

fn object_of(text: &Str) -> Result<Fields<'_>, Error> {
    object(text, At::root("answer")).map_err(|_| error::malformed("it is no JSON object"))
}

/// What is wrong with an answer is not the caller's fault.
pub(in crate::gemini) fn misread(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidRequest => error::malformed(error),
        _ => error,
    }
}

fn chat(mut fields: Fields<'_>, body: &Str, restore: &Restore) -> Result<ChatReply, Error> {
    let mut text = |name: &'static str| fields.text(name, body, At::root(name));
    let id = text("responseId")?.unwrap_or_default();
    let model = text("modelVersion")?.unwrap_or_default();
    let created = text("createTime")?.and_then(|time| unix_seconds(&time));
    let mut reply = ChatReply::new(id, model);
    reply.created = created;
    if let Some(raw) = fields.take("usageMetadata") {
        let mut counts = object(raw, At::root("usageMetadata"))?;
        reply.usage = usage::take(&mut counts);
        if let Some(rest) = counts.object() {
            reply.extras.push(Str::from_static("usageMetadata"), rest);
        }
    }
    let at = At::root("candidates").in_brackets();
    let candidates: Option<Vec<&RawValue>> = fields.value("candidates", at, "a list")?;
    let feedback = fields.get("promptFeedback").map(members);
    match candidates.filter(|list| !list.is_empty() || feedback.is_none()) {
        Some(candidates) => {
            for (place, raw) in candidates.into_iter().enumerate() {
                let choice = candidate(raw.get(), place, body, &reply.id, restore)?;
                reply.choices.push(choice);
            }
        }
        None => match feedback {
            // The prompt was not answered.
            Some(feedback) => {
                let reason = |name| feedback.get(name).and_then(|raw| json::shared_text(raw, body));
                let why = reason("blockReason").unwrap_or(Str::from_static("OTHER"));
                let stop = stop::blocked(&why, reason("blockReasonMessage"));
                reply.choices.push(Choice::new(0, Vec::new(), stop));
            }
            None => return Err(at.error("this field is required")),
        },
    }
    fields.leave(&mut reply.extras, body);
    if !reply.extras.is_empty() {
        reply.extras.dialect = Some(GEMINI);
    }
    Ok(reply)
}

fn candidate(
    raw: &str,
    place: usize,
    body: &Str,
    reply: &Str,
    restore: &Restore,
) -> Result<Choice, Error> {
    let root = At::root("candidates").in_brackets();
    let at = root.index(place);
    let mut fields = object(raw, at)?;
    let index = fields.value("index", at, "a whole number")?;
    let index = index.unwrap_or(u32::try_from(place).unwrap_or(u32::MAX));
    let mut parts = Vec::new();
    // Where each of the provider's parts begins among ours.
    let mut places = Vec::new();
    if let Some(raw) = fields.take("content") {
        let at = at.name("content");
        let mut content = object(raw, at)?;
        let at_parts = at.name("parts");
        let list: Option<Vec<&RawValue>> = content.value("parts", at, "a list of parts")?;
        for (index, raw) in list.unwrap_or_default().into_iter().enumerate() {
            places.push(parts.len());
            part::decode(raw.get(), body, at_parts.index(index), &mut parts)?;
        }
    }
    parts.retain(|part| !part.is_empty_text() || !part.extras.is_empty());
    let cited = grounding::decode(fields.get("groundingMetadata"), fields.get("citationMetadata"));
    cite(&mut parts, &cited, &places);
    let mut calls = 0;
    for part in &mut parts {
        answer_part(part, reply, index, &mut calls, restore);
    }
    let word = fields.text("finishReason", body, at)?;
    let message = fields.text("finishMessage", body, at)?;
    let stop = match &word {
        Some(word) => stop::decode(word, message, calls > 0),
        None => Stop::new(ziggurat_core::StopReason::Other),
    };
    let mut choice = Choice::new(index, parts, stop);
    choice.logprobs = fields.take("logprobsResult").and_then(logprobs::decode);
    fields.leave(&mut choice.extras, body);
    if !choice.extras.is_empty() {
        choice.extras.dialect = Some(GEMINI);
    }
    Ok(choice)
}

/// Puts citations to the texts they belong to: the part that is named, else the first text.
fn cite(parts: &mut [Part], cited: &[grounding::Cited], places: &[usize]) {
    for cited in cited {
        let named = cited.part.and_then(|part| places.get(part)).copied();
        let first = parts.iter().position(Part::is_text);
        let of_text = |at: &usize| parts.get(*at).is_some_and(Part::is_text);
        let Some(at) = named.filter(of_text).or(first) else { return };
        if let Content::Text { text, citations } = &mut parts[at].content {
            citations.push(cited.of(text));
        }
    }
}

/// Names a call that has no name of its own, and undoes what was changed in the request for the provider's sake.
pub(in crate::gemini) fn answer_part(
    part: &mut Part,
    reply: &str,
    choice: u32,
    calls: &mut u32,
    restore: &Restore,
) {
    match &mut part.content {
        Content::ToolCall { id, name, arguments, kind, .. } => {
            if id.is_empty() {
                *id = made_id(&["gemini", reply, &choice.to_string(), &calls.to_string()]);
            }
            *calls += 1;
            if restore.is_custom(name) {
                *kind = ToolCallKind::Custom;
                *arguments = free_text(arguments);
            }
            if let Some(callers) = restore.tool_name(name) {
                *name = callers;
            }
        }
        Content::Text { text, .. } if restore.strips_fence() => *text = Fence::strip(text).into(),
        _ => {}
    }
}

/// Reads what matters to a gateway from a whole answer.
pub(in crate::gemini) fn glance(operation: Operation, body: &Bytes) -> Glance {
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
    if fields.get("error").is_some() {
        glance.error = Some(error::in_body(&text, body.clone()));
    }
    glance.model = fields.get("modelVersion").and_then(|raw| json::shared_text(raw, &text));
    glance.usage = fields.get("usageMetadata").and_then(usage::read);
    let answers = ["candidates", "promptFeedback"].iter().any(|name| fields.get(name).is_some());
    if glance.error.is_none() && operation == Operation::Chat && !answers {
        return Err(error::malformed("it holds no `candidates`"));
    }
    Ok(glance)
}
