//! What OpenAI refuses in a chat request, top level.

use http::header;
use serde_json::{Map, Value};

use super::{
    error::Fault,
    fields::{Field, Members},
    messages,
    models::{EFFORTS, Model},
    tools,
};
use crate::Recorded;

/// Every parameter of a chat request.
const KNOWN: [&str; 37] = [
    "model",
    "messages",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "seed",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "audio",
    "prediction",
    "web_search_options",
    "metadata",
    "store",
    "service_tier",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "moderation",
];

/// Reads the body as a JSON object.
pub(super) fn body(request: &Recorded) -> Result<Map<String, Value>, Fault> {
    let kind = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/json") {
        let message = format!(
            "Unsupported content type: '{kind}'. This API method only accepts 'application/json' \
             requests, but you specified the header 'Content-Type: {kind}'. Please try again with \
             a supported content type."
        );
        return Err(Fault::invalid("unsupported_content_type", "", message));
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&request.body) else {
        let message = "We could not parse the JSON body of your request. (HINT: This likely means \
                       you aren't using your HTTP library correctly. The OpenAI API expects a \
                       JSON payload, but what was sent was not valid JSON.)";
        return Err(Fault::invalid("", "", message.to_owned()));
    };
    Ok(body)
}

/// Finds the model, before anything else is looked at.
pub(super) fn model(
    body: &Map<String, Value>,
    known: impl FnOnce(&str) -> Result<Model, Fault>,
) -> Result<(String, Model), Fault> {
    let Some(name) = Members::top(body).get("model") else {
        return Err(Fault::invalid("", "", "you must provide a model parameter".to_owned()));
    };
    let name = name.string()?;
    Ok((name.to_owned(), known(name)?))
}

/// Checks everything but the model.
pub(super) fn chat(body: &Map<String, Value>, model: &Model) -> Result<(), Fault> {
    if let Some(name) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let message = format!("Unrecognized request argument supplied: {name}");
        return Err(Fault::invalid("unknown_parameter", name, message));
    }
    let top = Members::top(body);
    messages::check(&top.need("messages")?, model)?;
    lengths(&top, model)?;
    sampling(&top)?;
    if model.reasons {
        reasoning_model(&top, model)?;
    }
    effort(&top, model)?;
    stop(&top, model)?;
    streaming(&top)?;
    tools::check(&top)?;
    tools::response_format(&top)?;
    metadata(&top)?;
    caching(&top, model)?;
    rest(&top)
}

fn lengths(top: &Members<'_>, model: &Model) -> Result<(), Fault> {
    let (old, new) = (top.get("max_tokens"), top.get("max_completion_tokens"));
    for limit in [&old, &new].into_iter().flatten() {
        limit.integer(1, i64::MAX)?;
    }
    if old.is_some() && new.is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not \
                       supported.";
        let code = "invalid_parameter_combination";
        return Err(Fault::invalid(code, "max_tokens", message.to_owned()));
    }
    if old.is_some() && model.reasons {
        return Err(Fault::unsupported("max_tokens", " Use 'max_completion_tokens' instead."));
    }
    Ok(())
}

fn sampling(top: &Members<'_>) -> Result<(), Fault> {
    for (name, least, most) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
    ] {
        if let Some(field) = top.get(name) {
            field.number(least, most)?;
        }
    }
    if let Some(field) = top.get("n") {
        field.integer(1, 128)?;
    }
    if let Some(field) = top.get("seed") {
        field.integer(i64::MIN, i64::MAX)?;
    }
    if let Some(field) = top.get("logit_bias") {
        let bias = field.object()?;
        for name in bias.map.keys() {
            if name.parse::<u64>().is_err() {
                let path = bias.path(name);
                let message = format!("Invalid key in 'logit_bias': {name}. Expected a token id.");
                return Err(Fault::invalid("invalid_value", &path, message));
            }
            bias.need(name)?.integer(-100, 100)?;
        }
    }
    let logprobs = top.get("logprobs").map(|field| field.boolean()).transpose()?;
    if let Some(field) = top.get("top_logprobs") {
        field.integer(0, 20)?;
        if logprobs != Some(true) {
            let message = "'top_logprobs' is only allowed when 'logprobs' is enabled.";
            return Err(Fault::only_with("top_logprobs", message));
        }
    }
    Ok(())
}

/// Parameters that a model which reasons takes at their defaults only.
fn reasoning_model(top: &Members<'_>, model: &Model) -> Result<(), Fault> {
    let effort = top.get("reasoning_effort").and_then(|field| field.value.as_str());
    let samples = model.samples_without_effort && effort == Some("none");
    for (name, default) in [("temperature", 1.0), ("top_p", 1.0)] {
        let Some(field) = top.get(name).filter(|_| !samples) else { continue };
        only_default(&field, name, default)?;
    }
    for name in ["frequency_penalty", "presence_penalty"] {
        if let Some(field) = top.get(name) {
            only_default(&field, name, 0.0)?;
        }
    }
    if top.get("logit_bias").is_some() {
        return Err(Fault::unsupported("logit_bias", ""));
    }
    let logprobs = top.get("logprobs").is_some_and(|field| field.value == true);
    if logprobs && !samples {
        return Err(Fault::unsupported("logprobs", ""));
    }
    Ok(())
}

