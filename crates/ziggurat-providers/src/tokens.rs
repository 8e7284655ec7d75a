//! How many tokens a text is to a model.
//!
//! OpenAI's models count as their published encodings do: with the feature `tiktoken` text is counted exactly for them. For all others, and
//! without the feature, a count is [an estimate](ziggurat_core::estimated_tokens) and says so. Its error for OpenAI's `o200k_base`,
//! measured over a corpus of six kinds of text (`tests/tokens.rs`):
//!
//! | text | error |
//! | --- | --- |
//! | English prose | −3 % |
//! | other European languages | +3 % |
//! | source code | −4 % |
//! | JSON | +7 % |
//! | Chinese, Japanese, Korean | under 1 % |
//! | emoji | +2 % |
//!
//! Models of other vendors have other encodings: Claude's make up to half as many tokens again of the same text.

use ziggurat_core::{Chat, TokenCount, estimated_tokens};

use crate::catalogue::canonical;
use crate::model::bare;

/// An encoding whose tables are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `cl100k_base`: GPT-3.5, GPT-4, the embedding models.
    Cl100k,
    /// `o200k_base`: GPT-4o and everything after it.
    O200k,
    /// `o200k_harmony`: GPT-OSS.
    Harmony,
}

impl Encoding {
    /// The encoding of a model of this provider, where it is known.
    ///
    /// ```
    /// use ziggurat_providers::Encoding;
    ///
    /// assert_eq!(Encoding::of("openai", "gpt-4o-mini"), Some(Encoding::O200k));
    /// assert_eq!(Encoding::of("azure", "text-embedding-3-small"), Some(Encoding::Cl100k));
    /// assert_eq!(Encoding::of("anthropic", "claude-opus-4-8"), None);
    /// ```
    #[must_use]
    pub fn of(provider: &str, model: &str) -> Option<Self> {
        let name = bare(model);
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        if begins(&["gpt-oss"]) {
            return Some(Self::Harmony);
        }
        if !matches!(canonical(provider), "openai" | "azure" | "azure_ai" | "openrouter") {
            return None;
        }
        if begins(&["gpt-3.5", "gpt-35", "text-embedding-", "davinci-002", "babbage-002"]) {
            return Some(Self::Cl100k);
        }
        if begins(&[
            "gpt-4o",
            "gpt-4.",
            "chatgpt-4o",
            "gpt-audio",
            "gpt-realtime",
            "omni-moderation",
        ]) {
            return Some(Self::O200k);
        }
        if begins(&["gpt-4"]) {
            return Some(Self::Cl100k);
        }
        // GPT-5 and later; o1, o3, o4.
        let reasons = begins(&["gpt-5", "gpt-6", "gpt-7", "gpt-8", "gpt-9", "o1", "o3", "o4"]);
        reasons.then_some(Self::O200k)
    }

    /// The tokens of a text. Special tokens in it count as the text that they are.
    #[cfg(feature = "tiktoken")]
    #[must_use]
    pub fn count(self, text: &str) -> u64 {
        let encoding = match self {
            Self::Cl100k => tiktoken_rs::cl100k_base_singleton(),
            Self::O200k => tiktoken_rs::o200k_base_singleton(),
            Self::Harmony => tiktoken_rs::o200k_harmony_singleton(),
        };
        encoding.encode_ordinary(text).len() as u64
    }
}

/// The longest text that is counted and not estimated, in bytes: it takes some milliseconds.
#[cfg(feature = "tiktoken")]
const MOST_BYTES: u64 = 256 << 10;
/// What stands before the answer.
#[cfg(feature = "tiktoken")]
const PRIMING: u64 = 3;

/// The tokens of a text, and whether that is an estimate.
#[must_use]
pub fn count_text(provider: &str, model: &str, text: &str) -> TokenCount {
    #[cfg(feature = "tiktoken")]
    if let Some(encoding) = Encoding::of(provider, model)
        && text.len() as u64 <= MOST_BYTES
    {
        return TokenCount { input_tokens: encoding.count(text), estimated: false };
    }
    let _ = (provider, model);
    TokenCount { input_tokens: estimated_tokens(text), estimated: true }
}

/// The input tokens of a conversation, and whether that is an estimate: it is one as soon as there is more in it than text.
#[must_use]
pub fn count_chat(provider: &str, model: &str, chat: &Chat) -> TokenCount {
    #[cfg(feature = "tiktoken")]
    if let Some(encoding) = Encoding::of(provider, model) {
        let bytes = chat.input_tokens_by(|text| text.len() as u64).input_tokens;
        if bytes <= MOST_BYTES {
            let mut count = chat.input_tokens_by(|text| encoding.count(text));
            count.input_tokens += PRIMING;
            return count;
        }
    }
    let _ = (provider, model);
    TokenCount { input_tokens: chat.estimated_input_tokens(), estimated: true }
}
