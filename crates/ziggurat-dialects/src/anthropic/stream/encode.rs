//! Writes a stream.
//!
//! This dialect does not interleave: one block is open at a time, and closed for good. Parts that begin while another is open
//! wait, and are written as whole blocks when it has ended. The last two events are held back until the stream's own end, as
//! some providers tell the usage after the reason why they stopped.

use ziggurat_core::{
    Ask, Error, ErrorKind, Event, Loss, PartId, PartKind, RawJson, Start, Stop, StopReason, Str,
    StreamEncoder, ToolCallKind, Usage,
};

use crate::anthropic::reply::{message_id, service_tier};
use crate::anthropic::{KEEP_ALIVE, citation, error, stop, usage};
use crate::json::{self, Object};
use crate::origin;
use crate::sequence::Sequence;
use crate::unsaid::Unsaid;

/// The most bytes of a call's free text.
const MAX_TEXT: usize = 16 << 20;

/// Writes events.
#[derive(Debug)]
pub(in crate::anthropic) struct Encoder {
    ask: Ask,
    model: Str,
    /// Whether the provider speaks this dialect, so that its opaque blocks are understood.
    own: bool,
    started: bool,
    ended: bool,
    /// The number of the next block.
    next: u32,
    open: Option<Open>,
    sequence: Sequence,
    /// Bytes of free text that wait to be packed.
    held: usize,
    usage: Usage,
    stop: Option<Stop>,
    calls: bool,
    unsaid: Unsaid,
}

/// The block that is open.
#[derive(Debug)]
struct Open {
    part: PartId,
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking(Option<Str>),
    Tool,
    /// A tool that takes free text, which is packed into an object at the end.
    Custom(String),
    /// All of it is written.
    Complete,
    /// Nothing of it can be written.
    Unsaid,
}

