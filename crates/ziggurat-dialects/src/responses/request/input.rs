//! What was said so far: a text, or items.
//!
//! Items are flat here: what one turn of the assistant thinks, says and calls stands in items of its own. They become one
//! message.

use ziggurat_core::{Chat, Content, Error, Extras, Message, Part, Role, Source, Str};

use crate::media;
use crate::node::Node;
use crate::openai_api::parts::{audio, cache_mark, file_data, result, type_file};
use crate::responses::{RESPONSES, items};

/// Reads the input and counts its items. What the operator says first is the system prompt.
pub(super) fn decode(node: &Node<'_>, chat: &mut Chat) -> Result<usize, Error> {
    if node.is_string() {
        chat.messages.push(Message::new(Role::User, text_parts(node)?).at(0));
        return Ok(1);
    }
    if !node.is_list() {
        return Err(node.expected("a string or a list of items"));
    }
    let mut talk = Talk { chat, turn: None };
    let mut count = 0;
    node.items(|index, node| {
        count += 1;
        talk.item(index, &node)
    })?;
    talk.close();
    Ok(count)
}

/// The conversation as far as it is read.
struct Talk<'a> {
    chat: &'a mut Chat,
    /// The assistant's turn that is open.
    turn: Option<Message>,
}

impl Talk<'_> {
    fn item(&mut self, index: usize, node: &Node<'_>) -> Result<(), Error> {
        let kind = match node.get("type") {
            Some(kind) => kind.string()?,
            None if node.is_object() && node.get("role").is_some() => Str::from_static("message"),
            None => node.need("type")?.string()?,
        };
        if let Some(call) = items::call_kind(&kind) {
            let part = items::call(node, call)?;
            self.turn(index).parts.push(part);
            return Ok(());
        }
        match kind.as_str() {
            "message" => self.message(index, node),
            "reasoning" => {
                let part = items::reasoning(node)?;
                self.turn(index).parts.push(part);
                Ok(())
            }
            "function_call_output" | "custom_tool_call_output" => {
                let message = output(node)?;
                self.push(message.at(index));
                Ok(())
            }
            _ => {
                let of_assistant = is_assistants(&kind);
                let part = items::opaque(kind, node)?;
                if of_assistant {
                    self.turn(index).parts.push(part);
                } else {
                    self.push(Message::new(Role::User, vec![part]).at(index));
                }
                Ok(())
            }
        }
    }

    fn message(&mut self, index: usize, node: &Node<'_>) -> Result<(), Error> {
        let role = node.need("role")?;
        let role = match role.string()?.as_str() {
            "user" => Role::User,
            "system" => Role::System,
            "developer" => Role::Developer,
            "assistant" => return self.said(index, node),
            _ => return Err(role.unknown("user, system, developer, assistant")),
        };
        let mut message = Message::new(role, content(&node.need("content")?)?);
        members(node, &mut message.extras)?;
        let leads = self.chat.messages.is_empty() && self.turn.is_none();
        if leads && role != Role::User {
            let Message { mut parts, extras, .. } = message;
            if let Some(first) = parts.first_mut().filter(|_| !extras.is_empty()) {
                first.extras.dialect = extras.dialect;
                first.extras.members.extend(extras.members);
            }
            self.chat.system.append(&mut parts);
        } else {
            self.push(message.at(index));
        }
        Ok(())
    }

    /// What the assistant said. It begins another message where the last one has said something and called nothing since.
    fn said(&mut self, index: usize, node: &Node<'_>) -> Result<(), Error> {
        let mut parts = Vec::new();
        // The probabilities of what was said before are nothing to go by.
        items::said(&node.need("content")?, &mut parts, &mut Vec::new())?;
        if let Some(first) = parts.first_mut() {
            members(node, &mut first.extras)?;
        }
        let spoke =
            |part: &Part| matches!(part.content, Content::Text { .. } | Content::Refusal { .. });
        let last = self.turn.as_ref().and_then(|turn| turn.parts.last());
        if last.is_some_and(spoke) {
            self.close();
        }
        self.turn(index).parts.append(&mut parts);
        Ok(())
    }

    fn turn(&mut self, index: usize) -> &mut Message {
        self.turn.get_or_insert_with(|| Message::new(Role::Assistant, Vec::new()).at(index))
    }

    fn push(&mut self, message: Message) {
        self.close();
        self.chat.messages.push(message);
    }

    fn close(&mut self) {
        self.chat.messages.extend(self.turn.take());
    }
}

