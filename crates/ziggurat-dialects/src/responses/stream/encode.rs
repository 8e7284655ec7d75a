//! Events into events of the wire.
//!
//! Every item is bracketed: it begins, its parts begin, grow and end, it ends. The last event tells the whole answer again. Items
//! come one after the other: their places would let them interleave, but many clients cannot follow that.

use ziggurat_core::{
    Ask, Error, ErrorKind, Event, Loss, Origin, PartKind, RawJson, Start, Stop, StopReason, Str,
    StreamEncoder, Usage,
};

use super::open::{Open, Said};
use crate::hints::redact;
use crate::json::{self, Object};
use crate::openai_api::KEEP_ALIVE;
use crate::responses::head::{Head, State};
use crate::responses::wire;
use crate::sequence::Sequence;
use crate::unsaid::Unsaid;

/// The longest answer, in bytes: all of it is told again at the end.
const MAX_ANSWER: usize = 64 << 20;

/// Encodes a stream.
#[derive(Debug)]
pub(crate) struct Encoder {
    ask: Ask,
    sequence: Sequence,
    wire: Wire,
    head: Option<Head>,
    /// The model that answers, for the mark on reasoning that nobody signed.
    model: Str,
    /// Whether the provider speaks this dialect, so that items that only it understands are understood.
    own: bool,
    /// The items that have ended, as a list without brackets.
    output: Vec<u8>,
    open: Option<Open>,
    usage: Option<Usage>,
    stop: Option<Stop>,
    refused: bool,
    ended: bool,
    /// How much of the answer is remembered, in bytes.
    held: usize,
    unsaid: Unsaid,
}

/// What counts events and items.
#[derive(Debug, Default)]
pub(super) struct Wire {
    sequence_number: u64,
    /// The place of the item that is open, or of the next one.
    pub(super) output_index: u32,
}

impl Wire {
    /// Begins an event, which repeats its name in its data.
    pub(super) fn begin<'a>(&mut self, name: &str, out: &'a mut Vec<u8>) -> Object<'a> {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let mut object = Object::begin(out);
        object.text("type", name);
        object.number("sequence_number", self.sequence_number);
        self.sequence_number += 1;
        object
    }

    /// An event about the item that is open.
    pub(super) fn about<'a>(
        &mut self,
        name: &str,
        item_id: &str,
        out: &'a mut Vec<u8>,
    ) -> Object<'a> {
        let index = self.output_index;
        let mut object = self.begin(name, out);
        object.text("item_id", item_id);
        object.number("output_index", index);
        object
    }

    /// An event with the item that is open.
    pub(super) fn item(&mut self, name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let index = self.output_index;
        let mut object = self.begin(name, out);
        object.number("output_index", index);
        write(object.member("item"));
        end(object);
    }
}

