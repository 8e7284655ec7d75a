//! Reads a stream.

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{
    Error, Event, PartId, PartKind, RawJson, Restore, Start, Str, StreamDecoder, ToolCallKind,
};

use super::piece::Piece;
use crate::cohere::{error, logprobs, stop, usage};
use crate::fence::Fence;
use crate::framing::sse::{self, SseEvent};
use crate::json::{self, At, Fields};
use crate::plain_error::{malformed, misread, truncated};
use crate::spelled::text_at;
use crate::tools::undo;

/// The most parts that are open at once.
const MAX_OPEN: usize = 1024;
/// The most bytes that are kept of arguments that cannot be passed on in pieces.
const MAX_KEPT: usize = 16 << 20;

/// Reads events.
#[derive(Debug, Default)]
pub(in crate::cohere) struct Decoder {
    restore: Restore,
    started: bool,
    ended: bool,
    open: Vec<Open>,
    next: u16,
    calls: bool,
}

/// A part that is open. Contents and calls are numbered apart.
#[derive(Debug)]
struct Open {
    what: What,
    part: PartId,
    fence: Option<Fence>,
    /// Arguments that hold free text, which is unpacked at the end.
    kept: Option<String>,
}

/// What the provider calls a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The plan before calls, which has no number.
    Plan,
    Text(u64),
    Thinking(u64),
    Call(u64),
}

impl Decoder {
    pub(in crate::cohere) fn new(restore: &Restore) -> Self {
        Self { restore: restore.clone(), ..Self::default() }
    }

    /// Whether the last event has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a piece of this part that follows is nothing else.
    pub(super) fn takes(&self, what: What) -> bool {
        !self.ended && self.open.iter().any(|open| open.what == what)
    }

    /// Reads one event.
    pub(super) fn read(
        &mut self,
        event: &SseEvent<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        if event.is_comment() {
            events.push(Event::Ping);
            return Ok(());
        }
        let data = event.share();
        if data.is_empty() || data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let body = Str::from_utf8(data)
            .map_err(|_| malformed("an event of the stream is not valid UTF-8"))?;
        if self.plain(&body, events)? {
            return Ok(());
        }
        let mut fields: Fields<'_> = serde_json::from_str(&body)
            .map_err(|_| malformed("an event of the stream is no JSON object"))?;
        if let Some(error) = error::reported(&fields, &body) {
            self.fail(error, events);
            return Ok(());
        }
        let kind = fields.take("type").and_then(|kind| json::shared_text(kind, &body));
        let name = event.name.and_then(|name| std::str::from_utf8(name).ok());
        let Some(kind) = kind.as_deref().or(name) else { return Ok(()) };
        self.event(kind, fields, &body, events).map_err(misread)
    }

    /// Reads an event that is nothing but a piece of a part that has begun. `false`: it is not, or has to be looked at.
    fn plain(&mut self, body: &Str, events: &mut Vec<Event>) -> Result<bool, Error> {
        let Some(piece) = Piece::find(body.as_bytes()) else { return Ok(false) };
        let Some(text) = text_at(&piece.text, body).filter(|_| self.takes(piece.what)) else {
            return Ok(false);
        };
        match piece.what {
            What::Call(index) => self.arguments(index, &text, events)?,
            what => self.piece(what, text, events)?,
        }
        Ok(true)
    }

