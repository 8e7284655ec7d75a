//! Whole answers, written.

use bytes::Bytes;
use smallvec::SmallVec;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Error, ErrorKind, Extras, Loss, LossAction, Losses,
    Origin, Part, RawJson, StopReason, Str, TokenCount,
};

use super::MESSAGE;
use crate::json::{self, Array, Object};
use crate::openai::{OPENAI, reply_id, request, wire};
use crate::openai_api::parts::write_call_signature;
use crate::openai_api::{citation, models, service_tier, usage};
use crate::origin;

/// Writes a whole answer.
pub(in crate::openai) fn encode(
    answer: &Answer,
    ask: &Ask,
    losses: &mut Losses,
) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(1024);
    match answer {
        Answer::Chat(reply) => chat(&mut out, reply, ask, losses)?,
        Answer::TokenCount(count) => token_count(&mut out, count, ask),
        Answer::Models(list) => models::encode(&mut out, list),
        Answer::Model(info) => models::encode_one(&mut out, info),
        other => {
            let message = format!("an answer to {} cannot be written here", other.operation());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(out.into())
}

/// OpenAI has no word for it: it is LiteLLM's (`/utils/token_counter`).
fn token_count(out: &mut Vec<u8>, count: &TokenCount, ask: &Ask) {
    let mut object = Object::begin(out);
    object.number("total_tokens", count.input_tokens);
    object.text("request_model", &ask.model);
    object.text("model_used", ask.origin.as_deref().unwrap_or(&ask.model));
    object.text("tokenizer_type", if count.estimated { "estimate" } else { "provider" });
    object.end();
}

fn chat(out: &mut Vec<u8>, reply: &ChatReply, ask: &Ask, losses: &mut Losses) -> Result<(), Error> {
    if reply.choices.iter().any(|choice| choice.stop.reason == StopReason::Error) {
        let message = "the model failed before its answer was complete";
        return Err(Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider));
    }
    let mut object = Object::begin(out);
    object.text("id", &reply_id(&reply.id, ask));
    object.always(r#""object":"chat.completion""#);
    object.number("created", reply.created.unwrap_or(ask.created));
    object.text("model", if reply.model.is_empty() { &ask.model } else { &reply.model });
    if let Some(tier) = &reply.service_tier {
        match service_tier(tier) {
            Some(tier) => object.text("service_tier", tier),
            None => lost(losses, "service_tier", "the caller's dialect has no such tier"),
        }
    }
    let mut choices = Array::begin(object.member("choices"));
    for item in &reply.choices {
        choice(choices.item(), item, ask, losses);
    }
    choices.end();
    if let Some(usage) = &reply.usage {
        usage::encode(object.member("usage"), usage, &usage::CHAT);
    }
    extras(&mut object, &reply.extras, "", losses);
    object.end();
    Ok(())
}

fn choice(out: &mut Vec<u8>, choice: &Choice, ask: &Ask, losses: &mut Losses) {
    let said = Said::of(&choice.parts, losses);
    let mut object = Object::begin(out);
    object.number("index", choice.index);
    let word = wire::stop_word(&choice.stop, !said.calls.is_empty(), said.refusal.is_some());
    object.text("finish_reason", word);
    match &choice.logprobs {
        Some(logprobs) => object.raw("logprobs", logprobs.get()),
        None => object.always(r#""logprobs":null"#),
    }
    let mut message = Object::begin(object.member("message"));
    message.always(r#""role":"assistant""#);
    match &said.texts[..] {
        [] => message.raw("content", "null"),
        texts => message.text("content", &json::joined(texts, "")),
    }
    match said.refusal {
        Some(refusal) => message.text("refusal", refusal),
        None => message.always(r#""refusal":null"#),
    }
    if ask.show_reasoning {
        request::write_reasoning(&mut message, &said.thoughts, ask.origin.as_deref());
    }
    if !said.annotations.is_empty() {
        let mut list = Array::begin(message.member("annotations"));
        for annotation in &said.annotations {
            list.item().extend_from_slice(annotation.get().as_bytes());
        }
        list.end();
    }
    if let Some(audio) = said.audio {
        message.raw("audio", audio.get());
    }
    if !said.calls.is_empty() {
        let mut list = Array::begin(message.member("tool_calls"));
        for part in said.calls {
            call(&mut list, part, ask, losses);
        }
        list.end();
    }
    extras(&mut message, &choice.extras, MESSAGE, losses);
    message.end();
    extras(&mut object, &choice.extras, "", losses);
    object.end();
}

fn call(list: &mut Array<'_>, part: &Part, ask: &Ask, losses: &mut Losses) {
    if let Content::ToolCall { id, name, arguments, kind, signature } = &part.content {
        let mut object = list.object();
        request::write_call(&mut object, id, name, arguments, *kind);
        if let Some(signature) = signature {
            write_call_signature(&mut object, &origin::mark(ask.origin.as_deref(), signature));
        }
        extras(&mut object, &part.extras, "", losses);
        object.end();
    }
}

/// What the parts of an answer say, by the member that says it here.
#[derive(Default)]
struct Said<'a> {
    texts: SmallVec<[&'a Str; 2]>,
    refusal: Option<&'a str>,
    thoughts: Vec<&'a Part>,
    annotations: Vec<RawJson>,
    audio: Option<&'a RawJson>,
    calls: Vec<&'a Part>,
}

impl<'a> Said<'a> {
    fn of(parts: &'a [Part], losses: &mut Losses) -> Self {
        let mut said = Self::default();
        let is_cited = |part: &Part| matches!(&part.content, Content::Text { citations, .. } if !citations.is_empty());
        // Citations say which characters they stand behind.
        let mut characters = parts.iter().any(is_cited).then_some(0);
        for part in parts {
            match &part.content {
                Content::Text { text, citations } => {
                    said.texts.push(text);
                    let Some(start) = characters else { continue };
                    let end = start + text.chars().count();
                    characters = Some(end);
                    for cited in citations {
                        match citation::nested(cited, (start, end)) {
                            Some(annotation) => said.annotations.push(annotation),
                            None => lost(losses, "citations", "only addresses are cited here"),
                        }
                    }
                }
                Content::Reasoning { .. } => said.thoughts.push(part),
                Content::Refusal { text } => said.refusal = Some(text),
                Content::ToolCall { .. } => said.calls.push(part),
                Content::Opaque { kind, value } if *kind == "audio" => said.audio = Some(value),
                Content::Opaque { kind, .. } => {
                    lost(losses, kind.to_string(), "only its own dialect understands it");
                }
                _ => lost(losses, "content", "an answer holds no such part here"),
            }
        }
        said
    }
}

/// Writes extra members of this dialect, those below `prefix` or those without one; others are lost.
fn extras(object: &mut Object<'_>, extras: &Extras, prefix: &str, losses: &mut Losses) {
    let own = extras.dialect.is_none_or(|dialect| dialect == OPENAI);
    for (name, value) in &extras.members {
        match name.strip_prefix(prefix) {
            Some(_) if prefix.is_empty() && own && name.starts_with(MESSAGE) => {}
            Some(short) if own => object.raw_named(short, value.get()),
            Some(_) => lost(losses, name.to_string(), "the caller's dialect has no such field"),
            None => {}
        }
    }
}

/// The answer is there: what cannot be said of it is noted, and nothing is refused any more.
fn lost(
    losses: &mut Losses,
    path: impl Into<std::borrow::Cow<'static, str>>,
    reason: &'static str,
) {
    losses.note(Loss::new(path, reason, LossAction::Dropped));
}
