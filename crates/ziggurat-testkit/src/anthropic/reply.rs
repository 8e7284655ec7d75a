//! The answer as one message.

use serde_json::Value;

use super::{
    Context,
    signature::{redact, sign},
};
use crate::{
    json::{Json, obj},
    prompt::{End, Speech},
};

pub(super) fn message(context: &Context, speech: &Speech) -> Json {
    let blocks = blocks(context, speech).into_iter().map(Block::whole);
    let blocks: Vec<_> = blocks.collect();
    frame(context, blocks)
        .with("stop_reason", stop_reason(speech))
        .with("stop_sequence", stop_sequence(speech))
        .with("stop_details", stop_details(speech))
        .with("container", Json::NULL)
        .with("usage", usage(speech, speech.usage.output))
}

/// What a message begins with.
pub(super) fn frame(context: &Context, content: Vec<Json>) -> Json {
    obj! {
        "id": context.id("msg_01", 0),
        "type": "message",
        "role": "assistant",
        "model": context.name.as_str(),
        "content": content,
    }
}

/// A block of the answer.
pub(super) enum Block<'a> {
    Thinking { thinking: &'a str, signature: String },
    Redacted { data: String },
    Text(&'a str),
    Call { id: String, name: &'a str, input: &'a str },
}

pub(super) fn blocks<'a>(context: &Context, speech: &'a Speech) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    match speech.reasoning.as_deref() {
        Some(_) if speech.redacted => {
            blocks.push(Block::Redacted { data: redact(&context.name) });
        }
        Some(thinking) if !thinking.is_empty() => {
            let thinking = if context.omitted { "" } else { thinking };
            let signature = sign(&context.name, thinking);
            blocks.push(Block::Thinking { thinking, signature });
        }
        _ => {}
    }
    if !speech.text.is_empty() {
        blocks.push(Block::Text(&speech.text));
    }
    let calls = speech.calls.iter().enumerate().map(|(at, call)| Block::Call {
        id: context.id("toolu_01", at + 1),
        name: &call.name,
        input: &call.arguments,
    });
    blocks.extend(calls);
    blocks
}

impl Block<'_> {
    fn whole(self) -> Json {
        match self {
            Self::Thinking { thinking, signature } => {
                obj! { "type": "thinking", "thinking": thinking, "signature": signature }
            }
            Self::Redacted { data } => obj! { "type": "redacted_thinking", "data": data },
            Self::Text(text) => obj! { "type": "text", "text": text },
            Self::Call { id, name, input } => {
                // Broken off at the length limit, there is no object to show.
                let input =
                    serde_json::from_str(input).unwrap_or_else(|_| Value::Object(<_>::default()));
                obj! { "type": "tool_use", "id": id, "name": name, "input": input }
            }
        }
    }
}

pub(super) fn stop_reason(speech: &Speech) -> &'static str {
    match speech.end {
        End::Done => "end_turn",
        End::Calls => "tool_use",
        End::Length => "max_tokens",
        End::Stop(_) => "stop_sequence",
        End::Refused | End::Filtered => "refusal",
    }
}

pub(super) fn stop_sequence(speech: &Speech) -> Option<&str> {
    match &speech.end {
        End::Stop(sequence) => Some(sequence),
        _ => None,
    }
}

pub(super) fn stop_details(speech: &Speech) -> Option<Json> {
    matches!(speech.end, End::Refused | End::Filtered).then(|| {
        obj! {
            "type": "refusal",
            "category": "general_harms",
            "explanation": speech.refusal.as_deref().unwrap_or("This goes too far."),
        }
    })
}

/// The tokens so far: `output` of them were produced.
pub(super) fn usage(speech: &Speech, output: u64) -> Json {
    let usage = speech.usage;
    let fresh = usage.prompt - usage.cache_read - usage.cache_write;
    obj! {
        "input_tokens": fresh,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": obj! {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0_u64,
        },
        "output_tokens": output,
        "output_tokens_details": obj! { "thinking_tokens": usage.reasoning.min(output) },
        "server_tool_use": Json::NULL,
        "service_tier": "standard",
    }
}
