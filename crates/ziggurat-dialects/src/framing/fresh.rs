//! Events on their way from a decoder into the frames that a cutter makes.

use ziggurat_core::{Error, Event, Frame, StreamDecoder};

/// What a decoder has read and no frame knows of.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    pub(crate) events: Vec<Event>,
    carry: bool,
}

impl Fresh {
    /// Frames are to have the events, not only their facts.
    pub(crate) fn carry(&mut self) {
        self.carry = true;
    }

    /// Whether frames have the events.
    pub(crate) fn is_carried(&self) -> bool {
        self.carry
    }

    /// Tells a frame of them.
    pub(crate) fn deliver(&mut self, frame: &mut Frame) {
        for event in &self.events {
            frame.learn(event);
        }
        if self.carry && !self.events.is_empty() {
            frame.add_events(&mut self.events);
        }
        self.events.clear();
    }

    /// The input has ended: tells the last frame what that says.
    ///
    /// # Errors
    ///
    /// When the stream ended before its end.
    pub(crate) fn finish(
        &mut self,
        decoder: &mut impl StreamDecoder,
        frame: &mut Frame,
    ) -> Result<(), Error> {
        decoder.finish(&mut self.events);
        let failed = self.events.iter().find_map(|event| match event {
            Event::Error(error) => Some(error.clone()),
            _ => None,
        });
        match failed {
            Some(error) => Err(error),
            None => {
                self.deliver(frame);
                Ok(())
            }
        }
    }
}
