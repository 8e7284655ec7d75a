//! Why an answer ended.

use ziggurat_core::{RawJson, Stop, StopReason, Str};

use super::camel::members;
use crate::json::{self, Object};

/// Reads why an answer ended. A call of a tool ends with `STOP`, so that what was delivered has the last word.
pub(super) fn decode(word: &str, message: Option<Str>, calls: bool) -> Stop {
    let reason = match word {
        "STOP" => StopReason::Stop,
        "MAX_TOKENS" | "CONTINUATION" => StopReason::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_OTHER"
        | "IMAGE_RECITATION" => StopReason::ContentFilter,
        "TOO_MANY_TOOL_CALLS" => StopReason::Pause,
        "MALFORMED_FUNCTION_CALL"
        | "MALFORMED_RESPONSE"
        | "UNEXPECTED_TOOL_CALL"
        | "MISSING_THOUGHT_SIGNATURE" => StopReason::Error,
        _ => StopReason::Other,
    };
    let reason = match reason {
        StopReason::Stop | StopReason::Other if calls => StopReason::ToolCalls,
        reason => reason,
    };
    let mut stop = Stop::new(reason);
    // The word itself is told where it is not the one that is written for the reason.
    let word = (default_word(reason) != word).then_some(word);
    stop.details = details(word, message.as_deref(), "finishReason");
    stop
}

/// A prompt that was not answered.
pub(super) fn blocked(reason: &str, message: Option<Str>) -> Stop {
    let mut stop = Stop::new(StopReason::ContentFilter);
    stop.details = details(Some(reason), message.as_deref(), "blockReason");
    stop
}

fn details(word: Option<&str>, message: Option<&str>, name: &'static str) -> Option<RawJson> {
    if word.is_none() && message.is_none() {
        return None;
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    if let Some(word) = word {
        object.text(name, word);
    }
    if let Some(message) = message {
        object.text("finishMessage", message);
    }
    object.end();
    json::raw_json(out)
}

fn default_word(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Length | StopReason::ContextWindow => "MAX_TOKENS",
        StopReason::ContentFilter | StopReason::Refusal => "SAFETY",
        StopReason::Error | StopReason::Other => "OTHER",
        _ => "STOP",
    }
}

/// Why a prompt was not answered, as its provider said it.
pub(super) fn block_reason(stop: &Stop) -> Option<Str> {
    let body = stop.details.clone()?.into_text();
    json::shared_text(members(&body).take("blockReason")?, &body)
}

/// Writes `finishReason` and what belongs to it.
pub(super) fn write(stop: &Stop, object: &mut Object<'_>) {
    let body = stop.details.clone().map(RawJson::into_text).unwrap_or_default();
    let mut details = members(&body);
    let mut text = |name| details.take(name).and_then(|raw| json::shared_text(raw, &body));
    let word = text("finishReason");
    object.text("finishReason", word.as_deref().unwrap_or(default_word(stop.reason)));
    if let Some(message) = text("finishMessage") {
        object.text("finishMessage", &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stop: &Stop) -> String {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        write(stop, &mut object);
        object.end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_reason_goes_there_and_back() {
        use StopReason::*;
        for (word, reason) in [
            ("STOP", Stop),
            ("MAX_TOKENS", Length),
            ("CONTINUATION", Length),
            ("SAFETY", ContentFilter),
            ("RECITATION", ContentFilter),
            ("IMAGE_SAFETY", ContentFilter),
            ("LANGUAGE", ContentFilter),
            ("TOO_MANY_TOOL_CALLS", Pause),
            ("MALFORMED_FUNCTION_CALL", Error),
            ("MISSING_THOUGHT_SIGNATURE", Error),
            ("OTHER", Other),
            ("NO_IMAGE", Other),
            ("FINISH_REASON_UNSPECIFIED", Other),
            ("TO_COME", Other),
        ] {
            let stop = decode(word, None, false);
            assert_eq!(stop.reason, reason, "{word}");
            assert_eq!(
                stop.word, None,
                "a word of ours would be told to callers of other dialects"
            );
            assert_eq!(written(&stop), format!("{{\"finishReason\":\"{word}\"}}"));
        }
    }

    #[test]
    fn a_call_ends_with_stop() {
        let stop = decode("STOP", None, true);
        assert_eq!(stop.reason, StopReason::ToolCalls);
        assert_eq!(written(&stop), r#"{"finishReason":"STOP"}"#);
        assert_eq!(decode("MAX_TOKENS", None, true).reason, StopReason::Length);
    }

    #[test]
    fn reasons_of_other_dialects_have_a_word() {
        for (reason, word) in [
            (StopReason::StopSequence, "STOP"),
            (StopReason::Refusal, "SAFETY"),
            (StopReason::ContextWindow, "MAX_TOKENS"),
            (StopReason::Pause, "STOP"),
            (StopReason::Error, "OTHER"),
        ] {
            assert_eq!(written(&Stop::new(reason)), format!("{{\"finishReason\":\"{word}\"}}"));
        }
        let said = decode("SAFETY", Some(Str::from("No.")), false);
        assert_eq!(written(&said), r#"{"finishReason":"SAFETY","finishMessage":"No."}"#);
    }
}
