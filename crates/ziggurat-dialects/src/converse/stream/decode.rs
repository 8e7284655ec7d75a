//! Reads a stream.
//!
//! Blocks of text and reasoning begin with their first piece; only others are announced. Usage comes after the reason why the answer
//! ended, and nothing comes after usage.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Event, PartId, PartKind, RawJson, Restore, Start, Str, StreamDecoder};

use super::piece::{Delta, Piece};
use crate::arguments::Arguments;
use crate::converse::reply::stop_sequence;
use crate::converse::{citation, error, state, stop, usage};
use crate::fence::Fence;
use crate::framing::event_stream::{self, Message};
use crate::json::{self, Array, At, Fields, Object};
use crate::spelled::text_at;

/// The most bytes that are kept of a block that cannot be passed on in pieces.
const MAX_KEPT: usize = 16 << 20;
/// The most blocks that are open at once. There should be one.
const MAX_OPEN: usize = 1024;

/// Reads events.
#[derive(Debug)]
pub(in crate::converse) struct Decoder {
    restore: Restore,
    /// Blocks that have begun.
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
    Text(Option<Fence>),
    Reasoning,
    /// It is told when it is complete.
    Redacted(Vec<u8>),
    Tool(Arguments),
    /// Only this dialect understands it: it is told when it is complete.
    Opaque {
        kind: Str,
        start: Str,
        input: String,
        pieces: Vec<Str>,
    },
}

impl Decoder {
    pub(in crate::converse) fn new(restore: &Restore) -> Self {
        Self {
            restore: restore.clone(),
            open: Vec::new(),
            next: 0,
            progress: Progress::default(),
            calls: false,
        }
    }

    /// Reads one message.
    pub(super) fn read(&mut self, message: &Message, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.progress == Progress::Ended {
            return Ok(());
        }
        if message.header(":message-type").is_some_and(|kind| kind != "event") {
            self.start(events);
            self.progress = Progress::Ended;
            events.push(Event::Error(error::in_stream(message)));
            return Ok(());
        }
        let Some(kind) = message.header(":event-type") else { return Ok(()) };
        if kind == "ping" {
            events.push(Event::Ping);
            return Ok(());
        }
        let body = Str::from_utf8(message.payload())
            .map_err(|_| error::malformed("an event of the stream is not valid UTF-8"))?;
        if kind == "contentBlockDelta" && self.plain(&body, events)? {
            return Ok(());
        }
        let fields: Fields<'_> = serde_json::from_str(&body)
            .map_err(|_| error::malformed("an event of the stream is no JSON object"))?;
        self.event(kind, fields, &body, events).map_err(|error| match error.param() {
            Some(_) => error::malformed(error),
            None => error,
        })
    }

