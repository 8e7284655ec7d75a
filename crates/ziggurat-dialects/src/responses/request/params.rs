//! Everything in a request but what was said, written.

use ziggurat_core::{
    Changes, Chat, Effort, Error, Expose, OutputFormat, OutputSchema, ReasoningMode, Severity,
};

use super::encode::{Context, extras};
use super::{FORMAT, REASONING, STREAM_OPTIONS, TEXT, tools};
use crate::Field;
use crate::json::{self, Array, Object};
use crate::openai_api::effort;
use crate::responses::words::ENCRYPTED;

/// The fewest output tokens that can be asked for.
const LEAST_OUTPUT: u64 = 16;

/// Writes everything else; with `count` only what has tokens.
pub(super) fn write(
    object: &mut Object<'_>,
    chat: &Chat,
    tools: &[u8],
    count: bool,
    changes: &mut Changes,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if tools.len() > 2 {
        object.member("tools").extend_from_slice(tools);
        if let Some(choice) = &chat.tool_choice {
            tools::write_choice(object, choice, chat, context)?;
        }
        if let Some(parallel) = chat.parallel_tools {
            object.flag("parallel_tool_calls", parallel);
        }
    }
    text(object, chat, context)?;
    reasoning(object, chat, context)?;
    let nested = [STREAM_OPTIONS, TEXT, REASONING, ENCRYPTED, "include"];
    if count {
        return extras_of(object, chat, &nested, context);
    }
    output_tokens(object, chat, context)?;
    sampling(object, chat, context)?;
    include(object, chat, context);
    lost(chat, context)?;
    if !chat.stop.is_empty() {
        let field = context.names.name(Field::Stop);
        context.losses.emulate(field, "the answer is cut at the first of these texts");
        changes.stop = chat.stop.iter().filter(|text| !text.is_empty()).cloned().collect();
    }
    cache(object, chat, context)?;
    for (name, text) in [("user", &chat.user), ("prompt_cache_key", &chat.cache.key)] {
        if let Some(text) = text {
            object.text(name, text);
        }
    }
    if let Some(tier) = &chat.service_tier {
        // Anthropic's word for no priority.
        object.text("service_tier", if *tier == "standard_only" { "default" } else { tier });
    }
    if let Some(metadata) = &chat.metadata {
        object.raw("metadata", metadata.get());
    }
    // Here the provider keeps what it is not told to forget, elsewhere what it is told to keep.
    match chat.store {
        None if context.own => {}
        store => object.flag("store", store.unwrap_or(false)),
    }
    if chat.stream {
        object.flag("stream", true);
        if chat.extras.members.iter().any(|(name, _)| name.starts_with(STREAM_OPTIONS)) {
            let mut options = Object::begin(object.member("stream_options"));
            let path = |name: &str| name.to_owned();
            extras(&mut options, &chat.extras, STREAM_OPTIONS, &[], path, context)?;
            options.end();
        }
    }
    extras_of(object, chat, &nested, context)
}

fn extras_of(
    object: &mut Object<'_>,
    chat: &Chat,
    nested: &[&str],
    context: &mut Context<'_>,
) -> Result<(), Error> {
    extras(object, &chat.extras, "", nested, |name| name.to_owned(), context)
}

fn output_tokens(
    object: &mut Object<'_>,
    chat: &Chat,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let Some(most) = chat.max_output_tokens else { return Ok(()) };
    let field = context.names.name(Field::MaxOutput);
    let most = match context.model.max_output {
        Some(limit) if most > limit => {
            context.losses.clamp(field, format!("the model writes at most {limit} tokens"))?;
            limit
        }
        _ if most < LEAST_OUTPUT && !context.own => {
            let reason = format!("at least {LEAST_OUTPUT} tokens can be asked for");
            context.losses.clamp(field, reason)?;
            LEAST_OUTPUT
        }
        _ => most,
    };
    object.number("max_output_tokens", most);
    Ok(())
}

fn sampling(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    let model = context.model;
    let draws = model.sampling && !model.reasoning_model;
    let numbers = [
        (Field::Temperature, "temperature", chat.sampling.temperature),
        (Field::TopP, "top_p", chat.sampling.top_p),
    ];
    for (field, name, value) in numbers {
        let Some(value) = value else { continue };
        let field = context.names.name(field);
        if draws || context.losses.passes(field) {
            object.float(name, value);
        } else if (value - 1.0).abs() > f64::EPSILON {
            let reason = "the model does not let its sampling be changed";
            context.losses.drop(Severity::Harmless, field, reason)?;
        }
    }
    let field = context.names.name(Field::Logprobs);
    match chat.logprobs {
        Some(_) if model.reasoning_model && !context.losses.passes(field) => {
            let reason = "the model gives no probabilities";
            context.losses.drop(Severity::Doubtful, field, reason)?;
        }
        Some(top) if top > 0 => object.number("top_logprobs", top),
        _ => {}
    }
    Ok(())
}

/// What the answer is to hold beside what it says. Reasoning that is not kept must come in a form that can be sent back.
fn include(object: &mut Object<'_>, chat: &Chat, context: &Context<'_>) {
    let takes = !context.model.reasoning_model || context.losses.passes("logprobs");
    let logprobs = chat.logprobs.is_some() && takes;
    let thinks = context.model.reasoning_model || asks_to_think(chat);
    let asked = chat.extras.get(ENCRYPTED).is_some();
    let encrypted =
        asked || (!context.own && thinks && context.model.reasoning && chat.store != Some(true));
    let others = chat.extras.get("include").filter(|_| context.own);
    let others = others.and_then(|others| others.read::<Vec<String>>().ok()).unwrap_or_default();
    if !logprobs && !encrypted && others.is_empty() {
        return;
    }
    let mut items = Array::begin(object.member("include"));
    if logprobs {
        json::string(items.item(), "message.output_text.logprobs");
    }
    if encrypted {
        json::string(items.item(), "reasoning.encrypted_content");
    }
    for other in others {
        json::string(items.item(), &other);
    }
    items.end();
}

