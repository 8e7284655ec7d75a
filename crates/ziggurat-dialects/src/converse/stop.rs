//! Why an answer ended.

use ziggurat_core::{Stop, StopReason, Str};

/// Reads why an answer ended. `calls` says whether it calls tools: what was delivered has the last word.
pub(super) fn decode(word: &Str, sequence: Option<Str>, calls: bool) -> Stop {
    let mut stop = match word.as_str() {
        "end_turn" => Stop::new(StopReason::Stop),
        "stop_sequence" => Stop::new(StopReason::StopSequence),
        "max_tokens" => Stop::new(StopReason::Length),
        "tool_use" => Stop::new(StopReason::ToolCalls),
        "content_filtered" => Stop::new(StopReason::ContentFilter),
        "model_context_window_exceeded" => Stop::new(StopReason::ContextWindow),
        "guardrail_intervened" => of_word(StopReason::ContentFilter, word),
        "malformed_model_output" | "malformed_tool_use" => of_word(StopReason::Error, word),
        _ => Stop::other(word.clone()),
    };
    stop.reason = match stop.reason {
        StopReason::Stop | StopReason::Other if calls => StopReason::ToolCalls,
        StopReason::ToolCalls if !calls => StopReason::Stop,
        reason => reason,
    };
    stop.sequence = sequence;
    stop
}

/// A reason that two words mean: the word is kept.
fn of_word(reason: StopReason, word: &Str) -> Stop {
    let mut stop = Stop::new(reason);
    stop.word = Some(word.clone());
    stop
}

/// The word for why an answer ended; `None` where the model failed in a way that only an error can tell.
pub(super) fn word(stop: &Stop, calls: bool) -> Option<&str> {
    let own = |words: &[&'static str]| {
        let word = stop.word.as_deref()?;
        words.iter().copied().find(|own| *own == word)
    };
    Some(match stop.reason {
        StopReason::Stop | StopReason::ToolCalls | StopReason::Other if calls => "tool_use",
        StopReason::StopSequence => "stop_sequence",
        StopReason::Length => "max_tokens",
        StopReason::ContentFilter => own(&["guardrail_intervened"]).unwrap_or("content_filtered"),
        StopReason::Refusal => "content_filtered",
        StopReason::ContextWindow => "model_context_window_exceeded",
        StopReason::Error => return own(&["malformed_model_output", "malformed_tool_use"]),
        // A word that only its provider knows stays visible.
        StopReason::Other => stop.word.as_deref().unwrap_or("end_turn"),
        _ => "end_turn",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_goes_there_and_back() {
        for (said, reason) in [
            ("end_turn", StopReason::Stop),
            ("stop_sequence", StopReason::StopSequence),
            ("max_tokens", StopReason::Length),
            ("guardrail_intervened", StopReason::ContentFilter),
            ("content_filtered", StopReason::ContentFilter),
            ("malformed_model_output", StopReason::Error),
            ("malformed_tool_use", StopReason::Error),
            ("model_context_window_exceeded", StopReason::ContextWindow),
            ("something_new", StopReason::Other),
        ] {
            let stop = decode(&said.into(), None, false);
            assert_eq!(stop.reason, reason);
            assert_eq!(word(&stop, false), Some(said));
        }
        assert_eq!(word(&decode(&"tool_use".into(), None, true), true), Some("tool_use"));
        // Not its own, but what servers say that speak for others.
        let failed = decode(&"error".into(), None, false);
        assert_eq!((failed.reason, word(&failed, false)), (StopReason::Error, None));
    }

    #[test]
    fn reasons_of_other_dialects_have_a_word() {
        for (reason, calls, said) in [
            (StopReason::Refusal, false, Some("content_filtered")),
            (StopReason::Pause, false, Some("end_turn")),
            (StopReason::Other, false, Some("end_turn")),
            (StopReason::Stop, true, Some("tool_use")),
            (StopReason::ToolCalls, false, Some("end_turn")),
            (StopReason::Length, true, Some("max_tokens")),
            (StopReason::Error, false, None),
        ] {
            assert_eq!(word(&Stop::new(reason), calls), said, "{reason:?}");
        }
    }

    #[test]
    fn what_was_delivered_decides() {
        assert_eq!(decode(&"end_turn".into(), None, true).reason, StopReason::ToolCalls);
        assert_eq!(decode(&"tool_use".into(), None, false).reason, StopReason::Stop);
        assert_eq!(decode(&"max_tokens".into(), None, true).reason, StopReason::Length);
    }
}
