//! Facts about chunks, read while the stream is cut: they are the decoder's own.

use ziggurat_core::{Error, Event, Facts, Frame, Restore, StreamDecoder};

use super::decode::Decoder;
use crate::framing::sse::{SideReader, SseEvent, Verdict};

/// Reads facts from chunks.
#[derive(Debug)]
pub(in crate::gemini) struct Side {
    decoder: Decoder,
    scratch: Vec<Event>,
}

impl Side {
    pub(in crate::gemini) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), scratch: Vec::new() }
    }

    fn learn(&mut self, frame: &mut Frame) {
        for event in self.scratch.drain(..) {
            frame.learn(&event);
        }
    }
}

impl SideReader for Side {
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        let read = self.decoder.read(event, &mut self.scratch);
        self.learn(frame);
        match read {
            Ok(()) => Verdict::Pass,
            Err(_) => Verdict::Malformed,
        }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        if self.decoder.has_ended() {
            return Ok(());
        }
        self.decoder.finish(&mut self.scratch);
        for event in self.scratch.drain(..) {
            if let Event::Error(error) = event {
                return Err(error);
            }
            frame.learn(&event);
        }
        // The stream has no last event: it is complete if each answer says why it ended.
        frame.mark(Facts::TERMINATOR);
        Ok(())
    }
}
