//! The top level of a request.

use std::sync::Arc;

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Effort, Error, Members, Operation, OutputFormat, OutputSchema, RawJson, ReasoningMode,
    Str, Tool, ToolKind, Typed,
};

use super::{messages, options};
use crate::json::{self, At, Fields};
use crate::ollama::OLLAMA;

/// How many tools are taken: far more than a model can tell apart.
const MAX_TOOLS: usize = 10_000;

/// Reads the members of a request.
pub(in crate::ollama) fn decode(operation: Operation, members: &Members) -> Result<Typed, Error> {
    if operation == Operation::Models {
        return Ok(Typed::Models(None));
    }
    let mut chat = Chat::new();
    // Unless its caller says otherwise, an answer comes in pieces.
    chat.stream = true;
    let mut logprobs = Logprobs::default();
    for (name, value) in members.iter() {
        if value != "null" {
            member(&mut chat, &mut logprobs, name, value)?;
        }
    }
    if logprobs.wanted == Some(true) {
        chat.logprobs = Some(logprobs.top.unwrap_or(0));
    }
    if !chat.extras.is_empty() {
        chat.extras.dialect = Some(OLLAMA);
    }
    if members.get("messages").is_none_or(|messages| messages == "null") {
        return Err(At::root("messages").error("this field is required"));
    }
    if chat.messages.is_empty() && chat.system.is_empty() {
        return Err(At::root("messages").error("at least one message is required"));
    }
    Ok(match operation {
        Operation::CountTokens => Typed::CountTokens(Arc::new(chat)),
        _ => Typed::Chat(Arc::new(chat)),
    })
}

#[derive(Default)]
struct Logprobs {
    wanted: Option<bool>,
    top: Option<u8>,
}

fn member(chat: &mut Chat, logprobs: &mut Logprobs, name: &Str, value: &Str) -> Result<(), Error> {
    let at = At::root(name);
    match name.as_str() {
        // The model is the gateway's business: it may go by another name there.
        "model" => {}
        "messages" => messages::decode(value, at, chat)?,
        "tools" => chat.tools = tools(value, at)?,
        "stream" => chat.stream = json::read(value, at, "true or false")?,
        "think" => think(chat, value, at)?,
        "format" => chat.output = format(value, at)?,
        "options" => options::decode(chat, value, at)?,
        "logprobs" => logprobs.wanted = Some(json::read(value, at, "true or false")?),
        "top_logprobs" => logprobs.top = Some(json::read(value, at, "a number up to 20")?),
        _ => {
            json::no_path(name)?;
            let value =
                RawJson::parse(value.clone()).map_err(|_| at.error("this is not valid JSON"))?;
            chat.extras.push(name.clone(), value);
        }
    }
    Ok(())
}

fn think(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    const EXPECTED: &str = "true, false, or one of `low`, `medium`, `high`, `max` is expected";
    match value.as_str() {
        "true" => chat.reasoning.mode = Some(ReasoningMode::On),
        "false" => chat.reasoning.mode = Some(ReasoningMode::Off),
        word if word.starts_with('"') => {
            let word = json::read_text(word, value, at)?;
            let effort = Effort::parse(&word).filter(|effort| *effort != Effort::None);
            chat.reasoning.effort = Some(effort.ok_or_else(|| at.error(EXPECTED))?);
        }
        _ => return Err(at.error(EXPECTED)),
    }
    Ok(())
}

fn format(value: &Str, at: At<'_>) -> Result<OutputFormat, Error> {
    match value.as_str() {
        "\"\"" => Ok(OutputFormat::Text),
        "\"json\"" => Ok(OutputFormat::Json),
        schema if schema.starts_with('{') => {
            let schema =
                RawJson::parse(value.clone()).map_err(|_| at.error("this is not valid JSON"))?;
            Ok(OutputFormat::Schema(OutputSchema::new(schema)))
        }
        _ => Err(at.error("`json` or a JSON Schema is expected")),
    }
}

fn tools(value: &Str, at: At<'_>) -> Result<Vec<Tool>, Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of tools")?;
    if items.len() > MAX_TOOLS {
        return Err(at.error(format_args!("at most {MAX_TOOLS} tools are taken")));
    }
    let read = |(index, raw): (usize, &&RawValue)| tool(raw.get(), value, at.index(index));
    items.iter().enumerate().map(read).collect()
}

fn tool(raw: &str, body: &Str, at: At<'_>) -> Result<Tool, Error> {
    let mut outer: Fields<'_> = json::read(raw, at, "an object")?;
    outer.take("type");
    let inside = at.name("function");
    let function: Option<Fields<'_>> = outer.value("function", at, "an object")?;
    let Some(mut function) = function else {
        return Err(inside.error("this field is required"));
    };
    let mut tool = Tool::function(function.need("name", body, inside)?, None);
    tool.description = function.text("description", body, inside)?;
    if let Some(schema) = function.take("parameters") {
        let at = inside.name("parameters");
        if !schema.starts_with('{') {
            return Err(at.error("an object is expected"));
        }
        let schema = RawJson::parse(body.slice_ref(schema))
            .map_err(|_| at.error("this is not valid JSON"))?;
        tool.kind = ToolKind::Function { parameters: Some(schema) };
    }
    for (prefix, fields) in [("function.", &function), ("", &outer)] {
        for (name, value) in fields.iter().filter(|(_, value)| *value != "null") {
            let value = RawJson::parse(body.slice_ref(value))
                .map_err(|_| at.error("this is not valid JSON"))?;
            tool.extras.dialect = Some(OLLAMA);
            tool.extras.push(format!("{prefix}{name}").into(), value);
        }
    }
    Ok(tool)
}
