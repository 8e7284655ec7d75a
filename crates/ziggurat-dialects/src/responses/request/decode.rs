//! The top level of a request.

use std::sync::Arc;

use ziggurat_core::{
    Chat, Effort, Error, Expose, Extras, Members, Operation, OutputFormat, OutputSchema, Part,
    RawJson, Str, Typed,
};

use super::{FORMAT, REASONING, STREAM_OPTIONS, TEXT, input, tools};
use crate::json;
use crate::node::Node;
use crate::responses::RESPONSES;
use crate::responses::words::ENCRYPTED;

/// Reads a request.
pub(in crate::responses) fn decode(
    operation: Operation,
    members: &Members,
) -> Result<Typed, Error> {
    match operation {
        Operation::CountTokens => Ok(Typed::CountTokens(Arc::new(chat(members)?))),
        Operation::Models => Ok(Typed::Models(None)),
        _ => Ok(Typed::Chat(Arc::new(chat(members)?))),
    }
}

fn chat(members: &Members) -> Result<Chat, Error> {
    let mut chat = Chat::new();
    let mut instructions = None;
    let mut items = None;
    let mut include = Include::default();
    let mut top_logprobs = None;
    for (name, value) in members.iter() {
        let node = Node::root(name, value);
        if node.is_null() {
            continue;
        }
        match name.as_str() {
            // The front door reads it: by it the call is routed.
            "model" => {}
            "input" => items = Some(input::decode(&node, &mut chat)?),
            "instructions" => instructions = Some(node.string()?),
            "max_output_tokens" => chat.max_output_tokens = Some(node.count()?),
            "temperature" => chat.sampling.temperature = Some(node.float()?),
            "top_p" => chat.sampling.top_p = Some(node.float()?),
            "top_logprobs" => {
                let top = node.count()?;
                let top = u8::try_from(top).map_err(|_| node.expected("a number up to 20"))?;
                top_logprobs = Some(top);
            }
            "include" => include.read(&node)?,
            "text" => text(&node, &mut chat)?,
            "reasoning" => reasoning(&node, &mut chat)?,
            "stream" => chat.stream = node.flag()?,
            "stream_options" => node.members(|name, option| {
                option.keep(RESPONSES, &mut chat.extras, &format!("{STREAM_OPTIONS}{name}"))
            })?,
            "user" => chat.user = Some(node.string()?),
            "metadata" => chat.metadata = Some(node.raw_object()?),
            "store" => chat.store = Some(node.flag()?),
            "service_tier" => chat.service_tier = Some(node.string()?),
            "prompt_cache_key" => chat.cache.key = Some(node.string()?),
            "prompt_cache_retention" => chat.cache.retention = Some(node.string()?),
            "parallel_tool_calls" => chat.parallel_tools = Some(node.flag()?),
            "tools" => node.items(|_, item| {
                chat.tools.push(tools::decode(&item)?);
                Ok(())
            })?,
            // Read below, when the tools are known.
            "tool_choice" => {}
            // What is so anyway is not worth a word.
            "background" if !node.flag()? => {}
            "truncation" if node.text() == "\"disabled\"" => {}
            _ => {
                json::no_path(name)?;
                node.keep(RESPONSES, &mut chat.extras, name)?;
            }
        }
    }
    if let Some(choice) = members.get("tool_choice").filter(|choice| *choice != "null") {
        tools::decode_choice(&Node::root("tool_choice", choice), &mut chat)?;
    }
    if let Some(text) = instructions.filter(|text| !text.is_empty()) {
        chat.system.insert(0, Part::text(text));
    }
    required(items, &chat.extras)?;
    if include.logprobs {
        chat.logprobs = Some(top_logprobs.unwrap_or(0));
    }
    include.keep(&mut chat.extras);
    Ok(chat)
}

/// Nobody asked anything: no model is asked in the caller's place, unless the provider knows what was said before.
fn required(items: Option<usize>, extras: &Extras) -> Result<(), Error> {
    const ELSEWHERE: [&str; 3] = ["previous_response_id", "conversation", "prompt"];
    if items.is_some_and(|items| items > 0)
        || ELSEWHERE.iter().any(|name| extras.get(name).is_some())
    {
        return Ok(());
    }
    let (message, code) = match items {
        None => ("`input` is required", "missing_required_parameter"),
        Some(_) => ("`input`: at least one item is required", "empty_array"),
    };
    Err(Error::invalid(message).with_param("input").with_code(code))
}

/// What the answer is to hold beside what it says.
#[derive(Debug, Default)]
struct Include {
    logprobs: bool,
    encrypted: bool,
    others: Vec<Str>,
}

impl Include {
    fn read(&mut self, node: &Node<'_>) -> Result<(), Error> {
        node.items(|_, item| {
            let what = item.string()?;
            match what.as_str() {
                "message.output_text.logprobs" => self.logprobs = true,
                "reasoning.encrypted_content" => self.encrypted = true,
                _ => self.others.push(what),
            }
            Ok(())
        })
    }

    fn keep(self, extras: &mut Extras) {
        if self.encrypted {
            extras.dialect = Some(RESPONSES);
            let yes = RawJson::of(&true).unwrap_or(RawJson::NULL);
            extras.push(Str::from_static(ENCRYPTED), yes);
        }
        if let (false, Ok(others)) = (self.others.is_empty(), RawJson::of(&self.others)) {
            extras.dialect = Some(RESPONSES);
            extras.push(Str::from_static("include"), others);
        }
    }
}

fn text(node: &Node<'_>, chat: &mut Chat) -> Result<(), Error> {
    node.members(|name, node| {
        match name {
            "format" => chat.output = format(&node, &mut chat.extras)?,
            "verbosity" => chat.verbosity = Some(node.string()?),
            _ => node.keep(RESPONSES, &mut chat.extras, &format!("{TEXT}{name}"))?,
        }
        Ok(())
    })
}

fn format(node: &Node<'_>, extras: &mut Extras) -> Result<OutputFormat, Error> {
    let kind = node.need("type")?;
    match kind.string()?.as_str() {
        "text" => Ok(OutputFormat::Text),
        "json_object" => Ok(OutputFormat::Json),
        "json_schema" => {
            let mut schema = OutputSchema::new(node.need("schema")?.raw_object()?);
            node.members(|name, node| {
                match name {
                    "name" => schema.name = Some(node.string()?),
                    "description" => schema.description = Some(node.string()?),
                    "strict" => schema.strict = Some(node.flag()?),
                    "type" | "schema" => {}
                    _ => node.keep(RESPONSES, extras, &format!("{FORMAT}{name}"))?,
                }
                Ok(())
            })?;
            Ok(OutputFormat::Schema(schema))
        }
        _ => Err(kind.unknown("text, json_object, json_schema")),
    }
}

fn reasoning(node: &Node<'_>, chat: &mut Chat) -> Result<(), Error> {
    node.members(|name, node| {
        match name {
            "effort" => {
                let effort = Effort::parse(&node.string()?)
                    .ok_or_else(|| node.unknown("none, minimal, low, medium, high, xhigh, max"))?;
                chat.reasoning.effort = Some(effort);
            }
            // The second is the older name.
            "summary" | "generate_summary" => {
                chat.reasoning.expose = Some(Expose::Summary);
                if node.string()? != "auto" {
                    node.keep(RESPONSES, &mut chat.extras, &format!("{REASONING}summary"))?;
                }
            }
            _ => node.keep(RESPONSES, &mut chat.extras, &format!("{REASONING}{name}"))?,
        }
        Ok(())
    })
}
