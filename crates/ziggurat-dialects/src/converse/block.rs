//! Content blocks, as requests and answers hold them: objects of one member, whose name says what it is.

use serde_json::value::RawValue;
use ziggurat_core::{CacheMark, Content, Error, Extras, Part, RawJson, Source, Str, ToolCallKind};

use super::media::Medium;
use super::{CONVERSE, citation, state};
use crate::json::{self, Array, At, Fields, Object};

/// The member of a part's extras that says that a text stood in a `guardContent` block, with what else that said.
pub(super) const GUARDED: &str = "guardContent";
/// The member of a part's extras that says that a text stood in a `json` block of a tool's result.
pub(super) const JSON: &str = "json";
/// The member of a part's extras that says who owns the bucket of an `s3Location`.
pub(super) const OWNER: &str = "bucketOwner";

/// Reads a list of blocks. A cache point marks the block before it.
pub(super) fn decode_blocks(raw: &str, body: &Str, at: At<'_>) -> Result<Vec<Part>, Error> {
    blocks(raw, body, at, false)
}

fn blocks(raw: &str, body: &Str, at: At<'_>, nested: bool) -> Result<Vec<Part>, Error> {
    let blocks: Vec<&RawValue> = json::read(raw, at, "a list of content blocks")?;
    let mut parts: Vec<Part> = Vec::with_capacity(blocks.len());
    for (index, raw) in blocks.into_iter().enumerate() {
        let part = decode_block(raw, body, at.index(index), nested)?;
        if let Content::Opaque { kind, value } = &part.content
            && kind == "cachePoint"
            && let Some(mark) = mark(value)
            && let Some(last) = parts.last_mut().filter(|last| last.cache.is_none())
        {
            last.cache = Some(mark);
            continue;
        }
        parts.push(part);
    }
    Ok(parts)
}

/// Reads a cache point, if it says nothing that is not known.
fn mark(value: &RawJson) -> Option<CacheMark> {
    let mut outer: Fields<'_> = value.read().ok()?;
    decode_mark(outer.take("cachePoint")?)
}

/// Reads the content of a cache point, if it says nothing that is not known.
pub(super) fn decode_mark(point: &str) -> Option<CacheMark> {
    let mut point: Fields<'_> = serde_json::from_str(point).ok()?;
    if point.take("type") != Some("\"default\"") {
        return None;
    }
    let ttl = point.take("ttl");
    if !point.is_empty() {
        return None;
    }
    match ttl {
        None => Some(CacheMark::Default),
        Some("\"5m\"") => Some(CacheMark::FiveMinutes),
        Some("\"1h\"") => Some(CacheMark::OneHour),
        Some(_) => None,
    }
}

/// Writes a cache point as a block of its own.
pub(super) fn write_mark(mark: CacheMark, array: &mut Array<'_>) {
    let mut block = array.object();
    let mut point = Object::begin(block.member("cachePoint"));
    point.text("type", "default");
    match mark {
        CacheMark::FiveMinutes => point.text("ttl", "5m"),
        CacheMark::OneHour | CacheMark::TwelveHours => point.text("ttl", "1h"),
        // Half an hour is what OpenAI calls its shortest time, as five minutes are here.
        _ => {}
    }
    point.end();
    block.end();
}

/// Reads one block. What is not known is kept as it is, for this dialect only.
fn decode_block(raw: &RawValue, body: &Str, at: At<'_>, nested: bool) -> Result<Part, Error> {
    let fields: Fields<'_> = json::read(raw.get(), at, "an object")?;
    let mut members = fields.iter().filter(|(_, value)| *value != "null");
    let (Some((kind, value)), None) = (members.next(), members.next()) else {
        return Err(at.error("an object with exactly one member is expected"));
    };
    let mut extras = Extras::default();
    if nested && kind == "toolResult" {
        return Err(at.error("a tool result cannot hold another one"));
    }
    let known = known(kind, value, body, at.name(kind), &mut extras)?;
    let mut part = match known {
        Some(content) => Part::new(content),
        None => {
            let value = RawJson::from_raw(raw, body);
            extras = Extras::default();
            Part::new(Content::Opaque { kind: body.slice_ref(kind), value })
        }
    };
    if matches!(part.content, Content::Opaque { .. }) || !extras.is_empty() {
        extras.dialect = Some(CONVERSE);
    }
    part.extras = extras;
    Ok(part)
}

