//! Messages as a provider takes them.

use std::borrow::Cow;

use serde_json::value::RawValue;
use ziggurat_core::{Error, LossAction, Losses, Payload, RawJson, Severity};

use super::Quirks;
use super::params::present;
use super::tools::short_id;
use crate::json::{self, Array, At, Fields, Object};

/// What the assistant says between a tool and a user, where somebody has to say something.
const BETWEEN: &str = r#"{"role":"assistant","content":"OK."}"#;

impl Quirks {
    pub(super) fn messages(&self, payload: &mut Payload, losses: &mut Losses) -> Result<(), Error> {
        if !self.touches_messages() {
            return Ok(());
        }
        let Some(messages) = present(payload, "messages") else { return Ok(()) };
        let at = At::root("messages");
        let list: Vec<&RawValue> = json::read(&messages, at, "a list of messages")?;
        let last = list.len().saturating_sub(1);
        let mut out = Vec::with_capacity(messages.len() + 64);
        let mut array = Array::begin(&mut out);
        let mut changed = false;
        let mut after_tool = false;
        for (index, raw) in list.into_iter().enumerate() {
            let fields: Fields<'_> = json::read(raw.get(), at.index(index), "an object")?;
            let role = fields.get("role").unwrap_or_default().trim_matches('"');
            if self.answer_after_tools && after_tool && role == "user" {
                losses.emulate("messages", "the assistant says a word between a tool and a user");
                array.item().extend_from_slice(BETWEEN.as_bytes());
                changed = true;
            }
            after_tool = role == "tool";
            let item = Item { quirks: self, fields: &fields, role, index };
            match item.rewritten(index == last, losses)? {
                None => array.item().extend_from_slice(raw.get().as_bytes()),
                Some(members) => {
                    changed = true;
                    let mut message = array.object();
                    for (name, value) in members {
                        message.raw_named(name, &value);
                    }
                    message.end();
                }
            }
        }
        array.end();
        if changed && let Some(rewritten) = json::raw_json(out) {
            payload.set("messages", rewritten);
        }
        Ok(())
    }

    fn touches_messages(&self) -> bool {
        self.flatten_content
            || self.no_developer
            || self.no_nulls
            || self.no_names
            || self.no_cache_marks
            || self.short_tool_ids
            || self.answer_after_tools
            || self.prefix_last.is_some()
            || self.echo_reasoning
    }
}

/// One message.
struct Item<'b, 'a> {
    quirks: &'b Quirks,
    fields: &'b Fields<'a>,
    role: &'b str,
    index: usize,
}

type Members<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// What becomes of a member.
enum Fate {
    Kept,
    Gone,
    Changed(String),
}

