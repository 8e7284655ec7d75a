//! One item of a stream while it is decoded.
//!
//! Servers differ in what they tell on the way: pieces, whole texts, or nothing before the item is done. So it is counted what
//! was told of each part, and what a later event tells beyond that is told then.

use ziggurat_core::{
    Content, Error, Event, Part, PartId, PartKind, RawJson, Restore, Str, ToolCallKind,
};

use crate::node::Node;
use crate::openai_api::malformed;
use crate::openai_api::parts::call_signature;
use crate::responses::items::{self, BETWEEN};
use crate::responses::wire;
use crate::tools;

/// Where events go, and what naming them takes.
pub(super) struct Out<'a> {
    pub(super) events: &'a mut Vec<Event>,
    /// The place of the next part.
    pub(super) next: &'a mut u16,
    pub(super) restore: &'a Restore,
}

impl Out<'_> {
    fn open(&mut self, kind: PartKind) -> PartId {
        let part = PartId::first(*self.next);
        *self.next = self.next.saturating_add(1);
        self.events.push(Event::PartStart { part, kind: Box::new(kind) });
        part
    }

    fn end(&mut self, part: PartId) {
        self.events.push(Event::PartEnd { part });
    }
}

/// What is known of one item.
#[derive(Debug)]
pub(super) struct Item {
    /// Its place in the answer, if it was told.
    pub(super) index: Option<u64>,
    pub(super) id: Str,
    /// What it says, thinks or calls.
    parts: Vec<Told>,
    /// The pieces of its reasoning, and how much was told of each, in bytes.
    thoughts: Vec<(Piece, usize)>,
    /// Probabilities were told on the way.
    logged: bool,
    done: bool,
}

/// What was told of one part.
#[derive(Debug)]
struct Told {
    what: What,
    part: PartId,
    /// How much of it, in bytes.
    sent: usize,
    citations: usize,
    open: bool,
}

/// Which part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Text(u64),
    Refusal(u64),
    /// All reasoning of an item is one part; these are the pieces it is made of.
    Thought,
    Call,
}

/// The most parts of one item: they are looked for one by one.
const MOST: usize = 1024;

/// A piece of reasoning: whether it is the raw text, and its place.
type Piece = (bool, u64);

impl Item {
    pub(super) fn new(index: Option<u64>, id: Str) -> Self {
        Self { index, id, parts: Vec::new(), thoughts: Vec::new(), logged: false, done: false }
    }

    pub(super) fn is_call(&self) -> bool {
        self.parts.iter().any(|told| told.what == What::Call)
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.parts.iter().any(|told| matches!(told.what, What::Refusal(_)))
    }

    /// The item begins.
    pub(super) fn added(&mut self, item: &Node<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        let kind = item.get("type").and_then(|kind| kind.as_string()).unwrap_or_default();
        match items::call_kind(&kind) {
            Some(call) => self.call(item, call, out).map(drop),
            None => Ok(()),
        }
    }

