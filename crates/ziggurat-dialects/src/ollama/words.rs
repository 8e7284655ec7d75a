//! What this dialect calls the fields of the superset, where it has another word.

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::System => "messages",
        Field::MaxOutput => "options.num_predict",
        Field::Temperature => "options.temperature",
        Field::TopP => "options.top_p",
        Field::TopK => "options.top_k",
        Field::MinP => "options.min_p",
        Field::FrequencyPenalty => "options.frequency_penalty",
        Field::PresencePenalty => "options.presence_penalty",
        Field::RepetitionPenalty => "options.repeat_penalty",
        Field::Seed => "options.seed",
        Field::Stop => "options.stop",
        Field::Output => "format",
        Field::Effort | Field::Thinking => "think",
        _ => return None,
    })
}
