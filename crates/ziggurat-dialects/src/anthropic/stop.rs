//! Why an answer ended.

use ziggurat_core::{RawJson, Stop, StopReason, Str};

use crate::json::{self, Object};

/// Reads why an answer ended. `calls` says whether it calls tools: what was delivered has the last word.
pub(super) fn decode(
    reason: &str,
    sequence: Option<Str>,
    details: Option<RawJson>,
    calls: bool,
) -> Stop {
    let mut stop = match reason {
        "end_turn" => Stop::new(StopReason::Stop),
        "stop_sequence" => Stop::new(StopReason::StopSequence),
        "max_tokens" => Stop::new(StopReason::Length),
        "tool_use" => Stop::new(StopReason::ToolCalls),
        "refusal" => Stop::new(StopReason::Refusal),
        "pause_turn" => Stop::new(StopReason::Pause),
        "model_context_window_exceeded" => Stop::new(StopReason::ContextWindow),
        other => Stop::other(other),
    };
    stop.reason = match stop.reason {
        StopReason::Stop | StopReason::Other if calls => StopReason::ToolCalls,
        StopReason::ToolCalls if !calls => StopReason::Stop,
        reason => reason,
    };
    if stop.reason != StopReason::Other {
        stop.word = None;
    }
    stop.sequence = sequence;
    stop.details = details;
    stop
}

/// The word for why an answer ended. A word that only its provider knows stays visible.
pub(super) fn word(stop: &Stop, calls: bool) -> &str {
    match stop.reason {
        StopReason::Stop | StopReason::ToolCalls | StopReason::Other if calls => "tool_use",
        StopReason::StopSequence if stop.sequence.is_some() => "stop_sequence",
        StopReason::Length => "max_tokens",
        StopReason::ContentFilter | StopReason::Refusal => "refusal",
        StopReason::Pause => "pause_turn",
        StopReason::ContextWindow => "model_context_window_exceeded",
        StopReason::Other => stop.word.as_deref().unwrap_or("end_turn"),
        _ => "end_turn",
    }
}

/// Writes `stop_reason` and what belongs to it.
pub(super) fn write(stop: &Stop, calls: bool, object: &mut Object<'_>) {
    let word = word(stop, calls);
    object.text("stop_reason", word);
    match stop.sequence.as_ref().filter(|_| word == "stop_sequence") {
        Some(sequence) => json::string(object.member("stop_sequence"), sequence),
        None => object.raw("stop_sequence", "null"),
    }
    // Details of another dialect would not be understood.
    let own = |details: &&RawJson| details.get().contains("\"refusal\"");
    if let Some(details) = stop.details.as_ref().filter(own) {
        object.raw("stop_details", details.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_goes_there_and_back() {
        for (said, reason) in [
            ("end_turn", StopReason::Stop),
            ("max_tokens", StopReason::Length),
            ("refusal", StopReason::Refusal),
            ("pause_turn", StopReason::Pause),
            ("model_context_window_exceeded", StopReason::ContextWindow),
            ("compaction", StopReason::Other),
        ] {
            let stop = decode(said, None, None, false);
            assert_eq!(stop.reason, reason);
            assert_eq!(word(&stop, false), said);
        }
        let stop = decode("stop_sequence", Some(Str::from("END")), None, false);
        assert_eq!(word(&stop, false), "stop_sequence");
        let stop = decode("tool_use", None, None, true);
        assert_eq!(word(&stop, true), "tool_use");
    }

    #[test]
    fn reasons_of_other_dialects_have_a_word() {
        for (reason, calls, said) in [
            (StopReason::ContentFilter, false, "refusal"),
            (StopReason::StopSequence, false, "end_turn"),
            (StopReason::Other, false, "end_turn"),
            (StopReason::Stop, true, "tool_use"),
            (StopReason::ToolCalls, false, "end_turn"),
            (StopReason::Length, true, "max_tokens"),
        ] {
            assert_eq!(word(&Stop::new(reason), calls), said, "{reason:?}");
        }
        assert_eq!(word(&Stop::other("eos"), false), "eos");
    }

    #[test]
    fn what_was_delivered_decides() {
        assert_eq!(decode("end_turn", None, None, true).reason, StopReason::ToolCalls);
        assert_eq!(decode("tool_use", None, None, false).reason, StopReason::Stop);
        assert_eq!(decode("max_tokens", None, None, true).reason, StopReason::Length);
    }
}
