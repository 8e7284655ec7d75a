//! The fields of answers, whole and streamed.

use bytes::Bytes;
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, CutOptions, Dialect, Event, Loss, Losses, Operation,
    Part, PartId, PartKind, RawJson, Restore, Start, Stop, StopReason, Str, ToolCallKind, Usage,
};

use crate::Fate;

struct Field {
    name: &'static str,
    set: fn(&mut ChatReply),
    has: fn(&ChatReply) -> bool,
}

fn raw(json: &'static str) -> RawJson {
    RawJson::parse(Str::from_static(json)).unwrap()
}

fn choice(reply: &mut ChatReply) -> &mut Choice {
    &mut reply.choices[0]
}

fn any(reply: &ChatReply, is: impl Fn(&Content) -> bool) -> bool {
    reply.choices.iter().flat_map(|choice| &choice.parts).any(|part| is(&part.content))
}

fn stop(reply: &ChatReply) -> StopReason {
    reply.choices[0].stop.reason
}

fn usage(reply: &mut ChatReply, change: impl FnOnce(Usage) -> Usage) {
    reply.usage = Some(change(Usage::new(10, 5)));
}

fn cite(reply: &mut ChatReply, citation: &'static str) {
    let citations = vec![raw(citation)];
    choice(reply).parts = vec![Part::new(Content::Text { text: "Hello".into(), citations })];
}

fn is_cited(reply: &ChatReply) -> bool {
    any(
        reply,
        |content| matches!(content, Content::Text { citations, .. } if !citations.is_empty()),
    )
}

static FIELDS: &[Field] = &[
    Field { name: "text", set: |_| {}, has: |r| r.text() == "Hello" },
    Field {
        name: "tool call",
        set: |r| {
            choice(r).parts.push(Part::new(Content::ToolCall {
                id: "call_123456789".into(),
                name: "get_weather".into(),
                arguments: r#"{"city":"Ur"}"#.into(),
                kind: ToolCallKind::Function,
                signature: None,
            }));
            choice(r).stop = Stop::new(StopReason::ToolCalls);
        },
        has: |r| {
            r.tool_calls()
                .any(|(_, name, arguments)| name == "get_weather" && arguments.contains("Ur"))
        },
    },
    Field {
        name: "reasoning",
        set: |r| {
            let content = Content::Reasoning { text: "hm".into(), signature: None, redacted: None };
            choice(r).parts.insert(0, Part::new(content));
        },
        has: |r| {
            any(r, |content| matches!(content, Content::Reasoning { text, .. } if text == "hm"))
        },
    },
    Field {
        name: "signature of reasoning",
        set: |r| {
            let signature = Some(Str::from("c2lnbmVk"));
            let content = Content::Reasoning { text: "hm".into(), signature, redacted: None };
            choice(r).parts.insert(0, Part::new(content));
        },
        has: |r| any(r, |content| matches!(content, Content::Reasoning { signature: Some(_), .. })),
    },
    Field {
        name: "redacted reasoning",
        set: |r| {
            let redacted = Some(Str::from("c2VjcmV0"));
            let content = Content::Reasoning { text: Str::new(), signature: None, redacted };
            choice(r).parts.insert(0, Part::new(content));
        },
        has: |r| any(r, |content| matches!(content, Content::Reasoning { redacted: Some(_), .. })),
    },
    Field {
        name: "refusal",
        set: |r| {
            choice(r).parts = vec![Part::new(Content::Refusal { text: "I will not.".into() })];
            choice(r).stop = Stop::new(StopReason::Refusal);
        },
        // Where there is no word for it the text still says it.
        has: |r| {
            any(
                r,
                |content| matches!(content, Content::Refusal { text } | Content::Text { text, .. } if text == "I will not."),
            )
        },
    },
    Field {
        name: "citation of an address",
        set: |r| {
            cite(
                r,
                r#"{"type":"url_citation","url":"https://a.test/","title":"A","start_index":0,"end_index":5}"#,
            );
        },
        has: is_cited,
    },
    Field {
        name: "citation of a document (Anthropic's)",
        set: |r| {
            cite(
                r,
                r#"{"type":"char_location","cited_text":"Hello","document_index":0,"document_title":"tale","start_char_index":0,"end_char_index":5}"#,
            );
        },
        has: is_cited,
    },
    Field {
        name: "citation of a document (Cohere's)",
        set: |r| {
            cite(
                r,
                r#"{"start":0,"end":5,"text":"Hello","sources":[{"type":"document","id":"doc:0","document":{"id":"doc:0","title":"tale"}}]}"#,
            );
        },
        has: is_cited,
    },
    Field {
        name: "log probabilities",
        set: |r| {
            choice(r).logprobs = Some(raw(
                r#"{"content":[{"token":"Hello","logprob":-0.5,"bytes":[72],"top_logprobs":[]}]}"#,
            ));
        },
        has: |r| r.choices[0].logprobs.is_some(),
    },
    Field {
        name: "second answer",
        set: |r| {
            let stop = Stop::new(StopReason::Stop);
            r.choices.push(Choice::new(1, vec![Part::text("Hi")], stop));
        },
        has: |r| r.choices.len() == 2,
    },
    Field {
        name: "stop: length",
        set: |r| choice(r).stop = Stop::new(StopReason::Length),
        has: |r| stop(r) == StopReason::Length,
    },
    Field {
        name: "stop: sequence",
        set: |r| {
            choice(r).stop = Stop::new(StopReason::StopSequence);
            choice(r).stop.sequence = Some("END".into());
        },
        // Most dialects say that it ended, and not at what.
        has: |r| matches!(stop(r), StopReason::StopSequence | StopReason::Stop),
    },
    Field {
        name: "stop: content filter",
        set: |r| choice(r).stop = Stop::new(StopReason::ContentFilter),
        has: |r| matches!(stop(r), StopReason::ContentFilter | StopReason::Refusal),
    },
    Field {
        name: "input and output tokens",
        set: |r| usage(r, |usage| usage),
        has: |r| {
            r.usage.is_some_and(|usage| (usage.total_input(), usage.total_output()) == (10, 5))
        },
    },
    Field {
        name: "cached tokens",
        set: |r| usage(r, |usage| usage.cache_read(7)),
        has: |r| r.usage.is_some_and(|usage| usage.cache_read == Some(7)),
    },
    Field {
        name: "tokens written to the cache",
        set: |r| usage(r, |usage| usage.cache_write(7)),
        has: |r| r.usage.is_some_and(|usage| usage.cache_write == Some(7)),
    },
    Field {
        name: "reasoning tokens",
        set: |r| usage(r, |usage| usage.reasoning(3)),
        has: |r| r.usage.is_some_and(|usage| usage.reasoning == Some(3)),
    },
    Field {
        name: "service tier",
        set: |r| r.service_tier = Some("priority".into()),
        // Streams tell it with the usage, at their end.
        has: |r| r.service_tier.is_some() || r.usage.is_some_and(|usage| usage.tier.is_some()),
    },
];

