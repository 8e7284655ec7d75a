//! Facts about events, read while the stream is cut: those of the decoder.

use ziggurat_core::{Error, Event, Frame};

use super::decode::Decoder;
use crate::framing::sse::{SideReader, SseEvent, Verdict};
use crate::openai_api::error;

/// Reads facts from events.
#[derive(Debug, Default)]
pub(crate) struct Side {
    decoder: Decoder,
    scratch: Vec<Event>,
}

impl SideReader for Side {
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        if self.decoder.has_ended() {
            return Verdict::Pass;
        }
        let read = self.decoder.read(event, &mut self.scratch);
        for event in self.scratch.drain(..) {
            frame.learn(&event);
        }
        match read {
            Err(_) => Verdict::Malformed,
            Ok(()) => Verdict::Pass,
        }
    }

    fn finish(&mut self, _: &mut Frame) -> Result<(), Error> {
        if self.decoder.has_ended() {
            return Ok(());
        }
        // The end is an event of its own: without it nobody knows whether the answer is complete.
        Err(error::truncated())
    }
}
