//! How what was decided is written.

use ziggurat_core::{CacheMark, Chat, Error, Losses, Str, Tool, ToolKind};

use super::ANTHROPIC;
use crate::fields::Field;
use crate::json::{self, Array, Object};
use crate::plan::{Budget, Choice, Params, Scene, Tools};

/// Writes the list of tools.
pub(super) fn tools(tools: &Tools<'_>, marks: &mut Budget, out: &mut Vec<u8>) {
    let mut array = Array::begin(out);
    for sent in &tools.list {
        if let Some(Tool { kind: ToolKind::Server { value, .. }, .. }) = sent.tool {
            array.item().extend_from_slice(value.get().as_bytes());
            continue;
        }
        let mut object = array.object();
        object.text("name", &sent.name);
        if let Some(description) = &sent.description {
            object.text("description", description);
        }
        object.raw("input_schema", sent.schema.get());
        if let Some(strict) = sent.strict {
            object.flag("strict", strict);
        }
        if let Some(tool) = sent.tool {
            mark(marks.take(tool.cache), &mut object);
            if tool.extras.dialect == Some(ANTHROPIC) {
                object.extras(&tool.extras);
            }
        }
        object.end();
    }
    array.end();
}

/// Writes which of the tools to call.
pub(super) fn choice(tools: &Tools<'_>, object: &mut Object<'_>) {
    let kind = match &tools.choice {
        None | Some(Choice::Auto) => "auto",
        Some(Choice::None) => "none",
        Some(Choice::Any) => "any",
        Some(Choice::Tool(_)) => "tool",
    };
    object.text("type", kind);
    if let Some(Choice::Tool(name)) = &tools.choice {
        object.text("name", name);
    }
    if let Some(single) = tools.single
        && tools.choice != Some(Choice::None)
    {
        object.flag("disable_parallel_tool_use", single);
    }
}

/// Writes a cache mark, if there is one.
pub(super) fn mark(mark: Option<CacheMark>, object: &mut Object<'_>) {
    let Some(mark) = mark else { return };
    let mut inner = Object::begin(object.member("cache_control"));
    inner.text("type", "ephemeral");
    match mark {
        CacheMark::FiveMinutes => inner.text("ttl", "5m"),
        CacheMark::OneHour | CacheMark::TwelveHours => inner.text("ttl", "1h"),
        // Half an hour is what OpenAI calls its shortest time, as five minutes are here.
        _ => {}
    }
    inner.end();
}

/// The tier that is asked for, by a name that is known here.
pub(super) fn tier(
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<Option<Str>, Error> {
    let Some(tier) = &chat.service_tier else { return Ok(None) };
    let name = scene.names.name(Field::ServiceTier);
    Ok(match tier.as_str() {
        _ if scene.is_own() => Some(tier.clone()),
        "auto" | "standard_only" => Some(tier.clone()),
        "default" => Some(Str::from_static("standard_only")),
        "priority" | "fast" => {
            losses.clamp(name, "`auto` is the nearest tier")?;
            Some(Str::from_static("auto"))
        }
        other => {
            let reason = format!("the provider has no tier `{other}`");
            losses.drop(ziggurat_core::Severity::Harmless, name, reason)?;
            None
        }
    })
}

/// Writes sampling and stop texts.
pub(super) fn params(params: &Params, object: &mut Object<'_>) {
    if let Some(temperature) = params.temperature {
        object.float("temperature", temperature);
    }
    if let Some(top_p) = params.top_p {
        object.float("top_p", top_p);
    }
    if let Some(top_k) = params.top_k {
        object.number("top_k", top_k);
    }
    if !params.stop.is_empty() {
        let mut array = Array::begin(object.member("stop_sequences"));
        for text in &params.stop {
            json::string(array.item(), text);
        }
        array.end();
    }
}
