//! The item that is open while a stream is written.

use std::borrow::Cow;

use ziggurat_core::{Ask, RawJson, Str, ToolCallKind};

use super::encode::{Wire, end};
use crate::openai_api::citation;
use crate::origin;
use crate::responses::items::{self, Call, Thought};
use crate::responses::wire;

/// The item that is open.
#[derive(Debug)]
pub(super) enum Open {
    Message(Message),
    Reasoning(Reasoning),
    Call(ToolCall),
    /// Complete when it comes.
    Opaque(RawJson),
}

/// A message, of parts that come one after the other.
#[derive(Debug)]
pub(super) struct Message {
    id: Str,
    /// The parts that have ended, as a list without brackets.
    content: Vec<u8>,
    /// The place of the part that is open, or of the next one.
    index: u32,
    part: Option<Piece>,
}

/// A part of a message that is open.
#[derive(Debug)]
struct Piece {
    said: Said,
    text: String,
    /// Annotations, as a list without brackets, and their number.
    annotations: Vec<u8>,
    cited: u32,
    /// Probabilities, as lists without brackets: all of them, and those of the next text.
    logprobs: Vec<u8>,
    next_logprobs: Vec<u8>,
}

/// What is said in a part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Text,
    Refusal,
}

#[derive(Debug)]
pub(super) struct Reasoning {
    id: Str,
    text: String,
    /// Whether a summary has begun, and whether it has ended.
    begun: bool,
    ended: bool,
    redacted: bool,
    encrypted: Option<Str>,
}

#[derive(Debug)]
pub(super) struct ToolCall {
    item_id: Str,
    id: Str,
    name: Str,
    kind: ToolCallKind,
    arguments: String,
    signature: Option<Str>,
    ended: bool,
}

impl Open {
    pub(super) fn message(ask: &Ask, wire: &Wire) -> Self {
        let id = wire::item_id("msg", ask, wire.output_index);
        Self::Message(Message { id, content: Vec::new(), index: 0, part: None })
    }

    pub(super) fn reasoning(ask: &Ask, wire: &Wire) -> Self {
        Self::Reasoning(Reasoning {
            id: wire::item_id("rs", ask, wire.output_index),
            text: String::new(),
            begun: false,
            ended: false,
            redacted: false,
            encrypted: None,
        })
    }

    pub(super) fn call(ask: &Ask, wire: &Wire, id: &Str, name: &Str, kind: ToolCallKind) -> Self {
        let (_, prefix, _) = items::words(kind);
        Self::Call(ToolCall {
            item_id: wire::item_id(prefix, ask, wire.output_index),
            id: id.clone(),
            name: name.clone(),
            kind,
            arguments: String::new(),
            signature: None,
            ended: false,
        })
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self, Self::Message(_))
    }

    /// A part of the message begins.
    pub(super) fn begin_part(&mut self, said: Said, wire: &mut Wire, out: &mut Vec<u8>) {
        self.end_part(wire, out);
        let Self::Message(message) = self else { return };
        let piece = Piece {
            said,
            text: String::new(),
            annotations: Vec::new(),
            cited: 0,
            logprobs: Vec::new(),
            next_logprobs: Vec::new(),
        };
        let mut event = wire.about("response.content_part.added", &message.id, out);
        event.number("content_index", message.index);
        piece.write(event.member("part"));
        end(event);
        message.part = Some(piece);
    }

    /// More of what is open.
    pub(super) fn piece(&mut self, text: &str, wire: &mut Wire, out: &mut Vec<u8>) {
        match self {
            Self::Message(message) => message.piece(text, wire, out),
            Self::Reasoning(reasoning) => reasoning.piece(text, wire, out),
            Self::Call(call) => call.piece(text, wire, out),
            Self::Opaque(_) => {}
        }
    }

    pub(super) fn cite(&mut self, cited: &RawJson, wire: &mut Wire, out: &mut Vec<u8>) -> bool {
        let Self::Message(message) = self else { return false };
        let Some(piece) = message.part.as_mut().filter(|piece| piece.said == Said::Text) else {
            return false;
        };
        let Some(annotation) = citation::flat(cited, (0, piece.text.chars().count())) else {
            return false;
        };
        let mut event = wire.about("response.output_text.annotation.added", &message.id, out);
        event.number("content_index", message.index);
        event.number("annotation_index", piece.cited);
        event.raw("annotation", annotation.get());
        end(event);
        piece.cited += 1;
        append(&mut piece.annotations, annotation.get());
        true
    }

    /// Probabilities of the text that comes next.
    pub(super) fn log(&mut self, list: &str) {
        if let Self::Message(Message { part: Some(piece), .. }) = self
            && piece.said == Said::Text
        {
            append(&mut piece.logprobs, list);
            append(&mut piece.next_logprobs, list);
        }
    }

    /// What proves that the provider's model made it.
    pub(super) fn sign(&mut self, signature: &Str) {
        match self {
            Self::Reasoning(reasoning) => reasoning.encrypted = Some(signature.clone()),
            Self::Call(call) => call.signature = Some(signature.clone()),
            _ => {}
        }
    }

    /// Reasoning that only the provider can read.
    pub(super) fn redact(&mut self, data: &Str) {
        if let Self::Reasoning(reasoning) = self {
            reasoning.redacted = true;
            reasoning.encrypted = Some(data.clone());
        }
    }

    /// The part that is open ends; the item does not.
    pub(super) fn end_part(&mut self, wire: &mut Wire, out: &mut Vec<u8>) {
        match self {
            Self::Message(message) => message.end_part(wire, out),
            Self::Reasoning(reasoning) => reasoning.end(wire, out),
            Self::Call(call) => call.end(wire, out),
            Self::Opaque(_) => {}
        }
    }

    /// Marks what only its model can read with the name of that.
    pub(super) fn seal(&mut self, model: &str, origin: Option<&str>, own: bool) {
        let marked = |made: &Str| Str::from(origin::mark(origin, made).into_owned());
        if let Self::Call(call) = self {
            call.signature = call.signature.as_ref().map(marked);
        }
        if let Self::Reasoning(reasoning) = self {
            reasoning.encrypted = match &reasoning.encrypted {
                Some(made) => Some(marked(made)),
                // Its own provider knows it by its name.
                None if own => None,
                None => Some(Str::from(origin::unsigned(model))),
            };
        }
    }

    /// Writes the item as it is by now.
    pub(super) fn write(&self, out: &mut Vec<u8>, status: &str) {
        match self {
            Self::Message(message) => {
                let content = message.content();
                items::write_message(out, &message.id, status, &content);
            }
            Self::Reasoning(reasoning) => {
                let signed = reasoning.ended && reasoning.encrypted.is_some();
                let shown = reasoning.begun || (signed && !reasoning.redacted);
                let done = status != "in_progress";
                Thought {
                    id: &reasoning.id,
                    text: (shown && done).then_some(&reasoning.text),
                    summary: None,
                    encrypted: reasoning.encrypted.as_deref().filter(|_| done),
                }
                .write(out);
            }
            Self::Call(call) => Call {
                item_id: &call.item_id,
                id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
                kind: call.kind,
                signature: call.signature.as_deref(),
                status,
            }
            .write(out),
            Self::Opaque(value) => out.extend_from_slice(value.get().as_bytes()),
        }
    }
}

