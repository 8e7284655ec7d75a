//! What this dialect calls the fields of the superset, where it has another word.

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::System => "systemInstruction",
        Field::Messages => "contents",
        Field::ToolChoice => "toolConfig.functionCallingConfig",
        Field::MaxOutput => "generationConfig.maxOutputTokens",
        Field::Temperature => "generationConfig.temperature",
        Field::TopP => "generationConfig.topP",
        Field::TopK => "generationConfig.topK",
        Field::FrequencyPenalty => "generationConfig.frequencyPenalty",
        Field::PresencePenalty => "generationConfig.presencePenalty",
        Field::Seed => "generationConfig.seed",
        Field::Stop => "generationConfig.stopSequences",
        Field::N => "generationConfig.candidateCount",
        Field::Logprobs => "generationConfig.logprobs",
        Field::Output => "generationConfig.responseSchema",
        Field::Effort => "generationConfig.thinkingConfig.thinkingLevel",
        Field::Thinking => "generationConfig.thinkingConfig",
        Field::Modalities => "generationConfig.responseModalities",
        Field::Audio => "generationConfig.speechConfig",
        Field::Metadata => "labels",
        Field::ServiceTier => "serviceTier",
        Field::WebSearch => "tools",
        _ => return None,
    })
}
