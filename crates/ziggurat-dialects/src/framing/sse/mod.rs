//! Server-sent events: cut while they come, without copying, and read again from whole frames.
//!
//! What the format allows is taken (WHATWG HTML, "Server-sent events"): lines end in LF, CR or CRLF, fields come with and
//! without a space after the colon, data may span lines, comments stand anywhere. A comment line that does not stand within
//! an event is a unit of its own, so that it keeps connections open at once and not when the next event comes.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};
use ziggurat_core::{CutOptions, Cutter, Error, ErrorKind, Facts, Frame, Origin, Restore};

mod decoded;

pub(crate) use decoded::{Decoded, EventReader};

/// Reads facts from events while a stream is cut. There is one for each dialect that streams server-sent events.
pub trait SideReader: Send {
    /// Asks that frames carry their events: [`Cutter::carry_events`].
    fn carry_events(&mut self, restore: &Restore) -> bool {
        let _ = restore;
        false
    }

    /// Notes in `frame` what `event` says. The facts must be those of the events that the dialect's decoder makes of it.
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict;

    /// The input has ended. Notes what that says: some streams have no terminator.
    ///
    /// # Errors
    ///
    /// When the stream ended before its end.
    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error>;
}

/// What becomes of an event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It goes on, although its data is no value of the dialect. At the end of the input this means that it was cut short.
    Malformed,
    /// It is withheld from the caller; its facts count.
    Withhold,
    /// It was to be decoded and could not be: the stream ends here.
    Broken(Error),
}

/// One server-sent event.
#[derive(Clone, Debug)]
pub struct SseEvent<'a> {
    buffer: &'a Bytes,
    /// The type of the event, if it has one.
    pub name: Option<&'a [u8]>,
    /// The data, its lines joined by LF; `None` when there is no such field.
    pub data: Option<Cow<'a, [u8]>>,
    /// Whether there is a comment in it.
    pub comment: bool,
}

impl SseEvent<'_> {
    /// The data, sharing the stream's buffer unless it spans lines.
    #[must_use]
    pub fn share(&self) -> Bytes {
        match &self.data {
            None => Bytes::new(),
            Some(Cow::Borrowed(data)) => self.buffer.slice_ref(data),
            Some(Cow::Owned(data)) => Bytes::copy_from_slice(data),
        }
    }

    /// Whether it is nothing but a comment.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        self.comment && self.data.is_none() && self.name.is_none()
    }

    /// Whether its data is empty or never came: it was cut short before that. With its blank line put in it would be an event, and
    /// no value.
    fn is_hollow(&self) -> bool {
        let data = self.data.as_deref().unwrap_or_default();
        (self.name.is_some() || self.data.is_some()) && data.trim_ascii().is_empty()
    }

    /// Whether it says nothing at all: a blank line.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        !self.comment && self.data.is_none() && self.name.is_none()
    }
}

/// The events in bytes that hold whole events, blank ones left out.
pub fn events(bytes: &Bytes) -> impl Iterator<Item = SseEvent<'_>> {
    let mut scan = Scan::default();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            at = scan.event(&bytes[start..]).map_or(bytes.len(), |length| start + length);
            let event = fields(bytes, &bytes[start..at]);
            if !event.is_blank() {
                return Some(event);
            }
        }
        None
    })
}

/// Cuts server-sent events into frames.
///
/// The whole events of one read become one frame, a slice of it. Only an event that comes in several reads is copied.
#[derive(Debug)]
pub struct SseCutter<R> {
    reader: R,
    scan: Scan,
    max_event: usize,
    /// The beginning of an event whose end has not come.
    carry: BytesMut,
    /// What has come and was not looked at.
    input: Bytes,
    /// Whether the last event was withheld: blank lines and a late LF belong to it.
    withheld: bool,
    /// Why nothing more can be read. What came before goes out first.
    broken: Option<Error>,
    ended: bool,
}

impl<R: SideReader> SseCutter<R> {
    /// A cutter whose facts come from `reader`.
    pub fn new(reader: R, options: &CutOptions) -> Self {
        Self {
            reader,
            scan: Scan::default(),
            max_event: options.max_event,
            carry: BytesMut::new(),
            input: Bytes::new(),
            withheld: false,
            broken: None,
            ended: false,
        }
    }

    fn read(&mut self, buffer: &Bytes, event: &[u8], frame: &mut Frame) -> Verdict {
        let event = fields(buffer, event);
        if event.is_blank() {
            return if self.withheld { Verdict::Withhold } else { Verdict::Pass };
        }
        let verdict = self.reader.read(&event, frame);
        self.withheld = matches!(verdict, Verdict::Withhold);
        verdict
    }

    fn too_large(&mut self) {
        let max = self.max_event;
        self.broken = Some(broken(format!("an event of the stream is larger than {max} bytes")));
    }

