//! Content blocks, as requests and answers hold them.

use serde_json::value::RawValue;
use ziggurat_core::{CacheMark, Content, Error, Extras, Part, RawJson, Source, Str, ToolCallKind};

use super::ANTHROPIC;
use crate::json::{self, At, Fields};
pub(super) use crate::tools::write_input;

/// Reads content: a string is one text block.
pub(super) fn decode_content(raw: &str, body: &Str, at: At<'_>) -> Result<Vec<Part>, Error> {
    decode_parts(raw, body, at, false)
}

fn decode_parts(raw: &str, body: &Str, at: At<'_>, nested: bool) -> Result<Vec<Part>, Error> {
    if raw.starts_with('"') {
        let text = json::read_text(raw, body, at)?;
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] });
    }
    let blocks: Vec<&RawValue> = json::read(raw, at, "a string or a list of blocks")?;
    let read =
        |(index, block): (usize, &&RawValue)| decode_block(block, body, at.index(index), nested);
    blocks.iter().enumerate().map(read).collect()
}

/// Reads one block. What is not known is kept as it is, for this dialect only.
pub(super) fn decode_block(
    raw: &RawValue,
    body: &Str,
    at: At<'_>,
    nested: bool,
) -> Result<Part, Error> {
    let mut fields: Fields<'_> = json::read(raw.get(), at, "an object")?;
    let kind = fields.need("type", body, at)?;
    let cache = decode_mark(&mut fields, body);
    let known = match kind.as_str() {
        "text" => Some(decode_text(&mut fields, body, at)?),
        "image" => decode_source(&mut fields, body, at, &["base64", "url", "file"])?
            .map(|source| Content::Image { source, detail: None }),
        "document" => decode_document(&mut fields, body, at)?,
        "thinking" => Some(Content::Reasoning {
            text: fields.need("thinking", body, at)?,
            signature: fields.text("signature", body, at)?,
            redacted: None,
        }),
        "redacted_thinking" => Some(Content::Reasoning {
            text: Str::new(),
            signature: None,
            redacted: Some(fields.need("data", body, at)?),
        }),
        "tool_use" => Some(Content::ToolCall {
            id: fields.need("id", body, at)?,
            name: fields.need("name", body, at)?,
            arguments: match fields.take("input") {
                Some(input) => json::compact(input, body),
                None => Str::from_static("{}"),
            },
            kind: ToolCallKind::Function,
            signature: None,
        }),
        "tool_result" if nested => {
            return Err(at.error("a tool result cannot hold another one"));
        }
        "tool_result" => Some(Content::ToolResult {
            call_id: fields.need("tool_use_id", body, at)?,
            name: None,
            parts: match fields.take("content") {
                Some(content) => decode_parts(content, body, at.name("content"), true)?,
                None => Vec::new(),
            },
            is_error: fields.value("is_error", at, "true or false")?.unwrap_or(false),
        }),
        _ => None,
    };
    let mut part = match known {
        Some(content) => {
            let mut part = Part::new(content);
            fields.leave(&mut part.extras, body);
            part
        }
        None => {
            let value = RawJson::from_raw(raw, body);
            Part::new(Content::Opaque { kind, value })
        }
    };
    part.cache = cache;
    if matches!(part.content, Content::Opaque { .. }) || !part.extras.is_empty() {
        part.extras.dialect = Some(ANTHROPIC);
    }
    Ok(part)
}

fn decode_text(fields: &mut Fields<'_>, body: &Str, at: At<'_>) -> Result<Content, Error> {
    let text = fields.need("text", body, at)?;
    let citations: Option<Vec<&RawValue>> = fields.value("citations", at, "a list")?;
    let citations = citations.unwrap_or_default();
    let citations = citations.into_iter().map(|raw| RawJson::from_raw(raw, body)).collect();
    Ok(Content::Text { text, citations })
}

fn decode_document(
    fields: &mut Fields<'_>,
    body: &Str,
    at: At<'_>,
) -> Result<Option<Content>, Error> {
    let kinds = ["base64", "text", "content", "url", "file"];
    let Some(source) = decode_source(fields, body, at, &kinds)? else { return Ok(None) };
    let citations = match fields.value::<Fields<'_>>("citations", at, "an object")? {
        None => None,
        Some(mut citations) => citations.value("enabled", at.name("citations"), "true or false")?,
    };
    Ok(Some(Content::Document {
        source,
        title: fields.text("title", body, at)?,
        context: fields.text("context", body, at)?,
        citations,
    }))
}

/// Reads where a medium is; `None` when the source says more than is understood, so that the block is kept whole.
fn decode_source(
    fields: &mut Fields<'_>,
    body: &Str,
    at: At<'_>,
    kinds: &[&str],
) -> Result<Option<Source>, Error> {
    let Some(raw) = fields.take("source") else {
        return Err(at.name("source").error("this field is required"));
    };
    let at = at.name("source");
    let mut source: Fields<'_> = json::read(raw, at, "an object")?;
    let kind = source.need("type", body, at)?;
    if !kinds.contains(&kind.as_str()) {
        return Ok(None);
    }
    let read = match kind.as_str() {
        "base64" => Source::Base64 {
            media_type: source.need("media_type", body, at)?,
            data: source.need("data", body, at)?,
        },
        "text" => Source::Text {
            media_type: source
                .text("media_type", body, at)?
                .unwrap_or(Str::from_static("text/plain")),
            text: source.need("data", body, at)?,
        },
        "url" => Source::Url(source.need("url", body, at)?),
        "file" => Source::File(source.need("file_id", body, at)?),
        _ => match source.take("content") {
            Some(content) => match RawJson::parse(body.slice_ref(content)) {
                Ok(content) => Source::Parts(content),
                Err(_) => return Err(at.name("content").error("this is not valid JSON")),
            },
            None => return Err(at.name("content").error("this field is required")),
        },
    };
    Ok(source.is_empty().then_some(read))
}

/// Takes a cache mark out, if it is one of the known ones; another stays among the extras.
pub(super) fn decode_mark(fields: &mut Fields<'_>, body: &Str) -> Option<CacheMark> {
    let raw = fields.get("cache_control")?;
    let mut mark: Fields<'_> = serde_json::from_str(raw).ok()?;
    if mark.take("type") != Some("\"ephemeral\"") {
        return None;
    }
    let mark = match mark.take("ttl").map(|ttl| json::shared_text(ttl, body)) {
        _ if !mark.is_empty() => return None,
        None => CacheMark::Default,
        Some(Some(ttl)) if ttl == "5m" => CacheMark::FiveMinutes,
        Some(Some(ttl)) if ttl == "1h" => CacheMark::OneHour,
        Some(_) => return None,
    };
    fields.take("cache_control");
    Some(mark)
}

/// The extras of something that left these fields over.
pub(super) fn leftover(fields: Fields<'_>, body: &Str) -> Extras {
    let mut extras = Extras::default();
    fields.leave(&mut extras, body);
    if !extras.is_empty() {
        extras.dialect = Some(ANTHROPIC);
    }
    extras
}
