//! Facts about chunks, read while the stream is cut.
//!
//! Nearly all chunks carry a piece of text and nothing else, in one spelling. They are recognised by their bytes; all others are
//! decoded. So the facts are the decoder's own, and the common chunk costs a few searches.

use ziggurat_core::{CutOptions, Error, Facts, Frame, Restore};

use super::choice::Flow;
use super::decode::{Decoder, Kind};
use super::piece::{Piece, What};
use crate::framing::fresh::Fresh;
use crate::framing::sse::{SideReader, SseEvent, Verdict};
use crate::openai_api::error;

/// Reads facts from chunks.
#[derive(Debug)]
pub(crate) struct Side {
    decoder: Decoder,
    withhold_usage: bool,
    fresh: Fresh,
}

impl Side {
    pub(crate) fn new(options: &CutOptions) -> Self {
        let decoder = Decoder::new(&Restore::default());
        Self { decoder, withhold_usage: options.withhold_usage, fresh: Fresh::default() }
    }

    /// Takes a chunk that holds nothing but a piece of text or of arguments.
    fn plain(&mut self, data: &[u8], frame: &mut Frame) -> bool {
        let Some(piece) = Piece::find(data) else { return false };
        let flow = match piece.what {
            What::Text => Some(Flow::Text),
            What::Reasoning => Some(Flow::Reasoning),
            What::Arguments(number) if self.decoder.state(0).has_call(number) => None,
            What::Arguments(_) => return false,
        };
        if piece.text.is_empty() {
            self.decoder.skip(0, None, &mut self.fresh.events);
        } else {
            self.decoder.skip(0, flow, &mut self.fresh.events);
            frame.mark(Facts::CONTENT);
            frame.set_contents(frame.contents().saturating_add(1));
        }
        self.fresh.events.clear();
        true
    }
}

impl SideReader for Side {
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        if self.decoder.has_ended() {
            return Verdict::Pass;
        }
        if event.name.is_none()
            && let Some(data) = &event.data
            && self.plain(data, frame)
        {
            return Verdict::Pass;
        }
        let kind = self.decoder.read(event, &mut self.fresh.events);
        self.fresh.deliver(frame);
        match kind {
            Err(_) => Verdict::Malformed,
            Ok(Kind::UsageOnly) if self.withhold_usage => Verdict::Withhold,
            Ok(_) => Verdict::Pass,
        }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        if self.decoder.has_ended() {
            return Ok(());
        }
        // Some servers leave `[DONE]` out: then the answer is complete if every choice says why it ended.
        if !self.decoder.is_complete() {
            return Err(error::truncated());
        }
        frame.mark(Facts::TERMINATOR);
        Ok(())
    }
}
