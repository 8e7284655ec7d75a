//! Reads a request.

use std::sync::Arc;

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Effort, Error, Expose, Members, Message, Operation, OutputFormat, OutputSchema, Part,
    RawJson, ReasoningMode, Role, Str, Tool, ToolChoice, ToolKind, Typed,
};

use crate::converse::CONVERSE;
use crate::converse::block::{decode_blocks, decode_mark};
use crate::json::{self, At, Fields};

/// How many messages are taken.
const MAX_MESSAGES: usize = 100_000;
/// How many tools are taken: far more than a model can tell apart.
const MAX_TOOLS: usize = 10_000;

/// Reads the members of a request.
pub(in crate::converse) fn decode(operation: Operation, members: &Members) -> Result<Typed, Error> {
    match operation {
        Operation::Models => return Ok(Typed::Models(None)),
        Operation::CountTokens => return decode_count(members),
        _ => {}
    }
    let mut chat = Chat::new();
    for (name, value) in members.iter() {
        member(&mut chat, name, value)?;
    }
    Ok(Typed::Chat(Arc::new(complete(chat)?)))
}

/// What is counted is the input of a call, of which this dialect knows two kinds.
fn decode_count(members: &Members) -> Result<Typed, Error> {
    let at = At::root("input");
    let Some(body) = members.get("input") else { return Err(required("input")) };
    let mut input: Fields<'_> = json::read(body, at, "an object")?;
    let at = at.name("converse");
    let Some(raw) = input.take("converse") else {
        return Err(at.error("only the input of Converse can be counted"));
    };
    let fields: Fields<'_> = json::read(raw, at, "an object")?;
    let mut chat = Chat::new();
    for (name, value) in fields.iter() {
        member(&mut chat, &body.slice_ref(name), &body.slice_ref(value))?;
    }
    Ok(Typed::CountTokens(Arc::new(complete(chat)?)))
}

fn required(name: &'static str) -> Error {
    At::root(name).error("this field is required")
}

fn complete(mut chat: Chat) -> Result<Chat, Error> {
    if !chat.extras.is_empty() {
        chat.extras.dialect = Some(CONVERSE);
    }
    // A prompt of the caller's own, which its ARN names, brings messages with it.
    if chat.messages.is_empty() && chat.extras.get("promptVariables").is_none() {
        return Err(required("messages"));
    }
    Ok(chat)
}

fn member(chat: &mut Chat, name: &Str, value: &Str) -> Result<(), Error> {
    if value == "null" {
        return Ok(());
    }
    let at = At::root(name);
    match name.as_str() {
        "messages" => chat.messages = decode_messages(value, at)?,
        "system" => chat.system = decode_blocks(value, value, at)?,
        "inferenceConfig" => inference(chat, value, at)?,
        "toolConfig" => tools(chat, value, at)?,
        "additionalModelRequestFields" => additional(chat, value, at)?,
        "outputConfig" => output(chat, value, at)?,
        "serviceTier" => {
            let mut tier: Fields<'_> = json::read(value, at, "an object")?;
            chat.service_tier = Some(tier.need("type", value, at)?);
            keep_rest(chat, name, &tier);
        }
        "requestMetadata" => {
            if !value.starts_with('{') {
                return Err(at.error("an object is expected"));
            }
            chat.metadata = Some(raw(value, at)?);
        }
        // The path says these. A body that says them too is a proxy's.
        "modelId" => {}
        "stream" => chat.stream = json::read(value, at, "true or false")?,
        _ => {
            let value = raw(value, at)?;
            chat.extras.push(name.clone(), value);
        }
    }
    Ok(())
}

fn raw(value: &Str, at: At<'_>) -> Result<RawJson, Error> {
    RawJson::parse(value.clone()).map_err(|_| at.error("this is not valid JSON"))
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
        let role = match item.need("role", value, at)?.as_str() {
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
        let parts: Vec<Part> = decode_blocks(content, value, at.name("content"))?;
        let mut message = Message::new(role, parts).at(index);
        item.leave(&mut message.extras, value);
        if !message.extras.is_empty() {
            message.extras.dialect = Some(CONVERSE);
        }
        messages.push(message);
    }
    Ok(messages)
}

