//! What a caller calls a field: losses name the caller's own words, whichever dialect the call goes to.

use std::borrow::Cow;

use ziggurat_core::{Dialect, Error, Losses, Message, Role, Severity};

/// A field of the superset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // Each is the field of `Chat` with that name.
pub enum Field {
    System,
    Messages,
    Tools,
    ToolChoice,
    ParallelTools,
    MaxOutput,
    Temperature,
    TopP,
    TopK,
    MinP,
    FrequencyPenalty,
    PresencePenalty,
    RepetitionPenalty,
    Seed,
    Stop,
    N,
    Logprobs,
    LogitBias,
    Output,
    Effort,
    Thinking,
    Verbosity,
    Modalities,
    Audio,
    User,
    Metadata,
    Store,
    ServiceTier,
    CacheKey,
    CacheRetention,
    CacheAuto,
    Prediction,
    WebSearch,
}

/// The words of one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// OpenAI Chat Completions, and dialects that follow it.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
    /// Cohere's chat.
    Cohere,
    /// Ollama's own API.
    Ollama,
    /// Bedrock Converse.
    Converse,
    /// Gemini `generateContent`.
    Gemini,
    /// OpenAI Responses.
    Responses,
    /// OpenAI's legacy Completions.
    Completions,
    /// A call built in code, or a dialect whose words are not listed: the superset's own.
    Superset,
}

/// Where something stands in the caller's request: written out only when somebody asks.
pub(crate) type Place<'p> = &'p dyn Fn() -> Cow<'static, str>;

impl Names {
    /// The words of a caller who speaks `source`.
    #[must_use]
    pub fn of(source: Option<Dialect>) -> Self {
        match source.as_ref().map(|dialect| dialect.name()) {
            Some("openai") => Self::OpenAi,
            Some("anthropic") => Self::Anthropic,
            Some("cohere") => Self::Cohere,
            Some("ollama") => Self::Ollama,
            Some("converse") => Self::Converse,
            Some("gemini") => Self::Gemini,
            Some("responses") => Self::Responses,
            Some("completions") => Self::Completions,
            _ => Self::Superset,
        }
    }

    /// The caller's word for a field.
    #[must_use]
    pub fn name(self, field: Field) -> &'static str {
        let own = match self {
            Self::OpenAi => crate::openai::word(field),
            Self::Anthropic => crate::anthropic::word(field),
            Self::Cohere => crate::cohere::word(field),
            Self::Ollama => crate::ollama::word(field),
            Self::Converse => crate::converse::word(field),
            Self::Gemini => crate::gemini::word(field),
            Self::Responses => crate::responses::word(field),
            Self::Completions => crate::completions::word(field),
            Self::Superset => None,
        };
        own.unwrap_or_else(|| superset(field))
    }

    /// Where a message stands in the caller's own list: `messages[2]`, `messages.2`.
    #[must_use]
    pub fn message(self, message: &Message) -> Cow<'static, str> {
        match message.at {
            None => self.name(Field::Messages).into(),
            Some(at) => self.item(self.name(Field::Messages), at),
        }
    }

    /// Where a part of a message stands: `messages[2].content[0]`, `messages.2.content.0`, `contents[2].parts[0]`.
    #[must_use]
    pub fn part(self, message: &Message, index: usize) -> Cow<'static, str> {
        match message.at {
            None => self.name(Field::Messages).into(),
            // Content is one text there, and what else a message holds stands beside it.
            Some(_) if self == Self::Ollama => self.message(message),
            // A result is an item of its own there.
            Some(_) if self == Self::Responses && message.role == Role::Tool => {
                self.member(&self.message(message), "output")
            }
            Some(_) => self.item(&self.member(&self.message(message), self.content()), index),
        }
    }

    /// The member of a message that holds what is said.
    fn content(self) -> &'static str {
        match self {
            Self::Gemini => "parts",
            _ => "content",
        }
    }

    /// An item of a list.
    #[must_use]
    pub fn item(self, list: &str, index: impl std::fmt::Display) -> Cow<'static, str> {
        match self {
            Self::Anthropic | Self::Cohere | Self::Converse | Self::Ollama => {
                format!("{list}.{index}").into()
            }
            _ => format!("{list}[{index}]").into(),
        }
    }

    /// A member of an object.
    #[must_use]
    pub fn member(self, object: &str, name: &str) -> Cow<'static, str> {
        format!("{object}.{name}").into()
    }
}

