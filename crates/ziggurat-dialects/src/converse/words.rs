//! What this dialect calls the fields of the superset, where it has another word.

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Tools => "toolConfig.tools",
        Field::ToolChoice => "toolConfig.toolChoice",
        Field::ParallelTools => "additionalModelRequestFields.tool_choice",
        Field::MaxOutput => "inferenceConfig.maxTokens",
        Field::Temperature => "inferenceConfig.temperature",
        Field::TopP => "inferenceConfig.topP",
        Field::TopK => "additionalModelRequestFields.top_k",
        Field::Stop => "inferenceConfig.stopSequences",
        Field::Output => "outputConfig.textFormat",
        Field::Effort => "outputConfig.effort",
        Field::Thinking => "additionalModelRequestFields.thinking",
        Field::Metadata => "requestMetadata",
        Field::ServiceTier => "serviceTier",
        Field::CacheKey | Field::CacheRetention | Field::CacheAuto => "cachePoint",
        _ => return None,
    })
}
