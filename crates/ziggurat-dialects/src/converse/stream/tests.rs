use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Ask, CutOptions, Cutter, Error, ErrorKind, Event, Facts, Frame, Operation, PartKind, Restore,
    Str, StreamDecoder, StreamEncoder, Usage,
};

use super::*;
use crate::framing::event_stream::{self, EventStreamCutter};

fn event(kind: &str, payload: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let headers =
        [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    event_stream::write(&headers, payload.to_string().as_bytes(), &mut out);
    out
}

fn exception(kind: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let headers = [(":exception-type", kind), (":message-type", "exception")];
    event_stream::write(&headers, json!({"message": message}).to_string().as_bytes(), &mut out);
    out
}

fn stream(events: &[(&str, Value)]) -> Bytes {
    events.iter().flat_map(|(kind, payload)| event(kind, payload)).collect::<Vec<u8>>().into()
}

fn decoded(bytes: &Bytes) -> Vec<Event> {
    let mut decoder = Decoder::new(&Restore::default());
    let mut events = Vec::new();
    if let Err(error) = decoder.decode(bytes, &mut events) {
        events.push(Event::Error(error));
        return events;
    }
    decoder.finish(&mut events);
    events
}

fn encoded(events: &[Event]) -> Bytes {
    let mut encoder = Encoder::new(&Ask::new(Operation::Chat, "m"));
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    out.into()
}

/// The events of frames, as a decoder meets them.
fn all_events(frames: &[Bytes]) -> String {
    let mut decoder = Decoder::new(&Restore::default());
    let mut events = Vec::new();
    for frame in frames {
        if let Err(error) = decoder.decode(frame, &mut events) {
            return format!("{events:?} {error}");
        }
    }
    decoder.finish(&mut events);
    format!("{events:?}")
}

fn cut(pieces: &[Bytes]) -> Result<Vec<Frame>, Error> {
    let mut cutter = EventStreamCutter::new(Side::new(), &CutOptions::default());
    let mut frames = Vec::new();
    for piece in pieces {
        cutter.push(piece.clone());
        while let Some(frame) = cutter.next_frame()? {
            frames.push(frame);
        }
    }
    frames.extend(cutter.finish()?);
    Ok(frames)
}

fn chopped(stream: &Bytes, cuts: &[usize]) -> Vec<Bytes> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| stream.slice(pair[0]..pair[1])).collect()
}

fn facts(frames: &[Frame]) -> (Facts, u64, Option<Usage>) {
    let mut seen = (Facts::NONE, 0, None::<Usage>);
    for frame in frames {
        seen.0 |= frame.facts();
        seen.1 += u64::from(frame.contents());
        if let Some(usage) = frame.usage() {
            seen.2.get_or_insert_default().update(usage);
        }
    }
    seen
}

// === decoding ===

#[test]
fn a_block_that_is_not_announced_begins_with_its_first_piece() {
    let events = decoded(&stream(&[
        ("messageStart", json!({"role": "assistant", "p": "abc"})),
        ("contentBlockDelta", json!({"contentBlockIndex": 3, "delta": {"text": "Hi"}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 3, "delta": {"text": ""}})),
        ("contentBlockStop", json!({"contentBlockIndex": 3})),
        ("messageStop", json!({"stopReason": "end_turn"})),
        ("metadata", json!({"usage": {"inputTokens": 1, "outputTokens": 2}})),
    ]));
    assert_eq!(events.len(), 7, "{events:?}");
    assert!(matches!(&events[1], Event::PartStart { kind, .. } if **kind == PartKind::Text));
    assert!(matches!(&events[5], Event::Usage(usage) if usage.total() == 3));
    assert!(matches!(events[6], Event::End));
}

#[test]
fn a_call_that_never_began_is_malformed() {
    let delta = json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}});
    let events = decoded(&stream(&[("contentBlockDelta", delta)]));
    let Some(Event::Error(error)) = events.last() else { panic!("{events:?}") };
    assert_eq!(error.kind(), ErrorKind::BadUpstream);
}

#[test]
fn an_exception_ends_the_stream_with_its_kind() {
    let mut bytes = event("messageStart", &json!({"role": "assistant"}));
    bytes.extend(exception("throttlingException", "slow down"));
    bytes.extend(event("messageStop", &json!({"stopReason": "end_turn"})));
    let bytes = Bytes::from(bytes);
    let events = decoded(&bytes);
    assert_eq!(events.len(), 2);
    let Some(Event::Error(error)) = events.last() else { panic!("{events:?}") };
    assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, "slow down"));
    let frames = cut(&[bytes]).unwrap();
    assert!(facts(&frames).0.has(Facts::ERROR));
    assert_eq!(frames[0].failure().unwrap().kind(), ErrorKind::RateLimit);
}

