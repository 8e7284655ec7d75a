//! How what is said is written.

use ziggurat_core::{CacheMark, Content, Message, Part, Role, Source, Str, ToolCallKind};

use super::document::{self, Written};
use crate::converse::block::{GUARDED, JSON, OWNER, write_mark};
use crate::converse::family::Family;
use crate::converse::media::Medium;
use crate::converse::{CONVERSE, citation};
use crate::json::{Array, Object};
use crate::plan::{Budget, Scene, Tools};
use crate::tools::{CONVERSE_IDS, mistral_id, write_input};

/// What a tool answered that answered nothing: an empty list is refused.
const EMPTY: &str = "(empty)";

pub(super) struct Writer<'w, 'a> {
    pub(super) scene: &'w Scene<'w>,
    pub(super) family: Family,
    pub(super) tools: &'w mut Tools<'a>,
}

impl Writer<'_, '_> {
    /// Writes the system prompt.
    pub(super) fn system(&mut self, parts: &[Part], marks: &mut Budget, out: &mut Vec<u8>) {
        let mut array = Array::begin(out);
        self.blocks(parts, marks, &mut array);
        array.end();
    }

    /// Writes messages, which are in the order that this dialect insists on.
    pub(super) fn messages(
        &mut self,
        messages: &[Message],
        marks: &mut Budget,
        auto: Option<CacheMark>,
        out: &mut Vec<u8>,
    ) {
        let mut array = Array::begin(out);
        for (index, message) in messages.iter().enumerate() {
            let mut object = array.object();
            object.text(
                "role",
                match message.role {
                    Role::Assistant => "assistant",
                    Role::System | Role::Developer => "system",
                    _ => "user",
                },
            );
            let mut content = Array::begin(object.member("content"));
            self.blocks(&message.parts, marks, &mut content);
            if let Some(mark) = auto.filter(|_| index + 1 == messages.len()) {
                write_mark(mark, &mut content);
            }
            content.end();
            if message.extras.dialect == Some(CONVERSE) {
                object.extras(&message.extras);
            }
            object.end();
        }
        array.end();
    }

    fn blocks(&mut self, parts: &[Part], marks: &mut Budget, array: &mut Array<'_>) {
        for part in parts {
            self.block(part, marks, array);
            // Thinking takes no mark.
            if !matches!(part.content, Content::Reasoning { .. })
                && let Some(mark) = marks.take(part.cache)
            {
                write_mark(mark, array);
            }
        }
    }

    fn block(&mut self, part: &Part, marks: &mut Budget, array: &mut Array<'_>) {
        let own = part.extras.dialect == Some(CONVERSE);
        if let Content::Opaque { value, .. } = &part.content
            && own
        {
            array.item().extend_from_slice(value.get().as_bytes());
            return;
        }
        let mut object = array.object();
        match &part.content {
            Content::Text { text, .. } if own && part.extras.get(JSON).is_some() => {
                write_json(text, &mut object);
            }
            Content::Text { text, .. } if own && part.extras.get(GUARDED).is_some() => {
                let mut outer = Object::begin(object.member("guardContent"));
                let mut inner = Object::begin(outer.member("text"));
                inner.text("text", text);
                if let Some(rest) = part.extras.get(GUARDED) {
                    inner.members_of(rest);
                }
                inner.end();
                outer.end();
            }
            Content::Text { text, citations } => {
                let mut told = citations.iter().filter_map(|raw| citation::adopt(raw, text));
                match told.next() {
                    None => object.text("text", text),
                    Some(first) => {
                        citation::write(text, std::iter::once(first).chain(told), &mut object);
                    }
                }
            }
            Content::Refusal { text } => object.text("text", text),
            Content::Image { source, .. } => self.medium(Medium::Image, source, part, &mut object),
            Content::Video { source } => self.medium(Medium::Video, source, part, &mut object),
            Content::Audio { source } => self.medium(Medium::Audio, source, part, &mut object),
            Content::Document { .. } => self.document(part, &mut object),
            Content::ToolCall { id, name, arguments, kind, .. } => {
                let mut call = Object::begin(object.member("toolUse"));
                call.text("toolUseId", &self.id(id));
                let name = self.tools.name(name);
                call.text("name", &name);
                let free = *kind == ToolCallKind::Custom || self.tools.is_custom(&name);
                write_input(arguments, free, call.member("input"));
                extras(part, &mut call);
                call.end();
            }
            Content::ToolResult { call_id, parts, is_error, .. } => {
                let mut result = Object::begin(object.member("toolResult"));
                result.text("toolUseId", &self.id(call_id));
                let mut content = Array::begin(result.member("content"));
                if parts.is_empty() && !self.scene.is_own() {
                    let mut block = content.object();
                    block.text("text", EMPTY);
                    block.end();
                }
                self.blocks(parts, marks, &mut content);
                content.end();
                if *is_error {
                    result.text("status", "error");
                }
                extras(part, &mut result);
                result.end();
            }
            Content::Reasoning { redacted: Some(data), .. } => {
                let mut outer = Object::begin(object.member("reasoningContent"));
                outer.text("redactedContent", data);
                outer.end();
            }
            Content::Reasoning { text, signature, .. } => {
                let mut outer = Object::begin(object.member("reasoningContent"));
                let mut inner = Object::begin(outer.member("reasoningText"));
                inner.text("text", text);
                if let Some(signature) = signature {
                    inner.text("signature", signature);
                }
                inner.end();
                outer.end();
            }
            // What cannot be carried was refused, so this is said to be there and no more.
            _ => object.text("text", "(left out)"),
        }
        object.end();
    }