/// What need not be reported: it is a part of a sum that is told.
const PARTS_OF_SUMS: [&str; 3] =
    ["cached tokens", "tokens written to the cache", "reasoning tokens"];

fn plain() -> ChatReply {
    let mut reply = ChatReply::new("id-1", "m");
    reply.created = Some(1_700_000_000);
    let stop = Stop::new(StopReason::Stop);
    reply.choices.push(Choice::new(0, vec![Part::text("Hello")], stop));
    reply
}

fn ask() -> Ask {
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.call_id = "call-1".into();
    ask.created = 1_700_000_000;
    ask.stream_usage = true;
    ask
}

fn write(dialect: Dialect, reply: &ChatReply) -> Option<(Bytes, Vec<Loss>)> {
    let answer = Answer::Chat(Box::new(reply.clone()));
    let mut losses = Losses::default();
    let body = dialect.encode_reply(&answer, &ask(), &mut losses).ok()?;
    Some((body, losses.into_found()))
}

fn read(dialect: Dialect, body: &Bytes) -> Option<ChatReply> {
    match dialect.decode_reply(Operation::Chat, body, &Restore::default()).ok()? {
        Answer::Chat(reply) => Some(*reply),
        _ => None,
    }
}

type Write = fn(Dialect, &ChatReply) -> Option<(Bytes, Vec<Loss>)>;

