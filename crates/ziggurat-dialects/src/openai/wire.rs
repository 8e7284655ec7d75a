//! What requests, answers and streams have in common: words for why an answer ended, citations, reasoning blocks.

use ziggurat_core::{Error, Stop, StopReason, Str};

use crate::json::Object;
use crate::node::Node;
use crate::origin;

/// Reads why an answer ended. What was delivered has the last word: servers differ in what they say.
pub(super) fn decode_stop(word: Option<&Str>, calls: bool, refused: bool) -> Stop {
    let stop = match word.map(Str::as_str) {
        None | Some("stop") => Stop::new(StopReason::Stop),
        Some("length") => Stop::new(StopReason::Length),
        Some("tool_calls" | "function_call") => Stop::new(StopReason::ToolCalls),
        Some("content_filter") => Stop::new(StopReason::ContentFilter),
        Some("model_length") => Stop::new(StopReason::ContextWindow),
        Some(word) => Stop::other(word),
    };
    match stop.reason {
        StopReason::Stop | StopReason::Other if calls => Stop::new(StopReason::ToolCalls),
        StopReason::ToolCalls if !calls => Stop::new(StopReason::Stop),
        StopReason::Stop if refused => Stop::new(StopReason::Refusal),
        _ => stop,
    }
}

/// The word for why an answer ended. Strict clients know only a few; a word that came from a provider stays as it is.
pub(super) fn stop_word(stop: &Stop, calls: bool, refused: bool) -> &str {
    match stop.reason {
        StopReason::Stop | StopReason::StopSequence | StopReason::Pause | StopReason::Other
            if calls =>
        {
            "tool_calls"
        }
        StopReason::ToolCalls if calls => "tool_calls",
        StopReason::Length | StopReason::ContextWindow => "length",
        StopReason::ContentFilter => "content_filter",
        StopReason::Refusal if !refused => "content_filter",
        StopReason::Other => stop.word.as_deref().unwrap_or("stop"),
        _ => "stop",
    }
}

/// One entry of `thinking_blocks`.
#[derive(Debug, PartialEq)]
pub(super) enum ThinkingBlock {
    Thinking { text: Str, signature: Option<Str> },
    Redacted(Str),
}

/// Reads LiteLLM's `thinking_blocks`. What is not understood is left out.
pub(super) fn thinking_blocks(node: &Node<'_>) -> Result<Vec<ThinkingBlock>, Error> {
    let mut blocks = Vec::new();
    node.items(|_, block| {
        let text = |name| block.get(name).and_then(|text| text.as_string());
        match text("type").as_deref() {
            Some("redacted_thinking") => {
                blocks.extend(text("data").map(ThinkingBlock::Redacted));
            }
            Some("thinking") => blocks.push(ThinkingBlock::Thinking {
                text: text("thinking").unwrap_or_default(),
                signature: text("signature").filter(|signature| !signature.is_empty()),
            }),
            _ => {}
        }
        Ok(())
    })?;
    Ok(blocks)
}

/// Writes one entry of `thinking_blocks`, with the mark of the model that it comes from, if one is named.
pub(super) fn encode_thinking(
    out: &mut Vec<u8>,
    text: &str,
    signature: Option<&str>,
    model: Option<&str>,
) {
    let mut block = Object::begin(out);
    block.text("type", "thinking");
    block.text("thinking", text);
    if let Some(signature) = signature {
        block.text("signature", &origin::mark(model, signature));
    }
    block.end();
}

/// Writes one entry of `thinking_blocks` that only the provider can read.
pub(super) fn encode_redacted(out: &mut Vec<u8>, data: &str, model: Option<&str>) {
    let mut block = Object::begin(out);
    block.text("type", "redacted_thinking");
    block.text("data", &origin::mark(model, data));
    block.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_decides_why_an_answer_ended() {
        let stop =
            |word: &str, calls, refused| decode_stop(Some(&Str::from(word)), calls, refused).reason;
        assert_eq!(stop("stop", true, false), StopReason::ToolCalls);
        assert_eq!(stop("tool_calls", false, false), StopReason::Stop);
        assert_eq!(stop("function_call", true, false), StopReason::ToolCalls);
        assert_eq!(stop("length", true, false), StopReason::Length);
        assert_eq!(stop("stop", false, true), StopReason::Refusal);
        assert_eq!(decode_stop(Some(&Str::from("eos")), false, false), Stop::other("eos"));
    }

    #[test]
    fn every_reason_has_a_word_that_strict_clients_know() {
        let word = |reason, calls, refused| {
            let stop = Stop::new(reason);
            stop_word(&stop, calls, refused).to_owned()
        };
        for (reason, expected) in [
            (StopReason::Stop, "stop"),
            (StopReason::StopSequence, "stop"),
            (StopReason::Length, "length"),
            (StopReason::ToolCalls, "stop"),
            (StopReason::ContentFilter, "content_filter"),
            (StopReason::Refusal, "content_filter"),
            (StopReason::Pause, "stop"),
            (StopReason::ContextWindow, "length"),
            (StopReason::Other, "stop"),
        ] {
            assert_eq!(word(reason, false, false), expected, "{reason:?}");
        }
        assert_eq!(word(StopReason::ToolCalls, true, false), "tool_calls");
        assert_eq!(word(StopReason::Stop, true, false), "tool_calls");
        assert_eq!(word(StopReason::Length, true, false), "length");
        assert_eq!(word(StopReason::Refusal, false, true), "stop");
        assert_eq!(stop_word(&Stop::other("eos"), false, false), "eos");
    }
}
