//! Requests, both ways.

use std::sync::Arc;

use ziggurat_core::{
    Chat, Content, EncodedRequest, Error, ErrorKind, Losses, Members, Message, Operation,
    OutputFormat, Part, Payload, RawJson, Role, Severity, Str, Target, Typed,
};

use super::COMPLETIONS;
use crate::fields;
use crate::json::{self, Array, Object};
use crate::node::Node;
use crate::{Field, Names};

/// Whether a parameter that is configured in OpenAI's terms is one of this dialect's.
pub(super) fn knows(name: &str) -> bool {
    const KNOWN: [&str; 15] = [
        "max_tokens",
        "temperature",
        "top_p",
        "n",
        "stop",
        "seed",
        "user",
        "logprobs",
        "logit_bias",
        "presence_penalty",
        "frequency_penalty",
        "best_of",
        "suffix",
        "echo",
        "stream_options",
    ];
    KNOWN.contains(&name)
}

/// The prompt, where the answer is to begin with it.
pub(super) fn echo(payload: &Payload) -> Option<RawJson> {
    if payload.member("echo").as_deref() != Some("true") {
        return None;
    }
    let prompt = payload.member("prompt")?;
    let node = Node::root("prompt", &prompt);
    let text = one_prompt(&node).ok()?;
    Some(RawJson::string(&text))
}

/// Reads a request.
pub(super) fn decode(operation: Operation, members: &Members) -> Result<Typed, Error> {
    match operation {
        Operation::Chat => Ok(Typed::Chat(Arc::new(chat(members)?))),
        Operation::CountTokens => Ok(Typed::CountTokens(Arc::new(chat(members)?))),
        Operation::Models => Ok(Typed::Models(None)),
        operation => Ok(Typed::Own(operation)),
    }
}

fn chat(members: &Members) -> Result<Chat, Error> {
    let mut chat = Chat::new();
    let mut prompt = None;
    for (name, value) in members.iter() {
        let node = Node::root(name, value);
        if node.is_null() {
            continue;
        }
        match name.as_str() {
            // The front door reads the one, and what is echoed is written here.
            "model" | "echo" => {}
            "prompt" => prompt = Some(one_prompt(&node)?),
            "max_tokens" => chat.max_output_tokens = Some(node.count()?),
            "temperature" => chat.sampling.temperature = Some(node.float()?),
            "top_p" => chat.sampling.top_p = Some(node.float()?),
            "frequency_penalty" => chat.sampling.frequency_penalty = Some(node.float()?),
            "presence_penalty" => chat.sampling.presence_penalty = Some(node.float()?),
            "seed" => chat.sampling.seed = Some(node.read("a whole number")?),
            "stop" if node.is_string() => chat.stop = vec![node.string()?],
            "stop" if node.is_list() => node.items(|_, stop| {
                chat.stop.push(stop.string()?);
                Ok(())
            })?,
            "stop" => return Err(node.expected("a string or a list of strings")),
            "n" => {
                let n = node.count()?;
                chat.n = Some(u32::try_from(n).map_err(|_| node.expected("a small number"))?);
            }
            "logprobs" => {
                let top = node.count()?;
                let top = u8::try_from(top).map_err(|_| node.expected("a number up to 5"))?;
                chat.logprobs = Some(top);
            }
            "logit_bias" => chat.logit_bias = Some(node.raw_object()?),
            "user" => chat.user = Some(node.string()?),
            "stream" => chat.stream = node.flag()?,
            "stream_options" => {
                if let Some(usage) = node.get("include_usage") {
                    chat.stream_usage = Some(usage.flag()?);
                }
            }
            // What is so anyway is not worth a word.
            "best_of" if node.text() == "1" => {}
            _ => node.keep(COMPLETIONS, &mut chat.extras, name)?,
        }
    }
    let Some(prompt) = prompt else {
        return Err(Error::invalid("`prompt` is required")
            .with_param("prompt")
            .with_code("missing_required_parameter"));
    };
    chat.messages.push(Message::text(Role::User, prompt));
    Ok(chat)
}

/// The one text of a prompt: what else there may be (several, tokens) only a model behind this dialect takes.
fn one_prompt(node: &Node<'_>) -> Result<Str, Error> {
    if node.is_string() {
        return node.string();
    }
    if !node.is_list() {
        return Err(node.expected("a string or a list of them"));
    }
    let mut texts = Vec::new();
    let mut others = 0;
    node.items(|_, item| {
        match item.as_string() {
            Some(text) => texts.push(text),
            None => others += 1,
        }
        Ok(())
    })?;
    match (texts.pop(), texts.is_empty(), others) {
        (Some(text), true, 0) => Ok(text),
        _ => {
            let message = "`prompt`: this model takes one text a request, and no tokens";
            Err(Error::new(ErrorKind::Unsupported, message)
                .with_param("prompt")
                .with_code("unsupported_value"))
        }
    }
}

