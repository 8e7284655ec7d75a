//! Whole answers, read.

use bytes::Bytes;
use ziggurat_core::{
    Answer, ChatReply, Choice, Content, Error, Extras, Operation, Part, Restore, ServiceTier, Str,
    TokenCount, ToolCallKind,
};

use super::MESSAGE;
use crate::node::Node;
use crate::openai::{OPENAI, request, wire};
use crate::openai_api::{error, malformed, models, usage};
use crate::tools;

/// Reads a whole answer.
pub(in crate::openai) fn decode(
    operation: Operation,
    body: &Bytes,
    restore: &Restore,
) -> Result<Answer, Error> {
    let text = Str::from_utf8(body.clone()).map_err(|_| malformed("it is not UTF-8"))?;
    let root = Node::root("answer", &text);
    if !root.is_object() {
        return Err(malformed("it is no JSON object"));
    }
    if let Some(failed) = root.get("error") {
        return Err(error::in_stream(OPENAI, &failed, &text));
    }
    // What is wrong with an answer is the provider's fault, whatever the reader calls it.
    let blame = |error: Error| malformed(error.message());
    match operation {
        Operation::Models => models::decode(&root).map_err(blame),
        // LiteLLM's word, and OpenAI's own in Responses.
        Operation::CountTokens => {
            let count = root.get("total_tokens").or_else(|| root.get("input_tokens"));
            let tokens = count.and_then(|count| count.as_count());
            let input_tokens = tokens.ok_or_else(|| malformed("it counts no `total_tokens`"))?;
            let kind = root.get("tokenizer_type").and_then(|kind| kind.as_string());
            let estimated = kind.as_deref() == Some("estimate");
            Ok(Answer::TokenCount(TokenCount { input_tokens, estimated }))
        }
        Operation::Chat => {
            let reply = chat(&root, restore).map_err(blame)?;
            tools::runnable(reply)
        }
        operation => Err(malformed(format_args!("no answer to {operation} is known"))),
    }
}

fn chat(root: &Node<'_>, restore: &Restore) -> Result<ChatReply, Error> {
    let mut reply = ChatReply::default();
    root.members(|name, node| {
        match name {
            "object" => {}
            "id" => reply.id = node.as_string().unwrap_or_default(),
            "model" => reply.model = node.as_string().unwrap_or_default(),
            "created" => reply.created = node.as_count(),
            "service_tier" => reply.service_tier = node.as_string(),
            "usage" => reply.usage = usage::decode(&node, &usage::CHAT),
            "choices" => node.items(|_, node| {
                reply.choices.push(choice(&node, restore)?);
                Ok(())
            })?,
            _ => node.keep(OPENAI, &mut reply.extras, name)?,
        }
        Ok(())
    })?;
    root.need("choices")?;
    if let (Some(usage), Some(tier)) = (&mut reply.usage, &reply.service_tier) {
        usage.tier = ServiceTier::parse(tier);
    }
    // Calls without ids get one, each its own.
    for choice in &mut reply.choices {
        name_calls(&reply.id, choice);
    }
    Ok(reply)
}

fn name_calls(reply: &Str, choice: &mut Choice) {
    let number = choice.index.to_string();
    let mut ordinal = 0_u32;
    for part in &mut choice.parts {
        if let Content::ToolCall { id, .. } = &mut part.content {
            if id.is_empty() {
                *id = tools::made_id(&[reply, &number, &ordinal.to_string()]);
            }
            ordinal += 1;
        }
    }
}

fn choice(node: &Node<'_>, restore: &Restore) -> Result<Choice, Error> {
    let mut index = 0;
    let mut word = None;
    let mut logprobs = None;
    let mut extras = Extras::default();
    let mut message = Message::default();
    node.members(|name, node| {
        match name {
            "index" => index = u32::try_from(node.count()?).unwrap_or(u32::MAX),
            "finish_reason" => word = node.as_string(),
            "logprobs" => logprobs = Some(node.raw()?),
            "message" => message.read(&node, restore, &mut extras)?,
            // A text, where a prompt is continued.
            "text" if node.is_string() => message.content(&node)?,
            _ => node.keep(OPENAI, &mut extras, name)?,
        }
        Ok(())
    })?;
    let calls = !message.calls.is_empty();
    let refused = message.refused;
    let stop = wire::decode_stop(word.as_ref(), calls, refused);
    let mut choice = Choice::new(index, message.parts(), stop);
    choice.logprobs = logprobs;
    choice.extras = extras;
    Ok(choice)
}

