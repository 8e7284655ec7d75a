//! The top level of a request.

use std::sync::Arc;

use ziggurat_core::{
    Chat, Effort, Error, Extras, Members, Message, Operation, OutputFormat, OutputSchema,
    ReasoningMode, Role, Tool, ToolChoice, ToolKind, Typed,
};

use super::{SCHEMA, STREAM_OPTIONS, messages};
use crate::json;
use crate::node::Node;
use crate::openai::OPENAI;
use crate::openai_api::parts::cache_mark;

/// Reads a request.
pub(in crate::openai) fn decode(operation: Operation, members: &Members) -> Result<Typed, Error> {
    match operation {
        Operation::CountTokens => Ok(Typed::CountTokens(Arc::new(counted(members)?))),
        Operation::Models => Ok(Typed::Models(None)),
        _ => Ok(Typed::Chat(Arc::new(chat(members)?))),
    }
}

/// What is to be counted: a conversation, or a bare prompt (LiteLLM, `/utils/token_counter`).
fn counted(members: &Members) -> Result<Chat, Error> {
    let given = |name| members.get(name).filter(|value| *value != "null");
    let (None, Some(prompt)) = (given("messages"), given("prompt")) else { return chat(members) };
    let text = Node::root("prompt", prompt).string()?;
    let mut chat = Chat::new();
    chat.messages.push(Message::text(Role::User, text));
    Ok(chat)
}

fn chat(members: &Members) -> Result<Chat, Error> {
    let mut chat = Chat::new();
    let mut old_max = None;
    let mut logprobs = None;
    let mut top_logprobs = None;
    let mut messages = None;
    for (name, value) in members.iter() {
        let node = Node::root(name, value);
        if node.is_null() {
            continue;
        }
        match name.as_str() {
            // The front door reads it: by it the call is routed.
            "model" => {}
            "messages" => {
                messages = Some(messages::decode(&node, &mut chat)?);
            }
            "max_completion_tokens" => chat.max_output_tokens = Some(node.count()?),
            "max_tokens" => old_max = Some(node.count()?),
            "temperature" => chat.sampling.temperature = Some(node.float()?),
            "top_p" => chat.sampling.top_p = Some(node.float()?),
            "top_k" => chat.sampling.top_k = Some(node.count()?),
            "min_p" => chat.sampling.min_p = Some(node.float()?),
            "frequency_penalty" => chat.sampling.frequency_penalty = Some(node.float()?),
            "presence_penalty" => chat.sampling.presence_penalty = Some(node.float()?),
            "repetition_penalty" => chat.sampling.repetition_penalty = Some(node.float()?),
            "seed" => chat.sampling.seed = Some(node.read("a whole number")?),
            "stop" if node.is_string() => chat.stop = vec![node.string()?],
            "stop" if node.is_list() => node.items(|_, stop| {
                chat.stop.push(stop.string()?);
                Ok(())
            })?,
            "stop" => return Err(node.expected("a string or a list of strings")),
            "n" => {
                let n = node.count()?;
                chat.n = Some(u32::try_from(n).map_err(|_| node.expected("a small number"))?);
            }
            "logprobs" => logprobs = Some(node.flag()?),
            "top_logprobs" => {
                let top = node.count()?;
                let top = u8::try_from(top).map_err(|_| node.expected("a number up to 20"))?;
                top_logprobs = Some(top);
            }
            "logit_bias" => chat.logit_bias = Some(node.raw_object()?),
            "response_format" => chat.output = output(&node, &mut chat.extras)?,
            "reasoning_effort" => chat.reasoning.effort = Some(effort(&node)?),
            "thinking" => thinking(&node, &mut chat)?,
            "verbosity" => chat.verbosity = Some(node.string()?),
            "modalities" => node.items(|_, modality| {
                chat.modalities.push(modality.string()?);
                Ok(())
            })?,
            "audio" => chat.audio = Some(node.raw_object()?),
            "stream" => chat.stream = node.flag()?,
            "stream_options" => node.members(|name, option| {
                match name {
                    "include_usage" => chat.stream_usage = Some(option.flag()?),
                    _ => {
                        option.keep(
                            OPENAI,
                            &mut chat.extras,
                            &format!("{STREAM_OPTIONS}{name}"),
                        )?;
                    }
                }
                Ok(())
            })?,
            "user" => chat.user = Some(node.string()?),
            "metadata" => chat.metadata = Some(node.raw_object()?),
            "store" => chat.store = Some(node.flag()?),
            "service_tier" => chat.service_tier = Some(node.string()?),
            "prompt_cache_key" => chat.cache.key = Some(node.string()?),
            "prompt_cache_retention" => chat.cache.retention = Some(node.string()?),
            "cache_control" => chat.cache.auto = Some(cache_mark(&node)?),
            "prediction" => chat.prediction = Some(node.raw_object()?),
            "web_search_options" => chat.web_search = Some(node.raw_object()?),
            "parallel_tool_calls" => chat.parallel_tools = Some(node.flag()?),
            "tools" => node.items(|_, item| {
                chat.tools.push(tool(&item)?);
                Ok(())
            })?,
            "functions" => node.items(|_, item| {
                let mut tool = Tool::function(item.need("name")?.string()?, None);
                function(&item, &mut tool, "")?;
                chat.tools.push(tool);
                Ok(())
            })?,
            "tool_choice" | "function_call" => chat.tool_choice = Some(tool_choice(&node)?),
            _ => {
                json::no_path(name)?;
                node.keep(OPENAI, &mut chat.extras, name)?;
            }
        }
    }
    // Nobody asked anything: no model is asked in the caller's place. A system prompt alone is taken.
    if messages == Some(0) {
        return Err(Error::invalid("`messages`: at least one message is required")
            .with_param("messages")
            .with_code("empty_array"));
    }
    if messages.is_none() {
        return Err(Error::invalid("`messages` is required")
            .with_param("messages")
            .with_code("missing_required_parameter"));
    }
    chat.max_output_tokens = chat.max_output_tokens.or(old_max);
    if logprobs == Some(true) {
        chat.logprobs = Some(top_logprobs.unwrap_or(0));
    }
    Ok(chat)
}