/// Writes a request.
pub(super) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let chat = match request {
        Typed::Chat(chat) => chat,
        Typed::Models(_) => return Ok(EncodedRequest::new(bytes::Bytes::new())),
        other => {
            let message = format!("{} cannot be asked for here", other.operation());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    let names = Names::of(target.source);
    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    let prompt = prompt(chat, names, losses)?;
    object.text("prompt", &prompt);
    params(&mut object, chat, names, losses)?;
    object.end();
    Ok(EncodedRequest::new(out.into()))
}

/// The conversation as one text, which the model continues.
fn prompt(chat: &Chat, names: Names, losses: &mut Losses) -> Result<String, Error> {
    let refuse = |losses: &mut Losses, path: String| {
        losses.drop(Severity::Grave, path, "the model takes texts alone")
    };
    let mut turns: Vec<(&str, String)> = Vec::new();
    let said = |parts: &[Part]| parts.iter().filter_map(Part::as_text).collect::<String>();
    if !chat.system.is_empty() {
        turns.push(("System", said(&chat.system)));
    }
    for message in &chat.messages {
        for (index, part) in message.parts.iter().enumerate() {
            match &part.content {
                Content::Text { .. } | Content::Reasoning { .. } => {}
                _ => refuse(losses, names.part(message, index).into_owned())?,
            }
        }
        let who = match message.role {
            Role::Assistant => "Assistant",
            Role::System => "System",
            _ => "User",
        };
        turns.push((who, said(&message.parts)));
    }
    if let [("User", text)] = &mut turns[..] {
        return Ok(std::mem::take(text));
    }
    losses.emulate(names.name(Field::Messages), "the conversation is written as one text");
    let mut prompt = String::new();
    for (who, text) in &turns {
        prompt.push_str(&format!("{who}: {text}\n\n"));
    }
    prompt.push_str("Assistant:");
    Ok(prompt)
}

/// Writes everything else.
fn params(
    object: &mut Object<'_>,
    chat: &Chat,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Error> {
    if !chat.tools.is_empty() {
        losses.drop(Severity::Grave, names.name(Field::Tools), "the model calls no tools")?;
    }
    if chat.output != OutputFormat::Text {
        let reason = "the form of the answer cannot be bound";
        losses.drop(Severity::Grave, names.name(Field::Output), reason)?;
    }
    if let Some(max) = chat.max_output_tokens {
        object.number("max_tokens", max);
    }
    let sampling = &chat.sampling;
    for (name, value) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ] {
        if let Some(value) = value {
            object.float(name, value);
        }
    }
    if let Some(seed) = sampling.seed {
        object.number("seed", seed);
    }
    if !chat.stop.is_empty() {
        let mut list = Array::begin(object.member("stop"));
        for stop in &chat.stop {
            json::string(list.item(), stop);
        }
        list.end();
    }
    if let Some(n) = chat.n {
        object.number("n", n);
    }
    if let Some(top) = chat.logprobs {
        object.number("logprobs", top);
    }
    if let Some(bias) = &chat.logit_bias {
        object.raw("logit_bias", bias.get());
    }
    if let Some(user) = &chat.user {
        object.text("user", user);
    }
    if chat.stream {
        object.flag("stream", true);
        object.raw("stream_options", r#"{"include_usage":true}"#);
    }
    let reasoning = &chat.reasoning;
    for (is, field) in [
        (sampling.top_k.is_some(), Field::TopK),
        (sampling.min_p.is_some(), Field::MinP),
        (sampling.repetition_penalty.is_some(), Field::RepetitionPenalty),
        (reasoning.effort.is_some(), Field::Effort),
        (reasoning.mode.is_some() || reasoning.budget_tokens.is_some(), Field::Thinking),
        (chat.verbosity.is_some(), Field::Verbosity),
        (!chat.modalities.is_empty(), Field::Modalities),
        (chat.audio.is_some(), Field::Audio),
        (chat.metadata.is_some(), Field::Metadata),
        (chat.store == Some(true), Field::Store),
        (chat.service_tier.is_some(), Field::ServiceTier),
        (chat.cache.key.is_some(), Field::CacheKey),
        (chat.cache.retention.is_some(), Field::CacheRetention),
        (chat.cache.auto.is_some(), Field::CacheAuto),
        (chat.prediction.is_some(), Field::Prediction),
        (chat.web_search.is_some(), Field::WebSearch),
    ] {
        if is {
            losses.drop(Severity::Harmless, names.name(field), "the target has no such field")?;
        }
    }
    for (name, value) in &chat.extras.members {
        if chat.extras.dialect.is_none_or(|dialect| dialect == COMPLETIONS) || losses.passes(name) {
            object.raw_named(name, value.get());
        } else {
            fields::lose(chat.extras.dialect, name.to_string(), losses)?;
        }
    }
    Ok(())
}
