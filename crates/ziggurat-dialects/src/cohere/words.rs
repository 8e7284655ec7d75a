//! What this dialect calls the fields of the superset, where it has another word.

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::System => "messages",
        Field::MaxOutput => "max_tokens",
        Field::TopP => "p",
        Field::TopK => "k",
        Field::Stop => "stop_sequences",
        Field::Output => "response_format",
        Field::Effort | Field::Thinking => "thinking",
        _ => return None,
    })
}
