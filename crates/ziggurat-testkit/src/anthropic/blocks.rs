//! What Anthropic refuses in messages one by one: roles, blocks and media.

use super::{
    Version,
    error::Fault,
    fields::{Field, Members},
};
use crate::check;

/// A message whose shape is in order.
pub(super) struct Message<'a> {
    pub(super) path: String,
    pub(super) role: &'a str,
    /// The blocks; a text alone is `None`.
    pub(super) blocks: Option<Vec<Members<'a>>>,
    /// The text alone.
    pub(super) text: &'a str,
}

/// Blocks of server tools, which are sent back as they came.
const OPAQUE: [&str; 9] = [
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "container_upload",
    "compaction",
];
const KINDS: [&str; 8] = [
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
];

pub(super) fn messages<'a>(field: &Field<'a>, version: Version) -> Result<Vec<Message<'a>>, Fault> {
    let items = field.items()?;
    if items.is_empty() {
        return Err(field.fault("at least one message is required"));
    }
    let count = items.len();
    let read = |(at, item): (usize, &Field<'a>)| message(item, version, at + 1 == count);
    items.iter().enumerate().map(read).collect()
}

fn message<'a>(field: &Field<'a>, version: Version, last: bool) -> Result<Message<'a>, Fault> {
    let message = field.object()?;
    let role = message
        .need("role")?
        .one_of(&["user", "assistant", "system"])
        .map_err(|_| Fault::at(&message.path("role"), "Input should be 'user' or 'assistant'"))?;
    message.only(&["role", "content"])?;
    let content = message.need("content")?;
    let path = field.path.clone();
    let (blocks, text) = if let Some(text) = content.value.as_str() {
        (None, text)
    } else {
        let items = content.items()?;
        let blocks = items.iter().map(|item| block(item, role, version));
        (Some(blocks.collect::<Result<Vec<_>, _>>()?), "")
    };
    let empty = blocks.as_ref().map_or(text.is_empty(), Vec::is_empty);
    if empty && !(last && role == "assistant") {
        let what = "all messages must have non-empty content except for the optional final \
                    assistant message";
        return Err(Fault::at(&path, what));
    }
    if blocks.is_none() && !text.is_empty() {
        not_blank(text)?;
    }
    Ok(Message { path, role, blocks, text })
}

fn not_blank(text: &str) -> Result<(), Fault> {
    let what = if text.is_empty() {
        "text content blocks must be non-empty"
    } else if text.trim().is_empty() {
        "text content blocks must contain non-whitespace text"
    } else {
        return Ok(());
    };
    Err(Fault::at("messages", what))
}

fn block<'a>(field: &Field<'a>, role: &str, version: Version) -> Result<Members<'a>, Fault> {
    let members = field.object()?;
    let kind = members.tag(&[&KINDS[..], &OPAQUE].concat())?;
    let home = match kind {
        "text" => role,
        "document" if version == Version::Old && role == "assistant" => role,
        "image" | "document" | "search_result" | "tool_result" => "user",
        _ => "assistant",
    };
    if home != role || (role == "system" && kind != "text") {
        let what = format!("`{kind}` blocks can only be in `{home}` messages");
        return Err(field.fault(&what));
    }
    let block = members.clone().tagged(kind);
    match kind {
        "text" => {
            text(&block)?;
            not_blank(block.need("text")?.string()?)?;
            cites_nothing(&block, role, version)?;
        }
        "image" | "document" | "search_result" => media(kind, &block, version)?,
        "thinking" => {
            block.only(&["type", "thinking", "signature"])?;
            block.need("thinking")?.string()?;
            block.need("signature")?.string()?;
        }
        "redacted_thinking" => {
            block.only(&["type", "data"])?;
            block.need("data")?.string()?;
        }
        "tool_use" => {
            block.only(&[
                "type",
                "id",
                "name",
                "input",
                "cache_control",
                "caller",
                "toolset_name",
            ])?;
            id(&block.need("id")?)?;
            let name = block.need("name")?;
            if !check::is_name(name.string()?, 200) {
                return Err(name.fault("String should match pattern '^[a-zA-Z0-9_-]{1,200}$'"));
            }
            block.need("input")?.object()?;
        }
        "tool_result" => tool_result(&block, version)?,
        _ => {}
    }
    Ok(members)
}

fn id(field: &Field<'_>) -> Result<(), Fault> {
    if check::is_name(field.string()?, usize::MAX) {
        return Ok(());
    }
    Err(field.fault("String should match pattern '^[a-zA-Z0-9_-]+$'"))
}

fn tool_result(block: &Members<'_>, version: Version) -> Result<(), Fault> {
    block.only(&["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"])?;
    id(&block.need("tool_use_id")?)?;
    block.get("is_error").map(|field| field.boolean()).transpose()?;
    let Some(content) = block.get("content").filter(|content| !content.value.is_string()) else {
        return Ok(());
    };
    for item in content.items()? {
        let members = item.object()?;
        let kind = members.tag(&["text", "image", "document", "search_result"])?;
        let inner = members.tagged(kind);
        if kind == "text" {
            text(&inner)?;
            not_blank(inner.need("text")?.string()?)?;
        } else {
            media(kind, &inner, version)?;
        }
    }
    Ok(())
}