    fn event(
        &mut self,
        kind: &str,
        mut fields: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = At::root("event");
        let index = fields.value("index", at, "a whole number")?.unwrap_or(0_u64);
        let delta: Option<Fields<'_>> = fields.value("delta", at, "an object")?;
        let mut delta = delta.unwrap_or_default();
        let at = At::root("delta");
        if kind == "message-start" {
            let id = match fields.text("id", body, at)? {
                None => delta.text("id", body, at)?,
                id => id,
            };
            self.start(Start::new(id.unwrap_or_default(), ""), events);
            return Ok(());
        }
        if kind == "message-end" {
            return self.message_end(delta, body, events);
        }
        let message: Option<Fields<'_>> = delta.value("message", at, "an object")?;
        let mut message = message.unwrap_or_default();
        let at = At::root("message");
        if let Some(logprobs) = fields.take("logprobs").and_then(|raw| logprobs::decode(raw, body))
        {
            self.start(Start::default(), events);
            events.push(Event::Logprobs { choice: 0, logprobs: Box::new(logprobs) });
        }
        match kind {
            "tool-plan-delta" => {
                let text = message.text("tool_plan", body, at)?.unwrap_or_default();
                self.piece(What::Plan, text, events)
            }
            "content-start" | "content-delta" => {
                let content: Option<Fields<'_>> = message.value("content", at, "an object")?;
                let mut content = content.unwrap_or_default();
                let at = at.name("content");
                let kind = content.text("type", body, at)?;
                let thought = content.text("thinking", body, at)?;
                let text = content.text("text", body, at)?;
                if kind.as_deref() == Some("thinking") || thought.is_some() {
                    self.piece(What::Thinking(index), thought.unwrap_or_default(), events)?;
                }
                match text {
                    Some(text) => self.piece(What::Text(index), text, events),
                    None => Ok(()),
                }
            }
            "content-end" => {
                self.end_of(
                    |what| [What::Text(index), What::Thinking(index)].contains(&what),
                    events,
                );
                Ok(())
            }
            "tool-call-start" => match first(message.take("tool_calls")) {
                Some(call) => self.call(index, call, body, events),
                None => Ok(()),
            },
            "tool-call-delta" => {
                let call = first(message.take("tool_calls"));
                let call: Option<Fields<'_>> =
                    call.map(|call| json::read(call, at, "an object")).transpose()?;
                let function: Option<Fields<'_>> =
                    call.unwrap_or_default().value("function", at, "an object")?;
                let text = function.unwrap_or_default().text("arguments", body, at)?;
                self.arguments(index, &text.unwrap_or_default(), events)
            }
            "tool-call-end" => {
                self.end_of(|what| what == What::Call(index), events);
                Ok(())
            }
            "citation-start" => {
                if let Some(raw) = first(message.take("citations")) {
                    self.citation(RawJson::parse(body.slice_ref(raw)).ok(), events);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, start: Start, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start(Box::new(start)));
        }
    }

    /// More of a text or of a thought, which it opens if need be.
    fn piece(&mut self, what: What, text: Str, events: &mut Vec<Event>) -> Result<(), Error> {
        self.start(Start::default(), events);
        if !self.open.iter().any(|open| open.what == what) {
            if text.is_empty() && what == What::Plan {
                return Ok(());
            }
            let (kind, fence) = match what {
                What::Thinking(_) => (PartKind::Reasoning, None),
                _ => (PartKind::Text, self.restore.strips_fence().then(Fence::default)),
            };
            self.begin(Open { what, part: PartId::default(), fence, kept: None }, kind, events)?;
        }
        let Some(open) = self.open.iter_mut().find(|open| open.what == what) else { return Ok(()) };
        let part = open.part;
        let text = match &mut open.fence {
            Some(fence) => fence.push(&text).into(),
            None => text,
        };
        if !text.is_empty() {
            events.push(match what {
                What::Thinking(_) => Event::Thinking { part, text },
                _ => Event::Text { part, text },
            });
        }
        Ok(())
    }

    /// Opens a part. What was planned ends where something else begins.
    fn begin(
        &mut self,
        mut open: Open,
        kind: PartKind,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if self.open.len() >= MAX_OPEN || self.next == u16::MAX {
            return Err(malformed("it has too many parts"));
        }
        self.end_of(|what| what == What::Plan, events);
        open.part = PartId::first(self.next);
        self.next += 1;
        events.push(Event::PartStart { part: open.part, kind: Box::new(kind) });
        self.open.push(open);
        Ok(())
    }

    fn call(
        &mut self,
        index: u64,
        raw: &str,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.start(Start::default(), events);
        let at = At::root("tool_calls");
        let mut call: Fields<'_> = json::read(raw, at, "an object")?;
        let id = call.text("id", body, at)?.unwrap_or_default();
        let function: Option<Fields<'_>> = call.value("function", at, "an object")?;
        let mut function = function.unwrap_or_default();
        // Nobody can run a tool that is not named.
        let name = function.text("name", body, at)?.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| at.name("name").error("this field is required"))?;
        let first = function.text("arguments", body, at)?.unwrap_or_default();
        self.end_of(|what| what == What::Call(index), events);
        self.calls = true;
        let (name, _, kind) = undo(name, Str::new(), &self.restore);
        let kept = (kind == ToolCallKind::Custom).then(String::new);
        let what = What::Call(index);
        let open = Open { what, part: PartId::default(), fence: None, kept };
        self.begin(open, PartKind::ToolCall { id, name, kind }, events)?;
        self.arguments(index, &first, events)
    }