/// Reads a block whose kind is known; `None` when it says more than is understood.
fn known(
    kind: &str,
    value: &str,
    body: &Str,
    at: At<'_>,
    extras: &mut Extras,
) -> Result<Option<Content>, Error> {
    let text = |text: Str| Content::Text { text, citations: Vec::new() };
    let object = || json::read::<Fields<'_>>(value, at, "an object");
    Ok(Some(match kind {
        "text" => text(json::read_text(value, body, at)?),
        JSON => {
            extras.push(Str::from_static(JSON), json::constant("true"));
            text(json::compact(value, body))
        }
        "image" => return medium(Medium::Image, object()?, body, at, extras),
        "video" => return medium(Medium::Video, object()?, body, at, extras),
        "audio" => return medium(Medium::Audio, object()?, body, at, extras),
        "document" => return medium(Medium::Document, object()?, body, at, extras),
        "toolUse" => {
            let mut fields = object()?;
            // Another type is a tool of the provider's own.
            if fields.get("type").is_some() {
                return Ok(None);
            }
            let call = Content::ToolCall {
                id: fields.need("toolUseId", body, at)?,
                name: fields.need("name", body, at)?,
                arguments: match fields.take("input") {
                    Some(input) => json::compact(input, body),
                    None => Str::from_static("{}"),
                },
                kind: ToolCallKind::Function,
                signature: None,
            };
            fields.leave(extras, body);
            call
        }
        "toolResult" => {
            let mut fields = object()?;
            if fields.get("type").is_some() {
                return Ok(None);
            }
            let result = Content::ToolResult {
                call_id: fields.need("toolUseId", body, at)?,
                name: None,
                parts: match fields.take("content") {
                    Some(content) => blocks(content, body, at.name("content"), true)?,
                    None => Vec::new(),
                },
                is_error: match fields.text("status", body, at)?.as_deref() {
                    None | Some("success") => false,
                    Some("error") => true,
                    Some(other) => {
                        let wrong = format_args!("`success` or `error` is expected, not `{other}`");
                        return Err(at.name("status").error(wrong));
                    }
                },
            };
            fields.leave(extras, body);
            result
        }
        "reasoningContent" => return reasoning(object()?, body, at),
        "citationsContent" => return cited(object()?, body, at),
        GUARDED => return guarded(object()?, body, at, extras),
        _ => return Ok(None),
    }))
}

fn reasoning(mut fields: Fields<'_>, body: &Str, at: At<'_>) -> Result<Option<Content>, Error> {
    if let Some(data) = fields.text("redactedContent", body, at)? {
        let redacted = Some(state::read_redacted(&data));
        return Ok(Some(Content::Reasoning { text: Str::new(), signature: None, redacted }));
    }
    let at = at.name("reasoningText");
    let Some(raw) = fields.take("reasoningText") else { return Ok(None) };
    let mut inner: Fields<'_> = json::read(raw, at, "an object")?;
    let (text, signature) = (inner.need("text", body, at)?, inner.text("signature", body, at)?);
    let understood = inner.is_empty() && fields.is_empty();
    Ok(understood.then_some(Content::Reasoning { text, signature, redacted: None }))
}

/// A text with citations. Its pieces are one text: only together do they mean what is cited.
fn cited(mut fields: Fields<'_>, body: &Str, at: At<'_>) -> Result<Option<Content>, Error> {
    let pieces: Option<Vec<Fields<'_>>> = fields.value("content", at, "a list")?;
    let mut text = String::new();
    for mut piece in pieces.unwrap_or_default() {
        let Some(more) = piece.text("text", body, at.name("content"))? else { return Ok(None) };
        text.push_str(&more);
    }
    let citations: Option<Vec<&RawValue>> = fields.value("citations", at, "a list")?;
    let citations = citations.unwrap_or_default().into_iter();
    let citations = citations.map(|raw| citation::read(&RawJson::from_raw(raw, body))).collect();
    Ok(fields.is_empty().then(|| Content::Text { text: text.into(), citations }))
}

