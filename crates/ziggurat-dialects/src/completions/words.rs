//! What this dialect calls the fields of the superset, where it has another word.

use ziggurat_core::Severity;

use crate::Field;

/// The word for a field.
pub(crate) fn word(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::System | Field::Messages => "prompt",
        Field::MaxOutput => "max_tokens",
        _ => return None,
    })
}

/// What is lost when another dialect cannot say one of this one's own fields.
pub(crate) fn lost(path: &str) -> (Severity, &'static str) {
    match path {
        "suffix" => (Severity::Grave, "the model does not write what stands before a text"),
        "best_of" => (Severity::Doubtful, "the model does not choose among its answers"),
        _ => (Severity::Harmless, "the target has no such field"),
    }
}
