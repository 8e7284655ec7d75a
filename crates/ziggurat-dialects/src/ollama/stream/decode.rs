//! Lines into events.

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Event, PartId, PartKind, Restore, Start, Str, StreamDecoder};

use super::piece::Piece;
use crate::clock::unix_seconds;
use crate::framing::ndjson::lines;
use crate::json::{At, Fields};
use crate::ollama::reply::name_call;
use crate::ollama::{KEEP_ALIVE_LINE, call, error, logprobs, stop, usage};
use crate::plain_error::{malformed, misread, truncated};
use crate::spelled::text_at;
use crate::tools::undo;

/// Decodes a stream of lines.
#[derive(Debug, Default)]
pub(in crate::ollama) struct Decoder {
    restore: Restore,
    started: bool,
    ended: bool,
    /// The part that goes on with the next piece of its kind.
    open: Option<(Flow, PartId)>,
    next: u16,
    calls: usize,
}

/// Parts that come in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Text,
    Reasoning,
}

impl Decoder {
    pub(in crate::ollama) fn new(restore: &Restore) -> Self {
        Self { restore: restore.clone(), ..Self::default() }
    }

    /// Whether the last line has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the part that is open goes on with a piece of this kind.
    pub(super) fn goes_on(&self, flow: Flow) -> bool {
        self.started && !self.ended && self.open.is_some_and(|(open, _)| open == flow)
    }

    /// Reads one line.
    pub(super) fn read(&mut self, line: &Bytes, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        let body = Str::from_utf8(line.clone())
            .map_err(|_| malformed("a line of the stream is not valid UTF-8"))?;
        if self.plain(&body, events) {
            return Ok(());
        }
        let fields: Fields<'_> = serde_json::from_str(&body)
            .map_err(|_| malformed("a line of the stream is no JSON object"))?;
        if let Some(failed) = fields.get("error") {
            let error = error::in_body(failed, &body);
            self.start(Start::default(), events);
            self.close(events);
            self.ended = true;
            events.push(Event::Error(error));
            return Ok(());
        }
        self.line(fields, &body, events).map_err(misread)
    }

    /// Reads a line that is nothing but more of the part that is open. `false`: it is not, or has to be looked at.
    fn plain(&mut self, body: &Str, events: &mut Vec<Event>) -> bool {
        let Some(piece) = Piece::find(body.as_bytes()) else { return false };
        let Some((_, part)) = self.open.filter(|_| self.goes_on(piece.flow)) else { return false };
        let Some(text) = text_at(&piece.text, body) else { return false };
        events.push(match piece.flow {
            Flow::Text => Event::Text { part, text },
            Flow::Reasoning => Event::Thinking { part, text },
        });
        true
    }

    fn line(
        &mut self,
        mut fields: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let made = fields.text("created_at", body, At::root("created_at"))?;
        if !self.started {
            let model = fields.text("model", body, At::root("model"))?.unwrap_or_default();
            if model.is_empty() && *body == *KEEP_ALIVE_LINE {
                // A gateway's, before the answer has begun.
                events.push(Event::Ping);
                return Ok(());
            }
            let mut start = Start::new("", model);
            start.created = made.as_deref().and_then(unix_seconds);
            self.start(start, events);
        }
        let before = events.len();
        let at = At::root("message");
        let message: Option<Fields<'_>> = fields.value("message", at, "an object")?;
        let mut message = message.unwrap_or_default();
        if let Some(text) = message.text("thinking", body, at)?.filter(|text| !text.is_empty()) {
            let part = self.flow(Flow::Reasoning, events)?;
            events.push(Event::Thinking { part, text });
        }
        if let Some(logprobs) = fields.take("logprobs").and_then(logprobs::decode) {
            events.push(Event::Logprobs { choice: 0, logprobs: Box::new(logprobs) });
        }
        if let Some(text) = message.text("content", body, at)?.filter(|text| !text.is_empty()) {
            let part = self.flow(Flow::Text, events)?;
            events.push(Event::Text { part, text });
        }
        let calls: Option<Vec<&RawValue>> = message.value("tool_calls", at, "a list of calls")?;
        let at = at.name("tool_calls");
        for (index, raw) in calls.into_iter().flatten().enumerate() {
            let call = call::decode(raw.get(), body, at.index(index))?;
            let call = name_call(call, made.as_deref().unwrap_or_default(), self.calls);
            self.call(call, events)?;
        }
        if fields.get("done") == Some("true") {
            self.done(fields, body, events)?;
        } else if events.len() == before {
            events.push(Event::Ping);
        }
        Ok(())
    }

    /// A call comes whole.
    fn call(&mut self, call: call::Call, events: &mut Vec<Event>) -> Result<(), Error> {
        self.close(events);
        self.calls += 1;
        let (name, fragment, kind) = undo(call.name, call.arguments, &self.restore);
        let part = self.part()?;
        let kind = Box::new(PartKind::ToolCall { id: call.id, name, kind });
        events.push(Event::PartStart { part, kind });
        if !fragment.is_empty() {
            events.push(Event::Arguments { part, fragment });
        }
        events.push(Event::PartEnd { part });
        Ok(())
    }

    fn done(
        &mut self,
        mut fields: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let word = fields.text("done_reason", body, At::root("done_reason"))?;
        self.close(events);
        if let Some(usage) = usage::take(&mut fields) {
            events.push(Event::Usage(Box::new(usage)));
        }
        let stop = stop::decode(word.as_deref(), self.calls > 0);
        events.push(Event::Stop { choice: 0, stop: Box::new(stop) });
        self.ended = true;
        events.push(Event::End);
        Ok(())
    }

    fn start(&mut self, start: Start, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start(Box::new(start)));
        }
    }

    /// The open part of this kind; another that is open is closed.
    fn flow(&mut self, flow: Flow, events: &mut Vec<Event>) -> Result<PartId, Error> {
        if let Some((_, part)) = self.open.filter(|(open, _)| *open == flow) {
            return Ok(part);
        }
        self.close(events);
        let part = self.part()?;
        let kind = match flow {
            Flow::Text => PartKind::Text,
            Flow::Reasoning => PartKind::Reasoning,
        };
        events.push(Event::PartStart { part, kind: Box::new(kind) });
        self.open = Some((flow, part));
        Ok(part)
    }

    fn part(&mut self) -> Result<PartId, Error> {
        if self.next == u16::MAX {
            return Err(malformed("it has too many parts"));
        }
        self.next += 1;
        Ok(PartId::first(self.next - 1))
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some((_, part)) = self.open.take() {
            events.push(Event::PartEnd { part });
        }
    }
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), Error> {
        for line in lines(bytes) {
            self.read(&line, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        self.start(Start::default(), events);
        self.close(events);
        self.ended = true;
        events.push(Event::Error(truncated()));
    }
}
