//! Whole answers, written.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use ziggurat_core::{
    Ask, ChatReply, Choice, Content, Error, ErrorKind, Loss, LossAction, Losses, Origin, RawJson,
    Stop, StopReason,
};

use super::reply_id;
use crate::json::{Array, Object};
use crate::openai_api::usage;

/// Writes a whole answer.
pub(super) fn encode(reply: &ChatReply, ask: &Ask, losses: &mut Losses) -> Result<Bytes, Error> {
    if reply.choices.iter().any(|choice| choice.stop.reason == StopReason::Error) {
        let message = "the model failed before its answer was complete";
        return Err(Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider));
    }
    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    object.text("id", &reply_id(&reply.id, ask));
    object.text("object", "text_completion");
    object.number("created", reply.created.unwrap_or(ask.created));
    object.text("model", if reply.model.is_empty() { &ask.model } else { &reply.model });
    let mut choices = Array::begin(object.member("choices"));
    for item in &reply.choices {
        choice(choices.item(), item, ask, losses);
    }
    choices.end();
    if let Some(counts) = &reply.usage {
        usage::encode(object.member("usage"), counts, &usage::CHAT);
    }
    object.end();
    Ok(out.into())
}

fn choice(out: &mut Vec<u8>, choice: &Choice, ask: &Ask, losses: &mut Losses) {
    let mut text = echoed(ask);
    for part in &choice.parts {
        match &part.content {
            Content::Text { text: more, citations } => {
                text.push_str(more);
                if !citations.is_empty() {
                    lost(losses, "citations", "nothing is cited here");
                }
            }
            Content::Refusal { text: more } => text.push_str(more),
            // Nobody asked for it, and it is no part of a text.
            Content::Reasoning { .. } => lost(losses, "reasoning", "a text has none"),
            Content::ToolCall { .. } => lost(losses, "tool_calls", "a text calls nothing"),
            _ => lost(losses, "content", "an answer holds no such part here"),
        }
    }
    let mut object = Object::begin(out);
    object.text("text", &text);
    object.number("index", choice.index);
    let logprobs = choice.logprobs.as_ref().and_then(legacy);
    object.raw("logprobs", logprobs.as_ref().map_or("null", RawJson::get));
    object.text("finish_reason", stop_word(&choice.stop));
    object.end();
}

fn lost(losses: &mut Losses, path: impl Into<Cow<'static, str>>, reason: &'static str) {
    losses.note(Loss::new(path, reason, LossAction::Dropped));
}

/// The prompt, where the answer begins with it.
pub(super) fn echoed(ask: &Ask) -> String {
    ask.echo.as_ref().and_then(|echo| echo.read::<String>().ok()).unwrap_or_default()
}

/// The word for why an answer ended.
pub(super) fn stop_word(stop: &Stop) -> &str {
    match stop.reason {
        StopReason::Length | StopReason::ContextWindow => "length",
        StopReason::ContentFilter | StopReason::Refusal => "content_filter",
        StopReason::Other => stop.word.as_deref().unwrap_or("stop"),
        _ => "stop",
    }
}

/// Log probabilities as they are told here: in lists by what they are, and not token by token.
pub(super) fn legacy(logprobs: &RawJson) -> Option<RawJson> {
    #[derive(Deserialize)]
    struct Listed {
        content: Option<Vec<Token>>,
    }
    #[derive(Deserialize)]
    struct Token {
        token: String,
        logprob: f64,
        #[serde(default)]
        top_logprobs: Vec<Token>,
    }
    let Ok(Listed { content: Some(tokens) }) = logprobs.read::<Listed>() else {
        // A model behind this dialect tells it in these lists already.
        return logprobs.get().contains("\"token_logprobs\"").then(|| logprobs.clone());
    };
    let mut at = 0;
    let mut offsets = Vec::with_capacity(tokens.len());
    let mut tops = Vec::with_capacity(tokens.len());
    for token in &tokens {
        offsets.push(at);
        at += token.token.chars().count();
        let top = token.top_logprobs.iter().map(|top| (top.token.clone(), top.logprob.into()));
        tops.push(serde_json::Value::Object(top.collect()));
    }
    let legacy = serde_json::json!({
        "tokens": tokens.iter().map(|token| &token.token).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|token| token.logprob).collect::<Vec<_>>(),
        "top_logprobs": tops,
        "text_offset": offsets,
    });
    RawJson::of(&legacy).ok()
}
