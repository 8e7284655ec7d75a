//! A valid request as the fake model sees it.

use serde_json::{Map, Value};

use super::{models::Model, tools::is_custom};
use crate::{
    check,
    prompt::{Choice, Output, Prompt, Tool, ToolResult, words},
};

/// A request, understood.
pub(super) struct Asked {
    pub(super) prompt: Prompt,
    pub(super) stream: bool,
    /// Thinking is signed, but not shown.
    pub(super) omitted: bool,
}

impl Asked {
    /// Reads a request that passed validation.
    pub(super) fn read(body: &Map<String, Value>, model: &Model) -> Self {
        let body = &Value::Object(body.clone());
        let thinking = &body["thinking"];
        let choice = &body["tool_choice"];
        let tools: Vec<_> =
            list(&body["tools"]).iter().filter(|tool| is_custom(tool)).map(tool).collect();
        let system = text(&body["system"]);
        let schema = &body["output_config"]["format"]["schema"];
        let mut prompt = Prompt {
            choice: match choice["type"].as_str() {
                Some("none") => Choice::Never,
                Some("any") => Choice::Any,
                Some("tool") => Choice::This(choice["name"].as_str().unwrap_or_default().into()),
                _ => Choice::Auto,
            },
            parallel: choice["disable_parallel_tool_use"] != true,
            output: if schema.is_null() { Output::Text } else { Output::Schema(schema.clone()) },
            stop: list(&body["stop_sequences"])
                .iter()
                .filter_map(|sequence| sequence.as_str().map(str::to_owned))
                .collect(),
            max_tokens: body["max_tokens"].as_u64(),
            reasons: matches!(thinking["type"].as_str(), Some("enabled" | "adaptive")),
            tokens: 5 * list(&body["tools"]).len() as u64 + words(&system),
            system,
            tools,
            ..Prompt::default()
        };
        let messages = list(&body["messages"]);
        for (at, message) in messages.iter().enumerate() {
            take(&mut prompt, message, at + 1 == messages.len());
        }
        let display = thinking["display"].as_str();
        // Newer models do not show their thinking unless asked to.
        let omitted = match display {
            Some(display) => display == "omitted",
            None => prompt.reasons && model.version >= (4, 7),
        };
        Self { prompt, stream: body["stream"] == true, omitted }
    }
}

fn take(prompt: &mut Prompt, message: &Value, last: bool) {
    let content = &message["content"];
    match message["role"].as_str().unwrap_or_default() {
        "system" => {
            let text = text(content);
            prompt.tokens += words(&text);
            prompt.system = format!("{}\n\n{text}", prompt.system).trim().to_owned();
        }
        "assistant" => {
            // A last message of the assistant's is the beginning of this very turn.
            if !last {
                prompt.said_now = false;
                prompt.results.clear();
                prompt.media.clear();
            }
            prompt.tokens += words(&text(content));
            for block in list(content).iter().filter(|block| block["type"] == "tool_use") {
                prompt.tokens += 1 + words(&block["input"].to_string());
            }
        }
        _ => {
            let said = text(content);
            prompt.tokens += words(&said);
            for block in list(content) {
                if block["type"] == "tool_result" {
                    let text = text(&block["content"]);
                    prompt.tokens += words(&text);
                    let failed = block["is_error"] == true;
                    prompt.results.push(ToolResult { text, failed });
                    list(&block["content"]).iter().for_each(|inner| take_media(prompt, inner));
                }
                take_media(prompt, block);
            }
            if !said.is_empty() {
                // Messages of one role in a row are one.
                prompt.said =
                    if prompt.said_now { format!("{}\n{said}", prompt.said) } else { said };
                prompt.said_now = true;
            }
        }
    }
}

fn take_media(prompt: &mut Prompt, block: &Value) {
    if let Some(media) = media(block) {
        prompt.media.push(media);
        prompt.tokens += 10;
    }
}

/// The text of a content, its text blocks one after another.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter(|block| block["type"] == "text");
            let texts: Vec<_> = texts.filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// An image or a document in words.
fn media(block: &Value) -> Option<String> {
    let kind = block["type"].as_str()?;
    match kind {
        "image" | "document" => {}
        "search_result" => return Some(format!("search result {}", block["source"].as_str()?)),
        _ => return None,
    }
    let source = &block["source"];
    let string = |name: &str| source[name].as_str().unwrap_or_default();
    let size = match string("type") {
        "url" => return Some(format!("{kind} url {}", string("url"))),
        "file" => return Some(format!("{kind} file {}", string("file_id"))),
        "content" => return Some(format!("{kind} content")),
        "text" => string("data").len(),
        _ => check::base64(string("data"))?.len(),
    };
    Some(format!("{kind} {} {size} bytes", string("media_type")))
}

fn tool(tool: &Value) -> Tool {
    Tool {
        name: tool["name"].as_str().unwrap_or_default().to_owned(),
        schema: Some(tool["input_schema"].clone()),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
