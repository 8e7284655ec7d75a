//! Events that hold a piece of a block and nothing else, told by their bytes: nearly all are in one spelling.

use std::ops::Range;

use crate::spelled::Spelled;

/// An event of the common spelling.
#[derive(Debug)]
pub(super) struct Piece {
    /// The block's.
    pub(super) index: u64,
    pub(super) delta: Delta,
    /// Where its text stands, between the quotes and still escaped.
    pub(super) text: Range<usize>,
}

/// Which kind of delta a block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delta {
    Text,
    Thinking,
    Arguments,
}

impl Piece {
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        let mut event = Spelled::new(data);
        event.pass(r#"{"type":"content_block_delta","index":"#)?;
        let index = event.count()?;
        event.pass(r#","delta":{"type":"#)?;
        let (delta, name) = match event.word()? {
            b"text_delta" => (Delta::Text, r#","text":"#),
            b"input_json_delta" => (Delta::Arguments, r#","partial_json":"#),
            b"thinking_delta" => (Delta::Thinking, r#","thinking":"#),
            _ => return None,
        };
        event.pass(name)?;
        let text = event.string()?;
        // The provider pads short events with spaces.
        event.pass("}}")?;
        event.end()?;
        Some(Self { index, delta, text })
    }
}