fn inference(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut config: Fields<'_> = json::read(value, at, "an object")?;
    chat.max_output_tokens = config.value("maxTokens", at, "a whole number, 1 or more")?;
    let float = |raw: &str, name| json::read_float(raw, at.name(name));
    chat.sampling.temperature =
        config.take("temperature").map(|raw| float(raw, "temperature")).transpose()?;
    chat.sampling.top_p = config.take("topP").map(|raw| float(raw, "topP")).transpose()?;
    let stop: Option<Vec<&RawValue>> = config.value("stopSequences", at, "a list of strings")?;
    let at = at.name("stopSequences");
    for (index, text) in stop.unwrap_or_default().into_iter().enumerate() {
        chat.stop.push(json::read_text(text.get(), value, at.index(index))?);
    }
    keep_rest(chat, &Str::from_static("inferenceConfig"), &config);
    Ok(())
}

fn tools(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut config: Fields<'_> = json::read(value, at, "an object")?;
    if let Some(list) = config.take("tools") {
        chat.tools = decode_tools(list, value, at.name("tools"))?;
    }
    if let Some(raw) = config.take("toolChoice") {
        let at = at.name("toolChoice");
        let mut choice: Fields<'_> = json::read(raw, at, "an object")?;
        chat.tool_choice = Some(if choice.take("auto").is_some() {
            ToolChoice::Auto
        } else if choice.take("any").is_some() {
            ToolChoice::Any
        } else if let Some(mut tool) = choice.value::<Fields<'_>>("tool", at, "an object")? {
            ToolChoice::Tool { name: tool.need("name", value, at.name("tool"))? }
        } else {
            return Err(at.error("`auto`, `any` or `tool` is expected"));
        });
    }
    keep_rest(chat, &Str::from_static("toolConfig"), &config);
    Ok(())
}

fn decode_tools(list: &str, value: &Str, at: At<'_>) -> Result<Vec<Tool>, Error> {
    let items: Vec<&RawValue> = json::read(list, at, "a list of tools")?;
    if items.len() > MAX_TOOLS {
        return Err(at.error(format_args!("at most {MAX_TOOLS} tools are taken")));
    }
    let mut tools: Vec<Tool> = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        let at = at.index(index);
        let mut item: Fields<'_> = json::read(raw.get(), at, "an object")?;
        if let Some(mark) = item.get("cachePoint").and_then(decode_mark)
            && let Some(last) = tools.last_mut().filter(|last| last.cache.is_none())
        {
            last.cache = Some(mark);
            continue;
        }
        let Some(spec) = item.take("toolSpec") else {
            let kind = item.iter().next().map_or("", |(name, _)| name);
            let server_type = value.slice_ref(kind);
            let kind = ToolKind::Server { server_type, value: RawJson::from_raw(raw, value) };
            let mut tool = Tool::new(Str::new(), kind);
            tool.extras.dialect = Some(CONVERSE);
            tools.push(tool);
            continue;
        };
        let at = at.name("toolSpec");
        let mut spec: Fields<'_> = json::read(spec, at, "an object")?;
        let name = spec.need("name", value, at)?;
        let parameters = match spec.value::<Fields<'_>>("inputSchema", at, "an object")? {
            None => None,
            Some(mut schema) => match schema.take("json") {
                Some(schema) if schema.starts_with('{') => {
                    RawJson::parse(value.slice_ref(schema)).ok()
                }
                Some(_) => {
                    let at = at.name("inputSchema");
                    return Err(at.name("json").error("an object is expected"));
                }
                None => None,
            },
        };
        let mut tool = Tool::function(name, parameters);
        tool.description = spec.text("description", value, at)?;
        tool.strict = spec.value("strict", at, "true or false")?;
        spec.leave(&mut tool.extras, value);
        if !tool.extras.is_empty() {
            tool.extras.dialect = Some(CONVERSE);
        }
        tools.push(tool);
    }
    Ok(tools)
}