impl Encoder {
    pub(in crate::anthropic) fn new(ask: &Ask) -> Self {
        Self {
            model: ask.model.clone(),
            ask: ask.clone(),
            own: false,
            started: false,
            ended: false,
            next: 0,
            open: None,
            sequence: Sequence::default(),
            held: 0,
            usage: Usage::default(),
            stop: None,
            calls: false,
            unsaid: Unsaid::default(),
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if !start.model.is_empty() {
            self.model = start.model.clone();
        }
        self.own = start.id.starts_with("msg_");
        let mut event = begin("message_start", out);
        let mut message = Object::begin(event.member("message"));
        message.text("id", &message_id(&start.id, &self.ask));
        message.text("type", "message");
        message.text("role", "assistant");
        message.text("model", &self.model);
        message.raw("content", "[]");
        message.raw("stop_reason", "null");
        message.raw("stop_sequence", "null");
        let mut counts = Object::begin(message.member("usage"));
        match &start.usage {
            Some(known) => {
                self.usage.update(known);
                usage::write(known, &mut counts);
            }
            None => {
                counts.number("input_tokens", 0u8);
                counts.number("output_tokens", 0u8);
            }
        }
        if let Some(told) = &start.service_tier {
            match service_tier(told) {
                Some(tier) => counts.text("service_tier", tier),
                None => self.unsaid.note("service_tier", "the caller's dialect has no such tier"),
            }
        }
        counts.end();
        message.end();
        end(event);
    }

    fn part_start(&mut self, part: PartId, kind: &PartKind, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        if let PartKind::ToolCall { .. } = kind {
            self.calls = true;
        }
        self.open(part, kind, out);
    }

    fn open(&mut self, part: PartId, told: &PartKind, out: &mut Vec<u8>) {
        let kind = match told {
            PartKind::Text | PartKind::Refusal => Kind::Text,
            PartKind::Reasoning => Kind::Thinking(None),
            PartKind::ToolCall { kind: ToolCallKind::Custom, .. } => Kind::Custom(String::new()),
            PartKind::ToolCall { .. } => Kind::Tool,
            PartKind::Redacted(_) => Kind::Complete,
            PartKind::Opaque { .. } if self.own => Kind::Complete,
            other => {
                self.unsaid.part(other);
                Kind::Unsaid
            }
        };
        let index = self.next;
        if !matches!(kind, Kind::Unsaid) {
            self.next += 1;
            let mut event = begin("content_block_start", out);
            event.number("index", index);
            let out = event.member("content_block");
            match told {
                PartKind::Text | PartKind::Refusal => {
                    out.extend_from_slice(br#"{"type":"text","text":""}"#);
                }
                PartKind::Reasoning => {
                    out.extend_from_slice(br#"{"type":"thinking","thinking":"","signature":""}"#);
                }
                PartKind::Redacted(data) => {
                    let mut block = Object::begin(out);
                    block.text("type", "redacted_thinking");
                    block.text("data", &origin::mark(self.ask.origin.as_deref(), data));
                    block.end();
                }
                PartKind::ToolCall { id, name, .. } => {
                    let mut block = Object::begin(out);
                    block.text("type", "tool_use");
                    block.text("id", id);
                    block.text("name", name);
                    block.raw("input", "{}");
                    block.end();
                }
                PartKind::Opaque { value, .. } => out.extend_from_slice(value.get().as_bytes()),
                _ => out.extend_from_slice(b"{}"),
            }
            end(event);
        }
        self.open = Some(Open { part, index, kind });
    }

    /// A piece of text, of reasoning or of arguments.
    fn piece(&mut self, part: PartId, piece: &str, out: &mut Vec<u8>) {
        let Some(open) = self.open.as_mut().filter(|open| open.part == part) else { return };
        if piece.is_empty() {
            return;
        }
        let (kind, name) = match &mut open.kind {
            Kind::Text => ("text_delta", "text"),
            Kind::Thinking(_) => ("thinking_delta", "thinking"),
            Kind::Tool => ("input_json_delta", "partial_json"),
            Kind::Custom(kept) => {
                kept.push_str(piece);
                return self.hold(piece.len(), out);
            }
            Kind::Complete | Kind::Unsaid => return,
        };
        delta(open.index, kind, name, piece, out);
    }

    /// Counts what waits. What is too much ends the stream: memory is bounded.
    fn hold(&mut self, bytes: usize, out: &mut Vec<u8>) {
        self.held += bytes;
        if self.held > MAX_TEXT {
            let message = "the arguments of a call are too long";
            self.fail(&Error::new(ErrorKind::BadUpstream, message), out);
        }
    }

    fn signature(&mut self, part: PartId, signature: &Str) {
        if let Some(open) = self.open.as_mut().filter(|open| open.part == part)
            && let Kind::Thinking(held) = &mut open.kind
        {
            *held = Some(signature.clone());
        }
    }

    fn citation(&mut self, part: PartId, raw: &RawJson, out: &mut Vec<u8>) {
        if let Some(open) = self.open.as_ref().filter(|open| open.part == part)
            && let (Kind::Text, Some(own)) = (&open.kind, citation::adopt(raw, ""))
        {
            let mut event = begin("content_block_delta", out);
            event.number("index", open.index);
            let mut inner = Object::begin(event.member("delta"));
            inner.text("type", "citations_delta");
            inner.raw("citation", own.get());
            inner.end();
            end(event);
        } else {
            self.unsaid.note("citations", "it names no source that can be told");
        }
    }

    fn part_end(&mut self, part: PartId, out: &mut Vec<u8>) {
        if self.open.as_ref().is_some_and(|open| open.part == part) {
            self.close(out);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        match open.kind {
            Kind::Thinking(signature) => {
                let signed = signature.filter(|signature| !signature.is_empty());
                let signature = match &signed {
                    Some(signature) => origin::mark(self.ask.origin.as_deref(), signature),
                    None => origin::unsigned(&self.model).into(),
                };
                delta(open.index, "signature_delta", "signature", &signature, out);
            }
            Kind::Custom(text) => {
                let mut arguments = Vec::with_capacity(text.len() + 16);
                let mut object = Object::begin(&mut arguments);
                object.text("input", &text);
                object.end();
                let arguments = String::from_utf8_lossy(&arguments);
                delta(open.index, "input_json_delta", "partial_json", &arguments, out);
            }
            Kind::Unsaid => return,
            Kind::Text | Kind::Tool | Kind::Complete => {}
        }
        let mut event = begin("content_block_stop", out);
        event.number("index", open.index);
        end(event);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        self.close(out);
        let stop = self.stop.take().unwrap_or_else(|| Stop::new(StopReason::Stop));
        if stop.reason == StopReason::Error {
            let message = "the model failed while it answered";
            self.fail(&Error::new(ErrorKind::BadUpstream, message), out);
            return;
        }
        if self.next == 0 {
            // Clients look at the first block.
            self.open(PartId::default(), &PartKind::Text, out);
            self.close(out);
        }
        let mut event = begin("message_delta", out);
        let mut inner = Object::begin(event.member("delta"));
        stop::write(&stop, self.calls, &mut inner);
        inner.end();
        let mut counts = Object::begin(event.member("usage"));
        usage::write(&self.usage, &mut counts);
        counts.end();
        end(event);
        end(begin("message_stop", out));
        self.ended = true;
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        error::encode_in_stream(error, None, out);
        self.ended = true;
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.unsaid.look(event);
        if let Event::PartStart { part, .. } = event {
            self.unsaid.choice(part.choice);
        }
        let mut sequence = std::mem::take(&mut self.sequence);
        let ordered = sequence.push(event, &mut |event| self.write(event, out));
        self.sequence = sequence;
        if let Err(error) = ordered {
            self.fail(&error, out);
        }
    }

    fn losses(&self) -> &[Loss] {
        self.unsaid.found()
    }
}

impl Encoder {
    /// Writes an event whose turn it is.
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start(start) => self.start(start, out),
            Event::PartStart { part, kind } => self.part_start(*part, kind, out),
            Event::Text { part, text }
            | Event::Thinking { part, text }
            | Event::Refusal { part, text }
            | Event::Arguments { part, fragment: text } => self.piece(*part, text, out),
            Event::Signature { part, signature } => self.signature(*part, signature),
            Event::Citation { part, citation } => self.citation(*part, citation, out),
            Event::Logprobs { .. } => {
                self.unsaid.note("logprobs", "the caller's dialect has no such field");
            }
            Event::PartEnd { part } => self.part_end(*part, out),
            Event::Usage(usage) => self.usage.update(usage),
            Event::Stop { stop, .. } => {
                self.stop.get_or_insert_with(|| (**stop).clone());
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.finish(out),
            Event::Ping => out.extend_from_slice(KEEP_ALIVE),
            _ => {}
        }
    }
}

/// Begins an event, which repeats its name in its data.
fn begin<'a>(name: &'static str, out: &'a mut Vec<u8>) -> Object<'a> {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut object = Object::begin(out);
    object.text("type", name);
    object
}

fn end(event: Object<'_>) {
    event.end_on_one_line().extend_from_slice(b"\n\n");
}

fn delta(index: u32, kind: &str, name: &str, piece: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
    );
    json::integer(out, index);
    out.extend_from_slice(b",\"delta\":{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    json::string(out, piece);
    out.extend_from_slice(b"}}\n\n");
}
