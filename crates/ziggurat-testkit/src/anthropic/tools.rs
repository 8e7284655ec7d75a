//! What Anthropic refuses in tools, tool choice and the form of the output.

use serde_json::Value;

use super::{
    error::Fault,
    fields::{Field, Members},
    models::Model,
    schema,
};
use crate::check;

/// What the types of the vendor's own tools begin with; a date follows.
const SERVER_TOOLS: [&str; 10] = [
    "web_search_",
    "web_fetch_",
    "code_execution_",
    "bash_",
    "text_editor_",
    "computer_",
    "browser_toolset_",
    "memory_",
    "tool_search_tool_bm25_",
    "tool_search_tool_regex_",
];

/// Whether a tool is one of the caller's.
pub(super) fn is_custom(tool: &Value) -> bool {
    matches!(tool["type"].as_str(), None | Some("custom"))
}

/// Whether the choice of tools forces a call.
pub(super) fn forces(top: &Members<'_>) -> bool {
    top.map
        .get("tool_choice")
        .is_some_and(|choice| matches!(choice["type"].as_str(), Some("any" | "tool")))
}

/// Checks tools and their choice; returns whether there are tools.
pub(super) fn check(top: &Members<'_>, model: &Model) -> Result<bool, Fault> {
    let mut names: Vec<&str> = Vec::new();
    if let Some(field) = top.get("tools") {
        for item in field.items()? {
            let name = tool(&item.object()?)?;
            if names.contains(&name) {
                return Err(field.fault("Tool names must be unique."));
            }
            names.push(name);
        }
    }
    let Some(field) = top.get("tool_choice") else { return Ok(!names.is_empty()) };
    let choice = field.object()?;
    let kind = choice.tag(&["auto", "any", "tool", "none"])?;
    let choice = choice.tagged(kind);
    let parallel = "disable_parallel_tool_use";
    match kind {
        "none" => choice.only(&["type"])?,
        "tool" => choice.only(&["type", "name", parallel])?,
        _ => choice.only(&["type", parallel])?,
    }
    choice.get(parallel).map(|field| field.boolean()).transpose()?;
    if names.is_empty() {
        return Err(field.fault("tool_choice may only be specified while providing tools."));
    }
    if kind == "tool" {
        let name = choice.need("name")?.string()?;
        if !names.contains(&name) {
            return Err(field.fault(&format!("Tool '{name}' not found in provided tools")));
        }
    }
    if forces(top) && !model.forced {
        let what = format!("type '{kind}' is not supported for this model");
        return Err(field.fault(&what));
    }
    Ok(true)
}

/// A tool's name.
fn tool<'a>(tool: &Members<'a>) -> Result<&'a str, Fault> {
    let kind = tool.nullable("type").map(|kind| kind.string()).transpose()?.unwrap_or("custom");
    if kind != "custom" {
        if SERVER_TOOLS.iter().any(|known| kind.starts_with(known)) {
            return tool.need("name")?.string();
        }
        let what = format!(
            "Input tag '{kind}' found using 'type' does not match any of the expected tags"
        );
        return Err(Fault::at(&tool.path, &what));
    }
    let tool = tool.clone().tagged("custom");
    tool.only(&[
        "type",
        "name",
        "description",
        "input_schema",
        "cache_control",
        "strict",
        "eager_input_streaming",
        "defer_loading",
        "allowed_callers",
        "input_examples",
    ])?;
    let field = tool.need("name")?;
    let name = field.string()?;
    if !check::is_name(name, 128) {
        return Err(field.fault("String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
    }
    tool.get("description").map(|field| field.string()).transpose()?;
    for name in ["strict", "defer_loading"] {
        tool.get(name).map(|field| field.boolean()).transpose()?;
    }
    let field = tool.need("input_schema")?;
    let input = field.object()?;
    input.need("type")?.one_of(&["object"])?;
    if ["oneOf", "allOf", "anyOf"].iter().any(|keyword| input.map.contains_key(*keyword)) {
        let what = "input_schema does not support oneOf, allOf, or anyOf at the top level";
        return Err(field.fault(what));
    }
    schema::valid(field.value).map_err(|()| {
        field.fault("JSON schema is invalid. It must match JSON Schema draft 2020-12.")
    })?;
    if tool.map.get("strict") == Some(&Value::Bool(true)) {
        schema::strict(field.value).map_err(|what| field.fault(&what))?;
    }
    Ok(name)
}

/// Checks effort and format; returns whether the output has a schema.
pub(super) fn output_config(top: &Members<'_>, model: &Model) -> Result<bool, Fault> {
    let Some(field) = top.get("output_config") else { return Ok(false) };
    let config = field.object()?;
    config.only(&["effort", "format"])?;
    if let Some(field) = config.nullable("effort") {
        effort(&field, model)?;
    }
    let Some(field) = config.nullable("format") else { return Ok(false) };
    let format = field.object()?;
    format.tag(&["json_schema"])?;
    format.only(&["type", "schema"])?;
    let schema = format.need("schema")?;
    schema.object()?;
    if !model.since_4_5() {
        return Err(field.fault("structured outputs are not supported on this model"));
    }
    schema::strict(schema.value).map_err(|what| schema.fault(&what))?;
    Ok(true)
}

fn effort(field: &Field<'_>, model: &Model) -> Result<(), Fault> {
    let effort = field.one_of(&["low", "medium", "high", "xhigh", "max"])?;
    let since = match effort {
        "xhigh" => (4, 7),
        "max" => (4, 6),
        _ => (4, 5),
    };
    if model.version >= since {
        return Ok(());
    }
    if !model.since_4_5() {
        let message = "This model does not support the effort parameter.";
        return Err(Fault::invalid(message.to_owned()));
    }
    Err(field.fault(&format!("effort '{effort}' is not supported on this model")))
}
