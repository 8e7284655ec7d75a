//! Streams: read however they arrive, and written for a caller of each dialect.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use ziggurat_core::{
    CutOptions, Cutter, Dialect, Error, Event, Facts, Frame, Operation, PartId, PartKind, Restore,
    StopReason, StreamDecoder, StreamEncoder, ToolCallKind, Usage,
};
use ziggurat_dialects::framing::{ndjson, sse};
use ziggurat_dialects::{CONVERSE, GEMINI, OLLAMA};

use crate::chunks::{choppings, seed};
use crate::mutate::Mutator;
use crate::world::{DIALECTS, Manner, ask, assert_bounded, assert_stable, is_saturated, restore};

/// A provider's stream in `dialect`: the same events however it arrives, in the order that decoders promise, with the facts
/// that the cutter saw. A caller of any dialect gets a stream with one end that says the same.
pub(crate) fn stream(dialect: Dialect, data: &[u8]) {
    let mut mutator = Mutator::new(seed(data));
    let restore = restore(&mut mutator);
    let [whole, bytes, pieces] = choppings(data).map(|chunks| Read::of(dialect, &restore, chunks));
    assert_eq!(whole.said(), bytes.said(), "single bytes");
    assert_eq!(whole.said(), pieces.said(), "pieces");
    for chunks in choppings(data) {
        if let Some(carried) = Read::carried(dialect, &restore, chunks) {
            assert_eq!(whole.said(), carried.said(), "read while it was cut");
            has_its_facts(&carried);
        }
    }
    keeps_promises(&whole);
    if restore.is_empty() {
        has_its_facts(&whole);
    }
    for caller in DIALECTS {
        written(&whole, dialect, caller, data.len());
    }
}

/// What was read of a stream.
struct Read {
    events: Vec<Event>,
    /// What the cutter's frames say.
    facts: Facts,
    contents: u64,
    usage: Option<Usage>,
    /// Why it broke off.
    error: Option<Error>,
}

impl Read {
    /// Reads as far as a gateway does: to the terminator, or to what cannot be read.
    fn of(dialect: Dialect, restore: &Restore, chunks: Vec<Bytes>) -> Self {
        let cutter = dialect.cutter(&CutOptions::default());
        Self::cut(cutter, Some(dialect.decoder(restore)), chunks)
    }

    /// Takes the events that the cutter reads, if it reads them.
    fn carried(dialect: Dialect, restore: &Restore, chunks: Vec<Bytes>) -> Option<Self> {
        let mut cutter = dialect.cutter(&CutOptions::default());
        cutter.carry_events(restore).then(|| Self::cut(cutter, None, chunks))
    }

