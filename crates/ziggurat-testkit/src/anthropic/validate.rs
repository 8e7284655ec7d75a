//! What Anthropic refuses in a request, top level.

use serde_json::{Map, Value};

use super::{
    Manners, Version, blocks, caching,
    error::Fault,
    fields::{Field, Members},
    models::Model,
    thinking, tools, turns,
};

/// Every field of a request for a message.
const MESSAGE: [&str; 20] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "thinking",
    "output_config",
    "tools",
    "tool_choice",
    "metadata",
    "service_tier",
    "speed",
    "cache_control",
    "container",
    "inference_geo",
    "diagnostics",
];
/// Every field of a request to count tokens.
const COUNTING: [&str; 9] = [
    "model",
    "messages",
    "system",
    "thinking",
    "output_config",
    "tools",
    "tool_choice",
    "speed",
    "cache_control",
];
/// Fields that need an `anthropic-beta` header.
const BETA: [&str; 7] = [
    "mcp_servers",
    "context_management",
    "compaction",
    "fallbacks",
    "fallback_credit_token",
    "thread",
    "billing_policy",
];

/// Checks a request; returns what its model takes, and the model's name.
pub(super) fn check(
    body: &Map<String, Value>,
    manners: &Manners,
) -> Result<(Model, String), Fault> {
    let top = Members::top(body);
    let name = top.need("model")?.string()?;
    let known: &[&str] = if manners.counting { &COUNTING } else { &MESSAGE };
    let known = if manners.betas.is_empty() { known.to_vec() } else { [known, &BETA].concat() };
    top.only(&known)?;
    let model = Model::of(name).ok_or_else(|| Fault::no_such_model(name))?;
    if !manners.counting {
        max_tokens(&top, name, &model)?;
    }
    system(&top)?;
    let messages = blocks::messages(&top.need("messages")?, manners.version)?;
    caching::check(&top)?;
    let format = tools::output_config(&top, &model)?;
    let tools = tools::check(&top, &model)?;
    sampling(&top, &model, manners.version)?;
    thinking::check(&top, &model, manners)?;
    turns::check(
        &messages,
        &turns::Rules {
            name,
            model: &model,
            thinks: thinking::is_on(&top),
            enabled: top.map.get("thinking").is_some_and(|thinking| thinking["type"] == "enabled"),
            has_tools: tools,
            has_format: format,
        },
    )?;
    rest(&top)?;
    Ok((model, name.to_owned()))
}

fn max_tokens(top: &Members<'_>, name: &str, model: &Model) -> Result<(), Fault> {
    let most = model.max_output;
    // Zero only warms the cache.
    let wanted = top.need("max_tokens")?.integer(0)?;
    if wanted > most {
        let what = format!(
            "{wanted} > {most}, which is the maximum allowed number of output tokens for {name}"
        );
        return Err(Fault::at("max_tokens", &what));
    }
    Ok(())
}

fn system(top: &Members<'_>) -> Result<(), Fault> {
    match top.get("system") {
        Some(field) if !field.value.is_string() => {
            for item in field.items()? {
                blocks::text_only(&item, "system")?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn sampling(top: &Members<'_>, model: &Model, version: Version) -> Result<(), Fault> {
    let names = ["temperature", "top_p", "top_k"];
    let given = || names.iter().filter_map(|name| top.get(name));
    if version == Version::New
        && let Some(field) = given().next()
    {
        return Err(Fault::extra(&field.path));
    }
    let temperature = top.get("temperature").map(|field| field.fraction()).transpose()?;
    top.get("top_p").map(|field| field.fraction()).transpose()?;
    top.get("top_k").map(|field| field.integer(0)).transpose()?;
    if !model.samples {
        let is_default = |field: &Field<'_>| field.path == "temperature" && is_one(temperature);
        if let Some(field) = given().find(|field| !is_default(field)) {
            let message = format!("`{}` is deprecated for this model.", field.path);
            return Err(Fault::invalid(message));
        }
    }
    if model.since_4_5() && temperature.is_some() && top.get("top_p").is_some() {
        let message = "`temperature` and `top_p` cannot both be specified for this model. Please \
                       use only one.";
        return Err(Fault::invalid(message.to_owned()));
    }
    Ok(())
}

/// Whether a temperature is the default.
pub(super) fn is_one(temperature: Option<f64>) -> bool {
    temperature.is_some_and(|value| (value - 1.0).abs() < f64::EPSILON)
}

fn rest(top: &Members<'_>) -> Result<(), Fault> {
    if let Some(field) = top.get("stop_sequences") {
        for item in field.items()? {
            if item.string()?.trim().is_empty() {
                return Err(field.fault("each stop sequence must contain non-whitespace"));
            }
        }
    }
    top.get("stream").map(|field| field.boolean()).transpose()?;
    if let Some(field) = top.get("metadata") {
        let metadata = field.object()?;
        metadata.only(&["user_id"])?;
        if let Some(user) = metadata.nullable("user_id")
            && user.string()?.chars().count() > 256
        {
            return Err(user.fault("String should have at most 256 characters"));
        }
    }
    top.get("service_tier").map(|field| field.one_of(&["auto", "standard_only"])).transpose()?;
    top.nullable("speed").map(|field| field.one_of(&["standard", "fast"])).transpose()?;
    top.nullable("inference_geo").map(|field| field.string()).transpose()?;
    if let Some(field) = top.nullable("diagnostics") {
        field.object()?.only(&["previous_message_id"])?;
    }
    Ok(())
}
