use ziggurat_core::{RawJson, Str};

use super::{Owner, StoreFuture};

/// One answer that is kept, and what it is an answer to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Turn {
    /// The answer's id.
    pub id: Str,
    /// The answer before it in the conversation.
    pub previous: Option<Str>,
    /// What was new in the request: a list of items.
    pub input: RawJson,
    /// The answer, as the caller read it.
    pub response: RawJson,
    /// The ids of the items in both.
    pub items: Vec<Str>,
}

impl Turn {
    /// An answer of this id.
    pub fn new(id: impl Into<Str>, input: RawJson, response: RawJson) -> Self {
        Self { id: id.into(), previous: None, input, response, items: Vec::new() }
    }
}

/// Keeps answers. Each belongs to its [owner](Owner), and nobody else finds it.
///
/// A store may forget, what is old first. What it is given it has kept when the future is ready.
pub trait Store: Send + Sync + 'static {
    /// Keeps an answer, in place of one of the same id.
    fn put(&self, owner: Owner, turn: Turn) -> StoreFuture<()>;

    /// The answer of this id.
    fn get(&self, owner: Owner, id: Str) -> StoreFuture<Option<Turn>>;

    /// The answer of this id and those before it, the latest first. It ends early where one is not there any more.
    fn thread(&self, owner: Owner, id: Str) -> StoreFuture<Vec<Turn>>;

    /// The latest answer with an item of this id, in what it says or in what it is an answer to.
    fn with_item(&self, owner: Owner, item: Str) -> StoreFuture<Option<Turn>>;

    /// Forgets an answer, and says whether it was there.
    fn delete(&self, owner: Owner, id: Str) -> StoreFuture<bool>;
}
