//! What is said, checked against what this dialect can carry, and written.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ziggurat_core::{
    Chat, Content, Error, Extras, Loss, LossAction, Losses, Message, Part, Role, Severity, Source,
    Str, ToolCallKind,
};

use super::{ANTHROPIC, write};
use crate::anthropic::block::write_input;
use crate::anthropic::citation;
use crate::fields::{Field, Place};
use crate::json::{Array, Object, Text};
use crate::media;
use crate::plan::{Budget, Scene, Tools, is_trace};
use crate::tools::ANTHROPIC_IDS;

/// Pictures that are taken.
const PICTURES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

// === what cannot be carried ===

/// Reports or refuses what this dialect cannot carry, by the places where the caller wrote it.
pub(super) fn check(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
    for (index, part) in chat.system.iter().enumerate() {
        let path = || match scene.names {
            crate::Names::OpenAi => Cow::from("messages"),
            names => names.item(names.name(Field::System), index),
        };
        check_prompt(part, &path, scene, losses)?;
    }
    for message in &chat.messages {
        if message.name.is_some() {
            let path = scene.names.member(&scene.names.message(message), "name");
            losses.drop(Severity::Harmless, path, "speakers have no names there")?;
        }
        check_extras(&message.extras, scene, losses, || scene.names.message(message))?;
        for (index, part) in message.parts.iter().enumerate() {
            let path = || scene.names.part(message, index);
            match message.role {
                Role::System | Role::Developer => check_prompt(part, &path, scene, losses)?,
                // It is taken out before anything is written.
                Role::Assistant if is_trace(part, scene) => {}
                _ => check_part(part, &path, scene, losses)?,
            }
        }
    }
    Ok(())
}

fn check_prompt(
    part: &Part,
    path: Place<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    if !part.is_text() {
        losses.drop(Severity::Grave, path(), "a system prompt is text only")?;
    }
    check_extras(&part.extras, scene, losses, path)
}

fn check_extras(
    extras: &Extras,
    scene: &Scene<'_>,
    losses: &mut Losses,
    path: impl FnOnce() -> Cow<'static, str>,
) -> Result<(), Error> {
    if extras.is_empty() || extras.dialect == Some(ANTHROPIC) {
        return Ok(());
    }
    let path = path();
    for (name, _) in &extras.members {
        let path = scene.names.member(&path, name);
        losses.drop(Severity::Harmless, path, "the target has no such field")?;
    }
    Ok(())
}

fn check_part(
    part: &Part,
    path: Place<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    match &part.content {
        Content::Text { citations, .. } => {
            if citations.iter().any(|raw| !citation::is_own(raw)) {
                let reason = "citations of another provider are left out";
                losses.note(Loss::new(path(), reason, LossAction::Dropped));
            }
        }
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                let path = scene.names.member(&path(), "detail");
                losses.drop(Severity::Harmless, path, "the target has no such field")?;
            }
            if let Some(reason) = picture_trouble(source, scene) {
                losses.drop(Severity::Grave, path(), reason)?;
            }
        }
        Content::Document { source, .. } => match document(source, scene) {
            Ok(Written::Changed(_)) => {
                losses.emulate(path(), "the document is sent as plain text");
            }
            Ok(_) => {}
            Err(reason) => losses.drop(Severity::Grave, path(), reason)?,
        },
        Content::Audio { .. } => {
            losses.drop(Severity::Grave, path(), "the target does not hear")?;
        }
        Content::Video { .. } => {
            losses.drop(Severity::Grave, path(), "the target does not watch")?;
        }
        Content::ToolResult { parts, .. } => {
            let inner = || scene.names.member(&path(), "content");
            for part in parts {
                check_part(part, &inner, scene, losses)?;
            }
        }
        Content::Refusal { .. } => losses.emulate(path(), "a refusal is sent as text"),
        Content::Opaque { kind, .. } => {
            if part.extras.dialect != Some(ANTHROPIC) {
                let reason = format!("`{kind}` is understood by its own provider only");
                losses.drop(Severity::Grave, path(), reason)?;
            }
        }
        // Reasoning of other providers is taken out, and all that it holds.
        Content::Reasoning { .. } => return Ok(()),
        Content::ToolCall { .. } => {}
        _ => losses.drop(Severity::Grave, path(), "the target has no such content")?,
    }
    check_extras(&part.extras, scene, losses, path)
}

