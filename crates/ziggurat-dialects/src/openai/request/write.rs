//! Messages, written.

use std::borrow::Cow;

use smallvec::SmallVec;
use ziggurat_core::{
    Content, Error, Loss, LossAction, Message, Part, Role, Severity, Str, ToolCallKind,
};

use super::encode::{Context, extras};
use super::parts::{part, text_part};
use crate::json::{self, Array, Object};
use crate::normalise::Conversation;
use crate::openai::OPENAI;
use crate::openai::stream::words;
use crate::openai::wire;
use crate::openai_api::FAILED;
use crate::openai_api::parts::{write_cache_mark, write_call_signature};
use crate::origin;
use crate::tools::OPENAI_IDS;

/// A picture or file in a tool's answer: this dialect lets only the user show it.
type Shown<'a> = (String, &'a Part);

/// Writes the system prompt, what must be added to it, and the conversation.
pub(super) fn messages(
    out: &mut Vec<u8>,
    talk: &Conversation<'_>,
    instruction: Option<String>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut array = Array::begin(out);
    let role = if context.model.reasoning_model { "developer" } else { "system" };
    // A part with a name of its own was a message of its own.
    let mut rest = &talk.system[..];
    while !rest.is_empty() {
        let named = |part: &Part| part.extras.dialect == Some(OPENAI) && !part.extras.is_empty();
        let end = 1 + rest[1..].iter().position(named).unwrap_or(rest.len() - 1);
        let (parts, later) = rest.split_at(end);
        rest = later;
        prompt(&mut array, role, parts, context)?;
    }
    if let Some(text) = instruction {
        let mut object = array.object();
        object.text("role", role);
        object.text("content", &text);
        object.end();
    }
    let mut shown: Vec<Shown<'_>> = Vec::new();
    for message in &*talk.messages {
        match message.role {
            Role::Tool | Role::User => user(&mut array, message, &mut shown, context)?,
            Role::Assistant => {
                show(&mut array, &mut shown, context)?;
                assistant(&mut array, message, context)?;
            }
            _ => {
                show(&mut array, &mut shown, context)?;
                operator(&mut array, message, role, context)?;
            }
        }
    }
    show(&mut array, &mut shown, context)?;
    array.end();
    Ok(())
}

fn prompt(
    array: &mut Array<'_>,
    role: &str,
    parts: &[Part],
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut object = array.object();
    object.text("role", role);
    let place = |_: usize| Cow::Borrowed("system");
    let parts = numbered(parts);
    content(&mut object, &parts, Some("\n\n"), false, &place, context)?;
    for (_, part) in parts {
        extras(&mut object, &part.extras, "", &[], |name| format!("system.{name}"), context)?;
    }
    object.end();
    Ok(())
}

fn operator(
    array: &mut Array<'_>,
    message: &Message,
    role: &'static str,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let developer = message.role == Role::Developer && context.own;
    let mut object = array.object();
    object.text("role", if developer { "developer" } else { role });
    let names = context.names;
    let place = |index| names.part(message, index);
    content(&mut object, &numbered(&message.parts), Some("\n\n"), true, &place, context)?;
    finish(&mut object, message, context)?;
    object.end();
    Ok(())
}

/// Writes what the tools answered, then what the user says.
fn user<'a>(
    array: &mut Array<'_>,
    message: &'a Message,
    shown: &mut Vec<Shown<'a>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut said: Vec<Numbered<'_>> = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        match &part.content {
            Content::ToolResult { .. } => result(array, message, index, shown, context)?,
            _ => said.push((index, part)),
        }
    }
    let results = said.len() < message.parts.len();
    if said.is_empty() && (results || message.role == Role::Tool) {
        return Ok(());
    }
    let mut object = array.object();
    object.text("role", "user");
    let names = context.names;
    if shown.is_empty() {
        let place = |index| names.part(message, index);
        content(&mut object, &said, None, true, &place, context)?;
    } else {
        let mut list = Array::begin(object.member("content"));
        show_parts(&mut list, shown, context)?;
        for (index, item) in said {
            part(&mut list, item, &|| names.part(message, index), context)?;
        }
        list.end();
    }
    if !results {
        finish(&mut object, message, context)?;
    }
    object.end();
    Ok(())
}

/// Writes what tools showed as a message of the user, if nobody did so yet.
fn show(
    array: &mut Array<'_>,
    shown: &mut Vec<Shown<'_>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if shown.is_empty() {
        return Ok(());
    }
    let mut object = array.object();
    object.text("role", "user");
    let mut list = Array::begin(object.member("content"));
    show_parts(&mut list, shown, context)?;
    list.end();
    object.end();
    Ok(())
}

fn show_parts(
    list: &mut Array<'_>,
    shown: &mut Vec<Shown<'_>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    for (label, medium) in shown.drain(..) {
        text_part(list.item(), &format!("[{label}]"));
        part(list, medium, &|| label.clone().into(), context)?;
    }
    Ok(())
}

