//! How many tokens a conversation has, where nobody can be asked: four bytes of text a token.
//!
//! That is what tokenizers make of English text; of code, and of scripts whose letters take several bytes, they make more
//! tokens or fewer. Whoever shows such a number says that it is an estimate.

use super::{Chat, Content, Part, Source, Tool, ToolKind};

/// Bytes of text that make a token.
const BYTES: u64 = 4;
/// What stands around each message: its role, and where it ends.
const MESSAGE: u64 = 4;
/// A picture, whatever its size: the vendors count from a hundred to a few thousand.
const IMAGE: u64 = 1000;
/// A document, a recording: what three pages take.
const DOCUMENT: u64 = 1500;

impl Chat {
    /// About how many input tokens the conversation has: four bytes of text are one, a picture a thousand.
    ///
    /// ```
    /// use ziggurat_core::{Chat, Message, Role};
    ///
    /// let mut chat = Chat::new();
    /// chat.messages.push(Message::text(Role::User, "twelve bytes"));
    /// assert_eq!(chat.estimated_input_tokens(), 3 + 4);
    /// ```
    #[must_use]
    pub fn estimated_input_tokens(&self) -> u64 {
        let mut sum = Sum::default();
        sum.parts(&self.system);
        for message in &self.messages {
            sum.flat += MESSAGE;
            sum.parts(&message.parts);
        }
        for tool in &self.tools {
            sum.tool(tool);
        }
        sum.tokens()
    }
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    flat: u64,
}

impl Sum {
    fn tokens(&self) -> u64 {
        self.bytes.div_ceil(BYTES) + self.flat
    }

    fn text(&mut self, text: &str) {
        self.bytes += text.len() as u64;
    }

    fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            self.content(&part.content);
        }
    }

    fn content(&mut self, content: &Content) {
        match content {
            Content::Text { text, .. }
            | Content::Refusal { text }
            | Content::Reasoning { text, .. } => self.text(text),
            Content::ToolCall { name, arguments, .. } => {
                self.text(name);
                self.text(arguments);
            }
            Content::ToolResult { parts, .. } => self.parts(parts),
            Content::Document { source: Source::Text { text, .. }, .. } => self.text(text),
            Content::Image { .. } => self.flat += IMAGE,
            Content::Audio { .. } | Content::Video { .. } | Content::Document { .. } => {
                self.flat += DOCUMENT;
            }
            Content::Opaque { value, .. } => self.text(value.get()),
        }
    }

    fn tool(&mut self, tool: &Tool) {
        self.text(&tool.name);
        self.text(tool.description.as_deref().unwrap_or_default());
        match &tool.kind {
            ToolKind::Function { parameters: Some(json) }
            | ToolKind::Custom { format: Some(json) }
            | ToolKind::Server { value: json, .. } => self.text(json.get()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, RawJson, Role, Str};

    #[test]
    fn all_that_a_model_reads_counts() {
        let mut chat = Chat::new();
        assert_eq!(chat.estimated_input_tokens(), 0);
        chat.messages.push(Message::text(Role::User, "12345678"));
        assert_eq!(chat.estimated_input_tokens(), 2 + MESSAGE);
        chat.system.push(Part::text("1234"));
        assert_eq!(chat.estimated_input_tokens(), 3 + MESSAGE);
        let schema = RawJson::parse(Str::from(r#"{"type":"object"}"#)).unwrap();
        chat.tools.push(Tool::function("tool", Some(schema)));
        assert_eq!(chat.estimated_input_tokens(), (12 + 4 + 17_u64).div_ceil(4) + MESSAGE);
    }

    #[test]
    fn a_picture_does_not_count_by_its_bytes() {
        let mut chat = Chat::new();
        let data = Str::from("x".repeat(1 << 20));
        let source = Source::Base64 { media_type: "image/png".into(), data };
        let picture = Part::new(Content::Image { source, detail: None });
        chat.messages.push(Message::new(Role::User, vec![picture]));
        assert_eq!(chat.estimated_input_tokens(), IMAGE + MESSAGE);
    }
}
