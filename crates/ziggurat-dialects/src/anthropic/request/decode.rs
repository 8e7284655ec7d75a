//! Reads a request.

use std::sync::Arc;

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Effort, Error, Expose, Members, Message, Operation, OutputFormat, OutputSchema, RawJson,
    ReasoningMode, Role, Str, Tool, ToolChoice, ToolKind, Typed,
};

use crate::anthropic::ANTHROPIC;
use crate::anthropic::block::{decode_content, decode_mark, leftover};
use crate::json::{self, At, Fields};

/// How many messages the provider takes.
const MAX_MESSAGES: usize = 100_000;
/// How many tools are taken: far more than a model can tell apart.
const MAX_TOOLS: usize = 10_000;

/// Reads the members of a request.
pub(in crate::anthropic) fn decode(
    operation: Operation,
    members: &Members,
) -> Result<Typed, Error> {
    if operation == Operation::Models {
        return Ok(Typed::Models(None));
    }
    let mut chat = Chat::new();
    for (name, value) in members.iter() {
        if value != "null" {
            member(&mut chat, name, value)?;
        }
    }
    if !chat.extras.is_empty() {
        chat.extras.dialect = Some(ANTHROPIC);
    }
    let required = |name: &'static str| At::root(name).error("this field is required");
    if members.get("messages").is_none_or(|messages| messages == "null") {
        return Err(required("messages"));
    }
    // A thread may go on by itself.
    if chat.messages.is_empty() && chat.extras.get("thread").is_none() {
        return Err(At::root("messages").error("at least one message is required"));
    }
    if operation == Operation::CountTokens {
        return Ok(Typed::CountTokens(Arc::new(chat)));
    }
    match chat.max_output_tokens {
        Some(_) => Ok(Typed::Chat(Arc::new(chat))),
        None => Err(required("max_tokens")),
    }
}

fn member(chat: &mut Chat, name: &Str, value: &Str) -> Result<(), Error> {
    let at = At::root(name);
    match name.as_str() {
        // The model is the gateway's business: it may go by another name there.
        "model" => {}
        "messages" => chat.messages = decode_messages(value, at)?,
        "system" => chat.system = decode_content(value, value, at)?,
        "max_tokens" => {
            chat.max_output_tokens = Some(json::read(value, at, "a whole number, 0 or more")?);
        }
        "temperature" => chat.sampling.temperature = Some(json::read_float(value, at)?),
        "top_p" => chat.sampling.top_p = Some(json::read_float(value, at)?),
        "top_k" => {
            chat.sampling.top_k = Some(json::read(value, at, "a whole number, 0 or more")?);
        }
        "stop_sequences" => {
            let texts: Vec<&RawValue> = json::read(value, at, "a list of strings")?;
            let read = |(index, text): (usize, &&RawValue)| {
                json::read_text(text.get(), value, at.index(index))
            };
            chat.stop = texts.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        }
        "stream" => chat.stream = json::read(value, at, "true or false")?,
        "thinking" => thinking(chat, value, at)?,
        "output_config" => output_config(chat, value, at)?,
        "tools" => chat.tools = decode_tools(value, at)?,
        "tool_choice" => tool_choice(chat, value, at)?,
        "metadata" => {
            let mut metadata: Fields<'_> = json::read(value, at, "an object")?;
            chat.user = metadata.text("user_id", value, at)?;
            keep_rest(chat, name, &metadata);
        }
        "service_tier" => chat.service_tier = Some(json::read_text(value, value, at)?),
        "cache_control" => {
            let whole = format!("{{\"cache_control\":{value}}}");
            match serde_json::from_str(&whole).ok().and_then(|mut f| decode_mark(&mut f, value)) {
                Some(mark) => chat.cache.auto = Some(mark),
                None => keep(chat, name, value, at)?,
            }
        }
        _ => keep(chat, name, value, at)?,
    }
    Ok(())
}

/// Keeps a member that the superset has no field for.
fn keep(chat: &mut Chat, name: &Str, value: &Str, at: At<'_>) -> Result<(), Error> {
    let value = RawJson::parse(value.clone()).map_err(|_| at.error("this is not valid JSON"))?;
    chat.extras.push(name.clone(), value);
    Ok(())
}

/// Keeps the members of an object that the superset has no field for, under the object's name.
fn keep_rest(chat: &mut Chat, name: &Str, rest: &Fields<'_>) {
    if let Some(rest) = rest.object() {
        chat.extras.push(name.clone(), rest);
    }
}

fn decode_messages(value: &Str, at: At<'_>) -> Result<Vec<Message>, Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of messages")?;
    if items.len() > MAX_MESSAGES {
        return Err(at.error(format_args!("at most {MAX_MESSAGES} messages are taken")));
    }
    let mut messages = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        let at = at.index(index);
        let mut item: Fields<'_> = json::read(raw.get(), at, "an object")?;
        let role = item.need("role", value, at)?;
        let role = match role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            other => {
                let wrong = format_args!("`user` or `assistant` is expected, not `{other}`");
                return Err(at.name("role").error(wrong));
            }
        };
        let Some(content) = item.take("content") else {
            return Err(at.name("content").error("this field is required"));
        };
        let parts = decode_content(content, value, at.name("content"))?;
        let mut message = Message::new(role, parts).at(index);
        message.extras = leftover(item, value);
        messages.push(message);
    }
    Ok(messages)
}

