//! Writes a stream.
//!
//! Clients read block by block, so parts come one after the other. The last two events are held back until the stream's own end, as
//! some providers tell the usage before the reason why they stopped, some after.

use ziggurat_core::{
    Ask, Error, ErrorKind, Event, Loss, PartKind, Start, Stop, StopReason, Str, StreamEncoder,
    ToolCallKind, Usage,
};

use crate::converse::reply::{known_tier, signature};
use crate::converse::{citation, error, state, stop, usage};
use crate::framing::event_stream;
use crate::json::{self, Object};
use crate::sequence::Sequence;
use crate::tools::CONVERSE_IDS;
use crate::unsaid::Unsaid;

/// Writes events.
#[derive(Debug)]
pub(in crate::converse) struct Encoder {
    sequence: Sequence,
    writer: Writer,
}

/// Writes events that come one part after the other.
#[derive(Debug)]
struct Writer {
    ask: Ask,
    model: Str,
    /// The number of the next block.
    next: u32,
    open: Option<Open>,
    calls: bool,
    usage: Usage,
    stop: Option<Stop>,
    tier: Option<Str>,
    started: bool,
    ended: bool,
    /// Where the payload of a message is written before its length is known.
    payload: Vec<u8>,
    unsaid: Unsaid,
}

/// The block that is open.
#[derive(Debug)]
struct Open {
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    /// Whether it was signed.
    Thinking(bool),
    /// Whether a piece of the arguments came.
    Tool(bool),
    /// A tool that takes free text, which is packed into an object at the end.
    Custom(String),
    /// All of it is written.
    Complete,
    /// Nothing of it can be written.
    Unsaid,
}

/// The most bytes of arguments that are kept until they are complete.
const MAX_KEPT: usize = 16 << 20;

impl Encoder {
    pub(in crate::converse) fn new(ask: &Ask) -> Self {
        let writer = Writer {
            ask: ask.clone(),
            model: ask.model.clone(),
            next: 0,
            open: None,
            calls: false,
            usage: Usage::default(),
            stop: None,
            tier: None,
            started: false,
            ended: false,
            payload: Vec::new(),
            unsaid: Unsaid::default(),
        };
        Self { sequence: Sequence::default(), writer }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        let Self { sequence, writer } = self;
        if let Event::PartStart { part, .. } = event {
            writer.unsaid.choice(part.choice);
        }
        if let Err(error) = sequence.push(event, &mut |event| writer.write(event, out)) {
            writer.fail(&error, out);
        }
    }

    fn losses(&self) -> &[Loss] {
        self.writer.unsaid.found()
    }
}