/// What a message says, by kind: the members come in any order, the parts do not.
#[derive(Default)]
struct Message {
    blocks: Vec<wire::ThinkingBlock>,
    reasoning: Str,
    listed: Vec<Part>,
    text: Option<Part>,
    citations: Vec<ziggurat_core::RawJson>,
    rest: Vec<Part>,
    calls: Vec<Part>,
    refused: bool,
}

impl Message {
    fn read(
        &mut self,
        node: &Node<'_>,
        restore: &Restore,
        extras: &mut Extras,
    ) -> Result<(), Error> {
        node.members(|name, node| {
            match name {
                "role" => {}
                "content" => self.content(&node)?,
                "refusal" => {
                    let text = node.string()?;
                    self.refused = !text.is_empty();
                    if self.refused {
                        self.rest.push(Part::new(Content::Refusal { text }));
                    }
                }
                "annotations" => node.items(|_, citation| {
                    self.citations.push(citation.raw()?);
                    Ok(())
                })?,
                "audio" => {
                    let kind = Str::from_static("audio");
                    let mut part = Part::new(Content::Opaque { kind, value: node.raw()? });
                    part.extras.dialect = Some(OPENAI);
                    self.rest.push(part);
                }
                "thinking_blocks" => self.blocks = wire::thinking_blocks(&node)?,
                "reasoning_content" if node.is_string() => self.reasoning = node.string()?,
                "reasoning" if node.is_string() && self.reasoning.is_empty() => {
                    self.reasoning = node.string()?;
                }
                "tool_calls" => node.items(|_, call| {
                    self.call(&call, restore)?;
                    Ok(())
                })?,
                "function_call" => self.function_call(&node, restore)?,
                _ => node.keep(OPENAI, extras, &format!("{MESSAGE}{name}"))?,
            }
            Ok(())
        })
    }

    /// Content is text; Mistral's is a list when the model thinks.
    fn content(&mut self, node: &Node<'_>) -> Result<(), Error> {
        if node.is_string() {
            let text = node.string()?;
            self.text = (!text.is_empty()).then(|| Part::text(text));
            return Ok(());
        }
        node.items(|_, item| {
            let [text, thinking] = item.pick(["text", "thinking"])?;
            if let Some(thinking) = thinking {
                let mut all = String::new();
                if thinking.is_list() {
                    thinking.items(|_, item| {
                        all.extend(item.get("text").and_then(|text| text.as_string()).as_deref());
                        Ok(())
                    })?;
                } else {
                    all.extend(thinking.as_string().as_deref());
                }
                let content =
                    Content::Reasoning { text: all.into(), signature: None, redacted: None };
                self.listed.push(Part::new(content));
            }
            if let Some(text) = text.and_then(|text| text.as_string()) {
                self.listed.push(Part::text(text));
            }
            Ok(())
        })
    }

    fn call(&mut self, node: &Node<'_>, restore: &Restore) -> Result<(), Error> {
        let mut part = request::tool_call(node, true)?;
        if let Content::ToolCall { name, .. } = &mut part.content
            && let Some(original) = restore.tool_name(name)
        {
            *name = original;
        }
        self.calls.push(part);
        Ok(())
    }

    fn function_call(&mut self, node: &Node<'_>, restore: &Restore) -> Result<(), Error> {
        let name = node.need("name")?.string()?;
        let arguments = node.get("arguments").and_then(|arguments| arguments.as_string());
        self.calls.push(Part::new(Content::ToolCall {
            id: Str::new(),
            name: restore.tool_name(&name).unwrap_or(name),
            arguments: arguments.unwrap_or_default(),
            kind: ToolCallKind::Function,
            signature: None,
        }));
        Ok(())
    }

    fn parts(self) -> Vec<Part> {
        let mut parts = request::thoughts(self.blocks, self.reasoning);
        parts.extend(self.listed);
        parts.extend(self.text);
        if !self.citations.is_empty() {
            let last = parts.iter_mut().rev().find_map(|part| match &mut part.content {
                Content::Text { citations, .. } => Some((citations, &mut part.extras)),
                _ => None,
            });
            if let Some((citations, extras)) = last {
                *citations = self.citations;
                extras.dialect = Some(OPENAI);
            }
        }
        parts.extend(self.rest);
        parts.extend(self.calls);
        parts
    }
}