fn picture_trouble(source: &Source, scene: &Scene<'_>) -> Option<String> {
    match source {
        Source::Url(url) => data_url(url),
        Source::Base64 { media_type, data } => {
            let kind = picture_type(media_type, data);
            (!PICTURES.contains(&&*kind))
                .then(|| format!("pictures must be JPEG, PNG, GIF or WebP, not `{kind}`"))
        }
        Source::File(_) => foreign_file(scene),
        _ => Some("a picture is no text".to_owned()),
    }
}

/// A data URL that could not be read as base64 is no address.
fn data_url(url: &str) -> Option<String> {
    let is_data = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    is_data.then(|| "the data URL is not base64".to_owned())
}

fn foreign_file(scene: &Scene<'_>) -> Option<String> {
    let foreign = scene.target.source.is_some() && !scene.is_own();
    foreign.then(|| "a file of another provider cannot be read there".to_owned())
}

/// The type of a picture: what its first bytes say, as a wrong label is refused, else what the caller says.
fn picture_type<'a>(said: &'a str, data: &str) -> Cow<'a, str> {
    match (media::sniff(data), said) {
        (Some(kind), _) => Cow::Borrowed(kind),
        (None, "image/jpg") => Cow::Borrowed("image/jpeg"),
        (None, said) => Cow::Borrowed(said),
    }
}

