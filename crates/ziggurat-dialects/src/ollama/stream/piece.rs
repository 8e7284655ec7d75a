//! Lines that hold a piece of the answer or of its thinking and nothing else, told by their bytes: nearly all are in one spelling.

use std::ops::Range;

use super::decode::Flow;
use crate::spelled::Spelled;

/// A line of the common spelling.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) flow: Flow,
    /// Where its text stands, between the quotes and still escaped. It is not empty.
    pub(super) text: Range<usize>,
}

impl Piece {
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        let mut line = Spelled::new(data);
        line.pass(r#"{"model":"#)?;
        line.word()?;
        line.pass(r#","created_at":"#)?;
        line.word()?;
        line.pass(r#","message":{"role":"assistant","content":"#)?;
        let text = line.string()?;
        let thought = if line.passes(r#","thinking":"#) { line.string()? } else { 0..0 };
        line.pass(r#"},"done":false}"#)?;
        line.end()?;
        match (text.is_empty(), thought.is_empty()) {
            (false, true) => Some(Self { flow: Flow::Text, text }),
            (true, false) => Some(Self { flow: Flow::Reasoning, text: thought }),
            _ => None,
        }
    }
}