#[test]
fn a_stream_without_usage_is_complete_and_one_without_a_reason_to_stop_is_not() {
    let stop = ("messageStop", json!({"stopReason": "end_turn"}));
    let start = ("messageStart", json!({"role": "assistant"}));
    let frames = cut(&[stream(&[start.clone(), stop])]).unwrap();
    assert!(facts(&frames).0.has(Facts::TERMINATOR));
    let usage = ("metadata", json!({"usage": {"inputTokens": 1, "outputTokens": 2}}));
    for events in [vec![start.clone()], vec![start, usage], Vec::new()] {
        let error = cut(&[stream(&events)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUpstream);
    }
}

#[test]
fn a_malformed_payload_is_an_error_after_what_came_before() {
    let mut bytes =
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "a"}}));
    let headers = [(":event-type", "contentBlockDelta"), (":message-type", "event")];
    event_stream::write(&headers, b"{", &mut bytes);
    let events = decoded(&Bytes::from(bytes));
    assert!(matches!(&events[2], Event::Text { text, .. } if text == "a"));
    assert!(matches!(&events[3], Event::Error(error) if error.kind() == ErrorKind::BadUpstream));
}

#[test]
fn a_block_of_the_providers_own_is_told_whole() {
    let events = decoded(&stream(&[
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 0, "start": {"toolUse":
            {"toolUseId": "a", "name": "search", "type": "server_tool_use"}}}),
        ),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{\"q\":"}}}),
        ),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "1}"}}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 1, "start": {"toolResult":
            {"toolUseId": "a", "status": "success"}}}),
        ),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 1, "delta": {"toolResult": [{"text": "x"}]}}),
        ),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 1, "delta": {"toolResult": [{"json": {}}]}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 1})),
        ("messageStop", json!({"stopReason": "end_turn"})),
    ]));
    let told: Vec<Value> = events
        .iter()
        .filter_map(|event| match event {
            Event::PartStart { kind, .. } => match &**kind {
                PartKind::Opaque { value, .. } => value.read().ok(),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            json!({"toolUse": {"toolUseId": "a", "name": "search", "type": "server_tool_use",
                "input": {"q": 1}}}),
            json!({"toolResult": {"toolUseId": "a", "status": "success",
                "content": [{"text": "x"}, {"json": {}}]}}),
        ]
    );
}

// === encoding ===

#[test]
fn reasoning_of_another_providers_model_bears_its_name() {
    let events = decoded(&stream(&[
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm."}}}),
        ),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "EqQB"}}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        ("messageStop", json!({"stopReason": "end_turn"})),
    ]));
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.origin = Some(Str::from("claude"));
    let mut encoder = Encoder::new(&ask);
    let mut out = Vec::new();
    for event in &events {
        encoder.encode(event, &mut out);
    }
    let again = decoded(&out.into());
    let signature = again.iter().find_map(|event| match event {
        Event::Signature { signature, .. } => Some(signature.clone()),
        _ => None,
    });
    assert_eq!(
        crate::origin::origin(&signature.unwrap()),
        crate::origin::Origin::Model("claude".into(), "EqQB")
    );
}

// === properties ===

