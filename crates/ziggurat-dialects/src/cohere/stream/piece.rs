//! Events that hold a piece of one part and nothing else, told by their bytes: nearly all are in one spelling.

use std::ops::Range;

use super::decode::What;
use crate::spelled::Spelled;

/// An event of the common spelling.
#[derive(Debug)]
pub(super) struct Piece {
    /// The part that it is of.
    pub(super) what: What,
    /// Where its text stands, between the quotes and still escaped.
    pub(super) text: Range<usize>,
}

impl Piece {
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        let mut event = Spelled::new(data);
        event.pass(r#"{"type":"#)?;
        let kind = event.word()?;
        event.pass(r#","index":"#)?;
        let index = event.count()?;
        let (what, text) = match kind {
            b"content-delta" => {
                event.pass(r#","delta":{"message":{"content":{"#)?;
                let what = match event.word()? {
                    b"text" => What::Text(index),
                    b"thinking" => What::Thinking(index),
                    _ => return None,
                };
                event.pass(":")?;
                (what, event.string()?)
            }
            b"tool-call-delta" => {
                event.pass(r#","delta":{"message":{"tool_calls":{"function":{"arguments":"#)?;
                let text = event.string()?;
                event.pass("}")?;
                (What::Call(index), text)
            }
            _ => return None,
        };
        event.pass("}}}}")?;
        event.end()?;
        Some(Self { what, text })
    }
}
