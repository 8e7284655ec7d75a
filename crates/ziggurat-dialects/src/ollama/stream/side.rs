//! Facts about lines, read while the stream is cut.
//!
//! Nearly all lines carry a piece of text and nothing else, in one spelling. They are recognised by their bytes; all others are
//! decoded. So the facts are the decoder's own, and the common line costs a few searches.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use ziggurat_core::{Error, Event, Facts, Frame, Restore, StreamDecoder};

use super::decode::Decoder;
use crate::framing::ndjson::LineReader;
use crate::framing::sse::Verdict;
use crate::json::string_end;

/// Reads facts from lines.
#[derive(Debug)]
pub(in crate::ollama) struct Side {
    decoder: Decoder,
    scratch: Vec<Event>,
}

impl Side {
    pub(in crate::ollama) fn new() -> Self {
        Self { decoder: Decoder::new(&Restore::default()), scratch: Vec::new() }
    }
}

impl LineReader for Side {
    fn read(&mut self, line: &Bytes, frame: &mut Frame) -> Verdict {
        if self.decoder.has_ended() {
            return Verdict::Pass;
        }
        if self.decoder.goes_on() && is_piece(line) {
            frame.mark(Facts::CONTENT);
            frame.set_contents(frame.contents().saturating_add(1));
            return Verdict::Pass;
        }
        let read = self.decoder.read(line, &mut self.scratch);
        for event in self.scratch.drain(..) {
            frame.learn(&event);
        }
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
        Ok(())
    }
}

/// Where a piece of text begins in a line of the common spelling.
static CONTENT: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#","message":{"role":"assistant","content":""#));

/// Whether a line is a piece of text and nothing else, its names and times apart.
fn is_piece(line: &[u8]) -> bool {
    let Some(at) = CONTENT.find(line) else { return false };
    let head = &line[..at];
    let text = &line[at + CONTENT.needle().len()..];
    let Some(end) = string_end(text).filter(|end| *end > 0) else { return false };
    text[end + 1..].trim_ascii_end() == br#"},"done":false}"# && is_head(head)
}

/// Whether what stands before the message is a model and a time, both without escapes.
fn is_head(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(br#"{"model":""#) else { return false };
    let Some(end) = string_end(rest) else { return false };
    let Some(time) = rest[end..].strip_prefix(br#"","created_at":""#) else { return false };
    string_end(time) == time.len().checked_sub(1)
}