    /// Reads a delta that is nothing but a piece of a block that has begun. `false`: it is not, or has to be looked at.
    fn plain(&mut self, body: &Str, events: &mut Vec<Event>) -> Result<bool, Error> {
        let Some(piece) = Piece::find(body.as_bytes()) else { return Ok(false) };
        let block = self.open.iter_mut().find(|block| block.index == piece.index);
        let Some(block) = block.filter(|_| !piece.text.is_empty()) else { return Ok(false) };
        let Some(text) = text_at(&piece.text, body) else { return Ok(false) };
        let part = block.part;
        match (&mut block.kind, piece.delta) {
            (Kind::Text(None), Delta::Text) => events.push(Event::Text { part, text }),
            (Kind::Reasoning, Delta::Thinking) => events.push(Event::Thinking { part, text }),
            (Kind::Tool(arguments), Delta::Arguments) => arguments.piece(part, &text, events)?,
            _ => return Ok(false),
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
        let index = |fields: &mut Fields<'_>| {
            fields
                .value("contentBlockIndex", At::root(kind), "a whole number")
                .map(Option::unwrap_or_default)
        };
        match kind {
            "messageStart" => self.start(events),
            "contentBlockStart" => {
                self.start(events);
                let index = index(&mut fields)?;
                if let Some(start) = fields.take("start") {
                    self.block_start(index, start, body, events)?;
                }
            }
            "contentBlockDelta" => {
                self.start(events);
                let index = index(&mut fields)?;
                let delta = fields.value("delta", At::root(kind), "an object")?;
                self.block_delta(index, delta.unwrap_or_default(), body, events)?;
            }
            "contentBlockStop" => {
                let index: u64 = index(&mut fields)?;
                if let Some(at) = self.open.iter().position(|block| block.index == index) {
                    let block = self.open.remove(at);
                    self.close(block, events);
                }
            }
            "messageStop" => {
                self.start(events);
                if self.progress < Progress::Stopped {
                    self.close_all(events);
                    self.progress = Progress::Stopped;
                    let word = fields.text("stopReason", body, At::root(kind))?;
                    let sequence = stop_sequence(&fields, body);
                    let stop = stop::decode(&word.unwrap_or_default(), sequence, self.calls);
                    events.push(Event::Stop { choice: 0, stop: Box::new(stop) });
                }
            }
            "metadata" => {
                self.start(events);
                if let Some(counts) = usage::read(&fields, body) {
                    events.push(Event::Usage(Box::new(counts)));
                }
                if self.progress == Progress::Stopped {
                    // Nothing should have begun since, but what did is closed.
                    self.close_all(events);
                    self.progress = Progress::Ended;
                    events.push(Event::End);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Every answer has a beginning, even if its provider forgot it.
    fn start(&mut self, events: &mut Vec<Event>) {
        if self.progress == Progress::Nothing {
            self.progress = Progress::Started;
            events.push(Event::Start(Box::<Start>::default()));
        }
    }

    fn block_start(
        &mut self,
        index: u64,
        raw: &str,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = At::root("start");
        let mut start: Fields<'_> = json::read(raw, at, "an object")?;
        if let Some(raw) = start.get("toolUse") {
            let at = at.name("toolUse");
            let mut call: Fields<'_> = json::read(raw, at, "an object")?;
            if call.get("type").is_none() {
                let id = call.text("toolUseId", body, at)?.unwrap_or_default();
                // Nobody can run a tool that is not named.
                let name = call.text("name", body, at)?.filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| at.name("name").error("this field is required"))?;
                let (arguments, told) = Arguments::begin(id, name, &self.restore);
                self.calls |= arguments.is_call();
                self.open(index, Kind::Tool(arguments), Some(told), events)?;
                return Ok(());
            }
        }
        let first = start.iter().next().map(|(name, _)| body.slice_ref(name));
        if let Some(kind) = first {
            let start = start.take(&kind).map(|raw| body.slice_ref(raw)).unwrap_or_default();
            let (input, pieces) = (String::new(), Vec::new());
            self.open(index, Kind::Opaque { kind, start, input, pieces }, None, events)?;
        }
        Ok(())
    }

    fn open(
        &mut self,
        index: u64,
        kind: Kind,
        told: Option<PartKind>,
        events: &mut Vec<Event>,
    ) -> Result<PartId, Error> {
        if let Some(at) = self.open.iter().position(|block| block.index == index) {
            let block = self.open.remove(at);
            self.close(block, events);
        }
        if self.open.len() >= MAX_OPEN || self.next == u16::MAX {
            return Err(error::malformed("it has too many blocks"));
        }
        let part = PartId::first(self.next);
        self.next += 1;
        self.open.push(Block { index, part, kind });
        if let Some(told) = told {
            events.push(Event::PartStart { part, kind: Box::new(told) });
        }
        Ok(part)
    }

    /// The block of this number, if it is open and of this kind; else one that is opened.
    fn part(
        &mut self,
        index: u64,
        is: fn(&Kind) -> bool,
        kind: impl FnOnce() -> (Kind, Option<PartKind>),
        events: &mut Vec<Event>,
    ) -> Result<PartId, Error> {
        let known = self.open.iter().find(|block| block.index == index && is(&block.kind));
        match known {
            Some(block) => Ok(block.part),
            None => {
                let (kind, told) = kind();
                self.open(index, kind, told, events)
            }
        }
    }

    fn kind(&mut self, part: PartId) -> Option<&mut Kind> {
        self.open.iter_mut().find(|block| block.part == part).map(|block| &mut block.kind)
    }

    fn text_part(&mut self, index: u64, events: &mut Vec<Event>) -> Result<PartId, Error> {
        let fence = self.restore.strips_fence().then(Fence::default);
        let is = |kind: &Kind| matches!(kind, Kind::Text(_));
        self.part(index, is, || (Kind::Text(fence), Some(PartKind::Text)), events)
    }

    fn block_delta(
        &mut self,
        index: u64,
        mut delta: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = At::root("delta");
        if let Some(text) = delta.text("text", body, at)? {
            if text.is_empty() {
                return Ok(());
            }
            let part = self.text_part(index, events)?;
            let text = match self.kind(part) {
                Some(Kind::Text(Some(fence))) => fence.push(&text).into(),
                _ => text,
            };
            if !text.is_empty() {
                events.push(Event::Text { part, text });
            }
        } else if let Some(mut call) = delta.value::<Fields<'_>>("toolUse", at, "an object")? {
            let piece = call.text("input", body, at.name("toolUse"))?.unwrap_or_default();
            let Some(block) = self.open.iter_mut().find(|block| block.index == index) else {
                return Err(error::malformed("a tool call goes on that never began"));
            };
            match &mut block.kind {
                Kind::Tool(arguments) => arguments.piece(block.part, &piece, events)?,
                Kind::Opaque { input, .. } => {
                    room(input.len() + piece.len())?;
                    input.push_str(&piece);
                }
                _ => {}
            }
        } else if let Some(thought) =
            delta.value::<Fields<'_>>("reasoningContent", at, "an object")?
        {
            self.reasoning(index, thought, body, events)?;
        } else if let Some(raw) = delta.take("citation") {
            let part = self.text_part(index, events)?;
            if let Ok(raw) = RawJson::parse(body.slice_ref(raw)) {
                let citation = Box::new(citation::read(&raw));
                events.push(Event::Citation { part, citation });
            }
        } else if let Some((_, raw)) = delta.iter().next()
            && let Some(block) = self.open.iter_mut().find(|block| block.index == index)
            && let Kind::Opaque { pieces, .. } = &mut block.kind
        {
            room(pieces.iter().map(|piece| piece.len()).sum::<usize>() + raw.len())?;
            pieces.push(body.slice_ref(raw));
        }
        Ok(())
    }

    fn reasoning(
        &mut self,
        index: u64,
        mut thought: Fields<'_>,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = At::root("reasoningContent");
        if let Some(data) = thought.text("redactedContent", body, at)? {
            let is = |kind: &Kind| matches!(kind, Kind::Redacted(_));
            let part = self.part(index, is, || (Kind::Redacted(Vec::new()), None), events)?;
            if let Some(Kind::Redacted(kept)) = self.kind(part) {
                room(kept.len() + data.len())?;
                let more = STANDARD
                    .decode(data.as_bytes())
                    .map_err(|_| at.name("redactedContent").error("base64 is expected"))?;
                kept.extend_from_slice(&more);
            }
            return Ok(());
        }
        let text = thought.text("text", body, at)?.filter(|text| !text.is_empty());
        let signature = thought.text("signature", body, at)?.filter(|proof| !proof.is_empty());
        if text.is_none() && signature.is_none() {
            return Ok(());
        }
        let is = |kind: &Kind| matches!(kind, Kind::Reasoning);
        let part = self.part(index, is, || (Kind::Reasoning, Some(PartKind::Reasoning)), events)?;
        events.extend(text.map(|text| Event::Thinking { part, text }));
        events.extend(signature.map(|signature| Event::Signature { part, signature }));
        Ok(())
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        for block in std::mem::take(&mut self.open) {
            self.close(block, events);
        }
    }

    fn close(&mut self, block: Block, events: &mut Vec<Event>) {
        let part = block.part;
        let told = match block.kind {
            Kind::Text(fence) => {
                let held = fence.map(Fence::finish).unwrap_or_default();
                if !held.is_empty() {
                    events.push(Event::Text { part, text: held.into() });
                }
                None
            }
            Kind::Reasoning => None,
            Kind::Redacted(bytes) => {
                let data = Str::from(STANDARD.encode(bytes));
                Some(PartKind::Redacted(state::read_redacted(&data)))
            }
            Kind::Tool(arguments) => {
                arguments.finish(part, None, events);
                None
            }
            Kind::Opaque { kind, start, input, pieces } => {
                let value = complete(&kind, &start, &input, &pieces);
                Some(PartKind::Opaque { kind, value })
            }
        };
        if let Some(told) = told {
            events.push(Event::PartStart { part, kind: Box::new(told) });
        }
        events.push(Event::PartEnd { part });
    }
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), Error> {
        for message in event_stream::messages(bytes) {
            let message = message.map_err(error::malformed)?;
            self.read(&message, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        match self.progress {
            Progress::Ended => return,
            Progress::Stopped => {
                self.close_all(events);
                events.push(Event::End);
            }
            _ => {
                self.start(events);
                events.push(Event::Error(error::truncated()));
            }
        }
        self.progress = Progress::Ended;
    }
}

/// Whether so much may be kept.
fn room(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_KEPT {
        return Err(error::malformed(format_args!("a block is larger than {MAX_KEPT} bytes")));
    }
    Ok(())
}

/// A block as a whole answer would hold it.
fn complete(kind: &Str, start: &Str, input: &str, pieces: &[Str]) -> RawJson {
    let mut out = Vec::new();
    let mut outer = Object::begin(&mut out);
    let mut inner = Object::begin(outer.member_named(kind));
    if let Ok(fields) = serde_json::from_str::<Fields<'_>>(start) {
        for (name, value) in fields.iter() {
            inner.raw_named(name, value);
        }
    }
    match kind.as_str() {
        "toolUse" => match serde_json::from_str::<&RawValue>(input) {
            Ok(raw) => inner.raw("input", raw.get()),
            Err(_) if input.is_empty() => inner.raw("input", "{}"),
            Err(_) => inner.text("input", input),
        },
        // Lists of content, one after the other.
        "toolResult" => {
            let mut array = Array::begin(inner.member("content"));
            let lists =
                pieces.iter().filter_map(|list| serde_json::from_str::<Vec<&RawValue>>(list).ok());
            for item in lists.flatten() {
                array.item().extend_from_slice(item.get().as_bytes());
            }
            array.end();
        }
        // The rest of the object, member by member.
        _ => {
            for piece in pieces {
                if let Ok(fields) = serde_json::from_str::<Fields<'_>>(piece) {
                    for (name, value) in fields.iter() {
                        inner.raw_named(name, value);
                    }
                }
            }
        }
    }
    inner.end();
    outer.end();
    json::raw_json(out).unwrap_or(RawJson::NULL)
}
