//! Reads a request.

use std::sync::Arc;

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Content, Error, Members, Message, Operation, Part, RawJson, Role, Str, Typed,
};

use super::config;
use super::ids::name_calls;
use super::tools;
use crate::gemini::camel::{camel, object};
use crate::gemini::{GEMINI, part};
use crate::json::{self, At};

/// How many contents are taken.
const MAX_CONTENTS: usize = 100_000;

/// Reads the members of a request.
pub(in crate::gemini) fn decode(operation: Operation, members: &Members) -> Result<Typed, Error> {
    if operation == Operation::Models {
        return Ok(Typed::Models(None));
    }
    let nested;
    let mut members = members;
    if operation == Operation::CountTokens
        && let Some((_, inner)) =
            members.iter().find(|(name, _)| is(name, "generateContentRequest"))
    {
        nested = Members::parse(inner.clone())
            .map_err(|_| at("generateContentRequest").error("an object is expected"))?;
        members = &nested;
    }
    let mut chat = Chat::new();
    let mut seen: Vec<Str> = Vec::new();
    for (name, value) in members.iter() {
        let camel = camel(name).map_or_else(|| name.clone(), Str::from);
        // A check would see one of them, and the provider the other.
        if seen.contains(&camel) {
            return Err(at(&camel).error("this field is there twice, in two spellings"));
        }
        if value != "null" {
            member(&mut chat, &camel, value)?;
        }
        seen.push(camel);
    }
    if !chat.extras.is_empty() {
        chat.extras.dialect = Some(GEMINI);
    }
    if chat.messages.is_empty() {
        return Err(at("contents").error("at least one content is required"));
    }
    name_calls(&mut chat.messages);
    let chat = Arc::new(chat);
    Ok(match operation {
        Operation::CountTokens => Typed::CountTokens(chat),
        _ => Typed::Chat(chat),
    })
}

fn is(name: &str, expected: &str) -> bool {
    name == expected || camel(name).as_deref() == Some(expected)
}

/// A top-level member, for errors that name it.
pub(super) fn at(name: &str) -> At<'_> {
    At::root(name).in_brackets()
}

fn member(chat: &mut Chat, name: &Str, value: &Str) -> Result<(), Error> {
    let at = at(name);
    match name.as_str() {
        // The path says which model, and that is the gateway's business.
        "model" => {}
        "contents" => chat.messages = contents(value, at)?,
        "systemInstruction" => {
            let mut fields = object(value, at)?;
            let parts = fields.take("parts");
            chat.system =
                parts.map_or(Ok(Vec::new()), |raw| parts_of(raw, value, at.name("parts")))?;
        }
        "tools" => chat.tools = tools::decode(value, at)?,
        "toolConfig" => tools::decode_config(chat, value, at)?,
        "generationConfig" => config::decode(chat, value, at)?,
        "serviceTier" => {
            let tier = json::read_text(value, value, at)?.to_ascii_lowercase();
            let tier = tier.strip_prefix("service_tier_").unwrap_or(&tier);
            // By the name that other dialects have for it.
            chat.service_tier = Some(Str::from(if tier == "standard" { "default" } else { tier }));
        }
        "store" => chat.store = Some(json::read(value, at, "true or false")?),
        "labels" => {
            if !value.starts_with('{') {
                return Err(at.error("an object is expected"));
            }
            chat.metadata = Some(raw(value, at)?);
        }
        _ => chat.extras.push(name.clone(), raw(value, at)?),
    }
    Ok(())
}

/// A value as it is.
pub(super) fn raw(value: &Str, at: At<'_>) -> Result<RawJson, Error> {
    RawJson::parse(value.clone()).map_err(|_| at.error("this is not valid JSON"))
}

fn contents(value: &Str, at: At<'_>) -> Result<Vec<Message>, Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of contents")?;
    if items.len() > MAX_CONTENTS {
        return Err(at.error(format_args!("at most {MAX_CONTENTS} contents are taken")));
    }
    let mut messages = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        let at = at.index(index);
        let mut item = object(raw.get(), at)?;
        let role = item.text("role", value, at)?;
        let role = match role.as_deref() {
            // `function` is an older word for who answers calls.
            None | Some("user" | "function" | "") => Role::User,
            Some("model") => Role::Assistant,
            Some(other) => {
                let wrong = format_args!("`user` or `model` is expected, not `{other}`");
                return Err(at.name("role").error(wrong));
            }
        };
        let parts = item.take("parts");
        let parts = parts.map_or(Ok(Vec::new()), |raw| parts_of(raw, value, at.name("parts")))?;
        let parts = if role == Role::Assistant { joined(parts) } else { parts };
        let mut message = Message::new(role, parts).at(index);
        item.leave(&mut message.extras, value);
        if !message.extras.is_empty() {
            message.extras.dialect = Some(GEMINI);
        }
        messages.push(message);
    }
    Ok(messages)
}

fn parts_of(raw: &str, body: &Str, at: At<'_>) -> Result<Vec<Part>, Error> {
    let items: Vec<&RawValue> = json::read(raw, at, "a list of parts")?;
    let mut parts = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        part::decode(raw.get(), body, at.index(index), &mut parts)?;
    }
    Ok(parts)
}

/// Clients keep a streamed answer in the pieces in which it came. Thinking is put together again up to its signature: another
/// dialect's model signed all of it.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::with_capacity(parts.len());
    let mut open: Option<String> = None;
    let spoken = |text: String| {
        Part::new(Content::Reasoning { text: text.into(), signature: None, redacted: None })
    };
    for mut part in parts {
        let bare = part.extras.is_empty();
        match &mut part.content {
            Content::Reasoning { text, signature: None, .. } if bare => {
                open.get_or_insert_default().push_str(text);
                continue;
            }
            Content::Reasoning { text, .. } if bare => {
                if let Some(mut all) = open.take() {
                    all.push_str(text);
                    *text = all.into();
                }
            }
            _ => out.extend(open.take().map(spoken)),
        }
        out.push(part);
    }
    out.extend(open.map(spoken));
    out
}
