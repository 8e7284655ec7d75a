//! Facts about events, read while the stream is cut.
//!
//! Nearly all events carry a piece of text and nothing else, in one spelling. They are recognised by their bytes; all others are
//! decoded. So the facts are the decoder's own, and the common event costs a few comparisons.

use ziggurat_core::{Error, Facts, Frame, Restore};

use super::decode::Decoder;
use super::piece::Piece;
use crate::framing::fresh::Fresh;
use crate::framing::sse::{SideReader, SseEvent, Verdict};

/// Reads facts from events.
#[derive(Debug)]
pub(in crate::anthropic) struct Side {
    decoder: Decoder,
    fresh: Fresh,
}

impl Side {
    pub(in crate::anthropic) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), fresh: Fresh::default() }
    }

    /// Takes an event that holds nothing but a piece of a block that has begun.
    fn plain(&mut self, data: &[u8], frame: &mut Frame) -> bool {
        let Some(piece) = Piece::find(data) else { return false };
        if !self.decoder.takes(&piece) {
            return false;
        }
        if !piece.text.is_empty() {
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
        let read = self.decoder.read(event, &mut self.fresh.events);
        self.fresh.deliver(frame);
        match read {
            Ok(()) => Verdict::Pass,
            Err(_) => Verdict::Malformed,
        }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        if self.decoder.has_ended() {
            return Ok(());
        }
        self.fresh.finish(&mut self.decoder, frame)
    }
}