/// Ends an event.
pub(super) fn end(event: Object<'_>) {
    event.end_on_one_line().extend_from_slice(b"\n\n");
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
    pub(crate) fn new(ask: &Ask) -> Self {
        Self {
            model: ask.model.clone(),
            ask: ask.clone(),
            sequence: Sequence::default(),
            wire: Wire::default(),
            head: None,
            own: false,
            output: Vec::new(),
            open: None,
            usage: None,
            stop: None,
            refused: false,
            ended: false,
            held: 0,
            unsaid: Unsaid::default(),
        }
    }

    /// Writes an event whose turn it is.
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start(start) => self.start(start, out),
            Event::PartStart { kind, .. } => self.part_start(kind, out),
            Event::Text { text, .. }
            | Event::Thinking { text, .. }
            | Event::Refusal { text, .. }
            | Event::Arguments { fragment: text, .. } => self.piece(text, out),
            Event::Signature { signature, .. } => {
                if let Some(open) = &mut self.open {
                    open.sign(signature);
                }
            }
            Event::Citation { citation, .. } => self.citation(citation, out),
            Event::Logprobs { logprobs, .. } => self.logprobs(logprobs),
            Event::PartEnd { .. } => self.part_end(out),
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            Event::Stop { stop, .. } => {
                self.stop.get_or_insert_with(|| (**stop).clone());
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.finish(out),
            Event::Ping => out.extend_from_slice(KEEP_ALIVE),
            _ => {}
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if self.head.is_some() {
            return;
        }
        if let Some(usage) = &start.usage {
            self.usage.get_or_insert_default().update(usage);
        }
        if !start.model.is_empty() {
            self.model = start.model.clone();
        }
        self.own = wire::is_own(&start.id);
        let head = Head::new(start, &self.ask);
        for name in ["response.created", "response.in_progress"] {
            let mut event = self.wire.begin(name, out);
            let state = State { status: "in_progress", ..State::default() };
            head.write(event.member("response"), &state);
            end(event);
        }
        self.head = Some(head);
    }

    fn part_start(&mut self, kind: &PartKind, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        let said = match kind {
            PartKind::Text => Some(Said::Text),
            PartKind::Refusal => {
                self.refused = true;
                Some(Said::Refusal)
            }
            _ => None,
        };
        if let Some(said) = said {
            // What is said without anything between stands in one message.
            if !self.open.as_ref().is_some_and(Open::is_message) {
                self.close("completed", out);
                self.open(Open::message(&self.ask, &self.wire), out);
            }
            if let Some(open) = &mut self.open {
                open.begin_part(said, &mut self.wire, out);
            }
            return;
        }
        self.close("completed", out);
        match kind {
            PartKind::Reasoning => self.open(Open::reasoning(&self.ask, &self.wire), out),
            PartKind::Redacted(data) => {
                let mut open = Open::reasoning(&self.ask, &self.wire);
                open.redact(data);
                self.open(open, out);
            }
            PartKind::ToolCall { id, name, kind } => {
                self.open(Open::call(&self.ask, &self.wire, id, name, *kind), out);
            }
            PartKind::Opaque { value, .. } if self.own => {
                self.open(Open::Opaque(value.clone()), out);
            }
            other => self.unsaid.part(other),
        }
    }

    fn open(&mut self, open: Open, out: &mut Vec<u8>) {
        self.wire.item("response.output_item.added", out, |out| open.write(out, "in_progress"));
        self.open = Some(open);
    }

    fn piece(&mut self, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        self.hold(piece.len(), out);
        if let Some(open) = self.open.as_mut().filter(|_| !self.ended) {
            open.piece(piece, &mut self.wire, out);
        }
    }

    fn citation(&mut self, cited: &RawJson, out: &mut Vec<u8>) {
        self.hold(cited.get().len(), out);
        if let Some(open) = self.open.as_mut().filter(|_| !self.ended)
            && !open.cite(cited, &mut self.wire, out)
        {
            self.unsaid.note("citations", "only addresses and files are cited here");
        }
    }

    fn logprobs(&mut self, logprobs: &RawJson) {
        if let (Some(open), Some(list)) = (&mut self.open, wire::of_logprobs(logprobs)) {
            self.held += list.len();
            open.log(&list);
        }
    }

    /// Counts what is remembered. What is too much ends the stream: memory is bounded.
    fn hold(&mut self, bytes: usize, out: &mut Vec<u8>) {
        self.held += bytes;
        if self.held > MAX_ANSWER {
            let message = "the answer is too long to be told again at its end";
            self.fail(&Error::new(ErrorKind::BadUpstream, message), out);
        }
    }

    /// A part ends. Its item may have more of them, and how it ended is not known yet.
    fn part_end(&mut self, out: &mut Vec<u8>) {
        if let Some(open) = &mut self.open {
            open.end_part(&mut self.wire, out);
        }
    }

    /// Ends the item that is open.
    fn close(&mut self, status: &str, out: &mut Vec<u8>) {
        let Some(mut open) = self.open.take() else { return };
        open.end_part(&mut self.wire, out);
        open.seal(&self.model, self.ask.origin.as_deref(), self.own);
        self.wire.item("response.output_item.done", out, |out| open.write(out, status));
        self.keep(&open, status);
        self.wire.output_index += 1;
    }

    fn keep(&mut self, open: &Open, status: &str) {
        if !self.output.is_empty() {
            self.output.push(b',');
        }
        open.write(&mut self.output, status);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        let stop = self.stop.take().unwrap_or_else(|| Stop::new(StopReason::Stop));
        if stop.reason == StopReason::Error {
            let message = "the model failed before its answer was complete";
            let error = Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider);
            return self.fail(&error, out);
        }
        let (status, reason) = wire::encode_stop(&stop, self.refused);
        self.close(status, out);
        let name =
            if status == "incomplete" { "response.incomplete" } else { "response.completed" };
        self.last(name, status, reason, None, out);
    }

    /// The answer as far as it came, and why it does not go on.
    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        if let Some(mut open) = self.open.take() {
            open.seal(&self.model, self.ask.origin.as_deref(), self.own);
            self.keep(&open, "incomplete");
        }
        let message = redact(error.message());
        self.last("response.failed", "failed", None, Some((code(error), &message)), out);
    }

    fn last(
        &mut self,
        name: &str,
        status: &str,
        reason: Option<&str>,
        error: Option<(&str, &str)>,
        out: &mut Vec<u8>,
    ) {
        self.ended = true;
        let Some(head) = &self.head else { return };
        let mut event = self.wire.begin(name, out);
        let usage = self.usage.as_ref();
        let state = State { status, reason, output: &self.output, error, usage };
        head.write(event.member("response"), &state);
        end(event);
    }
}

/// The code of a failure, by the few names that clients know.
fn code(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::RateLimit | ErrorKind::QuotaExhausted | ErrorKind::Billing => {
            "rate_limit_exceeded"
        }
        ErrorKind::ContentPolicy | ErrorKind::InvalidRequest | ErrorKind::ContextLength => {
            "invalid_prompt"
        }
        _ => "server_error",
    }
}

/// An error in a stream of which nothing is known but that it has begun.
pub(in crate::responses) fn error_event(error: &Error) -> Vec<u8> {
    let mut out = Vec::new();
    let mut event = Wire::default().begin("error", &mut out);
    event.text("code", code(error));
    event.text("message", &redact(error.message()));
    match error.param() {
        Some(param) => json::string(event.member("param"), param),
        None => event.raw("param", "null"),
    }
    end(event);
    out
}
