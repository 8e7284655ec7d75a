//! What was said so far, written as items.

use std::borrow::Cow;
use std::collections::BTreeSet;

use smallvec::SmallVec;
use ziggurat_core::{
    Content, Error, Extras, Loss, LossAction, Message, Part, Role, Severity, Str, ToolCallKind,
};

use super::encode::{Context, extras};
use super::parts::{part, text_part};
use crate::fields::Place;
use crate::json::{self, Array, Object};
use crate::normalise::Conversation;
use crate::openai_api::FAILED;
use crate::openai_api::parts::write_call_signature;
use crate::origin::{self, Origin};
use crate::responses::RESPONSES;
use crate::responses::items::{self, Thought};
use crate::tools::{RESPONSES_IDS, made_id};

/// Writes the system prompt, what must be added to it, and the conversation.
pub(super) fn conversation(
    object: &mut Object<'_>,
    talk: &Conversation<'_>,
    instruction: Option<String>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let system = &talk.system;
    let marks = context.model.cache_marks;
    let plain = |part: &Part| {
        part.is_text()
            && !(marks && part.cache.is_some())
            && (part.extras.is_empty() || part.extras.dialect != Some(RESPONSES))
    };
    let said = system.iter().all(plain);
    if said {
        for part in &**system {
            lose_prompt(part, context)?;
        }
        let instruction = instruction.map(Str::from);
        let texts = system.iter().filter_map(Part::shared_text).chain(&instruction);
        let texts: SmallVec<[&Str; 2]> = texts.collect();
        if !texts.is_empty() {
            object.text("instructions", &json::joined(&texts, "\n\n"));
        }
    } else if let Some(text) = &instruction {
        object.text("instructions", text);
    }
    let mut items = Array::begin(object.member("input"));
    let role = if context.model.reasoning_model { "developer" } else { "system" };
    if !said {
        let place = |_: usize| Cow::Borrowed("system");
        let parts: Vec<Numbered<'_>> = system.iter().enumerate().collect();
        spoken(&mut items, role, &parts, &place, &Extras::default(), context)?;
    }
    let mut custom = BTreeSet::new();
    for message in &*talk.messages {
        match message.role {
            Role::Assistant => assistant(&mut items, message, &mut custom, context)?,
            Role::User | Role::Tool => user(&mut items, message, &custom, context)?,
            _ => {
                let developer = message.role == Role::Developer && context.own;
                let role = if developer { "developer" } else { role };
                let names = context.names;
                let place = |index| names.part(message, index);
                let parts: Vec<Numbered<'_>> = message.parts.iter().enumerate().collect();
                name(message, context)?;
                spoken(&mut items, role, &parts, &place, &message.extras, context)?;
            }
        }
    }
    items.end();
    Ok(())
}

/// Reports what a part of the system prompt holds beside its text.
fn lose_prompt(part: &Part, context: &mut Context<'_>) -> Result<(), Error> {
    if part.cache.is_some() {
        let reason = "prompts are cached without being marked here";
        context.losses.drop(Severity::Harmless, "cache_control", reason)?;
    }
    if part.extras.is_empty() {
        return Ok(());
    }
    let mut nothing = Vec::new();
    let mut object = Object::begin(&mut nothing);
    extras(&mut object, &part.extras, "", &[], |name| format!("system.{name}"), context)
}

/// A part and its place in its message.
type Numbered<'a> = (usize, &'a Part);