fn any_payload() -> impl Strategy<Value = (&'static str, Value)> {
    let index = 0u8..3;
    let delta = |index: u8, delta: Value| {
        ("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}))
    };
    prop_oneof![
        1 => Just(("messageStart", json!({"role": "assistant"}))),
        4 => (index.clone(), "[a-z\"é]{0,5}").prop_map(move |(i, text)| delta(i, json!({"text": text}))),
        2 => (index.clone(), "[a-z]{0,5}")
            .prop_map(move |(i, text)| delta(i, json!({"reasoningContent": {"text": text}}))),
        1 => index.clone()
            .prop_map(move |i| delta(i, json!({"reasoningContent": {"signature": "EqQB"}}))),
        1 => index.clone()
            .prop_map(move |i| delta(i, json!({"reasoningContent": {"redactedContent": "EqQB"}}))),
        2 => index.clone().prop_map(|i| ("contentBlockStart", json!({"contentBlockIndex": i,
            "start": {"toolUse": {"toolUseId": "a", "name": "f"}}}))),
        2 => (index.clone(), "[{}a-z:\"]{0,5}")
            .prop_map(move |(i, input)| delta(i, json!({"toolUse": {"input": input}}))),
        2 => index.prop_map(|i| ("contentBlockStop", json!({"contentBlockIndex": i}))),
        1 => Just(("messageStop", json!({"stopReason": "end_turn"}))),
        1 => Just(("metadata", json!({"usage": {"inputTokens": 3, "outputTokens": 4}}))),
        1 => Just(("ping", json!({}))),
        1 => Just(("new", json!({"a": 1}))),
    ]
}

fn any_stream() -> impl Strategy<Value = Bytes> {
    (vec(any_payload(), 0..14), 0..12u8).prop_map(|(payloads, failure)| {
        let mut bytes: Vec<u8> =
            payloads.iter().flat_map(|(kind, payload)| event(kind, payload)).collect();
        if failure == 0 {
            bytes.extend(exception("serviceUnavailableException", "busy"));
        }
        if failure > 3 {
            bytes.extend(event("messageStop", &json!({"stopReason": "tool_use"})));
            bytes.extend(event("metadata", &json!({"usage": {"inputTokens": 3}})));
        }
        bytes.into()
    })
}

proptest! {
    #[test]
    fn however_a_stream_is_chopped_the_same_events_come_out(
        stream in any_stream(),
        cuts in vec(any::<usize>(), 0..8),
    ) {
        let whole = all_events(std::slice::from_ref(&stream));
        if let Ok(frames) = cut(&chopped(&stream, &cuts)) {
            let frames: Vec<Bytes> = frames.into_iter().map(Frame::into_bytes).collect();
            prop_assert_eq!(all_events(&frames), whole);
        }
    }

    #[test]
    fn facts_are_those_of_the_events(stream in any_stream(), cuts in vec(any::<usize>(), 0..8)) {
        let mut decoder = Decoder::new(&Restore::default());
        let mut events = Vec::new();
        if decoder.decode(&stream, &mut events).is_err() {
            return Ok(());
        }
        decoder.finish(&mut events);
        let broken = matches!(events.last(), Some(Event::Error(error)) if error.said().is_none());
        match cut(&chopped(&stream, &cuts)) {
            Ok(frames) => {
                prop_assert!(!broken);
                let learned = Frame::of_events(events);
                let (facts, contents, usage) = facts(&frames);
                prop_assert_eq!(facts, learned.facts());
                prop_assert_eq!(contents, u64::from(learned.contents()));
                prop_assert_eq!(usage, learned.usage().copied());
                let kept: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
                prop_assert_eq!(&kept[..], &stream[..]);
            }
            Err(_) => prop_assert!(broken),
        }
    }

    /// The promises of [`Event`], and that what is written reads as what was meant.
    #[test]
    fn events_keep_their_order_and_survive_being_written(stream in any_stream()) {
        let events = decoded(&stream);
        let mut open = std::collections::BTreeSet::new();
        for (index, event) in events.iter().enumerate() {
            match event {
                Event::Start(_) => prop_assert!(events[..index].iter().all(|e| matches!(e, Event::Ping))),
                Event::PartStart { part, .. } => prop_assert!(open.insert(*part)),
                Event::PartEnd { part } => prop_assert!(open.remove(part)),
                Event::Text { part, .. }
                | Event::Thinking { part, .. }
                | Event::Signature { part, .. }
                | Event::Arguments { part, .. } => prop_assert!(open.contains(part)),
                Event::End => {
                    prop_assert!(open.is_empty());
                    prop_assert_eq!(index, events.len() - 1);
                }
                Event::Error(_) => prop_assert_eq!(index, events.len() - 1),
                _ => {}
            }
        }
        let text = |events: &[Event]| {
            let mut said = String::new();
            for event in events {
                if let Event::Text { text, .. } = event {
                    said.push_str(text);
                }
            }
            said
        };
        if !matches!(events.last(), Some(Event::End)) {
            return Ok(());
        }
        let again = decoded(&encoded(&events));
        prop_assert!(matches!(again.last(), Some(Event::End)));
        // Parts that were side by side come one after the other: the letters are the same.
        let sorted = |text: String| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        prop_assert_eq!(sorted(text(&again)), sorted(text(&events)));
    }
}
