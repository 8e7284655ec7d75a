//! Cuts a stream into frames.

use bytes::{Bytes, BytesMut};
use ziggurat_core::{CutOptions, Cutter, Error, ErrorKind, Facts, Frame, Origin, Restore};

use super::{Damage, Message, PRELUDE, Prelude};

/// Reads facts from messages while a stream is cut. There is one for each dialect that streams them.
pub trait SideReader: Send {
    /// Asks that frames carry their events: [`Cutter::carry_events`].
    fn carry_events(&mut self, restore: &Restore) -> bool {
        let _ = restore;
        false
    }

    /// Notes in `frame` what `message` says. The facts must be those of the events that the dialect's decoder makes of it.
    ///
    /// # Errors
    ///
    /// When the message cannot be read, and its events are wanted.
    fn read(&mut self, message: &Message, frame: &mut Frame) -> Result<(), Error>;

    /// The input has ended. Notes what that says: some streams have no terminator.
    ///
    /// # Errors
    ///
    /// When the stream ended before its end.
    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error>;
}

/// Cuts messages into frames.
///
/// The whole messages of one read become one frame, a slice of it. Only a message that comes in several reads is copied.
#[derive(Debug)]
pub struct EventStreamCutter<R> {
    reader: R,
    max_event: usize,
    /// The beginning of a message whose end has not come.
    carry: BytesMut,
    /// What has come and was not looked at.
    input: Bytes,
    /// Why nothing more can be read. What came before goes out first.
    broken: Option<Error>,
    ended: bool,
}

impl<R: SideReader> EventStreamCutter<R> {
    /// A cutter whose facts come from `reader`.
    pub fn new(reader: R, options: &CutOptions) -> Self {
        Self {
            reader,
            max_event: options.max_event,
            carry: BytesMut::new(),
            input: Bytes::new(),
            broken: None,
            ended: false,
        }
    }

    /// Completes the message whose beginning is carried.
    fn straddling(&mut self) -> Result<Option<Frame>, Damage> {
        loop {
            let prelude = Prelude::read(&self.carry, self.max_event)?;
            let wanted = prelude.map_or(PRELUDE, |prelude| prelude.total) - self.carry.len();
            if wanted == 0 {
                break;
            }
            if self.input.is_empty() {
                return Ok(None);
            }
            let taken = wanted.min(self.input.len());
            self.carry.extend_from_slice(&self.input.split_to(taken));
        }
        let bytes = self.carry.split().freeze();
        let Some(message) = Message::read(&bytes, self.max_event)? else { return Ok(None) };
        let mut frame = Frame::new(bytes, Facts::NONE);
        self.broken = self.reader.read(&message, &mut frame).err();
        Ok(Some(frame))
    }

    /// The run of whole messages at the beginning of the input.
    fn run(&mut self) -> Option<Frame> {
        let input = std::mem::take(&mut self.input);
        let mut frame = Frame::new(Bytes::new(), Facts::NONE);
        let mut done = 0;
        while done < input.len() {
            match Message::read(&input.slice(done..), self.max_event) {
                Ok(Some(message)) => {
                    done += message.length();
                    self.broken = self.reader.read(&message, &mut frame).err();
                    if self.broken.is_some() {
                        break;
                    }
                }
                Ok(None) => {
                    self.carry.extend_from_slice(&input[done..]);
                    break;
                }
                Err(damage) => {
                    self.broken = Some(broken(damage, self.max_event));
                    break;
                }
            }
        }
        (done > 0).then(|| frame.with_bytes(input.slice(..done)))
    }
}

impl<R: SideReader> Cutter for EventStreamCutter<R> {
    fn carry_events(&mut self, restore: &Restore) -> bool {
        self.reader.carry_events(restore)
    }

    fn push(&mut self, bytes: Bytes) {
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            let mut both = BytesMut::with_capacity(self.input.len() + bytes.len());
            both.extend_from_slice(&self.input);
            both.extend_from_slice(&bytes);
            self.input = both.freeze();
        }
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        while !self.ended {
            if let Some(error) = self.broken.take() {
                self.ended = true;
                return Err(error);
            }
            if self.input.is_empty() {
                return Ok(None);
            }
            let frame = match self.carry.is_empty() {
                true => self.run(),
                false => self.straddling().unwrap_or_else(|damage| {
                    self.broken = Some(broken(damage, self.max_event));
                    None
                }),
            };
            if frame.is_some() {
                return Ok(frame);
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<Option<Frame>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        if !self.carry.is_empty() {
            let message = "the stream ended in the middle of a message";
            return Err(Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider));
        }
        let mut frame = Frame::new(Bytes::new(), Facts::NONE);
        self.reader.finish(&mut frame)?;
        Ok((!frame.facts().is_empty() || frame.events().is_some()).then_some(frame))
    }
}

/// The provider's stream cannot be read on.
fn broken(damage: Damage, most: usize) -> Error {
    let message = match damage {
        Damage::TooLarge => format!("a message of the stream is larger than {most} bytes"),
        other => other.to_string(),
    };
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}
