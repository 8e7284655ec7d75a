//! Streams there and back, and the facts read in between.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Ask, CutOptions, Cutter, Error, ErrorKind, Event, Facts, Frame, Operation, PartId, PartKind,
    Restore, Start, Stop, StopReason, Str, StreamDecoder, StreamEncoder, ToolCallKind, Usage,
};

use super::*;
use crate::framing::sse::{self, Decoded, EventReader as _, SseCutter};

fn stream(chunks: &[Value]) -> Bytes {
    chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect::<String>().into()
}

fn chunk(parts: Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
        "modelVersion": "m", "responseId": "r-1"})
}

fn last(reason: &str) -> Value {
    json!({"candidates": [{"finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
        "modelVersion": "m", "responseId": "r-1"})
}

fn decoded(bytes: &Bytes) -> Vec<Event> {
    let mut decoder = Decoder::restoring(&Restore::default());
    let mut events = Vec::new();
    decoder.decode(bytes, &mut events).unwrap();
    decoder.finish(&mut events);
    events
}

fn encoded(events: &[Event]) -> Vec<Value> {
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.call_id = Str::from("1");
    let mut encoder = Encoder::new(&ask);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    let out = Bytes::from(out);
    let value = |event: sse::SseEvent<'_>| serde_json::from_slice(&event.share()).unwrap();
    sse::events(&out).map(value).collect()
}

/// One word per event, with what it holds. Texts that follow one another are one.
fn sketch(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            Event::Start(start) => format!("start {} {} {:?}", start.id, start.model, start.usage),
            Event::PartStart { part, kind } => format!("part {} {kind:?}", part.index),
            Event::Text { text, .. } => format!("text {text}"),
            Event::Thinking { text, .. } => format!("thinking {text}"),
            Event::Signature { signature, .. } => format!("signature {signature}"),
            Event::Arguments { fragment, .. } => format!("arguments {fragment}"),
            Event::PartEnd { part } => format!("end {}", part.index),
            Event::Usage(usage) => format!("usage {}", usage.total()),
            Event::Stop { stop, .. } => format!("stop {:?}", stop.reason),
            Event::Error(error) => format!("error {:?}", error.kind()),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_stream_is_read() {
    let bytes = stream(&[
        chunk(json!([{"text": "Hm", "thought": true}])),
        chunk(json!([{"text": ".", "thought": true, "thoughtSignature": "QUJD"}])),
        chunk(json!([{"text": "So"}])),
        chunk(json!([{"text": "."}, {"functionCall": {"name": "f", "args": {"a": 1}}}])),
        chunk(json!([{"functionCall": {"id": "x", "name": "g"}, "thoughtSignature": "REVG"}])),
        last("STOP"),
    ]);
    let events = sketch(&decoded(&bytes));
    assert_eq!(
        events
            .iter()
            .map(String::as_str)
            .filter(|line| !line.contains("ToolCall {"))
            .collect::<Vec<_>>(),
        [
            "start r-1 m None",
            "part 0 Reasoning",
            "thinking Hm",
            "thinking .",
            "signature QUJD",
            "end 0",
            "part 1 Text",
            "text So",
            "text .",
            "end 1",
            "arguments {\"a\":1}",
            "end 2",
            "signature REVG",
            "arguments {}",
            "end 3",
            "stop ToolCalls",
            "usage 8",
            "End"
        ]
    );
}

#[test]
fn the_first_event_tells_what_is_known_of_the_usage() {
    let mut first = chunk(json!([{"text": "Hi"}]));
    first["usageMetadata"] = json!({"promptTokenCount": 5, "totalTokenCount": 5});
    let events = decoded(&stream(&[first, last("STOP")]));
    let Event::Start(start) = &events[0] else { panic!() };
    assert_eq!(start.usage.unwrap().input, Some(5));
}

#[test]
fn a_comment_is_a_ping_and_says_nothing_to_callers() {
    let events = decoded(&Bytes::from_static(b": x\n\n"));
    assert!(matches!(events[0], Event::Ping));
    assert!(encoded(&[Event::Ping]).is_empty());
}

#[test]
fn parts_that_run_side_by_side_stay_whole() {
    let part = |index| PartId { choice: 0, index };
    let call = |index, id: &str| Event::PartStart {
        part: part(index),
        kind: Box::new(PartKind::ToolCall {
            id: Str::from(id),
            name: Str::from("f"),
            kind: ToolCallKind::Function,
        }),
    };
    let piece =
        |index, text: &str| Event::Arguments { part: part(index), fragment: Str::from(text) };
    let out = encoded(&[
        Event::Start(Box::new(Start::new("x", "m"))),
        call(0, "a"),
        piece(0, "{\"x\""),
        call(1, "b"),
        piece(1, "{\"y\""),
        piece(0, ":1}"),
        piece(1, ":2}"),
        Event::PartEnd { part: part(1) },
        Event::Stop { choice: 0, stop: Box::new(Stop::new(StopReason::ToolCalls)) },
        Event::Usage(Box::new(Usage::new(1, 2))),
        Event::End,
        Event::End,
    ]);
    let calls: Vec<_> = out
        .iter()
        .filter_map(|chunk| chunk["candidates"][0]["content"]["parts"][0].get("functionCall"))
        .map(|call| (call["id"].clone(), call["args"].clone()))
        .collect();
    assert_eq!(calls, [(json!("a"), json!({"x": 1})), (json!("b"), json!({"y": 2}))]);
    assert_eq!(out.len(), 3, "one end: {out:?}");
    assert_eq!(out[2]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(out[2]["usageMetadata"]["totalTokenCount"], 3);
}

#[test]
fn what_waits_is_bounded() {
    let part = PartId { choice: 0, index: 0 };
    let kind = PartKind::ToolCall {
        id: Str::from("a"),
        name: Str::from("f"),
        kind: ToolCallKind::Function,
    };
    let mut events = vec![Event::PartStart { part, kind: Box::new(kind) }];
    let piece = Str::from("x".repeat(1 << 20));
    events.extend((0..20).map(|_| Event::Arguments { part, fragment: piece.clone() }));
    events.push(Event::End);
    let out = encoded(&events);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0]["error"]["status"], "INTERNAL");
}

#[test]
fn an_error_is_the_last_thing() {
    let events = [
        Event::Start(Box::new(Start::new("x", "m"))),
        Event::Error(Error::new(ErrorKind::Overloaded, "busy")),
        Event::End,
    ];
    let out = encoded(&events);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0]["error"]["code"], 503);
}

