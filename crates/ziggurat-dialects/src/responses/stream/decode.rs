//! Events of the wire into events.

use bytes::Bytes;
use ziggurat_core::{Error, Event, Restore, Start, Str, StreamDecoder};

use super::item::{Item, Out};
use super::piece::Piece;
use crate::framing::sse::{self, EventReader, SseEvent};
use crate::node::Node;
use crate::openai_api::{error, malformed, usage};
use crate::responses::reply::{blame, failure};
use crate::responses::{RESPONSES, wire};
use crate::spelled::text_at;
use crate::stops::Stops;

/// The most items of an answer: they are looked for one by one.
const MAX_ITEMS: usize = 1024;

/// Decodes a stream.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    restore: Restore,
    stops: Option<Stops>,
    started: bool,
    ended: bool,
    items: Vec<Item>,
    /// The place of the next part.
    next: u16,
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
            self.fail(error::truncated(), events);
        }
    }
}

/// The members that an event may have.
struct Wire<'a> {
    kind: Str,
    index: Option<u64>,
    item_id: Option<Str>,
    /// Where in its item: `content_index` or `summary_index`.
    place: u64,
    node: &'a Node<'a>,
}

impl EventReader for Decoder {
    fn restoring(restore: &Restore) -> Self {
        let stops = Stops::at(restore.stops());
        Self { restore: restore.clone(), stops, ..Self::default() }
    }

    fn read(&mut self, event: &SseEvent<'_>, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        let Some(data) = &event.data else {
            if event.comment {
                events.push(Event::Ping);
            }
            return Ok(());
        };
        // Others' end marker: the answer's end is an event of its own here.
        if data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let data = Str::from_utf8(event.share()).map_err(|_| malformed("it is not UTF-8"))?;
        if self.stops.is_none() {
            return self.event(&data, event.name, events);
        }
        let mut fresh = Vec::new();
        let read = self.event(&data, event.name, &mut fresh);
        if let Some(stops) = &mut self.stops {
            stops.apply(&mut fresh);
        }
        events.append(&mut fresh);
        read
    }

    fn has_ended(&self) -> bool {
        self.ended
    }
}

impl Decoder {
    fn event(
        &mut self,
        data: &Str,
        name: Option<&[u8]>,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if self.plain(data, events).map_err(blame)? {
            return Ok(());
        }
        let root = Node::root("event", data);
        if !root.is_object() {
            // An event that is no object is none of ours, unless it is no JSON at all.
            return root.raw().map(drop).map_err(|_| malformed("an event is no JSON"));
        }
        let names = [
            "type",
            "output_index",
            "item_id",
            "content_index",
            "summary_index",
            "response",
            "error",
        ];
        let [kind, index, item_id, content, summary, response, failed] =
            root.pick(names).map_err(|_| malformed("an event is not valid JSON"))?;
        let count = |node: Option<Node<'_>>| node.and_then(|node| node.as_count());
        let kind = match kind.and_then(|kind| kind.as_string()) {
            Some(kind) => kind,
            None => Str::from(std::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()),
        };
        if kind == "error" || (failed.is_some() && response.is_none()) {
            let node = failed.unwrap_or(root);
            self.fail(error::in_stream(RESPONSES, &node, data), events);
            return Ok(());
        }
        if let Some(response) = &response {
            return self.response(&kind, response, data, events).map_err(blame);
        }
        let wire = Wire {
            kind,
            index: count(index),
            item_id: item_id.and_then(|id| id.as_string()),
            place: count(content).or_else(|| count(summary)).unwrap_or(0),
            node: &root,
        };
        self.item_event(&wire, events).map_err(blame)
    }

