//! Parts, as requests and answers hold them.

use ziggurat_core::{Content, Error, Extras, Part, RawJson, Source, Str, ToolCallKind};

use super::camel::object;
use super::{GEMINI, blob, signature};
use crate::json::{self, At, Fields, Object};
use crate::origin::{self, Origin};

/// Reads one part, and adds what it says to `parts`.
///
/// A signature of a text stands behind it, as thinking that says nothing: so it goes back through callers of any dialect. Calls
/// without an id have an empty one. What is not known is kept as it is, for this dialect only.
pub(super) fn decode(
    raw: &str,
    body: &Str,
    at: At<'_>,
    parts: &mut Vec<Part>,
) -> Result<(), Error> {
    let mut fields = object(raw, at)?;
    let thought = fields.value::<bool>("thought", at, "true or false")?.unwrap_or(false);
    let mut extras = Extras::default();
    let mut behind = None;
    let content = if let Some(text) = fields.text("text", body, at)? {
        let signature = take_signature(&mut fields, body, at)?;
        match (thought, signature) {
            (true, signature) => Content::Reasoning { text, signature, redacted: None },
            (false, Some(signature)) => {
                let silent = thinking(Str::new(), signature);
                if text.is_empty() && fields.is_empty() {
                    silent
                } else {
                    behind = Some(silent);
                    Content::Text { text, citations: Vec::new() }
                }
            }
            (false, None) => Content::Text { text, citations: Vec::new() },
        }
    } else if let Some(raw) = fields.take("inlineData") {
        let at = at.name("inlineData");
        let mut inner = object(raw, at)?;
        let media_type = inner.text("mimeType", body, at)?.unwrap_or_default();
        let data = inner.need("data", body, at)?;
        let name = inner.text("displayName", body, at)?;
        let content = blob::inline(media_type, data, name, &mut extras);
        keep(inner, "inlineData", &mut extras);
        content
    } else if let Some(raw) = fields.take("fileData") {
        let at = at.name("fileData");
        let mut inner = object(raw, at)?;
        let media_type = inner.text("mimeType", body, at)?;
        let uri = inner.need("fileUri", body, at)?;
        let content = blob::file(media_type, uri, &mut extras);
        keep(inner, "fileData", &mut extras);
        content
    } else if let Some(raw) = fields.take("functionCall") {
        let signature = take_signature(&mut fields, body, at)?;
        call(raw, body, at.name("functionCall"), signature, &mut extras)?
    } else if let Some(raw) = fields.take("functionResponse") {
        response(raw, body, at.name("functionResponse"), &mut extras)?
    } else {
        return opaque(raw, &fields, body, at, parts);
    };
    fields.leave(&mut extras, body);
    let mut part = signed(content);
    if !extras.is_empty() {
        extras.dialect = Some(GEMINI);
        part.extras = extras;
    }
    parts.push(part);
    parts.extend(behind.map(signed));
    Ok(())
}

/// A part; thinking that a model of this dialect signed is this dialect's only.
fn signed(content: Content) -> Part {
    let own = match &content {
        Content::Reasoning { signature: Some(made), .. } => origin::origin(made) == Origin::Unknown,
        _ => false,
    };
    let mut part = Part::new(content);
    part.extras.dialect = own.then_some(GEMINI);
    part
}

/// Thinking of which only the signature is there.
pub(super) fn thinking(text: Str, signature: Str) -> Content {
    Content::Reasoning { text, signature: Some(signature), redacted: None }
}

fn take_signature(fields: &mut Fields<'_>, body: &Str, at: At<'_>) -> Result<Option<Str>, Error> {
    let signature = fields.text("thoughtSignature", body, at)?;
    Ok(signature.filter(|signature| !signature.is_empty()).map(signature::read))
}

/// Keeps the members of an object inside the part that the superset has no field for.
fn keep(inner: Fields<'_>, name: &str, extras: &mut Extras) {
    for (member, value) in inner.iter().filter(|(_, value)| *value != "null") {
        if let Ok(value) = RawJson::parse(Str::from(value)) {
            extras.push(Str::from(format!("{name}.{member}")), value);
        }
    }
}

fn call(
    raw: &str,
    body: &Str,
    at: At<'_>,
    signature: Option<Str>,
    extras: &mut Extras,
) -> Result<Content, Error> {
    let mut inner = object(raw, at)?;
    let id = inner.text("id", body, at)?.unwrap_or_default();
    let name = inner.need("name", body, at)?;
    let arguments = match inner.take("args") {
        Some(args) if args.starts_with('{') => json::compact(args, body),
        Some(_) => return Err(at.name("args").error("an object is expected")),
        None => Str::from_static("{}"),
    };
    keep(inner, "functionCall", extras);
    Ok(Content::ToolCall { id, name, arguments, kind: ToolCallKind::Function, signature })
}