/// What goes to the model in its own words. Those of Claude, Nova and gpt-oss are understood where the superset has a field.
fn additional(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut fields: Fields<'_> = json::read(value, at, "an object")?;
    if let Some(top_k) = fields.get("top_k").and_then(|raw| raw.parse().ok()) {
        chat.sampling.top_k = Some(top_k);
        fields.take("top_k");
    }
    if let Some(thinking) = fields.get("thinking")
        && let Some(thinking) = Thinking::read(thinking)
    {
        thinking.put(chat);
        fields.take("thinking");
    }
    let effort = |fields: &Fields<'_>, name: &str| {
        let word = json::shared_text(fields.get(name)?, value)?;
        Effort::parse(&word)
    };
    if let Some(effort) = effort(&fields, "reasoning_effort") {
        chat.reasoning.effort = Some(effort);
        fields.take("reasoning_effort");
    }
    if let Some(Ok(config)) = fields.get("output_config").map(serde_json::from_str::<Fields<'_>>)
        && let Some(effort) = effort(&config, "effort")
        && config.iter().count() == 1
    {
        chat.reasoning.effort = Some(effort);
        fields.take("output_config");
    }
    if let Some(Ok(config)) = fields.get("reasoningConfig").map(serde_json::from_str::<Fields<'_>>)
    {
        match config.get("type") {
            Some("\"enabled\"") => {
                chat.reasoning.mode = Some(ReasoningMode::Auto);
                chat.reasoning.effort = effort(&config, "maxReasoningEffort");
                fields.take("reasoningConfig");
            }
            Some("\"disabled\"") => {
                chat.reasoning.mode = Some(ReasoningMode::Off);
                fields.take("reasoningConfig");
            }
            _ => {}
        }
    }
    if let Some(Ok(mut choice)) = fields.get("tool_choice").map(serde_json::from_str::<Fields<'_>>)
        && let Some(single) = choice.take("disable_parallel_tool_use")
        && let (Ok(single), Some(kind)) = (single.parse::<bool>(), choice.take("type"))
    {
        let name = choice.take("name").and_then(|raw| json::shared_text(raw, value));
        let choice = match (kind, name) {
            ("\"auto\"", None) => Some(ToolChoice::Auto),
            ("\"any\"", None) => Some(ToolChoice::Any),
            ("\"tool\"", Some(name)) => Some(ToolChoice::Tool { name }),
            _ => None,
        };
        if let Some(choice) = choice {
            chat.tool_choice.get_or_insert(choice);
            chat.parallel_tools = Some(!single);
            fields.take("tool_choice");
        }
    }
    keep_rest(chat, &Str::from_static("additionalModelRequestFields"), &fields);
    Ok(())
}

/// Claude's `thinking`, as far as the superset has fields for all it says.
struct Thinking {
    mode: ReasoningMode,
    budget: Option<u64>,
    expose: Option<Expose>,
}

impl Thinking {
    fn read(raw: &str) -> Option<Self> {
        let mut fields: Fields<'_> = serde_json::from_str(raw).ok()?;
        let mode = match fields.take("type")? {
            "\"enabled\"" => ReasoningMode::On,
            "\"adaptive\"" => ReasoningMode::Auto,
            "\"disabled\"" => ReasoningMode::Off,
            "\"between_tools\"" => ReasoningMode::BetweenTools,
            _ => return None,
        };
        let budget = fields.take("budget_tokens").map(|raw| raw.parse().ok());
        let expose = match fields.take("display") {
            None => None,
            Some("\"summarized\"") => Some(Expose::Summary),
            Some("\"omitted\"") => Some(Expose::Nothing),
            Some(_) => return None,
        };
        let budget = match budget {
            Some(None) => return None,
            Some(budget) => budget,
            None => None,
        };
        fields.is_empty().then_some(Self { mode, budget, expose })
    }

    fn put(self, chat: &mut Chat) {
        chat.reasoning.mode = Some(self.mode);
        chat.reasoning.budget_tokens = self.budget;
        chat.reasoning.expose = self.expose;
    }
}

fn output(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut config: Fields<'_> = json::read(value, at, "an object")?;
    if let Some(effort) = config.get("effort").and_then(|raw| json::shared_text(raw, value))
        && let Some(effort) = Effort::parse(&effort)
    {
        chat.reasoning.effort = Some(effort);
        config.take("effort");
    }
    if let Some(raw) = config.get("textFormat") {
        let at = at.name("textFormat");
        let mut format: Fields<'_> = json::read(raw, at, "an object")?;
        if format.need("type", value, at)? == "json_schema" {
            let at = at.name("structure");
            let structure: Option<Fields<'_>> = format.value("structure", at, "an object")?;
            let inner = structure.and_then(|mut structure| structure.take("jsonSchema"));
            let Some(inner) = inner else {
                return Err(at.name("jsonSchema").error("this field is required"));
            };
            let at = at.name("jsonSchema");
            let mut inner: Fields<'_> = json::read(inner, at, "an object")?;
            // A schema in a string.
            let schema = RawJson::parse(inner.need("schema", value, at)?).ok();
            let Some(schema) = schema.filter(RawJson::is_object) else {
                return Err(at.name("schema").error("the text of a JSON object is expected"));
            };
            let mut wanted = OutputSchema::new(schema);
            wanted.name = inner.text("name", value, at)?;
            wanted.description = inner.text("description", value, at)?;
            chat.output = OutputFormat::Schema(wanted);
            config.take("textFormat");
        }
    }
    keep_rest(chat, &Str::from_static("outputConfig"), &config);
    Ok(())
}