/// Whether an item that is not understood is part of what the assistant did: the calls of the provider's own tools and what they
/// left behind. All others answer it, or are the caller's.
fn is_assistants(kind: &str) -> bool {
    kind.ends_with("_call")
        || matches!(
            kind,
            "compaction"
                | "mcp_list_tools"
                | "mcp_approval_request"
                | "program"
                | "tool_search_output"
        )
}

/// Keeps what else a message holds. Its own name and how far it is are the provider's business.
fn members(node: &Node<'_>, extras: &mut Extras) -> Result<(), Error> {
    node.members(|name, node| match name {
        "type" | "role" | "content" | "id" | "status" => Ok(()),
        _ => node.keep(RESPONSES, extras, name),
    })
}

/// What a tool answered.
fn output(node: &Node<'_>) -> Result<Message, Error> {
    let call_id = node.need("call_id")?.string()?;
    let parts = match node.get("output") {
        Some(output) => content(&output)?,
        None => Vec::new(),
    };
    let mut extras = Extras::default();
    node.members(|name, node| match name {
        "type" | "call_id" | "output" | "id" | "status" => Ok(()),
        _ => node.keep(RESPONSES, &mut extras, name),
    })?;
    let mut message = Message::new(Role::Tool, vec![result(call_id, None, parts)]);
    message.extras = extras;
    Ok(message)
}

fn text_parts(node: &Node<'_>) -> Result<Vec<Part>, Error> {
    let text = node.string()?;
    Ok(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] })
}

/// Text, or a list of parts.
fn content(node: &Node<'_>) -> Result<Vec<Part>, Error> {
    if node.is_string() {
        return text_parts(node);
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
    let (understood, content): (&[&str], Content) = match kind.as_str() {
        "input_text" | "output_text" | "text" => {
            let text = node.need("text")?.string()?;
            (&["text", "annotations", "logprobs"], Content::Text { text, citations: Vec::new() })
        }
        "input_image" => (&["image_url", "file_id", "detail"], image(node)?),
        "input_file" => (&["file_data", "file_url", "file_id", "filename"], file(node)?),
        "input_audio" => {
            let sound = audio(RESPONSES, &node.need("input_audio")?, &mut extras)?;
            (&["input_audio"], sound)
        }
        "refusal" => (&["refusal"], Content::Refusal { text: node.need("refusal")?.string()? }),
        _ => return items::within(kind, node),
    };
    let mut part = Part::new(content);
    part.extras = extras;
    node.members(|name, node| {
        match name {
            "type" => {}
            "prompt_cache_breakpoint" => part.cache = Some(cache_mark(&node)?),
            name if understood.contains(&name) => {}
            _ => node.keep(RESPONSES, &mut part.extras, name)?,
        }
        Ok(())
    })?;
    Ok(part)
}

fn image(node: &Node<'_>) -> Result<Content, Error> {
    let [url, id, detail] = node.pick(["image_url", "file_id", "detail"])?;
    let source = match (url, id) {
        (Some(url), _) => media::source(&url.string()?),
        (None, Some(id)) => Source::File(id.string()?),
        (None, None) => media::source(&node.need("image_url")?.string()?),
    };
    let detail = detail.map(|detail| detail.string()).transpose()?;
    Ok(Content::Image { source, detail })
}

fn file(node: &Node<'_>) -> Result<Content, Error> {
    let [data, url, id, name] = node.pick(["file_data", "file_url", "file_id", "filename"])?;
    let title = name.map(|name| name.string()).transpose()?;
    let mut source = match (data, url, id) {
        (Some(data), ..) => file_data(&data.string()?),
        (None, Some(url), _) => media::source(&url.string()?),
        (None, None, Some(id)) => Source::File(id.string()?),
        _ => file_data(&node.need("file_data")?.string()?),
    };
    type_file(&mut source, title.as_ref(), None);
    Ok(Content::Document { source, title, context: None, citations: None })
}
