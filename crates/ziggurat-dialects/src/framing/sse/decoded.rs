//! Facts for dialects whose events tell little before they are read in full: what the decoder reads.

use ziggurat_core::{Error, Event, Facts, Frame, Restore, StreamDecoder};

use crate::framing::fresh::Fresh;

use super::{SideReader, SseEvent, Verdict};

/// A decoder that is handed one event at a time.
pub(crate) trait EventReader: StreamDecoder {
    /// One that undoes these changes.
    fn restoring(restore: &Restore) -> Self;

    /// Reads one event of the stream.
    fn read(&mut self, event: &SseEvent<'_>, events: &mut Vec<Event>) -> Result<(), Error>;

    /// Whether the stream's end was read.
    fn has_ended(&self) -> bool;
}

/// Reads events in full, and keeps them if they are wanted.
#[derive(Debug)]
pub(crate) struct Decoded<D> {
    decoder: D,
    fresh: Fresh,
}

impl<D: EventReader> Decoded<D> {
    pub(crate) fn new() -> Self {
        Self { decoder: D::restoring(&Restore::default()), fresh: Fresh::default() }
    }
}

impl<D: EventReader> SideReader for Decoded<D> {
    fn carry_events(&mut self, restore: &Restore) -> bool {
        self.decoder = D::restoring(restore);
        self.fresh.carry();
        true
    }

    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        let read = self.decoder.read(event, &mut self.fresh.events);
        self.fresh.deliver(frame);
        match read {
            Ok(()) => Verdict::Pass,
            Err(error) if self.fresh.is_carried() => Verdict::Broken(error),
            Err(_) => Verdict::Malformed,
        }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        if self.decoder.has_ended() {
            return Ok(());
        }
        self.fresh.finish(&mut self.decoder, frame)?;
        // The stream has no last event: it is complete if each answer says why it ended.
        frame.mark(Facts::TERMINATOR);
        Ok(())
    }
}
