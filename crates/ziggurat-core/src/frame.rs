//! Pieces of a stream as they travel through the layers.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use bytes::Bytes;

use crate::{Error, ErrorKind, Event, Origin, Usage};

/// A run of one or more whole wire events as one slice, with facts about what is in it.
///
/// ```
/// use bytes::Bytes;
/// use ziggurat_core::{Event, Facts, Frame, PartId};
///
/// let frame = Frame::new(Bytes::from_static(b"data: [DONE]\n\n"), Facts::TERMINATOR);
/// assert!(frame.facts().has(Facts::TERMINATOR));
///
/// let frame = Frame::of_events(vec![Event::Text { part: PartId::first(0), text: "Hi".into() }]);
/// assert!(frame.facts().has(Facts::CONTENT));
/// assert_eq!(frame.contents(), 1);
/// ```
///
/// A layer decides on facts. One that needs [`Event`]s calls [`Reply::events`](crate::Reply::events) before the first frame.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Bytes,
    facts: Facts,
    contents: u16,
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default)]
struct More {
    usage: Option<Usage>,
    error: Option<Error>,
    events: Option<Vec<Event>>,
    changed: bool,
    withheld: Option<Bytes>,
}

impl Frame {
    /// A frame of these bytes.
    #[must_use]
    pub fn new(bytes: Bytes, facts: Facts) -> Self {
        Self { bytes, facts, contents: 0, more: None }
    }

    /// A frame that was never on a wire.
    #[must_use]
    pub fn of_events(events: Vec<Event>) -> Self {
        let mut frame = Self::new(Bytes::new(), Facts::NONE);
        for event in &events {
            frame.learn(event);
        }
        let more = frame.more();
        more.events = Some(events);
        more.changed = true;
        frame
    }

    /// The bytes as they came. They do not say what the frame says if the events were [changed](Self::is_changed).
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes, taken.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The same facts about these bytes.
    #[must_use]
    pub fn with_bytes(mut self, bytes: Bytes) -> Self {
        self.bytes = bytes;
        self
    }

    /// What is in it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Adds facts.
    pub fn mark(&mut self, facts: Facts) {
        self.facts |= facts;
    }

    /// How many of the events carry content.
    #[must_use]
    pub fn contents(&self) -> u16 {
        self.contents
    }

    /// Counts events that carry content.
    pub fn set_contents(&mut self, contents: u16) {
        self.contents = contents;
    }