/// Writes a message of the operator or the user.
fn spoken(
    list: &mut Array<'_>,
    role: &str,
    parts: &[Numbered<'_>],
    place: &dyn Fn(usize) -> Cow<'static, str>,
    more: &Extras,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut item = list.object();
    item.text("type", "message");
    item.text("role", role);
    let mut content = Array::begin(item.member("content"));
    for (index, said) in parts {
        part(&mut content, said, &|| place(*index), context)?;
    }
    content.end();
    extras(&mut item, more, "", &[], |name| format!("{}.{name}", place(0)), context)?;
    item.end();
    Ok(())
}

/// Speakers have no names here.
fn name(message: &Message, context: &mut Context<'_>) -> Result<(), Error> {
    if message.name.is_none() {
        return Ok(());
    }
    let path = context.names.member(&context.names.message(message), "name");
    context.losses.drop(Severity::Harmless, path, "speakers have no names here")
}

/// Writes what the tools answered, then what the user says.
fn user(
    list: &mut Array<'_>,
    message: &Message,
    custom: &BTreeSet<Str>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    name(message, context)?;
    let mut said: SmallVec<[Numbered<'_>; 2]> = SmallVec::new();
    let mut results = false;
    for (index, part) in message.parts.iter().enumerate() {
        match &part.content {
            Content::ToolResult { .. } => {
                results = true;
                result(list, message, index, custom, context)?;
            }
            Content::Opaque { value, .. } if is_item(part) => {
                list.item().extend_from_slice(value.get().as_bytes());
            }
            _ => said.push((index, part)),
        }
    }
    if said.is_empty() && !message.parts.is_empty() {
        return Ok(());
    }
    let names = context.names;
    let place = |index| names.part(message, index);
    let none = Extras::default();
    let more = if results { &none } else { &message.extras };
    spoken(list, "user", &said, &place, more, context)
}

/// Whether a part is an item of this dialect that nobody else understands.
fn is_item(part: &Part) -> bool {
    part.extras.dialect == Some(RESPONSES) && !items::is_within(part)
}

fn result(
    list: &mut Array<'_>,
    message: &Message,
    index: usize,
    custom: &BTreeSet<Str>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let outer = &message.parts[index];
    let Content::ToolResult { call_id, parts, is_error, .. } = &outer.content else {
        return Ok(());
    };
    let names = context.names;
    let place = || names.part(message, index);
    if outer.cache.is_some() {
        let reason = "what a tool answers cannot be marked for the cache here";
        context.losses.drop(Severity::Harmless, "cache_control", reason)?;
    }
    let mut item = list.object();
    let kind =
        if custom.contains(call_id) { "custom_tool_call_output" } else { "function_call_output" };
    item.text("type", kind);
    item.text("call_id", &RESPONSES_IDS.fit_id(call_id));
    let failed = if *is_error { FAILED } else { "" };
    match &parts[..] {
        [] => item.text("output", failed),
        [Part { content: Content::Text { text, .. }, extras, cache: None, .. }]
            if extras.is_empty() =>
        {
            match is_error {
                true => item.text("output", &format!("{failed}{text}")),
                false => item.text("output", text),
            }
        }
        parts => {
            let mut output = Array::begin(item.member("output"));
            let mut first = *is_error;
            for said in parts {
                let text = first.then(|| said.as_text()).flatten();
                match text {
                    Some(text) => text_part(output.item(), &format!("{failed}{text}")),
                    None if first => {
                        text_part(output.item(), failed.trim_end());
                        part(&mut output, said, &place, context)?;
                    }
                    None => part(&mut output, said, &place, context)?,
                }
                first = false;
            }
            output.end();
        }
    }
    if message.parts.len() == 1 {
        extras(&mut item, &message.extras, "", &[], |name| format!("{}.{name}", place()), context)?;
    }
    item.end();
    Ok(())
}

/// Writes a turn of the assistant: what it says as messages, what it thinks and calls as items between them.
fn assistant(
    list: &mut Array<'_>,
    message: &Message,
    custom: &mut BTreeSet<Str>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    name(message, context)?;
    let names = context.names;
    let place = || names.message(message);
    let mut nothing = Vec::new();
    let mut more = Object::begin(&mut nothing);
    extras(&mut more, &message.extras, "", &[], |name| format!("{}.{name}", place()), context)?;
    let mut said: Vec<Numbered<'_>> = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        match &part.content {
            Content::Text { .. } | Content::Refusal { .. } => {
                said.push((index, part));
                continue;
            }
            Content::Opaque { .. }
                if part.extras.dialect == Some(RESPONSES) && items::is_within(part) =>
            {
                said.push((index, part));
                continue;
            }
            _ => say(list, message, &mut said, context)?,
        }
        match &part.content {
            Content::Reasoning { .. } => thought(list, part, &place, context),
            Content::ToolCall { id, kind, .. } => {
                if *kind == ToolCallKind::Custom {
                    custom.insert(id.clone());
                }
                call(list, part, &place, context)?;
            }
            Content::Opaque { value, .. } if is_item(part) => {
                list.item().extend_from_slice(value.get().as_bytes());
            }
            // What another provider's own tools did is state of that provider's.
            _ => {
                let place = context.names.part(message, index);
                let reason = "it means something to its own provider only";
                context.losses.note(Loss::new(place, reason, LossAction::Dropped));
            }
        }
    }
    say(list, message, &mut said, context)
}