/// Whether the model is asked to think, in whatever words.
fn asks_to_think(chat: &Chat) -> bool {
    let reasoning = &chat.reasoning;
    reasoning.effort.is_some_and(|effort| effort != Effort::None)
        || reasoning.budget_tokens.is_some_and(|tokens| tokens > 0)
        || matches!(reasoning.mode, Some(ReasoningMode::On | ReasoningMode::Auto))
}

/// What this dialect has no field for. A value that says what would happen anyway is no loss.
fn lost(chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    use Field::*;
    use Severity::{Doubtful, Grave, Harmless};

    let sampling = &chat.sampling;
    let not = |value: Option<f64>, default: f64| {
        value.is_some_and(|value| (value - default).abs() > f64::EPSILON)
    };
    let speaks = chat.modalities.iter().any(|kind| kind != "text");
    let biased = chat.logit_bias.as_ref().is_some_and(|bias| bias.get() != "{}");
    let lost = [
        (N, chat.n.is_some_and(|n| n != 1), Grave),
        (TopK, sampling.top_k.is_some(), Harmless),
        (MinP, not(sampling.min_p, 0.0), Harmless),
        (FrequencyPenalty, not(sampling.frequency_penalty, 0.0), Harmless),
        (PresencePenalty, not(sampling.presence_penalty, 0.0), Harmless),
        (RepetitionPenalty, not(sampling.repetition_penalty, 1.0), Harmless),
        (Seed, sampling.seed.is_some(), Harmless),
        (LogitBias, biased, Harmless),
        (Modalities, speaks, Grave),
        (Audio, chat.audio.is_some(), Harmless),
        (Prediction, chat.prediction.is_some(), Harmless),
        (WebSearch, chat.web_search.is_some(), Doubtful),
    ];
    for (field, is_lost, severity) in lost {
        if is_lost {
            let name = context.names.name(field);
            context.losses.drop(severity, name, "the target has no such field")?;
        }
    }
    Ok(())
}

/// Writes `text`: the format of the answer, and how wordy it is.
fn text(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    let mut out = Vec::new();
    let mut text = Object::begin(&mut out);
    match &chat.output {
        OutputFormat::Schema(wanted) if context.model.structured_output => {
            schema(text.member("format"), wanted, chat, context)?;
        }
        OutputFormat::Schema(_) | OutputFormat::Json => {
            text.raw("format", r#"{"type":"json_object"}"#);
        }
        _ => {}
    }
    if let Some(verbosity) = &chat.verbosity {
        text.text("verbosity", verbosity);
    }
    let own = chat.extras.dialect.is_none_or(|dialect| dialect == crate::RESPONSES);
    if own {
        let path = |name: &str| name.to_owned();
        extras(&mut text, &chat.extras, TEXT, &[FORMAT], path, context)?;
    }
    text.end();
    if out.len() > 2 {
        object.member("text").extend_from_slice(&out);
    }
    Ok(())
}

fn schema(
    out: &mut Vec<u8>,
    schema: &OutputSchema,
    chat: &Chat,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut format = Object::begin(out);
    format.text("type", "json_schema");
    // The name is required here.
    format.text("name", schema.name.as_deref().unwrap_or("answer"));
    if let Some(description) = &schema.description {
        format.text("description", description);
    }
    format.raw("schema", schema.schema.get());
    if let Some(strict) = schema.strict {
        format.flag("strict", strict);
    }
    extras(&mut format, &chat.extras, FORMAT, &[], |name| name.to_owned(), context)?;
    format.end();
    Ok(())
}

/// Writes `reasoning`: how much to think, and whether a summary is shown.
fn reasoning(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    let mut out = Vec::new();
    let mut reasoning = Object::begin(&mut out);
    let effort = effort::effort(&chat.reasoning, context.model, context.names, context.losses)?;
    if let Some(effort) = effort {
        reasoning.text("effort", effort.as_str());
    }
    let shown = match chat.reasoning.expose {
        Some(expose) => matches!(expose, Expose::Summary | Expose::Full),
        // Who asks for thinking where it is shown unasked expects to see it.
        None => matches!(chat.reasoning.mode, Some(ReasoningMode::On | ReasoningMode::Auto)),
    };
    let worded = chat.extras.get("reasoning.summary").is_some();
    if shown && context.model.reasoning && !(worded && context.own) {
        reasoning.text("summary", "auto");
    }
    if chat.extras.dialect.is_none_or(|dialect| dialect == crate::RESPONSES) {
        let path = |name: &str| name.to_owned();
        extras(&mut reasoning, &chat.extras, REASONING, &[], path, context)?;
    }
    reasoning.end();
    if out.len() > 2 {
        object.member("reasoning").extend_from_slice(&out);
    }
    Ok(())
}

fn cache(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    if let Some(retention) = &chat.cache.retention {
        if context.foreign {
            let field = context.names.name(Field::CacheRetention);
            let reason = "another provider's time to keep a prompt means nothing here";
            context.losses.drop(Severity::Harmless, field, reason)?;
        } else {
            object.text("prompt_cache_retention", retention);
        }
    }
    if chat.cache.auto.is_some() {
        let field = context.names.name(Field::CacheAuto);
        let reason = "prompts are cached without being marked here";
        context.losses.drop(Severity::Harmless, field, reason)?;
    }
    Ok(())
}
