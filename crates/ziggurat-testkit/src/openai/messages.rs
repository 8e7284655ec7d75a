//! What OpenAI refuses in `messages`.

use super::{
    error::Fault,
    fields::{Field, Members},
    models::Model,
};
use crate::check;

const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];

pub(super) fn check(field: &Field<'_>, model: &Model) -> Result<(), Fault> {
    let mut messages = Vec::new();
    for item in field.some_items()? {
        let message = item.object()?;
        let role = message.need("role")?.one_of(&ROLES)?;
        message_of(role, &message, model)?;
        messages.push((role, message));
    }
    answered(&messages)
}

fn message_of(role: &str, message: &Members<'_>, model: &Model) -> Result<(), Fault> {
    match role {
        "assistant" => return assistant(message, model),
        "tool" => {
            message.only(&["role", "content", "tool_call_id"])?;
            message.need("tool_call_id")?.short(40)?;
        }
        "function" => {
            message.only(&["role", "content", "name"])?;
            message.need("name")?.name()?;
        }
        _ => message.only(&["role", "content", "name"])?,
    }
    message.get("name").map(|name| name.string()).transpose()?;
    content(&message.need("content")?, role, model)
}

fn assistant(message: &Members<'_>, model: &Model) -> Result<(), Fault> {
    message.only(&[
        "role",
        "content",
        "name",
        "refusal",
        "tool_calls",
        "function_call",
        "audio",
        // Part of every answer, so that clients send it back.
        "annotations",
    ])?;
    for name in ["name", "refusal"] {
        message.get(name).map(|field| field.string()).transpose()?;
    }
    let calls = message.get("tool_calls");
    for call in calls.iter().map(Field::some_items).collect::<Result<Vec<_>, _>>()?.iter().flatten()
    {
        tool_call(&call.object()?)?;
    }
    let function = message.get("function_call");
    if let Some(call) = &function {
        let call = call.object()?;
        call.only(&["name", "arguments"])?;
        call.need("name")?.name()?;
        call.need("arguments")?.string()?;
    }
    let has_more = ["refusal", "audio"].iter().any(|name| message.get(name).is_some());
    match message.get("content") {
        Some(field) => content(&field, "assistant", model),
        None if calls.is_some() || function.is_some() || has_more => Ok(()),
        None => Err(Fault::missing(&message.path("content"))),
    }
}

fn tool_call(call: &Members<'_>) -> Result<(), Fault> {
    let kind = call.need("type")?.one_of(&["function", "custom"])?;
    call.only(&["id", "type", kind])?;
    call.need("id")?.short(40)?;
    let inner = call.need(kind)?.object()?;
    let input = if kind == "function" { "arguments" } else { "input" };
    inner.only(&["name", input])?;
    inner.need("name")?.name()?;
    inner.need(input)?.string()?;
    Ok(())
}

fn content(field: &Field<'_>, role: &str, model: &Model) -> Result<(), Fault> {
    if field.value.is_string() {
        return Ok(());
    }
    if !field.value.is_array() {
        return Err(field.wrong_type("one of a string or array of objects"));
    }
    let kinds: &[&str] = match role {
        "user" => &["text", "image_url", "input_audio", "file"],
        "assistant" => &["text", "refusal"],
        _ => &["text"],
    };
    for item in field.some_items()? {
        let part = item.object()?;
        let kind = part.need("type")?.one_of(kinds)?;
        part.only(&["type", kind, "prompt_cache_breakpoint"])?;
        let inner = part.need(kind)?;
        match kind {
            "image_url" => image(&inner)?,
            "input_audio" => audio(&inner, model)?,
            "file" => file(&inner)?,
            _ => drop(inner.string()?),
        }
        if let Some(mark) = part.get("prompt_cache_breakpoint") {
            let mark = mark.object()?;
            mark.only(&["mode", "ttl"])?;
            mark.need("mode")?.one_of(&["explicit"])?;
            mark.get("ttl").map(|ttl| ttl.one_of(&["30m", "12h"])).transpose()?;
        }
    }
    Ok(())
}

