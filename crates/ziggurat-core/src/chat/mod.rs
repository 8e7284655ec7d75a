//! The superset conversation: everything that any dialect can say, once.

mod canonical;
mod estimate;
mod message;
mod reply;
mod tool;

use crate::{Extras, RawJson, Str};

pub use estimate::estimated_tokens;
pub use message::{CacheMark, Content, Message, Part, Role, Source, ToolCallKind};
pub use reply::{ChatReply, Choice, Stop, StopReason};
pub use tool::{Tool, ToolChoice, ToolKind};

/// A conversation to continue, with everything that steers the answer.
///
/// `None` means that the caller said nothing, so that the provider's own default holds.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Chat {
    /// The system prompt: what stands before the conversation. A later system message is a [`Message`].
    pub system: Vec<Part>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The tools that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it should call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once.
    pub parallel_tools: Option<bool>,
    /// The most tokens of output, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// How the next token is drawn.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<Str>,
    /// How many answers.
    pub n: Option<u32>,
    /// Log probabilities of the tokens: how many alternatives of each (0: the chosen one only).
    pub logprobs: Option<u8>,
    /// Bias by token id, as the dialect wrote it.
    pub logit_bias: Option<RawJson>,
    /// The form of the answer.
    pub output: OutputFormat,
    /// How much to think, and how much of it to show.
    pub reasoning: Reasoning,
    /// How wordy to be (`low`, `medium`, `high`).
    pub verbosity: Option<Str>,
    /// Kinds of output asked for (`text`, `audio`); empty for the default.
    pub modalities: Vec<Str>,
    /// Voice and format of spoken output, as the dialect wrote it.
    pub audio: Option<RawJson>,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// Whether a stream ends with its usage; `None` where the dialect always does that.
    pub stream_usage: Option<bool>,
    /// The caller's own user, as an opaque name.
    pub user: Option<Str>,
    /// The caller's own labels, an object of strings.
    pub metadata: Option<RawJson>,
    /// Whether the provider may keep the answer.
    pub store: Option<bool>,
    /// `auto`, `default`, `flex`, `priority`, `standard_only` …
    pub service_tier: Option<Str>,
    /// The provider's prompt cache.
    pub cache: CacheHints,
    /// A guess at the answer, as the dialect wrote it.
    pub prediction: Option<RawJson>,
    /// The provider's own web search, as the dialect wrote it.
    pub web_search: Option<RawJson>,
    /// Everything else at the top level.
    pub extras: Extras,
}

/// How the next token is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: Option<f64>,
    /// Nucleus: the probability mass to draw from.
    pub top_p: Option<f64>,
    /// How many tokens to draw from.
    pub top_k: Option<u64>,
    /// The least probability relative to the likeliest token.
    pub min_p: Option<f64>,
    /// −2 to 2.
    pub frequency_penalty: Option<f64>,
    /// −2 to 2.
    pub presence_penalty: Option<f64>,
    /// 1 is none.
    pub repetition_penalty: Option<f64>,
    /// For answers that repeat as far as the provider can.
    pub seed: Option<i64>,
}

/// The form of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// Some JSON object.
    Json,
    /// JSON of this schema.
    Schema(OutputSchema),
}

/// A schema for the answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutputSchema {
    /// What the schema is called (`[a-zA-Z0-9_-]{1,64}`), where the dialect names it.
    pub name: Option<Str>,
    /// What the answer is for.
    pub description: Option<Str>,
    /// The JSON Schema.
    pub schema: RawJson,
    /// Whether the answer must match exactly.
    pub strict: Option<bool>,
}

impl OutputSchema {
    /// A schema without a name.
    #[must_use]
    pub fn new(schema: RawJson) -> Self {
        Self { name: None, description: None, schema, strict: None }
    }
}

/// How much to think, and how much of it to show.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Reasoning {
    /// In words.
    pub effort: Option<Effort>,
    /// In tokens.
    pub budget_tokens: Option<u64>,
    /// On, off, or as the model likes.
    pub mode: Option<ReasoningMode>,
    /// What the caller sees of it.
    pub expose: Option<Expose>,
}

/// How much to think, in words, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as can be.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// As much as can be.
    Max,
}

impl Effort {
    /// The word that all dialects share.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }
}

/// Whether to think at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasoningMode {
    /// No (Anthropic `disabled`).
    Off,
    /// As the model likes (Anthropic `adaptive`).
    Auto,
    /// Yes (Anthropic `enabled`).
    On,
    /// Only between tool calls (Anthropic `between_tools`).
    BetweenTools,
}

/// What the caller sees of the reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expose {
    /// Nothing (Anthropic `omitted`).
    Nothing,
    /// A summary (Anthropic `summarized`).
    Summary,
    /// All of it.
    Full,
}

/// The provider's prompt cache.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CacheHints {
    /// Calls with one key land on one cache.
    pub key: Option<Str>,
    /// How long to keep it, as the dialect wrote it.
    pub retention: Option<Str>,
    /// Marks the last part that can be cached.
    pub auto: Option<CacheMark>,
}

impl Chat {
    /// An empty conversation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
