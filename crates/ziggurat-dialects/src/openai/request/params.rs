//! Everything in a request but its messages, written.

use std::collections::BTreeSet;

use ziggurat_core::{Chat, Error, OutputFormat, RawJson, Severity, Tool, ToolChoice, ToolKind};

use super::encode::{Context, extras};
use super::{SCHEMA, STREAM_OPTIONS};
use crate::Field;
use crate::json::{self, Array, Object};
use crate::openai::OPENAI;
use crate::openai_api::effort;

/// How many stop texts are taken.
const MOST_STOPS: usize = 4;

/// Writes the tools; nothing if there is none.
pub(super) fn tools(
    out: &mut Vec<u8>,
    chat: &Chat,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if chat.tools.is_empty() {
        return Ok(());
    }
    let list = context.names.name(Field::Tools);
    let mut array = Array::begin(out);
    for (index, tool) in chat.tools.iter().enumerate() {
        let path = context.names.item(list, index);
        if tool.cache.is_some() {
            let path = context.names.member(&path, "cache_control");
            let reason = "tools cannot be marked for the cache here";
            context.losses.drop(Severity::Harmless, path, reason)?;
        }
        let (word, schema) = match &tool.kind {
            ToolKind::Function { parameters } => ("function", ("parameters", parameters)),
            ToolKind::Custom { format } => ("custom", ("format", format)),
            ToolKind::Server { server_type, value } => {
                if tool.extras.dialect == Some(OPENAI) {
                    array.item().extend_from_slice(value.get().as_bytes());
                } else {
                    let reason = format!("`{server_type}` is a tool of another provider's own");
                    context.losses.drop(Severity::Grave, path, reason)?;
                }
                continue;
            }
            _ => continue,
        };
        let name = context.tools.fit(&tool.name)?;
        let mut object = array.object();
        object.text("type", word);
        let mut inner = Object::begin(object.member(word));
        inner.text("name", &name);
        if let Some(description) = &tool.description {
            inner.text("description", description);
        }
        if let (field, Some(schema)) = schema {
            inner.raw(field, schema.get());
        }
        if let Some(strict) = tool.strict {
            inner.flag("strict", strict);
        }
        let place = |name: &str| format!("{path}.{name}");
        let nested = ["function.", "custom."];
        let prefix = if word == "custom" { nested[1] } else { nested[0] };
        extras(&mut inner, &tool.extras, prefix, &[], place, context)?;
        inner.end();
        extras(&mut object, &tool.extras, "", &nested, place, context)?;
        object.end();
    }
    array.end();
    Ok(())
}

/// Writes everything else.
pub(super) fn write(
    object: &mut Object<'_>,
    chat: &Chat,
    tools: &[u8],
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if let Some(most) = chat.max_output_tokens {
        let field = context.names.name(Field::MaxOutput);
        let most = match context.model.max_output {
            Some(limit) if most > limit => {
                context.losses.clamp(field, format!("the model writes at most {limit} tokens"))?;
                limit
            }
            _ => most,
        };
        object.number("max_completion_tokens", most);
    }
    sampling(object, chat, context)?;
    stops(object, chat, context)?;
    if let Some(n) = chat.n {
        object.number("n", n);
    }
    if tools.len() > 2 {
        object.member("tools").extend_from_slice(tools);
        if let Some(choice) = &chat.tool_choice {
            tool_choice(object, choice, chat, context)?;
        }
        if let Some(parallel) = chat.parallel_tools {
            object.flag("parallel_tool_calls", parallel);
        }
    }
    output(object, chat, context)?;
    if let Some(effort) =
        effort::effort(&chat.reasoning, context.model, context.names, context.losses)?
    {
        object.text("reasoning_effort", effort.as_str());
    }
    cache(object, chat, context)?;
    let texts = [
        ("verbosity", &chat.verbosity),
        ("user", &chat.user),
        ("prompt_cache_key", &chat.cache.key),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            object.text(name, text);
        }
    }
    if let Some(tier) = &chat.service_tier {
        // Anthropic's word for no priority.
        object.text("service_tier", if *tier == "standard_only" { "default" } else { tier });
    }
    if !chat.modalities.is_empty() {
        let mut array = Array::begin(object.member("modalities"));
        for modality in &chat.modalities {
            json::string(array.item(), modality);
        }
        array.end();
    }
    let raw =
        [("audio", &chat.audio), ("metadata", &chat.metadata), ("prediction", &chat.prediction)];
    for (name, value) in raw {
        if let Some(value) = value {
            object.raw(name, value.get());
        }
    }
    web_search(object, chat.web_search.as_ref(), context)?;
    if let Some(store) = chat.store {
        object.flag("store", store);
    }
    stream(object, chat, context)?;
    let nested = [STREAM_OPTIONS, SCHEMA];
    extras(object, &chat.extras, "", &nested, |name| name.to_owned(), context)
}