    /// A call's id as the model takes it.
    fn id(&self, id: &Str) -> Str {
        match self.family {
            Family::Mistral => mistral_id(id),
            _ => CONVERSE_IDS.fit_id(id),
        }
    }

    fn medium(&self, medium: Medium, source: &Source, part: &Part, object: &mut Object<'_>) {
        let mut outer = Object::begin(object.member(medium.word()));
        match source {
            Source::Base64 { media_type, data } => {
                let kind = document::true_type(media_type, data);
                // The caller's own word where this dialect's caller has one that is not listed.
                let own = kind.split_once('/').map_or(kind, |(_, word)| word);
                outer.text("format", medium.format(kind).unwrap_or(own));
                let mut inner = Object::begin(outer.member("source"));
                inner.text("bytes", data);
                inner.end();
            }
            Source::Url(uri) | Source::File(uri) => {
                write_s3(medium.format_of_name(uri), uri, part, &mut outer);
            }
            _ => {}
        }
        extras(part, &mut outer);
        outer.end();
    }

    fn document(&self, part: &Part, object: &mut Object<'_>) {
        let Content::Document { source, title, context, citations } = &part.content else { return };
        let mut outer = Object::begin(object.member("document"));
        if let Some(title) = title {
            outer.text("name", title);
        }
        match document::source(source, self.scene) {
            Ok(Written::Bytes { format, data }) => {
                outer.text("format", format);
                let mut inner = Object::begin(outer.member("source"));
                inner.text("bytes", data);
                inner.end();
            }
            Ok(Written::Text { format, text }) => {
                outer.text("format", format);
                let mut inner = Object::begin(outer.member("source"));
                inner.text("text", text);
                inner.end();
            }
            Ok(Written::Parts(parts)) => {
                let mut inner = Object::begin(outer.member("source"));
                inner.raw("content", parts.get());
                inner.end();
            }
            Ok(Written::S3 { format, uri }) => write_s3(format, uri, part, &mut outer),
            Err(_) => {
                let mut inner = Object::begin(outer.member("source"));
                inner.text("text", "(left out)");
                inner.end();
            }
        }
        if let Some(context) = context {
            outer.text("context", context);
        }
        if let Some(enabled) = citations {
            let mut inner = Object::begin(outer.member("citations"));
            inner.flag("enabled", *enabled);
            inner.end();
        }
        extras(part, &mut outer);
        outer.end();
    }
}

/// Writes an address in S3. Its caller's own word for the format comes with the rest.
fn write_s3(guess: &str, uri: &str, part: &Part, object: &mut Object<'_>) {
    let own = part.extras.dialect == Some(CONVERSE);
    if !own || part.extras.get("format").is_none() {
        object.text("format", guess);
    }
    let mut source = Object::begin(object.member("source"));
    let mut location = Object::begin(source.member("s3Location"));
    location.text("uri", uri);
    if let Some(owner) = part.extras.get(OWNER).filter(|_| own) {
        location.raw(OWNER, owner.get());
    }
    location.end();
    source.end();
}

/// Writes a value that a tool answered as JSON, unless a layer made it something else.
fn write_json(text: &str, object: &mut Object<'_>) {
    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(raw) => object.raw("json", raw.get()),
        Err(_) => object.text("text", text),
    }
}

/// What else its own caller said of a part.
fn extras(part: &Part, object: &mut Object<'_>) {
    if part.extras.dialect == Some(CONVERSE) {
        for (name, value) in part.extras.members.iter().filter(|(name, _)| name != OWNER) {
            object.raw_named(name, value.get());
        }
    }
}