fn image(field: &Field<'_>) -> Result<(), Fault> {
    let image = field.object()?;
    image.only(&["url", "detail"])?;
    let details = ["auto", "low", "high", "original"];
    image.get("detail").map(|detail| detail.one_of(&details)).transpose()?;
    let field = image.need("url")?;
    let url = field.string()?;
    let bad = |code: &str, expected: &str| {
        let message = format!("Invalid image URL: '{}'. Expected {expected}.", field.path);
        Fault::invalid(code, &field.path, message)
    };
    let example = "a base64-encoded data URL with an image MIME type (e.g. \
                   'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=')";
    if !url.starts_with("data:") {
        if check::is_web_url(url) {
            return Ok(());
        }
        let expected = "a valid URL, but got a value with an invalid format";
        return Err(bad("invalid_image_url", expected));
    }
    let Some((mime, data)) = check::data_url(url) else {
        let expected = format!("{example}, but got a value without the 'base64' marker");
        return Err(bad("invalid_image_url", &expected));
    };
    if !mime.starts_with("image/") {
        let expected = format!("{example}, but got unsupported MIME type '{mime}'");
        return Err(bad("invalid_value", &expected));
    }
    let Some(bytes) = check::base64(data) else {
        let expected = format!("{example}, but got an invalid base64-encoded value");
        return Err(bad("invalid_base64", &expected));
    };
    if !check::sniff(&bytes).is_some_and(|found| check::IMAGES.contains(&found)) {
        let message = "You uploaded an unsupported image. Please make sure your image has of one \
                       the following formats: ['png', 'jpeg', 'gif', 'webp'].";
        return Err(Fault::invalid("invalid_image_format", &field.path, message.to_owned()));
    }
    Ok(())
}

fn audio(field: &Field<'_>, model: &Model) -> Result<(), Fault> {
    let audio = field.object()?;
    audio.only(&["data", "format"])?;
    audio.need("format")?.one_of(&["wav", "mp3"])?;
    let data = audio.need("data")?;
    if check::base64(data.string()?).is_none() {
        let what = "expected base64-encoded audio";
        return Err(data.invalid("invalid_base64", what));
    }
    if !model.audio {
        let message = format!(
            "Invalid value: 'input_audio' in '{}' is not supported with this model.",
            field.path
        );
        return Err(Fault::invalid("invalid_value", &field.path, message));
    }
    Ok(())
}

fn file(field: &Field<'_>) -> Result<(), Fault> {
    let file = field.object()?;
    file.only(&["filename", "file_data", "file_id"])?;
    file.get("filename").map(|name| name.string()).transpose()?;
    match (file.get("file_id"), file.get("file_data")) {
        (Some(id), None) => {
            if id.string()?.starts_with("file-") {
                return Ok(());
            }
            let what = "expected an ID that begins with 'file'";
            Err(id.invalid("invalid_value", what))
        }
        (None, Some(data)) => {
            file.need("filename")?;
            pdf(&data)
        }
        (None, None) => Err(Fault::missing(&file.path("file_id"))),
        (Some(_), Some(_)) => {
            let message = "Mutually exclusive parameters: 'file_id' and 'file_data'.";
            Err(Fault::invalid("mutually_exclusive_parameters", &field.path, message.to_owned()))
        }
    }
}

fn pdf(field: &Field<'_>) -> Result<(), Fault> {
    let (mime, data) = check::data_url(field.string()?).unwrap_or(("", ""));
    let bytes = check::base64(data).unwrap_or_default();
    if mime == "application/pdf" && check::sniff(&bytes) == Some("application/pdf") {
        return Ok(());
    }
    let message = format!(
        "Invalid file data: '{}'. Expected a base64-encoded data URL with an application/pdf MIME \
         type (e.g. 'data:application/pdf;base64,aW1nIGJ5dGVzIGhlcmU='), but got unsupported MIME \
         type '{mime}'.",
        field.path
    );
    Err(Fault::invalid("invalid_value", &field.path, message))
}

/// Every call is answered before anything else is said, and nothing else is answered.
fn answered(messages: &[(&str, Members<'_>)]) -> Result<(), Fault> {
    let mut called: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (role, message) in messages {
        if *role == "tool" {
            let field = message.need("tool_call_id")?;
            let id = field.string()?;
            if called.is_empty() {
                let told = "Invalid parameter: messages with role 'tool' must be a response to a \
                            preceeding message with 'tool_calls'.";
                return Err(Fault::invalid("", &message.path("role"), told.to_owned()));
            }
            if !called.contains(&id) {
                let told = format!(
                    "Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of \
                     previous message."
                );
                return Err(Fault::invalid("", &field.path, told));
            }
            open.retain(|waiting| *waiting != id);
            continue;
        }
        all_answered(&open, &message.path("role"))?;
        called.clear();
        if let Some(calls) = message.get("tool_calls") {
            for call in calls.items()? {
                called.push(call.object()?.need("id")?.string()?);
            }
        }
        open.clone_from(&called);
    }
    all_answered(&open, "messages")
}

fn all_answered(open: &[&str], path: &str) -> Result<(), Fault> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to \
         each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(Fault::invalid("", path, message))
}
