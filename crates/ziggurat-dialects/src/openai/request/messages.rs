//! The messages of a request.

use ziggurat_core::{
    CacheMark, Chat, Content, Error, Extras, Message, Part, Role, Source, Str, ToolCallKind,
};

use crate::node::Node;
use crate::openai::OPENAI;
use crate::openai::wire::{self, ThinkingBlock};
use crate::openai_api::parts::{audio, cache_mark, call_signature, file_data, result, type_file};
use crate::spelled::Spelled;
use crate::{media, tools};

/// Reads the messages and counts them. What the operator says first is the system prompt.
pub(super) fn decode(node: &Node<'_>, chat: &mut Chat) -> Result<usize, Error> {
    let mut legacy = Legacy::default();
    let mut count = 0;
    let mut items = node.list()?;
    loop {
        if let Some((index, (role, text))) = items.next_spelled(|item| plain(item, node)) {
            let parts = if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
            add(Message::new(role, parts).at(index), chat);
            count += 1;
            continue;
        }
        let Some((index, node)) = items.next()? else { return Ok(count) };
        count += 1;
        let role = node.need("role")?;
        let message = match role.string()?.as_str() {
            "system" => spoken(&node, Role::System)?,
            "developer" => spoken(&node, Role::Developer)?,
            "user" => spoken(&node, Role::User)?,
            "assistant" => assistant(&node, index, &mut legacy)?,
            "tool" => tool(&node)?,
            "function" => legacy.result(&node, index)?,
            _ => {
                return Err(role.unknown("system, developer, user, assistant, tool, function"));
            }
        };
        add(message.at(index), chat);
    }
}

/// A message that is a text and nothing else, as most are: it is read in one pass.
fn plain(message: &mut Spelled<'_>, list: &Node<'_>) -> Option<(Role, Str)> {
    let (mut role, mut text) = (None, None);
    message.members(|name, value| {
        match name {
            b"role" => {
                role = Some(match value.word()? {
                    b"system" => Role::System,
                    b"developer" => Role::Developer,
                    b"user" => Role::User,
                    b"assistant" => Role::Assistant,
                    _ => return None,
                });
            }
            b"content" => text = Some(value.string()?),
            _ => return None,
        }
        Some(())
    })?;
    Some((role?, list.text_at(&text?)?))
}

fn add(message: Message, chat: &mut Chat) {
    let operator = matches!(message.role, Role::System | Role::Developer);
    if operator && chat.messages.is_empty() {
        prompt(message, chat);
    } else {
        chat.messages.push(message);
    }
}

/// Adds a leading message to the system prompt. What the prompt has no room for stays with its first part.
fn prompt(mut message: Message, chat: &mut Chat) {
    let Some(first) = message.parts.first_mut() else { return };
    if let Some(name) = message.name {
        first.extras.dialect = Some(OPENAI);
        first.extras.push(Str::from_static("name"), ziggurat_core::RawJson::string(&name));
    }
    if !message.extras.is_empty() {
        first.extras.dialect = Some(OPENAI);
        first.extras.members.append(&mut message.extras.members);
    }
    match chat.system.is_empty() {
        true => chat.system = message.parts,
        false => chat.system.append(&mut message.parts),
    }
}

/// A message of the operator or the user.
fn spoken(node: &Node<'_>, role: Role) -> Result<Message, Error> {
    let mut message = Message::new(role, Vec::new());
    let (mut said, mut mark) = (None, None);
    node.members(|name, node| {
        match name {
            "role" => {}
            "content" => said = Some(content(&node)?),
            "name" => message.name = Some(node.string()?),
            "cache_control" => mark = Some(cache_mark(&node)?),
            _ => node.keep(OPENAI, &mut message.extras, name)?,
        }
        Ok(())
    })?;
    message.parts = match said {
        Some(parts) => parts,
        None => content(&node.need("content")?)?,
    };
    mark_last(&mut message.parts, mark);
    Ok(message)
}

fn assistant(node: &Node<'_>, index: usize, legacy: &mut Legacy) -> Result<Message, Error> {
    let mut message = Message::new(Role::Assistant, Vec::new());
    let mut extras = Extras::default();
    let mut mark = None;
    let mut blocks = None;
    let mut reasoning = Str::new();
    let mut said = Vec::new();
    let mut calls = Vec::new();
    node.members(|name, node| {
        match name {
            "role" => {}
            "content" => said.splice(0..0, content(&node)?).for_each(drop),
            "refusal" => {
                let text = node.string()?;
                said.push(Part::new(Content::Refusal { text }));
            }
            "name" => message.name = Some(node.string()?),
            "cache_control" => mark = Some(cache_mark(&node)?),
            "thinking_blocks" => blocks = Some(wire::thinking_blocks(&node)?),
            "reasoning_content" => reasoning = node.string()?,
            "reasoning" if node.is_string() && reasoning.is_empty() => reasoning = node.string()?,
            "tool_calls" => node.items(|_, call| {
                calls.push(tool_call(&call, false)?);
                Ok(())
            })?,
            "function_call" => calls.push(legacy.call(&node, index)?),
            "audio" => said.push(opaque("audio", &node)?),
            // Clients send whole answers back, empty members included.
            "annotations" if node.text() == "[]" => {}
            _ => node.keep(OPENAI, &mut extras, name)?,
        }
        Ok(())
    })?;
    message.parts = thoughts(blocks.unwrap_or_default(), reasoning);
    mark_last(&mut said, mark);
    message.parts.append(&mut said);
    message.parts.append(&mut calls);
    message.extras = extras;
    Ok(message)
}

