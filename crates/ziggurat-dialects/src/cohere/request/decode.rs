//! The top level of a request.

use std::sync::Arc;

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Error, Members, Operation, OutputFormat, OutputSchema, RawJson, ReasoningMode, Str, Tool,
    ToolChoice, ToolKind, Typed,
};

use super::{documents, messages};
use crate::cohere::COHERE;
use crate::json::{self, At, Fields};

/// How many tools are taken: far more than a model can tell apart.
const MAX_TOOLS: usize = 10_000;

/// Reads the members of a request.
pub(in crate::cohere) fn decode(operation: Operation, members: &Members) -> Result<Typed, Error> {
    if operation == Operation::Models {
        return Ok(Typed::Models(None));
    }
    let mut chat = Chat::new();
    let mut strict = None;
    let mut beside = Vec::new();
    for (name, value) in members.iter().filter(|(_, value)| *value != "null") {
        let at = At::root(name);
        match name.as_str() {
            "strict_tools" => strict = Some(json::read(value, at, "true or false")?),
            "documents" => beside = documents::decode(value, at)?,
            _ => member(&mut chat, name, value, at)?,
        }
    }
    if let Some(strict) = strict {
        // It is said of all of them at once.
        chat.tools.iter_mut().for_each(|tool| tool.strict = Some(strict));
    }
    if !chat.extras.is_empty() {
        chat.extras.dialect = Some(COHERE);
    }
    if members.get("messages").is_none_or(|messages| messages == "null") {
        return Err(At::root("messages").error("this field is required"));
    }
    if chat.messages.is_empty() && chat.system.is_empty() {
        return Err(At::root("messages").error("at least one message is required"));
    }
    documents::attach(&mut chat, beside);
    Ok(match operation {
        Operation::CountTokens => Typed::CountTokens(Arc::new(chat)),
        _ => Typed::Chat(Arc::new(chat)),
    })
}

fn member(chat: &mut Chat, name: &Str, value: &Str, at: At<'_>) -> Result<(), Error> {
    let whole = "a whole number, 0 or more";
    match name.as_str() {
        // The model is the gateway's business: it may go by another name there.
        "model" => {}
        "messages" => messages::decode(value, at, chat)?,
        "tools" => chat.tools = tools(value, at)?,
        "tool_choice" => chat.tool_choice = Some(tool_choice(value, at)?),
        "max_tokens" => chat.max_output_tokens = Some(json::read(value, at, whole)?),
        "temperature" => chat.sampling.temperature = Some(json::read_float(value, at)?),
        "p" => chat.sampling.top_p = Some(json::read_float(value, at)?),
        "k" => chat.sampling.top_k = Some(json::read(value, at, whole)?),
        "seed" => chat.sampling.seed = Some(json::read(value, at, "a whole number")?),
        "frequency_penalty" => {
            chat.sampling.frequency_penalty = Some(json::read_float(value, at)?);
        }
        "presence_penalty" => chat.sampling.presence_penalty = Some(json::read_float(value, at)?),
        "stop_sequences" => {
            let texts: Vec<&RawValue> = json::read(value, at, "a list of strings")?;
            let read = |(index, text): (usize, &&RawValue)| {
                json::read_text(text.get(), value, at.index(index))
            };
            chat.stop = texts.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        }
        "logprobs" => {
            let wanted: bool = json::read(value, at, "true or false")?;
            chat.logprobs = wanted.then_some(0);
        }
        "response_format" => chat.output = response_format(value, at)?,
        "thinking" => thinking(chat, value, at)?,
        "stream" => chat.stream = json::read(value, at, "true or false")?,
        _ => {
            let value =
                RawJson::parse(value.clone()).map_err(|_| at.error("this is not valid JSON"))?;
            chat.extras.push(name.clone(), value);
        }
    }
    Ok(())
}

fn tool_choice(value: &Str, at: At<'_>) -> Result<ToolChoice, Error> {
    match json::read_text(value, value, at)?.as_str() {
        "REQUIRED" | "required" => Ok(ToolChoice::Any),
        "NONE" | "none" => Ok(ToolChoice::None),
        _ => Err(at.error("`REQUIRED` or `NONE` is expected")),
    }
}

fn response_format(value: &Str, at: At<'_>) -> Result<OutputFormat, Error> {
    let mut format: Fields<'_> = json::read(value, at, "an object")?;
    match format.need("type", value, at)?.as_str() {
        "text" => Ok(OutputFormat::Text),
        "json_object" => {
            // Its older name.
            let schema = format.take("json_schema").or_else(|| format.take("schema"));
            let Some(schema) = schema else { return Ok(OutputFormat::Json) };
            let at = at.name("json_schema");
            if !schema.starts_with('{') {
                return Err(at.error("an object is expected"));
            }
            let schema = RawJson::parse(value.slice_ref(schema))
                .map_err(|_| at.error("this is not valid JSON"))?;
            Ok(OutputFormat::Schema(OutputSchema::new(schema)))
        }
        _ => Err(at.name("type").error("`text` or `json_object` is expected")),
    }
}

fn thinking(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut thinking: Fields<'_> = json::read(value, at, "an object")?;
    chat.reasoning.mode = Some(match thinking.need("type", value, at)?.as_str() {
        "enabled" => ReasoningMode::On,
        "disabled" => ReasoningMode::Off,
        _ => return Err(at.name("type").error("`enabled` or `disabled` is expected")),
    });
    chat.reasoning.budget_tokens = thinking.value("token_budget", at, "a whole number")?;
    Ok(())
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
    Ok(tool)
}