fn append(list: &mut Vec<u8>, item: &str) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(item.as_bytes());
}

impl Message {
    fn piece(&mut self, text: &str, wire: &mut Wire, out: &mut Vec<u8>) {
        let Some(piece) = &mut self.part else { return };
        piece.text.push_str(text);
        let name = match piece.said {
            Said::Text => "response.output_text.delta",
            Said::Refusal => "response.refusal.delta",
        };
        let mut event = wire.about(name, &self.id, out);
        event.number("content_index", self.index);
        event.text("delta", text);
        if piece.said == Said::Text {
            let list = event.member("logprobs");
            list.push(b'[');
            list.append(&mut piece.next_logprobs);
            list.push(b']');
        }
        end(event);
    }

    fn end_part(&mut self, wire: &mut Wire, out: &mut Vec<u8>) {
        let Some(piece) = self.part.take() else { return };
        let (name, field) = match piece.said {
            Said::Text => ("response.output_text.done", "text"),
            Said::Refusal => ("response.refusal.done", "refusal"),
        };
        let mut event = wire.about(name, &self.id, out);
        event.number("content_index", self.index);
        event.text(field, &piece.text);
        if piece.said == Said::Text {
            let list = event.member("logprobs");
            list.push(b'[');
            list.extend_from_slice(&piece.logprobs);
            list.push(b']');
        }
        end(event);
        let mut event = wire.about("response.content_part.done", &self.id, out);
        event.number("content_index", self.index);
        piece.write(event.member("part"));
        end(event);
        if !self.content.is_empty() {
            self.content.push(b',');
        }
        piece.write(&mut self.content);
        self.index += 1;
    }

    /// All parts, the one that is open included.
    fn content(&self) -> Cow<'_, [u8]> {
        let Some(piece) = &self.part else { return Cow::Borrowed(&self.content) };
        let mut content = self.content.clone();
        if !content.is_empty() {
            content.push(b',');
        }
        piece.write(&mut content);
        Cow::Owned(content)
    }
}

impl Piece {
    fn write(&self, out: &mut Vec<u8>) {
        match self.said {
            Said::Text => items::write_text(out, &self.text, &self.annotations, &self.logprobs),
            Said::Refusal => items::write_refusal(out, &self.text),
        }
    }
}

impl Reasoning {
    fn piece(&mut self, text: &str, wire: &mut Wire, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            let mut event = wire.about("response.reasoning_summary_part.added", &self.id, out);
            event.number("summary_index", 0);
            items::summary_text(event.member("part"), "");
            end(event);
        }
        self.text.push_str(text);
        let mut event = wire.about("response.reasoning_summary_text.delta", &self.id, out);
        event.number("summary_index", 0);
        event.text("delta", text);
        end(event);
    }

    fn end(&mut self, wire: &mut Wire, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) || !self.begun {
            return;
        }
        let mut event = wire.about("response.reasoning_summary_text.done", &self.id, out);
        event.number("summary_index", 0);
        event.text("text", &self.text);
        end(event);
        let mut event = wire.about("response.reasoning_summary_part.done", &self.id, out);
        event.number("summary_index", 0);
        items::summary_text(event.member("part"), &self.text);
        end(event);
    }
}

impl ToolCall {
    fn piece(&mut self, text: &str, wire: &mut Wire, out: &mut Vec<u8>) {
        self.arguments.push_str(text);
        let name = match self.kind {
            ToolCallKind::Custom => "response.custom_tool_call_input.delta",
            _ => "response.function_call_arguments.delta",
        };
        let mut event = wire.about(name, &self.item_id, out);
        event.text("delta", text);
        end(event);
    }

    fn end(&mut self, wire: &mut Wire, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.arguments.is_empty() && self.kind == ToolCallKind::Function {
            // Clients parse the arguments: a call without any has an empty object.
            self.piece("{}", wire, out);
        }
        let name = match self.kind {
            ToolCallKind::Custom => "response.custom_tool_call_input.done",
            _ => "response.function_call_arguments.done",
        };
        let (_, _, field) = items::words(self.kind);
        let mut event = wire.about(name, &self.item_id, out);
        event.text(field, &self.arguments);
        end(event);
    }
}