/// A text that a guardrail looks at: to others it is a text.
fn guarded(
    mut fields: Fields<'_>,
    body: &Str,
    at: At<'_>,
    extras: &mut Extras,
) -> Result<Option<Content>, Error> {
    let at = at.name("text");
    let Some(raw) = fields.take("text") else { return Ok(None) };
    let mut inner: Fields<'_> = json::read(raw, at, "an object")?;
    let text = inner.need("text", body, at)?;
    let rest = inner.object().unwrap_or_else(|| json::constant("{}"));
    extras.push(Str::from_static(GUARDED), rest);
    Ok(fields.is_empty().then_some(Content::Text { text, citations: Vec::new() }))
}

fn medium(
    medium: Medium,
    mut fields: Fields<'_>,
    body: &Str,
    at: At<'_>,
    extras: &mut Extras,
) -> Result<Option<Content>, Error> {
    let format = fields.text("format", body, at)?;
    if format.is_none() && medium != Medium::Document {
        return Err(at.name("format").error("this field is required"));
    }
    let from = at.name("source");
    let Some(raw) = fields.take("source") else {
        return Err(from.error("this field is required"));
    };
    let mut source: Fields<'_> = json::read(raw, from, "an object")?;
    let media_type = |otherwise: &'static str| match &format {
        Some(format) => Str::from(&*medium.media_type(format)),
        None => Str::from_static(otherwise),
    };
    let read = if let Some(data) = source.text("bytes", body, from)? {
        Source::Base64 { media_type: media_type(""), data }
    } else if let Some(raw) = source.take("s3Location") {
        let at = from.name("s3Location");
        let mut location: Fields<'_> = json::read(raw, at, "an object")?;
        let uri = location.need("uri", body, at)?;
        if let Some(owner) = location.take(OWNER) {
            let owner = json::raw_json(owner.as_bytes().to_vec()).unwrap_or(RawJson::NULL);
            extras.push(Str::from_static(OWNER), owner);
        }
        // The address alone does not always tell the format.
        if let Some(format) = &format {
            extras.push(Str::from_static("format"), RawJson::string(format));
        }
        if !location.is_empty() {
            return Ok(None);
        }
        Source::File(uri)
    } else if let Some(text) = source.text("text", body, from)? {
        Source::Text { media_type: media_type("text/plain"), text }
    } else if let Some(raw) = source.take("content") {
        match parts(raw) {
            Some(parts) => Source::Parts(parts),
            None => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    if !source.is_empty() {
        return Ok(None);
    }
    let content = match medium {
        Medium::Image => Content::Image { source: read, detail: None },
        Medium::Video => Content::Video { source: read },
        Medium::Audio => Content::Audio { source: read },
        Medium::Document => Content::Document {
            source: read,
            title: fields.text("name", body, at)?,
            context: fields.text("context", body, at)?,
            citations: match fields.value::<Fields<'_>>("citations", at, "an object")? {
                None => None,
                Some(mut citations) => {
                    citations.value("enabled", at.name("citations"), "true or false")?
                }
            },
        },
    };
    fields.leave(extras, body);
    Ok(Some(content))
}

/// Parts of a document, in the superset's spelling: `[{"text":"a"}]` is `[{"type":"text","text":"a"}]`.
fn parts(raw: &str) -> Option<RawJson> {
    let pieces: Vec<Fields<'_>> = serde_json::from_str(raw).ok()?;
    let mut out = Vec::with_capacity(raw.len() + 32);
    let mut array = Array::begin(&mut out);
    for mut piece in pieces {
        let text = piece.take("text").filter(|_| piece.is_empty())?;
        let mut object = array.object();
        object.text("type", "text");
        object.raw("text", text);
        object.end();
    }
    array.end();
    json::raw_json(out)
}

/// Parts of a document in this dialect's spelling; `None` if some are no text.
pub(super) fn own_parts(parts: &RawJson) -> Option<RawJson> {
    let pieces: Vec<Fields<'_>> = parts.read().ok()?;
    let mut out = Vec::with_capacity(parts.get().len());
    let mut array = Array::begin(&mut out);
    for mut piece in pieces {
        let is_text = piece.take("type") == Some("\"text\"");
        let text = piece.take("text").filter(|_| is_text)?;
        let mut object = array.object();
        object.raw("text", text);
        object.end();
    }
    array.end();
    json::raw_json(out)
}
