//! Deltas that hold a piece of a block and nothing else, told by their bytes: nearly all are in one spelling.

use std::ops::Range;

use crate::spelled::Spelled;

/// The payload of a `contentBlockDelta` of the common spelling.
#[derive(Debug)]
pub(super) struct Piece {
    /// The block's.
    pub(super) index: u64,
    pub(super) delta: Delta,
    /// Where its text stands, between the quotes and still escaped.
    pub(super) text: Range<usize>,
}

/// What a block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delta {
    Text,
    Thinking,
    Arguments,
}

impl Piece {
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        let mut event = Spelled::new(data);
        event.pass(r#"{"contentBlockIndex":"#)?;
        let index = event.count()?;
        event.pass(r#","delta":{"#)?;
        let (delta, name, end) = match event.word()? {
            b"text" => (Delta::Text, ":", "}"),
            b"reasoningContent" => (Delta::Thinking, r#":{"text":"#, "}}"),
            b"toolUse" => (Delta::Arguments, r#":{"input":"#, "}}"),
            _ => return None,
        };
        event.pass(name)?;
        let text = event.string()?;
        event.pass(end)?;
        // The provider pads events, so that their lengths do not tell what they say.
        if event.passes(r#","p":"#) {
            event.word()?;
        }
        event.pass("}")?;
        event.end()?;
        Some(Self { index, delta, text })
    }
}
