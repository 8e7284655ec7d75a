//! A valid request as the fake model sees it.

use serde_json::{Map, Value, json};

use super::models::{Model, Thinking};
use crate::{
    check,
    prompt::{Choice, Output, Prompt, Tool, ToolResult, words},
};

/// A request, understood.
pub(super) struct Asked {
    pub(super) prompt: Prompt,
    pub(super) candidates: usize,
    /// Thoughts are to be shown.
    pub(super) thoughts: bool,
    /// How many likely tokens are told beside each, if that is asked for.
    pub(super) logprobs: Option<usize>,
}

impl Asked {
    /// Reads a request that passed validation.
    pub(super) fn read(body: &Value, model: &Model) -> Self {
        let config = &body["generationConfig"];
        let calling = &body["toolConfig"]["functionCallingConfig"];
        let system = text(&body["systemInstruction"]);
        let tools: Vec<_> = list(&body["tools"])
            .iter()
            .flat_map(|tool| list(&tool["functionDeclarations"]))
            .collect();
        let allowed = list(&calling["allowedFunctionNames"]);
        let mut prompt = Prompt {
            choice: match calling["mode"].as_str() {
                Some("NONE") => Choice::Never,
                Some("ANY") => match allowed {
                    [one] => Choice::This(one.as_str().unwrap_or_default().to_owned()),
                    _ => Choice::Any,
                },
                _ => Choice::Auto,
            },
            parallel: true,
            output: output(config),
            stop: list(&config["stopSequences"])
                .iter()
                .filter_map(|sequence| sequence.as_str().map(str::to_owned))
                .collect(),
            max_tokens: config["maxOutputTokens"].as_u64(),
            reasons: thinks(&config["thinkingConfig"], model),
            tokens: 5 * tools.len() as u64 + words(&system),
            tools: tools
                .into_iter()
                .filter(|tool| allowed.is_empty() || allowed.contains(&tool["name"]))
                .map(tool)
                .collect(),
            system,
            ..Prompt::default()
        };
        list(&body["contents"]).iter().for_each(|content| take(&mut prompt, content));
        let count = config["candidateCount"].as_u64().unwrap_or(1);
        let top = config["logprobs"].as_u64().unwrap_or(0);
        Self {
            prompt,
            candidates: usize::try_from(count).unwrap_or(1),
            thoughts: config["thinkingConfig"]["includeThoughts"] == true,
            logprobs: (config["responseLogprobs"] == true)
                .then(|| usize::try_from(top).unwrap_or_default()),
        }
    }
}

/// Models think by themselves where they can; here only whoever asks for it is shown it.
fn thinks(config: &Value, model: &Model) -> bool {
    let asked = config.is_object() && !matches!(model.thinking, Thinking::Never);
    asked && config["thinkingBudget"] != 0
}

fn output(config: &Value) -> Output {
    let schema = config.get("responseJsonSchema").or(config.get("responseSchema"));
    match (schema, config["responseMimeType"].as_str()) {
        (Some(schema), _) => Output::Schema(lowered(schema)),
        (None, Some("application/json")) => Output::Json,
        _ => Output::Text,
    }
}

/// A schema whose types are in lower case.
fn lowered(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("type", Some(kind)) => (name.clone(), Value::from(kind.to_ascii_lowercase())),
                _ => (name.clone(), lowered(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(lowered).collect(),
        other => other.clone(),
    }
}

fn tool(tool: &Value) -> Tool {
    let schema = tool.get("parametersJsonSchema").or(tool.get("parameters"));
    Tool {
        name: tool["name"].as_str().unwrap_or_default().to_owned(),
        schema: Some(schema.map_or_else(|| json!({"type": "object"}), lowered)),
    }
}

fn take(prompt: &mut Prompt, content: &Value) {
    let said = text(content);
    prompt.tokens += words(&said);
    if content["role"] == "model" {
        prompt.said_now = false;
        prompt.results.clear();
        prompt.media.clear();
        for part in list(&content["parts"]) {
            if let Some(call) = part.get("functionCall") {
                prompt.tokens += 1 + words(&call["args"].to_string());
            }
        }
        return;
    }
    for part in list(&content["parts"]) {
        if let Some(answer) = part.get("functionResponse") {
            let result = result(&answer["response"]);
            prompt.tokens += words(&result.text);
            prompt.results.push(result);
            list(&answer["parts"]).iter().for_each(|inner| take_media(prompt, inner));
        }
        take_media(prompt, part);
    }
    if !said.is_empty() {
        // Contents of one role in a row are one.
        prompt.said = if prompt.said_now { format!("{}\n{said}", prompt.said) } else { said };
        prompt.said_now = true;
    }
}

/// `output` or `error` where the response has one alone, the whole response else.
fn result(response: &Value) -> ToolResult {
    let members = response.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match members.collect::<Vec<_>>().as_slice() {
        [(name, value)] if *name == "output" => ToolResult { text: text(value), failed: false },
        [(name, value)] if *name == "error" => ToolResult { text: text(value), failed: true },
        _ => ToolResult { text: response.to_string(), failed: false },
    }
}

fn take_media(prompt: &mut Prompt, part: &Value) {
    if let Some(media) = media(part) {
        prompt.media.push(media);
        prompt.tokens += 10;
    }
}

/// Media in words.
fn media(part: &Value) -> Option<String> {
    let kind = |mime: &str| match mime.split('/').next() {
        Some(kind @ ("image" | "audio" | "video")) => kind.to_owned(),
        _ => "document".to_owned(),
    };
    if let Some(data) = part.get("inlineData") {
        let mime = data["mimeType"].as_str().unwrap_or_default();
        let size = check::base64(data["data"].as_str()?)?.len();
        return Some(format!("{} {mime} {size} bytes", kind(mime)));
    }
    let file = part.get("fileData")?;
    let mime = file["mimeType"].as_str().unwrap_or_default();
    Some(format!("{} url {}", kind(mime), file["fileUri"].as_str()?))
}

/// The text of a content, its texts one after another; thoughts are none.
fn text(content: &Value) -> String {
    let parts = list(&content["parts"]).iter().filter(|part| part["thought"] != true);
    let texts: Vec<_> =
        parts.filter_map(|part| part["text"].as_str()).filter(|text| !text.is_empty()).collect();
    texts.join("\n")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