impl<'b> Item<'b, '_> {
    /// The members of the message where they have to be others than they are.
    fn rewritten(&self, is_last: bool, losses: &mut Losses) -> Result<Option<Members<'b>>, Error> {
        let mut members: Members<'b> = Vec::new();
        let mut changed = false;
        for (name, value) in self.fields.iter() {
            match self.member(name, value, losses)? {
                Fate::Kept => members.push((name, Cow::Borrowed(value))),
                Fate::Gone => changed = true,
                Fate::Changed(value) => {
                    changed = true;
                    members.push((name, Cow::Owned(value)));
                }
            }
        }
        if self.role == "assistant" {
            let calls = self.fields.get("tool_calls").is_some();
            if self.quirks.echo_reasoning && calls && self.fields.get("reasoning_content").is_none()
            {
                members.retain(|(name, _)| *name != "reasoning_content");
                members.push(("reasoning_content", Cow::Borrowed("\" \"")));
                changed = true;
            }
            if let Some(flag) = self.quirks.prefix_last.as_deref()
                && is_last
                && !calls
                && self.fields.get(flag).is_none()
            {
                members.retain(|(name, _)| *name != flag);
                members.push((flag, Cow::Borrowed("true")));
                changed = true;
            }
        }
        Ok(changed.then_some(members))
    }

    fn member(&self, name: &str, value: &str, losses: &mut Losses) -> Result<Fate, Error> {
        let quirks = self.quirks;
        Ok(match name {
            _ if value == "null" && quirks.no_nulls => Fate::Gone,
            "role" if quirks.no_developer && self.role == "developer" => {
                Fate::Changed("\"system\"".to_owned())
            }
            "name" if quirks.no_names && self.role != "tool" && value != "null" => {
                let path = format!("messages[{}].name", self.index);
                losses.drop(Severity::Harmless, path, "speakers have no names there")?;
                Fate::Gone
            }
            "content" if value.starts_with('[') => self.content(value, losses)?,
            "tool_calls" if quirks.short_tool_ids && value != "null" => self.calls(value)?,
            "tool_call_id" if quirks.short_tool_ids => match short_id(value) {
                Some(id) => Fate::Changed(RawJson::string(&id).get().to_owned()),
                None => Fate::Kept,
            },
            _ => Fate::Kept,
        })
    }

    fn content(&self, parts: &str, losses: &mut Losses) -> Result<Fate, Error> {
        let (root, at) = (At::root("messages"), self.index);
        let at = root.index(at);
        let at = at.name("content");
        let parts: Vec<Fields<'_>> = json::read(parts, at, "a list of parts")?;
        if self.quirks.flatten_content {
            return self.flat(&parts, losses);
        }
        let marked = |part: &Fields<'_>| part.get("cache_control").is_some();
        if !self.quirks.no_cache_marks || !parts.iter().any(marked) {
            return Ok(Fate::Kept);
        }
        let path = format!("messages[{}].content", self.index);
        losses.drop(Severity::Harmless, path, "the provider takes no cache marks")?;
        let mut out = Vec::new();
        let mut array = Array::begin(&mut out);
        for part in &parts {
            let mut object = array.object();
            for (name, value) in part.iter().filter(|(name, _)| *name != "cache_control") {
                object.raw_named(name, value);
            }
            object.end();
        }
        array.end();
        Ok(Fate::Changed(String::from_utf8(out).unwrap_or_default()))
    }

    /// The texts of the parts as one string.
    fn flat(&self, parts: &[Fields<'_>], losses: &mut Losses) -> Result<Fate, Error> {
        let mut whole = String::new();
        for (index, part) in parts.iter().enumerate() {
            let text = part.get("text").and_then(|text| serde_json::from_str::<String>(text).ok());
            let Some(text) = text.filter(|_| part.get("type") == Some("\"text\"")) else {
                let path = format!("messages[{}].content[{index}]", self.index);
                losses.drop(Severity::Grave, path, "the provider takes nothing but text")?;
                continue;
            };
            if !whole.is_empty() {
                whole.push('\n');
            }
            whole.push_str(&text);
        }
        if parts.len() > 1 {
            losses.note(ziggurat_core::Loss::new(
                format!("messages[{}].content", self.index),
                "the texts become one",
                LossAction::Emulated,
            ));
        }
        Ok(Fate::Changed(RawJson::string(&whole).get().to_owned()))
    }

    /// The calls with ids as short as they have to be.
    fn calls(&self, calls: &str) -> Result<Fate, Error> {
        let root = At::root("messages");
        let at = root.index(self.index);
        let calls: Vec<Fields<'_>> = json::read(calls, at.name("tool_calls"), "a list of calls")?;
        let mut changed = false;
        let mut out = Vec::new();
        let mut array = Array::begin(&mut out);
        for call in &calls {
            let mut object: Object<'_> = array.object();
            for (name, value) in call.iter() {
                match short_id(value).filter(|_| name == "id") {
                    Some(id) => {
                        changed = true;
                        object.text("id", &id);
                    }
                    None => object.raw_named(name, value),
                }
            }
            object.end();
        }
        array.end();
        Ok(match changed {
            true => Fate::Changed(String::from_utf8(out).unwrap_or_default()),
            false => Fate::Kept,
        })
    }
}
