//! Events into chunks.
//!
//! Text goes out piece by piece. A call goes out whole, since clients take it so; the reason why an answer ended waits for the
//! stream's own end, as some providers tell the usage after it.

use smallvec::SmallVec;
use ziggurat_core::{
    Ask, Content, Error, ErrorKind, Event, Loss, Part, PartId, PartKind, RawJson, Start, Stop,
    StopReason, Str, StreamEncoder, ToolCallKind, Usage,
};

use crate::gemini::grounding::Grounding;
use crate::gemini::reply::{response_id, write_answer_part};
use crate::gemini::{error, logprobs, stop, usage};
use crate::json::{self, Array, Object};
use crate::unsaid::Unsaid;

/// The most bytes that wait for a call to end.
const MAX_WAITING: usize = 16 << 20;
/// How much of a text is remembered for the citations that point into it, in bytes.
const LONGEST_CITED: usize = 1 << 20;
/// The longest name of a model that is repeated in each chunk, in bytes.
const LONGEST_NAME: usize = 256;

/// Encodes a stream as chunks.
#[derive(Debug)]
pub(in crate::gemini) struct Encoder {
    ask: Ask,
    /// What all chunks end with.
    suffix: Vec<u8>,
    started: bool,
    ended: bool,
    choices: SmallVec<[ChoiceState; 1]>,
    usage: Option<Usage>,
    /// Bytes that wait.
    held: usize,
    unsaid: Unsaid,
}

#[derive(Debug, Default)]
struct ChoiceState {
    number: u16,
    open: SmallVec<[(u16, Open); 2]>,
    /// How many parts were written: citations say where they belong.
    parts: usize,
    grounding: Grounding,
    stop: Option<Box<Stop>>,
}

/// A part that is open.
#[derive(Debug)]
enum Open {
    Text {
        text: String,
        place: Option<usize>,
        citations: Vec<RawJson>,
    },
    Thinking {
        signature: Option<Str>,
    },
    Call {
        id: Str,
        name: Str,
        kind: ToolCallKind,
        arguments: String,
        signature: Option<Str>,
        ended: bool,
    },
}

impl Encoder {
    pub(in crate::gemini) fn new(ask: &Ask) -> Self {
        Self {
            ask: ask.clone(),
            suffix: Vec::new(),
            started: false,
            ended: false,
            choices: SmallVec::new(),
            usage: None,
            held: 0,
            unsaid: Unsaid::default(),
        }
    }

