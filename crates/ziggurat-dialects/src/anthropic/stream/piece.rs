//! Events that hold a piece of a block and nothing else, told by their bytes: nearly all are in one spelling.

use std::ops::Range;

use crate::json::string_end;

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
        let rest = data.strip_prefix(br#"{"type":"content_block_delta","index":"#)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let index = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let rest = rest[digits..].strip_prefix(br#","delta":{"type":""#)?;
        let begins = [
            (Delta::Text, &br#"text_delta","text":""#[..]),
            (Delta::Arguments, br#"input_json_delta","partial_json":""#),
            (Delta::Thinking, br#"thinking_delta","thinking":""#),
        ];
        let (delta, text) = begins
            .into_iter()
            .find_map(|(delta, start)| Some((delta, rest.strip_prefix(start)?)))?;
        let end = string_end(text)?;
        // The provider pads short events with spaces.
        let tail = text[end + 1..].trim_ascii();
        let is_plain = tail.strip_prefix(b"}").map(<[u8]>::trim_ascii) == Some(b"}");
        let start = data.len() - text.len();
        is_plain.then_some(Self { index, delta, text: start..start + end })
    }
}
