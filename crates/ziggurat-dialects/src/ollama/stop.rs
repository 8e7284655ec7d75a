//! Why an answer ended.

use ziggurat_core::{Stop, StopReason};

/// Reads why an answer ended. `calls` says whether it calls tools: this dialect has no word for that.
pub(super) fn decode(word: Option<&str>, calls: bool) -> Stop {
    let stop = match word {
        // An empty conversation loads the model, or unloads it, and nothing is said.
        None | Some("" | "stop" | "load" | "unload") => Stop::new(StopReason::Stop),
        Some("length") => Stop::new(StopReason::Length),
        // Not its own, but what servers say that speak for others.
        Some("content_filter") => Stop::new(StopReason::ContentFilter),
        Some("refusal") => Stop::new(StopReason::Refusal),
        Some(word) => Stop::other(word),
    };
    match stop.reason {
        StopReason::Stop | StopReason::Other if calls => Stop::new(StopReason::ToolCalls),
        _ => stop,
    }
}

/// The word for why an answer ended. Clients take any: one that says more than `stop` stays visible.
pub(super) fn word(stop: &Stop) -> &str {
    match stop.reason {
        StopReason::Length | StopReason::ContextWindow => "length",
        StopReason::ContentFilter => "content_filter",
        StopReason::Refusal => "refusal",
        StopReason::Other => stop.word.as_deref().unwrap_or("stop"),
        _ => "stop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_still_ends_with_stop() {
        assert_eq!(decode(Some("stop"), true).reason, StopReason::ToolCalls);
        assert_eq!(word(&decode(Some("stop"), true)), "stop");
        assert_eq!(decode(Some("length"), true).reason, StopReason::Length);
    }

    #[test]
    fn words_go_there_and_back() {
        for expected in ["stop", "length", "moved"] {
            assert_eq!(word(&decode(Some(expected), false)), expected);
        }
        for silent in [None, Some("load"), Some("")] {
            assert_eq!(decode(silent, false), Stop::new(StopReason::Stop));
        }
        assert_eq!(word(&Stop::new(StopReason::ContentFilter)), "content_filter");
    }
}
