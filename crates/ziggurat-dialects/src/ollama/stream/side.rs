//! Facts about lines, read while the stream is cut.
//!
//! Nearly all lines carry a piece of text and nothing else, in one spelling. They are recognised by their bytes; all others are
//! decoded. So the facts are the decoder's own, and the common line costs a few searches.

use bytes::Bytes;
use ziggurat_core::{Error, Facts, Frame, Restore};

use super::decode::Decoder;
use super::piece::Piece;
use crate::framing::fresh::Fresh;
use crate::framing::ndjson::LineReader;
use crate::framing::sse::Verdict;

/// Reads facts from lines.
#[derive(Debug)]
pub(in crate::ollama) struct Side {
    decoder: Decoder,
    fresh: Fresh,
}

impl Side {
    pub(in crate::ollama) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), fresh: Fresh::default() }
    }
}

impl LineReader for Side {
    fn read(&mut self, line: &Bytes, frame: &mut Frame) -> Verdict {
        if self.decoder.has_ended() {
            return Verdict::Pass;
        }
        if let Some(piece) = Piece::find(line)
            && self.decoder.goes_on(piece.flow)
        {
            frame.mark(Facts::CONTENT);
            frame.set_contents(frame.contents().saturating_add(1));
            return Verdict::Pass;
        }
        let read = self.decoder.read(line, &mut self.fresh.events);
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