/// Writes what was said since the last item as a message.
fn say(
    list: &mut Array<'_>,
    message: &Message,
    said: &mut Vec<Numbered<'_>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if said.is_empty() {
        return Ok(());
    }
    let mut item = list.object();
    item.text("type", "message");
    item.text("role", "assistant");
    let mut more = Extras::default();
    let mut content = Array::begin(item.member("content"));
    for (index, part) in said.drain(..) {
        match &part.content {
            Content::Text { text, citations } => {
                let mut object = content.object();
                object.text("type", "output_text");
                object.text("text", text);
                let mut list = Array::begin(object.member("annotations"));
                if part.extras.dialect == Some(RESPONSES) {
                    for citation in citations {
                        list.item().extend_from_slice(citation.get().as_bytes());
                    }
                } else if !citations.is_empty() {
                    let place = context.names.part(message, index);
                    let reason = "citations of another provider are left out";
                    context.losses.note(Loss::new(place, reason, LossAction::Dropped));
                }
                list.end();
                object.end();
            }
            Content::Refusal { text } => items::write_refusal(content.item(), text),
            Content::Opaque { value, .. } => {
                content.item().extend_from_slice(value.get().as_bytes());
                continue;
            }
            _ => continue,
        }
        if part.cache.is_some() {
            let reason = "what the assistant said cannot be marked for the cache here";
            context.losses.drop(Severity::Harmless, "cache_control", reason)?;
        }
        if !part.extras.is_empty() {
            more.dialect = part.extras.dialect;
            more.members.extend(part.extras.members.iter().cloned());
        }
    }
    content.end();
    let names = context.names;
    let place = || names.message(message);
    extras(&mut item, &more, "", &[], |name| format!("{}.{name}", place()), context)?;
    item.end();
    Ok(())
}

/// Writes reasoning that this provider made; all other is left out.
fn thought(list: &mut Array<'_>, part: &Part, place: Place<'_>, context: &mut Context<'_>) {
    let Content::Reasoning { text, signature, redacted } = &part.content else { return };
    let own = part.extras.dialect == Some(RESPONSES);
    let made = redacted.as_ref().or(signature.as_ref());
    let encrypted = match made.map(|made| origin::origin(made)) {
        Some(Origin::Model(name, made)) if name == context.model_name => Some(made),
        Some(Origin::Unknown) if own && context.own => made.map(Str::as_str),
        // The provider keeps it under its name.
        None if own && context.own && part.extras.get("id").is_some() => None,
        _ => {
            let reason = "reasoning is not sent to another provider";
            context.losses.note(Loss::new(place(), reason, LossAction::Dropped));
            return;
        }
    };
    let id = part.extras.get("id").and_then(|id| id.read::<String>().ok());
    let id =
        id.unwrap_or_else(|| made_id(&[encrypted.unwrap_or_default()]).replacen("call_", "rs_", 1));
    let summary = part.extras.get("summary").filter(|_| own);
    let text = redacted.is_none().then_some(text.as_str());
    let text = text.filter(|text| !text.is_empty() || signature.is_some());
    Thought { id: &id, text, summary, encrypted }.write(list.item());
}

fn call(
    list: &mut Array<'_>,
    part: &Part,
    place: Place<'_>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let Content::ToolCall { id, name, arguments, kind, signature } = &part.content else {
        return Ok(());
    };
    if part.cache.is_some() {
        let reason = "calls cannot be marked for the cache here";
        context.losses.drop(Severity::Harmless, "cache_control", reason)?;
    }
    let (word, _, field) = items::words(*kind);
    let mut item = list.object();
    item.text("type", word);
    item.text("call_id", &RESPONSES_IDS.fit_id(id));
    item.text("name", &context.tools.fit(name)?);
    // Servers parse the arguments: none are an empty object.
    let none = arguments.is_empty() && *kind == ToolCallKind::Function;
    json::string(item.member(field), if none { "{}" } else { arguments });
    let own = |signature: &&Str| context.own && !signature.starts_with(origin::MARK);
    if let Some(signature) = signature.as_ref().filter(own) {
        write_call_signature(&mut item, signature);
    }
    extras(&mut item, &part.extras, "", &[], |name| format!("{}.{name}", place()), context)?;
    item.end();
    Ok(())
}