fn result<'a>(
    array: &mut Array<'_>,
    message: &'a Message,
    index: usize,
    shown: &mut Vec<Shown<'a>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let outer = &message.parts[index];
    let Content::ToolResult { call_id, name, parts, is_error } = &outer.content else {
        return Ok(());
    };
    let place = context.names.part(message, index);
    let mut texts: Vec<Cow<'_, Part>> = Vec::with_capacity(parts.len());
    for part in parts {
        let word = match &part.content {
            Content::Text { .. } => {
                texts.push(Cow::Borrowed(part));
                continue;
            }
            Content::Image { .. } => "image",
            Content::Document { .. } => "file",
            Content::Audio { .. } => "audio",
            _ => {
                let reason = "a tool's answer is text here";
                context.losses.drop(Severity::Doubtful, place.clone(), reason)?;
                continue;
            }
        };
        let label = format!("{word} {}", shown.len() + 1);
        texts.push(Cow::Owned(Part::text(format!("[{label} below]"))));
        context.losses.emulate(place.clone(), "what a tool shows is shown by the user");
        shown.push((label, part));
    }
    if *is_error {
        let first = texts.first().and_then(|part| part.as_text()).unwrap_or_default();
        let failed = Str::from(format!("{FAILED}{first}"));
        match texts.first_mut() {
            None => texts.push(Cow::Owned(Part::text(failed))),
            Some(part) => {
                if let Content::Text { text, .. } = &mut part.to_mut().content {
                    *text = failed;
                }
            }
        }
    }
    let mut object = array.object();
    object.text("role", "tool");
    object.text("tool_call_id", &OPENAI_IDS.fit_id(call_id));
    if let Some(name) = name.as_ref().filter(|_| context.own) {
        object.text("name", name);
    }
    let texts: Vec<Numbered<'_>> = texts.iter().map(|part| (index, &**part)).collect();
    content(&mut object, &texts, Some("\n"), true, &|_| place.clone(), context)?;
    if let Some(mark) = outer.cache {
        // Only parts can be marked here.
        write_cache_mark(None, mark, context.model, context.losses)?;
    }
    if message.parts.len() == 1 {
        finish(&mut object, message, context)?;
    }
    object.end();
    Ok(())
}

fn assistant(
    array: &mut Array<'_>,
    message: &Message,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut said: Vec<Numbered<'_>> = Vec::new();
    let mut calls: Vec<&Part> = Vec::new();
    let mut thoughts: Vec<&Part> = Vec::new();
    let mut refusal = None;
    let mut audio = None;
    for (index, part) in message.parts.iter().enumerate() {
        match &part.content {
            Content::ToolCall { .. } => calls.push(part),
            Content::Reasoning { .. } => thoughts.push(part),
            Content::Refusal { text } => refusal = Some(text),
            Content::Text { citations, .. } => {
                if !citations.is_empty() {
                    let place = context.names.part(message, index);
                    let path = context.names.member(&place, "citations");
                    let reason = "what was cited before is not told again there";
                    context.losses.drop(Severity::Harmless, path, reason)?;
                }
                said.push((index, part));
            }
            Content::Opaque { value, kind } if part.extras.dialect == Some(OPENAI) => {
                if *kind == "audio" {
                    audio = Some(value);
                } else {
                    said.push((index, part));
                }
            }
            // What another provider's own tools did is state of that provider's.
            _ => {
                let place = context.names.part(message, index);
                let reason = "it means something to its own provider only";
                context.losses.note(Loss::new(place, reason, LossAction::Dropped));
            }
        }
    }
    let marked = thoughts.iter().any(|part| is_marked(part));
    if (!context.own || marked) && !thoughts.is_empty() {
        let place = context.names.message(message);
        let reason = "reasoning is not sent to another provider";
        context.losses.note(Loss::new(place, reason, LossAction::Dropped));
        thoughts.clear();
    }
    let silent = said.is_empty() && calls.is_empty() && thoughts.is_empty();
    if silent && refusal.is_none() && audio.is_none() && !message.parts.is_empty() {
        return Ok(());
    }

    let mut object = array.object();
    object.text("role", "assistant");
    let names = context.names;
    if said.is_empty() && (!calls.is_empty() || refusal.is_some() || audio.is_some()) {
        object.raw("content", "null");
    } else {
        let place = |index| names.part(message, index);
        content(&mut object, &said, Some(""), true, &place, context)?;
    }
    if let Some(refusal) = refusal {
        object.text("refusal", refusal);
    }
    if let Some(audio) = audio {
        object.raw("audio", audio.get());
    }
    reasoning(&mut object, &thoughts, None);
    if !calls.is_empty() {
        let mut list = Array::begin(object.member("tool_calls"));
        for part in calls {
            call(&mut list, part, context)?;
        }
        list.end();
    }
    finish(&mut object, message, context)?;
    object.end();
    Ok(())
}