fn text(block: &Members<'_>) -> Result<(), Fault> {
    block.only(&["type", "text", "cache_control", "citations"])?;
    block.need("text")?.string()?;
    block.nullable("citations").map(|field| field.items()).transpose()?;
    Ok(())
}

/// A list that may hold text blocks only; `what` names it.
pub(super) fn text_only(field: &Field<'_>, what: &str) -> Result<(), Fault> {
    let members = field.object()?;
    members.tag(&["text"])?;
    let block = members.tagged("text");
    text(&block)?;
    if block.need("text")?.string()?.is_empty() {
        return Err(Fault::at(what, "text content blocks must be non-empty"));
    }
    Ok(())
}

/// Since `2026-10-21` users cite nothing.
fn cites_nothing(block: &Members<'_>, role: &str, version: Version) -> Result<(), Fault> {
    let cites = block.nullable("citations");
    let cites = cites.filter(|field| field.value.as_array().is_some_and(|list| !list.is_empty()));
    match cites {
        Some(field) if role == "user" && version == Version::New => {
            Err(field.fault("citations are not permitted in user messages"))
        }
        _ => Ok(()),
    }
}

fn media(kind: &str, block: &Members<'_>, version: Version) -> Result<(), Fault> {
    match kind {
        "image" => {
            block.only(&["type", "source", "cache_control", "transformations"])?;
            image(&block.need("source")?)
        }
        "document" => {
            block.only(&["type", "source", "title", "context", "citations", "cache_control"])?;
            for name in ["title", "context"] {
                block.nullable(name).map(|field| field.string()).transpose()?;
            }
            enabled(block)?;
            document(&block.need("source")?)
        }
        _ => {
            block.only(&["type", "source", "title", "content", "citations", "cache_control"])?;
            block.need("source")?.string()?;
            block.need("title")?.string()?;
            enabled(block)?;
            for item in block.need("content")?.items()? {
                text_only(&item, "messages")?;
                cites_nothing(&item.object()?, "user", version)?;
            }
            Ok(())
        }
    }
}

/// `citations: {"enabled": true}`.
fn enabled(block: &Members<'_>) -> Result<(), Fault> {
    let Some(field) = block.nullable("citations") else { return Ok(()) };
    let citations = field.object()?;
    citations.only(&["enabled"])?;
    citations.get("enabled").map(|field| field.boolean()).transpose()?;
    Ok(())
}

fn image(field: &Field<'_>) -> Result<(), Fault> {
    let source = field.object()?;
    let kind = source.tag(&["base64", "url", "file"])?;
    let source = source.tagged(kind);
    if kind != "base64" {
        return elsewhere(kind, &source);
    }
    source.only(&["type", "media_type", "data"])?;
    let claimed = source.need("media_type")?.one_of(&check::IMAGES)?;
    let bytes = data(&source)?;
    match check::sniff(&bytes).filter(|found| check::IMAGES.contains(found)) {
        Some(found) if found == claimed => Ok(()),
        Some(found) => {
            let what = format!(
                "The image was specified using the {claimed} media type, but the image appears to \
                 be a {found} image"
            );
            Err(Fault::at(&source.path, &what))
        }
        None => Err(Fault::invalid("Could not process image".to_owned())),
    }
}

fn document(field: &Field<'_>) -> Result<(), Fault> {
    let source = field.object()?;
    let kind = source.tag(&["base64", "text", "content", "url", "file"])?;
    let source = source.tagged(kind);
    match kind {
        "base64" => {
            source.only(&["type", "media_type", "data"])?;
            source.need("media_type")?.one_of(&["application/pdf"])?;
            if check::sniff(&data(&source)?) != Some("application/pdf") {
                return Err(Fault::invalid("The PDF specified was not valid.".to_owned()));
            }
            Ok(())
        }
        "text" => {
            source.only(&["type", "media_type", "data"])?;
            source.need("media_type")?.one_of(&["text/plain"])?;
            source.need("data")?.string().map(drop)
        }
        "content" => {
            source.only(&["type", "content"])?;
            let content = source.need("content")?;
            if content.value.is_string() {
                return Ok(());
            }
            for item in content.items()? {
                let members = item.object()?;
                match members.tag(&["text", "image"])? {
                    "text" => text(&members.tagged("text"))?,
                    _ => image(&members.tagged("image").need("source")?)?,
                }
            }
            Ok(())
        }
        _ => elsewhere(kind, &source),
    }
}

/// A source of type `url` or `file`.
fn elsewhere(kind: &str, source: &Members<'_>) -> Result<(), Fault> {
    let name = if kind == "url" { "url" } else { "file_id" };
    source.only(&["type", name])?;
    let field = source.need(name)?;
    let text = field.string()?;
    if kind == "url" && !(text.starts_with("https://") && check::is_web_url(text)) {
        return Err(field.fault("Only HTTPS URLs are supported."));
    }
    Ok(())
}

fn data(source: &Members<'_>) -> Result<Vec<u8>, Fault> {
    let data = source.need("data")?;
    let bytes = check::base64(data.string()?).filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| data.fault("Input should be valid base64"))
}
