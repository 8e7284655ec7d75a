//! Writes a stream.
//!
//! Contents and calls are numbered apart, and may run side by side. The last event waits for the stream's own end, as some
//! providers tell the usage after the reason why they stopped.

use ziggurat_core::{
    Ask, Error, Event, Loss, PartId, PartKind, RawJson, Start, Stop, StopReason, Str,
    StreamEncoder, ToolCallKind, Usage,
};

use crate::cohere::{KEEP_ALIVE, citation, error, logprobs, reply_id, stop, usage};
use crate::json::{self, Array, Object};
use crate::plain_error;
use crate::tools::free_arguments;
use crate::unsaid::Unsaid;

/// The most bytes of free text that wait for the end of their call.
const MAX_WAITING: usize = 16 << 20;

/// Writes events.
#[derive(Debug)]
pub(in crate::cohere) struct Encoder {
    ask: Ask,
    id: Str,
    started: bool,
    ended: bool,
    open: Vec<Open>,
    contents: usize,
    calls: usize,
    citations: usize,
    /// Bytes that wait.
    held: usize,
    /// They go out with the next text.
    logprobs: Option<Box<RawJson>>,
    usage: Usage,
    stop: Option<Stop>,
    unsaid: Unsaid,
}

#[derive(Debug)]
struct Open {
    part: PartId,
    index: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text {
        /// What was said so far: citations repeat what they cite.
        text: String,
    },
    Thinking,
    Call {
        any: bool,
    },
    /// A call of a tool that takes free text, which is packed into an object at the end.
    Custom(String),
}

/// The most text that is remembered for citations, in bytes.
const LONGEST_CITED: usize = 1 << 20;

