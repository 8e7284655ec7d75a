//! The answer to a conversation.

use crate::{Content, Extras, Part, RawJson, Str, Usage};

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatReply {
    /// The provider's name for it.
    pub id: Str,
    /// The model that answered.
    pub model: Str,
    /// When, in seconds since 1970.
    pub created: Option<u64>,
    /// The answers; one unless more were asked for.
    pub choices: Vec<Choice>,
    /// The tokens it took.
    pub usage: Option<Usage>,
    /// The tier that served it.
    pub service_tier: Option<Str>,
    /// Everything else at the top level.
    pub extras: Extras,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// Its number.
    pub index: u32,
    /// What it says.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub stop: Stop,
    /// Log probabilities, as the dialect wrote them.
    pub logprobs: Option<RawJson>,
    /// Everything else in the choice.
    pub extras: Extras,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stop {
    /// The reason that all dialects share.
    pub reason: StopReason,
    /// The stop text that was hit.
    pub sequence: Option<Str>,
    /// The provider's own word, kept where it is none of the known ones.
    pub word: Option<Str>,
    /// More about it, as the dialect wrote it (Anthropic `stop_details`).
    pub details: Option<RawJson>,
}

/// The reasons that dialects share (`MAPPING`: stop reasons).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The answer is complete.
    #[default]
    Stop,
    /// A stop text was hit.
    StopSequence,
    /// The most tokens were reached.
    Length,
    /// Tools are to be called.
    ToolCalls,
    /// A filter cut the answer.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider pauses and wants to be asked again with the answer so far.
    Pause,
    /// The context window is full.
    ContextWindow,
    /// Something failed.
    Error,
    /// Something else: see [`Stop::word`].
    Other,
}

impl Stop {
    /// A stop for a known reason.
    #[must_use]
    pub fn new(reason: StopReason) -> Self {
        Self { reason, sequence: None, word: None, details: None }
    }

    /// A stop for a reason that only the provider knows. `error` is no such word: in every dialect it says that the model failed.
    pub fn other(word: impl Into<Str>) -> Self {
        let word = word.into();
        if word == "error" {
            return Self::new(StopReason::Error);
        }
        Self { word: Some(word), ..Self::new(StopReason::Other) }
    }
}

impl Choice {
    /// An answer.
    #[must_use]
    pub fn new(index: u32, parts: Vec<Part>, stop: Stop) -> Self {
        Self { index, parts, stop, logprobs: None, extras: Extras::default() }
    }
}

impl ChatReply {
    /// An answer with nothing in it yet.
    pub fn new(id: impl Into<Str>, model: impl Into<Str>) -> Self {
        Self { id: id.into(), model: model.into(), ..Self::default() }
    }

    /// The text of the first choice.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = self.choices.first().map_or(&[][..], |choice| &choice.parts);
        parts.iter().filter_map(Part::as_text).collect()
    }

    /// The tool calls of the first choice: id, name, arguments.
    pub fn tool_calls(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let parts = self.choices.first().map_or(&[][..], |choice| &choice.parts);
        parts.iter().filter_map(|part| match &part.content {
            Content::ToolCall { id, name, arguments, .. } => {
                Some((id.as_str(), name.as_str(), arguments.as_str()))
            }
            _ => None,
        })
    }
}
