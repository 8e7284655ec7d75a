//! What a model can do, as data.

use crate::Effort;

/// What a model can do. What is not known is assumed to be possible: the provider has the last word.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether `temperature`, `top_p` and `top_k` are taken.
    pub sampling: bool,
    /// Whether `temperature` and `top_p` are taken together.
    pub temperature_with_top_p: bool,
    /// Whether the last message may be the assistant's, to be continued.
    pub prefill: bool,
    /// Whether thinking takes a budget in tokens (Anthropic `enabled`).
    pub thinking_budget: bool,
    /// Whether the model decides how much to think (Anthropic `adaptive`).
    pub thinking_adaptive: bool,
    /// Whether thinking can be switched off (Anthropic `disabled`).
    pub thinking_off: bool,
    /// Whether thinking is switched off by `between_tools` instead.
    pub thinking_between_tools: bool,
    /// Whether it is a reasoning model in OpenAI's sense: no sampling, `max_completion_tokens`.
    pub reasoning_model: bool,
    /// Whether the model thinks at all.
    pub reasoning: bool,
    /// The efforts it takes; empty when nobody knows, then all are sent.
    pub efforts: Vec<Effort>,
    /// Whether a tool can be forced.
    pub forced_tools: bool,
    /// Whether system messages may stand in the middle.
    pub mid_system: bool,
    /// Whether an answer can be bound to a JSON Schema.
    pub structured_output: bool,
    /// Whether stop texts are taken.
    pub stop: bool,
    /// Whether single parts of a prompt can be marked for the cache where the dialect leaves that to the model
    /// (OpenAI `prompt_cache_breakpoint`, from gpt-5.6 on). A model that does not know the mark refuses the call.
    pub cache_marks: bool,
    /// The least tokens of thinking that a budget may give, where it gives any.
    pub least_budget: Option<u64>,
    /// The most tokens of thinking that a budget may give.
    pub most_budget: Option<u64>,
    /// Whether frequency and presence penalties are taken.
    pub penalties: bool,
    /// Whether an answer can be bound to a JSON Schema beside tools.
    pub output_with_tools: bool,
    /// Whether a tool call goes back with its id, and the first of a step with the signature that it came with. Such a model
    /// refuses a history without the signature (Gemini 3), and one that is not such a model refuses the id.
    pub signed_calls: bool,
    /// The most output tokens.
    pub max_output: Option<u64>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            sampling: true,
            temperature_with_top_p: true,
            prefill: true,
            thinking_budget: true,
            thinking_adaptive: false,
            thinking_off: true,
            thinking_between_tools: false,
            reasoning_model: false,
            reasoning: true,
            efforts: Vec::new(),
            forced_tools: true,
            mid_system: true,
            structured_output: true,
            stop: true,
            cache_marks: false,
            least_budget: None,
            most_budget: None,
            penalties: true,
            output_with_tools: true,
            signed_calls: false,
            max_output: None,
        }
    }
}