impl Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start(start) => self.start(start, out),
            Event::PartStart { kind, .. } => {
                self.start(&Start::default(), out);
                self.open(kind, out);
            }
            Event::Text { text, .. }
            | Event::Thinking { text, .. }
            | Event::Refusal { text, .. }
            | Event::Arguments { fragment: text, .. } => self.piece(text, out),
            Event::Signature { signature, .. } => self.signature(Some(signature), out),
            Event::Citation { citation, .. } => {
                if let Some(Open { index, kind: Kind::Text }) = self.open
                    && let Some(citation) = citation::adopt(citation, "")
                {
                    self.delta(index, out, |delta| delta.raw("citation", citation.get()));
                } else {
                    self.unsaid.note("citations", "it names no source that can be told");
                }
            }
            Event::Logprobs { .. } => {
                self.unsaid.note("logprobs", "the caller's dialect has no such field");
            }
            Event::PartEnd { .. } => self.close(out),
            Event::Usage(usage) => self.usage.update(usage),
            Event::Stop { stop, .. } => {
                self.stop.get_or_insert_with(|| (**stop).clone());
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.finish(out),
            Event::Ping => write_ping(out),
            _ => {}
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if !start.model.is_empty() {
            self.model = start.model.clone();
        }
        if let Some(known) = &start.usage {
            self.usage.update(known);
        }
        self.tier = start.service_tier.clone();
        if self.tier.as_deref().is_some_and(|tier| known_tier(tier).is_none()) {
            self.unsaid.note("service_tier", "the caller's dialect has no such tier");
        }
        self.event("messageStart", out, |event| event.text("role", "assistant"));
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        let stop = self.stop.take().unwrap_or_else(|| Stop::new(StopReason::Stop));
        let Some(word) = stop::word(&stop, self.calls) else {
            let message = "the model failed while it answered";
            self.fail(&Error::new(ErrorKind::BadUpstream, message), out);
            return;
        };
        self.event("messageStop", out, |event| {
            event.text("stopReason", word);
            if let Some(sequence) = &stop.sequence {
                let mut fields = Object::begin(event.member("additionalModelResponseFields"));
                fields.text("stop_sequence", sequence);
                fields.end();
            }
        });
        let (counts, tier) = (self.usage, self.tier.take());
        let tier = tier.or(counts.tier.map(|tier| Str::from_static(tier.name())));
        self.event("metadata", out, |event| {
            let mut object = Object::begin(event.member("usage"));
            usage::write(&counts, &mut object);
            object.end();
            // Clients read it without asking whether it is there.
            event.raw("metrics", r#"{"latencyMs":0}"#);
            if let Some(tier) = tier.as_deref().and_then(known_tier) {
                let mut object = Object::begin(event.member("serviceTier"));
                object.text("type", tier);
                object.end();
            }
        });
        self.ended = true;
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        error::encode_in_stream(error, out);
        self.ended = true;
    }

    /// Writes an event.
    fn event(&mut self, kind: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        self.payload.clear();
        let mut object = Object::begin(&mut self.payload);
        write(&mut object);
        object.end();
        write_event(kind, &self.payload, out);
    }

    fn delta(&mut self, index: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        self.event("contentBlockDelta", out, |event| {
            event.number("contentBlockIndex", index);
            let mut delta = Object::begin(event.member("delta"));
            write(&mut delta);
            delta.end();
        });
    }

    fn open(&mut self, told: &PartKind, out: &mut Vec<u8>) {
        let kind = match told {
            PartKind::Text | PartKind::Refusal => Kind::Text,
            PartKind::Reasoning => Kind::Thinking(false),
            PartKind::ToolCall { kind: ToolCallKind::Custom, .. } => Kind::Custom(String::new()),
            PartKind::ToolCall { .. } => Kind::Tool(false),
            PartKind::Redacted(_) => Kind::Complete,
            other => {
                self.unsaid.part(other);
                Kind::Unsaid
            }
        };
        let index = self.next;
        if !matches!(kind, Kind::Unsaid) {
            self.next += 1;
        }
        match told {
            PartKind::ToolCall { id, name, .. } => {
                self.calls = true;
                self.event("contentBlockStart", out, |event| {
                    event.number("contentBlockIndex", index);
                    let mut start = Object::begin(event.member("start"));
                    let mut call = Object::begin(start.member("toolUse"));
                    call.text("toolUseId", &CONVERSE_IDS.fit_id(id));
                    call.text("name", name);
                    call.end();
                    start.end();
                });
            }
            PartKind::Redacted(data) => {
                let data = state::write_redacted(self.ask.origin.as_deref(), data);
                self.delta(index, out, |delta| {
                    let mut inner = Object::begin(delta.member("reasoningContent"));
                    inner.text("redactedContent", &data);
                    inner.end();
                });
            }
            _ => {}
        }
        self.open = Some(Open { index, kind });
    }

    /// A piece of text, of reasoning or of arguments.
    fn piece(&mut self, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let Some(open) = &mut self.open else { return };
        let index = open.index;
        match &mut open.kind {
            Kind::Text => self.delta(index, out, |delta| delta.text("text", piece)),
            Kind::Thinking(_) => self.delta(index, out, |delta| {
                let mut inner = Object::begin(delta.member("reasoningContent"));
                inner.text("text", piece);
                inner.end();
            }),
            Kind::Tool(seen) => {
                *seen = true;
                self.delta(index, out, |delta| input(delta, piece));
            }
            Kind::Custom(kept) if kept.len() + piece.len() > MAX_KEPT => {
                let message = "the arguments of a call are too large to be packed";
                self.fail(&Error::new(ErrorKind::BadUpstream, message), out);
            }
            Kind::Custom(kept) => kept.push_str(piece),
            Kind::Complete | Kind::Unsaid => {}
        }
    }

    fn signature(&mut self, proof: Option<&Str>, out: &mut Vec<u8>) {
        let Some(Open { index, kind: Kind::Thinking(signed) }) = &mut self.open else { return };
        *signed = true;
        let index = *index;
        if let Some(proof) = signature(proof, &self.ask, &self.model) {
            self.delta(index, out, |delta| {
                let mut inner = Object::begin(delta.member("reasoningContent"));
                inner.text("signature", &proof);
                inner.end();
            });
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(Open { kind: Kind::Thinking(false), .. }) = self.open {
            self.signature(None, out);
        }
        let Some(open) = self.open.take() else { return };
        match open.kind {
            // Clients parse what they have put together.
            Kind::Tool(false) => self.delta(open.index, out, |delta| input(delta, "{}")),
            Kind::Custom(text) => {
                let mut arguments = Vec::with_capacity(text.len() + 16);
                let mut object = Object::begin(&mut arguments);
                object.text("input", &text);
                object.end();
                let arguments = String::from_utf8_lossy(&arguments);
                self.delta(open.index, out, |delta| input(delta, &arguments));
            }
            Kind::Unsaid => return,
            _ => {}
        }
        self.event("contentBlockStop", out, |event| {
            json::integer(event.member("contentBlockIndex"), open.index);
        });
    }
}

fn input(delta: &mut Object<'_>, piece: &str) {
    let mut call = Object::begin(delta.member("toolUse"));
    call.text("input", piece);
    call.end();
}

fn write_event(kind: &str, payload: &[u8], out: &mut Vec<u8>) {
    let headers =
        [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    event_stream::write(&headers, payload, out);
}

/// Writes an event of a type that clients do not know, and are to pass over.
pub(in crate::converse) fn write_ping(out: &mut Vec<u8>) {
    write_event("ping", b"{}", out);
}