/// What becomes of a field: `write` gives bytes and losses, `read` an answer.
fn fates(
    from: Dialect,
    to: Dialect,
    write: Write,
    read: fn(Dialect, &Bytes) -> Option<ChatReply>,
) -> Vec<(String, Fate)> {
    let said = |reply: &ChatReply| read(from, &write(from, reply)?.0);
    let (there, usual) = write(to, &said(&plain()).unwrap()).unwrap();
    let (_, usual_back) = write(from, &read(to, &there).unwrap()).unwrap();
    let fate = |field: &Field| {
        let mut reply = plain();
        (field.set)(&mut reply);
        assert!((field.has)(&reply), "{}", field.name);
        let Some(answer) = said(&reply).filter(|said| (field.has)(said)) else {
            return Fate::Unsaid;
        };
        let Some((body, losses)) = write(to, &answer) else { return Fate::Refused };
        if let Some(fate) = Fate::of(losses.iter().filter(|loss| !usual.contains(loss))) {
            return fate;
        }
        match read(to, &body) {
            // What is kept on the way there is kept on the way back, or its loss is told.
            Some(arrived) if (field.has)(&arrived) => match write(from, &arrived) {
                Some((back, losses))
                    if losses.iter().all(|loss| usual_back.contains(loss))
                        && !read(from, &back).is_some_and(|back| (field.has)(&back)) =>
                {
                    Fate::Silent(format!("on the way back: {}", back.escape_ascii()))
                }
                _ => Fate::Kept,
            },
            Some(_) if PARTS_OF_SUMS.contains(&field.name) => Fate::Changed,
            _ => Fate::Silent(String::from_utf8_lossy(&body).into_owned()),
        }
    };
    FIELDS.iter().map(|field| (field.name.to_owned(), fate(field))).collect()
}

pub(crate) fn whole(from: Dialect, to: Dialect) -> Vec<(String, Fate)> {
    fates(from, to, write, read)
}

pub(crate) fn streamed(from: Dialect, to: Dialect) -> Vec<(String, Fate)> {
    fates(from, to, write_stream, read_stream)
}

/// An answer as the events of a stream.
fn events(reply: &ChatReply) -> Vec<Event> {
    let mut start = Start::default();
    start.id = reply.id.clone();
    start.model = reply.model.clone();
    start.created = reply.created;
    start.service_tier = reply.service_tier.clone();
    let mut events = vec![Event::Start(Box::new(start))];
    for choice in &reply.choices {
        let number = u16::try_from(choice.index).unwrap();
        for (index, told) in choice.parts.iter().enumerate() {
            let part = PartId { choice: number, index: u16::try_from(index).unwrap() };
            let mut begin =
                |kind: PartKind| events.push(Event::PartStart { part, kind: Box::new(kind) });
            match &told.content {
                Content::Text { text, citations } => {
                    begin(PartKind::Text);
                    if let Some(logprobs) = choice.logprobs.clone().filter(|_| index == 0) {
                        events
                            .push(Event::Logprobs { choice: number, logprobs: Box::new(logprobs) });
                    }
                    events.push(Event::Text { part, text: text.clone() });
                    for citation in citations {
                        let citation = Box::new(citation.clone());
                        events.push(Event::Citation { part, citation });
                    }
                }
                Content::Reasoning { redacted: Some(data), .. } => {
                    begin(PartKind::Redacted(data.clone()));
                }
                Content::Reasoning { text, signature, .. } => {
                    begin(PartKind::Reasoning);
                    events.push(Event::Thinking { part, text: text.clone() });
                    if let Some(signature) = signature {
                        events.push(Event::Signature { part, signature: signature.clone() });
                    }
                }
                Content::Refusal { text } => {
                    begin(PartKind::Refusal);
                    events.push(Event::Refusal { part, text: text.clone() });
                }
                Content::ToolCall { id, name, arguments, kind, .. } => {
                    begin(PartKind::ToolCall { id: id.clone(), name: name.clone(), kind: *kind });
                    events.push(Event::Arguments { part, fragment: arguments.clone() });
                }
                other => panic!("{other:?}"),
            }
            events.push(Event::PartEnd { part });
        }
        events.push(Event::Stop { choice: number, stop: Box::new(choice.stop.clone()) });
    }
    if let Some(usage) = &reply.usage {
        events.push(Event::Usage(Box::new(*usage)));
    }
    events.push(Event::End);
    events
}