    fn start(&mut self, start: &Start) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if let Some(known) = &start.usage {
            self.usage = Some(*known);
        }
        if start.service_tier.is_some() {
            self.unsaid.note("service_tier", "the caller's dialect has no such field");
        }
        // They stand in every chunk: long ones would make much of little.
        let named = (1..=LONGEST_NAME).contains(&start.model.len());
        let model = if named { &start.model } else { &self.ask.model };
        let id = response_id(&start.id, &self.ask);
        let out = &mut self.suffix;
        out.extend_from_slice(b",\"modelVersion\":");
        json::string(out, model);
        out.extend_from_slice(b",\"responseId\":");
        json::string(out, if id.len() <= LONGEST_NAME { &id } else { &self.ask.call_id });
        out.extend_from_slice(b"}\n\n");
    }

    fn state(&mut self, number: u16) -> &mut ChoiceState {
        let found = self.choices.iter().position(|choice| choice.number == number);
        let at = found.unwrap_or_else(|| {
            self.choices.push(ChoiceState { number, ..ChoiceState::default() });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    fn opened(&mut self, part: PartId) -> Option<&mut Open> {
        let state = self.choices.iter_mut().find(|choice| choice.number == part.choice)?;
        state.open.iter_mut().find(|(index, _)| *index == part.index).map(|(_, open)| open)
    }

    /// A chunk with one part of one answer.
    fn chunk(&mut self, number: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Array<'_>)) {
        self.start(&Start::default());
        out.extend_from_slice(b"data: {\"candidates\":[{\"content\":{\"parts\":");
        let start = out.len();
        let mut list = Array::begin(out);
        write(&mut list);
        list.end();
        json::one_line(&mut out[start..]);
        out.extend_from_slice(b",\"role\":\"model\"},\"index\":");
        json::integer(out, number);
        out.extend_from_slice(b"}]");
        out.extend_from_slice(&self.suffix);
        self.state(number).parts += 1;
    }

    fn part_start(&mut self, part: PartId, kind: &PartKind, out: &mut Vec<u8>) {
        self.start(&Start::default());
        let open = match kind {
            PartKind::Text | PartKind::Refusal => {
                Open::Text { text: String::new(), place: None, citations: Vec::new() }
            }
            PartKind::Reasoning => Open::Thinking { signature: None },
            PartKind::ToolCall { id, name, kind } => Open::Call {
                id: id.clone(),
                name: name.clone(),
                kind: *kind,
                arguments: String::new(),
                signature: None,
                ended: false,
            },
            PartKind::Opaque { kind, value } if is_own(kind, value) => {
                self.chunk(part.choice, out, |list| {
                    list.item().extend_from_slice(value.get().as_bytes());
                });
                return;
            }
            PartKind::Redacted(_) => return self.unsaid.part(kind),
            other => return self.unsaid.part(other),
        };
        self.state(part.choice).open.push((part.index, open));
    }

    fn text(&mut self, part: PartId, piece: &Str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let place = self.state(part.choice).parts;
        let thought = match self.opened(part) {
            Some(Open::Text { text, place: at, .. }) => {
                at.get_or_insert(place);
                if text.len() + piece.len() <= LONGEST_CITED {
                    text.push_str(piece);
                }
                false
            }
            Some(Open::Thinking { .. }) => true,
            _ => return,
        };
        self.chunk(part.choice, out, |list| {
            let mut object = list.object();
            object.text("text", piece);
            if thought {
                object.flag("thought", true);
            }
            object.end();
        });
    }

    fn arguments(&mut self, part: PartId, piece: &str, out: &mut Vec<u8>) {
        if let Some(Open::Call { arguments, .. }) = self.opened(part) {
            arguments.push_str(piece);
            self.held += piece.len();
        }
        if self.held > MAX_WAITING {
            let message = "the arguments of a call are too large to be kept until its end";
            self.fail(&Error::new(ErrorKind::BadUpstream, message), out);
        }
    }

    fn part_end(&mut self, part: PartId, out: &mut Vec<u8>) {
        let state = self.state(part.choice);
        let Some(at) = state.open.iter().position(|(index, _)| *index == part.index) else {
            return;
        };
        if let Open::Call { ended, .. } = &mut state.open[at].1 {
            *ended = true;
            self.calls(part.choice, out);
            return;
        }
        let (_, open) = state.open.remove(at);
        match open {
            Open::Text { text, place, citations } => {
                // The pieces are parts to this dialect's clients: the first of them is named.
                let place = place.unwrap_or(0);
                let mut add = |citation| state.grounding.add(citation, &text, place);
                let told = citations.iter().filter(|citation| add(*citation)).count();
                if told < citations.len() {
                    let reason = "a citation without an address cannot be told";
                    self.unsaid.note("citations", reason);
                }
            }
            Open::Thinking { signature: Some(signature) } => {
                let content = Content::Reasoning {
                    text: Str::new(),
                    signature: Some(signature),
                    redacted: None,
                };
                self.whole(part.choice, content, out);
            }
            Open::Thinking { signature: None } | Open::Call { .. } => {}
        }
    }

    /// Writes calls that have ended, in the order in which they began.
    fn calls(&mut self, choice: u16, out: &mut Vec<u8>) {
        loop {
            let state = self.state(choice);
            let first = state.open.iter().position(|(_, open)| matches!(open, Open::Call { .. }));
            let ready = |at: &usize| matches!(state.open[*at].1, Open::Call { ended: true, .. });
            let Some(at) = first.filter(ready) else { return };
            let (_, open) = state.open.remove(at);
            if let Open::Call { id, name, kind, arguments, signature, .. } = open {
                self.held = self.held.saturating_sub(arguments.len());
                let arguments = Str::from(arguments);
                let content = Content::ToolCall { id, name, arguments, kind, signature };
                self.whole(choice, content, out);
            }
        }
    }

    fn whole(&mut self, choice: u16, content: Content, out: &mut Vec<u8>) {
        let ask = self.ask.clone();
        self.chunk(choice, out, |list| {
            // Calls and thinking can always be said.
            let _ = write_answer_part(&Part::new(content), &ask, list);
        });
    }

    /// The last chunk: why each answer ended, and the usage.
    fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(&Start::default());
        self.state(0);
        for at in 0..self.choices.len() {
            let choice = self.choices[at].number;
            while let Some((index, _)) = self.choices[at].open.first() {
                let index = *index;
                self.part_end(PartId { choice, index }, out);
            }
        }
        if let Some(reason) = self.blocked() {
            out.extend_from_slice(b"data: {\"promptFeedback\":");
            let mut feedback = Object::begin(out);
            feedback.text("blockReason", &reason);
            feedback.end();
            self.end(out);
            return;
        }
        out.extend_from_slice(b"data: {\"candidates\":");
        let start = out.len();
        let mut list = Array::begin(out);
        for choice in &mut self.choices {
            let mut object = list.object();
            // Clients read the text of each chunk.
            object.raw("content", r#"{"parts":[{"text":""}],"role":"model"}"#);
            let stop = choice.stop.take().unwrap_or_else(|| Box::new(Stop::new(StopReason::Stop)));
            stop::write(&stop, &mut object);
            object.number("index", choice.number);
            if !choice.grounding.is_empty() {
                choice.grounding.write(object.member("groundingMetadata"));
            }
            object.end();
        }
        list.end();
        json::one_line(&mut out[start..]);
        self.end(out);
    }

    /// Why the prompt was not answered.
    fn blocked(&self) -> Option<Str> {
        let [only] = &self.choices[..] else { return None };
        only.stop.as_deref().filter(|_| only.parts == 0).and_then(stop::block_reason)
    }

    /// The end of the last chunk.
    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(known) = &self.usage {
            out.extend_from_slice(b",\"usageMetadata\":");
            let mut object = Object::begin(out);
            usage::write(known, &mut object);
            object.end();
        }
        out.extend_from_slice(&self.suffix);
        self.ended = true;
    }

    fn logprobs(&mut self, number: u16, logprobs: &RawJson, out: &mut Vec<u8>) {
        let Some(result) = logprobs::encode(logprobs) else {
            return self.unsaid.note("logprobs", "they are in a form that is not known");
        };
        self.start(&Start::default());
        self.state(number);
        out.extend_from_slice(b"data: {\"candidates\":[");
        let mut object = Object::begin(out);
        object.number("index", number);
        object.raw("logprobsResult", result.get());
        object.end_on_one_line().push(b']');
        out.extend_from_slice(&self.suffix);
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        error::encode_in_stream(error, out);
        self.ended = true;
    }
}

/// Whether an opaque part is this dialect's: an object with the member that it is called after.
fn is_own(kind: &str, value: &RawJson) -> bool {
    let fields = crate::gemini::camel::members(value.get());
    fields.get("type").is_none()
        && fields.iter().any(|(name, _)| name == kind || name == "fileData")
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.unsaid.look(event);
        match event {
            Event::Start(start) => self.start(start),
            Event::PartStart { part, kind } => self.part_start(*part, kind, out),
            Event::Text { part, text }
            | Event::Thinking { part, text }
            | Event::Refusal { part, text } => self.text(*part, text, out),
            Event::Arguments { part, fragment } => self.arguments(*part, fragment, out),
            Event::Signature { part, signature } => {
                if let Some(
                    Open::Thinking { signature: held } | Open::Call { signature: held, .. },
                ) = self.opened(*part)
                {
                    *held = Some(signature.clone());
                }
            }
            Event::Citation { part, citation } => {
                if let Some(Open::Text { citations, .. }) = self.opened(*part)
                    && citations.len() < 1_000
                {
                    citations.push((**citation).clone());
                }
            }
            Event::Logprobs { choice, logprobs } => self.logprobs(*choice, logprobs, out),
            Event::PartEnd { part } => self.part_end(*part, out),
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            Event::Stop { choice, stop } => {
                let state = self.state(*choice);
                state.stop.get_or_insert_with(|| stop.clone());
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.finish(out),
            _ => {}
        }
    }

    fn losses(&self) -> &[Loss] {
        self.unsaid.found()
    }
}
