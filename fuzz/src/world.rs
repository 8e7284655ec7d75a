//! What a translation needs beside the bytes: drawn from them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use ziggurat_core::{
    Ask, Capabilities, Changes, Dialect, Effort, LossPolicy, Operation, Restore, Str, Usage,
};
use ziggurat_dialects::{
    ANTHROPIC, COHERE, COMPLETIONS, CONVERSE, GEMINI, OLLAMA, OPENAI, RESPONSES,
};

use crate::mutate::Mutator;

/// The dialects that callers speak.
pub(crate) const DIALECTS: [Dialect; 7] =
    [OPENAI, ANTHROPIC, GEMINI, COHERE, OLLAMA, CONVERSE, RESPONSES];

/// The dialects that providers speak.
pub(crate) const PROVIDERS: [Dialect; 8] =
    [OPENAI, ANTHROPIC, GEMINI, COHERE, OLLAMA, CONVERSE, RESPONSES, COMPLETIONS];

/// In what a dialect tells of an answer, where it differs from another that tells the same.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Parts stay apart.
    pub(crate) blocks: bool,
    /// There is one answer only.
    pub(crate) alone: bool,
    /// A refusal is a text, and free text for a tool its argument `input`.
    pub(crate) plain: bool,
    /// Arguments are objects.
    pub(crate) objects: bool,
    /// An answer that failed is told as one that ended.
    pub(crate) tells_failure: bool,
}

impl Manner {
    pub(crate) fn of(dialect: Dialect) -> Self {
        let is = |names: &[&str]| names.contains(&dialect.name());
        Self {
            blocks: is(&["anthropic", "converse", "responses"]),
            alone: is(&["anthropic", "cohere", "ollama", "converse", "responses"]),
            plain: is(&["anthropic", "gemini", "cohere", "ollama", "converse"]),
            objects: is(&["gemini", "ollama"]),
            tells_failure: is(&["gemini"]),
        }
    }
}

/// How much longer than its input a translation may be, per byte of input: one byte of a list can ask for an event of its
/// own.
const FACTOR: usize = 64;
/// How much longer it may be in any case, in bytes.
const CONSTANT: usize = 8 << 10;

/// The length of a translation is bounded by that of its source.
#[track_caller]
pub(crate) fn assert_bounded(input: usize, output: usize) {
    assert!(output <= FACTOR * input + CONSTANT, "{input} bytes became {output}");
}

/// These bytes are one JSON object. Numbers are not looked at: one that no float can hold is carried, too.
#[track_caller]
pub(crate) fn assert_object(bytes: &[u8]) {
    if let Err(error) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes) {
        panic!("no JSON object: {error}, {}", bytes.escape_ascii());
    }
}

/// Whether counts are so large that sums of them are cut off, and no longer say what they are the sum of.
pub(crate) fn is_saturated(usage: Option<&Usage>) -> bool {
    usage.is_some_and(|usage| usage.total() > u64::MAX / 4)
}

/// What is read and written again is what it was. Shows where the two part.
#[track_caller]
pub(crate) fn assert_stable(first: &[u8], second: &[u8]) {
    let same = first.iter().zip(second).take_while(|(a, b)| a == b).count();
    if same < first.len().max(second.len()) {
        let around = |bytes: &[u8]| {
            let end = (same + 120).min(bytes.len());
            bytes[same.saturating_sub(120).min(end)..end].escape_ascii().to_string()
        };
        panic!("written anew it is another:\n{}\n{}", around(first), around(second));
    }
}

/// An ask for `operation`.
pub(crate) fn ask(operation: Operation) -> Ask {
    let mut ask = Ask::new(operation, "asked-model");
    ask.stream_usage = true;
    ask.created = 1_767_323_045;
    ask.call_id = Str::from_static("0123456789abcdef");
    ask
}

/// What may have been changed in the request that an answer belongs to.
pub(crate) fn restore(mutator: &mut Mutator) -> Restore {
    let mut changes = Changes::default();
    if mutator.below(2) == 0 {
        return Restore::default();
    }
    changes.tool_names = vec![(Str::from("get_weather"), Str::from("get.weather"))];
    if mutator.below(2) == 0 {
        changes.custom_tools = vec![Str::from("get_time")];
    }
    if mutator.below(2) == 0 {
        changes.answer_tool = Some(Str::from("answer"));
    }
    changes.strip_fence = mutator.below(2) == 0;
    Restore::new(changes)
}

pub(crate) fn policy(mutator: &mut Mutator) -> LossPolicy {
    [LossPolicy::Refuse, LossPolicy::Default, LossPolicy::Allow][mutator.below(3)]
}

/// A model that can do most things, or one that lacks some.
pub(crate) fn capabilities(mutator: &mut Mutator) -> Capabilities {
    let mut capabilities = Capabilities::default();
    if mutator.below(2) == 0 {
        return capabilities;
    }
    let mut flip = || mutator.below(2) == 0;
    capabilities.sampling = flip();
    capabilities.temperature_with_top_p = flip();
    capabilities.prefill = flip();
    capabilities.thinking_budget = flip();
    capabilities.thinking_adaptive = flip();
    capabilities.thinking_off = flip();
    capabilities.thinking_between_tools = flip();
    capabilities.reasoning_model = flip();
    capabilities.reasoning = flip();
    capabilities.forced_tools = flip();
    capabilities.mid_system = flip();
    capabilities.structured_output = flip();
    capabilities.stop = flip();
    capabilities.cache_marks = flip();
    capabilities.penalties = flip();
    capabilities.output_with_tools = flip();
    capabilities.signed_calls = flip();
    capabilities.least_budget = flip().then_some(128);
    capabilities.most_budget = flip().then_some(32_768);
    if flip() {
        capabilities.efforts = vec![Effort::Low, Effort::High];
    }
    capabilities.max_output = flip().then_some(4096);
    capabilities
}
