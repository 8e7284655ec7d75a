//! A whole answer as the events of a stream.

use ziggurat_core::{ChatReply, Content, Event, Part, PartId, PartKind, Start};

/// The events that tell this answer, with the promises that every stream's events keep.
pub(super) fn events(reply: ChatReply) -> Vec<Event> {
    let mut start = Start::new(reply.id, reply.model);
    start.created = reply.created;
    start.service_tier = reply.service_tier;
    let mut events = vec![Event::Start(Box::new(start))];
    for choice in reply.choices {
        let number = u16::try_from(choice.index).unwrap_or(u16::MAX);
        for (part, index) in choice.parts.into_iter().zip(0..=u16::MAX) {
            tell(part, PartId { choice: number, index }, &mut events);
        }
        if let Some(logprobs) = choice.logprobs {
            events.push(Event::Logprobs { choice: number, logprobs: Box::new(logprobs) });
        }
        events.push(Event::Stop { choice: number, stop: Box::new(choice.stop) });
    }
    events.extend(reply.usage.map(|usage| Event::Usage(Box::new(usage))));
    events.push(Event::End);
    events
}

fn tell(said: Part, part: PartId, events: &mut Vec<Event>) {
    let (kind, delta, signature) = match said.content {
        Content::Text { text, .. } => (PartKind::Text, Event::Text { part, text }, None),
        Content::Refusal { text } => (PartKind::Refusal, Event::Refusal { part, text }, None),
        Content::Reasoning { redacted: Some(data), .. } => {
            events.push(Event::PartStart { part, kind: Box::new(PartKind::Redacted(data)) });
            events.push(Event::PartEnd { part });
            return;
        }
        Content::Reasoning { text, signature, .. } => {
            (PartKind::Reasoning, Event::Thinking { part, text }, signature)
        }
        Content::ToolCall { id, name, arguments, kind, signature } => (
            PartKind::ToolCall { id, name, kind },
            Event::Arguments { part, fragment: arguments },
            signature,
        ),
        Content::Opaque { kind, value } => {
            let kind = Box::new(PartKind::Opaque { kind, value });
            events.push(Event::PartStart { part, kind });
            events.push(Event::PartEnd { part });
            return;
        }
        // Pictures and sound have no events in any dialect.
        _ => return,
    };
    events.push(Event::PartStart { part, kind: Box::new(kind) });
    events.push(delta);
    events.extend(signature.map(|signature| Event::Signature { part, signature }));
    events.push(Event::PartEnd { part });
}
