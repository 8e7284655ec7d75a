//! Chunks that hold a piece of one answer and nothing else but counts, told by their names: nearly all have the same few members.

use std::ops::Range;

use ziggurat_core::Usage;

use crate::gemini::usage;
use crate::spelled::Spelled;

/// A chunk with nothing in it but a piece.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The answer's number.
    pub(super) index: u64,
    pub(super) thought: bool,
    /// Where its text stands, between the quotes and still escaped.
    pub(super) text: Range<usize>,
    pub(super) usage: Option<Usage>,
}

impl Piece {
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        let mut piece = Self::default();
        let mut chunk = Spelled::new(data);
        chunk.members(|name, value| {
            match name {
                // A name that comes twice would count once.
                b"candidates" if piece.text.start == 0 => piece.candidates(value)?,
                b"usageMetadata" => piece.usage = usage::spelled(value, |_, _| ())?,
                b"modelVersion" | b"responseId" | b"createTime" => drop(value.word()?),
                _ => return None,
            }
            Some(())
        })?;
        chunk.end()?;
        (piece.text.start > 0).then_some(piece)
    }

    fn candidates(&mut self, list: &mut Spelled<'_>) -> Option<()> {
        list.pass("[")?;
        list.members(|name, value| match name {
            b"content" => value.members(|name, value| match name {
                b"parts" => self.parts(value),
                b"role" => value.word().map(drop),
                _ => None,
            }),
            b"index" => value.count().map(|index| self.index = index),
            _ => None,
        })?;
        list.pass("]")
    }

    fn parts(&mut self, list: &mut Spelled<'_>) -> Option<()> {
        if self.text.start > 0 {
            return None;
        }
        list.pass(r#"[{"text":"#)?;
        self.text = list.string()?;
        self.thought = list.passes(r#","thought":true"#);
        list.pass("}]")
    }
}
