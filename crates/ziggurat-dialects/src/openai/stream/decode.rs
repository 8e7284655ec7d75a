//! Chunks into events.

use bytes::Bytes;
use smallvec::SmallVec;
use ziggurat_core::{Error, Event, Restore, ServiceTier, Start, Str, StreamDecoder};

use super::choice::{ChoiceState, Flow};
use super::piece::{Piece, What};
use crate::framing::sse::{self, SseEvent};
use crate::node::Node;
use crate::openai::OPENAI;
use crate::openai_api::{error, malformed, usage};
use crate::spelled::text_at;

/// The most choices: callers can ask for 128.
const MAX_CHOICES: usize = 1024;

/// Decodes a stream of chunks.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    restore: Restore,
    id: Str,
    started: bool,
    ended: bool,
    choices: SmallVec<[ChoiceState; 1]>,
}

/// What an event turned out to be, for those who withhold some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but usage.
    UsageOnly,
    /// Anything else.
    Other,
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), Error> {
        for event in sse::events(bytes) {
            self.read(&event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        if self.is_complete() {
            self.end(events);
        } else {
            self.fail(error::truncated(), events);
        }
    }
}

impl Decoder {
    pub(crate) fn new(restore: &Restore) -> Self {
        Self { restore: restore.clone(), ..Self::default() }
    }

    /// Reads one event of the stream.
    pub(super) fn read(
        &mut self,
        event: &SseEvent<'_>,
        events: &mut Vec<Event>,
    ) -> Result<Kind, Error> {
        if self.ended {
            return Ok(Kind::Other);
        }
        let Some(data) = &event.data else {
            if event.comment {
                events.push(Event::Ping);
            }
            return Ok(Kind::Other);
        };
        if data.trim_ascii() == b"[DONE]" {
            self.end(events);
            return Ok(Kind::Other);
        }
        let data = Str::from_utf8(event.share()).map_err(|_| malformed("it is not UTF-8"))?;
        if event.name.is_none() && self.plain(&data, events) {
            return Ok(Kind::Other);
        }
        self.chunk(&data, event.name == Some(b"error"), events)
    }

    /// Reads a chunk that is nothing but more of the text that is open. `false`: it is not, or has to be looked at.
    fn plain(&mut self, data: &Str, events: &mut Vec<Event>) -> bool {
        let first = self.choices.iter_mut().find(|choice| choice.choice == 0);
        let Some(first) = first.filter(|choice| choice.goes_on()) else { return false };
        let piece = Piece::find(data.as_bytes());
        let Some(piece) = piece.filter(|piece| matches!(piece.what, What::Text)) else {
            return false;
        };
        let Some(text) = text_at(&piece.text, data) else { return false };
        first.text(text, events);
        true
    }

    /// Whether every choice has ended.
    pub(super) fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.stopped)
    }

    fn chunk(
        &mut self,
        data: &Str,
        is_error: bool,
        events: &mut Vec<Event>,
    ) -> Result<Kind, Error> {
        let chunk = Node::root("chunk", data);
        if !chunk.is_object() {
            // An event that is no chunk is none of ours, unless it is no JSON at all.
            return chunk.raw().map(|_| Kind::Other).map_err(|_| malformed("an event is no JSON"));
        }
        let names =
            ["error", "choices", "usage", "id", "model", "created", "service_tier", "x_groq"];
        let [failed, choices, usage, id, model, created, tier, groq] =
            chunk.pick(names).map_err(|_| malformed("an event is not valid JSON"))?;

        if failed.is_some() || is_error {
            let error = error::in_stream(OPENAI, failed.as_ref().unwrap_or(&chunk), data);
            self.fail(error, events);
            return Ok(Kind::Other);
        }
        let usage = usage.or_else(|| groq.as_ref().and_then(|groq| groq.get("usage")));
        let mut usage = usage.as_ref().and_then(|usage| usage::decode(usage, &usage::CHAT));
        let tier = tier.and_then(|tier| tier.as_string());
        if let (Some(usage), Some(tier)) = (&mut usage, &tier) {
            usage.tier = ServiceTier::parse(tier);
        }
        let choices = choices.filter(Node::is_list);
        let empty = choices.is_none_or(|choices| choices.text()[1..].trim_start().starts_with(']'));
        if empty && usage.is_none() {
            // Azure begins with a chunk that has neither choices nor a name.
            return Ok(Kind::Other);
        }
        if !self.started {
            let string = |node: Option<Node<'_>>| node.and_then(|node| node.as_string());
            let mut start =
                Start::new(string(id).unwrap_or_default(), string(model).unwrap_or_default());
            start.created = created.and_then(|created| created.as_count());
            start.service_tier = tier;
            self.start(start, events);
        }
        if let Some(choices) = choices.filter(|_| !empty) {
            choices
                .items(|_, choice| self.choice(&choice, events))
                .map_err(|_| malformed("a chunk is not valid JSON"))?;
        }
        if let Some(usage) = usage {
            events.push(Event::Usage(Box::new(usage)));
            if empty {
                return Ok(Kind::UsageOnly);
            }
        }
        Ok(Kind::Other)
    }

    fn start(&mut self, start: Start, events: &mut Vec<Event>) {
        self.started = true;
        self.id = start.id.clone();
        events.push(Event::Start(Box::new(start)));
    }

    /// `[DONE]`, or the end of a stream that has none.
    fn end(&mut self, events: &mut Vec<Event>) {
        if !self.started {
            self.start(Start::default(), events);
        }
        for choice in &mut self.choices {
            if !choice.stopped && choice.content {
                choice.stop(None, events);
            }
            choice.close(events);
        }
        self.ended = true;
        events.push(Event::End);
    }

    fn fail(&mut self, error: Error, events: &mut Vec<Event>) {
        if !self.started {
            self.start(Start::default(), events);
        }
        for choice in &mut self.choices {
            choice.close(events);
        }
        self.ended = true;
        events.push(Event::Error(error));
    }

    /// The state of a choice.
    pub(super) fn state(&mut self, number: u16) -> &mut ChoiceState {
        state(&mut self.choices, number)
    }

    fn choice(&mut self, node: &Node<'_>, events: &mut Vec<Event>) -> Result<(), Error> {
        let [index, delta, message, text, logprobs, finish] =
            node.pick(["index", "delta", "message", "text", "logprobs", "finish_reason"])?;
        let number = index.and_then(|index| index.as_count()).unwrap_or(0);
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let Self { id, restore, choices, .. } = self;
        if choices.len() >= MAX_CHOICES && choices.iter().all(|choice| choice.choice != number) {
            return Err(malformed("it has too many choices"));
        }
        let state = state(choices, number);
        if let Some(logprobs) = logprobs {
            let logprobs = Box::new(logprobs.raw()?);
            events.push(Event::Logprobs { choice: number, logprobs });
        }
        // A few servers send a whole message where a delta belongs.
        if let Some(delta) = delta.or(message).filter(Node::is_object) {
            state.delta(&delta, id, restore, events)?;
        } else if let Some(text) = text {
            // A text, where a prompt is continued.
            state.content(&text, events)?;
        }
        if let Some(word) = finish.and_then(|finish| finish.as_string())
            && !state.stopped
            && !word.is_empty()
        {
            state.stop(Some(&word), events);
        }
        Ok(())
    }

    /// Whether the stream's end was read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes note of a chunk that was not decoded since it holds nothing but a piece of `flow`.
    pub(super) fn skip(&mut self, number: u16, flow: Option<Flow>, scratch: &mut Vec<Event>) {
        if !self.started {
            self.start(Start::default(), scratch);
        }
        let state = self.state(number);
        if let Some(flow) = flow {
            state.skip(flow, scratch);
        }
    }
}

fn state(choices: &mut SmallVec<[ChoiceState; 1]>, number: u16) -> &mut ChoiceState {
    let found = choices.iter().position(|choice| choice.choice == number);
    let at = found.unwrap_or_else(|| {
        choices.push(ChoiceState::new(number));
        choices.len() - 1
    });
    &mut choices[at]
}
