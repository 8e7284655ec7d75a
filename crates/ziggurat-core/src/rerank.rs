//! Reranking: texts in, their order by relevance to a query out.

use crate::{Extras, RawJson, Str, Usage};

/// What is to be ranked, and by what.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rerank {
    /// What the documents are to be about.
    pub query: Str,
    /// The documents: texts, or objects as their dialect wrote them.
    pub documents: Vec<RawJson>,
    /// How many of the best are wanted; all, if nothing is said.
    pub top: Option<u32>,
    /// Whether the documents are repeated in the answer.
    pub return_documents: Option<bool>,
    /// What the superset has no field for.
    pub extras: Extras,
}

/// The best documents, the best first.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Ranking {
    /// The answer's id, where the provider gives one.
    pub id: Str,
    /// The model that ranked, where the provider tells.
    pub model: Str,
    /// The documents.
    pub results: Vec<Ranked>,
    /// What it took: tokens, or search units ([`Units::queries`](crate::Units)).
    pub usage: Option<Usage>,
}

/// A document's place.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ranked {
    /// Which it is, counted from 0.
    pub index: u64,
    /// How relevant it is, as the provider wrote the number.
    pub score: RawJson,
    /// The document, if it is repeated.
    pub document: Option<RawJson>,
}

impl Ranked {
    /// A document's place.
    #[must_use]
    pub fn new(index: u64, score: RawJson, document: Option<RawJson>) -> Self {
        Self { index, score, document }
    }
}

impl Ranking {
    /// An order of documents.
    #[must_use]
    pub fn new(results: Vec<Ranked>) -> Self {
        Self { results, ..Self::default() }
    }
}
