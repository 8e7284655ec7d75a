//! A request and an answer as the fake model sees them, whatever the vendor.

use std::time::Duration;

use serde_json::Value;

/// What the model is asked.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    pub(crate) system: String,
    /// The text of the last user message that has any.
    pub(crate) said: String,
    /// Whether that message came after the model's last turn.
    pub(crate) said_now: bool,
    /// Results of tools since the model's last turn.
    pub(crate) results: Vec<ToolResult>,
    /// Images and documents since the model's last turn, in words.
    pub(crate) media: Vec<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    pub(crate) parallel: bool,
    pub(crate) output: Output,
    pub(crate) stop: Vec<String>,
    pub(crate) max_tokens: Option<u64>,
    /// Whether the request asks for reasoning.
    pub(crate) reasons: bool,
    /// The size of the prompt, in words.
    pub(crate) tokens: u64,
}

#[derive(Debug)]
pub(crate) struct ToolResult {
    pub(crate) text: String,
    pub(crate) failed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// The schema of the arguments; `None` for a tool that takes free text.
    pub(crate) schema: Option<Value>,
}

/// Which tools may be called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    Never,
    #[default]
    Auto,
    Any,
    This(String),
}

#[derive(Debug, Default)]
pub(crate) enum Output {
    #[default]
    Text,
    Json,
    Schema(Value),
}

/// What the model answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speech {
    pub(crate) reasoning: Option<String>,
    /// The reasoning is not to be shown in clear.
    pub(crate) redacted: bool,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) refusal: Option<String>,
    pub(crate) end: End,
    pub(crate) usage: Usage,
    pub(crate) pace: Option<Duration>,
    pub(crate) break_down: Option<BreakDown>,
    /// Fragments of several calls are streamed in turns.
    pub(crate) interleave: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// JSON text, possibly unfinished; or free text.
    pub(crate) arguments: String,
    pub(crate) free: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Done,
    Calls,
    Length,
    Stop(String),
    Refused,
    Filtered,
}

/// How a stream ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakDown {
    Error,
    Cut,
}

/// Tokens; the cached ones are within `prompt`, the reasoning ones within `output`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

/// The size of a text.
pub(crate) fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// A text in the pieces in which it is streamed: every word with the space before it.
pub(crate) fn word_by_word(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, letter) in text.char_indices() {
        if letter.is_whitespace() && in_word {
            pieces.push(&text[start..at]);
            start = at;
        }
        in_word = !letter.is_whitespace();
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// The first half of a text, and the rest: how arguments are streamed.
pub(crate) fn halves(text: &str) -> (&str, &str) {
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle -= 1;
    }
    text.split_at(middle)
}

#[cfg(test)]
mod tests {
    use super::{halves, word_by_word, words};

    #[test]
    fn a_text_in_pieces_is_still_the_text() {
        for text in ["", " ", "one", "You said: a\n b ", "  lead", "åß∂ ƒ"] {
            assert_eq!(word_by_word(text).concat(), text);
            let (a, b) = halves(text);
            assert_eq!(format!("{a}{b}"), text);
        }
        assert_eq!(word_by_word("You said: hi"), ["You", " said:", " hi"]);
        assert_eq!(words("You said:\n hi "), 3);
    }
}