fn sampling(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    let sampling = &chat.sampling;
    let model = context.model;
    let draws = model.sampling && !model.reasoning_model;
    // Name, value, the value that means nothing, and whether the model takes it.
    let numbers = [
        (Field::Temperature, "temperature", sampling.temperature, 1.0, draws),
        (Field::TopP, "top_p", sampling.top_p, 1.0, draws),
        (
            Field::FrequencyPenalty,
            "frequency_penalty",
            sampling.frequency_penalty,
            0.0,
            !model.reasoning_model,
        ),
        (
            Field::PresencePenalty,
            "presence_penalty",
            sampling.presence_penalty,
            0.0,
            !model.reasoning_model,
        ),
    ];
    for (field, name, value, nothing, taken) in numbers {
        let Some(value) = value else { continue };
        let field = context.names.name(field);
        if taken || context.losses.passes(field) {
            object.float(name, value);
        } else if (value - nothing).abs() > f64::EPSILON {
            let reason = "the model does not let its sampling be changed";
            context.losses.drop(Severity::Harmless, field, reason)?;
        }
    }
    // None of OpenAI's own, but of many servers that speak like it.
    let top_k = sampling.top_k.map(|top_k| RawJson::of(&top_k));
    let extensions = [
        (Field::TopK, "top_k", top_k),
        (Field::MinP, "min_p", sampling.min_p.map(|value| RawJson::of(&value))),
        (
            Field::RepetitionPenalty,
            "repetition_penalty",
            sampling.repetition_penalty.map(|value| RawJson::of(&value)),
        ),
    ];
    for (field, name, value) in extensions {
        let Some(Ok(value)) = value else { continue };
        let field = context.names.name(field);
        if context.own || context.losses.passes(field) {
            object.raw(name, value.get());
        } else {
            let reason = "the target has no such field";
            context.losses.drop(Severity::Harmless, field, reason)?;
        }
    }
    if let Some(seed) = sampling.seed {
        object.number("seed", seed);
    }
    let field = context.names.name(Field::Logprobs);
    match chat.logprobs {
        Some(_) if model.reasoning_model && !context.losses.passes(field) => {
            let reason = "the model gives no probabilities";
            context.losses.drop(Severity::Doubtful, field, reason)?;
        }
        Some(top) => {
            object.flag("logprobs", true);
            if top > 0 {
                object.number("top_logprobs", top);
            }
        }
        None => {}
    }
    let field = context.names.name(Field::LogitBias);
    match &chat.logit_bias {
        Some(_) if model.reasoning_model && !context.losses.passes(field) => {
            context.losses.drop(Severity::Harmless, field, "the model takes no bias")?;
        }
        Some(bias) => object.raw("logit_bias", bias.get()),
        None => {}
    }
    Ok(())
}

fn stops(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    if chat.stop.is_empty() {
        return Ok(());
    }
    let field = context.names.name(Field::Stop);
    if !context.model.stop && !context.losses.passes(field) {
        return context.losses.drop(Severity::Doubtful, field, "the model takes no stop texts");
    }
    if chat.stop.len() > MOST_STOPS {
        let reason = format!("at most {MOST_STOPS} stop texts are taken: the first ones are kept");
        context.losses.clamp(field, reason)?;
    }
    let mut array = Array::begin(object.member("stop"));
    for stop in chat.stop.iter().take(MOST_STOPS) {
        json::string(array.item(), stop);
    }
    array.end();
    Ok(())
}