fn response(raw: &str, body: &Str, at: At<'_>, extras: &mut Extras) -> Result<Content, Error> {
    let mut inner = object(raw, at)?;
    let call_id = inner.text("id", body, at)?.unwrap_or_default();
    let name = inner.need("name", body, at)?;
    let (text, is_error) = match inner.take("response") {
        Some(response) if response.starts_with('{') => said(response, body),
        Some(_) => return Err(at.name("response").error("an object is expected")),
        None => (Str::new(), false),
    };
    let mut parts = Vec::new();
    if !text.is_empty() {
        parts.push(Part::text(text));
    }
    let at_parts = at.name("parts");
    let media: Option<Vec<&serde_json::value::RawValue>> =
        inner.value("parts", at, "a list of parts")?;
    for (index, raw) in media.unwrap_or_default().into_iter().enumerate() {
        let before = parts.len();
        decode(raw.get(), body, at_parts.index(index), &mut parts)?;
        if parts[before..].iter().any(|part| blob::source(&part.content).is_none()) {
            return Err(at_parts.index(index).error("`inlineData` or `fileData` is expected"));
        }
    }
    keep(inner, "functionResponse", extras);
    Ok(Content::ToolResult { call_id, name: Some(name), parts, is_error })
}

/// What a tool answered, and whether it failed: `{"output": "4 C"}` and `{"error": "timeout"}` hold a text, any other object is
/// one itself.
fn said(response: &str, body: &Str) -> (Str, bool) {
    let whole = || json::compact(response, body);
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(response) else { return (whole(), false) };
    let mut members = fields.iter();
    match (members.next(), members.next()) {
        (Some((name @ ("output" | "error"), value)), None) => {
            match json::shared_text(value, body) {
                Some(text) => (text, name == "error"),
                None => (whole(), false),
            }
        }
        (None, _) => (Str::new(), false),
        _ => (whole(), false),
    }
}

fn opaque(
    raw: &str,
    fields: &Fields<'_>,
    body: &Str,
    at: At<'_>,
    parts: &mut Vec<Part>,
) -> Result<(), Error> {
    const BESIDE: [&str; 4] =
        ["thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"];
    let Some((kind, _)) = fields.iter().find(|(name, _)| !BESIDE.contains(name)) else {
        // A part without data says nothing, unless it is signed.
        if let Some(signature) = fields.get("thoughtSignature") {
            let signature = json::read_text(signature, body, at.name("thoughtSignature"))?;
            parts.push(signed(thinking(Str::new(), signature::read(signature))));
        }
        return Ok(());
    };
    let value =
        RawJson::parse(body.slice_ref(raw)).map_err(|_| at.error("this is not valid JSON"))?;
    let mut part = Part::new(Content::Opaque { kind: kind.into(), value });
    part.extras.dialect = Some(GEMINI);
    parts.push(part);
    Ok(())
}

// === writing ===

/// Writes thinking.
pub(super) fn write_thought(text: &str, signature: Option<&str>, mut object: Object<'_>) {
    object.text("text", text);
    // Without a text it is the signature of what stands before it.
    if !text.is_empty() {
        object.flag("thought", true);
    }
    if let Some(signature) = signature {
        object.text("thoughtSignature", signature);
    }
    object.end();
}

/// The answer of a tool as the object that this dialect wants: one that it is already, or a text in one.
pub(super) fn write_response(text: &str, is_error: bool, out: &mut Vec<u8>) {
    let is_object = !is_error
        && text.trim_start().starts_with('{')
        && serde_json::from_str::<Fields<'_>>(text).is_ok();
    if is_object {
        out.extend_from_slice(text.trim().as_bytes());
        return;
    }
    let mut object = Object::begin(out);
    object.text(if is_error { "error" } else { "output" }, text);
    object.end();
}

/// Extra members of a part, those of an object inside it left out.
pub(super) fn write_extras(extras: &Extras, object: &mut Object<'_>) {
    if extras.dialect == Some(GEMINI) {
        for (name, value) in extras.members.iter().filter(|(name, _)| !name.contains('.')) {
            object.raw_named(name, value.get());
        }
    }
}

/// Extra members of an object inside a part.
pub(super) fn write_inner(extras: &Extras, inside: &str, object: &mut Object<'_>) {
    if extras.dialect == Some(GEMINI) {
        for (name, value) in &extras.members {
            let short = name.strip_prefix(inside).and_then(|name| name.strip_prefix('.'));
            if let Some(short) = short {
                object.raw_named(short, value.get());
            }
        }
    }
}

/// Whether a source is nothing that this dialect can carry, and why.
pub(super) fn trouble(source: &Source, foreign: bool) -> Option<&'static str> {
    match source {
        Source::Url(url) if url.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("data:")) => {
            Some("the data URL is not base64")
        }
        Source::File(_) if foreign => Some("a file of another provider cannot be read there"),
        Source::Base64 { .. } | Source::Text { .. } | Source::Url(_) | Source::File(_) => None,
        _ => Some("the target has no such medium"),
    }
}
