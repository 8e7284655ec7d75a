//! Facts about events, read while the stream is cut.
//!
//! Nearly all events carry a piece of text and nothing else, in one spelling. They are recognised by their bytes; all others are
//! decoded. So the facts are the decoder's own, and the common event costs a few comparisons.

use memchr::memchr2;
use ziggurat_core::{Error, Event, Facts, Frame, Restore, StreamDecoder};

use super::decode::{Decoder, Delta};
use crate::framing::sse::{SideReader, SseEvent, Verdict};

/// Reads facts from events.
#[derive(Debug)]
pub(in crate::anthropic) struct Side {
    decoder: Decoder,
    scratch: Vec<Event>,
}

impl Side {
    pub(in crate::anthropic) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), scratch: Vec::new() }
    }

    /// Takes an event that holds nothing but a piece of a block that has begun.
    fn plain(&mut self, data: &[u8], frame: &mut Frame) -> bool {
        let Some(piece) = Piece::find(data) else { return false };
        if !self.decoder.takes(piece.index, piece.delta, piece.is_empty) {
            return false;
        }
        if !piece.is_empty {
            frame.mark(Facts::CONTENT);
            frame.set_contents(frame.contents().saturating_add(1));
        }
        true
    }
}

impl SideReader for Side {
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        if self.decoder.has_ended() {
            return Verdict::Pass;
        }
        if event.name != Some(b"error")
            && let Some(data) = &event.data
            && self.plain(data, frame)
        {
            return Verdict::Pass;
        }
        let read = self.decoder.read(event, &mut self.scratch);
        for event in self.scratch.drain(..) {
            frame.learn(&event);
        }
        match read {
            Ok(()) => Verdict::Pass,
            Err(_) => Verdict::Malformed,
        }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        if self.decoder.has_ended() {
            return Ok(());
        }
        // What is still open is closed, and told with it.
        self.decoder.finish(&mut self.scratch);
        for event in self.scratch.drain(..) {
            if let Event::Error(error) = event {
                return Err(error);
            }
            frame.learn(&event);
        }
        Ok(())
    }
}

/// An event of the common spelling.
#[derive(Debug)]
struct Piece {
    index: u64,
    delta: Delta,
    is_empty: bool,
}

impl Piece {
    fn find(data: &[u8]) -> Option<Self> {
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
        is_plain.then_some(Self { index, delta, is_empty: end == 0 })
    }
}

/// Where the string ends whose content begins here.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}
