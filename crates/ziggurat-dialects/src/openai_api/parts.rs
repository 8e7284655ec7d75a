//! Parts of messages, as far as they are the same: marks for the cache, sound, files, what a tool answered.

use ziggurat_core::{
    CacheMark, Capabilities, Content, Dialect, Error, Extras, Losses, Part, Severity, Source, Str,
};

use super::FAILED;
use crate::json::{self, Object};
use crate::media;
use crate::node::Node;

// === reading ===

/// A tool's answer. One that failed says so at its beginning.
pub(crate) fn result(call_id: Str, name: Option<Str>, mut parts: Vec<Part>) -> Part {
    let mut is_error = false;
    if let Some(Content::Text { text, .. }) = parts.first_mut().map(|part| &mut part.content)
        && let Some(rest) = text.strip_prefix(FAILED)
    {
        is_error = true;
        *text = text.slice_ref(rest);
        if text.is_empty() && parts.len() == 1 && parts[0].cache.is_none() {
            parts.clear();
        }
    }
    Part::new(Content::ToolResult { call_id, name, parts, is_error })
}

/// `prompt_cache_breakpoint`, or `cache_control` as clients of Anthropic's models send it through this dialect.
pub(crate) fn cache_mark(node: &Node<'_>) -> Result<CacheMark, Error> {
    if !node.is_object() {
        return Err(node.expected("an object"));
    }
    let Some(ttl) = node.get("ttl") else { return Ok(CacheMark::Default) };
    match ttl.string()?.as_str() {
        "5m" => Ok(CacheMark::FiveMinutes),
        "30m" => Ok(CacheMark::HalfHour),
        "1h" => Ok(CacheMark::OneHour),
        "12h" => Ok(CacheMark::TwelveHours),
        _ => Err(ttl.unknown("5m, 30m, 1h, 12h")),
    }
}

/// Reads sound.
pub(crate) fn audio(
    dialect: Dialect,
    node: &Node<'_>,
    extras: &mut Extras,
) -> Result<Content, Error> {
    let format = node.need("format")?.string()?;
    let data = node.need("data")?.string()?;
    node.members(|name, node| match name {
        "data" | "format" => Ok(()),
        _ => node.keep(dialect, extras, &format!("input_audio.{name}")),
    })?;
    let media_type = media::audio_type(&format);
    let data = media::base64_text(&data, &data);
    Ok(Content::Audio { source: Source::Base64 { media_type, data } })
}

/// Reads the bytes of a file: a data URL, or the bare base64 text.
pub(crate) fn file_data(data: &Str) -> Source {
    media::parse_data_url(data).unwrap_or_else(|| {
        let data = media::base64_text(data, data);
        Source::Base64 { media_type: media::true_type("", &data), data }
    })
}

/// Says what a file is where its bytes do not.
pub(crate) fn type_file(source: &mut Source, title: Option<&Str>, said: Option<Str>) {
    if let Source::Base64 { media_type, .. } = source
        && media_type.is_empty()
    {
        let by_name = title.and_then(|title| media::type_of_name(title)).map(Str::from_static);
        *media_type = said.or(by_name).unwrap_or_default();
    }
}

/// The signature that a tool call must be sent back with, in Google's extension of the format or flat.
pub(crate) fn call_signature(call: &Node<'_>) -> Option<Str> {
    let nested = call.get("extra_content");
    let nested = nested.as_ref().and_then(|extra| extra.get("google"));
    let nested = nested.as_ref().and_then(|google| google.get("thought_signature"));
    let flat = call.get("thought_signature");
    nested.and_then(|node| node.as_string()).or_else(|| flat.and_then(|node| node.as_string()))
}

// === writing ===

/// Writes the signature of a tool call as Google's own compatible endpoint does.
pub(crate) fn write_call_signature(call: &mut Object<'_>, signature: &str) {
    let mut extra = Object::begin(call.member("extra_content"));
    let mut google = Object::begin(extra.member("google"));
    google.text("thought_signature", signature);
    google.end();
    extra.end();
}

/// Writes where a medium is: its address, or a data URL.
pub(crate) fn write_source(object: &mut Object<'_>, name: &'static str, source: &Source) {
    match source {
        Source::Base64 { media_type, data } => {
            let said = if media_type.is_empty() { "application/octet-stream" } else { media_type };
            plain_text(object.member(name), &["data:", said, ";base64,", data]);
        }
        Source::Url(address) | Source::File(address) => object.text(name, address),
        _ => object.text(name, ""),
    }
}

/// Writes a string that mostly needs no escapes, at the speed of a copy.
pub(crate) fn plain_text(out: &mut Vec<u8>, pieces: &[&str]) {
    let escapes = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // No early exit, so that the compiler makes it one pass at many bytes a step.
    let any = |text: &&str| text.bytes().fold(false, |any, byte| any | escapes(byte));
    if pieces.iter().any(any) {
        return json::string(out, &pieces.concat());
    }
    out.push(b'"');
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
    out.push(b'"');
}

/// Marks a part for the cache where the model knows the mark; else the mark is lost.
pub(crate) fn write_cache_mark(
    object: Option<&mut Object<'_>>,
    mark: CacheMark,
    model: &Capabilities,
    losses: &mut Losses,
) -> Result<(), Error> {
    let Some(object) = object.filter(|_| model.cache_marks) else {
        let reason = "prompts are cached without being marked here";
        return losses.drop(Severity::Harmless, "cache_control", reason);
    };
    let mut inner = Object::begin(object.member("prompt_cache_breakpoint"));
    inner.text("mode", "explicit");
    match mark {
        CacheMark::Default => {}
        CacheMark::TwelveHours => inner.text("ttl", "12h"),
        CacheMark::HalfHour => inner.text("ttl", "30m"),
        _ => {
            losses.clamp("cache_control.ttl", "prompts are kept for half an hour here")?;
            inner.text("ttl", "30m");
        }
    }
    inner.end();
    Ok(())
}
