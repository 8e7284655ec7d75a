//! A stream's events as the whole answer.

use std::collections::BTreeMap;

use ziggurat_core::{
    ChatReply, Choice, Content, Error, ErrorKind, Event, Origin, Part, PartId, PartKind, RawJson,
    Start, Stop, StopReason, Str, Usage,
};

/// The largest answer that is put together, in bytes of text.
const MAX_ANSWER: usize = 256 << 20;

/// Puts an answer together.
#[derive(Default)]
pub(super) struct Fold {
    start: Start,
    usage: Option<Usage>,
    parts: BTreeMap<PartId, Growing>,
    ends: BTreeMap<u16, End>,
    size: usize,
}

/// A part that is still being written.
struct Growing {
    kind: PartKind,
    text: String,
    signature: Option<Str>,
    citations: Vec<RawJson>,
}

/// What is known of a choice beside its parts.
#[derive(Default)]
struct End {
    stop: Option<Stop>,
    logprobs: Vec<RawJson>,
}

impl Fold {
    /// Takes an event in.
    pub(super) fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Start(start) => {
                self.usage = start.usage;
                self.start = *start;
            }
            Event::PartStart { part, kind } => {
                self.ends.entry(part.choice).or_default();
                self.parts.insert(part, Growing::new(*kind));
            }
            Event::Text { part, text }
            | Event::Thinking { part, text }
            | Event::Arguments { part, fragment: text }
            | Event::Refusal { part, text } => {
                self.grow(text.len())?;
                if let Some(growing) = self.parts.get_mut(&part) {
                    growing.text.push_str(&text);
                }
            }
            Event::Signature { part, signature } => {
                if let Some(growing) = self.parts.get_mut(&part) {
                    growing.signature = Some(signature);
                }
            }
            Event::Citation { part, citation } => {
                if let Some(growing) = self.parts.get_mut(&part) {
                    growing.citations.push(*citation);
                }
            }
            Event::Logprobs { choice, logprobs } => {
                self.grow(logprobs.get().len())?;
                self.ends.entry(choice).or_default().logprobs.push(*logprobs);
            }
            Event::Usage(usage) => self.usage.get_or_insert_default().update(&usage),
            Event::Stop { choice, stop } => {
                self.ends.entry(choice).or_default().stop = Some(*stop);
            }
            _ => {}
        }
        Ok(())
    }

    /// The answer.
    pub(super) fn finish(self) -> ChatReply {
        let mut reply = ChatReply::new(self.start.id, self.start.model);
        reply.created = self.start.created;
        reply.service_tier = self.start.service_tier;
        reply.usage = self.usage;
        let mut parts = self.parts.into_iter().peekable();
        for (number, end) in self.ends {
            let mut said = Vec::new();
            while let Some((_, growing)) = parts.next_if(|(part, _)| part.choice == number) {
                said.push(growing.finish());
            }
            let stop = end.stop.unwrap_or_else(|| Stop::new(StopReason::Other));
            let mut choice = Choice::new(u32::from(number), said, stop);
            choice.logprobs = join(end.logprobs);
            reply.choices.push(choice);
        }
        reply
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.size += bytes;
        if self.size > MAX_ANSWER { Err(too_large()) } else { Ok(()) }
    }
}

/// The log probabilities of all pieces as those of the whole: an object of lists, one entry a token (OpenAI `logprobs`).
fn join(mut pieces: Vec<RawJson>) -> Option<RawJson> {
    type Lists = BTreeMap<String, Option<Vec<RawJson>>>;
    if pieces.len() < 2 {
        return pieces.pop();
    }
    let mut whole = Lists::new();
    for piece in &pieces {
        for (name, list) in piece.read::<Lists>().ok()? {
            let all = whole.entry(name).or_default();
            if let Some(list) = list {
                all.get_or_insert_default().extend(list);
            }
        }
    }
    RawJson::of(&whole).ok()
}

impl Growing {
    fn new(kind: PartKind) -> Self {
        Self { kind, text: String::new(), signature: None, citations: Vec::new() }
    }

    fn finish(self) -> Part {
        let text = Str::from(self.text);
        let signature = self.signature;
        Part::new(match self.kind {
            PartKind::Reasoning => Content::Reasoning { text, signature, redacted: None },
            PartKind::Redacted(data) => {
                Content::Reasoning { text, signature, redacted: Some(data) }
            }
            PartKind::Refusal => Content::Refusal { text },
            PartKind::ToolCall { id, name, kind } => {
                Content::ToolCall { id, name, arguments: text, kind, signature }
            }
            PartKind::Opaque { kind, value } => Content::Opaque { kind, value },
            _ => Content::Text { text, citations: self.citations },
        })
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::BadUpstream, format!("the answer is larger than {MAX_ANSWER} bytes"))
        .with_origin(Origin::Provider)
}
