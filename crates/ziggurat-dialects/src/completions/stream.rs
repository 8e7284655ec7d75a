//! Chunks, written.

use smallvec::SmallVec;
use ziggurat_core::{
    Ask, Error, ErrorKind, Event, Loss, Origin, PartKind, RawJson, Start, Stop, StopReason, Str,
    StreamEncoder, Usage,
};

use super::reply::{echoed, legacy, stop_word};
use super::reply_id;
use crate::json::Object;
use crate::openai_api::{KEEP_ALIVE, LONGEST_NAME, error, usage};
use crate::unsaid::Unsaid;

/// Encodes a stream as chunks.
#[derive(Debug)]
pub(super) struct Encoder {
    ask: Ask,
    /// What all chunks begin with, up to the first choice.
    prefix: Vec<u8>,
    choices: SmallVec<[State; 1]>,
    usage: Option<Usage>,
    ended: bool,
    unsaid: Unsaid,
}

#[derive(Debug)]
struct State {
    number: u16,
    logprobs: Option<RawJson>,
    stop: Option<Stop>,
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.unsaid.look(event);
        match event {
            Event::Start(start) => {
                if let Some(usage) = &start.usage {
                    self.usage.get_or_insert_default().update(usage);
                }
                self.begin(start);
                self.state(0, out);
            }
            Event::Text { part, text } | Event::Refusal { part, text } => {
                let logprobs = self.state(part.choice, out).logprobs.take();
                self.chunk(part.choice, text, logprobs.as_ref(), None, out);
            }
            Event::PartStart { kind, .. } => match &**kind {
                PartKind::Text | PartKind::Refusal => {}
                PartKind::Reasoning | PartKind::Redacted(_) => {
                    self.unsaid.note("reasoning", "a text has none");
                }
                PartKind::ToolCall { .. } => {
                    self.unsaid.note("tool_calls", "a text calls nothing");
                }
                other => self.unsaid.part(other),
            },
            Event::Citation { .. } => self.unsaid.note("citations", "nothing is cited here"),
            Event::Logprobs { choice, logprobs } => {
                self.state(*choice, out).logprobs = legacy(logprobs);
            }
            Event::Usage(counts) => self.usage.get_or_insert_default().update(counts),
            Event::Stop { choice, stop } => {
                self.state(*choice, out).stop = Some(Stop::clone(stop));
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
    pub(super) fn new(ask: &Ask) -> Self {
        Self {
            ask: ask.clone(),
            prefix: Vec::new(),
            choices: SmallVec::new(),
            usage: None,
            ended: false,
            unsaid: Unsaid::default(),
        }
    }

    fn begin(&mut self, start: &Start) {
        // They stand in every chunk: long ones would make much of little.
        let named = (1..=LONGEST_NAME).contains(&start.model.len());
        let model: &Str = if named { &start.model } else { &self.ask.model };
        self.prefix = b"data: ".to_vec();
        let mut chunk = Object::begin(&mut self.prefix);
        chunk.text("id", &reply_id(&start.id, &self.ask));
        chunk.text("object", "text_completion");
        chunk.number("created", start.created.unwrap_or(self.ask.created));
        chunk.text("model", model);
        chunk.member("choices").push(b'[');
    }

    /// The state of a choice. A new one begins with what is echoed.
    fn state(&mut self, number: u16, out: &mut Vec<u8>) -> &mut State {
        if let Some(at) = self.choices.iter().position(|choice| choice.number == number) {
            return &mut self.choices[at];
        }
        self.choices.push(State { number, logprobs: None, stop: None });
        let echoed = echoed(&self.ask);
        if !echoed.is_empty() {
            self.chunk(number, &echoed, None, None, out);
        }
        let last = self.choices.len() - 1;
        &mut self.choices[last]
    }

    /// A chunk about one choice.
    fn chunk(
        &mut self,
        number: u16,
        text: &str,
        logprobs: Option<&RawJson>,
        finish: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        if self.prefix.is_empty() {
            self.begin(&Start::default());
        }
        out.extend_from_slice(&self.prefix);
        let mut choice = Object::begin(out);
        choice.text("text", text);
        choice.number("index", number);
        choice.raw("logprobs", logprobs.map_or("null", RawJson::get));
        match finish {
            Some(word) => choice.text("finish_reason", word),
            None => choice.raw("finish_reason", "null"),
        }
        choice.end_on_one_line().extend_from_slice(b"]}\n\n");
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let failed = |state: &State| {
            state.stop.as_ref().is_some_and(|stop| stop.reason == StopReason::Error)
        };
        if self.choices.iter().any(failed) {
            let message = "the model failed before its answer was complete";
            let error = Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider);
            return self.fail(&error, out);
        }
        self.state(0, out);
        for at in 0..self.choices.len() {
            let state = &mut self.choices[at];
            let (number, logprobs) = (state.number, state.logprobs.take());
            let stop = state.stop.take().unwrap_or_else(|| Stop::new(StopReason::Stop));
            self.chunk(number, "", logprobs.as_ref(), Some(stop_word(&stop)), out);
        }
        if let Some(counts) = self.usage.filter(|_| self.ask.stream_usage) {
            out.extend_from_slice(&self.prefix);
            out.extend_from_slice(b"],\"usage\":");
            usage::encode(out, &counts, &usage::CHAT);
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