fn effort(node: &Node<'_>) -> Result<Effort, Error> {
    let word = node.string()?;
    Effort::parse(&word).ok_or_else(|| node.unknown("none, minimal, low, medium, high, xhigh, max"))
}

/// Anthropic's way to ask for reasoning, which clients send through this dialect, too.
fn thinking(node: &Node<'_>, chat: &mut Chat) -> Result<(), Error> {
    let kind = node.need("type")?;
    chat.reasoning.mode = Some(match kind.string()?.as_str() {
        "enabled" => ReasoningMode::On,
        "disabled" => ReasoningMode::Off,
        "adaptive" => ReasoningMode::Auto,
        _ => return Err(kind.unknown("enabled, disabled, adaptive")),
    });
    if let Some(budget) = node.get("budget_tokens") {
        chat.reasoning.budget_tokens = Some(budget.count()?);
    }
    Ok(())
}

fn output(node: &Node<'_>, extras: &mut Extras) -> Result<OutputFormat, Error> {
    let kind = node.need("type")?;
    match kind.string()?.as_str() {
        "text" => Ok(OutputFormat::Text),
        "json_object" => Ok(OutputFormat::Json),
        "json_schema" => {
            let inner = node.need("json_schema")?;
            let mut schema = OutputSchema::new(inner.need("schema")?.raw_object()?);
            inner.members(|name, node| {
                match name {
                    "name" => schema.name = Some(node.string()?),
                    "description" => schema.description = Some(node.string()?),
                    "strict" => schema.strict = Some(node.flag()?),
                    "schema" => {}
                    _ => node.keep(OPENAI, extras, &format!("{SCHEMA}{name}"))?,
                }
                Ok(())
            })?;
            Ok(OutputFormat::Schema(schema))
        }
        _ => Err(kind.unknown("text, json_object, json_schema")),
    }
}