    /// Reads an event that is nothing but a piece of an item that is known. `false`: it is not, or has to be looked at.
    fn plain(&mut self, data: &Str, events: &mut Vec<Event>) -> Result<bool, Error> {
        let Some(piece) = Piece::find(data.as_bytes()).filter(|_| self.started) else {
            return Ok(false);
        };
        let at = self.items.iter().rposition(|item| item.index == Some(piece.index));
        let (Some(at), Some(text)) = (at, text_at(&piece.text, data)) else { return Ok(false) };
        let place = piece.place;
        match piece.kind {
            b"response.output_text.delta" => {
                self.with(at, events, |state, out| state.text(place, &text, out))?;
            }
            b"response.reasoning_summary_text.delta" => {
                self.with(at, events, |state, out| state.thought((false, place), &text, out))?;
            }
            b"response.function_call_arguments.delta" => {
                self.with(at, events, |state, out| state.arguments(&text, out))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// An event that tells how the answer as a whole is.
    fn response(
        &mut self,
        kind: &str,
        response: &Node<'_>,
        data: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let names = ["id", "model", "created_at", "service_tier", "status", "usage", "output"];
        let [id, model, created, tier, status, counts, output] = response.pick(names)?;
        let string = |node: Option<Node<'_>>| node.and_then(|node| node.as_string());
        if !self.started {
            let mut start =
                Start::new(string(id).unwrap_or_default(), string(model).unwrap_or_default());
            start.created = created.and_then(|created| created.as_count());
            start.service_tier = string(tier);
            self.start(start, events);
        }
        if !matches!(kind, "response.completed" | "response.incomplete" | "response.failed") {
            return Ok(());
        }
        let counts = counts.and_then(|counts| usage::decode(&counts, &usage::RESPONSES));
        let counts = counts.map(|counts| Event::Usage(Box::new(counts)));
        let untold = || (kind == "response.failed").then(|| malformed("it has failed"));
        if let Some(failed) = failure(response, data).or_else(untold) {
            events.extend(counts);
            self.fail(failed, events);
            return Ok(());
        }
        // What was never told on the way is told now.
        if let Some(output) = output.filter(Node::is_list) {
            output.items(|index, item| {
                let id = item.get("id").and_then(|id| id.as_string());
                let at = match self.find_by_id(id.as_ref()) {
                    Some(at) => at,
                    None => self.item(Some(index as u64), id.as_ref())?,
                };
                self.with(at, events, |state, out| state.done(&item, out))
            })?;
        }
        let status = string(status);
        let status = status.as_deref().or_else(|| kind.strip_prefix("response."));
        let details = response.get("incomplete_details");
        let reason = details.as_ref().and_then(|details| details.get("reason"));
        let reason = reason.and_then(|reason| reason.as_string());
        self.close(events);
        events.extend(counts);
        let calls = self.items.iter().any(Item::is_call);
        let refused = self.items.iter().any(Item::is_refusal);
        let stop = wire::decode_stop(status, reason.as_ref(), calls, refused);
        events.push(Event::Stop { choice: 0, stop: Box::new(stop) });
        self.ended = true;
        events.push(Event::End);
        Ok(())
    }

    fn item_event(&mut self, wire: &Wire<'_>, events: &mut Vec<Event>) -> Result<(), Error> {
        let Some(what) = wire.kind.strip_prefix("response.") else { return Ok(()) };
        const KNOWN: [&str; 18] = [
            "output_item.added",
            "output_item.done",
            "content_part.done",
            "output_text.delta",
            "output_text.done",
            "output_text.annotation.added",
            "refusal.delta",
            "refusal.done",
            "reasoning_summary_part.done",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_text.delta",
            "reasoning_text.done",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "content_part.added",
        ];
        if !KNOWN.contains(&what) {
            return Ok(());
        }
        let item = wire.node.get("item");
        let own_id = item.as_ref().and_then(|item| item.get("id")).and_then(|id| id.as_string());
        let at = self.item(wire.index, wire.item_id.as_ref().or(own_id.as_ref()))?;
        if !self.started {
            self.start(Start::default(), events);
        }
        let text = |name: &str| -> Result<Str, Error> {
            Ok(wire.node.get(name).map(|node| node.string()).transpose()?.unwrap_or_default())
        };
        let place = wire.place;
        match what {
            "output_item.added" => match &item {
                Some(item) => self.with(at, events, |state, out| state.added(item, out)),
                None => Ok(()),
            },
            "output_item.done" => match &item {
                Some(item) => self.with(at, events, |state, out| state.done(item, out)),
                None => Ok(()),
            },
            "output_text.delta" => {
                let delta = text("delta")?;
                let listed = wire.node.get("logprobs");
                let listed = listed.as_ref().and_then(|list| Some(list.share(wire::listed(list)?)));
                self.with(at, events, |state, out| {
                    state.logprobs(listed, out);
                    state.text(place, &delta, out)
                })
            }
            "output_text.done" => {
                let whole = text("text")?;
                self.with(at, events, |state, out| state.whole_text(place, &whole, out))
            }
            "output_text.annotation.added" => {
                let Some(annotation) = wire.node.get("annotation") else { return Ok(()) };
                let annotation = annotation.raw()?;
                self.with(at, events, |state, out| state.citation(place, annotation, out))
            }
            "refusal.delta" => {
                let delta = text("delta")?;
                self.with(at, events, |state, out| state.refusal(place, &delta, out))
            }
            "refusal.done" => {
                let whole = text("refusal")?;
                self.with(at, events, |state, out| state.whole_refusal(place, &whole, out))
            }
            "reasoning_summary_text.delta" | "reasoning_text.delta" => {
                let delta = text("delta")?;
                let raw = what.starts_with("reasoning_text");
                self.with(at, events, |state, out| state.thought((raw, place), &delta, out))
            }
            "reasoning_summary_text.done" | "reasoning_text.done" => {
                let whole = text("text")?;
                let raw = what.starts_with("reasoning_text");
                self.with(at, events, |state, out| state.whole_thought((raw, place), &whole, out))
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                let delta = text("delta")?;
                self.with(at, events, |state, out| state.arguments(&delta, out))
            }
            "function_call_arguments.done" => {
                let whole = text("arguments")?;
                self.with(at, events, |state, out| state.whole_arguments(&whole, out))
            }
            "custom_tool_call_input.done" => {
                let whole = text("input")?;
                self.with(at, events, |state, out| state.whole_arguments(&whole, out))
            }
            // What begins, and what the events beside these tell as well.
            _ => Ok(()),
        }
    }

    /// The item at this place, or of this id; a new one if there is none.
    fn item(&mut self, index: Option<u64>, id: Option<&Str>) -> Result<usize, Error> {
        let by_index =
            index.and_then(|index| self.items.iter().rposition(|item| item.index == Some(index)));
        if let Some(at) = by_index.or_else(|| match index {
            None => self.find_by_id(id),
            Some(_) => None,
        }) {
            return Ok(at);
        }
        if self.items.len() == MAX_ITEMS {
            return Err(malformed("it has too many items"));
        }
        self.items.push(Item::new(index, id.cloned().unwrap_or_default()));
        Ok(self.items.len() - 1)
    }

    fn find_by_id(&self, id: Option<&Str>) -> Option<usize> {
        let id = id.filter(|id| !id.is_empty())?;
        self.items.iter().rposition(|item| item.id == *id)
    }

    /// Lets an item take an event.
    fn with(
        &mut self,
        at: usize,
        events: &mut Vec<Event>,
        take: impl FnOnce(&mut Item, &mut Out<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // A part of each kind may begin with one event.
        if self.next >= u16::MAX - 2048 {
            return Err(malformed("it has too many parts"));
        }
        let mut out = Out { events, next: &mut self.next, restore: &self.restore };
        match self.items.get_mut(at) {
            Some(item) => take(item, &mut out),
            None => Ok(()),
        }
    }

    fn start(&mut self, start: Start, events: &mut Vec<Event>) {
        self.started = true;
        events.push(Event::Start(Box::new(start)));
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        let mut out = Out { events, next: &mut self.next, restore: &self.restore };
        for item in &mut self.items {
            item.close(&mut out);
        }
    }

    fn fail(&mut self, error: Error, events: &mut Vec<Event>) {
        if !self.started {
            self.start(Start::default(), events);
        }
        self.close(events);
        self.ended = true;
        events.push(Event::Error(error));
    }
}
