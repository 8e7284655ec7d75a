//! A whole answer in the superset's terms.

use crate::{ChatReply, Embeddings, Operation, Ranking, Str, Usage};

/// A whole answer, by operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The answer to a conversation.
    Chat(Box<ChatReply>),
    /// How many input tokens a conversation has.
    TokenCount(TokenCount),
    /// Which models there are.
    Models(Vec<ModelInfo>),
    /// What is known of one model.
    Model(ModelInfo),
    /// Vectors.
    Embeddings(Box<Embeddings>),
    /// Documents in order.
    Ranking(Box<Ranking>),
}

/// How many input tokens a conversation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// The number.
    pub input_tokens: u64,
    /// Whether it is an estimate of ours.
    pub estimated: bool,
}

/// What is known of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The name to ask for.
    pub id: Str,
    /// Whose it is.
    pub owned_by: Str,
    /// Since when, in seconds since 1970.
    pub created: u64,
}

impl ModelInfo {
    /// A model.
    pub fn new(id: impl Into<Str>, owned_by: impl Into<Str>, created: u64) -> Self {
        Self { id: id.into(), owned_by: owned_by.into(), created }
    }
}

impl Answer {
    /// What was asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Chat(_) => Operation::Chat,
            Self::TokenCount(_) => Operation::CountTokens,
            Self::Models(_) | Self::Model(_) => Operation::Models,
            Self::Embeddings(_) => Operation::Embeddings,
            Self::Ranking(_) => Operation::Rerank,
        }
    }

    /// The tokens it took.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Chat(reply) => reply.usage,
            Self::Embeddings(embeddings) => embeddings.usage,
            Self::Ranking(ranking) => ranking.usage,
            _ => None,
        }
    }
}
