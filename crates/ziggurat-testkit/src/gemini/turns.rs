//! What Gemini refuses in contents: roles, parts, pairs of calls and responses, signatures.

use serde_json::Value;

use super::{error::Fault, fields::DATA, models::Model, signature::is_known};
use crate::check::{self, sniff};

/// What it sees and hears, besides `text/*`, `audio/*` and `video/*`.
const MEDIA: [&str; 7] = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/heic",
    "image/heif",
    "image/gif",
    "application/pdf",
];

pub(super) fn check(body: &Value, model: &Model) -> Result<(), Fault> {
    let contents = list(&body["contents"]);
    if contents.is_empty() {
        let what = "contents is not specified";
        return Err(Fault::field("GenerateContentRequest.contents", what));
    }
    if let Some(system) = body.get("systemInstruction") {
        parts(system, "system_instruction", model)?;
        if list(&system["parts"]).iter().any(|part| part.get("text").is_none()) {
            return Err(Fault::invalid("System instruction can only contain text."));
        }
    }
    for (at, content) in contents.iter().enumerate() {
        let role = content["role"].as_str();
        if !matches!(role, Some("user" | "model" | "function") | None)
            || (role.is_none() && contents.len() > 1)
        {
            return Err(Fault::invalid("Please use a valid role: user, model."));
        }
        parts(content, &format!("contents[{at}]"), model)?;
    }
    pairs(contents)?;
    if model.signs { signed(contents) } else { Ok(()) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_model(content: &Value) -> bool {
    content["role"] == "model"
}

fn having<'a>(content: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    list(&content["parts"]).iter().filter(move |part| part.get(name).is_some())
}

fn parts(content: &Value, path: &str, model: &Model) -> Result<(), Fault> {
    let parts = list(&content["parts"]);
    if parts.is_empty() {
        let path = format!("GenerateContentRequest.{path}.parts");
        return Err(Fault::field(&path, "contents.parts must not be empty."));
    }
    for (at, part) in parts.iter().enumerate() {
        let path = format!("{path}.parts[{at}]");
        let mut data = DATA.iter().filter(|name| part.get(name).is_some());
        let first = data.next();
        if let Some(second) = data.next() {
            return Err(Fault::invalid(format!(
                "Invalid value at '{path}' (oneof), oneof field 'data' is already set. Cannot set \
                 '{second}'"
            )));
        }
        // A part of a signature alone is a part without data.
        if first.is_none() {
            let path = format!("GenerateContentRequest.{path}.data");
            let what = "required oneof field 'data' must have one initialized field";
            return Err(Fault::field(&path, what));
        }
        if part["text"] == "" && part.get("thoughtSignature").is_none() {
            let path = format!("GenerateContentRequest.{path}");
            return Err(Fault::field(&path, "text must not be empty"));
        }
        named(part, &path, model, is_model(content))?;
        media(part)?;
        list(&part["functionResponse"]["parts"]).iter().try_for_each(media)?;
    }
    Ok(())
}

/// Calls are the model's and responses the user's, both have names, and ids where models know them.
fn named(part: &Value, path: &str, model: &Model, models: bool) -> Result<(), Fault> {
    for (name, snake) in
        [("functionCall", "function_call"), ("functionResponse", "function_response")]
    {
        let Some(value) = part.get(name) else { continue };
        let path = format!("{path}.{snake}");
        if value["name"].as_str().unwrap_or_default().is_empty() {
            let path = format!("GenerateContentRequest.{path}.name");
            return Err(Fault::field(&path, "Name cannot be empty."));
        }
        if !model.signs && value.get("id").is_some() {
            return Err(Fault::unknown("id", &path));
        }
        if name == "functionResponse" && value.get("response").is_none() {
            let path = format!("GenerateContentRequest.{path}.response");
            return Err(Fault::field(&path, "Response cannot be empty."));
        }
        if (name == "functionCall") != models {
            return Err(Fault::invalid(if models {
                "Please ensure that function response turn comes immediately after a function \
                 call turn."
            } else {
                "Please ensure that function call turn comes immediately after a user turn or \
                 after a function response turn."
            }));
        }
    }
    Ok(())
}

fn media(part: &Value) -> Result<(), Fault> {
    let known = |mime: &str| {
        MEDIA.contains(&mime) || ["text/", "audio/", "video/"].iter().any(|it| mime.starts_with(it))
    };
    for name in ["inlineData", "fileData"] {
        let Some(media) = part.get(name) else { continue };
        let mime = media["mimeType"].as_str().unwrap_or_default();
        let optional = name == "fileData" && mime.is_empty();
        if !optional && !known(mime) {
            return Err(Fault::invalid(format!("Unsupported MIME type: {mime}")));
        }
        if name == "fileData" && media["fileUri"].as_str().unwrap_or_default().is_empty() {
            return Err(Fault::invalid("Invalid or unsupported file uri: "));
        }
        let data = media["data"].as_str().unwrap_or_default();
        let found = check::base64(data).unwrap_or_default();
        let is_other = sniff(&found).is_some_and(|found| found != mime);
        if name == "inlineData" && (data.is_empty() || (mime.starts_with("image/") && is_other)) {
            return Err(Fault::invalid(
                "Unable to process input image. Please retry or report in \
                                       https://developers.generativeai.google/guide/troubleshooting",
            ));
        }
    }
    Ok(())
}

/// The model's contents in a row are a turn; all its calls are answered in the very next content.
fn pairs(contents: &[Value]) -> Result<(), Fault> {
    let mut open = Vec::new();
    let mut models = false;
    for content in contents {
        if is_model(content) {
            if !models {
                open.clear();
            }
            open.extend(having(content, "functionCall").map(|part| &part["functionCall"]));
            models = true;
            continue;
        }
        let answers: Vec<_> =
            having(content, "functionResponse").map(|part| &part["functionResponse"]).collect();
        if open.is_empty() && !answers.is_empty() {
            return Err(Fault::invalid(
                "Please ensure that function response turn comes immediately after a function \
                 call turn.",
            ));
        }
        if open.len() != answers.len() {
            return Err(Fault::invalid(
                "Please ensure that the number of function response parts is equal to the number \
                 of function call parts of the function call turn.",
            ));
        }
        for (call, answer) in open.iter().zip(&answers) {
            let strange = |name: &str| {
                let (of, by) = (call[name].as_str(), answer[name].as_str());
                of != by && (name == "name" || (of.is_some() && by.is_some()))
            };
            if strange("name") || strange("id") {
                return Err(Fault::invalid(
                    "Please ensure that function responses are in the order of the function calls \
                     that they answer.",
                ));
            }
        }
        open.clear();
        models = false;
    }
    Ok(())
}

/// Since the last real message of the user's the first call of each step is signed.
fn signed(contents: &[Value]) -> Result<(), Fault> {
    let is_new = |content: &Value| {
        !is_model(content) && having(content, "functionResponse").next().is_none()
    };
    let since = contents.iter().rposition(is_new).unwrap_or(0);
    let mut in_step = false;
    for (at, content) in contents.iter().enumerate() {
        in_step &= is_model(content);
        for part in list(&content["parts"]) {
            let signature = part["thoughtSignature"].as_str();
            if signature.is_some_and(|signature| !is_known(signature)) {
                return Err(Fault::invalid("Corrupted thought signature."));
            }
            let Some(call) = part.get("functionCall") else { continue };
            if at > since && !in_step && signature.is_none() {
                let name = call["name"].as_str().unwrap_or_default();
                return Err(Fault::invalid(format!(
                    "Function call is missing a thought_signature in functionCall parts. This is \
                     required for tools to work correctly, and missing thought_signature may lead \
                     to degraded model performance. Additional data, function call \
                     `default_api:{name}` , position {}. Please refer to \
                     https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                    at + 1
                )));
            }
            in_step = true;
        }
    }
    Ok(())
}
