//! One choice of a stream while it is decoded.

use ziggurat_core::{Error, Event, PartId, PartKind, Restore, Stop, Str, ToolCallKind};

use crate::node::Node;
use crate::openai::wire::{self, ThinkingBlock};
use crate::openai_api::malformed;
use crate::openai_api::parts::call_signature;
use crate::tools;

/// What is known of one choice.
#[derive(Debug)]
pub(super) struct ChoiceState {
    pub(super) choice: u16,
    next: u16,
    flow: Option<OpenFlow>,
    calls: Vec<Call>,
    /// Whether anything was delivered.
    pub(super) content: bool,
    refused: bool,
    pub(super) stopped: bool,
}

/// Parts of which one is open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Text,
    Reasoning,
    Refusal,
}

#[derive(Clone, Copy, Debug)]
struct OpenFlow {
    flow: Flow,
    index: u16,
    /// The text came as `reasoning_content`: a signed block that follows repeats it.
    plain: bool,
    signed: bool,
}

#[derive(Debug)]
struct Call {
    /// Its number on the wire.
    number: u64,
    id: Str,
    name: Str,
    kind: ToolCallKind,
    /// Its part, once its name is known.
    part: Option<u16>,
    open: bool,
    /// Arguments that came before the name.
    pending: String,
    signature: Option<Str>,
}

/// The most calls of one choice: they are looked for one by one.
const MAX_CALLS: usize = 1024;

/// The number of the call that the deprecated `function_call` makes.
const LEGACY_CALL: u64 = u64::MAX;

impl ChoiceState {
    pub(super) fn new(choice: u16) -> Self {
        Self {
            choice,
            next: 0,
            flow: None,
            calls: Vec::new(),
            content: false,
            refused: false,
            stopped: false,
        }
    }

    pub(super) fn delta(
        &mut self,
        delta: &Node<'_>,
        reply: &Str,
        restore: &Restore,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let names = [
            "thinking_blocks",
            "reasoning_content",
            "reasoning",
            "content",
            "refusal",
            "annotations",
            "audio",
            "tool_calls",
            "function_call",
        ];
        let [blocks, reasoning, short, content, refusal, annotations, audio, calls, legacy] =
            delta.pick(names)?;

        self.room()?;
        let reasoning = said(reasoning.or(short))?;
        let blocks = match blocks.filter(Node::is_list) {
            Some(blocks) => wire::thinking_blocks(&blocks)?,
            None => Vec::new(),
        };
        self.reasoning(reasoning, blocks, events)?;
        if let Some(content) = content {
            self.content(&content, events)?;
        }
        let text = said(refusal)?;
        if !text.is_empty() {
            let part = self.flow(Flow::Refusal, events);
            self.refused = true;
            events.push(Event::Refusal { part, text });
        }
        if let Some(annotations) = annotations.filter(Node::is_list) {
            annotations.items(|_, annotation| {
                let citation = Box::new(annotation.raw()?);
                let part = self.flow(Flow::Text, events);
                events.push(Event::Citation { part, citation });
                Ok(())
            })?;
        }
        if let Some(audio) = audio {
            let kind = PartKind::Opaque { kind: Str::from_static("audio"), value: audio.raw()? };
            self.whole(kind, events);
        }
        if let Some(calls) = calls.filter(Node::is_list) {
            calls.items(|_, call| self.call(&call, reply, restore, events))?;
        }
        if let Some(call) = legacy.filter(Node::is_object) {
            let [name, arguments] = call.pick(["name", "arguments"])?;
            let piece = Piece {
                number: Some(LEGACY_CALL),
                id: Str::new(),
                name: said(name)?,
                arguments: said(arguments)?,
                kind: ToolCallKind::Function,
                signature: None,
            };
            self.piece(piece, reply, restore, events)?;
        }
        Ok(())
    }

    /// Whether there can be more parts: their numbers are small.
    fn room(&self) -> Result<(), Error> {
        if self.next >= u16::MAX - 8 {
            return Err(malformed("it has too many parts"));
        }
        Ok(())
    }

