//! A valid request as the fake model sees it.

use serde_json::{Map, Value};

use crate::{
    check,
    prompt::{Choice, Output, Prompt, Tool, ToolResult, words},
};

/// A chat request, understood.
pub(super) struct Asked {
    pub(super) prompt: Prompt,
    /// How many answers are wanted.
    pub(super) choices: usize,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) obfuscate: bool,
    /// How many alternatives to tell of with each token, if log probabilities are wanted.
    pub(super) logprobs: Option<usize>,
    /// The request speaks of functions, not of tools.
    pub(super) legacy: bool,
}

impl Asked {
    /// Reads a request that passed validation; `null` and absent are the same.
    pub(super) fn read(body: &Map<String, Value>) -> Self {
        let body = &Value::Object(body.clone());
        let legacy = body["functions"].is_array();
        let (tools, choice) = tools(body, legacy);
        let mut prompt = Prompt {
            choice,
            parallel: body["parallel_tool_calls"] != false && !legacy,
            output: output(&body["response_format"]),
            stop: strings(&body["stop"]),
            max_tokens: body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()),
            reasons: body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none"),
            tokens: 5 * tools.len() as u64,
            tools,
            ..Prompt::default()
        };
        for message in body["messages"].as_array().into_iter().flatten() {
            take(&mut prompt, message);
        }
        let top = body["top_logprobs"].as_u64().and_then(|top| usize::try_from(top).ok());
        Self {
            prompt,
            choices: body["n"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
            stream: body["stream"] == true,
            include_usage: body["stream_options"]["include_usage"] == true,
            obfuscate: body["stream_options"]["include_obfuscation"] != false,
            logprobs: (body["logprobs"] == true).then(|| top.unwrap_or(0)),
            legacy,
        }
    }
}

fn take(prompt: &mut Prompt, message: &Value) {
    let content = &message["content"];
    let text = text(content);
    prompt.tokens += words(&text);
    match message["role"].as_str().unwrap_or_default() {
        "system" | "developer" => {
            if !prompt.system.is_empty() {
                prompt.system.push_str("\n\n");
            }
            prompt.system.push_str(&text);
        }
        "assistant" => {
            prompt.said_now = false;
            prompt.results.clear();
            prompt.media.clear();
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let arguments = &call["function"]["arguments"];
                let arguments = arguments.as_str().or(call["custom"]["input"].as_str());
                prompt.tokens += 1 + words(arguments.unwrap_or_default());
            }
        }
        "tool" | "function" => prompt.results.push(ToolResult { text, failed: false }),
        _ => {
            for part in content.as_array().into_iter().flatten() {
                if let Some(media) = media(part) {
                    prompt.media.push(media);
                    prompt.tokens += 10;
                }
            }
            if !text.is_empty() {
                prompt.said = text;
                prompt.said_now = true;
            }
        }
    }
}

/// The text of a content, its parts one after another.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// An image, a sound or a file in words.
fn media(part: &Value) -> Option<String> {
    let inline = |kind: &str, url: &str| {
        let (mime, data) = check::data_url(url)?;
        Some(format!("{kind} {mime} {} bytes", check::base64(data)?.len()))
    };
    match part["type"].as_str()? {
        "image_url" => {
            let url = part["image_url"]["url"].as_str()?;
            inline("image", url).or_else(|| Some(format!("image url {url}")))
        }
        "input_audio" => {
            let audio = &part["input_audio"];
            let size = check::base64(audio["data"].as_str()?)?.len();
            Some(format!("audio {} {size} bytes", audio["format"].as_str()?))
        }
        "file" => match part["file"]["file_id"].as_str() {
            Some(id) => Some(format!("document file {id}")),
            None => inline("document", part["file"]["file_data"].as_str()?),
        },
        _ => None,
    }
}

fn tools(body: &Value, legacy: bool) -> (Vec<Tool>, Choice) {
    let list = if legacy { &body["functions"] } else { &body["tools"] };
    let mut tools: Vec<_> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|tool| {
            let kind = if tool["type"] == "custom" { "custom" } else { "function" };
            let inner = if legacy { tool } else { &tool[kind] };
            Tool {
                name: inner["name"].as_str().unwrap_or_default().to_owned(),
                schema: (kind == "function").then(|| match &inner["parameters"] {
                    Value::Null => serde_json::json!({"type": "object", "properties": {}}),
                    schema => schema.clone(),
                }),
            }
        })
        .collect();
    let given = if legacy { &body["function_call"] } else { &body["tool_choice"] };
    let name = |choice: &Value| {
        let inner = if legacy { choice } else { &choice[choice["type"].as_str()?] };
        inner["name"].as_str().map(str::to_owned)
    };
    let choice = match given.as_str() {
        Some("none") => Choice::Never,
        Some("required") => Choice::Any,
        Some(_) => Choice::Auto,
        None if given["type"] == "allowed_tools" => {
            let allowed = &given["allowed_tools"];
            let names: Vec<_> =
                allowed["tools"].as_array().into_iter().flatten().filter_map(name).collect();
            tools.retain(|tool| names.contains(&tool.name));
            if allowed["mode"] == "required" { Choice::Any } else { Choice::Auto }
        }
        None => name(given).map_or(Choice::Auto, Choice::This),
    };
    (tools, choice)
}

fn output(format: &Value) -> Output {
    match format["type"].as_str() {
        Some("json_object") => Output::Json,
        Some("json_schema") => match &format["json_schema"]["schema"] {
            Value::Null => Output::Json,
            schema => Output::Schema(schema.clone()),
        },
        _ => Output::Text,
    }
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