/// Reasoning that comes back: the blocks, or the text where there are none.
pub(in crate::openai) fn thoughts(blocks: Vec<ThinkingBlock>, text: Str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let spoken = |block: &ThinkingBlock| matches!(block, ThinkingBlock::Thinking { .. });
    if !text.is_empty() && !blocks.iter().any(spoken) {
        parts.push(Part::new(Content::Reasoning { text, signature: None, redacted: None }));
    }
    parts.extend(blocks.into_iter().map(|block| {
        Part::new(match block {
            ThinkingBlock::Thinking { text, signature } => {
                Content::Reasoning { text, signature, redacted: None }
            }
            ThinkingBlock::Redacted(data) => {
                Content::Reasoning { text: Str::new(), signature: None, redacted: Some(data) }
            }
        })
    }));
    parts
}

/// Reads a call, in a request or in an answer. A few servers give no ids in their answers: there it may be missing.
pub(in crate::openai) fn tool_call(node: &Node<'_>, may_lack_id: bool) -> Result<Part, Error> {
    let (kind, inner) = match (node.get("custom"), node.get("function")) {
        (Some(custom), _) => (ToolCallKind::Custom, custom),
        (None, Some(function)) => (ToolCallKind::Function, function),
        (None, None) => (ToolCallKind::Function, node.need("function")?),
    };
    let name = inner.need("name")?.string()?;
    let field = if kind == ToolCallKind::Custom { "input" } else { "arguments" };
    let arguments = match inner.get(field) {
        None => Str::new(),
        Some(arguments) if arguments.is_object() => arguments.raw()?.into_text(),
        Some(arguments) => arguments.string()?,
    };
    let id = match node.get("id") {
        None if may_lack_id => Str::new(),
        _ => node.need("id")?.string()?,
    };
    let signature = call_signature(node);
    let signed = signature.is_some();
    let mut part = Part::new(Content::ToolCall { id, name, arguments, kind, signature });
    node.members(|name, node| {
        match name {
            // A client that keeps deltas sends their number back.
            "id" | "type" | "function" | "custom" | "index" => {}
            "extra_content" | "thought_signature" if signed => {}
            "cache_control" => part.cache = Some(cache_mark(&node)?),
            _ => node.keep(OPENAI, &mut part.extras, name)?,
        }
        Ok(())
    })?;
    Ok(part)
}

fn tool(node: &Node<'_>) -> Result<Message, Error> {
    let call_id = node.need("tool_call_id")?.string()?;
    let mut extras = Extras::default();
    let mut name = None;
    let mut cache = None;
    node.members(|member, node| {
        match member {
            "role" | "content" | "tool_call_id" => {}
            "name" => name = Some(node.string()?),
            "cache_control" => cache = Some(cache_mark(&node)?),
            _ => node.keep(OPENAI, &mut extras, member)?,
        }
        Ok(())
    })?;
    let parts = match node.get("content") {
        Some(node) => content(&node)?,
        None => Vec::new(),
    };
    let mut message = Message::new(Role::Tool, vec![result(call_id, name, parts)]);
    message.parts[0].cache = cache;
    message.extras = extras;
    Ok(message)
}

/// Calls and results from before there were tools: without ids, so that they are given some.
#[derive(Default)]
struct Legacy {
    /// Name and id of the calls that wait for their result.
    open: Vec<(Str, Str)>,
}

impl Legacy {
    fn call(&mut self, node: &Node<'_>, index: usize) -> Result<Part, Error> {
        let name = node.need("name")?.string()?;
        let arguments = node.get("arguments").map(|node| node.string()).transpose()?;
        let id = tools::made_id(&["function_call", &index.to_string()]);
        self.open.push((name.clone(), id.clone()));
        Ok(Part::new(Content::ToolCall {
            id,
            name,
            arguments: arguments.unwrap_or_default(),
            kind: ToolCallKind::Function,
            signature: None,
        }))
    }