    fn reasoning(
        &mut self,
        text: Str,
        blocks: Vec<ThinkingBlock>,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.room()?;
        let mut told = false;
        for block in blocks {
            self.room()?;
            match block {
                ThinkingBlock::Redacted(data) => self.whole(PartKind::Redacted(data), events),
                ThinkingBlock::Thinking { text: thought, signature } => {
                    // A server that streams `reasoning_content` alone repeats it in the block that carries the signature.
                    let open = self.flow.filter(|open| open.flow == Flow::Reasoning);
                    let repeats = text.is_empty()
                        && signature.is_some()
                        && open.is_some_and(|open| open.plain);
                    if !thought.is_empty() && !repeats {
                        if open.is_some_and(|open| open.signed) {
                            self.close_flow(events);
                        }
                        told = true;
                        let part = self.flow(Flow::Reasoning, events);
                        events.push(Event::Thinking { part, text: thought });
                    }
                    if let Some(signature) = signature {
                        let part = self.flow(Flow::Reasoning, events);
                        events.push(Event::Signature { part, signature });
                        if let Some(open) = &mut self.flow {
                            open.signed = true;
                        }
                    }
                }
            }
        }
        if !told && !text.is_empty() {
            if self.flow.is_some_and(|open| open.signed) {
                self.close_flow(events);
            }
            let part = self.flow(Flow::Reasoning, events);
            events.push(Event::Thinking { part, text });
            if let Some(open) = &mut self.flow {
                open.plain = true;
            }
        }
        Ok(())
    }

