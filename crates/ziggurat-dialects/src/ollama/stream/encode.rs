//! Events into lines.
//!
//! Calls are told whole, so that their arguments wait for their end. The last line waits for the stream's own end, as some
//! providers tell the usage after the reason why they stopped.

use ziggurat_core::{
    Ask, Error, Event, Loss, PartId, PartKind, RawJson, Start, Stop, StopReason, Str,
    StreamEncoder, ToolCallKind, Usage,
};

use crate::clock::rfc3339;
use crate::framing::ndjson::end_line;
use crate::json::{self, Array, Object};
use crate::ollama::{KEEP_ALIVE_LINE, call, error, logprobs, stop, usage};
use crate::plain_error;
use crate::unsaid::Unsaid;

/// The most bytes of arguments that wait.
const MAX_WAITING: usize = 16 << 20;
/// The longest name of a model that is repeated in every line, in bytes.
const LONGEST_NAME: usize = 256;

/// Encodes a stream as lines.
#[derive(Debug)]
pub(in crate::ollama) struct Encoder {
    ask: Ask,
    /// What all lines begin with, up to the message.
    prefix: Vec<u8>,
    calls: Vec<Waiting>,
    told: usize,
    /// Bytes that wait.
    held: usize,
    /// They go out with the next text.
    logprobs: Option<Box<RawJson>>,
    usage: Usage,
    stop: Option<Stop>,
    ended: bool,
    unsaid: Unsaid,
}

/// A call whose arguments are not complete, or that stands behind one whose are not: calls without ids are told apart by
/// their order.
#[derive(Debug)]
struct Waiting {
    part: PartId,
    id: Str,
    name: Str,
    kind: ToolCallKind,
    arguments: String,
    complete: bool,
}

impl Encoder {
    pub(in crate::ollama) fn new(ask: &Ask) -> Self {
        Self {
            ask: ask.clone(),
            prefix: Vec::new(),
            calls: Vec::new(),
            told: 0,
            held: 0,
            logprobs: None,
            usage: Usage::default(),
            stop: None,
            ended: false,
            unsaid: Unsaid::default(),
        }
    }