    fn cut(
        mut cutter: Box<dyn Cutter>,
        mut decoder: Option<Box<dyn StreamDecoder>>,
        chunks: Vec<Bytes>,
    ) -> Self {
        let mut read =
            Self { events: Vec::new(), facts: Facts::NONE, contents: 0, usage: None, error: None };
        let mut take = |read: &mut Self, frame: Frame| {
            read.facts |= frame.facts();
            read.contents += u64::from(frame.contents());
            if let Some(usage) = frame.usage() {
                read.usage.get_or_insert_default().update(usage);
            }
            let terminal = frame.facts().has(Facts::TERMINATOR);
            let Some(decoder) = &mut decoder else {
                read.events.extend_from_slice(frame.events().unwrap_or_default());
                return !terminal;
            };
            if let Err(error) = decoder.decode(frame.bytes(), &mut read.events) {
                read.error = Some(error);
                return false;
            }
            if terminal {
                decoder.finish(&mut read.events);
            }
            !terminal
        };
        for chunk in chunks {
            cutter.push(chunk);
            loop {
                match cutter.next_frame() {
                    Ok(Some(frame)) => {
                        if !take(&mut read, frame) {
                            return read;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        read.error = Some(error);
                        return read;
                    }
                }
            }
        }
        match cutter.finish() {
            Ok(Some(frame)) => drop(take(&mut read, frame)),
            Ok(None) => {}
            Err(error) => read.error = Some(error),
        }
        read
    }

    fn said(&self) -> impl PartialEq + std::fmt::Debug {
        let error = self.error.as_ref().map(|error| format!("{error:?}"));
        let events: Vec<String> = self.events.iter().map(|event| format!("{event:?}")).collect();
        (events, error)
    }

    /// Whether it is complete: neither broken off nor failed.
    fn is_complete(&self) -> bool {
        self.error.is_none() && matches!(self.events.last(), Some(Event::End))
    }
}

/// The promises of [`Event`].
fn keeps_promises(read: &Read) {
    let mut parts: BTreeMap<PartId, bool> = BTreeMap::new();
    let mut stopped = Vec::new();
    let mut ended = false;
    let mut started = false;
    for event in &read.events {
        assert!(!ended, "{event:?} after the end");
        let delta = match event {
            Event::Ping => continue,
            Event::Start(_) => {
                assert!(!started, "two beginnings");
                started = true;
                continue;
            }
            Event::PartStart { part, kind } => {
                assert!(parts.insert(*part, true).is_none(), "{part:?} begins twice");
                if let PartKind::ToolCall { name, .. } = &**kind {
                    assert!(!name.is_empty(), "a call without a name");
                }
                None
            }
            Event::PartEnd { part } => {
                assert_eq!(parts.insert(*part, false), Some(true), "{part:?} ends");
                None
            }
            Event::Text { part, .. }
            | Event::Thinking { part, .. }
            | Event::Signature { part, .. }
            | Event::Arguments { part, .. }
            | Event::Refusal { part, .. }
            | Event::Citation { part, .. } => Some(part),
            Event::Stop { choice, .. } => {
                assert!(!stopped.contains(choice), "choice {choice} stops twice");
                stopped.push(*choice);
                None
            }
            Event::End | Event::Error(_) => {
                ended = true;
                None
            }
            _ => None,
        };
        assert!(started, "{event:?} before the beginning");
        if let Some(part) = delta {
            assert_eq!(parts.get(part), Some(&true), "{event:?} outside of its part");
        }
    }
    if read.is_complete() {
        assert!(parts.values().all(|open| !open), "a part is open at the end: {parts:?}");
    }
    assert!(ended || read.error.is_some(), "no end and no error");
}

/// The facts that were read in passing are those of the events.
fn has_its_facts(read: &Read) {
    if read.error.is_some() {
        // What cannot be read is passed on to a caller of the same dialect, with the facts that it seems to have.
        return;
    }
    let learnt = Frame::of_events(read.events.clone());
    assert_eq!(read.facts, learnt.facts());
    assert_eq!(read.contents, u64::from(learnt.contents()));
    assert_eq!(read.usage.as_ref(), learnt.usage());
}

/// Writes what was read for a caller, as the front door does.
fn write(read: &Read, caller: Dialect) -> Bytes {
    let mut encoder = caller.encoder(&ask(Operation::Chat));
    let mut out = encode(encoder.as_mut(), &read.events);
    if let Some(error) = &read.error {
        out.extend_from_slice(&caller.encode_stream_error(error, Some("request-1")));
    }
    out.into()
}

fn encode(encoder: &mut dyn StreamEncoder, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    out
}

fn written(read: &Read, provider: Dialect, caller: Dialect, input: usize) {
    let out = write(read, caller);
    assert_bounded(input, out.len());
    assert_one_terminal(caller, &out);

    let again = Read::of(caller, &Restore::default(), vec![out.clone()]);
    keeps_promises(&again);
    has_its_facts(&again);
    let show = || format!("{provider} to {caller}: {}", out.escape_ascii());
    assert!(again.error.is_none(), "{:?}, {}", again.error, show());
    let manner = Manner::of(caller);
    // Some callers hear of one choice only.
    let failed = read.events.iter().any(|event| match event {
        Event::Stop { choice, stop } => {
            stop.reason == StopReason::Error
                && (*choice == 0 || !manner.alone)
                && !manner.tells_failure
                // It has words of its own for two failures.
                && !(caller == CONVERSE
                    && stop.word.as_ref().is_some_and(|word| word.starts_with("malformed_")))
        }
        _ => false,
    });
    assert_eq!(again.is_complete(), read.is_complete() && !failed, "{}", show());
    if again.is_complete() {
        assert_eq!(Said::of(&read.events, manner), Said::of(&again.events, manner), "{}", show());
        if is_saturated(read.usage.as_ref()) {
            return;
        }
        settles(again, caller);
    }
}

/// Written and read a few times nothing changes any more. What the provider left out is filled in (counts that are zero), and
/// choices come in the order in which they say something.
fn settles(mut read: Read, caller: Dialect) {
    let mut before = write(&read, caller);
    for _ in 0..4 {
        read = Read::of(caller, &Restore::default(), vec![before.clone()]);
        let after = write(&read, caller);
        if before == after {
            return;
        }
        before = after;
    }
    assert_stable(
        &before,
        &write(&Read::of(caller, &Restore::default(), vec![before.clone()]), caller),
    );
}

/// Whole events only, each of them JSON, the last of them the only one that ends the stream.
fn assert_one_terminal(caller: Dialect, out: &Bytes) {
    if caller == OLLAMA {
        return assert_one_last_line(out);
    }
    if caller == CONVERSE {
        // Binary: what follows the end is seen where it is read again.
        return;
    }
    let mut terminals = Vec::new();
    let mut last = 0;
    for (number, event) in sse::events(out).enumerate() {
        last = number;
        let Some(data) = &event.data else { continue };
        let text = std::str::from_utf8(data).expect("a stream is UTF-8");
        if text == "[DONE]" {
            terminals.push(number);
            continue;
        }
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{caller}: {error}, {text}"));
        let kind = members.get("type").and_then(|kind| serde_json::from_str(kind.get()).ok());
        // Gemini's last chunk says why each answer ended, or why there is none.
        let candidates = members.get("candidates").filter(|_| caller == GEMINI);
        let candidates: Vec<BTreeMap<String, &RawValue>> = candidates
            .map(|raw| serde_json::from_str(raw.get()).expect("a list of answers"))
            .unwrap_or_default();
        let stops = candidates.iter().any(|candidate| candidate.contains_key("finishReason"));
        let ends = event.name == Some(b"error")
            || match kind {
                Some(kind) => [
                    "message_stop",
                    "message-end",
                    "error",
                    "response.completed",
                    "response.incomplete",
                    "response.failed",
                ]
                .contains(&kind),
                None if stops => true,
                None => ["error", "promptFeedback"].iter().any(|name| members.contains_key(*name)),
            };
        if ends {
            terminals.push(number);
        }
    }
    assert_eq!(terminals, [last], "{caller}: {}", out.escape_ascii());
    assert!(out.ends_with(b"\n\n"));
}

/// Whole lines only, each of them JSON, the last of them the only one that is done, or failed. No client sees one more.
fn assert_one_last_line(out: &Bytes) {
    let ends: Vec<bool> = ndjson::lines(out)
        .map(|line| {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
            let done = members.get("done").is_some_and(|done| done.get() == "true");
            done || members.contains_key("error")
        })
        .collect();
    let last = ends.iter().position(|ends| *ends);
    assert_eq!(last, ends.len().checked_sub(1), "{}", out.escape_ascii());
    assert!(out.ends_with(b"\n"));
    let text = std::str::from_utf8(out).expect("a stream is UTF-8");
    assert!(!text.contains(['\u{85}', '\u{2028}', '\u{2029}']), "a line within a line");
}

/// What the first choice says: text, refusal, and its calls with their arguments.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    refusal: String,
    calls: Vec<(String, String)>,
}

