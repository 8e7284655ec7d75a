//! Facts about messages, read while the stream is cut: the decoder's own.

use ziggurat_core::{Error, Frame, Restore};

use super::decode::Decoder;
use crate::framing::event_stream::{Message, SideReader};
use crate::framing::fresh::Fresh;

/// Reads messages in full, and keeps their events if they are wanted.
#[derive(Debug)]
pub(in crate::converse) struct Side {
    decoder: Decoder,
    fresh: Fresh,
}

impl Side {
    pub(in crate::converse) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), fresh: Fresh::default() }
    }
}

impl SideReader for Side {
    fn carry_events(&mut self, restore: &Restore) -> bool {
        self.decoder = Decoder::new(restore);
        self.fresh.carry();
        true
    }

    fn read(&mut self, message: &Message, frame: &mut Frame) -> Result<(), Error> {
        let read = self.decoder.read(message, &mut self.fresh.events);
        self.fresh.deliver(frame);
        // Where the bytes go on, so does a message that cannot be read: its facts are those of what was understood.
        if self.fresh.is_carried() { read } else { Ok(()) }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        self.fresh.finish(&mut self.decoder, frame)
    }
}