/// Whether a model of another dialect made this reasoning, earlier in the conversation.
fn is_marked(part: &Part) -> bool {
    let Content::Reasoning { signature, redacted, .. } = &part.content else { return false };
    let made = redacted.as_ref().or(signature.as_ref());
    made.is_some_and(|made| made.starts_with(origin::MARK))
}

/// Writes reasoning as servers that show it do, and with it the blocks if one of them is signed, marked as those of `model`.
pub(in crate::openai) fn reasoning(
    object: &mut Object<'_>,
    thoughts: &[&Part],
    model: Option<&str>,
) {
    let mut all = String::new();
    let mut opaque = false;
    for part in thoughts {
        if let Content::Reasoning { text, signature, redacted } = &part.content {
            all.push_str(text);
            opaque |= signature.is_some() || redacted.is_some();
        }
    }
    if !all.is_empty() {
        object.text("reasoning_content", &all);
    }
    if opaque {
        let mut blocks = Array::begin(object.member("thinking_blocks"));
        for part in thoughts {
            match &part.content {
                Content::Reasoning { redacted: Some(data), .. } => {
                    wire::encode_redacted(blocks.item(), data, model);
                }
                Content::Reasoning { text, signature, .. } => {
                    wire::encode_thinking(blocks.item(), text, signature.as_deref(), model);
                }
                _ => {}
            }
        }
        blocks.end();
    }
}

fn call(list: &mut Array<'_>, part: &Part, context: &mut Context<'_>) -> Result<(), Error> {
    let Content::ToolCall { id, name, arguments, kind, signature } = &part.content else {
        return Ok(());
    };
    let name = context.tools.fit(name)?;
    let mut object = list.object();
    let id = OPENAI_IDS.fit_id(id);
    write_call(&mut object, &id, &name, arguments, *kind);
    let own = |signature: &&Str| context.own && !signature.starts_with(origin::MARK);
    if let Some(signature) = signature.as_ref().filter(own) {
        write_call_signature(&mut object, signature);
    }
    extras(&mut object, &part.extras, "", &[], |name| format!("tool_calls.{name}"), context)?;
    object.end();
    Ok(())
}

/// Writes id, type and body of a call, in a request or in an answer.
pub(in crate::openai) fn write_call(
    object: &mut Object<'_>,
    id: &str,
    name: &str,
    arguments: &str,
    kind: ToolCallKind,
) {
    let (word, field) = words(kind);
    object.text("id", id);
    object.text("type", word);
    let mut inner = Object::begin(object.member(word));
    inner.text("name", name);
    // Clients and servers parse the arguments: none are an empty object.
    let empty = arguments.is_empty() && kind == ToolCallKind::Function;
    inner.text(field, if empty { "{}" } else { arguments });
    inner.end();
}

/// Writes what a message holds besides its content.
fn finish(
    object: &mut Object<'_>,
    message: &Message,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if let Some(name) = &message.name {
        object.text("name", name);
    }
    let names = context.names;
    let place = |name: &str| format!("{}.{name}", names.message(message));
    extras(object, &message.extras, "", &[], place, context)
}

/// A part and its place in its message.
type Numbered<'a> = (usize, &'a Part);

fn numbered(parts: &[Part]) -> Vec<Numbered<'_>> {
    parts.iter().enumerate().collect()
}

/// Writes `content`: a text where that says it all, else a list of parts.
///
/// Texts of another dialect's caller are joined by `between`: many servers take lists from the user only. `with_extras` is
/// false where the extras of the parts belong to their message.
fn content(
    object: &mut Object<'_>,
    parts: &[Numbered<'_>],
    between: Option<&str>,
    with_extras: bool,
    place: &dyn Fn(usize) -> Cow<'static, str>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let marks = context.model.cache_marks;
    let plain = |(_, part): &Numbered<'_>| {
        part.is_text()
            && !(marks && part.cache.is_some())
            && (part.extras.is_empty() || !with_extras)
    };
    let between = between.filter(|_| context.joins);
    if (parts.len() < 2 || between.is_some()) && parts.iter().all(plain) {
        for mark in parts.iter().filter_map(|(_, part)| part.cache) {
            write_cache_mark(None, mark, context.model, context.losses)?;
        }
        let texts = parts.iter().filter_map(|(_, part)| part.shared_text());
        let texts: SmallVec<[&Str; 2]> = texts.collect();
        object.text("content", &json::joined(&texts, between.unwrap_or_default()));
        return Ok(());
    }
    let mut list = Array::begin(object.member("content"));
    for (index, item) in parts {
        if with_extras {
            part(&mut list, item, &|| place(*index), context)?;
        } else {
            let mut bare = Part::new(item.content.clone());
            bare.cache = item.cache;
            part(&mut list, &bare, &|| place(*index), context)?;
        }
    }
    list.end();
    Ok(())
}