    /// Completes the event whose beginning is carried.
    fn straddling(&mut self) -> Option<Frame> {
        let end = self.scan.event(&self.input);
        let taken = end.unwrap_or(self.input.len());
        if self.carry.len() + taken > self.max_event {
            self.too_large();
            return None;
        }
        self.carry.extend_from_slice(&self.input.split_to(taken));
        end?;
        let bytes = self.carry.split().freeze();
        let mut frame = Frame::new(Bytes::new(), Facts::NONE);
        match self.read(&bytes, &bytes, &mut frame) {
            Verdict::Withhold if frame.facts().is_empty() => None,
            Verdict::Withhold => {
                frame.set_withheld(bytes);
                Some(frame)
            }
            Verdict::Broken(error) => {
                self.broken = Some(error);
                Some(frame).filter(says_something)
            }
            Verdict::Pass | Verdict::Malformed => Some(frame.with_bytes(bytes)),
        }
    }

    /// The run of whole events at the beginning of the input, up to one that is withheld.
    fn run(&mut self) -> Option<Frame> {
        let input = std::mem::take(&mut self.input);
        let mut frame = Frame::new(Bytes::new(), Facts::NONE);
        let mut done = 0;
        let mut withheld = None;
        loop {
            let rest = &input[done..];
            let end = self.scan.event(rest);
            if end.unwrap_or(rest.len()) > self.max_event {
                self.too_large();
                break;
            }
            let Some(length) = end else {
                self.carry.extend_from_slice(rest);
                break;
            };
            match self.read(&input, &rest[..length], &mut frame) {
                Verdict::Pass | Verdict::Malformed => done += length,
                Verdict::Withhold => {
                    self.input = input.slice(done + length..);
                    withheld = Some(input.slice(done..done + length));
                    break;
                }
                Verdict::Broken(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        let mut frame = frame.with_bytes(input.slice(..done));
        if let Some(withheld) = withheld.filter(|_| !frame.facts().is_empty()) {
            frame.set_withheld(withheld);
        }
        (done > 0 || says_something(&frame)).then_some(frame)
    }
}

impl<R: SideReader> Cutter for SseCutter<R> {
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
            let frame = if self.carry.is_empty() { self.run() } else { self.straddling() };
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
        let mut frame = Frame::new(Bytes::new(), Facts::NONE);
        if !self.carry.is_empty() {
            // The last event lacks its blank line. It is put in: some clients wait for it.
            if self.scan.in_line() || self.scan.after_cr {
                // After a CR it ends no line of its own.
                self.carry.extend_from_slice(b"\n");
            }
            self.carry.extend_from_slice(b"\n");
            let bytes = self.carry.split().freeze();
            let verdict = match fields(&bytes, &bytes).is_hollow() {
                true => Verdict::Withhold,
                false => self.read(&bytes, &bytes, &mut frame),
            };
            match verdict {
                Verdict::Pass => frame = frame.with_bytes(bytes),
                Verdict::Withhold if frame.facts().is_empty() => {}
                Verdict::Withhold => frame.set_withheld(bytes),
                Verdict::Malformed | Verdict::Broken(_) => {
                    let message = "the stream ended in the middle of an event";
                    return Err(broken(message));
                }
            }
        }
        self.reader.finish(&mut frame)?;
        let empty = frame.bytes().is_empty() && frame.facts().is_empty();
        Ok((!empty).then_some(frame))
    }
}

/// Whether there is something in a frame without bytes.
fn says_something(frame: &Frame) -> bool {
    !frame.facts().is_empty() || frame.events().is_some()
}

/// The provider's stream cannot be read on.
fn broken(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

/// Where in an event the bytes seen so far end. Nothing is looked at twice, however the bytes are chopped.
#[derive(Debug, Default)]
struct Scan {
    /// The first byte of the line that has begun.
    first: Option<u8>,
    /// Whether the event has lines already.
    lines: bool,
    /// Whether the last byte was the CR of a line's end: an LF after it belongs to that.
    after_cr: bool,
}

impl Scan {
    /// The length up to the end of the next event.
    fn event(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.after_cr && at < bytes.len() {
                self.after_cr = false;
                if bytes[at] == b'\n' {
                    at += 1;
                    if !self.lines {
                        return Some(at);
                    }
                }
            }
            let rest = &bytes[at..];
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.first = self.first.or(rest.first().copied());
                return None;
            };
            let first = self.first.take().or(rest[..length].first().copied());
            let cr = rest[length] == b'\r';
            at += length + 1;
            if cr {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            match first {
                None => {
                    self.lines = false;
                    return Some(at);
                }
                Some(b':') if !self.lines => return Some(at),
                Some(_) => self.lines = true,
            }
        }
    }

    /// Whether a line has begun and not ended.
    fn in_line(&self) -> bool {
        self.first.is_some()
    }
}

/// Reads the fields of one event.
fn fields<'a>(buffer: &'a Bytes, event: &'a [u8]) -> SseEvent<'a> {
    let mut read = SseEvent { buffer, name: None, data: None, comment: false };
    // A byte order mark can only stand before the first event.
    let mut rest = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.first() == Some(&b':') {
            read.comment = true;
            continue;
        }
        let colon = memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"event" => read.name = Some(value),
            b"data" => match &mut read.data {
                None => read.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    let data = data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            _ => {}
        }
    }
    read
}

#[cfg(test)]
mod tests;
