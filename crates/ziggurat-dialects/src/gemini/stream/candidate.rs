//! One answer of a stream: what of it is open.

use serde_json::value::RawValue;
use ziggurat_core::{
    Content, Error, Event, Part, PartId, PartKind, RawJson, Restore, Stop, Str, ToolCallKind,
};

use super::partial::Partial;
use crate::fence::Fence;
use crate::gemini::camel::object;
use crate::gemini::reply::answer_part;
use crate::gemini::{error, grounding, logprobs, part, stop};
use crate::json::{At, Fields};
use crate::tools::free_text;

/// How much of a text is remembered for the citations that point into it, in bytes.
const LONGEST_CITED: usize = 1 << 20;

/// The state of one answer.
#[derive(Debug)]
pub(super) struct Candidate {
    number: u16,
    next: u16,
    open: Option<Open>,
    /// A call whose arguments come in pieces.
    partial: Option<(PartId, Partial)>,
    calls: u32,
    stopped: bool,
}

/// The text or thinking that goes on from chunk to chunk.
#[derive(Debug)]
struct Open {
    part: PartId,
    thought: bool,
    fence: Option<Fence>,
    /// The text so far, for citations.
    text: String,
}

impl Candidate {
    pub(super) fn new(number: u16) -> Self {
        Self { number, next: 0, open: None, partial: None, calls: 0, stopped: false }
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Whether it said why it ended.
    pub(super) fn has_ended(&self) -> bool {
        self.stopped
    }

    /// Reads what a chunk says of this answer.
    pub(super) fn read(
        &mut self,
        mut fields: Fields<'_>,
        body: &Str,
        at: At<'_>,
        reply: &Str,
        restore: &Restore,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if let Some(raw) = fields.take("content") {
            let at = at.name("content");
            let mut content = object(raw, at)?;
            let at_parts = at.name("parts");
            let parts: Option<Vec<&RawValue>> = content.value("parts", at, "a list of parts")?;
            for (index, raw) in parts.unwrap_or_default().into_iter().enumerate() {
                self.part(raw.get(), body, at_parts.index(index), reply, restore, events)?;
            }
        }
        if let Some(logprobs) = fields.take("logprobsResult").and_then(logprobs::decode) {
            events.push(Event::Logprobs { choice: self.number, logprobs: Box::new(logprobs) });
        }
        let cited =
            grounding::decode(fields.get("groundingMetadata"), fields.get("citationMetadata"));
        self.cite(&cited, events);
        if let Some(word) = fields.text("finishReason", body, at)?
            && word != "FINISH_REASON_UNSPECIFIED"
        {
            let message = fields.text("finishMessage", body, at)?;
            self.complete(events);
            let stop = stop::decode(&word, message, self.calls > 0);
            self.end(stop, events);
        }
        Ok(())
    }

    /// It ended, once: older models repeat the reason in each chunk.
    pub(super) fn end(&mut self, stop: Stop, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.stopped, true) {
            events.push(Event::Stop { choice: self.number, stop: Box::new(stop) });
        }
    }

    fn cite(&mut self, cited: &[grounding::Cited], events: &mut Vec<Event>) {
        let Some(open) = self.open.as_ref().filter(|open| !open.thought) else { return };
        for cited in cited {
            let citation = Box::new(cited.of(&open.text));
            events.push(Event::Citation { part: open.part, citation });
        }
    }

    fn part(
        &mut self,
        raw: &str,
        body: &Str,
        at: At<'_>,
        reply: &Str,
        restore: &Restore,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if self.piece(raw, body, at, reply, restore, events)? {
            return Ok(());
        }
        let mut parts = Vec::new();
        part::decode(raw, body, at, &mut parts)?;
        for mut part in parts {
            self.room()?;
            match &part.content {
                Content::Text { text, .. } => self.text(text, false, restore, events),
                Content::Reasoning { text, signature, .. } => {
                    let (text, signature) = (text.clone(), signature.clone());
                    if !text.is_empty() {
                        self.text(&text, true, restore, events);
                    }
                    if let Some(signature) = signature {
                        self.signed(signature, events);
                    }
                }
                Content::ToolCall { .. } => {
                    let number = u32::from(self.number);
                    answer_part(&mut part, reply, number, &mut self.calls, restore);
                    self.call(part, events)?;
                }
                _ => self.whole(raw, body, &part, events),
            }
        }
        Ok(())
    }