// === facts, and any way of cutting ===

fn cut(chunks: &[Bytes]) -> Result<Vec<Frame>, Error> {
    let mut cutter = SseCutter::new(Decoded::<Decoder>::new(), &CutOptions::default());
    let mut frames = Vec::new();
    for chunk in chunks {
        cutter.push(chunk.clone());
        while let Some(frame) = cutter.next_frame()? {
            frames.push(frame);
        }
    }
    frames.extend(cutter.finish()?);
    Ok(frames)
}

fn facts(frames: &[Frame]) -> (Facts, u64, Option<Usage>) {
    let mut usage: Option<Usage> = None;
    let mut facts = Facts::NONE;
    let mut contents = 0;
    for frame in frames {
        facts |= frame.facts();
        contents += u64::from(frame.contents());
        if let Some(later) = frame.usage() {
            usage.get_or_insert_default().update(later);
        }
    }
    (facts, contents, usage)
}

#[test]
fn a_stream_that_breaks_off_has_no_terminator() {
    let broken = stream(&[chunk(json!([{"text": "Hi"}]))]);
    assert_eq!(cut(&[broken]).unwrap_err().kind(), ErrorKind::BadUpstream);
    assert_eq!(cut(&[Bytes::new()]).unwrap_err().kind(), ErrorKind::BadUpstream);
    let whole = stream(&[chunk(json!([{"text": "Hi"}])), last("STOP")]);
    let frames = cut(&[whole]).unwrap();
    let (facts, contents, usage) = facts(&frames);
    assert!(facts.has(Facts::CONTENT | Facts::USAGE | Facts::STOP | Facts::TERMINATOR));
    assert_eq!((contents, usage.unwrap().total()), (1, 8));
}

fn any_part() -> impl Strategy<Value = Value> {
    let word = "[a-z\"\\\\é\n{}]{0,6}";
    prop_oneof![
        4 => word.prop_map(|text| json!({"text": text})),
        2 => word.prop_map(|text| json!({"text": text, "thought": true})),
        1 => Just(json!({"text": "", "thoughtSignature": "QUJD"})),
        1 => Just(json!({"text": "x", "thought": true, "thoughtSignature": "QUJD"})),
        2 => Just(json!({"functionCall": {"name": "f", "args": {"a": 1}}})),
        1 => Just(json!({"functionCall": {"name": "f", "willContinue": true}})),
        1 => Just(json!({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": true}})),
        1 => Just(json!({"functionCall": {}})),
        1 => Just(json!({"executableCode": {"code": "x"}})),
        1 => Just(json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}})),
        1 => Just(json!({})),
    ]
}

fn any_chunk() -> impl Strategy<Value = Value> {
    let reason = prop_oneof![
        6 => Just(None),
        1 => Just(Some("STOP")),
        1 => Just(Some("MAX_TOKENS")),
        1 => Just(Some("SAFETY")),
    ];
    let plain = (0u32..3, vec(any_part(), 0..3), reason, proptest::option::of(0u64..99)).prop_map(
        |(index, parts, reason, tokens)| {
            let mut chunk = json!({"candidates": [{"index": index, "content": {"parts": parts}}],
                "responseId": "r"});
            if let Some(reason) = reason {
                chunk["candidates"][0]["finishReason"] = json!(reason);
            }
            if let Some(tokens) = tokens {
                chunk["usageMetadata"] =
                    json!({"promptTokenCount": 3, "candidatesTokenCount": tokens});
            }
            chunk
        },
    );
    prop_oneof![
        9 => plain,
        1 => Just(json!({"promptFeedback": {"blockReason": "SAFETY"}})),
        1 => Just(json!({"usageMetadata": {"promptTokenCount": 9}})),
        1 => Just(json!({"novelty": 1})),
    ]
}