impl Said {
    fn of(events: &[Event], manner: Manner) -> Self {
        let mut said = Self::default();
        let mut calls: BTreeMap<u16, (String, String)> = BTreeMap::new();
        // Where there is only one text, parts that run side by side flow together.
        let place = |part: &PartId| if manner.blocks { part.index } else { 0 };
        let mut custom = BTreeSet::new();
        let mut texts: BTreeMap<u16, String> = BTreeMap::new();
        let mut refusals: BTreeMap<u16, String> = BTreeMap::new();
        for event in events {
            match event {
                Event::PartStart { part, kind } if part.choice == 0 => {
                    if let PartKind::ToolCall { name, kind, .. } = &**kind {
                        calls.insert(part.index, (name.to_string(), String::new()));
                        if *kind == ToolCallKind::Custom && manner.plain {
                            custom.insert(part.index);
                        }
                    }
                }
                Event::Arguments { part, fragment } if part.choice == 0 => {
                    if let Some((_, arguments)) = calls.get_mut(&part.index) {
                        arguments.push_str(fragment);
                    }
                }
                Event::Text { part, text } if part.choice == 0 => {
                    texts.entry(place(part)).or_default().push_str(text);
                }
                Event::Refusal { part, text } if part.choice == 0 => {
                    let into = if manner.plain { &mut texts } else { &mut refusals };
                    into.entry(place(part)).or_default().push_str(text);
                }
                _ => {}
            }
        }
        said.text = texts.into_values().collect();
        said.refusal = refusals.into_values().collect();
        said.calls = calls
            .into_iter()
            .map(|(index, (name, arguments))| {
                let arguments = match arguments.as_str() {
                    text if custom.contains(&index) => json!({ "input": text }).to_string(),
                    // A call without arguments is one with none in it.
                    "" => "{}".to_owned(),
                    text if manner.objects => object(text),
                    _ => arguments,
                };
                let plain = serde_json::from_str(&arguments).map(|value: Value| value.to_string());
                (name, plain.unwrap_or(arguments))
            })
            .collect();
        said
    }
}

/// Arguments as the object that they are, or that holds them.
fn object(arguments: &str) -> String {
    match serde_json::from_str::<&RawValue>(arguments) {
        _ if arguments.trim().is_empty() => "{}".to_owned(),
        Ok(raw) if raw.get().starts_with('{') => arguments.to_owned(),
        Ok(raw) => format!("{{\"value\":{raw}}}"),
        Err(_) => json!({ "_raw": arguments }).to_string(),
    }
}
