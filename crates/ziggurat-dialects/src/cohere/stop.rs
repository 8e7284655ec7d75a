//! Why an answer ended.

use ziggurat_core::{Stop, StopReason};

/// Reads why an answer ended. `calls` says whether it calls tools: what was delivered has the last word.
pub(super) fn decode(word: Option<&str>, calls: bool) -> Stop {
    let stop = match word {
        None | Some("" | "COMPLETE") => Stop::new(StopReason::Stop),
        Some("STOP_SEQUENCE") => Stop::new(StopReason::StopSequence),
        Some("MAX_TOKENS") => Stop::new(StopReason::Length),
        Some("TOOL_CALL") => Stop::new(StopReason::ToolCalls),
        Some("ERROR_TOXIC") => Stop::new(StopReason::ContentFilter),
        Some("ERROR_LIMIT") => Stop::new(StopReason::ContextWindow),
        Some("ERROR" | "TIMEOUT") => Stop::new(StopReason::Error),
        Some(word) => Stop::other(word),
    };
    match stop.reason {
        StopReason::Stop | StopReason::Other if calls => Stop::new(StopReason::ToolCalls),
        StopReason::ToolCalls if !calls => Stop::new(StopReason::Stop),
        _ => stop,
    }
}

/// The word for why an answer ended. A word that only its provider knows stays visible.
pub(super) fn word(stop: &Stop, calls: bool) -> &str {
    match stop.reason {
        StopReason::Stop | StopReason::ToolCalls | StopReason::Other if calls => "TOOL_CALL",
        StopReason::StopSequence => "STOP_SEQUENCE",
        StopReason::Length => "MAX_TOKENS",
        StopReason::ContextWindow => "ERROR_LIMIT",
        StopReason::ContentFilter | StopReason::Refusal => "ERROR_TOXIC",
        StopReason::Error => "ERROR",
        StopReason::Other => stop.word.as_deref().unwrap_or("COMPLETE"),
        _ => "COMPLETE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_there_and_back() {
        for expected in [
            "COMPLETE",
            "STOP_SEQUENCE",
            "MAX_TOKENS",
            "ERROR_TOXIC",
            "ERROR_LIMIT",
            "ERROR",
            "NEW",
        ] {
            assert_eq!(word(&decode(Some(expected), false), false), expected);
        }
        assert_eq!(word(&decode(Some("TOOL_CALL"), true), true), "TOOL_CALL");
        assert_eq!(decode(Some("TIMEOUT"), false).reason, StopReason::Error);
    }

    #[test]
    fn what_was_delivered_has_the_last_word() {
        assert_eq!(decode(Some("COMPLETE"), true).reason, StopReason::ToolCalls);
        assert_eq!(decode(Some("TOOL_CALL"), false).reason, StopReason::Stop);
        assert_eq!(decode(Some("MAX_TOKENS"), true).reason, StopReason::Length);
        assert_eq!(word(&Stop::new(StopReason::Stop), true), "TOOL_CALL");
    }
}