/// A stream in one of the spellings that servers use, which ends as it should, in an error, or not at all.
fn any_stream() -> impl Strategy<Value = Bytes> {
    let ends = prop_oneof![
        3 => Just(Some(json!({"candidates": [{"index": 0, "finishReason": "STOP"},
            {"index": 1, "finishReason": "STOP"}, {"index": 2, "finishReason": "STOP"}]}))),
        1 => Just(Some(json!({"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}))),
        1 => Just(None),
    ];
    (vec((any_chunk(), 0..3u8), 0..10), ends).prop_map(|(chunks, end)| {
        let mut out = String::new();
        for (chunk, spelling) in chunks.into_iter().chain(end.map(|end| (end, 0))) {
            match spelling {
                0 => out.push_str(&format!("data: {chunk}\r\n\r\n")),
                1 => out.push_str(&format!("data:{chunk}\n\n")),
                _ => out.push_str(&format!(": x\n\ndata: {chunk}  \n\n")),
            }
        }
        Bytes::from(out)
    })
}

fn chopped(bytes: &Bytes, cuts: &[usize]) -> Vec<Bytes> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| bytes.slice(pair[0]..pair[1])).collect()
}

/// What is decoded, with the error that ended it, if one did.
fn all_events(chunks: &[Bytes]) -> Vec<String> {
    let mut decoder = Decoder::restoring(&Restore::default());
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(error) = decoder.decode(chunk, &mut events) {
            return [sketch(&events), vec![format!("failed {:?}", error.kind())]].concat();
        }
    }
    decoder.finish(&mut events);
    sketch(&events)
}

proptest! {
    #[test]
    fn facts_are_those_of_the_events(stream in any_stream(), cuts in vec(any::<usize>(), 0..8)) {
        let mut decoder = Decoder::restoring(&Restore::default());
        let mut events = Vec::new();
        prop_assume!(decoder.decode(&stream, &mut events).is_ok());
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
    fn decoders_keep_their_promises(stream in any_stream()) {
        let mut decoder = Decoder::restoring(&Restore::default());
        let mut events = Vec::new();
        prop_assume!(decoder.decode(&stream, &mut events).is_ok());
        decoder.finish(&mut events);
        let mut open = std::collections::BTreeSet::new();
        let mut stopped = std::collections::BTreeSet::new();
        let starts = |event: &&Event| matches!(event, Event::Start(_));
        prop_assert_eq!(events.iter().filter(starts).count(), 1);
        for (at, event) in events.iter().enumerate() {
            let ends = matches!(event, Event::End | Event::Error(_));
            prop_assert_eq!(ends, at + 1 == events.len());
            match event {
                Event::PartStart { part, .. } => prop_assert!(open.insert(*part)),
                Event::PartEnd { part } => prop_assert!(open.remove(part)),
                Event::Text { part, .. } | Event::Thinking { part, .. }
                | Event::Arguments { part, .. } | Event::Signature { part, .. } => {
                    prop_assert!(open.contains(part));
                }
                Event::Stop { choice, .. } => prop_assert!(stopped.insert(*choice)),
                _ => {}
            }
        }
        prop_assert!(open.is_empty());
    }

    #[test]
    fn what_is_written_has_one_end(stream in any_stream()) {
        let mut decoder = Decoder::restoring(&Restore::default());
        let mut events = Vec::new();
        prop_assume!(decoder.decode(&stream, &mut events).is_ok());
        decoder.finish(&mut events);
        let out = encoded(&events);
        let is_end = |chunk: &Value| {
            let reason = |c: &Value| c["candidates"].as_array().is_some_and(|list| {
                list.iter().any(|c| c.get("finishReason").is_some())
            });
            chunk.get("error").is_some() || chunk.get("promptFeedback").is_some() || reason(chunk)
        };
        let ends: Vec<_> = out.iter().enumerate().filter(|(_, chunk)| is_end(chunk)).map(|(at, _)| at).collect();
        prop_assert_eq!(ends, [out.len() - 1]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..80), text in "[a-z:{}\" \n]{0,60}") {
        for bytes in [Bytes::from(bytes), Bytes::from(text)] {
            drop(cut(std::slice::from_ref(&bytes)));
            drop(Decoder::restoring(&Restore::default()).decode(&bytes, &mut Vec::new()));
        }
    }
}
