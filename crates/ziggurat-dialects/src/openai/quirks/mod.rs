//! How a provider's OpenAI Chat differs from OpenAI's: flags that are data.
//!
//! They are applied to a request that is ready to go, whether it came in this dialect or was translated, as edits of top-level
//! members. A member that no flag names is not looked at.

mod messages;
mod params;
#[cfg(test)]
mod tests;
mod tools;

use std::collections::BTreeMap;

use serde::Deserialize;
use ziggurat_core::{Error, Losses, Operation, Payload, Prepared, RawJson, Str};

use crate::{Field, Names};

/// How one provider's form of this dialect differs. All flags are off by default.
///
/// ```
/// use ziggurat_dialects::Quirks;
///
/// let quirks: Quirks = serde_json::from_str(r#"{"max_tokens_name": "max_tokens", "tool_choice_any": true}"#).unwrap();
/// assert!(quirks.tool_choice_any && !quirks.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Quirks {
    /// The name of the bound on the output; the other one is not taken.
    pub max_tokens_name: Option<MaxTokensName>,
    /// `stream_options` is not taken. Usage comes unasked, or never.
    pub no_stream_usage: bool,
    /// Parameters that are not taken.
    pub drop: Vec<Str>,
    /// Parameters that go by another name: OpenAI's, the provider's.
    pub rename: BTreeMap<Str, Str>,
    /// The least and the most that numbers may be.
    pub clamp: BTreeMap<Str, (f64, f64)>,
    /// Parameters that are set whatever the caller says.
    pub set: BTreeMap<Str, Json>,
    /// Parameters that are set where the caller says nothing.
    pub default: BTreeMap<Str, Json>,
    /// A `temperature` of 0 is taken with a `top_p` of 1 only (Mistral).
    pub greedy_top_p: bool,
    /// How many stop texts are taken.
    pub most_stops: Option<usize>,
    /// A tool is forced by the word `any`, not `required` (Mistral, Fireworks).
    pub tool_choice_any: bool,
    /// The words that `tool_choice` may be, and `function` where one tool may be named. Any, when empty.
    pub tool_choices: Vec<Str>,
    /// Tools take no `strict`.
    pub no_strict: bool,
    /// Schemas of tools take no `$id`, `$schema`, `additionalProperties` and `strict` (older Mistral and vLLM).
    pub plain_schemas: bool,
    /// Content is one string, and no list of parts.
    pub flatten_content: bool,
    /// The role `developer` is not known: it is `system` there.
    pub no_developer: bool,
    /// Members of messages must not be `null` (Groq).
    pub no_nulls: bool,
    /// Speakers have no names, other than tools (Mistral, Groq).
    pub no_names: bool,
    /// Parts of messages take no `cache_control`.
    pub no_cache_marks: bool,
    /// Ids of tool calls have exactly nine letters and digits (Mistral).
    pub short_tool_ids: bool,
    /// A user does not speak right after a tool: the assistant says a word between (Mistral).
    pub answer_after_tools: bool,
    /// The flag that a last message of the assistant's has to have, to be continued (`prefix`, `partial`).
    pub prefix_last: Option<Str>,
    /// An assistant's message that calls tools has to have `reasoning_content`: one space where it is lost (DeepSeek, Moonshot).
    pub echo_reasoning: bool,
}

/// What the bound on the output is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MaxTokensName {
    /// OpenAI's first name for it.
    MaxTokens,
    /// OpenAI's name for it since reasoning models.
    MaxCompletionTokens,
}

impl MaxTokensName {
    /// The name that is taken, and the one that is not.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::MaxTokens => ["max_tokens", "max_completion_tokens"],
            Self::MaxCompletionTokens => ["max_completion_tokens", "max_tokens"],
        }
    }
}

/// A value of a quirk's parameter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Json(serde_json::Value);

impl Json {
    fn raw(&self) -> RawJson {
        RawJson::of(&self.0).unwrap_or(RawJson::NULL)
    }
}

impl Quirks {
    /// Whether the provider is as OpenAI is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Fits a request to the provider. Losses are told in the words of `names`.
    ///
    /// # Errors
    ///
    /// When a member that must be looked at cannot be read, or something would be lost that must not be.
    pub fn apply(
        &self,
        payload: &mut Payload,
        prepared: &mut Prepared,
        names: Names,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        if payload.dialect().is_none() {
            return Ok(());
        }
        if payload.operation() != Operation::Chat {
            self.rename(payload);
            return Ok(());
        }
        self.params(payload, names, losses)?;
        self.tools(payload, names, losses)?;
        self.messages(payload, losses)?;
        if self.no_stream_usage && payload.member("stream_options").is_some() {
            payload.remove("stream_options");
            // What comes unasked stands in a chunk that the caller needs.
            prepared.withhold_usage = false;
        }
        Ok(())
    }
}

impl Quirks {
    /// Gives members the names that they have here, in requests that are no conversations.
    fn rename(&self, payload: &mut Payload) {
        for (name, here) in &self.rename {
            let Some(value) = payload.member(name) else { continue };
            if let Ok(value) = RawJson::parse(value) {
                payload.remove(name.clone());
                payload.set(here.clone(), value);
            }
        }
    }
}

/// What a caller calls the parameter that goes by this name here.
fn word(names: Names, parameter: &str) -> Option<&'static str> {
    let field = match parameter {
        "max_tokens" | "max_completion_tokens" => Field::MaxOutput,
        "temperature" => Field::Temperature,
        "top_p" => Field::TopP,
        "top_k" => Field::TopK,
        "frequency_penalty" => Field::FrequencyPenalty,
        "presence_penalty" => Field::PresencePenalty,
        "seed" => Field::Seed,
        "stop" => Field::Stop,
        "n" => Field::N,
        "logprobs" | "top_logprobs" => Field::Logprobs,
        "logit_bias" => Field::LogitBias,
        "tools" => Field::Tools,
        "tool_choice" => Field::ToolChoice,
        "parallel_tool_calls" => Field::ParallelTools,
        "response_format" => Field::Output,
        "reasoning_effort" => Field::Effort,
        "verbosity" => Field::Verbosity,
        "modalities" => Field::Modalities,
        "audio" => Field::Audio,
        "user" => Field::User,
        "metadata" => Field::Metadata,
        "store" => Field::Store,
        "service_tier" => Field::ServiceTier,
        "prompt_cache_key" => Field::CacheKey,
        "prompt_cache_retention" => Field::CacheRetention,
        "prediction" => Field::Prediction,
        "web_search_options" => Field::WebSearch,
        _ => return None,
    };
    Some(names.name(field))
}

/// As [`word`], for whoever speaks this dialect and has two words for one thing.
fn told(names: Names, parameter: &str) -> std::borrow::Cow<'static, str> {
    match names {
        Names::OpenAi => parameter.to_owned().into(),
        _ => word(names, parameter).map_or_else(|| parameter.to_owned().into(), Into::into),
    }
}
