//! The superset of every provider's stream.

use crate::{Error, RawJson, Stop, Str, ToolCallKind, Usage};

/// One thing that happens in a stream.
///
/// Every decoder keeps these promises: one `Start`, first; every delta between its `PartStart` and `PartEnd`; a tool call has
/// id and name when it starts; at most one `Stop` per choice; exactly one `End` or `Error`, last. Parts may interleave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The answer begins.
    Start(Box<Start>),
    /// A part begins.
    PartStart {
        /// Which.
        part: PartId,
        /// What it will be.
        kind: Box<PartKind>,
    },
    /// More text.
    Text {
        /// Of which part.
        part: PartId,
        /// The text.
        text: Str,
    },
    /// More reasoning.
    Thinking {
        /// Of which part.
        part: PartId,
        /// The text.
        text: Str,
    },
    /// The signature of a reasoning part, or of a tool call. Set, never appended.
    Signature {
        /// Of which part.
        part: PartId,
        /// Opaque.
        signature: Str,
    },
    /// More of a tool call's arguments.
    Arguments {
        /// Of which part.
        part: PartId,
        /// A fragment of JSON text.
        fragment: Str,
    },
    /// More of a refusal.
    Refusal {
        /// Of which part.
        part: PartId,
        /// The text.
        text: Str,
    },
    /// A citation of a text part, as the dialect wrote it.
    Citation {
        /// Of which part.
        part: PartId,
        /// The citation.
        citation: Box<RawJson>,
    },
    /// Log probabilities, as the dialect wrote them.
    Logprobs {
        /// Of which choice.
        choice: u16,
        /// The probabilities.
        logprobs: Box<RawJson>,
    },
    /// A part ends.
    PartEnd {
        /// Which.
        part: PartId,
    },
    /// Usage so far. The latest holds, field by field.
    Usage(Box<Usage>),
    /// An answer ends.
    Stop {
        /// Which choice.
        choice: u16,
        /// Why.
        stop: Box<Stop>,
    },
    /// The stream failed: nothing follows.
    Error(Error),
    /// The stream is complete: nothing follows.
    End,
    /// Nothing happened, which is worth knowing.
    Ping,
}

impl Event {
    /// Copies the short texts of the event, so that it does not keep the buffer that it was read from.
    pub fn detach(&mut self) {
        match self {
            Self::Text { text, .. } | Self::Thinking { text, .. } | Self::Refusal { text, .. } => {
                text.detach();
            }
            Self::Arguments { fragment, .. } => fragment.detach(),
            Self::Signature { signature, .. } => signature.detach(),
            Self::Citation { citation: json, .. } | Self::Logprobs { logprobs: json, .. } => {
                json.detach();
            }
            Self::Start(start) => {
                start.id.detach();
                start.model.detach();
                start.service_tier.iter_mut().for_each(Str::detach);
            }
            Self::PartStart { kind, .. } => match &mut **kind {
                PartKind::Redacted(text) => text.detach(),
                PartKind::ToolCall { id, name, .. } => {
                    id.detach();
                    name.detach();
                }
                PartKind::Opaque { kind, value } => {
                    kind.detach();
                    value.detach();
                }
                PartKind::Text | PartKind::Reasoning | PartKind::Refusal => {}
            },
            // The end: little, and the last.
            Self::PartEnd { .. }
            | Self::Usage(_)
            | Self::Stop { .. }
            | Self::Error(_)
            | Self::End
            | Self::Ping => {}
        }
    }
}

/// Which part of which choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId {
    /// The choice; 0 unless several answers were asked for.
    pub choice: u16,
    /// The place of the part in its answer.
    pub index: u16,
}

impl PartId {
    /// A part of the first choice.
    #[must_use]
    pub fn first(index: u16) -> Self {
        Self { choice: 0, index }
    }
}

/// How an answer begins.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Start {
    /// The provider's name for the answer.
    pub id: Str,
    /// The model that answers.
    pub model: Str,
    /// When, in seconds since 1970.
    pub created: Option<u64>,
    /// What is already known of the usage: mostly the input.
    pub usage: Option<Usage>,
    /// The tier that serves it.
    pub service_tier: Option<Str>,
}

impl Start {
    /// A beginning.
    pub fn new(id: impl Into<Str>, model: impl Into<Str>) -> Self {
        Self { id: id.into(), model: model.into(), ..Self::default() }
    }
}

/// What a part will be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PartKind {
    /// Text.
    Text,
    /// Reasoning.
    Reasoning,
    /// Reasoning that only the provider can read: complete, no delta follows.
    Redacted(Str),
    /// A refusal.
    Refusal,
    /// A tool call.
    ToolCall {
        /// Names the call.
        id: Str,
        /// The tool.
        name: Str,
        /// Whose tool it is.
        kind: ToolCallKind,
    },
    /// Something only its own dialect understands: complete, no delta follows.
    Opaque {
        /// The type by which its dialect knows it.
        kind: Str,
        /// All of it.
        value: RawJson,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_small_enough_to_move() {
        assert!(size_of::<Event>() <= 48, "{}", size_of::<Event>());
    }
}
