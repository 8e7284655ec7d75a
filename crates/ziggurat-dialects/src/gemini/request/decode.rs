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
        _ => {
            json::no_path(name)?;
            chat.extras.push(name.clone(), raw(value, at)?);
        }
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
    let mut messages: Vec<Message> = Vec::with_capacity(items.len());
    let mut turn = Turn::default();
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
        let bare = item.is_empty();
        let goes_on = role == Role::Assistant
            && bare
            && messages.last().is_some_and(|last| last.role == role && last.extras.is_empty());
        if !goes_on {
            turn.end(&mut messages);
            let mut message = Message::new(role, Vec::new()).at(index);
            item.leave(&mut message.extras, value);
            if !message.extras.is_empty() {
                message.extras.dialect = Some(GEMINI);
            }
            messages.push(message);
        }
        match role {
            Role::Assistant => turn.take(parts),
            _ => {
                if let Some(message) = messages.last_mut() {
                    message.parts = parts;
                }
            }
        }
    }
    turn.end(&mut messages);
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

/// What the model said in one turn. Clients keep a streamed answer in the pieces in which it came, each a content of its own: a
/// text is put together again, and thinking up to its signature, as another dialect's model signed all of it.
#[derive(Default)]
struct Turn {
    parts: Vec<Part>,
    /// The text or thinking that may go on.
    open: Option<Open>,
}

struct Open {
    thought: bool,
    text: String,
}

impl Turn {
    /// Takes the parts of one content.
    fn take(&mut self, parts: Vec<Part>) {
        // Texts within a content stay apart.
        let mut begins = true;
        for mut part in parts {
            let bare = part.extras.is_empty();
            let open = self.open.as_mut();
            match &mut part.content {
                Content::Text { text, citations } if bare && citations.is_empty() => {
                    match open.filter(|open| begins && !open.thought) {
                        Some(open) => open.text.push_str(text),
                        None => self.begin(false, text),
                    }
                    begins = false;
                    continue;
                }
                Content::Reasoning { text, signature: None, .. } if bare => {
                    match open.filter(|open| open.thought) {
                        Some(open) => open.text.push_str(text),
                        None => self.begin(true, text),
                    }
                    begins = false;
                    continue;
                }
                Content::Reasoning { text, .. } if bare => {
                    if let Some(mut open) = self.open.take_if(|open| open.thought) {
                        open.text.push_str(text);
                        *text = open.text.into();
                    }
                }
                _ => {}
            }
            begins = false;
            self.close();
            self.parts.push(part);
        }
    }

    fn begin(&mut self, thought: bool, text: &str) {
        self.close();
        self.open = Some(Open { thought, text: text.to_owned() });
    }

    fn close(&mut self) {
        let Some(Open { thought, text }) = self.open.take() else { return };
        self.parts.push(match thought {
            true => {
                let text = text.into();
                Part::new(Content::Reasoning { text, signature: None, redacted: None })
            }
            false => Part::text(text),
        });
    }

    /// The turn has ended: it is the last of the messages.
    fn end(&mut self, messages: &mut [Message]) {
        self.close();
        if let Some(message) = messages.last_mut()
            && message.role == Role::Assistant
        {
            message.parts = std::mem::take(&mut self.parts);
        }
    }
}
