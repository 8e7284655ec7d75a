//! Lines of JSON (NDJSON): cut while they come, without copying, and read again from whole frames.
//!
//! A line ends in LF, and white space around a value says nothing. Blank lines stand anywhere.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use ziggurat_core::{CutOptions, Cutter, Error, ErrorKind, Facts, Frame, Origin};

use super::sse::Verdict;
use crate::json::one_line;

/// Reads facts from lines while a stream is cut. There is one for each dialect that streams lines.
pub trait LineReader: Send {
    /// Notes in `frame` what a line says, its LF left out. The facts must be those of the events that the dialect's decoder makes
    /// of it.
    fn read(&mut self, line: &Bytes, frame: &mut Frame) -> Verdict;

    /// The input has ended.
    ///
    /// # Errors
    ///
    /// When the stream ended before its end.
    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error>;
}

/// The lines in bytes that hold whole lines, blank ones left out.
pub fn lines(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            at = end + 1;
            if !bytes[start..end].trim_ascii().is_empty() {
                return Some(bytes.slice(start..end));
            }
        }
        None
    })
}

/// Ends the line that begins at `start`. Line breaks within it stand between the tokens of JSON, and are taken out.
///
/// Some clients split lines at every character that Unicode takes for the end of one (Python's `str.splitlines`), and JSON allows
/// these in strings as they are: they are escaped.
pub(crate) fn end_line(out: &mut Vec<u8>, start: usize) {
    one_line(&mut out[start..]);
    let line = &out[start..];
    // The first bytes of U+0085, U+2028 and U+2029. No early exit, so that the compiler makes it one pass.
    let suspect = line.iter().fold(false, |any, byte| any | (*byte == 0xc2) | (*byte == 0xe2));
    if suspect && let Ok(text) = std::str::from_utf8(line) {
        let breaks = ['\u{85}', '\u{2028}', '\u{2029}'];
        if text.contains(breaks) {
            let escaped = text
                .replace(breaks[0], "\\u0085")
                .replace(breaks[1], "\\u2028")
                .replace(breaks[2], "\\u2029");
            out.truncate(start);
            out.extend_from_slice(escaped.as_bytes());
        }
    }
    out.push(b'\n');
}

/// Cuts lines into frames.
///
/// The whole lines of one read become one frame, a slice of it. Only a line that comes in several reads is copied.
#[derive(Debug)]
pub struct LineCutter<R> {
    reader: R,
    max_event: usize,
    /// The beginning of a line whose end has not come.
    carry: BytesMut,
    /// What has come and was not looked at.
    input: Bytes,
    too_large: bool,
    ended: bool,
}

impl<R: LineReader> LineCutter<R> {
    /// A cutter whose facts come from `reader`.
    pub fn new(reader: R, options: &CutOptions) -> Self {
        Self {
            reader,
            max_event: options.max_event,
            carry: BytesMut::new(),
            input: Bytes::new(),
            too_large: false,
            ended: false,
        }
    }

    fn read(&mut self, line: &Bytes, frame: &mut Frame) -> Verdict {
        if line.trim_ascii().is_empty() {
            return Verdict::Pass;
        }
        self.reader.read(line, frame)
    }

    /// Completes the line whose beginning is carried.
    fn straddling(&mut self) -> Option<Frame> {
        let end = memchr(b'\n', &self.input);
        let taken = end.map_or(self.input.len(), |end| end + 1);
        if self.carry.len() + taken > self.max_event {
            self.too_large = true;
            return None;
        }
        self.carry.extend_from_slice(&self.input.split_to(taken));
        end?;
        let bytes = self.carry.split().freeze();
        let mut frame = Frame::new(Bytes::new(), Facts::NONE);
        self.read(&bytes.slice(..bytes.len() - 1), &mut frame);
        Some(frame.with_bytes(bytes))
    }

    /// The run of whole lines at the beginning of the input.
    fn run(&mut self) -> Option<Frame> {
        let input = std::mem::take(&mut self.input);
        let mut frame = Frame::new(Bytes::new(), Facts::NONE);
        let mut done = 0;
        for end in memchr_iter(b'\n', &input) {
            if end + 1 - done > self.max_event {
                self.too_large = true;
                break;
            }
            self.read(&input.slice(done..end), &mut frame);
            done = end + 1;
        }
        if !self.too_large {
            let rest = &input[done..];
            self.too_large = rest.len() > self.max_event;
            self.carry.extend_from_slice(rest);
        }
        (done > 0).then(|| frame.with_bytes(input.slice(..done)))
    }
}