    /// Content is text; Mistral's is a list when the model thinks.
    pub(super) fn content(
        &mut self,
        content: &Node<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if let Some(text) = content.if_string()? {
            self.text(text, events);
        } else if content.is_list() {
            content.items(|_, item| {
                let [text, thinking] = item.pick(["text", "thinking"])?;
                if let Some(thinking) = thinking {
                    let mut thought =
                        |node: &Node<'_>| self.reasoning(said(Some(*node))?, Vec::new(), events);
                    if thinking.is_list() {
                        thinking.items(|_, item| {
                            item.get("text").map_or(Ok(()), |text| thought(&text))
                        })?;
                    } else {
                        thought(&thinking)?;
                    }
                }
                self.text(said(text)?, events);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Whether a text that follows goes on with the part that is open.
    pub(super) fn goes_on(&self) -> bool {
        self.flow.is_some_and(|open| open.flow == Flow::Text)
    }

    pub(super) fn text(&mut self, text: Str, events: &mut Vec<Event>) {
        if !text.is_empty() {
            let part = self.flow(Flow::Text, events);
            events.push(Event::Text { part, text });
        }
    }

    fn call(
        &mut self,
        call: &Node<'_>,
        reply: &Str,
        restore: &Restore,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.room()?;
        let [index, id, function, custom] = call.pick(["index", "id", "function", "custom"])?;
        let kind = if custom.is_some() { ToolCallKind::Custom } else { ToolCallKind::Function };
        let inner = custom.or(function).filter(Node::is_object);
        let text = |name| inner.as_ref().and_then(|inner| inner.get(name));
        let arguments = text(if custom.is_some() { "input" } else { "arguments" });
        let piece = Piece {
            number: index.and_then(|index| index.as_count()),
            id: said(id)?,
            name: said(text("name"))?,
            arguments: match arguments {
                None => Str::new(),
                // Some servers send the object itself.
                Some(arguments) if arguments.is_object() => arguments.raw()?.into_text(),
                Some(arguments) => said(Some(arguments))?,
            },
            kind,
            signature: call_signature(call),
        };
        self.piece(piece, reply, restore, events)
    }

    fn piece(
        &mut self,
        piece: Piece,
        reply: &Str,
        restore: &Restore,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = match self.find_call(&piece) {
            Some(at) => at,
            None if self.calls.len() == MAX_CALLS => {
                return Err(malformed("it has too many calls"));
            }
            None => {
                let number = piece.number.unwrap_or(self.calls.len() as u64);
                self.calls.push(Call::new(number, piece.kind));
                self.calls.len() - 1
            }
        };
        let ordinal = at;
        let choice = self.choice;
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            call.id = piece.id;
        }
        if call.name.is_empty() {
            call.name = piece.name;
        }
        if piece.signature.is_some() {
            call.signature = piece.signature;
        }
        if call.part.is_none() {
            if call.name.is_empty() {
                call.pending.push_str(&piece.arguments);
                return Ok(());
            }
            if call.id.is_empty() {
                call.id = tools::made_id(&[reply, &choice.to_string(), &ordinal.to_string()]);
            }
            let name = restore.tool_name(&call.name).unwrap_or_else(|| call.name.clone());
            let kind = PartKind::ToolCall { id: call.id.clone(), name, kind: call.kind };
            let pending = std::mem::take(&mut call.pending);
            self.close_flow(events);
            let index = self.open(kind, events);
            let call = &mut self.calls[at];
            call.part = Some(index);
            call.open = true;
            if !pending.is_empty() {
                let part = PartId { choice, index };
                events.push(Event::Arguments { part, fragment: pending.into() });
            }
        }
        let call = &mut self.calls[at];
        let Some(index) = call.part.filter(|_| call.open) else { return Ok(()) };
        let part = PartId { choice, index };
        if let Some(signature) = call.signature.take() {
            events.push(Event::Signature { part, signature });
        }
        if !piece.arguments.is_empty() {
            events.push(Event::Arguments { part, fragment: piece.arguments });
        }
        Ok(())
    }

    /// The call that a piece belongs to.
    fn find_call(&self, piece: &Piece) -> Option<usize> {
        let at = match piece.number {
            Some(number) => self.calls.iter().rposition(|call| call.number == number)?,
            // Without a number it is the call of that id, else the latest.
            None if !piece.id.is_empty() => {
                return self.calls.iter().rposition(|call| call.id == piece.id.as_str());
            }
            None => self.calls.len().checked_sub(1)?,
        };
        // Some servers number every call 0: another id and a name begin another call.
        let call = &self.calls[at];
        let another = !piece.id.is_empty()
            && !piece.name.is_empty()
            && call.part.is_some()
            && call.id != piece.id;
        (!another).then_some(at)
    }

    /// Whether the call of this number has begun, so that a piece of it is nothing but arguments.
    pub(super) fn has_call(&self, number: u64) -> bool {
        let call = self.calls.iter().rev().find(|call| call.number == number);
        call.is_some_and(|call| call.part.is_some() && call.open && call.signature.is_none())
    }

    /// Takes note of a piece of a part that was not decoded.
    pub(super) fn skip(&mut self, flow: Flow, scratch: &mut Vec<Event>) {
        self.flow(flow, scratch);
        if let Some(open) = &mut self.flow {
            open.plain = flow == Flow::Reasoning;
        }
    }

    /// The open part of this kind; another that is open is closed.
    fn flow(&mut self, flow: Flow, events: &mut Vec<Event>) -> PartId {
        if let Some(open) = self.flow.filter(|open| open.flow == flow) {
            return PartId { choice: self.choice, index: open.index };
        }
        self.close_flow(events);
        let kind = match flow {
            Flow::Text => PartKind::Text,
            Flow::Reasoning => PartKind::Reasoning,
            Flow::Refusal => PartKind::Refusal,
        };
        let index = self.open(kind, events);
        self.flow = Some(OpenFlow { flow, index, plain: false, signed: false });
        PartId { choice: self.choice, index }
    }

    /// A part that is complete when it comes.
    fn whole(&mut self, kind: PartKind, events: &mut Vec<Event>) {
        self.close_flow(events);
        let index = self.open(kind, events);
        events.push(Event::PartEnd { part: PartId { choice: self.choice, index } });
    }

    fn open(&mut self, kind: PartKind, events: &mut Vec<Event>) -> u16 {
        let index = self.next;
        self.next = self.next.saturating_add(1);
        self.content = true;
        let part = PartId { choice: self.choice, index };
        events.push(Event::PartStart { part, kind: Box::new(kind) });
        index
    }

    fn close_flow(&mut self, events: &mut Vec<Event>) {
        if let Some(open) = self.flow.take() {
            let part = PartId { choice: self.choice, index: open.index };
            events.push(Event::PartEnd { part });
        }
    }

    pub(super) fn close(&mut self, events: &mut Vec<Event>) {
        self.close_flow(events);
        for call in &mut self.calls {
            if let Some(index) = call.part.filter(|_| call.open) {
                call.open = false;
                events.push(Event::PartEnd { part: PartId { choice: self.choice, index } });
            }
        }
    }

    pub(super) fn stop(&mut self, word: Option<&Str>, events: &mut Vec<Event>) {
        self.close(events);
        self.stopped = true;
        let calls = self.calls.iter().any(|call| call.part.is_some());
        let stop: Stop = wire::decode_stop(word, calls, self.refused);
        events.push(Event::Stop { choice: self.choice, stop: Box::new(stop) });
    }
}

/// The text that stands here; anything but a string says nothing.
fn said(node: Option<Node<'_>>) -> Result<Str, Error> {
    Ok(node.map(|node| node.if_string()).transpose()?.flatten().unwrap_or_default())
}

/// What one delta says about one call.
struct Piece {
    number: Option<u64>,
    id: Str,
    name: Str,
    arguments: Str,
    kind: ToolCallKind,
    signature: Option<Str>,
}

impl Call {
    fn new(number: u64, kind: ToolCallKind) -> Self {
        Self {
            number,
            id: Str::new(),
            name: Str::new(),
            kind,
            part: None,
            open: false,
            pending: String::new(),
            signature: None,
        }
    }
}
