//! Messages, written.

use std::borrow::Cow;

use ziggurat_core::{
    CacheMark, Content, Error, Loss, LossAction, Message, Part, Role, Severity, Source, Str,
    ToolCallKind,
};

use super::encode::{Context, extras};
use super::messages::FAILED;
use crate::json::{self, Array, Object};
use crate::media;
use crate::openai::OPENAI;
use crate::openai::stream::words;
use crate::openai::wire;
use crate::tools::OPENAI_IDS;

/// A picture or file in a tool's answer: this dialect lets only the user show it.
type Shown<'a> = (String, &'a Part);

/// Writes the system prompt, what must be added to it, and the conversation.
pub(super) fn messages(
    out: &mut Vec<u8>,
    system: &[Part],
    conversation: &[Message],
    instruction: Option<String>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut array = Array::begin(out);
    let role = if context.model.reasoning_model { "developer" } else { "system" };
    // A part with a name of its own was a message of its own.
    let mut rest = system;
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
    for message in conversation {
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
            part(&mut list, item, &names.part(message, index), context)?;
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
        part(list, medium, &Cow::Owned(label), context)?;
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
        cache_mark(None, mark, context)?;
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
            Content::Text { .. } => said.push((index, part)),
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
    if !context.own && !thoughts.is_empty() {
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
    reasoning(&mut object, &thoughts);
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

/// Writes reasoning as servers that show it do, and with it the blocks if one of them is signed.
pub(in crate::openai) fn reasoning(object: &mut Object<'_>, thoughts: &[&Part]) {
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
                    wire::encode_redacted(blocks.item(), data);
                }
                Content::Reasoning { text, signature, .. } => {
                    wire::encode_thinking(blocks.item(), text, signature.as_deref());
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
    if let Some(signature) = signature.as_ref().filter(|_| context.own) {
        wire::encode_call_signature(&mut object, signature);
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
    let place = context.names.message(message);
    extras(object, &message.extras, "", &[], |name| format!("{place}.{name}"), context)
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
        part.as_text().is_some()
            && !(marks && part.cache.is_some())
            && (part.extras.is_empty() || !with_extras)
    };
    let between = between.filter(|_| context.foreign);
    if (parts.len() < 2 || between.is_some()) && parts.iter().all(plain) {
        for mark in parts.iter().filter_map(|(_, part)| part.cache) {
            cache_mark(None, mark, context)?;
        }
        let texts: Vec<&str> = parts.iter().filter_map(|(_, part)| part.as_text()).collect();
        match texts[..] {
            [text] => object.text("content", text),
            _ => object.text("content", &texts.join(between.unwrap_or_default())),
        }
        return Ok(());
    }
    let mut list = Array::begin(object.member("content"));
    for (index, item) in parts {
        if with_extras {
            part(&mut list, item, &place(*index), context)?;
        } else {
            let mut bare = Part::new(item.content.clone());
            bare.cache = item.cache;
            part(&mut list, &bare, &place(*index), context)?;
        }
    }
    list.end();
    Ok(())
}

fn text_part(out: &mut Vec<u8>, text: &str) {
    let mut object = Object::begin(out);
    object.text("type", "text");
    object.text("text", text);
    object.end();
}

/// Writes one part.
fn part(
    list: &mut Array<'_>,
    part: &Part,
    place: &Cow<'static, str>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let place = || place.clone();
    let grave = |context: &mut Context<'_>, reason: &'static str| {
        context.losses.drop(Severity::Grave, place(), reason)
    };
    let here = |name: &str| format!("{}.{name}", place());
    match &part.content {
        Content::Text { text, .. } => {
            let mut object = list.object();
            object.text("type", "text");
            object.text("text", text);
            end_part(object, part, "text.", here, context)
        }
        Content::Refusal { text } => {
            let mut object = list.object();
            object.text("type", "refusal");
            object.text("refusal", text);
            end_part(object, part, "refusal.", here, context)
        }
        Content::Image { source, detail } => {
            if !matches!(source, Source::Url(_) | Source::Base64 { .. }) {
                return grave(context, "the picture is with another provider");
            }
            let mut object = list.object();
            object.text("type", "image_url");
            let mut inner = Object::begin(object.member("image_url"));
            url(&mut inner, "url", source);
            if let Some(detail) = detail {
                inner.text("detail", detail);
            }
            extras(&mut inner, &part.extras, "image_url.", &[], here, context)?;
            inner.end();
            end_part(object, part, "image_url.", here, context)
        }
        Content::Audio { source: Source::Base64 { media_type, data } } => {
            let mut object = list.object();
            object.text("type", "input_audio");
            let mut inner = Object::begin(object.member("input_audio"));
            plain_text(inner.member("data"), &[data]);
            inner.text("format", media::audio_format(media_type));
            extras(&mut inner, &part.extras, "input_audio.", &[], here, context)?;
            inner.end();
            end_part(object, part, "input_audio.", here, context)
        }
        Content::Audio { .. } => grave(context, "sound must be in the request itself here"),
        Content::Video { source } if !context.foreign => {
            let mut object = list.object();
            object.text("type", "video_url");
            let mut inner = Object::begin(object.member("video_url"));
            url(&mut inner, "url", source);
            extras(&mut inner, &part.extras, "video_url.", &[], here, context)?;
            inner.end();
            end_part(object, part, "video_url.", here, context)
        }
        Content::Document { .. } => document(list, part, &place(), context),
        Content::Opaque { value, .. } if part.extras.dialect == Some(OPENAI) => {
            list.item().extend_from_slice(value.get().as_bytes());
            Ok(())
        }
        _ => grave(context, "it means something in its own dialect only"),
    }
}

fn end_part(
    mut object: Object<'_>,
    part: &Part,
    nested: &str,
    here: impl Fn(&str) -> String,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    extras(&mut object, &part.extras, "", &[nested], here, context)?;
    if let Some(mark) = part.cache {
        cache_mark(Some(&mut object), mark, context)?;
    }
    object.end();
    Ok(())
}

fn document(
    list: &mut Array<'_>,
    part: &Part,
    place: &Cow<'static, str>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let Content::Document { source, title, context: about, citations } = &part.content else {
        return Ok(());
    };
    let here = |name: &str| format!("{place}.{name}");
    if *citations == Some(true) {
        let reason = "documents are not cited here";
        context.losses.drop(Severity::Harmless, here("citations"), reason)?;
    }
    if about.is_some() && !matches!(source, Source::Text { .. }) {
        let reason = "a file is not described here";
        context.losses.drop(Severity::Harmless, here("context"), reason)?;
    }
    match source {
        Source::Text { text, .. } => {
            context.losses.emulate(place.clone(), "the document is sent as text");
            let head = [title, about].into_iter().flatten().map(|text| format!("{text}\n"));
            let mut object = list.object();
            object.text("type", "text");
            object.text("text", &(head.collect::<String>() + text));
            end_part(object, part, "file.", here, context)
        }
        Source::File(id) if !context.foreign => {
            file(list, part, title.as_ref(), |inner| inner.text("file_id", id), here, context)
        }
        Source::Base64 { .. } => {
            // The name is required beside the data.
            let name = title.clone().unwrap_or_else(|| Str::from_static("document.pdf"));
            let data = |inner: &mut Object<'_>| url(inner, "file_data", source);
            file(list, part, Some(&name), data, here, context)
        }
        Source::Url(address) if context.own => {
            file(list, part, title.as_ref(), |inner| inner.text("file_id", address), here, context)
        }
        _ => {
            let reason = "the document must be in the request itself here";
            context.losses.drop(Severity::Grave, place.clone(), reason)
        }
    }
}

fn file(
    list: &mut Array<'_>,
    part: &Part,
    name: Option<&Str>,
    data: impl FnOnce(&mut Object<'_>),
    here: impl Fn(&str) -> String,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut object = list.object();
    object.text("type", "file");
    let mut inner = Object::begin(object.member("file"));
    if let Some(name) = name {
        inner.text("filename", name);
    }
    data(&mut inner);
    extras(&mut inner, &part.extras, "file.", &[], &here, context)?;
    inner.end();
    end_part(object, part, "file.", here, context)
}

/// Writes where a medium is: its address, or a data URL.
fn url(object: &mut Object<'_>, name: &str, source: &Source) {
    match source {
        Source::Base64 { media_type, data } => {
            let said = if media_type.is_empty() { "application/octet-stream" } else { media_type };
            plain_text(object.member(name), &["data:", said, ";base64,", data]);
        }
        Source::Url(address) | Source::File(address) => object.text(name, address),
        _ => object.text(name, ""),
    }
}

/// Writes a string that mostly needs no escapes, at the speed of a copy.
fn plain_text(out: &mut Vec<u8>, pieces: &[&str]) {
    let escapes = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // No early exit, so that the compiler makes it one pass at many bytes a step.
    let any = |text: &&str| text.bytes().fold(false, |any, byte| any | escapes(byte));
    if pieces.iter().any(|piece| any(piece)) {
        return json::string(out, &pieces.concat());
    }
    out.push(b'"');
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
    out.push(b'"');
}

/// Marks a part for the cache where the model knows the mark; else the mark is lost.
fn cache_mark(
    object: Option<&mut Object<'_>>,
    mark: CacheMark,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let Some(object) = object.filter(|_| context.model.cache_marks) else {
        let reason = "prompts are cached without being marked here";
        return context.losses.drop(Severity::Harmless, "cache_control", reason);
    };
    let mut inner = Object::begin(object.member("prompt_cache_breakpoint"));
    inner.text("mode", "explicit");
    match mark {
        CacheMark::Default => {}
        CacheMark::TwelveHours => inner.text("ttl", "12h"),
        CacheMark::HalfHour => inner.text("ttl", "30m"),
        _ => {
            context.losses.clamp("cache_control.ttl", "prompts are kept for half an hour here")?;
            inner.text("ttl", "30m");
        }
    }
    inner.end();
    Ok(())
}
