//! Events into chunks.

use smallvec::SmallVec;
use ziggurat_core::{
    Ask, Error, ErrorKind, Event, Loss, Origin, PartId, PartKind, RawJson, Start, Stop, StopReason,
    Str, StreamEncoder, ToolCallKind, Usage,
};

use crate::json::{self, Array, Object};
use crate::openai::{reply_id, wire};
use crate::openai_api::parts::write_call_signature;
use crate::openai_api::{KEEP_ALIVE, LONGEST_NAME, citation, error, service_tier, usage};
use crate::origin::mark;
use crate::unsaid::Unsaid;

/// How much reasoning is remembered for the block that carries its signature, in bytes.
const LONGEST_SIGNED: usize = 1 << 20;

/// Encodes a stream as chunks.
#[derive(Debug)]
pub(crate) struct Encoder {
    ask: Ask,
    /// What all chunks begin with, up to the first choice.
    prefix: Vec<u8>,
    choices: SmallVec<[ChoiceState; 1]>,
    usage: Option<Usage>,
    ended: bool,
    unsaid: Unsaid,
}

#[derive(Debug, Default)]
struct ChoiceState {
    number: u16,
    parts: SmallVec<[(u16, Open); 2]>,
    calls: u32,
    refused: bool,
    /// How much text there was, in characters: citations say where they belong.
    characters: usize,
    /// They go out with the next text.
    logprobs: Option<Box<RawJson>>,
    stop: Option<Box<Stop>>,
}

/// A part that is open.
#[derive(Debug)]
enum Open {
    Text { start: usize },
    Reasoning { text: String },
    Call { ordinal: u32, kind: ToolCallKind, any: bool },
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.unsaid.look(event);
        match event {
            Event::Start(start) => self.start(start, out),
            Event::PartStart { part, kind } => self.part_start(*part, kind, out),
            Event::Text { part, text } => self.text(*part, text, out),
            Event::Thinking { part, text } => self.thinking(*part, text, out),
            Event::Signature { part, signature } => self.signature(*part, signature, out),
            Event::Arguments { part, fragment } => self.arguments(*part, fragment, out),
            Event::Refusal { part, text } => {
                self.state(part.choice, out).refused = true;
                self.delta(part.choice, out, |delta| delta.text("refusal", text));
            }
            Event::Citation { part, citation } => self.citation(*part, citation, out),
            Event::Logprobs { choice, logprobs } => {
                self.flush_logprobs(*choice, out);
                self.state(*choice, out).logprobs = Some(logprobs.clone());
            }
            Event::PartEnd { part } => self.part_end(*part, out),
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            // The last chunk waits for the end: calls that come later change what it says.
            Event::Stop { choice, stop } => {
                self.state(*choice, out).stop = Some(stop.clone());
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
            Event::Ping => out.extend_from_slice(KEEP_ALIVE),
            _ => {}
        }
    }

    fn losses(&self) -> &[Loss] {
        self.unsaid.found()
    }
}