    /// Whether a text that comes is nothing but that.
    pub(super) fn takes_text(&self) -> bool {
        self.partial.is_none()
    }

    /// A piece of text, or of thinking.
    pub(super) fn plain(
        &mut self,
        text: &Str,
        thought: bool,
        restore: &Restore,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.room()?;
        self.text(text, thought, restore, events);
        Ok(())
    }

    /// Whether there can be more parts: their numbers are small.
    fn room(&self) -> Result<(), Error> {
        if self.next >= u16::MAX - 8 {
            return Err(error::malformed("it has too many parts"));
        }
        Ok(())
    }

    fn take_part(&mut self) -> PartId {
        let part = PartId { choice: self.number, index: self.next };
        self.next = self.next.saturating_add(1);
        part
    }

    fn text(&mut self, text: &Str, thought: bool, restore: &Restore, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        if self.open.as_ref().is_none_or(|open| open.thought != thought) {
            self.close_open(events);
            let part = self.take_part();
            let kind = if thought { PartKind::Reasoning } else { PartKind::Text };
            events.push(Event::PartStart { part, kind: Box::new(kind) });
            let fence = (!thought && restore.strips_fence()).then(Fence::default);
            self.open = Some(Open { part, thought, fence, text: String::new() });
        }
        let Some(open) = &mut self.open else { return };
        let part = open.part;
        if thought {
            events.push(Event::Thinking { part, text: text.clone() });
            return;
        }
        if open.text.len() + text.len() <= LONGEST_CITED {
            open.text.push_str(text);
        }
        let text = match &mut open.fence {
            Some(fence) => fence.push(text).into(),
            None => text.clone(),
        };
        if !text.is_empty() {
            events.push(Event::Text { part, text });
        }
    }

    /// The signature of the thinking that is open, or of what stands before it: then it is thinking that says nothing.
    fn signed(&mut self, signature: Str, events: &mut Vec<Event>) {
        let open = self.open.as_ref().filter(|open| open.thought).map(|open| open.part);
        let part = match open {
            Some(part) => part,
            None => {
                self.close_open(events);
                let part = self.take_part();
                let kind = Box::new(PartKind::Reasoning);
                events.push(Event::PartStart { part, kind });
                self.open = Some(Open { part, thought: true, fence: None, text: String::new() });
                part
            }
        };
        events.push(Event::Signature { part, signature });
        self.close_open(events);
    }

    fn call(&mut self, part: Part, events: &mut Vec<Event>) -> Result<(), Error> {
        let Content::ToolCall { id, name, arguments, kind, signature } = part.content else {
            return Ok(());
        };
        check_name(&name)?;
        let part = self.begin_call(id, name, kind, signature, events);
        if !arguments.is_empty() {
            events.push(Event::Arguments { part, fragment: arguments });
        }
        events.push(Event::PartEnd { part });
        Ok(())
    }

    fn begin_call(
        &mut self,
        id: Str,
        name: Str,
        kind: ToolCallKind,
        signature: Option<Str>,
        events: &mut Vec<Event>,
    ) -> PartId {
        self.close_open(events);
        let part = self.take_part();
        let told = PartKind::ToolCall { id, name, kind };
        events.push(Event::PartStart { part, kind: Box::new(told) });
        if let Some(signature) = signature {
            events.push(Event::Signature { part, signature });
        }
        part
    }

    /// A part that goes on as it is, for callers of this dialect: code and its result, a picture.
    fn whole(&mut self, raw: &str, body: &Str, part: &Part, events: &mut Vec<Event>) {
        let kind = match &part.content {
            Content::Opaque { kind, .. } => kind.clone(),
            _ => Str::from_static("inlineData"),
        };
        self.close_open(events);
        let id = self.take_part();
        let value = RawJson::parse(body.slice_ref(raw)).unwrap_or(RawJson::NULL);
        let kind = Box::new(PartKind::Opaque { kind, value });
        events.push(Event::PartStart { part: id, kind });
        events.push(Event::PartEnd { part: id });
    }