impl<R: LineReader> Cutter for LineCutter<R> {
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
            if self.too_large {
                self.ended = true;
                let max = self.max_event;
                return Err(broken(format!("a line of the stream is larger than {max} bytes")));
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
            // The last line lacks its LF. It is put in: some clients wait for it.
            let mut bytes = self.carry.split();
            bytes.extend_from_slice(b"\n");
            let bytes = bytes.freeze();
            let verdict = self.read(&bytes.slice(..bytes.len() - 1), &mut frame);
            if matches!(verdict, Verdict::Malformed) {
                return Err(broken("the stream ended in the middle of a line".to_owned()));
            }
            frame = frame.with_bytes(bytes);
        }
        self.reader.finish(&mut frame)?;
        let empty = frame.bytes().is_empty() && frame.facts().is_empty();
        Ok((!empty).then_some(frame))
    }
}

/// The provider's stream cannot be read on.
fn broken(message: String) -> Error {
    Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes note of the lines: `!` fails, `?` is no value.
    #[derive(Default)]
    struct Notes(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

    impl LineReader for Notes {
        fn read(&mut self, line: &Bytes, frame: &mut Frame) -> Verdict {
            let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
            let malformed = text.starts_with('?');
            self.0.lock().unwrap().push(text);
            frame.mark(Facts::CONTENT);
            if malformed { Verdict::Malformed } else { Verdict::Pass }
        }

        fn finish(&mut self, _: &mut Frame) -> Result<(), Error> {
            Ok(())
        }
    }

    /// The lines that were read, the bytes that went on, and whether it failed.
    fn cut(input: &[u8], piece: usize, max: usize) -> (Vec<String>, Vec<u8>, bool) {
        let notes = Notes::default();
        let seen = notes.0.clone();
        let mut cutter = LineCutter::new(notes, &CutOptions::default().max_event(max));
        let mut out = Vec::new();
        let mut failed = false;
        'cut: for piece in input.chunks(piece) {
            cutter.push(Bytes::copy_from_slice(piece));
            loop {
                match cutter.next_frame() {
                    Ok(None) => break,
                    Ok(Some(frame)) => out.extend_from_slice(frame.bytes()),
                    Err(_) => {
                        failed = true;
                        break 'cut;
                    }
                }
            }
        }
        match cutter.finish() {
            Ok(frame) => {
                out.extend_from_slice(frame.map(Frame::into_bytes).as_deref().unwrap_or_default());
            }
            Err(_) => failed = true,
        }
        let seen = seen.lock().unwrap().clone();
        (seen, out, failed)
    }

    #[test]
    fn lines_come_out_whole_and_blank_ones_say_nothing() {
        let input = b"{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\":3}";
        for piece in 1..=input.len() {
            let (seen, out, failed) = cut(input, piece, 100);
            assert_eq!(seen, ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"], "in pieces of {piece}");
            assert_eq!(out, [&input[..], b"\n"].concat());
            assert!(!failed);
        }
    }

    #[test]
    fn a_line_is_bounded_however_it_comes() {
        let input = [b"{}\n", vec![b'x'; 50].as_slice(), b"\n{}\n"].concat();
        for piece in [1, 7, 53, 100] {
            let (seen, _, failed) = cut(&input, piece, 50);
            assert!(failed, "in pieces of {piece}");
            assert_eq!(seen, ["{}"]);
            assert!(!cut(&input, piece, 51).2, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_last_line_that_is_no_value_was_cut_short() {
        assert!(cut(b"{}\n?", 100, 100).2);
        assert!(!cut(b"?\n{}", 100, 100).2, "what follows shows that it was not");
    }

    #[test]
    fn what_a_client_takes_for_the_end_of_a_line_is_escaped() {
        let mut out = b"before \xe2\x80\xa8\n".to_vec();
        let start = out.len();
        out.extend_from_slice("{\"a\":\"x\u{2028}y\u{2029}z\u{85}é€\"}".as_bytes());
        end_line(&mut out, start);
        let line = std::str::from_utf8(&out[start..]).unwrap();
        assert_eq!(line, "{\"a\":\"x\\u2028y\\u2029z\\u0085é€\"}\n");
        assert!(out.starts_with(b"before \xe2\x80\xa8\n"));
    }

    proptest! {
        #[test]
        fn chopping_changes_nothing(input in "[{}a\n\r ]{0,60}", piece in 1_usize..20) {
            let whole = cut(input.as_bytes(), 1000, 1000);
            prop_assert_eq!(&cut(input.as_bytes(), piece, 1000), &whole);
            let bytes = Bytes::from(input);
            let again: Vec<String> = lines(&bytes)
                .map(|line| String::from_utf8_lossy(line.trim_ascii()).into_owned())
                .collect();
            prop_assert_eq!(again, whole.0);
        }
    }
}
