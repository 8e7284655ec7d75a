//! The conversation, written.

use ziggurat_core::{Content, Message, Part, Role, Source, ToolCallKind};

use super::tools::Tools;
use crate::gemini::{blob, part, signature};
use crate::json::{Array, Object};
use crate::plan::Scene;
use crate::tools::write_input;

/// Writes the conversation, which is in the order that this dialect insists on.
pub(super) fn write(
    messages: &[Message],
    scene: &Scene<'_>,
    tools: &mut Tools<'_>,
    out: &mut Vec<u8>,
) {
    let mut array = Array::begin(out);
    let mut writer = Writer { scene, tools };
    for message in messages {
        if message.role == Role::Assistant {
            writer.content("model", message, message.parts.iter().collect(), &mut array);
            continue;
        }
        let is_result = |part: &&Part| matches!(part.content, Content::ToolResult { .. });
        let (results, others): (Vec<_>, Vec<_>) = message.parts.iter().partition(is_result);
        // The results of a turn stand alone: there must be as many as there were calls.
        let apart = !results.is_empty() && !others.is_empty() && !scene.is_own();
        let first = if apart { results.clone() } else { message.parts.iter().collect() };
        writer.content("user", message, first, &mut array);
        if !scene.target.capabilities.signed_calls && !scene.is_own() {
            writer.shown(&results, &mut array);
        }
        if apart {
            writer.content("user", message, others, &mut array);
        }
    }
    array.end();
}

/// Writes the system prompt.
pub(super) fn write_system(
    parts: &[Part],
    scene: &Scene<'_>,
    tools: &mut Tools<'_>,
    out: &mut Vec<u8>,
) {
    let mut object = Object::begin(out);
    let mut list = Array::begin(object.member("parts"));
    let mut writer = Writer { scene, tools };
    for part in parts {
        writer.part(part, &mut false, &mut list);
    }
    list.end();
    object.end();
}

struct Writer<'w, 'a> {
    scene: &'w Scene<'w>,
    tools: &'w mut Tools<'a>,
}

impl Writer<'_, '_> {
    fn content(&mut self, role: &str, message: &Message, parts: Vec<&Part>, array: &mut Array<'_>) {
        let mut object = array.object();
        object.text("role", role);
        let mut list = Array::begin(object.member("parts"));
        let signs = self.scene.target.capabilities.signed_calls && !self.scene.is_own();
        // The first call of a step must be signed.
        let mut unsigned = signs;
        for part in parts {
            self.part(part, &mut unsigned, &mut list);
        }
        list.end();
        part::write_extras(&message.extras, &mut object);
        object.end();
    }

    /// Pictures and files that tools show, by the user, where an answer of a tool is text only.
    fn shown(&mut self, results: &[&Part], array: &mut Array<'_>) {
        let media: Vec<&Part> = results
            .iter()
            .filter_map(|part| match &part.content {
                Content::ToolResult { parts, .. } => Some(parts),
                _ => None,
            })
            .flatten()
            .filter(|part| is_shown(part))
            .collect();
        if media.is_empty() {
            return;
        }
        let mut object = array.object();
        object.text("role", "user");
        let mut list = Array::begin(object.member("parts"));
        for (index, part) in media.into_iter().enumerate() {
            let mut label = list.object();
            label.text("text", &format!("[file {}]", index + 1));
            label.end();
            self.part(part, &mut false, &mut list);
        }
        list.end();
        object.end();
    }

    fn part(&mut self, part: &Part, unsigned: &mut bool, list: &mut Array<'_>) {
        let own = self.scene.is_own();
        match &part.content {
            Content::Opaque { value, .. } => {
                list.item().extend_from_slice(value.get().as_bytes());
                return;
            }
            Content::Reasoning { text, signature, .. } => {
                part::write_thought(text, signature.as_deref(), list.object());
                return;
            }
            _ => {}
        }
        let mut object = list.object();
        match &part.content {
            Content::Text { text, .. } | Content::Refusal { text } => object.text("text", text),
            Content::Document { source: Source::Text { text, .. }, title, .. } => match title {
                Some(title) => object.text("text", &format!("{title}\n{text}")),
                None => object.text("text", text),
            },
            Content::ToolCall { id, name, arguments, kind, signature } => {
                let name = self.tools.name(name);
                let mut inner = Object::begin(object.member("functionCall"));
                if self.scene.target.capabilities.signed_calls {
                    inner.text("id", id);
                }
                inner.text("name", &name);
                let free = *kind == ToolCallKind::Custom || self.tools.custom.contains(&name);
                write_input(arguments, free, inner.member("args"));
                part::write_inner(&part.extras, "functionCall", &mut inner);
                inner.end();
                let first = std::mem::take(unsigned).then_some(signature::SKIP);
                if let Some(signature) = signature.as_deref().or(first) {
                    object.text("thoughtSignature", signature);
                }
            }
            Content::ToolResult { call_id, name, parts, is_error } => {
                let mut inner = Object::begin(object.member("functionResponse"));
                if self.scene.target.capabilities.signed_calls {
                    inner.text("id", call_id);
                }
                let name = name.as_ref().map(|name| self.tools.name(name));
                inner.text("name", name.as_deref().unwrap_or("unknown"));
                self.response(parts, *is_error, &mut inner);
                part::write_inner(&part.extras, "functionResponse", &mut inner);
                inner.end();
            }
            content => {
                if !blob::write(content, &part.extras, own, &mut object) {
                    // What cannot be carried was refused, so this is said to be there and no more.
                    object.text("text", "(left out)");
                }
            }
        }
        let extras = part.extras.members.iter().filter(|(name, _)| !blob::is_written(name));
        if part.extras.dialect == Some(crate::gemini::GEMINI) && extras.count() > 0 {
            part::write_extras(&part.extras, &mut object);
        }
        object.end();
    }

    /// What a tool answered: a text in an object, or the object that it is; beside it what it shows, where that can be.
    fn response(&mut self, parts: &[Part], is_error: bool, object: &mut Object<'_>) {
        let with_parts = self.scene.target.capabilities.signed_calls || self.scene.is_own();
        let mut shown = Vec::new();
        let mut texts = Vec::new();
        for part in parts {
            match &part.content {
                Content::Text { text, .. } => texts.push(text.to_string()),
                Content::Document { source: Source::Text { text, .. }, .. } => {
                    texts.push(text.to_string());
                }
                _ if is_shown(part) && with_parts => shown.push(part),
                _ if is_shown(part) => texts.push("[file below]".to_owned()),
                _ => texts.push("(left out)".to_owned()),
            }
        }
        part::write_response(&texts.join("\n"), is_error, object.member("response"));
        if !shown.is_empty() {
            let mut list = Array::begin(object.member("parts"));
            for part in shown {
                self.part(part, &mut false, &mut list);
            }
            list.end();
        }
    }
}

fn is_shown(part: &Part) -> bool {
    let text = matches!(part.content, Content::Document { source: Source::Text { .. }, .. });
    blob::source(&part.content).is_some() && !text
}
