//! Reads a stream.

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Event, PartId, PartKind, RawJson, Restore, Start, Str, StreamDecoder};

use super::piece::{Delta, Piece};
use crate::anthropic::usage::Counts;
use crate::anthropic::{error, stop};
use crate::arguments::Arguments;
use crate::fence::Fence;
use crate::framing::sse::{self, SseEvent};
use crate::json::{self, At, Fields, Object};
use crate::spelled::text_at;

/// The most bytes that are kept of a block that cannot be passed on in pieces.
const MAX_KEPT: usize = 16 << 20;

/// The most blocks that are open at once. There should be one.
const MAX_OPEN: usize = 1024;

/// Reads events.
#[derive(Debug)]
pub(in crate::anthropic) struct Decoder {
    restore: Restore,
    counts: Counts,
    /// Blocks that have begun. There is one at a time, but nothing breaks if a server thinks otherwise.
    open: Vec<Block>,
    next: u16,
    progress: Progress,
    /// Whether the answer calls tools.
    calls: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    #[default]
    Nothing,
    Started,
    Stopped,
    Ended,
}

#[derive(Debug)]
struct Block {
    /// The provider's number for it.
    index: u64,
    part: PartId,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text {
        fence: Option<Fence>,
    },
    Thinking,
    Tool {
        /// Arguments that came whole at the beginning, as some servers send them.
        whole: Option<Str>,
        /// What becomes of the arguments.
        arguments: Arguments,
    },
    /// All of it was told at its beginning.
    Complete,
    /// Only this dialect understands it: it is told when it is complete.
    Opaque {
        kind: Str,
        block: Str,
        input: String,
        content: String,
    },
}

impl Decoder {
    pub(in crate::anthropic) fn new(restore: &Restore) -> Self {
        Self {
            restore: restore.clone(),
            counts: Counts::default(),
            open: Vec::new(),
            next: 0,
            progress: Progress::default(),
            calls: false,
        }
    }

    /// Whether the last event has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// Whether all that matters has come, even if the last event has not.
    fn is_complete(&self) -> bool {
        self.progress >= Progress::Stopped
    }

    /// Takes note of a piece that was read on the side; whether the block is one that takes it.
    pub(super) fn takes(&mut self, piece: &Piece) -> bool {
        let Some(block) = self.open.iter_mut().find(|block| block.index == piece.index) else {
            return false;
        };
        match (&mut block.kind, piece.delta) {
            (Kind::Text { .. }, Delta::Text) | (Kind::Thinking, Delta::Thinking) => true,
            (Kind::Tool { arguments: Arguments::Stream(seen), .. }, Delta::Arguments) => {
                *seen |= !piece.text.is_empty();
                true
            }
            _ => false,
        }
    }

    /// Reads an event that is nothing but a piece of a block that has begun. `false`: it is not, or has to be looked at.
    fn plain(&mut self, event: &SseEvent<'_>, events: &mut Vec<Event>) -> bool {
        let Some(data) = event.data.as_deref().filter(|_| event.name != Some(b"error")) else {
            return false;
        };
        let Some(piece) = Piece::find(data).filter(|piece| self.takes(piece)) else { return false };
        let Ok(body) = Str::from_utf8(event.share()) else { return false };
        let Some(text) = text_at(&piece.text, &body) else { return false };
        let Some(part) = self.open.iter().find(|block| block.index == piece.index) else {
            return false;
        };
        let part = part.part;
        match piece.delta {
            Delta::Text => self.text(part, &text, events),
            _ if text.is_empty() => {}
            Delta::Thinking => events.push(Event::Thinking { part, text }),
            Delta::Arguments => events.push(Event::Arguments { part, fragment: text }),
        }
        true
    }

    /// Reads one event.
    pub(super) fn read(
        &mut self,
        event: &SseEvent<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if self.has_ended() {
            return Ok(());
        }
        if event.is_comment() {
            events.push(Event::Ping);
            return Ok(());
        }
        if self.plain(event, events) {
            return Ok(());
        }
        let data = event.share();
        if data.is_empty() {
            return Ok(());
        }
        let body = Str::from_utf8(data)
            .map_err(|_| error::malformed("an event of the stream is not valid UTF-8"))?;
        let mut fields: Fields<'_> = serde_json::from_str(&body)
            .map_err(|_| error::malformed("an event of the stream is no JSON object"))?;
        let kind = fields.take("type").and_then(|kind| json::shared_text(kind, &body));
        let name = event.name.and_then(|name| std::str::from_utf8(name).ok());
        // Clients take an event of this name for an error, whatever its data says.
        let kind = if name == Some("error") { name } else { kind.as_deref().or(name) };
        let Some(kind) = kind else { return Ok(()) };
        self.event(kind, fields, &body, event, events).map_err(|error| match error.param() {
            Some(_) => error::malformed(error),
            None => error,
        })
    }