/// How a document is written.
enum Written<'a> {
    Base64(&'a str),
    Text(&'a str),
    /// Text that was no plain text, or was packed as base64.
    Changed(String),
    Url(&'a str),
    File(&'a str),
    Parts(&'a str),
}

fn document<'a>(source: &'a Source, scene: &Scene<'_>) -> Result<Written<'a>, String> {
    match source {
        Source::Url(url) => match data_url(url) {
            None => Ok(Written::Url(url)),
            Some(reason) => Err(reason),
        },
        Source::Text { media_type, text } if media_type == "text/plain" => Ok(Written::Text(text)),
        Source::Text { text, .. } => Ok(Written::Changed(text.to_string())),
        Source::File(id) => match foreign_file(scene) {
            None => Ok(Written::File(id)),
            Some(reason) => Err(reason),
        },
        Source::Parts(parts) => Ok(Written::Parts(parts.get())),
        Source::Base64 { media_type, data } => {
            let kind = media::sniff(data).unwrap_or(media_type);
            if kind == "application/pdf" {
                return Ok(Written::Base64(data));
            }
            let is_text = kind.starts_with("text/")
                || matches!(kind, "application/json" | "application/xml" | "application/yaml");
            let text = is_text.then(|| STANDARD.decode(data.as_bytes()).ok()).flatten();
            match text.and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(text) => Ok(Written::Changed(text)),
                None => Err(format!("documents must be PDF or text, not `{kind}`")),
            }
        }
        _ => Err("the target has no such document".to_owned()),
    }
}

// === writing ===

/// Writes messages, which are in the order that this dialect insists on.
pub(super) fn write_messages(
    messages: &[Message],
    scene: &Scene<'_>,
    tools: &mut Tools<'_>,
    marks: &mut Budget,
    out: &mut Vec<u8>,
) {
    let mut array = Array::begin(out);
    for message in messages {
        let mut object = array.object();
        object.text(
            "role",
            match message.role {
                Role::Assistant => "assistant",
                Role::System | Role::Developer => "system",
                _ => "user",
            },
        );
        let mut writer = Writer { scene, tools: &mut *tools, marks: &mut *marks };
        writer.content(&message.parts, object.member("content"));
        if message.extras.dialect == Some(ANTHROPIC) {
            object.extras(&message.extras);
        }
        object.end();
    }
    array.end();
}

/// Writes the system prompt: one plain text as a string, else blocks.
pub(super) fn write_system(
    parts: &[Part],
    scene: &Scene<'_>,
    tools: &mut Tools<'_>,
    marks: &mut Budget,
    out: &mut Vec<u8>,
) {
    Writer { scene, tools, marks }.content(parts, out);
}

struct Writer<'w, 'a> {
    scene: &'w Scene<'w>,
    tools: &'w mut Tools<'a>,
    marks: &'w mut Budget,
}

impl Writer<'_, '_> {
    fn content(&mut self, parts: &[Part], out: &mut Vec<u8>) {
        if let [part] = parts
            && let Some(text) = plain_text(part)
        {
            text.write(out);
            return;
        }
        let mut array = Array::begin(out);
        for part in parts {
            self.part(part, &mut array);
        }
        array.end();
    }

    fn part(&mut self, part: &Part, array: &mut Array<'_>) {
        if let Content::Opaque { value, .. } = &part.content {
            array.item().extend_from_slice(value.get().as_bytes());
            return;
        }
        let mut object = array.object();
        match &part.content {
            Content::Text { text, citations } => {
                object.text("type", "text");
                object.text("text", text);
                citation::write(citations, &mut object);
            }
            Content::Refusal { text } => {
                object.text("type", "text");
                object.text("text", text);
            }
            Content::Image { source, .. } => {
                object.text("type", "image");
                self.picture(source, Object::begin(object.member("source")));
            }
            Content::Document { source, title, context, citations } => {
                object.text("type", "document");
                self.document(source, Object::begin(object.member("source")));
                if let Some(title) = title {
                    object.text("title", title);
                }
                if let Some(context) = context {
                    object.text("context", context);
                }
                if let Some(enabled) = citations {
                    let mut citations = Object::begin(object.member("citations"));
                    citations.flag("enabled", *enabled);
                    citations.end();
                }
            }
            Content::ToolCall { id, name, arguments, kind, .. } => {
                object.text("type", "tool_use");
                object.text("id", &ANTHROPIC_IDS.fit_id(id));
                let name = self.tools.name(name);
                object.text("name", &name);
                let free = *kind == ToolCallKind::Custom || self.tools.is_custom(&name);
                write_input(arguments, free, object.member("input"));
            }
            Content::ToolResult { call_id, parts, is_error, .. } => {
                object.text("type", "tool_result");
                object.text("tool_use_id", &ANTHROPIC_IDS.fit_id(call_id));
                if !parts.is_empty() {
                    self.content(parts, object.member("content"));
                }
                if *is_error {
                    object.flag("is_error", true);
                }
            }
            Content::Reasoning { redacted: Some(data), .. } => {
                object.text("type", "redacted_thinking");
                object.text("data", data);
            }
            Content::Reasoning { text, signature, .. } => {
                object.text("type", "thinking");
                object.text("thinking", text);
                if let Some(signature) = signature {
                    object.text("signature", signature);
                }
            }
            // What cannot be carried was refused, so this is said to be there and no more.
            _ => {
                object.text("type", "text");
                object.text("text", "(left out)");
            }
        }
        if !matches!(part.content, Content::Reasoning { .. }) {
            write::mark(self.marks.take(part.cache), &mut object);
        }
        if part.extras.dialect == Some(ANTHROPIC) {
            object.extras(&part.extras);
        }
        object.end();
    }

    fn picture(&self, source: &Source, mut object: Object<'_>) {
        match source {
            Source::Base64 { media_type, data } => {
                object.text("type", "base64");
                object.text("media_type", &picture_type(media_type, data));
                object.text("data", data);
            }
            Source::File(id) => {
                object.text("type", "file");
                object.text("file_id", id);
            }
            Source::Url(url) => {
                object.text("type", "url");
                object.text("url", url);
            }
            _ => {}
        }
        object.end();
    }

    fn document(&self, source: &Source, mut object: Object<'_>) {
        let (kind, media_type, name, value): (_, _, _, Cow<'_, str>) =
            match document(source, self.scene) {
                Ok(Written::Base64(data)) => {
                    ("base64", Some("application/pdf"), "data", data.into())
                }
                Ok(Written::Text(text)) => ("text", Some("text/plain"), "data", text.into()),
                Ok(Written::Changed(text)) => ("text", Some("text/plain"), "data", text.into()),
                Ok(Written::Url(url)) => ("url", None, "url", url.into()),
                Ok(Written::File(id)) => ("file", None, "file_id", id.into()),
                Ok(Written::Parts(parts)) => {
                    object.text("type", "content");
                    object.raw("content", parts);
                    object.end();
                    return;
                }
                Err(_) => ("text", Some("text/plain"), "data", "(left out)".into()),
            };
        object.text("type", kind);
        if let Some(media_type) = media_type {
            object.text("media_type", media_type);
        }
        object.text(name, &value);
        object.end();
    }
}

/// The text of a part that is nothing else.
fn plain_text(part: &Part) -> Option<&Str> {
    match &part.content {
        Content::Text { text, citations }
            if citations.is_empty() && part.cache.is_none() && part.extras.is_empty() =>
        {
            Some(text)
        }
        _ => None,
    }
}