    /// Usage so far, if the frame tells.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.more.as_ref().and_then(|more| more.usage.as_ref())
    }

    /// Takes note of usage.
    pub fn set_usage(&mut self, usage: &Usage) {
        self.facts |= Facts::USAGE;
        self.more().usage.get_or_insert_default().update(usage);
    }

    /// The error, if the frame holds one.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.more.as_ref().and_then(|more| more.error.as_ref())
    }

    /// Why the stream failed, if the frame says that it did: the error it holds, or a general one where it is merely
    /// [marked](Self::mark) with [`Facts::ERROR`].
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        let unnamed = || {
            Error::new(ErrorKind::BadUpstream, "the provider reported an error in its stream")
                .with_origin(Origin::Provider)
        };
        let failed = self.facts.has(Facts::ERROR);
        self.error().cloned().or_else(|| failed.then(unnamed))
    }

    /// Takes note of an error.
    pub fn set_error(&mut self, error: Error) {
        self.facts |= Facts::ERROR;
        self.more().error = Some(error);
    }

    /// The events, if the stream is being decoded.
    #[must_use]
    pub fn events(&self) -> Option<&[Event]> {
        self.more.as_ref().and_then(|more| more.events.as_deref())
    }

    /// Lets the events keep nothing of what they were read from: [`Event::detach`].
    pub fn detach_events(&mut self) {
        if let Some(events) = self.more.as_mut().and_then(|more| more.events.as_mut()) {
            events.iter_mut().for_each(Event::detach);
        }
    }

    /// Adds what a decoder read.
    pub fn set_events(&mut self, events: Vec<Event>) {
        self.more().events = Some(events);
    }

    /// Adds what was read after that.
    pub fn add_events(&mut self, events: &mut Vec<Event>) {
        let all = self.more().events.get_or_insert_default();
        if all.is_empty() {
            std::mem::swap(all, events);
        } else {
            all.append(events);
        }
    }

    /// Changes the events. The frame is then encoded afresh at the front door.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Vec<Event>)) {
        let more = self.more();
        more.changed = true;
        edit(more.events.get_or_insert_default());
    }

    /// Whole events that follow the bytes and are kept from the caller: usage that only the gateway asked for. They belong to the
    /// answer, so that whoever keeps it, or reads it in another dialect, reads them too.
    #[must_use]
    pub fn withheld(&self) -> Option<&Bytes> {
        self.more.as_ref().and_then(|more| more.withheld.as_ref())
    }

    /// Takes note of events that are kept from the caller.
    pub fn set_withheld(&mut self, events: Bytes) {
        self.more().withheld = Some(events);
    }

    /// Whether the events differ from the bytes.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.changed)
    }

    /// Takes an event's facts into the frame's.
    pub fn learn(&mut self, event: &Event) {
        match event {
            Event::Text { text, .. }
            | Event::Thinking { text, .. }
            | Event::Refusal { text, .. }
            | Event::Arguments { fragment: text, .. } => {
                if !text.is_empty() {
                    self.facts |= Facts::CONTENT;
                    self.contents = self.contents.saturating_add(1);
                }
            }
            Event::PartStart { kind, .. } => {
                if !matches!(
                    **kind,
                    crate::PartKind::Text | crate::PartKind::Reasoning | crate::PartKind::Refusal
                ) {
                    self.facts |= Facts::CONTENT;
                }
            }
            Event::Start(start) => {
                if let Some(usage) = &start.usage {
                    self.set_usage(usage);
                }
            }
            Event::Usage(usage) => self.set_usage(usage),
            Event::Stop { .. } => self.facts |= Facts::STOP,
            Event::Error(error) => self.set_error(error.clone()),
            Event::End => self.facts |= Facts::TERMINATOR,
            Event::Ping => self.facts |= Facts::KEEP_ALIVE,
            Event::Signature { .. }
            | Event::Citation { .. }
            | Event::Logprobs { .. }
            | Event::PartEnd { .. } => {}
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// What is in a frame: a set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts(u16);

impl Facts {
    /// Nothing worth knowing.
    pub const NONE: Self = Self(0);
    /// Content came: text, reasoning, a tool call. Empty deltas do not count.
    pub const CONTENT: Self = Self(1);
    /// Usage.
    pub const USAGE: Self = Self(1 << 1);
    /// The reason why an answer ended.
    pub const STOP: Self = Self(1 << 2);
    /// An error.
    pub const ERROR: Self = Self(1 << 3);
    /// A comment or a ping.
    pub const KEEP_ALIVE: Self = Self(1 << 4);
    /// The dialect's last event: the answer is complete.
    pub const TERMINATOR: Self = Self(1 << 5);

    /// Whether all of `facts` are in this set.
    #[must_use]
    pub const fn has(self, facts: Self) -> bool {
        self.0 & facts.0 == facts.0
    }

    /// Whether any of `facts` is in this set.
    #[must_use]
    pub const fn any(self, facts: Self) -> bool {
        self.0 & facts.0 != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Facts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Facts {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::CONTENT, "content"),
            (Self::USAGE, "usage"),
            (Self::STOP, "stop"),
            (Self::ERROR, "error"),
            (Self::KEEP_ALIVE, "keep-alive"),
            (Self::TERMINATOR, "terminator"),
        ];
        f.debug_set()
            .entries(names.iter().filter(|(fact, _)| self.has(*fact)).map(|(_, name)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_small_enough_to_move() {
        assert!(size_of::<Frame>() <= 48, "{}", size_of::<Frame>());
        assert!(size_of::<Option<Result<Frame, Error>>>() <= 56);
    }

    #[test]
    fn a_marked_error_is_a_failure_even_if_nobody_named_it() {
        assert!(Frame::new(Bytes::new(), Facts::CONTENT).failure().is_none());
        let marked = Frame::new(Bytes::new(), Facts::ERROR);
        assert_eq!(marked.failure().unwrap().kind(), ErrorKind::BadUpstream);
        let mut named = Frame::new(Bytes::new(), Facts::NONE);
        named.set_error(Error::new(ErrorKind::Overloaded, "busy"));
        assert_eq!(named.failure().unwrap().kind(), ErrorKind::Overloaded);
    }

    #[test]
    fn facts_are_a_set() {
        let facts = Facts::CONTENT | Facts::USAGE;
        assert!(facts.has(Facts::CONTENT));
        assert!(!facts.has(Facts::CONTENT | Facts::STOP));
        assert!(facts.any(Facts::CONTENT | Facts::STOP));
        assert_eq!(format!("{facts:?}"), r#"{"content", "usage"}"#);
    }
}