    fn arguments(
        &mut self,
        index: u64,
        fragment: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let what = What::Call(index);
        let Some(open) = self.open.iter_mut().find(|open| open.what == what) else { return Ok(()) };
        if fragment.is_empty() {
            return Ok(());
        }
        match &mut open.kept {
            Some(kept) if kept.len() + fragment.len() > MAX_KEPT => {
                Err(malformed(format_args!("a call is larger than {MAX_KEPT} bytes")))
            }
            Some(kept) => {
                kept.push_str(fragment);
                Ok(())
            }
            None => {
                events.push(Event::Arguments { part: open.part, fragment: fragment.clone() });
                Ok(())
            }
        }
    }

    /// A citation is about the text that is open.
    fn citation(&mut self, citation: Option<RawJson>, events: &mut Vec<Event>) {
        let is_text = |open: &&Open| matches!(open.what, What::Text(_) | What::Plan);
        if let (Some(citation), Some(open)) = (citation, self.open.iter().rev().find(is_text)) {
            events.push(Event::Citation { part: open.part, citation: Box::new(citation) });
        }
    }

    fn message_end(
        &mut self,
        mut delta: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.start(Start::default(), events);
        let at = At::root("delta");
        let word = delta.text("finish_reason", body, at)?;
        let failed = delta.take("error").map(|error| json::shared_text(error, body));
        self.end_of(|_| true, events);
        if let Some(usage) = delta.take("usage").and_then(usage::read) {
            events.push(Event::Usage(Box::new(usage)));
        }
        if failed.is_some() || matches!(word.as_deref(), Some("ERROR" | "TIMEOUT")) {
            self.fail(error::in_body(failed.flatten(), body), events);
            return Ok(());
        }
        let stop = stop::decode(word.as_deref(), self.calls);
        events.push(Event::Stop { choice: 0, stop: Box::new(stop) });
        self.ended = true;
        events.push(Event::End);
        Ok(())
    }

    fn fail(&mut self, error: Error, events: &mut Vec<Event>) {
        self.start(Start::default(), events);
        self.end_of(|_| true, events);
        self.ended = true;
        events.push(Event::Error(error));
    }

    /// Closes the parts that end here.
    fn end_of(&mut self, ends: impl Fn(What) -> bool, events: &mut Vec<Event>) {
        let mut at = 0;
        while at < self.open.len() {
            if !ends(self.open[at].what) {
                at += 1;
                continue;
            }
            let Open { part, fence, kept, .. } = self.open.remove(at);
            let held = fence.map(Fence::finish).unwrap_or_default();
            if !held.is_empty() {
                events.push(Event::Text { part, text: held.into() });
            }
            if let Some(kept) = kept {
                let fragment = crate::tools::free_text(&kept.into());
                events.push(Event::Arguments { part, fragment });
            }
            events.push(Event::PartEnd { part });
        }
    }
}

/// A thing, or the first of a list of them: the documentation says one, some servers send the other.
fn first(raw: Option<&str>) -> Option<&str> {
    let raw = raw?;
    if !raw.starts_with('[') {
        return Some(raw);
    }
    let list: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    list.first().map(|raw| raw.get())
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), Error> {
        for event in sse::events(bytes) {
            self.read(&event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if !self.ended {
            self.fail(truncated(), events);
        }
    }
}
