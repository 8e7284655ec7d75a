//! Facts about messages, read while the stream is cut: the decoder's own.

use ziggurat_core::{Error, Event, Frame, Restore, StreamDecoder};

use super::decode::Decoder;
use crate::framing::event_stream::{Message, SideReader};

/// Reads facts from messages.
#[derive(Debug)]
pub(in crate::converse) struct Side {
    decoder: Decoder,
    scratch: Vec<Event>,
}

impl Side {
    pub(in crate::converse) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), scratch: Vec::new() }
    }
}

impl SideReader for Side {
    fn read(&mut self, message: &Message, frame: &mut Frame) {
        // A message that cannot be read goes on: its facts are those of what was understood.
        drop(self.decoder.read(message, &mut self.scratch));
        for event in self.scratch.drain(..) {
            frame.learn(&event);
        }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
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
