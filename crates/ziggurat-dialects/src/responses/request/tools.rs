//! Tools, and which of them to call.

use std::collections::BTreeSet;

use ziggurat_core::{Chat, Error, RawJson, Severity, Str, Tool, ToolChoice, ToolKind};

use super::encode::{Context, extras};
use crate::Field;
use crate::json::{Array, Object};
use crate::node::Node;
use crate::responses::{RESPONSES, wire};

// === reading ===

/// Reads one tool.
pub(super) fn decode(node: &Node<'_>) -> Result<Tool, Error> {
    let kind = node.need("type")?.string()?;
    let mut tool = match kind.as_str() {
        "function" => Tool::function(node.need("name")?.string()?, None),
        "custom" => {
            let format = match node.get("format") {
                None => None,
                Some(format) => {
                    let raw = format.raw_object()?;
                    Some(wire::nested_format(&format).unwrap_or(raw))
                }
            };
            Tool::new(node.need("name")?.string()?, ToolKind::Custom { format })
        }
        _ => {
            let name = node.get("name").and_then(|name| name.as_string());
            let name = name.unwrap_or_else(|| kind.clone());
            let server = ToolKind::Server { server_type: kind, value: node.raw()? };
            let mut tool = Tool::new(name, server);
            tool.extras.dialect = Some(RESPONSES);
            return Ok(tool);
        }
    };
    let function = kind == "function";
    node.members(|name, node| {
        match name {
            "type" | "name" => {}
            "format" if !function => {}
            "description" => tool.description = Some(node.string()?),
            "parameters" if function => {
                tool.kind = ToolKind::Function { parameters: Some(node.raw_object()?) };
            }
            "strict" => tool.strict = Some(node.flag()?),
            _ => node.keep(RESPONSES, &mut tool.extras, name)?,
        }
        Ok(())
    })?;
    Ok(tool)
}

/// Reads which tool to call. A choice that names one of the provider's own tools is kept as it is.
pub(super) fn decode_choice(node: &Node<'_>, chat: &mut Chat) -> Result<(), Error> {
    if node.is_string() {
        chat.tool_choice = Some(match node.string()?.as_str() {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Any,
            _ => return Err(node.unknown("none, auto, required")),
        });
        return Ok(());
    }
    if !node.is_object() {
        return Err(node.expected("a string or an object"));
    }
    let kind = node.need("type")?.string()?;
    chat.tool_choice = Some(match kind.as_str() {
        "function" | "custom" => ToolChoice::Tool { name: node.need("name")?.string()? },
        "allowed_tools" => {
            let mode = node.need("mode")?;
            let required = match mode.string()?.as_str() {
                "auto" => false,
                "required" => true,
                _ => return Err(mode.unknown("auto, required")),
            };
            let mut names = Vec::new();
            node.need("tools")?.items(|_, tool| {
                names.push(match tool.get("name") {
                    Some(name) => name.string()?,
                    None => tool.need("type")?.string()?,
                });
                Ok(())
            })?;
            ToolChoice::Allowed { required, names }
        }
        _ => return node.keep(RESPONSES, &mut chat.extras, "tool_choice"),
    });
    Ok(())
}

// === writing ===

/// Writes the tools; nothing if there is none.
pub(super) fn write(
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
        if let ToolKind::Server { server_type, value } = &tool.kind {
            if tool.extras.dialect == Some(RESPONSES) {
                array.item().extend_from_slice(value.get().as_bytes());
            } else {
                let reason = format!("`{server_type}` is a tool of another provider's own");
                context.losses.drop(Severity::Grave, path, reason)?;
            }
            continue;
        }
        let name = context.tools.fit(&tool.name)?;
        let mut object = array.object();
        object.text("type", word(tool));
        object.text("name", &name);
        if let Some(description) = &tool.description {
            object.text("description", description);
        }
        match &tool.kind {
            ToolKind::Function { parameters } => {
                parameters_of(&mut object, parameters.as_ref(), context.own);
                // Left out it means yes to some clients and no to others.
                match tool.strict {
                    None if context.own => {}
                    strict => object.flag("strict", strict.unwrap_or(false)),
                }
            }
            ToolKind::Custom { format: Some(format) } => {
                object.raw("format", wire::flat_format(format).get());
            }
            _ => {}
        }
        extras(&mut object, &tool.extras, "", &[], |name| format!("{path}.{name}"), context)?;
        object.end();
    }
    array.end();
    Ok(())
}

/// Parameters are required here: none are an object without members.
fn parameters_of(object: &mut Object<'_>, parameters: Option<&RawJson>, own: bool) {
    match parameters {
        Some(schema) => object.raw("parameters", schema.get()),
        None if own => object.raw("parameters", "null"),
        None => object.raw("parameters", r#"{"type":"object","properties":{}}"#),
    }
}

fn word(tool: &Tool) -> &str {
    match &tool.kind {
        ToolKind::Custom { .. } => "custom",
        ToolKind::Server { server_type, .. } => server_type,
        _ => "function",
    }
}

/// Writes which tool to call.
pub(super) fn write_choice(
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
    match choice {
        ToolChoice::None => object.text("tool_choice", "none"),
        ToolChoice::Any => object.text("tool_choice", "required"),
        ToolChoice::Tool { name } => {
            let kinds = Kinds::of(chat);
            named(object.member("tool_choice"), name, &kinds, context)?;
        }
        ToolChoice::Allowed { required, names } => {
            let kinds = Kinds::of(chat);
            let mut inner = Object::begin(object.member("tool_choice"));
            inner.text("type", "allowed_tools");
            inner.text("mode", if *required { "required" } else { "auto" });
            let mut array = Array::begin(inner.member("tools"));
            for name in names {
                named(array.item(), name, &kinds, context)?;
            }
            array.end();
            inner.end();
        }
        _ => object.text("tool_choice", "auto"),
    }
    Ok(())
}

/// Names of tools that are no functions.
struct Kinds<'a> {
    custom: BTreeSet<&'a str>,
    server: BTreeSet<&'a str>,
}

impl<'a> Kinds<'a> {
    fn of(chat: &'a Chat) -> Self {
        let mut kinds = Self { custom: BTreeSet::new(), server: BTreeSet::new() };
        for tool in &chat.tools {
            match &tool.kind {
                ToolKind::Custom { .. } => kinds.custom.insert(&tool.name),
                ToolKind::Server { .. } => kinds.server.insert(&tool.name),
                _ => false,
            };
        }
        kinds
    }
}

fn named(
    out: &mut Vec<u8>,
    name: &Str,
    kinds: &Kinds<'_>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut object = Object::begin(out);
    if kinds.server.contains(name.as_str()) {
        object.text("type", name);
    } else {
        let custom = kinds.custom.contains(name.as_str());
        object.text("type", if custom { "custom" } else { "function" });
        object.text("name", &context.tools.fit(name)?);
    }
    object.end();
    Ok(())
}