    fn result(&mut self, node: &Node<'_>, index: usize) -> Result<Message, Error> {
        let name = node.need("name")?.string()?;
        let parts = match node.get("content") {
            Some(node) => content(&node)?,
            None => Vec::new(),
        };
        let waiting = self.open.iter().position(|(open, _)| *open == name);
        let id = match waiting {
            Some(at) => self.open.remove(at).1,
            None => tools::made_id(&["function", &index.to_string()]),
        };
        Ok(Message::new(Role::Tool, vec![result(id, Some(name), parts)]))
    }
}

/// Text, or a list of parts.
fn content(node: &Node<'_>) -> Result<Vec<Part>, Error> {
    if node.is_string() {
        let text = node.string()?;
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] });
    }
    if !node.is_list() {
        return Err(node.expected("a string or a list of parts"));
    }
    let mut parts = Vec::new();
    node.items(|_, node| {
        parts.push(if node.is_string() { Part::text(node.string()?) } else { part(&node)? });
        Ok(())
    })?;
    Ok(parts)
}

fn part(node: &Node<'_>) -> Result<Part, Error> {
    let kind = node.need("type")?.string()?;
    let mut extras = Extras::default();
    // The member that holds it, and what is understood of that.
    let (member, content) = match kind.as_str() {
        "text" => {
            let text = node.need("text")?.string()?;
            ("text", Content::Text { text, citations: Vec::new() })
        }
        "image_url" => ("image_url", image(&node.need("image_url")?, &mut extras)?),
        "input_audio" => ("input_audio", audio(OPENAI, &node.need("input_audio")?, &mut extras)?),
        "file" => ("file", file(&node.need("file")?, &mut extras)?),
        "video_url" => {
            let video = node.need("video_url")?;
            let url = address(&video, "video_url", &mut extras)?;
            ("video_url", Content::Video { source: media::source(&url) })
        }
        "refusal" => ("refusal", Content::Refusal { text: node.need("refusal")?.string()? }),
        "thinking" => {
            let text = node.need("thinking")?.string()?;
            let signature = node.get("signature").map(|node| node.string()).transpose()?;
            let content = Content::Reasoning { text, signature, redacted: None };
            return Ok(Part::new(content));
        }
        "redacted_thinking" => {
            let redacted = Some(node.need("data")?.string()?);
            let content = Content::Reasoning { text: Str::new(), signature: None, redacted };
            return Ok(Part::new(content));
        }
        _ => return opaque(&kind, node),
    };
    let mut part = Part::new(content);
    part.extras = extras;
    node.members(|name, node| {
        match name {
            "type" => {}
            "cache_control" | "prompt_cache_breakpoint" => part.cache = Some(cache_mark(&node)?),
            name if name == member => {}
            _ => node.keep(OPENAI, &mut part.extras, name)?,
        }
        Ok(())
    })?;
    Ok(part)
}

fn image(node: &Node<'_>, extras: &mut Extras) -> Result<Content, Error> {
    let url = address(node, "image_url", extras)?;
    let detail = node.get("detail").map(|detail| detail.string()).transpose()?;
    Ok(Content::Image { source: media::source(&url), detail })
}

/// An address, bare or in an object whose other members are kept.
fn address(node: &Node<'_>, outer: &str, extras: &mut Extras) -> Result<Str, Error> {
    if node.is_string() {
        return node.string();
    }
    let url = node.need("url")?.string()?;
    node.members(|name, node| match name {
        "url" | "detail" => Ok(()),
        _ => node.keep(OPENAI, extras, &format!("{outer}.{name}")),
    })?;
    Ok(url)
}

fn file(node: &Node<'_>, extras: &mut Extras) -> Result<Content, Error> {
    let mut title = None;
    let mut source = None;
    let mut said = None;
    node.members(|name, node| {
        match name {
            "filename" => title = Some(node.string()?),
            "file_data" => {
                let data = node.string()?;
                source = Some(file_data(&data));
            }
            "file_id" => {
                let id = node.string()?;
                let far = id.starts_with("https://") || id.starts_with("http://");
                source.get_or_insert(if far { Source::Url(id) } else { Source::File(id) });
            }
            "format" => said = Some(node.string()?),
            _ => node.keep(OPENAI, extras, &format!("file.{name}"))?,
        }
        Ok(())
    })?;
    let Some(mut source) = source else {
        return Err(node.need("file_data").err().unwrap_or_else(|| node.expected("a file")));
    };
    type_file(&mut source, title.as_ref(), said);
    Ok(Content::Document { source, title, context: None, citations: None })
}

/// Something that only this dialect understands.
fn opaque(kind: &str, node: &Node<'_>) -> Result<Part, Error> {
    let mut part = Part::new(Content::Opaque { kind: kind.into(), value: node.raw()? });
    part.extras.dialect = Some(OPENAI);
    Ok(part)
}

/// A mark on a message is one on its last part.
fn mark_last(parts: &mut [Part], mark: Option<CacheMark>) {
    if let (Some(part), Some(_)) = (parts.last_mut(), mark) {
        part.cache = mark;
    }
}
