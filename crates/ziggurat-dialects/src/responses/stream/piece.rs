//! Events that hold a piece of an item and nothing else, told by their names: nearly all have the same few members.

use std::ops::Range;

use crate::spelled::Spelled;

/// An event with nothing in it but a piece.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Its type, of which the name ends in `.delta`.
    pub(super) kind: &'a [u8],
    /// The item's place. Without one it would have to be looked for by its id.
    pub(super) index: u64,
    /// Where in its item: `content_index` or `summary_index`.
    pub(super) place: u64,
    /// Where its text stands, between the quotes and still escaped.
    pub(super) text: Range<usize>,
}

impl<'a> Piece<'a> {
    pub(super) fn find(data: &'a [u8]) -> Option<Self> {
        let (mut kind, mut index, mut text) = (None, None, None);
        let (mut content, mut summary) = (None, None);
        let mut event = Spelled::new(data);
        event.members(|name, value| {
            match name {
                b"type" => kind = Some(value.word()?),
                b"output_index" => index = Some(value.count()?),
                b"content_index" => content = Some(value.count()?),
                b"summary_index" => summary = Some(value.count()?),
                b"delta" => text = Some(value.string()?),
                b"sequence_number" => drop(value.count()?),
                // It pads events, so that their lengths do not tell what they say.
                b"item_id" | b"obfuscation" => drop(value.word()?),
                b"logprobs" => value.pass("[]")?,
                _ => return None,
            }
            Some(())
        })?;
        event.end()?;
        let kind = kind.filter(|kind| kind.ends_with(b".delta"))?;
        let place = content.or(summary).unwrap_or(0);
        Some(Self { kind, index: index?, place, text: text? })
    }
}