fn only_default(field: &Field<'_>, name: &str, default: f64) -> Result<(), Fault> {
    let value = field.value.as_f64().unwrap_or(default);
    if (value - default).abs() < f64::EPSILON {
        return Ok(());
    }
    let hint = format!(" Only the default ({default}) value is supported.");
    Err(Fault::unsupported_value(name, &value.to_string(), &hint))
}

fn effort(top: &Members<'_>, model: &Model) -> Result<(), Fault> {
    let Some(field) = top.get("reasoning_effort") else { return Ok(()) };
    let effort = field.one_of(&EFFORTS)?;
    if model.efforts.is_empty() {
        return Err(Fault::unsupported("reasoning_effort", ""));
    }
    if !model.efforts.contains(&effort) {
        let hint = format!(" Supported values are: {}.", super::error::list(model.efforts));
        return Err(Fault::unsupported_value("reasoning_effort", &format!("'{effort}'"), &hint));
    }
    Ok(())
}

fn stop(top: &Members<'_>, model: &Model) -> Result<(), Fault> {
    let Some(field) = top.get("stop") else { return Ok(()) };
    if !field.value.is_string() {
        if !field.value.is_array() {
            return Err(field.wrong_type("one of a string or array of strings"));
        }
        let items = field.items()?;
        field.at_most(items.len(), 4)?;
        for item in items {
            item.string()?;
        }
    }
    if !model.stop {
        return Err(Fault::unsupported("stop", ""));
    }
    Ok(())
}

fn streaming(top: &Members<'_>) -> Result<(), Fault> {
    let stream = top.get("stream").map(|field| field.boolean()).transpose()?;
    let Some(field) = top.get("stream_options") else { return Ok(()) };
    let options = field.object()?;
    options.only(&["include_usage", "include_obfuscation"])?;
    for name in ["include_usage", "include_obfuscation"] {
        options.get(name).map(|field| field.boolean()).transpose()?;
    }
    if stream != Some(true) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Fault::invalid("", "stream_options", message.to_owned()));
    }
    Ok(())
}

fn metadata(top: &Members<'_>) -> Result<(), Fault> {
    let Some(field) = top.get("metadata") else { return Ok(()) };
    let metadata = field.object()?;
    let count = metadata.map.len();
    if count > 16 {
        let what = format!(
            "too many properties. Expected an object with at most 16 properties, but got an \
             object with {count} properties instead"
        );
        return Err(field.invalid("object_above_max_properties", &what));
    }
    for name in metadata.map.keys() {
        if name.chars().count() > 64 {
            let what = format!(
                "property name too long. Expected a property name with maximum length 64, but \
                 got '{name}'"
            );
            return Err(field.invalid("property_name_above_max_length", &what));
        }
        metadata.need(name)?.short(512)?;
    }
    Ok(())
}

fn caching(top: &Members<'_>, model: &Model) -> Result<(), Fault> {
    if let Some(field) = top.get("prompt_cache_key") {
        field.string()?;
    }
    if let Some(field) = top.get("prompt_cache_options") {
        let options = field.object()?;
        options.only(&["mode", "ttl"])?;
        options.get("mode").map(|field| field.one_of(&["implicit", "explicit"])).transpose()?;
        options.get("ttl").map(|field| field.one_of(&["30m"])).transpose()?;
        if !model.cache_options {
            return Err(Fault::unsupported("prompt_cache_options", ""));
        }
    }
    if let Some(field) = top.get("prompt_cache_retention") {
        field.one_of(&["in_memory", "24h"])?;
        if !model.cache_retention {
            return Err(Fault::unsupported("prompt_cache_retention", ""));
        }
    }
    Ok(())
}

fn rest(top: &Members<'_>) -> Result<(), Fault> {
    top.get("user").map(|field| field.string()).transpose()?;
    top.get("safety_identifier").map(|field| field.short(128)).transpose()?;
    top.get("store").map(|field| field.boolean()).transpose()?;
    top.get("verbosity").map(|field| field.one_of(&["low", "medium", "high"])).transpose()?;
    let tiers = ["auto", "default", "flex", "scale", "priority", "fast"];
    top.get("service_tier").map(|field| field.one_of(&tiers)).transpose()?;
    top.get("moderation").map(|field| field.object()).transpose()?;
    if let Some(field) = top.get("web_search_options") {
        let options = field.object()?;
        options.only(&["search_context_size", "user_location"])?;
        let size = options.get("search_context_size");
        size.map(|field| field.one_of(&["low", "medium", "high"])).transpose()?;
    }
    if let Some(field) = top.get("prediction") {
        let prediction = field.object()?;
        prediction.only(&["type", "content"])?;
        prediction.need("type")?.one_of(&["content"])?;
        let content = prediction.need("content")?;
        if !content.value.is_string() && !content.value.is_array() {
            return Err(content.wrong_type("one of a string or array of objects"));
        }
    }
    audio(top)
}

/// None of the models here speaks.
fn audio(top: &Members<'_>) -> Result<(), Fault> {
    if let Some(field) = top.get("modalities") {
        for item in field.some_items()? {
            if item.one_of(&["text", "audio"])? == "audio" {
                return Err(Fault::unsupported_value("modalities", "'audio'", ""));
            }
        }
    }
    match top.get("audio") {
        Some(_) => Err(Fault::unsupported("audio", "")),
        None => Ok(()),
    }
}
