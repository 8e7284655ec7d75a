//! What is asked of an answer that was kept.

use crate::Str;

/// A question about an answer that was kept under its id, and not for a model: OpenAI Responses, `/responses/{id}`.
///
/// ```
/// use ziggurat_core::{Operation, Stored, StoredAction, Typed};
///
/// let asked = Typed::Stored(Stored::new("resp_1", StoredAction::Delete));
/// assert_eq!(asked.operation(), Operation::Stored);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The id of the answer.
    pub id: Str,
    /// What is asked.
    pub action: StoredAction,
}

/// What is asked of an answer that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoredAction {
    /// The answer itself.
    Retrieve,
    /// That it is kept no longer.
    Delete,
    /// That it is not written to its end.
    Cancel,
    /// What it is an answer to, page by page.
    InputItems,
}

impl Stored {
    /// A question about the answer of this id.
    pub fn new(id: impl Into<Str>, action: StoredAction) -> Self {
        Self { id: id.into(), action }
    }
}
