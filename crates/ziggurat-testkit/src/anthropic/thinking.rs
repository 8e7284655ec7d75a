//! What Anthropic refuses about thinking.

use super::{
    Manners,
    error::Fault,
    fields::Members,
    models::{Disabled, Model},
    tools::forces,
    validate::is_one,
};

/// Lets the budget pass `max_tokens`, as thinking goes on between calls.
const INTERLEAVED: &str = "interleaved-thinking-2025-05-14";

/// Whether the model may think.
pub(super) fn is_on(top: &Members<'_>) -> bool {
    top.map
        .get("thinking")
        .is_some_and(|thinking| matches!(thinking["type"].as_str(), Some("enabled" | "adaptive")))
}

pub(super) fn check(top: &Members<'_>, model: &Model, manners: &Manners) -> Result<(), Fault> {
    let Some(field) = top.get("thinking") else { return Ok(()) };
    let thinking = field.object()?;
    let kind = thinking.tag(&["enabled", "adaptive", "disabled", "between_tools"])?;
    let thinking = thinking.tagged(kind);
    match kind {
        "enabled" => thinking.only(&["type", "budget_tokens", "display"])?,
        "adaptive" => thinking.only(&["type", "display"])?,
        _ => thinking.only(&["type"])?,
    }
    let display = thinking.nullable("display");
    display.map(|field| field.one_of(&["summarized", "omitted"])).transpose()?;
    supported(top, kind, model)?;
    if kind == "enabled" {
        let budget = thinking.need("budget_tokens")?.integer(1024)?;
        let most = top.map.get("max_tokens").and_then(serde_json::Value::as_u64);
        let interleaved = manners.betas.iter().any(|beta| beta == INTERLEAVED);
        if most.is_some_and(|most| budget >= most) && !interleaved {
            let message = "`max_tokens` must be greater than `thinking.budget_tokens`.";
            return Err(Fault::invalid(message.to_owned()));
        }
        if forces(top) {
            let message = "Thinking may not be enabled when tool_choice forces tool use.";
            return Err(Fault::invalid(message.to_owned()));
        }
    }
    if is_on(top) { sampling(top) } else { Ok(()) }
}

fn supported(top: &Members<'_>, kind: &str, model: &Model) -> Result<(), Fault> {
    let told = match kind {
        "enabled" if !model.enabled => {
            "\"thinking.type.enabled\" is not supported for this model. Use \
             \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."
        }
        "adaptive" if !model.adaptive => "adaptive thinking is not supported on this model",
        "disabled" if model.disabled == Disabled::No => {
            "\"thinking.type.disabled\" is not supported for this model."
        }
        "disabled" if model.disabled == Disabled::LowEffort && effort_is_high(top) => {
            "\"thinking.type.disabled\" is not supported for this model with effort above high."
        }
        "between_tools" if model.disabled != Disabled::No => {
            "\"thinking.type.between_tools\" is not supported for this model."
        }
        _ => return Ok(()),
    };
    Err(Fault::invalid(told.to_owned()))
}

fn effort_is_high(top: &Members<'_>) -> bool {
    let effort = top.map.get("output_config").and_then(|config| config["effort"].as_str());
    matches!(effort, Some("xhigh" | "max"))
}

fn sampling(top: &Members<'_>) -> Result<(), Fault> {
    let number = |name: &str| top.map.get(name).and_then(serde_json::Value::as_f64);
    let temperature = number("temperature");
    let told = if temperature.is_some() && !is_one(temperature) {
        "`temperature` may only be set to 1 when thinking is enabled."
    } else if top.get("top_k").is_some() {
        "`top_k` must be unset when thinking is enabled."
    } else if number("top_p").is_some_and(|top_p| top_p < 0.95) {
        "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
    } else {
        return Ok(());
    };
    Err(Fault::invalid(told.to_owned()))
}
