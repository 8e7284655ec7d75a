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
pub(in crate::cohere) struct Side {
    decoder: Decoder,
    fresh: Fresh,
}

impl Side {
    pub(in crate::cohere) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), fresh: Fresh::default() }
    }
}

impl SideReader for Side {
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        if self.decoder.has_ended() {
            return Verdict::Pass;
        }
        if let Some(data) = &event.data
            && let Some(piece) = Piece::find(data)
            && !piece.text.is_empty()
            && self.decoder.takes(piece.what)
        {
            frame.mark(Facts::CONTENT);
            frame.set_contents(frame.contents().saturating_add(1));
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
