//! What this dialect calls the fields of the superset, where it has another word.

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::System => "messages",
        Field::ParallelTools => "parallel_tool_calls",
        Field::MaxOutput => "max_completion_tokens",
        Field::Output => "response_format",
        Field::Effort | Field::Thinking => "reasoning_effort",
        Field::CacheKey => "prompt_cache_key",
        Field::CacheRetention => "prompt_cache_retention",
        Field::CacheAuto => "cache_control",
        Field::WebSearch => "web_search_options",
        _ => return None,
    })
}