fn decode_tools(value: &Str, at: At<'_>) -> Result<Vec<Tool>, Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of tools")?;
    if items.len() > MAX_TOOLS {
        return Err(at.error(format_args!("at most {MAX_TOOLS} tools are taken")));
    }
    let mut tools = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        let at = at.index(index);
        let mut item: Fields<'_> = json::read(raw.get(), at, "an object")?;
        let kind = item.text("type", value, at)?;
        let cache = decode_mark(&mut item, value);
        let mut tool = match kind.filter(|kind| kind != "custom") {
            None => {
                let name = item.need("name", value, at)?;
                let parameters = match item.take("input_schema") {
                    Some(schema) if schema.starts_with('{') => {
                        RawJson::parse(value.slice_ref(schema)).ok()
                    }
                    Some(_) => return Err(at.name("input_schema").error("an object is expected")),
                    None => None,
                };
                let mut tool = Tool::function(name, parameters);
                tool.description = item.text("description", value, at)?;
                tool.strict = item.value("strict", at, "true or false")?;
                tool.extras = leftover(item, value);
                tool
            }
            Some(server_type) => {
                let name = item.text("name", value, at)?.unwrap_or_default();
                let kind = ToolKind::Server { server_type, value: RawJson::from_raw(raw, value) };
                let mut tool = Tool::new(name, kind);
                tool.extras.dialect = Some(ANTHROPIC);
                tool
            }
        };
        tool.cache = cache;
        tools.push(tool);
    }
    Ok(tools)
}

fn tool_choice(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut choice: Fields<'_> = json::read(value, at, "an object")?;
    let kind = choice.need("type", value, at)?;
    chat.tool_choice = Some(match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool { name: choice.need("name", value, at)? },
        other => {
            let wrong = format_args!("`auto`, `any`, `tool` or `none` is expected, not `{other}`");
            return Err(at.name("type").error(wrong));
        }
    });
    let single: Option<bool> = choice.value("disable_parallel_tool_use", at, "true or false")?;
    chat.parallel_tools = single.map(|single| !single);
    keep_rest(chat, &Str::from_static("tool_choice"), &choice);
    Ok(())
}

/// A kind of thinking that is not known is kept whole, for this dialect.
fn thinking(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut thinking: Fields<'_> = json::read(value, at, "an object")?;
    let kind = thinking.need("type", value, at)?;
    let mode = match kind.as_str() {
        "enabled" => Some(ReasoningMode::On),
        "adaptive" => Some(ReasoningMode::Auto),
        "disabled" => Some(ReasoningMode::Off),
        "between_tools" => Some(ReasoningMode::BetweenTools),
        _ => None,
    };
    let budget = thinking.value("budget_tokens", at, "a whole number")?;
    let expose = match thinking.text("display", value, at)?.as_deref() {
        None => Some(None),
        Some("summarized") => Some(Some(Expose::Summary)),
        Some("omitted") => Some(Some(Expose::Nothing)),
        Some(_) => None,
    };
    let (Some(mode), Some(expose)) = (mode, expose) else {
        return keep(chat, &Str::from_static("thinking"), value, at);
    };
    if mode == ReasoningMode::On && budget.is_none() {
        return Err(at.name("budget_tokens").error("this field is required"));
    }
    chat.reasoning.mode = Some(mode);
    chat.reasoning.budget_tokens = budget;
    chat.reasoning.expose = expose;
    keep_rest(chat, &Str::from_static("thinking"), &thinking);
    Ok(())
}

fn output_config(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut config: Fields<'_> = json::read(value, at, "an object")?;
    // A word or format that is not known stays among what is kept.
    if let Some(effort) = config.get("effort").and_then(|raw| json::shared_text(raw, value))
        && let Some(effort) = Effort::parse(&effort)
    {
        chat.reasoning.effort = Some(effort);
        config.take("effort");
    }
    if let Some(raw) = config.get("format") {
        let at = at.name("format");
        let mut format: Fields<'_> = json::read(raw, at, "an object")?;
        if format.need("type", value, at)? == "json_schema" {
            let Some(schema) = format.take("schema").filter(|schema| schema.starts_with('{'))
            else {
                return Err(at.name("schema").error("an object is expected"));
            };
            let schema = RawJson::parse(value.slice_ref(schema))
                .map_err(|_| at.name("schema").error("this is not valid JSON"))?;
            if format.is_empty() {
                chat.output = OutputFormat::Schema(OutputSchema::new(schema));
                config.take("format");
            }
        }
    }
    keep_rest(chat, &Str::from_static("output_config"), &config);
    Ok(())
}
