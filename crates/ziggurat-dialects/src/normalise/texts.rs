//! Empty texts and white space.

use ziggurat_core::{Content, Message, Part, Role};

/// Drops empty texts, and the messages that this empties. With `blank`, text of nothing but white space counts as empty.
///
/// A tool result without content stays: its call would be without a result.
pub fn drop_empty(system: &mut Vec<Part>, messages: &mut Vec<Message>, blank: bool) {
    clean(system, blank);
    messages.retain_mut(|message| {
        clean(&mut message.parts, blank);
        !message.parts.is_empty()
    });
}

/// Trims the end of a final assistant text: a model does not continue from a space.
pub fn trim_last(messages: &mut [Message]) {
    let Some(last) = messages.last_mut().filter(|message| message.role == Role::Assistant) else {
        return;
    };
    if let Some(Part { content: Content::Text { text, .. }, .. }) = last.parts.last_mut() {
        *text = text.trimmed_end();
    }
}

fn clean(parts: &mut Vec<Part>, blank: bool) {
    parts.retain_mut(|part| match &mut part.content {
        Content::Text { text, .. } if blank => !text.is_blank(),
        Content::Text { text, .. } => !text.is_empty(),
        Content::ToolResult { parts, .. } => {
            clean(parts, blank);
            true
        }
        _ => true,
    });
}