fn tool_choice(
    object: &mut Object<'_>,
    choice: &ToolChoice,
    chat: &Chat,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut choice = choice;
    let forced = match choice {
        ToolChoice::Any | ToolChoice::Tool { .. } => true,
        ToolChoice::Allowed { required, .. } => *required,
        _ => false,
    };
    if forced && !context.model.forced_tools {
        let field = context.names.name(Field::ToolChoice);
        let reason = "the model cannot be forced to call a tool";
        context.losses.drop(Severity::Doubtful, field, reason)?;
        choice = &ToolChoice::Auto;
    }
    let is_custom = |tool: &&Tool| matches!(tool.kind, ToolKind::Custom { .. });
    let customs: BTreeSet<&str> =
        chat.tools.iter().filter(is_custom).map(|tool| tool.name.as_str()).collect();
    let custom = |name: &str| customs.contains(name);
    match choice {
        ToolChoice::None => object.text("tool_choice", "none"),
        ToolChoice::Any => object.text("tool_choice", "required"),
        ToolChoice::Tool { name } => {
            let sent = context.tools.fit(name)?;
            named_tool(object.member("tool_choice"), &sent, custom(name));
        }
        ToolChoice::Allowed { required, names } => {
            let mut outer = Object::begin(object.member("tool_choice"));
            outer.text("type", "allowed_tools");
            let mut inner = Object::begin(outer.member("allowed_tools"));
            inner.text("mode", if *required { "required" } else { "auto" });
            let mut array = Array::begin(inner.member("tools"));
            for name in names {
                let sent = context.tools.fit(name)?;
                named_tool(array.item(), &sent, custom(name));
            }
            array.end();
            inner.end();
            outer.end();
        }
        _ => object.text("tool_choice", "auto"),
    }
    Ok(())
}

fn named_tool(out: &mut Vec<u8>, name: &str, custom: bool) {
    let word = if custom { "custom" } else { "function" };
    let mut object = Object::begin(out);
    object.text("type", word);
    let mut inner = Object::begin(object.member(word));
    inner.text("name", name);
    inner.end();
    object.end();
}

fn output(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    let schema = match &chat.output {
        OutputFormat::Schema(schema) if context.model.structured_output => schema,
        OutputFormat::Schema(_) | OutputFormat::Json => {
            let mut format = Object::begin(object.member("response_format"));
            format.text("type", "json_object");
            format.end();
            return Ok(());
        }
        _ => return Ok(()),
    };
    let mut format = Object::begin(object.member("response_format"));
    format.text("type", "json_schema");
    let mut inner = Object::begin(format.member("json_schema"));
    // The name is required here.
    inner.text("name", schema.name.as_deref().unwrap_or("answer"));
    if let Some(description) = &schema.description {
        inner.text("description", description);
    }
    inner.raw("schema", schema.schema.get());
    if let Some(strict) = schema.strict {
        inner.flag("strict", strict);
    }
    extras(&mut inner, &chat.extras, SCHEMA, &[], |name| name.to_owned(), context)?;
    inner.end();
    format.end();
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

fn web_search(
    object: &mut Object<'_>,
    options: Option<&RawJson>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let Some(options) = options else { return Ok(()) };
    if context.foreign {
        let field = context.names.name(Field::WebSearch);
        let reason = "another provider's web search is not this one's";
        return context.losses.drop(Severity::Doubtful, field, reason);
    }
    object.raw("web_search_options", options.get());
    Ok(())
}

/// A stream always ends with its usage: what a call costs is not guessed.
fn stream(object: &mut Object<'_>, chat: &Chat, context: &mut Context<'_>) -> Result<(), Error> {
    if !chat.stream {
        return Ok(());
    }
    object.flag("stream", true);
    let mut options = Object::begin(object.member("stream_options"));
    options.flag("include_usage", true);
    extras(&mut options, &chat.extras, STREAM_OPTIONS, &[], |name| name.to_owned(), context)?;
    options.end();
    Ok(())
}
