//! What this dialect calls the fields of the superset, where it has another word.

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::ParallelTools => "tool_choice.disable_parallel_tool_use",
        Field::MaxOutput => "max_tokens",
        Field::Stop => "stop_sequences",
        Field::Output => "output_config.format",
        Field::Effort => "output_config.effort",
        Field::Thinking => "thinking",
        Field::User => "metadata.user_id",
        Field::CacheKey | Field::CacheRetention | Field::CacheAuto => "cache_control",
        Field::WebSearch => "tools",
        _ => return None,
    })
}