impl Encoder {
    pub(in crate::cohere) fn new(ask: &Ask) -> Self {
        Self {
            ask: ask.clone(),
            id: Str::new(),
            started: false,
            ended: false,
            open: Vec::new(),
            contents: 0,
            calls: 0,
            citations: 0,
            held: 0,
            logprobs: None,
            usage: Usage::default(),
            stop: None,
            unsaid: Unsaid::default(),
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if let Some(usage) = &start.usage {
            self.usage.update(usage);
        }
        if start.service_tier.is_some() {
            self.unsaid.note("service_tier", "the caller's dialect has no such field");
        }
        self.id = reply_id(&start.id, &self.ask);
        let mut event = begin("message-start", out);
        event.text("id", &self.id);
        event.raw("delta", r#"{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}"#);
        end(event);
    }

    fn part_start(&mut self, part: PartId, kind: &PartKind, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        let kind = match kind {
            PartKind::Text | PartKind::Refusal => Kind::Text { text: String::new() },
            PartKind::Reasoning => Kind::Thinking,
            PartKind::ToolCall { id, name, kind } => {
                let index = self.calls;
                self.calls += 1;
                let mut event = begin("tool-call-start", out);
                event.number("index", index);
                in_message(&mut event, "tool_calls", |call| {
                    call.text("id", id);
                    call.text("type", "function");
                    let mut function = Object::begin(call.member("function"));
                    function.text("name", name);
                    function.text("arguments", "");
                    function.end();
                });
                end(event);
                let kind = match kind {
                    ToolCallKind::Custom => Kind::Custom(String::new()),
                    _ => Kind::Call { any: false },
                };
                self.open.push(Open { part, index, kind });
                return;
            }
            other => return self.unsaid.part(other),
        };
        let index = self.contents;
        self.contents += 1;
        let word = if matches!(kind, Kind::Thinking) { "thinking" } else { "text" };
        let mut event = begin("content-start", out);
        event.number("index", index);
        in_message(&mut event, "content", |content| {
            content.text("type", word);
            content.text(word, "");
        });
        end(event);
        self.open.push(Open { part, index, kind });
    }

    /// A piece of text, of reasoning or of arguments.
    fn piece(&mut self, part: PartId, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let Some(open) = self.open.iter_mut().find(|open| open.part == part) else { return };
        let index = open.index;
        match &mut open.kind {
            Kind::Text { text } => {
                if text.len() + piece.len() <= LONGEST_CITED {
                    text.push_str(piece);
                }
                let logprobs = self.logprobs.take();
                content_delta(index, "text", piece, logprobs.as_deref(), out);
            }
            Kind::Thinking => content_delta(index, "thinking", piece, None, out),
            Kind::Call { any } => {
                *any = true;
                call_delta(index, piece, out);
            }
            Kind::Custom(kept) => {
                kept.push_str(piece);
                self.held += piece.len();
                if self.held > MAX_WAITING {
                    let why = format!("a call is larger than {MAX_WAITING} bytes");
                    self.fail(&plain_error::malformed(why), out);
                }
            }
        }
    }

    fn citation(&mut self, part: PartId, raw: &RawJson, out: &mut Vec<u8>) {
        let Some(open) = self.open.iter().find(|open| open.part == part) else { return };
        let Kind::Text { text } = &open.kind else { return };
        let Some(citation) = citation::adopt(raw, text, open.index) else {
            return self.unsaid.note("citations", "it names no source");
        };
        let index = self.citations;
        self.citations += 1;
        let mut event = begin("citation-start", out);
        event.number("index", index);
        let mut delta = Object::begin(event.member("delta"));
        let mut message = Object::begin(delta.member("message"));
        message.raw("citations", citation.get());
        message.end();
        delta.end();
        end(event);
        let mut event = begin("citation-end", out);
        event.number("index", index);
        end(event);
    }

    fn part_end(&mut self, part: PartId, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.part == part) else { return };
        let Open { index, kind, .. } = self.open.remove(at);
        let name = match kind {
            Kind::Text { .. } | Kind::Thinking => "content-end",
            Kind::Call { any } => {
                if !any {
                    // Clients parse the arguments: none are an empty object.
                    call_delta(index, "{}", out);
                }
                "tool-call-end"
            }
            Kind::Custom(text) => {
                self.held -= text.len();
                call_delta(index, &free_arguments(&text), out);
                "tool-call-end"
            }
        };
        let mut event = begin(name, out);
        event.number("index", index);
        end(event);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        while let Some(open) = self.open.first() {
            self.part_end(open.part, out);
        }
        let stop = self.stop.take().unwrap_or_else(|| Stop::new(StopReason::Stop));
        if stop.reason == StopReason::Error {
            return self.fail(&plain_error::failed(), out);
        }
        let mut event = begin("message-end", out);
        event.text("id", &self.id);
        let mut delta = Object::begin(event.member("delta"));
        delta.text("finish_reason", stop::word(&stop, self.calls > 0));
        usage::write(&self.usage, None, delta.member("usage"));
        delta.end();
        end(event);
        self.ended = true;
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        error::encode_in_stream(error, &self.usage, out);
        self.ended = true;
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.unsaid.look(event);
        match event {
            Event::Start(start) => self.start(start, out),
            Event::PartStart { part, kind } if part.choice == 0 => {
                self.part_start(*part, kind, out);
            }
            Event::Text { part, text }
            | Event::Thinking { part, text }
            | Event::Refusal { part, text }
            | Event::Arguments { part, fragment: text } => self.piece(*part, text, out),
            Event::PartStart { part, .. } => self.unsaid.choice(part.choice),
            Event::Signature { .. } => {
                self.unsaid.note("thinking.signature", "the caller's dialect has no such field");
            }
            Event::Citation { part, citation } => self.citation(*part, citation, out),
            Event::Logprobs { choice: 0, logprobs } => self.logprobs = Some(logprobs.clone()),
            Event::PartEnd { part } => self.part_end(*part, out),
            Event::Usage(usage) => self.usage.update(usage),
            Event::Stop { choice: 0, stop } => {
                self.stop.get_or_insert_with(|| (**stop).clone());
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.finish(out),
            Event::Ping => out.extend_from_slice(KEEP_ALIVE),
            _ => {}
        }
    }

    fn losses(&self) -> &[Loss] {
        self.unsaid.found()
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

/// Writes a member of the message in the event's delta: an object, also where a whole answer has a list.
fn in_message(event: &mut Object<'_>, member: &'static str, write: impl FnOnce(&mut Object<'_>)) {
    let mut delta = Object::begin(event.member("delta"));
    let mut message = Object::begin(delta.member("message"));
    let mut inner = Object::begin(message.member(member));
    write(&mut inner);
    inner.end();
    message.end();
    delta.end();
}

fn content_delta(
    index: usize,
    kind: &str,
    piece: &str,
    logprobs: Option<&RawJson>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":");
    json::integer(out, index);
    out.extend_from_slice(b",\"delta\":{\"message\":{\"content\":{\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\":");
    json::string(out, piece);
    out.extend_from_slice(b"}}}");
    if let Some(logprobs) = logprobs {
        let mut pieces = Vec::new();
        let mut list = Array::begin(&mut pieces);
        let any = logprobs::write(logprobs, &mut list);
        list.end();
        json::one_line(&mut pieces);
        // One event is about one piece.
        if any && let Some(one) = first_of(&pieces) {
            out.extend_from_slice(b",\"logprobs\":");
            out.extend_from_slice(one);
        }
    }
    out.extend_from_slice(b"}\n\n");
}

fn first_of(list: &[u8]) -> Option<&[u8]> {
    let list: Vec<&serde_json::value::RawValue> = serde_json::from_slice(list).ok()?;
    list.first().map(|raw| raw.get().as_bytes())
}

fn call_delta(index: usize, fragment: &str, out: &mut Vec<u8>) {
    let mut event = begin("tool-call-delta", out);
    event.number("index", index);
    in_message(&mut event, "tool_calls", |call| {
        let mut function = Object::begin(call.member("function"));
        function.text("arguments", fragment);
        function.end();
    });
    end(event);
}
