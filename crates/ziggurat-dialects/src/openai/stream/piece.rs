//! Chunks that hold one piece of text and nothing else, told by their bytes: nearly all are in one spelling.
//!
//! Searching for names is safe: inside a JSON string a quote is escaped, so that `"usage"` with both of its quotes can only be
//! a whole string, and `"usage":` only a member's name.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

use crate::json::string_end;

/// A chunk of the common spelling with nothing in it but one piece.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) what: What,
    /// Where its text stands, between the quotes and still escaped.
    pub(super) text: Range<usize>,
}

#[derive(Debug)]
pub(super) enum What {
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
    pub(super) fn find(data: &[u8]) -> Option<Self> {
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
        let start = data.len() - text.len();
        quiet.then_some(Self { what, text: start..start + end })
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
