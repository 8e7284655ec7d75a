//! Facts about chunks, read while the stream is cut.
//!
//! Nearly all chunks carry a piece of text and nothing else, in one spelling. They are recognised by their bytes; all others are
//! decoded. So the facts are the decoder's own, and the common chunk costs a few searches.
//!
//! Searching for names is safe: inside a JSON string a quote is escaped, so that `"usage"` with both of its quotes can only be
//! a whole string, and `"usage":` only a member's name.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};
use ziggurat_core::{CutOptions, Error, Event, Facts, Frame, Restore};

use super::choice::Flow;
use super::decode::{Decoder, Kind};
use crate::framing::sse::{SideReader, SseEvent, Verdict};
use crate::openai_api::error;

/// Reads facts from chunks.
#[derive(Debug)]
pub(crate) struct Side {
    decoder: Decoder,
    withhold_usage: bool,
    scratch: Vec<Event>,
}

impl Side {
    pub(crate) fn new(options: &CutOptions) -> Self {
        let decoder = Decoder::new(&Restore::default());
        Self { decoder, withhold_usage: options.withhold_usage, scratch: Vec::new() }
    }

    /// Takes a chunk that holds nothing but a piece of text or of arguments.
    fn plain(&mut self, data: &[u8], frame: &mut Frame) -> bool {
        let Some(piece) = Piece::find(data) else { return false };
        let flow = match piece.what {
            What::Text => Some(Flow::Text),
            What::Reasoning => Some(Flow::Reasoning),
            What::Arguments(number) if self.decoder.state(0).has_call(number) => None,
            What::Arguments(_) => return false,
        };
        if piece.is_empty {
            self.decoder.skip(0, None, &mut self.scratch);
        } else {
            self.decoder.skip(0, flow, &mut self.scratch);
            frame.mark(Facts::CONTENT);
            frame.set_contents(frame.contents().saturating_add(1));
        }
        self.scratch.clear();
        true
    }

    fn learn(&mut self, frame: &mut Frame) {
        for event in self.scratch.drain(..) {
            frame.learn(&event);
        }
    }
}

impl SideReader for Side {
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        if self.decoder.has_ended() {
            return Verdict::Pass;
        }
        if event.name.is_none()
            && let Some(data) = &event.data
            && self.plain(data, frame)
        {
            return Verdict::Pass;
        }
        let kind = self.decoder.read(event, &mut self.scratch);
        self.learn(frame);
        match kind {
            Err(_) => Verdict::Malformed,
            Ok(Kind::UsageOnly) if self.withhold_usage => Verdict::Withhold,
            Ok(_) => Verdict::Pass,
        }
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        if self.decoder.has_ended() {
            return Ok(());
        }
        // Some servers leave `[DONE]` out: then the answer is complete if every choice says why it ended.
        if !self.decoder.is_complete() {
            return Err(error::truncated());
        }
        frame.mark(Facts::TERMINATOR);
        Ok(())
    }
}

/// A chunk of the common spelling with nothing in it but one piece.
#[derive(Debug)]
struct Piece {
    what: What,
    is_empty: bool,
}

#[derive(Debug)]
enum What {
    Text,
    Reasoning,
    /// Of the call of this number.
    Arguments(u64),
}

/// How the delta of the first choice begins where nothing unusual is in the chunk.
const DELTA: &[u8] = br#""choices":[{"index":0,"delta":{"#;

/// What is searched for in every event, made ready once.
struct Finders {
    delta: Finder<'static>,
    usage: Finder<'static>,
    error: Finder<'static>,
    choices: Finder<'static>,
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    delta: Finder::new(DELTA),
    usage: Finder::new(br#""usage""#),
    error: Finder::new(br#""error""#),
    choices: Finder::new(br#""choices""#),
});

impl Piece {
    fn find(data: &[u8]) -> Option<Self> {
        let at = FINDERS.delta.find(data)?;
        let (head, delta) = (&data[..at], &data[at + DELTA.len()..]);
        let (what, text) = Self::begin(delta)?;
        let end = string_end(text)?;
        let tail = &text[end + 1..];
        let tail = match what {
            What::Arguments(_) => tail.strip_prefix(b"}}]")?,
            _ => tail,
        };
        let tail = tail.strip_prefix(br#","refusal":null"#).unwrap_or(tail);
        let tail = tail.strip_prefix(b"}")?;
        let tail = tail.strip_prefix(br#","logprobs":null"#).unwrap_or(tail);
        let tail = tail.strip_prefix(br#","finish_reason":null"#).unwrap_or(tail);
        let tail = tail.strip_prefix(b"}]")?;
        // Choices within another member, or behind the chunk's end, are not the chunk's.
        let is_top = memchr2(b'{', b'}', head.get(1..)?).is_none();
        let quiet = is_top && tail.ends_with(b"}") && says_nothing(head) && says_nothing(tail);
        quiet.then_some(Self { what, is_empty: end == 0 })
    }

    /// What the piece is, and everything from its first character on.
    fn begin(delta: &[u8]) -> Option<(What, &[u8])> {
        if let Some(text) = delta.strip_prefix(br#""content":""#) {
            return Some((What::Text, text));
        }
        if let Some(text) = delta.strip_prefix(br#""role":"assistant","content":""#) {
            return Some((What::Text, text));
        }
        if let Some(text) = delta.strip_prefix(br#""reasoning_content":""#) {
            return Some((What::Reasoning, text));
        }
        let call = delta.strip_prefix(br#""tool_calls":[{"index":"#)?;
        let digits = call.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&call[..digits]).ok()?.parse().ok()?;
        let text = call[digits..].strip_prefix(br#","function":{"arguments":""#)?;
        Some((What::Arguments(number), text))
    }
}

/// Whether what stands around the choices is neither usage nor an error, nor names the choices twice.
fn says_nothing(part: &[u8]) -> bool {
    let usage = FINDERS
        .usage
        .find_iter(part)
        .all(|at| part[at + br#""usage""#.len()..].starts_with(b":null"));
    usage
        && FINDERS.error.find(part).is_none()
        && memchr(b'\\', part).is_none()
        && FINDERS.choices.find(part).is_none()
}

/// Where the string ends whose content begins here.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}