    fn event(
        &mut self,
        kind: &str,
        mut fields: Fields<'_>,
        body: &Str,
        event: &SseEvent<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let index = |fields: &mut Fields<'_>| {
            fields
                .value("index", At::root("event"), "a whole number")
                .map(Option::unwrap_or_default)
        };
        match kind {
            "message_start" => self.message_start(fields, body, events)?,
            "content_block_start" => {
                self.start(events);
                let index = index(&mut fields)?;
                let at = At::root("content_block");
                let Some(raw) = fields.take("content_block") else {
                    return Err(at.error("this field is required"));
                };
                self.block_start(index, raw, body, events)?;
            }
            "content_block_delta" => {
                self.start(events);
                let index = index(&mut fields)?;
                let delta = fields.value("delta", At::root("event"), "an object")?;
                self.block_delta(index, delta.unwrap_or_default(), body, events)?;
            }
            "content_block_stop" => {
                let index = index(&mut fields)?;
                if let Some(at) = self.open.iter().position(|block| block.index == index) {
                    let block = self.open.remove(at);
                    self.close(block, events);
                }
            }
            "message_delta" => {
                self.start(events);
                let delta = fields.value("delta", At::root("event"), "an object")?;
                self.message_delta(delta.unwrap_or_default(), body, events)?;
                if let Some(counts) = fields.take("usage").and_then(Counts::read) {
                    self.counts.update(&counts);
                    events.push(Event::Usage(Box::new(self.counts.usage())));
                }
            }
            "message_stop" => {
                self.start(events);
                self.close_all(events);
                self.progress = Progress::Ended;
                events.push(Event::End);
            }
            "ping" => events.push(Event::Ping),
            "error" => {
                self.start(events);
                self.progress = Progress::Ended;
                events.push(Event::Error(error::in_body(body, event.share())));
            }
            _ => {}
        }
        Ok(())
    }

    fn message_start(
        &mut self,
        mut fields: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = At::root("message");
        let message = fields.value("message", At::root("event"), "an object")?;
        let mut message: Fields<'_> = message.unwrap_or_default();
        let mut start = Start::new(
            message.text("id", body, at)?.unwrap_or_default(),
            message.text("model", body, at)?.unwrap_or_default(),
        );
        if let Some(mut usage) = message.value::<Fields<'_>>("usage", at, "an object")? {
            self.counts.update(&Counts::take(&mut usage));
            start.usage = Some(self.counts.usage());
            start.service_tier = usage.text("service_tier", body, at.name("usage"))?;
        }
        if self.progress == Progress::Nothing {
            self.progress = Progress::Started;
            events.push(Event::Start(Box::new(start)));
        }
        Ok(())
    }

    /// Every answer has a beginning, even if its provider forgot it.
    fn start(&mut self, events: &mut Vec<Event>) {
        if self.progress == Progress::Nothing {
            self.progress = Progress::Started;
            events.push(Event::Start(Box::default()));
        }
    }

    fn block_start(
        &mut self,
        index: u64,
        raw: &str,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.room()?;
        if let Some(at) = self.open.iter().position(|block| block.index == index) {
            let block = self.open.remove(at);
            self.close(block, events);
        }
        let at = At::root("content_block");
        let mut fields: Fields<'_> = json::read(raw, at, "an object")?;
        let kind = fields.need("type", body, at)?;
        let mut text = |name| fields.text(name, body, at);
        match kind.as_str() {
            "text" => {
                let text = text("text")?;
                let part = self.open_text(index, events);
                if let Some(text) = text {
                    self.text(part, &text, events);
                }
                let citations: Vec<&RawValue> =
                    fields.value("citations", at, "a list")?.unwrap_or_default();
                events.extend(citations.into_iter().map(|raw| Event::Citation {
                    part,
                    citation: Box::new(RawJson::from_raw(raw, body)),
                }));
            }
            "thinking" => {
                let (thought, signature) = (text("thinking")?, text("signature")?);
                let part = self.open(index, Kind::Thinking, Some(PartKind::Reasoning), events);
                if let Some(text) = thought.filter(|text| !text.is_empty()) {
                    events.push(Event::Thinking { part, text });
                }
                if let Some(signature) = signature.filter(|signature| !signature.is_empty()) {
                    events.push(Event::Signature { part, signature });
                }
            }
            "redacted_thinking" => {
                let data = text("data")?.unwrap_or_default();
                self.open(index, Kind::Complete, Some(PartKind::Redacted(data)), events);
            }
            "tool_use" => {
                let (id, name) = (text("id")?.unwrap_or_default(), text("name")?);
                // Nobody can run a tool that is not named.
                let name = name.filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| at.name("name").error("this field is required"))?;
                let whole = fields.take("input").map(|input| json::compact(input, body));
                let whole = whole.filter(|input| input.len() > 2 && input.starts_with('{'));
                self.open_tool(index, id, name, whole, events);
            }
            _ => {
                let block = body.slice_ref(raw);
                let kind =
                    Kind::Opaque { kind, block, input: String::new(), content: String::new() };
                self.open(index, kind, None, events);
            }
        }
        Ok(())
    }

    /// Whether one more block can begin.
    fn room(&self) -> Result<(), Error> {
        if self.open.len() >= MAX_OPEN || self.next == u16::MAX {
            return Err(error::malformed("it has too many blocks"));
        }
        Ok(())
    }

    fn open_tool(
        &mut self,
        index: u64,
        id: Str,
        name: Str,
        whole: Option<Str>,
        events: &mut Vec<Event>,
    ) {
        let (arguments, told) = Arguments::begin(id, name, &self.restore);
        self.calls |= arguments.is_call();
        self.open(index, Kind::Tool { whole, arguments }, Some(told), events);
    }

    fn open_text(&mut self, index: u64, events: &mut Vec<Event>) -> PartId {
        let fence = self.restore.strips_fence().then(Fence::default);
        self.open(index, Kind::Text { fence }, Some(PartKind::Text), events)
    }

    fn open(
        &mut self,
        index: u64,
        kind: Kind,
        told: Option<PartKind>,
        events: &mut Vec<Event>,
    ) -> PartId {
        let part = PartId::first(self.next);
        self.next = self.next.saturating_add(1);
        self.open.push(Block { index, part, kind });
        if let Some(told) = told {
            events.push(Event::PartStart { part, kind: Box::new(told) });
        }
        part
    }

    fn block_delta(
        &mut self,
        index: u64,
        mut delta: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = At::root("delta");
        let kind = delta.need("type", body, at)?;
        let known = self.open.iter().any(|block| block.index == index);
        let mut text = |name| delta.text(name, body, at).map(Option::unwrap_or_default);
        match kind.as_str() {
            "text_delta" => {
                let text = text("text")?;
                if !known && !text.is_empty() {
                    self.room()?;
                    self.open_text(index, events);
                }
                if let Some(block) = self.open.iter().find(|block| block.index == index)
                    && matches!(block.kind, Kind::Text { .. })
                {
                    self.text(block.part, &text, events);
                }
            }
            "thinking_delta" => {
                let text = text("thinking")?;
                if !known && !text.is_empty() {
                    self.room()?;
                    self.open(index, Kind::Thinking, Some(PartKind::Reasoning), events);
                }
                if let Some(part) = self.thinking(index).filter(|_| !text.is_empty()) {
                    events.push(Event::Thinking { part, text });
                }
            }
            "signature_delta" => {
                let signature = text("signature")?;
                if let Some(part) = self.thinking(index) {
                    events.push(Event::Signature { part, signature });
                }
            }
            "input_json_delta" => self.arguments(index, &text("partial_json")?, events)?,
            "compaction_delta" => {
                let more = text("content")?;
                for block in self.open.iter_mut().filter(|block| block.index == index) {
                    if let Kind::Opaque { content, .. } = &mut block.kind {
                        append(content, &more)?;
                    }
                }
            }
            "citations_delta" => {
                let citation = delta.take("citation");
                let citation = citation.and_then(|raw| RawJson::parse(body.slice_ref(raw)).ok());
                let block = self.open.iter().find(|block| block.index == index);
                if let (Some(citation), Some(block)) = (citation, block)
                    && matches!(block.kind, Kind::Text { .. })
                {
                    let citation = Box::new(citation);
                    events.push(Event::Citation { part: block.part, citation });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn thinking(&self, index: u64) -> Option<PartId> {
        let block = self.open.iter().find(|block| block.index == index)?;
        matches!(block.kind, Kind::Thinking).then_some(block.part)
    }

    fn text(&mut self, part: PartId, text: &Str, events: &mut Vec<Event>) {
        let block = self.open.iter_mut().find(|block| block.part == part);
        let text = match block.map(|block| &mut block.kind) {
            Some(Kind::Text { fence: Some(fence) }) => fence.push(text).into(),
            _ => text.clone(),
        };
        if !text.is_empty() {
            events.push(Event::Text { part, text });
        }
    }

    fn arguments(&mut self, index: u64, piece: &Str, events: &mut Vec<Event>) -> Result<(), Error> {
        let Some(block) = self.open.iter_mut().find(|block| block.index == index) else {
            return Ok(());
        };
        if piece.is_empty() {
            return Ok(());
        }
        let part = block.part;
        match &mut block.kind {
            Kind::Tool { arguments, .. } => arguments.piece(part, piece, events)?,
            Kind::Opaque { input, .. } => append(input, piece)?,
            _ => {}
        }
        Ok(())
    }

    fn message_delta(
        &mut self,
        mut delta: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = At::root("delta");
        let Some(reason) = delta.text("stop_reason", body, at)? else { return Ok(()) };
        if self.progress >= Progress::Stopped {
            return Ok(());
        }
        let sequence = delta.text("stop_sequence", body, at)?;
        let details = delta.take("stop_details");
        let details = details.and_then(|raw| RawJson::parse(body.slice_ref(raw)).ok());
        self.close_all(events);
        self.progress = Progress::Stopped;
        let stop = stop::decode(&reason, sequence, details, self.calls);
        events.push(Event::Stop { choice: 0, stop: Box::new(stop) });
        Ok(())
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        for block in std::mem::take(&mut self.open) {
            self.close(block, events);
        }
    }

    fn close(&mut self, block: Block, events: &mut Vec<Event>) {
        let part = block.part;
        match block.kind {
            Kind::Text { fence } => {
                let held = fence.map(Fence::finish).unwrap_or_default();
                if !held.is_empty() {
                    events.push(Event::Text { part, text: held.into() });
                }
            }
            Kind::Tool { whole, arguments } => arguments.finish(part, whole, events),
            Kind::Opaque { kind, block, input, content } => {
                let value = complete(&block, &input, &content);
                let kind = Box::new(PartKind::Opaque { kind, value });
                events.push(Event::PartStart { part, kind });
            }
            Kind::Thinking | Kind::Complete => {}
        }
        events.push(Event::PartEnd { part });
    }
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), Error> {
        for event in sse::events(bytes) {
            self.read(&event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.has_ended() {
            return;
        }
        if self.is_complete() {
            self.close_all(events);
            events.push(Event::End);
        } else {
            self.start(events);
            events.push(Event::Error(error::truncated()));
        }
        self.progress = Progress::Ended;
    }
}

fn append(kept: &mut String, more: &str) -> Result<(), Error> {
    if kept.len() + more.len() > MAX_KEPT {
        return Err(error::malformed(format_args!("a block is larger than {MAX_KEPT} bytes")));
    }
    kept.push_str(more);
    Ok(())
}

/// A block as it is when all of its deltas have come.
fn complete(block: &Str, input: &str, content: &str) -> RawJson {
    let whole = || RawJson::parse(block.clone()).unwrap_or(RawJson::NULL);
    if input.is_empty() && content.is_empty() {
        return whole();
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(block) else { return whole() };
    let mut out = Vec::with_capacity(block.len() + input.len() + content.len());
    let mut object = Object::begin(&mut out);
    let replaced = |name: &str| {
        (name == "input" && !input.is_empty()) || (name == "content" && !content.is_empty())
    };
    for (name, value) in fields.iter().filter(|(name, _)| !replaced(name)) {
        object.raw_named(name, value);
    }
    if !input.is_empty() {
        match serde_json::from_str::<&RawValue>(input) {
            Ok(raw) => object.raw("input", raw.get()),
            Err(_) => object.text("input", input),
        }
    }
    if !content.is_empty() {
        object.text("content", content);
    }
    object.end();
    json::raw_json(out).unwrap_or_else(whole)
}
