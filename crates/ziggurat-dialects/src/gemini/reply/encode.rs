//! Whole answers, written.

use bytes::Bytes;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Error, ErrorKind, Loss, LossAction, Losses, Part, Str,
    ToolCallKind,
};

use crate::clock::rfc3339;
use crate::gemini::grounding::Grounding;
use crate::gemini::{GEMINI, blob, logprobs, models, part, signature, stop, usage};
use crate::json::{Array, Object};
use crate::tools::write_input;

/// Writes a whole answer.
pub(in crate::gemini) fn encode(
    answer: &Answer,
    ask: &Ask,
    losses: &mut Losses,
) -> Result<Bytes, Error> {
    match answer {
        Answer::Chat(reply) => Ok(chat(reply, ask, losses)),
        Answer::TokenCount(count) => {
            let mut out = Vec::with_capacity(32);
            let mut object = Object::begin(&mut out);
            object.number("totalTokens", count.input_tokens);
            object.end();
            Ok(out.into())
        }
        Answer::Models(models) => Ok(models::encode(models)),
        Answer::Model(model) => Ok(models::encode_one(model)),
        other => {
            let message = format!("an answer to {} cannot be written here", other.operation());
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

fn lost(losses: &mut Losses, path: impl Into<String>, reason: &'static str) {
    losses.note(Loss::new(path.into(), reason, LossAction::Dropped));
}

fn chat(reply: &ChatReply, ask: &Ask, losses: &mut Losses) -> Bytes {
    let own = reply.extras.dialect == Some(GEMINI);
    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    // A prompt that was not answered has no answers.
    let blocked = own
        && reply.extras.get("promptFeedback").is_some()
        && reply.choices.iter().all(|choice| choice.parts.is_empty() && is_blocked(choice));
    if !blocked {
        let mut list = Array::begin(object.member("candidates"));
        for item in &reply.choices {
            choice(item, ask, losses, list.object());
        }
        list.end();
    }
    let rest = reply.extras.get("usageMetadata").filter(|_| own);
    if reply.usage.is_some() || rest.is_some() {
        let mut inner = Object::begin(object.member("usageMetadata"));
        if let Some(counts) = &reply.usage {
            usage::write(counts, &mut inner);
        }
        rest.into_iter().for_each(|rest| inner.members_of(rest));
        inner.end();
    }
    object.text("modelVersion", if reply.model.is_empty() { &ask.model } else { &reply.model });
    object.text("responseId", &response_id(&reply.id, ask));
    if let Some(created) = reply.created {
        object.text("createTime", &rfc3339(created));
    }
    if reply.service_tier.is_some() {
        lost(losses, "service_tier", "the caller's dialect has no such field");
    }
    for (name, value) in &reply.extras.members {
        if !own {
            lost(losses, name.to_string(), "the caller's dialect has no such field");
        } else if name != "usageMetadata" {
            object.raw_named(name, value.get());
        }
    }
    object.end();
    out.into()
}

fn is_blocked(choice: &Choice) -> bool {
    stop::block_reason(&choice.stop).is_some()
}

/// The provider's id of the answer, else one made of the call's.
pub(in crate::gemini) fn response_id(id: &Str, ask: &Ask) -> Str {
    if id.is_empty() { ask.call_id.clone() } else { id.clone() }
}

fn choice(choice: &Choice, ask: &Ask, losses: &mut Losses, mut object: Object<'_>) {
    let own = choice.extras.dialect == Some(GEMINI);
    let mut grounding = Grounding::default();
    let mut content = Object::begin(object.member("content"));
    let mut list = Array::begin(content.member("parts"));
    let mut written = 0;
    for part in &choice.parts {
        if let Content::Text { text, citations } = &part.content {
            for citation in citations {
                if !grounding.add(citation, text, written) {
                    lost(losses, "citations", "a citation without an address cannot be told");
                }
            }
        }
        match write_answer_part(part, ask, &mut list) {
            Ok(()) => written += 1,
            Err(reason) => lost(losses, "content", reason),
        }
    }
    list.end();
    content.text("role", "model");
    content.end();
    stop::write(&choice.stop, &mut object);
    object.number("index", choice.index);
    match choice.logprobs.as_ref().map(|raw| (raw, logprobs::encode(raw))) {
        Some((_, Some(result))) => object.raw("logprobsResult", result.get()),
        Some(_) => lost(losses, "logprobs", "they are in a form that is not known"),
        None => {}
    }
    let told = ["groundingMetadata", "citationMetadata"];
    let told = own && told.iter().any(|name| choice.extras.get(name).is_some());
    if !told && !grounding.is_empty() {
        grounding.write(object.member("groundingMetadata"));
    }
    for (name, value) in &choice.extras.members {
        if own {
            object.raw_named(name, value.get());
        } else {
            lost(losses, name.to_string(), "the caller's dialect has no such field");
        }
    }
    object.end();
}

/// Writes a part of an answer, or says why it cannot be said.
pub(in crate::gemini) fn write_answer_part(
    part: &Part,
    ask: &Ask,
    list: &mut Array<'_>,
) -> Result<(), &'static str> {
    const NO_SUCH: &str = "the caller's dialect has no such content";
    let own = part.extras.dialect == Some(GEMINI);
    let origin = ask.origin.as_deref();
    match &part.content {
        Content::Opaque { value, .. } if own => {
            list.item().extend_from_slice(value.get().as_bytes());
            return Ok(());
        }
        Content::Reasoning { redacted: Some(_), .. } => {
            return Err("thinking that only its provider can read has no place there");
        }
        Content::Reasoning { text, signature, .. } => {
            let signature = signature.as_deref().map(|made| signature::write(made, origin));
            part::write_thought(text, signature.as_deref(), list.object());
            return Ok(());
        }
        Content::Text { .. } | Content::Refusal { .. } | Content::ToolCall { .. } => {}
        content if blob::source(content).is_some() => {}
        _ => return Err(NO_SUCH),
    }
    let mut object = list.object();
    let mut told = Ok(());
    match &part.content {
        Content::Text { text, .. } | Content::Refusal { text } => object.text("text", text),
        Content::ToolCall { id, name, arguments, kind, signature } => {
            let mut inner = Object::begin(object.member("functionCall"));
            inner.text("id", id);
            inner.text("name", name);
            write_input(arguments, *kind == ToolCallKind::Custom, inner.member("args"));
            part::write_inner(&part.extras, "functionCall", &mut inner);
            inner.end();
            if let Some(signature) = signature {
                object.text("thoughtSignature", &signature::write(signature, origin));
            }
        }
        content => {
            if !blob::write(content, &part.extras, own, &mut object) {
                object.text("text", "");
                told = Err(NO_SUCH);
            }
        }
    }
    part::write_extras(&part.extras, &mut object);
    object.end();
    told
}
