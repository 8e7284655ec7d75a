//! What this dialect calls the fields of the superset, where it has another word; and what its own fields mean to others.

use ziggurat_core::Severity;

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::System => "instructions",
        Field::Messages => "input",
        Field::ParallelTools => "parallel_tool_calls",
        Field::Logprobs => "top_logprobs",
        Field::Output => "text.format",
        Field::Verbosity => "text.verbosity",
        Field::CacheKey => "prompt_cache_key",
        Field::CacheRetention => "prompt_cache_retention",
        Field::CacheAuto => "prompt_cache_options",
        Field::WebSearch => "tools",
        _ => return None,
    })
}

/// Where it is noted that reasoning is wanted in a form that can be sent back.
pub(super) const ENCRYPTED: &str = "include.reasoning.encrypted_content";

/// What is lost when another dialect cannot say one of this one's own fields; `None` if that is nothing.
pub(crate) fn lost(path: &str) -> Option<(Severity, &'static str)> {
    Some(match path {
        // Whoever has no such reasoning has nothing to leave out.
        ENCRYPTED => return None,
        // What was said before is with the provider, and what is new makes no sense alone.
        "previous_response_id" | "conversation" => (
            Severity::Grave,
            "it is not known here: it may be too old, somebody else's, or never kept; send all of the conversation as `input`",
        ),
        "prompt" => (Severity::Grave, "prompts are not kept there, send it as `instructions`"),
        "background" => (Severity::Grave, "answers are not written in the background there"),
        "tool_choice" => (Severity::Doubtful, "the target has no such choice"),
        "moderation" => (Severity::Doubtful, "the target does not moderate on request"),
        "truncation" => (Severity::Harmless, "a conversation that is too long is refused there"),
        _ => (Severity::Harmless, "the target has no such field"),
    })
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{LossPolicy, Losses};

    use super::*;
    use crate::RESPONSES;
    use crate::fields::lose;

    #[test]
    fn what_the_provider_keeps_cannot_be_lost() {
        let lose = |path: &str| {
            let mut losses = Losses::under(LossPolicy::Allow);
            lose(Some(RESPONSES), path.to_owned(), &mut losses).map(|()| losses.found().len())
        };
        for path in ["previous_response_id", "conversation", "prompt", "background"] {
            assert_eq!(lose(path).unwrap_err().param(), Some(path));
        }
        assert_eq!(lose("max_tool_calls").unwrap(), 1);
        assert_eq!(lose(ENCRYPTED).unwrap(), 0);
    }
}
