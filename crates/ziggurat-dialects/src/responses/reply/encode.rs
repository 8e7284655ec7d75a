//! Whole answers, written.

use std::borrow::Cow;

use bytes::Bytes;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Error, ErrorKind, Loss, LossAction, Losses, Origin,
    Part, RawJson, Start, Stop, StopReason, Str, ToolCallKind,
};

use crate::json::{self, Object};
use crate::openai_api::{citation, models, service_tier};
use crate::origin;
use crate::responses::head::{Head, State};
use crate::responses::items::{self, Call, Thought};
use crate::responses::{RESPONSES, wire};

/// Writes a whole answer.
pub(in crate::responses) fn encode(
    answer: &Answer,
    ask: &Ask,
    losses: &mut Losses,
) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(1024);
    match answer {
        Answer::Chat(reply) => chat(&mut out, reply, ask, losses)?,
        Answer::TokenCount(count) => {
            let mut object = Object::begin(&mut out);
            object.text("object", "response.input_tokens");
            object.number("input_tokens", count.input_tokens);
            object.end();
        }
        Answer::Models(list) => models::encode(&mut out, list),
        Answer::Model(info) => models::encode_one(&mut out, info),
        other => {
            let message = format!("an answer to {} cannot be written here", other.operation());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(out.into())
}

fn chat(out: &mut Vec<u8>, reply: &ChatReply, ask: &Ask, losses: &mut Losses) -> Result<(), Error> {
    if reply.choices.iter().any(|choice| choice.stop.reason == StopReason::Error) {
        let message = "the model failed before its answer was complete";
        return Err(Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider));
    }
    if reply.choices.len() > 1 {
        lost(losses, "choices", "only the first of several answers can be told");
    }
    if reply.service_tier.as_deref().is_some_and(|tier| service_tier(tier).is_none()) {
        lost(losses, "service_tier", "the caller's dialect has no such tier");
    }
    let mut start = Start::new(reply.id.clone(), reply.model.clone());
    start.created = reply.created;
    start.service_tier = reply.service_tier.clone();
    let head = Head::new(&start, ask);
    let nothing = Choice::new(0, Vec::new(), Stop::new(StopReason::Stop));
    let choice = reply.choices.first().unwrap_or(&nothing);
    let refused = choice.parts.iter().any(|part| matches!(part.content, Content::Refusal { .. }));
    let (status, reason) = wire::encode_stop(&choice.stop, refused);
    let mut output = Output::new(reply, ask, status);
    output.write(choice, losses);
    let usage = reply.usage.as_ref();
    let state = State { status, reason, output: &output.items, error: None, usage };
    head.write(out, &state);
    if reply.extras.dialect == Some(RESPONSES) && !reply.extras.is_empty() {
        // The closing brace waits for them.
        out.pop();
        for (name, value) in &reply.extras.members {
            out.push(b',');
            json::string(out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.push(b'}');
    } else {
        for (name, _) in &reply.extras.members {
            lost(losses, name.to_string(), "the caller's dialect has no such field");
        }
    }
    Ok(())
}

/// The items of an answer, while they are written.
struct Output<'a> {
    ask: &'a Ask,
    model: &'a str,
    /// A list without brackets.
    items: Vec<u8>,
    count: u32,
    /// The message that is open: its parts as a list without brackets.
    message: Option<Vec<u8>>,
    status: &'static str,
    /// They stand with the first text.
    logprobs: Option<Str>,
}

impl<'a> Output<'a> {
    fn new(reply: &'a ChatReply, ask: &'a Ask, status: &'static str) -> Self {
        let model = if reply.model.is_empty() { &ask.model } else { &reply.model };
        Self { ask, model, items: Vec::new(), count: 0, message: None, status, logprobs: None }
    }

    fn write(&mut self, choice: &Choice, losses: &mut Losses) {
        self.logprobs = choice.logprobs.as_ref().and_then(wire::of_logprobs);
        let last = choice.parts.len().saturating_sub(1);
        for (index, part) in choice.parts.iter().enumerate() {
            self.part(part, index == last, losses);
        }
        self.close(true);
    }

    fn part(&mut self, part: &Part, last: bool, losses: &mut Losses) {
        match &part.content {
            Content::Text { text, citations } => self.text(text, citations, losses),
            Content::Refusal { text } => items::write_refusal(self.content(), text),
            Content::Opaque { value, .. }
                if part.extras.dialect == Some(RESPONSES) && items::is_within(part) =>
            {
                self.content().extend_from_slice(value.get().as_bytes());
            }
            Content::Opaque { value, .. } if part.extras.dialect == Some(RESPONSES) => {
                self.close(false);
                self.item().extend_from_slice(value.get().as_bytes());
            }
            Content::Opaque { kind, .. } => {
                lost(losses, kind.to_string(), "only its own dialect understands it");
            }
            Content::Reasoning { text, signature, redacted } => {
                self.close(false);
                self.thought(part, text, signature.as_ref(), redacted.as_ref());
            }
            Content::ToolCall { id, name, arguments, kind, signature } => {
                self.close(false);
                let none = arguments.is_empty() && *kind == ToolCallKind::Function;
                let (_, prefix, _) = items::words(*kind);
                let item_id = wire::item_id(prefix, self.ask, self.count);
                let status = if last { self.status } else { "completed" };
                let marked =
                    |made: &Str| origin::mark(self.ask.origin.as_deref(), made).into_owned();
                let signature = signature.as_ref().map(marked);
                let call = Call {
                    item_id: &item_id,
                    id,
                    name,
                    arguments: if none { "{}" } else { arguments },
                    kind: *kind,
                    signature: signature.as_deref(),
                    status,
                };
                call.write(self.item());
            }
            _ => lost(losses, "content", "an answer holds no such part here"),
        }
    }

    fn text(&mut self, text: &str, citations: &[RawJson], losses: &mut Losses) {
        let mut annotations = Vec::new();
        let characters = if citations.is_empty() { 0 } else { text.chars().count() };
        for cited in citations {
            match citation::flat(cited, (0, characters)) {
                Some(annotation) => {
                    if !annotations.is_empty() {
                        annotations.push(b',');
                    }
                    annotations.extend_from_slice(annotation.get().as_bytes());
                }
                None => lost(losses, "citations", "only addresses and files are cited here"),
            }
        }
        let logprobs = self.logprobs.take().unwrap_or_default();
        items::write_text(self.content(), text, &annotations, logprobs.as_bytes());
    }

    fn thought(
        &mut self,
        part: &Part,
        text: &str,
        signature: Option<&Str>,
        redacted: Option<&Str>,
    ) {
        let own = part.extras.dialect == Some(RESPONSES);
        let id = part.extras.get("id").and_then(|id| id.read::<String>().ok());
        let id = id.unwrap_or_else(|| wire::item_id("rs", self.ask, self.count).to_string());
        let made = redacted.or(signature);
        let encrypted = match made {
            Some(made) => Some(origin::mark(self.ask.origin.as_deref(), made)),
            None if own => None,
            // By this the gateway knows it again, and takes it out before a provider sees it.
            None => Some(Cow::from(origin::unsigned(self.model))),
        };
        let shown = redacted.is_none() && (!text.is_empty() || signature.is_some());
        let thought = Thought {
            id: &id,
            text: shown.then_some(text),
            summary: part.extras.get("summary").filter(|_| own),
            encrypted: encrypted.as_deref(),
        };
        thought.write(self.item());
    }

    /// The message that is open, or a new one, ready for its next part.
    fn content(&mut self) -> &mut Vec<u8> {
        let content = self.message.get_or_insert_default();
        if !content.is_empty() {
            content.push(b',');
        }
        content
    }

    /// Ready for the next item.
    fn item(&mut self) -> &mut Vec<u8> {
        if self.count > 0 {
            self.items.push(b',');
        }
        self.count += 1;
        &mut self.items
    }

    /// Ends the message that is open.
    fn close(&mut self, last: bool) {
        let Some(content) = self.message.take() else { return };
        let id = wire::item_id("msg", self.ask, self.count);
        let status = if last { self.status } else { "completed" };
        items::write_message(self.item(), &id, status, &content);
    }
}

/// The answer is there: what cannot be said of it is noted, and nothing is refused any more.
fn lost(losses: &mut Losses, path: impl Into<Cow<'static, str>>, reason: &'static str) {
    losses.note(Loss::new(path, reason, LossAction::Dropped));
}