    /// Takes a piece of a call whose arguments come in pieces; whether the part was one.
    fn piece(
        &mut self,
        raw: &str,
        body: &Str,
        at: At<'_>,
        reply: &Str,
        restore: &Restore,
        events: &mut Vec<Event>,
    ) -> Result<bool, Error> {
        if self.partial.is_none() && !raw.contains("artial") && !raw.contains("ontinue") {
            return Ok(false);
        }
        let fields = object(raw, at)?;
        let Some(call) = fields.get("functionCall") else { return Ok(false) };
        let at = at.name("functionCall");
        let mut call = object(call, at)?;
        let goes_on = call.take("willContinue") == Some("true");
        let pieces: Option<Vec<&RawValue>> = call.value("partialArgs", at, "a list")?;
        let named = call.get("name").is_some();
        if named && !goes_on && pieces.is_none() {
            // A whole call, after one that never ended.
            self.complete(events);
            return Ok(false);
        }
        if named {
            self.complete(events);
            self.room()?;
            // All but the arguments comes with the first piece.
            let mut parts = Vec::new();
            part::decode(&first_piece(&fields, &call), body, at, &mut parts)?;
            let Some(mut first) = parts.into_iter().next() else { return Ok(true) };
            let number = u32::from(self.number);
            let free = match &first.content {
                Content::ToolCall { name, .. } => restore.is_custom(name),
                _ => false,
            };
            answer_part(&mut first, reply, number, &mut self.calls, restore);
            if let Content::ToolCall { id, name, kind, signature, .. } = first.content {
                check_name(&name)?;
                let part = self.begin_call(id, name, kind, signature, events);
                self.partial = Some((part, Partial::new(free)));
            }
        }
        if let Some((_, partial)) = &mut self.partial {
            for piece in pieces.unwrap_or_default() {
                partial.take(piece.get()).map_err(error::malformed)?;
            }
        }
        if !goes_on {
            self.complete(events);
        }
        Ok(true)
    }

    /// The call whose arguments came in pieces has all of them.
    fn complete(&mut self, events: &mut Vec<Event>) {
        let Some((part, partial)) = self.partial.take() else { return };
        let free = partial.is_free_text();
        let arguments = Str::from(partial.into_json());
        let fragment = if free { free_text(&arguments) } else { arguments };
        events.push(Event::Arguments { part, fragment });
        events.push(Event::PartEnd { part });
    }

    fn close_open(&mut self, events: &mut Vec<Event>) {
        let Some(open) = self.open.take() else { return };
        let part = open.part;
        let held = open.fence.map(Fence::finish).unwrap_or_default();
        if !held.is_empty() {
            events.push(Event::Text { part, text: held.into() });
        }
        events.push(Event::PartEnd { part });
    }

    /// Closes what is open.
    pub(super) fn close(&mut self, events: &mut Vec<Event>) {
        self.close_open(events);
        self.complete(events);
    }
}

/// Nobody can run a tool that is not named.
fn check_name(name: &str) -> Result<(), Error> {
    match name.is_empty() {
        true => Err(error::malformed("a call names no tool")),
        false => Ok(()),
    }
}

/// The first piece of a call as a call without arguments.
fn first_piece(fields: &Fields<'_>, call: &Fields<'_>) -> String {
    let mut out = Vec::new();
    let mut object = crate::json::Object::begin(&mut out);
    let mut inner = crate::json::Object::begin(object.member("functionCall"));
    for (name, value) in call.iter().filter(|(name, _)| *name == "id" || *name == "name") {
        inner.raw_named(name, value);
    }
    inner.end();
    if let Some(signature) = fields.get("thoughtSignature") {
        object.raw("thoughtSignature", signature);
    }
    object.end();
    String::from_utf8(out).unwrap_or_default()
}