    /// The item is complete: whatever was not told of it is told.
    pub(super) fn done(&mut self, item: &Node<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(());
        }
        let kind = item.need("type")?.string()?;
        if let Some(call) = items::call_kind(&kind) {
            self.call(item, call, out)?;
            let (_, _, field) = items::words(call);
            let whole = match item.get(field) {
                None => Str::new(),
                Some(arguments) if arguments.is_object() => arguments.raw()?.into_text(),
                Some(arguments) => arguments.string()?,
            };
            self.whole_arguments(&whole, out)?;
            if let Some(signature) = call_signature(item)
                && let Some(told) = self.find(What::Call)
            {
                out.events.push(Event::Signature { part: told.part, signature });
            }
        } else {
            match kind.as_str() {
                "message" => self.message(item, out)?,
                "reasoning" => self.reasoning(item, out)?,
                _ => {
                    let value = item.raw()?;
                    let part = out.open(PartKind::Opaque { kind, value });
                    out.end(part);
                }
            }
        }
        self.close(out);
        Ok(())
    }

    fn message(&mut self, item: &Node<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        let Some(content) = item.get("content") else { return Ok(()) };
        let mut parts: Vec<Part> = Vec::new();
        let mut logprobs = Vec::new();
        items::said(&content, &mut parts, &mut logprobs)?;
        if !self.logged {
            for list in logprobs {
                self.logprobs(Some(list), out);
            }
        }
        for (place, part) in parts.into_iter().enumerate() {
            let place = place as u64;
            match part.content {
                Content::Text { text, citations } => {
                    self.whole_text(place, &text, out)?;
                    let told = self.find(What::Text(place)).map_or(0, |told| told.citations);
                    for citation in citations.into_iter().skip(told) {
                        self.citation(place, citation, out)?;
                    }
                }
                Content::Refusal { text } => self.whole_refusal(place, &text, out)?,
                // A part that only this dialect understands has no event of its own.
                _ => {}
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, item: &Node<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        let mut any = false;
        for (raw, name) in [(false, "summary"), (true, "content")] {
            let Some(list) = item.get(name).filter(Node::is_list) else { continue };
            list.items(|place, part| {
                any = true;
                let text = part.get("text").map(|text| text.string()).transpose()?;
                self.whole_thought((raw, place as u64), &text.unwrap_or_default(), out)
            })?;
        }
        let made = item.get("encrypted_content").map(|made| made.string()).transpose()?;
        let Some(made) = made.filter(|made| !made.is_empty()) else { return Ok(()) };
        if !any && self.find(What::Thought).is_none() {
            let part = out.open(PartKind::Redacted(made));
            out.end(part);
            return Ok(());
        }
        let part = self.open(What::Thought, PartKind::Reasoning, out);
        out.events.push(Event::Signature { part, signature: made });
        Ok(())
    }

    // === pieces ===

    pub(super) fn text(&mut self, place: u64, delta: &Str, out: &mut Out<'_>) -> Result<(), Error> {
        if delta.is_empty() {
            return Ok(());
        }
        let Some(part) = self.more(What::Text(place), PartKind::Text, delta, out)? else {
            return Ok(());
        };
        out.events.push(Event::Text { part, text: delta.clone() });
        Ok(())
    }

    pub(super) fn refusal(
        &mut self,
        place: u64,
        delta: &Str,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        if delta.is_empty() {
            return Ok(());
        }
        let Some(part) = self.more(What::Refusal(place), PartKind::Refusal, delta, out)? else {
            return Ok(());
        };
        out.events.push(Event::Refusal { part, text: delta.clone() });
        Ok(())
    }

    pub(super) fn arguments(&mut self, delta: &Str, out: &mut Out<'_>) -> Result<(), Error> {
        // Without its name a call cannot begin: the item tells it when it is done.
        let Some(told) = self.parts.iter_mut().find(|told| told.what == What::Call && told.open)
        else {
            return Ok(());
        };
        if !delta.is_empty() {
            told.sent += delta.len();
            out.events.push(Event::Arguments { part: told.part, fragment: delta.clone() });
        }
        Ok(())
    }

    pub(super) fn citation(
        &mut self,
        place: u64,
        citation: RawJson,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        self.open(What::Text(place), PartKind::Text, out);
        let Some(told) = self.find_mut(What::Text(place)).filter(|told| told.open) else {
            return Ok(());
        };
        told.citations += 1;
        let part = told.part;
        out.events.push(Event::Citation { part, citation: Box::new(citation) });
        Ok(())
    }

    /// Probabilities stand before the text that they are of.
    pub(super) fn logprobs(&mut self, list: Option<Str>, out: &mut Out<'_>) {
        if let Some(logprobs) = list.and_then(|list| wire::logprobs(&[list])) {
            self.logged = true;
            out.events.push(Event::Logprobs { choice: 0, logprobs: Box::new(logprobs) });
        }
    }

    // === whole texts: what was not told of them ===

    pub(super) fn whole_text(
        &mut self,
        place: u64,
        whole: &Str,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        let rest = self.rest(What::Text(place), whole);
        self.text(place, &rest, out)
    }

    pub(super) fn whole_refusal(
        &mut self,
        place: u64,
        whole: &Str,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        let rest = self.rest(What::Refusal(place), whole);
        self.refusal(place, &rest, out)
    }

    pub(super) fn whole_arguments(&mut self, whole: &Str, out: &mut Out<'_>) -> Result<(), Error> {
        let rest = self.rest(What::Call, whole);
        self.arguments(&rest, out)
    }

    /// The end of a text of which the beginning was told.
    fn rest(&self, what: What, whole: &Str) -> Str {
        let sent = self.find(what).map_or(0, |told| told.sent);
        whole.slice_ref(whole.get(sent..).unwrap_or_default())
    }

    // === parts ===

    fn find(&self, what: What) -> Option<&Told> {
        self.parts.iter().find(|told| told.what == what)
    }

    fn find_mut(&mut self, what: What) -> Option<&mut Told> {
        self.parts.iter_mut().find(|told| told.what == what)
    }

    /// Counts more of a part, which begins with it; `None` if the part has ended.
    fn more(
        &mut self,
        what: What,
        kind: PartKind,
        delta: &str,
        out: &mut Out<'_>,
    ) -> Result<Option<PartId>, Error> {
        if self.parts.len() >= MOST {
            return Err(malformed("an item has too many parts"));
        }
        self.open(what, kind, out);
        let told = self.find_mut(what).filter(|told| told.open);
        Ok(told.map(|told| {
            told.sent += delta.len();
            told.part
        }))
    }

    fn open(&mut self, what: What, kind: PartKind, out: &mut Out<'_>) -> PartId {
        if let Some(told) = self.find(what) {
            return told.part;
        }
        let part = out.open(kind);
        self.parts.push(Told { what, part, sent: 0, citations: 0, open: true });
        part
    }

    /// Begins a call, once it has a name.
    fn call(
        &mut self,
        item: &Node<'_>,
        kind: ToolCallKind,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        if self.find(What::Call).is_some() {
            return Ok(());
        }
        let [call_id, name] = item.pick(["call_id", "name"])?;
        let Some(name) = name.and_then(|name| name.as_string()).filter(|name| !name.is_empty())
        else {
            return Ok(());
        };
        let id = call_id.and_then(|id| id.as_string()).filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| match self.id.is_empty() {
            true => tools::made_id(&["item", &out.next.to_string()]),
            false => self.id.clone(),
        });
        let name = out.restore.tool_name(&name).unwrap_or(name);
        self.open(What::Call, PartKind::ToolCall { id, name, kind }, out);
        Ok(())
    }

    pub(super) fn close(&mut self, out: &mut Out<'_>) {
        for told in &mut self.parts {
            if std::mem::replace(&mut told.open, false) {
                out.end(told.part);
            }
        }
    }
}