fn tool(node: &Node<'_>) -> Result<Tool, Error> {
    let kind = node.need("type")?.string()?;
    let mut tool = match kind.as_str() {
        "function" => {
            let inner = node.need("function")?;
            let mut tool = Tool::function(inner.need("name")?.string()?, None);
            function(&inner, &mut tool, "function.")?;
            tool
        }
        "custom" => {
            let inner = node.need("custom")?;
            let name = inner.need("name")?.string()?;
            let format = inner.get("format").map(|format| format.raw_object()).transpose()?;
            let mut tool = Tool::new(name, ToolKind::Custom { format });
            inner.members(|name, node| {
                match name {
                    "name" | "format" => {}
                    "description" => tool.description = Some(node.string()?),
                    _ => node.keep(OPENAI, &mut tool.extras, &format!("custom.{name}"))?,
                }
                Ok(())
            })?;
            tool
        }
        _ => {
            let name = node.get("name").and_then(|name| name.as_string());
            let name = name.unwrap_or_else(|| kind.clone());
            let server = ToolKind::Server { server_type: kind, value: node.raw()? };
            let mut tool = Tool::new(name, server);
            tool.extras.dialect = Some(OPENAI);
            return Ok(tool);
        }
    };
    node.members(|name, node| {
        match name {
            "type" | "function" | "custom" => {}
            "cache_control" => tool.cache = Some(cache_mark(&node)?),
            _ => node.keep(OPENAI, &mut tool.extras, name)?,
        }
        Ok(())
    })?;
    Ok(tool)
}

/// The members of a function besides its name. Unknown ones are kept under `prefix`.
fn function(node: &Node<'_>, tool: &mut Tool, prefix: &str) -> Result<(), Error> {
    node.members(|name, node| {
        match name {
            "name" => {}
            "description" => tool.description = Some(node.string()?),
            "parameters" => {
                tool.kind = ToolKind::Function { parameters: Some(node.raw_object()?) };
            }
            "strict" => tool.strict = Some(node.flag()?),
            _ => node.keep(OPENAI, &mut tool.extras, &format!("{prefix}{name}"))?,
        }
        Ok(())
    })
}

fn tool_choice(node: &Node<'_>) -> Result<ToolChoice, Error> {
    if node.is_string() {
        return match node.string()?.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            // Mistral's word.
            "required" | "any" => Ok(ToolChoice::Any),
            _ => Err(node.unknown("none, auto, required")),
        };
    }
    if !node.is_object() {
        return Err(node.expected("a string or an object"));
    }
    let Some(kind) = node.get("type") else {
        // The deprecated `function_call`.
        return Ok(ToolChoice::Tool { name: node.need("name")?.string()? });
    };
    match kind.string()?.as_str() {
        "function" => Ok(ToolChoice::Tool { name: node.need("function")?.need("name")?.string()? }),
        "custom" => Ok(ToolChoice::Tool { name: node.need("custom")?.need("name")?.string()? }),
        "allowed_tools" => {
            let allowed = node.need("allowed_tools")?;
            let mode = allowed.need("mode")?;
            let required = match mode.string()?.as_str() {
                "auto" => false,
                "required" => true,
                _ => return Err(mode.unknown("auto, required")),
            };
            let mut names = Vec::new();
            allowed.need("tools")?.items(|_, tool| {
                let inner = match tool.need("type")?.string()?.as_str() {
                    "custom" => tool.need("custom")?,
                    _ => tool.need("function")?,
                };
                names.push(inner.need("name")?.string()?);
                Ok(())
            })?;
            Ok(ToolChoice::Allowed { required, names })
        }
        _ => Err(kind.unknown("function, custom, allowed_tools")),
    }
}