    fn begin(&mut self, start: &Start) {
        if let Some(usage) = &start.usage {
            self.usage.update(usage);
        }
        if start.service_tier.is_some() {
            self.unsaid.note("service_tier", "the caller's dialect has no such field");
        }
        let named = (1..=LONGEST_NAME).contains(&start.model.len());
        let model = if named { &start.model } else { &self.ask.model };
        self.prefix.clear();
        let mut line = Object::begin(&mut self.prefix);
        line.text("model", model);
        line.text("created_at", &rfc3339(start.created.unwrap_or(self.ask.created)));
        line.member("message").extend_from_slice(br#"{"role":"assistant","content":"#);
    }

    /// A line with this content; `message` adds to the message, `line` to what stands around it.
    fn line(
        &mut self,
        content: &str,
        out: &mut Vec<u8>,
        message: impl FnOnce(&mut Vec<u8>),
        line: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.prefix.is_empty() {
            self.begin(&Start::default());
        }
        let start = out.len();
        out.extend_from_slice(&self.prefix);
        json::string(out, content);
        message(out);
        out.push(b'}');
        line(out);
        out.push(b'}');
        end_line(out, start);
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let logprobs = self.logprobs.take();
        self.line(
            text,
            out,
            |_| {},
            |line| {
                line.extend_from_slice(br#","done":false"#);
                if let Some(list) = logprobs.as_deref().and_then(logprobs::list) {
                    line.extend_from_slice(br#","logprobs":"#);
                    line.extend_from_slice(list.as_bytes());
                }
            },
        );
    }

    /// Probabilities for which there is no text.
    fn flush_logprobs(&mut self, out: &mut Vec<u8>) {
        let Some(logprobs) = self.logprobs.take() else { return };
        if let Some(list) = logprobs::list(&logprobs) {
            self.line(
                "",
                out,
                |_| {},
                |line| {
                    line.extend_from_slice(br#","done":false,"logprobs":"#);
                    line.extend_from_slice(list.as_bytes());
                },
            );
        }
    }

    fn thinking(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let message = |message: &mut Vec<u8>| {
            message.extend_from_slice(br#","thinking":"#);
            json::string(message, text);
        };
        self.line("", out, message, |line| line.extend_from_slice(br#","done":false"#));
    }

    fn arguments(&mut self, part: PartId, fragment: &str, out: &mut Vec<u8>) {
        let Some(call) = self.calls.iter_mut().find(|call| call.part == part) else { return };
        call.arguments.push_str(fragment);
        self.held += fragment.len();
        if self.held > MAX_WAITING {
            let why = format!("the arguments of a call are larger than {MAX_WAITING} bytes");
            self.fail(&plain_error::malformed(why), out);
        }
    }

    fn part_end(&mut self, part: PartId, out: &mut Vec<u8>) {
        let Some(call) = self.calls.iter_mut().find(|call| call.part == part) else { return };
        call.complete = true;
        while self.calls.first().is_some_and(|call| call.complete) {
            self.first_call(out);
        }
    }

    fn first_call(&mut self, out: &mut Vec<u8>) {
        let call = self.calls.remove(0);
        self.held -= call.arguments.len();
        let index = self.told;
        self.told += 1;
        let arguments = Str::from(call.arguments);
        let message = |message: &mut Vec<u8>| {
            message.extend_from_slice(br#","tool_calls":"#);
            let mut list = Array::begin(message);
            let free = call.kind == ToolCallKind::Custom;
            call::write(&mut list, index, &call.id, &call.name, (&arguments, free), None);
            list.end();
        };
        self.line("", out, message, |line| line.extend_from_slice(br#","done":false"#));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        while !self.calls.is_empty() {
            self.first_call(out);
        }
        self.flush_logprobs(out);
        let stop = self.stop.take().unwrap_or_else(|| Stop::new(StopReason::Stop));
        if stop.reason == StopReason::Error {
            return self.fail(&plain_error::failed(), out);
        }
        let counts = self.usage;
        self.line(
            "",
            out,
            |_| {},
            |line| {
                // Members of the line that are written one by one.
                let mut rest = Vec::with_capacity(96);
                let mut object = Object::begin(&mut rest);
                object.flag("done", true);
                object.text("done_reason", stop::word(&stop));
                usage::write(&counts, &mut object);
                line.push(b',');
                line.extend_from_slice(&rest[1..]);
            },
        );
        self.ended = true;
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        error::encode_in_stream(error, out);
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
            Event::Start(start) => self.begin(start),
            Event::PartStart { part, kind } if part.choice == 0 => match &**kind {
                PartKind::ToolCall { id, name, kind } => self.calls.push(Waiting {
                    part: *part,
                    id: id.clone(),
                    name: name.clone(),
                    kind: *kind,
                    arguments: String::new(),
                    complete: false,
                }),
                PartKind::Text | PartKind::Reasoning | PartKind::Refusal => {}
                other => self.unsaid.part(other),
            },
            Event::PartStart { part, .. } => self.unsaid.choice(part.choice),
            Event::Signature { .. } => {
                self.unsaid.note("thinking.signature", "the caller's dialect has no such field");
            }
            Event::Citation { .. } => {
                self.unsaid.note("citations", "nothing is cited in the caller's dialect");
            }
            Event::Text { part, text } | Event::Refusal { part, text } if part.choice == 0 => {
                self.text(text, out);
            }
            Event::Thinking { part, text } if part.choice == 0 => self.thinking(text, out),
            Event::Arguments { part, fragment } => self.arguments(*part, fragment, out),
            Event::Logprobs { choice: 0, logprobs } => {
                self.flush_logprobs(out);
                self.logprobs = Some(logprobs.clone());
            }
            Event::PartEnd { part } => self.part_end(*part, out),
            Event::Usage(usage) => self.usage.update(usage),
            Event::Stop { choice: 0, stop } => {
                self.stop.get_or_insert_with(|| (**stop).clone());
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
            Event::Ping => {
                out.extend_from_slice(KEEP_ALIVE_LINE.as_bytes());
                out.push(b'\n');
            }
            _ => {}
        }
    }

    fn losses(&self) -> &[Loss] {
        self.unsaid.found()
    }
}