// === reasoning ===

impl Item {
    /// A piece of reasoning. Between those that stand in parts of their own there is a blank line.
    pub(super) fn thought(
        &mut self,
        piece: Piece,
        delta: &Str,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        if delta.is_empty() {
            return Ok(());
        }
        let Some(part) = self.more(What::Thought, PartKind::Reasoning, delta, out)? else {
            return Ok(());
        };
        if let Some((_, sent)) = self.thoughts.iter_mut().find(|(known, _)| *known == piece) {
            *sent += delta.len();
        } else {
            if self.thoughts.len() == MOST {
                return Err(malformed("reasoning has too many parts"));
            }
            if !self.thoughts.is_empty() {
                out.events.push(Event::Thinking { part, text: Str::from_static(BETWEEN) });
            }
            self.thoughts.push((piece, delta.len()));
        }
        out.events.push(Event::Thinking { part, text: delta.clone() });
        Ok(())
    }

    pub(super) fn whole_thought(
        &mut self,
        piece: Piece,
        whole: &Str,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        let sent = self.thoughts.iter().find(|(known, _)| *known == piece);
        let sent = sent.map_or(0, |(_, sent)| *sent);
        let rest = whole.slice_ref(whole.get(sent..).unwrap_or_default());
        self.thought(piece, &rest, out)
    }
}