fn write_stream(dialect: Dialect, reply: &ChatReply) -> Option<(Bytes, Vec<Loss>)> {
    let mut encoder = dialect.encoder(&ask());
    let mut out = Vec::new();
    for event in events(reply) {
        encoder.encode(&event, &mut out);
    }
    let losses = encoder.losses().to_vec();
    Some((out.into(), losses))
}

fn read_stream(dialect: Dialect, bytes: &Bytes) -> Option<ChatReply> {
    let mut cutter = dialect.cutter(&CutOptions::default());
    let mut decoder = dialect.decoder(&Restore::default());
    cutter.push(bytes.clone());
    let mut events = Vec::new();
    while let Some(frame) = cutter.next_frame().ok()? {
        decoder.decode(frame.bytes(), &mut events).ok()?;
    }
    while let Some(frame) = cutter.finish().ok()? {
        decoder.decode(frame.bytes(), &mut events).ok()?;
    }
    decoder.finish(&mut events);
    Some(gather(&events))
}

/// A stream as an answer.
fn gather(events: &[Event]) -> ChatReply {
    let mut reply = ChatReply::default();
    fn choice(reply: &mut ChatReply, number: u16) -> &mut Choice {
        let number = u32::from(number);
        if !reply.choices.iter().any(|choice| choice.index == number) {
            reply.choices.push(Choice::new(number, Vec::new(), Stop::new(StopReason::Stop)));
        }
        reply.choices.iter_mut().find(|choice| choice.index == number).unwrap()
    }
    let mut places: Vec<(PartId, usize)> = Vec::new();
    for event in events {
        match event {
            Event::Start(start) => {
                reply.id = start.id.clone();
                reply.model = start.model.clone();
                reply.service_tier = start.service_tier.clone();
                if let Some(usage) = &start.usage {
                    reply.usage.get_or_insert_default().update(usage);
                }
            }
            Event::PartStart { part, kind } => {
                let content = match &**kind {
                    PartKind::Text => Content::Text { text: Str::new(), citations: Vec::new() },
                    PartKind::Refusal => Content::Refusal { text: Str::new() },
                    PartKind::Reasoning => {
                        Content::Reasoning { text: Str::new(), signature: None, redacted: None }
                    }
                    PartKind::Redacted(data) => Content::Reasoning {
                        text: Str::new(),
                        signature: None,
                        redacted: Some(data.clone()),
                    },
                    PartKind::ToolCall { id, name, kind } => Content::ToolCall {
                        id: id.clone(),
                        name: name.clone(),
                        arguments: Str::new(),
                        kind: *kind,
                        signature: None,
                    },
                    _ => continue,
                };
                let parts = &mut choice(&mut reply, part.choice).parts;
                places.push((*part, parts.len()));
                parts.push(Part::new(content));
            }
            Event::Text { part, text: piece }
            | Event::Thinking { part, text: piece }
            | Event::Refusal { part, text: piece }
            | Event::Arguments { part, fragment: piece } => {
                let Some((_, at)) = places.iter().rev().find(|(other, _)| other == part) else {
                    continue;
                };
                match &mut choice(&mut reply, part.choice).parts[*at].content {
                    Content::Text { text, .. }
                    | Content::Refusal { text }
                    | Content::Reasoning { text, .. }
                    | Content::ToolCall { arguments: text, .. } => {
                        *text = format!("{text}{piece}").into();
                    }
                    _ => {}
                }
            }
            Event::Signature { part, signature: signed } => {
                let Some((_, at)) = places.iter().rev().find(|(other, _)| other == part) else {
                    continue;
                };
                if let Content::Reasoning { signature, .. } =
                    &mut choice(&mut reply, part.choice).parts[*at].content
                {
                    *signature = Some(signed.clone());
                }
            }
            Event::Citation { part, citation } => {
                let Some((_, at)) = places.iter().rev().find(|(other, _)| other == part) else {
                    continue;
                };
                if let Content::Text { citations, .. } =
                    &mut choice(&mut reply, part.choice).parts[*at].content
                {
                    citations.push((**citation).clone());
                }
            }
            Event::Logprobs { choice: number, logprobs } => {
                choice(&mut reply, *number).logprobs = Some((**logprobs).clone());
            }
            Event::Usage(usage) => reply.usage.get_or_insert_default().update(usage),
            Event::Stop { choice: number, stop } => {
                choice(&mut reply, *number).stop = (**stop).clone();
            }
            _ => {}
        }
    }
    reply
}