/// The word where a dialect has none of its own.
fn superset(field: Field) -> &'static str {
    match field {
        Field::System => "system",
        Field::Messages => "messages",
        Field::Tools => "tools",
        Field::ToolChoice => "tool_choice",
        Field::ParallelTools => "parallel_tools",
        Field::MaxOutput => "max_output_tokens",
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::TopK => "top_k",
        Field::MinP => "min_p",
        Field::FrequencyPenalty => "frequency_penalty",
        Field::PresencePenalty => "presence_penalty",
        Field::RepetitionPenalty => "repetition_penalty",
        Field::Seed => "seed",
        Field::Stop => "stop",
        Field::N => "n",
        Field::Logprobs => "logprobs",
        Field::LogitBias => "logit_bias",
        Field::Output => "output",
        Field::Effort => "reasoning.effort",
        Field::Thinking => "reasoning",
        Field::Verbosity => "verbosity",
        Field::Modalities => "modalities",
        Field::Audio => "audio",
        Field::User => "user",
        Field::Metadata => "metadata",
        Field::Store => "store",
        Field::ServiceTier => "service_tier",
        Field::CacheKey => "cache.key",
        Field::CacheRetention => "cache.retention",
        Field::CacheAuto => "cache.auto",
        Field::Prediction => "prediction",
        Field::WebSearch => "web_search",
    }
}

/// The code of the error by which Anthropic's clients learn that they have to send the whole conversation.
pub(crate) const NO_THREADS: &str = "thread_unsupported_request";

/// Loses a member that the superset has no field for; `path` is where it stood in the request of a caller who speaks `source`.
///
/// # Errors
///
/// When the call would mean something else without it.
pub(crate) fn lose(
    source: Option<Dialect>,
    path: String,
    losses: &mut Losses,
) -> Result<(), Error> {
    if Names::of(source) == Names::Responses {
        return match crate::responses::lost(&path) {
            Some((severity, reason)) => losses.drop(severity, path, reason),
            None => Ok(()),
        };
    }
    if Names::of(source) == Names::Completions {
        let (severity, reason) = crate::completions::lost(&path);
        return losses.drop(severity, path, reason);
    }
    let (severity, reason) = match (Names::of(source), path.as_str()) {
        // What was said before is with the provider, and what is new makes no sense alone.
        (Names::Anthropic, "thread") => {
            let reason = "no conversations are held there, send all of it without `thread`";
            return losses
                .drop(Severity::Grave, path, reason)
                .map_err(|error| error.with_code(NO_THREADS));
        }
        (Names::Gemini, "cachedContent") => {
            (Severity::Grave, "what is cached is with its own provider, send it with the call")
        }
        (Names::Anthropic, "mcp_servers") => {
            (Severity::Doubtful, "the model cannot call servers by itself")
        }
        (Names::Anthropic, "inference_geo") => {
            (Severity::Doubtful, "the target does not promise where it computes")
        }
        // Who asks for a guard does not expect to be answered without.
        (Names::Converse, "guardrailConfig") => {
            (Severity::Doubtful, "the target has no such guardrails")
        }
        (Names::Converse, "promptVariables") => {
            (Severity::Grave, "prompts are not kept there, send the messages")
        }
        _ => (Severity::Harmless, "the target has no such field"),
    };
    losses.drop(severity, path, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_named_as_its_caller_would() {
        let message = Message::text(Role::User, "x").at(2);
        assert_eq!(Names::OpenAi.part(&message, 0), "messages[2].content[0]");
        assert_eq!(Names::Anthropic.part(&message, 0), "messages.2.content.0");
        assert_eq!(Names::Gemini.part(&message, 0), "contents[2].parts[0]");
        assert_eq!(Names::Superset.message(&Message::text(Role::User, "x")), "messages");
    }

    #[test]
    fn fields_have_their_callers_names() {
        assert_eq!(Names::of(None).name(Field::MaxOutput), "max_output_tokens");
        assert_eq!(Names::OpenAi.name(Field::MaxOutput), "max_completion_tokens");
        assert_eq!(Names::Anthropic.name(Field::MaxOutput), "max_tokens");
        assert_eq!(Names::Gemini.name(Field::MaxOutput), "generationConfig.maxOutputTokens");
        assert_eq!(Names::Gemini.name(Field::Verbosity), "verbosity");
    }
}
