//! What a call asks for.

use std::fmt;

/// What a call asks for, whatever the dialect calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A conversation to continue.
    Chat,
    /// How many input tokens a conversation has.
    CountTokens,
    /// Which models there are, or what is known of one.
    Models,
    /// Texts to turn into vectors.
    Embeddings,
    /// Documents to put in order by their relevance to a query.
    Rerank,
    /// Whether a text keeps to a provider's rules.
    Moderation,
    /// Something about an answer that was kept.
    Stored,
}

impl Operation {
    /// The name in the OpenTelemetry GenAI conventions (`gen_ai.operation.name`) where it has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::Embeddings => "embeddings",
            Self::Rerank => "rerank",
            Self::Moderation => "moderation",
            Self::Stored => "stored",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