impl Encoder {
    pub(crate) fn new(ask: &Ask) -> Self {
        Self {
            ask: ask.clone(),
            prefix: Vec::new(),
            choices: SmallVec::new(),
            usage: None,
            ended: false,
            unsaid: Unsaid::default(),
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if let Some(usage) = &start.usage {
            self.usage.get_or_insert_default().update(usage);
        }
        self.begin(start);
        self.state(0, out);
    }

    fn begin(&mut self, start: &Start) {
        // They stand in every chunk: long ones would make much of little.
        let named = (1..=LONGEST_NAME).contains(&start.model.len());
        let model = if named { &start.model } else { &self.ask.model };
        self.prefix = b"data: ".to_vec();
        let mut chunk = Object::begin(&mut self.prefix);
        chunk.text("id", &reply_id(&start.id, &self.ask));
        chunk.text("object", "chat.completion.chunk");
        chunk.number("created", start.created.unwrap_or(self.ask.created));
        chunk.text("model", model);
        if let Some(told) = &start.service_tier {
            match service_tier(told) {
                Some(tier) => chunk.text("service_tier", tier),
                None => self.unsaid.note("service_tier", "the caller's dialect has no such tier"),
            }
        }
        chunk.member("choices").push(b'[');
    }

    /// The state of a choice. A new one begins with its role.
    fn state(&mut self, number: u16, out: &mut Vec<u8>) -> &mut ChoiceState {
        if let Some(at) = self.choices.iter().position(|choice| choice.number == number) {
            return &mut self.choices[at];
        }
        self.choices.push(ChoiceState { number, ..ChoiceState::default() });
        self.delta(number, out, |delta| {
            delta.text("role", "assistant");
            delta.text("content", "");
        });
        let last = self.choices.len() - 1;
        &mut self.choices[last]
    }

    fn delta(&mut self, number: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        self.choice_chunk(number, None, None, out, write);
    }

    /// A chunk about one choice.
    fn choice_chunk(
        &mut self,
        number: u16,
        logprobs: Option<&RawJson>,
        finish: Option<&str>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Object<'_>),
    ) {
        if self.prefix.is_empty() {
            self.begin(&Start::default());
        }
        out.extend_from_slice(&self.prefix);
        let start = out.len();
        // It is written for every piece of text: what never changes is not put together each time.
        out.extend_from_slice(b"{\"index\":");
        json::integer(out, number);
        out.extend_from_slice(b",\"delta\":");
        let mut delta = Object::begin(out);
        write(&mut delta);
        delta.end();
        if let Some(logprobs) = logprobs {
            out.extend_from_slice(b",\"logprobs\":");
            out.extend_from_slice(logprobs.get().as_bytes());
        }
        out.extend_from_slice(b",\"finish_reason\":");
        match finish {
            Some(word) => json::string(out, word),
            None => out.extend_from_slice(b"null"),
        }
        json::one_line(&mut out[start..]);
        out.extend_from_slice(b"}]}\n\n");
    }

    fn part_start(&mut self, part: PartId, kind: &PartKind, out: &mut Vec<u8>) {
        let show = self.ask.show_reasoning;
        let state = self.state(part.choice, out);
        let open = match kind {
            PartKind::Text => Open::Text { start: state.characters },
            PartKind::Reasoning => Open::Reasoning { text: String::new() },
            PartKind::ToolCall { id, name, kind } => {
                let ordinal = state.calls;
                state.calls += 1;
                self.delta(part.choice, out, |delta| {
                    in_call(delta, ordinal, |call| begin_call(call, id, name, *kind));
                });
                Open::Call { ordinal, kind: *kind, any: false }
            }
            PartKind::Redacted(data) => {
                if show {
                    let origin = self.ask.origin.clone();
                    self.delta(part.choice, out, |delta| {
                        let mut blocks = Array::begin(delta.member("thinking_blocks"));
                        wire::encode_redacted(blocks.item(), data, origin.as_deref());
                        blocks.end();
                    });
                }
                return;
            }
            PartKind::Opaque { kind, value } if *kind == "audio" => {
                self.delta(part.choice, out, |delta| delta.raw("audio", value.get()));
                return;
            }
            PartKind::Refusal => return,
            other => return self.unsaid.part(other),
        };
        self.state(part.choice, out).parts.push((part.index, open));
    }

    fn text(&mut self, part: PartId, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let state = self.state(part.choice, out);
        state.characters += text.chars().count();
        let logprobs = state.logprobs.take();
        self.choice_chunk(part.choice, logprobs.as_deref(), None, out, |delta| {
            delta.text("content", text);
        });
    }

    fn thinking(&mut self, part: PartId, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() || !self.ask.show_reasoning {
            return;
        }
        if let Some(Open::Reasoning { text: all }) = self.state(part.choice, out).open(part)
            && all.len() + text.len() <= LONGEST_SIGNED
        {
            all.push_str(text);
        }
        self.delta(part.choice, out, |delta| delta.text("reasoning_content", text));
    }

    fn signature(&mut self, part: PartId, signature: &str, out: &mut Vec<u8>) {
        let show = self.ask.show_reasoning;
        let origin = self.ask.origin.clone();
        match self.state(part.choice, out).open(part) {
            Some(Open::Reasoning { text }) if show => {
                let text = std::mem::take(text);
                self.delta(part.choice, out, |delta| {
                    let mut blocks = Array::begin(delta.member("thinking_blocks"));
                    wire::encode_thinking(blocks.item(), &text, Some(signature), origin.as_deref());
                    blocks.end();
                });
            }
            Some(Open::Call { ordinal, .. }) => {
                let ordinal = *ordinal;
                self.delta(part.choice, out, |delta| {
                    let signature = mark(origin.as_deref(), signature);
                    in_call(delta, ordinal, |call| write_call_signature(call, &signature));
                });
            }
            _ => {}
        }
    }

    fn arguments(&mut self, part: PartId, fragment: &str, out: &mut Vec<u8>) {
        let Some(Open::Call { ordinal, kind, any }) = self.state(part.choice, out).open(part)
        else {
            return;
        };
        if fragment.is_empty() {
            return;
        }
        *any = true;
        let (ordinal, kind) = (*ordinal, *kind);
        self.delta(part.choice, out, |delta| {
            in_call(delta, ordinal, |call| more_of_call(call, fragment, kind));
        });
    }

    fn citation(&mut self, part: PartId, cited: &RawJson, out: &mut Vec<u8>) {
        let state = self.state(part.choice, out);
        let end = state.characters;
        let start = match state.open(part) {
            Some(Open::Text { start }) => *start,
            _ => end,
        };
        if let Some(annotation) = citation::nested(cited, (start, end)) {
            self.delta(part.choice, out, |delta| {
                let mut annotations = Array::begin(delta.member("annotations"));
                annotations.item().extend_from_slice(annotation.get().as_bytes());
                annotations.end();
            });
        } else {
            self.unsaid.note("citations", "only addresses are cited here");
        }
    }

    fn flush_logprobs(&mut self, number: u16, out: &mut Vec<u8>) {
        if let Some(logprobs) = self.state(number, out).logprobs.take() {
            self.choice_chunk(number, Some(&logprobs), None, out, |_| {});
        }
    }

    fn part_end(&mut self, part: PartId, out: &mut Vec<u8>) {
        let state = self.state(part.choice, out);
        let Some(at) = state.parts.iter().position(|(index, _)| *index == part.index) else {
            return;
        };
        let (_, open) = state.parts.remove(at);
        if let Open::Call { ordinal, kind: ToolCallKind::Function, any: false } = open {
            // Clients parse the arguments: a call without any has an empty object.
            self.delta(part.choice, out, |delta| {
                in_call(delta, ordinal, |call| more_of_call(call, "{}", ToolCallKind::Function));
            });
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let failed = |state: &ChoiceState| {
            state.stop.as_ref().is_some_and(|stop| stop.reason == StopReason::Error)
        };
        if self.choices.iter().any(failed) {
            let message = "the model failed before its answer was complete";
            let error = Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider);
            return self.fail(&error, out);
        }
        self.state(0, out);
        for at in 0..self.choices.len() {
            let choice = self.choices[at].number;
            while let Some((index, _)) = self.choices[at].parts.first() {
                let index = *index;
                self.part_end(PartId { choice, index }, out);
            }
            self.flush_logprobs(choice, out);
            let state = &mut self.choices[at];
            let stop = state.stop.take().unwrap_or_else(|| Box::new(Stop::new(StopReason::Stop)));
            let word = wire::stop_word(&stop, state.calls > 0, state.refused);
            self.choice_chunk(choice, None, Some(word), out, |_| {});
        }
        if let Some(usage) = self.usage.filter(|_| self.ask.stream_usage) {
            out.extend_from_slice(&self.prefix);
            out.extend_from_slice(b"],\"usage\":");
            usage::encode(out, &usage, &usage::CHAT);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.ended = true;
    }

    /// No last chunk and no `[DONE]`: nobody may take what came so far for the answer.
    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        out.append(&mut error::encode_in_stream(error));
        self.ended = true;
    }
}

impl ChoiceState {
    fn open(&mut self, part: PartId) -> Option<&mut Open> {
        self.parts.iter_mut().find(|(index, _)| *index == part.index).map(|(_, open)| open)
    }
}

fn in_call(delta: &mut Object<'_>, ordinal: u32, write: impl FnOnce(&mut Object<'_>)) {
    let mut calls = Array::begin(delta.member("tool_calls"));
    let mut call = calls.object();
    call.number("index", ordinal);
    write(&mut call);
    call.end();
    calls.end();
}

fn begin_call(call: &mut Object<'_>, id: &Str, name: &Str, kind: ToolCallKind) {
    let (word, arguments) = words(kind);
    call.text("id", id);
    call.text("type", word);
    let mut inner = Object::begin(call.member(word));
    inner.text("name", name);
    inner.text(arguments, "");
    inner.end();
}

fn more_of_call(call: &mut Object<'_>, fragment: &str, kind: ToolCallKind) {
    let (word, arguments) = words(kind);
    let mut inner = Object::begin(call.member(word));
    json::string(inner.member(arguments), fragment);
    inner.end();
}

/// How a kind of call is spelled, and what its arguments are called.
pub(in crate::openai) fn words(kind: ToolCallKind) -> (&'static str, &'static str) {
    match kind {
        ToolCallKind::Custom => ("custom", "input"),
        _ => ("function", "arguments"),
    }
}
