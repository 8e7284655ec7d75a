use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Ask, BilledTokens, Changes, CutOptions, Error, ErrorKind, Event, Facts, Frame, Operation,
    PartId, PartKind, RawJson, Restore, Start, Stop, StopReason, Str, ToolCallKind, Usage,
};

use crate::COHERE;

/// Events with their names, as the provider sends them.
fn stream_of(events: &[Value]) -> String {
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

fn content(index: u32, kind: &str, pieces: &[&str]) -> Vec<Value> {
    let wrap = |content: Value| json!({"message": {"content": content}});
    let mut events = vec![json!({"type": "content-start", "index": index,
        "delta": wrap(json!({"type": kind, kind: ""}))})];
    events.extend(pieces.iter().map(|piece| {
        json!({"type": "content-delta", "index": index, "delta": wrap(json!({kind: piece}))})
    }));
    events.push(json!({"type": "content-end", "index": index}));
    events
}

fn call(index: u32, id: &str, name: &str, fragments: &[&str]) -> Vec<Value> {
    let wrap = |call: Value| json!({"message": {"tool_calls": call}});
    let mut events = vec![json!({"type": "tool-call-start", "index": index, "delta": wrap(json!(
        {"id": id, "type": "function", "function": {"name": name, "arguments": ""}}))})];
    events.extend(fragments.iter().map(|fragment| {
        json!({"type": "tool-call-delta", "index": index,
            "delta": wrap(json!({"function": {"arguments": fragment}}))})
    }));
    events.push(json!({"type": "tool-call-end", "index": index}));
    events
}

fn begin() -> Value {
    json!({"type": "message-start", "id": "c14c80c3", "delta": {"message": {"role": "assistant"}}})
}

fn finish(word: &str) -> Value {
    json!({"type": "message-end", "id": "c14c80c3", "delta": {"finish_reason": word, "usage": {
        "billed_units": {"input_tokens": 12, "output_tokens": 20},
        "tokens": {"input_tokens": 1200, "output_tokens": 90}}}})
}

fn stream(middle: &[Value], word: &str) -> String {
    stream_of(&[&[begin()], middle, &[finish(word)]].concat())
}

/// What comes of a stream in pieces of this size: events, the facts of all frames, and the error that ended it.
fn cut(stream: &[u8], piece: usize, restore: &Restore) -> (Vec<Event>, Frame, Option<Error>) {
    let mut cutter = COHERE.cutter(&CutOptions::default());
    let mut decoder = COHERE.decoder(restore);
    let mut events = Vec::new();
    let mut all = Frame::new(Bytes::new(), Facts::NONE);
    let mut take = |frame: Frame, events: &mut Vec<Event>| {
        all.mark(frame.facts());
        all.set_contents(all.contents() + frame.contents());
        if let Some(usage) = frame.usage() {
            all.set_usage(usage);
        }
        decoder.decode(frame.bytes(), events)
    };
    for piece in stream.chunks(piece) {
        cutter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = cutter.next_frame().unwrap() {
            if let Err(error) = take(frame, &mut events) {
                return (events, all, Some(error));
            }
        }
    }
    let error = match cutter.finish() {
        Ok(Some(frame)) => take(frame, &mut events).err(),
        Ok(None) => None,
        Err(error) => Some(error),
    };
    if error.is_none() {
        decoder.finish(&mut events);
    }
    (events, all, error)
}

fn events(stream: &str) -> Vec<Event> {
    cut(stream.as_bytes(), usize::MAX, &Restore::default()).0
}

fn show(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn text(events: &[Event], wanted: u16) -> String {
    let of = |event: &Event| match event {
        Event::Text { part, text }
        | Event::Thinking { part, text }
        | Event::Arguments { part, fragment: text }
            if part.index == wanted =>
        {
            Some(text.to_string())
        }
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn contents_and_calls_are_numbered_apart() {
    let plan = json!({"type": "tool-plan-delta",
        "delta": {"message": {"tool_plan": "I will call the tool."}}});
    let middle = [
        content(0, "thinking", &["Hm", "m"]),
        vec![plan],
        call(0, "f_0", "f", &["{\"city\":", "\"Oslo\"}"]),
        call(1, "f_1", "f", &["{}"]),
    ]
    .concat();
    let events = events(&stream(&middle, "TOOL_CALL"));
    let told: Vec<String> = (0..4).map(|part| text(&events, part)).collect();
    assert_eq!(told, ["Hmm", "I will call the tool.", r#"{"city":"Oslo"}"#, "{}"]);
    let Event::Start(start) = &events[0] else { panic!("{events:?}") };
    assert_eq!(start.id, "c14c80c3");
    let [.., Event::Usage(usage), Event::Stop { stop, .. }, Event::End] = &events[..] else {
        panic!("{events:?}");
    };
    let mut used = Usage::new(1200, 90);
    used.billed = Some(BilledTokens::new(12, 20));
    assert_eq!(**usage, used);
    assert_eq!(stop.reason, StopReason::ToolCalls);
    let begun = events.iter().filter(|event| matches!(event, Event::PartStart { .. })).count();
    let ended = events.iter().filter(|event| matches!(event, Event::PartEnd { .. })).count();
    assert_eq!((begun, ended), (4, 4));
}

#[test]
fn a_citation_is_of_the_text_that_is_open() {
    let mut middle = content(0, "text", &["Hello"]);
    let cited = json!({"start": 0, "end": 5, "text": "Hello", "sources": []});
    let citation =
        json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations": cited}}});
    middle.insert(2, citation);
    middle.insert(3, json!({"type": "citation-end", "index": 0}));
    let events = events(&stream(&middle, "COMPLETE"));
    let found = events.iter().find_map(|event| match event {
        Event::Citation { part, citation } => Some((part.index, citation.get().to_owned())),
        _ => None,
    });
    assert_eq!(found, Some((0, cited.to_string())));
}

#[test]
fn what_is_unknown_does_not_lose_the_stream() {
    let middle = [
        vec![json!({"type": "debug", "prompt": "x"}), json!({"type": "new-thing", "index": 3})],
        content(0, "text", &["Hi"]),
    ]
    .concat();
    let stream = stream(&middle, "COMPLETE") + "data: [DONE]\n\n";
    assert_eq!(text(&events(&stream), 0), "Hi");
}

#[test]
fn a_stream_may_say_that_it_failed() {
    let failed = json!({"type": "message-end", "delta": {"error": "model overloaded", "finish_reason": "ERROR"}});
    for end in [
        stream_of(&[failed]),
        stream_of(&[finish("TIMEOUT")]),
        "data: {\"message\":\"internal error\"}\n\n".to_owned(),
    ] {
        let stream = stream_of(&[&[begin()], &content(0, "text", &["Hi"])[..2]].concat()) + &end;
        let (events, facts, _) = cut(stream.as_bytes(), usize::MAX, &Restore::default());
        assert!(matches!(events.last(), Some(Event::Error(_))), "{events:?}");
        assert!(facts.facts().has(Facts::ERROR) && !facts.facts().has(Facts::TERMINATOR));
        assert!(!events.iter().any(|event| matches!(event, Event::Stop { .. })));
    }
}

#[test]
fn a_stream_that_ends_before_its_last_event_failed() {
    let stream = stream_of(&[&[begin()], &content(0, "text", &["Hi"])[..]].concat());
    let (events, _, error) = cut(stream.as_bytes(), 9, &Restore::default());
    assert_eq!(error.unwrap().kind(), ErrorKind::BadUpstream);
    assert!(!events.iter().any(|event| matches!(event, Event::Stop { .. } | Event::End)));
}

#[test]
fn what_was_changed_is_undone() {
    let mut changes = Changes::default();
    changes.custom_tools = vec!["sql".into()];
    changes.tool_names = vec![("sql".into(), "my sql".into())];
    changes.strip_fence = true;
    let middle = [
        content(0, "text", &["```json\n", "{}", "\n```"]),
        call(0, "c", "sql", &["{\"input\":", "\"select 1\"}"]),
    ]
    .concat();
    let (events, ..) =
        cut(stream(&middle, "TOOL_CALL").as_bytes(), usize::MAX, &Restore::new(changes));
    assert_eq!([text(&events, 0), text(&events, 1)], ["{}", "select 1"]);
    let told = show(&events).join("\n");
    assert!(told.contains("my sql") && told.contains("Custom"), "{told}");
}

#[test]
fn a_list_where_one_is_expected_is_that_one() {
    let mut middle = call(0, "f_0", "f", &["{}"]);
    for event in &mut middle {
        let call = event["delta"]["message"]["tool_calls"].take();
        if !call.is_null() {
            event["delta"]["message"]["tool_calls"] = json!([call]);
        }
    }
    assert_eq!(text(&events(&stream(&middle, "TOOL_CALL")), 0), "{}");
}

// === writing ===

fn encode(events: &[Event]) -> String {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.call_id = "call".into();
    let mut encoder = COHERE.encoder(&ask);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn values(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn call_start(index: u16, kind: ToolCallKind) -> Event {
    let kind = PartKind::ToolCall { id: format!("c{index}").into(), name: "f".into(), kind };
    Event::PartStart { part: PartId::first(index), kind: Box::new(kind) }
}

fn arguments(index: u16, fragment: &'static str) -> Event {
    Event::Arguments { part: PartId::first(index), fragment: Str::from(fragment) }
}

fn stop(reason: StopReason) -> Event {
    Event::Stop { choice: 0, stop: Box::new(Stop::new(reason)) }
}

#[test]
fn calls_are_written_as_they_come_and_always_with_arguments() {
    let stream = encode(&[
        Event::Start(Box::new(Start::new("chatcmpl-1", "m"))),
        call_start(0, ToolCallKind::Function),
        call_start(1, ToolCallKind::Custom),
        arguments(1, "select 1"),
        Event::PartEnd { part: PartId::first(0) },
        Event::PartEnd { part: PartId::first(1) },
        stop(StopReason::ToolCalls),
        Event::Usage(Box::new(Usage::new(5, 2).cache_read(3))),
        Event::End,
    ]);
    let told = values(&stream);
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "message-start",
            "tool-call-start",
            "tool-call-start",
            "tool-call-delta",
            "tool-call-end",
            "tool-call-delta",
            "tool-call-end",
            "message-end"
        ]
    );
    let written = |at: usize| {
        told[at]["delta"]["message"]["tool_calls"]["function"]["arguments"].as_str().unwrap()
    };
    assert_eq!((written(3), written(5)), ("{}", r#"{"input":"select 1"}"#));
    let end = &told[7]["delta"];
    assert_eq!(end["finish_reason"], "TOOL_CALL");
    assert_eq!(end["usage"]["tokens"], json!({"input_tokens": 8, "output_tokens": 2}));
    assert_eq!(told[0]["id"], "call");
}

#[test]
fn a_failure_is_the_last_event() {
    let failed = Event::Error(Error::new(ErrorKind::Overloaded, "busy"));
    let told = values(&encode(&[Event::Start(Box::default()), failed, Event::End]));
    assert_eq!(told.len(), 2);
    assert_eq!(told[1]["delta"], json!({"error": "busy", "finish_reason": "ERROR"}));
    let told = values(&encode(&[stop(StopReason::Error), Event::End]));
    assert_eq!(told[1]["delta"]["finish_reason"], "ERROR");
}

#[test]
fn an_empty_answer_ends_nevertheless() {
    let told = values(&encode(&[Event::End]));
    assert_eq!(told.len(), 2);
    assert_eq!(told[1]["delta"]["finish_reason"], "COMPLETE");
}

#[test]
fn citations_and_probabilities_are_told_with_their_text() {
    let part = PartId::first(0);
    let logprobs = RawJson::parse(r#"{"content":[{"token":"Hi","logprob":-0.5}]}"#.into()).unwrap();
    let citation = RawJson::parse(r#"{"url":"https://a.test"}"#.into()).unwrap();
    let told = values(&encode(&[
        Event::Start(Box::default()),
        Event::PartStart { part, kind: Box::new(PartKind::Text) },
        Event::Logprobs { choice: 0, logprobs: Box::new(logprobs) },
        Event::Text { part, text: "Hi".into() },
        Event::Citation { part, citation: Box::new(citation) },
        Event::PartEnd { part },
        stop(StopReason::Stop),
        Event::End,
    ]));
    assert_eq!(told[2]["logprobs"], json!({"text": "Hi", "token_ids": [], "logprobs": [-0.5]}));
    assert_eq!(told[3]["delta"]["message"]["citations"]["text"], "Hi");
    assert_eq!(told[4]["type"], "citation-end");
}

// === properties ===

fn middle() -> impl Strategy<Value = Vec<Value>> {
    let text = "[a-z\"\\\\é\n ]{0,9}";
    let pieces = || proptest::collection::vec(text, 0..4);
    let block = prop_oneof![
        4 => (Just("text"), pieces()),
        1 => (Just("thinking"), pieces()),
        2 => (Just("call"), pieces()),
    ];
    proptest::collection::vec(block, 0..5).prop_map(|blocks| {
        let (mut contents, mut calls) = (0, 0);
        let mut events = Vec::new();
        for (kind, pieces) in blocks {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            if kind == "call" {
                events.extend(call(calls, &format!("c{calls}"), "f", &pieces));
                calls += 1;
            } else {
                events.extend(content(contents, kind, &pieces));
                contents += 1;
            }
        }
        events
    })
}

fn any_stream() -> impl Strategy<Value = String> {
    (middle(), 0_u8..4).prop_map(|(middle, end)| match end {
        0 => stream_of(&[&[begin()], &middle[..]].concat()),
        1 => stream(&middle, "ERROR"),
        _ => stream(&middle, "MAX_TOKENS"),
    })
}

proptest! {
    #[test]
    fn chopping_changes_nothing(stream in any_stream(), piece in 1_usize..40) {
        let restore = Restore::default();
        let whole = cut(stream.as_bytes(), usize::MAX, &restore);
        let chopped = cut(stream.as_bytes(), piece, &restore);
        prop_assert_eq!(show(&chopped.0), show(&whole.0));
        prop_assert_eq!(chopped.1.facts(), whole.1.facts());
        prop_assert_eq!(chopped.1.contents(), whole.1.contents());
        prop_assert_eq!(chopped.1.usage(), whole.1.usage());
        prop_assert_eq!(chopped.2.is_some(), whole.2.is_some());
    }

    #[test]
    fn facts_are_those_of_the_events(stream in any_stream()) {
        let (events, facts, _) = cut(stream.as_bytes(), usize::MAX, &Restore::default());
        let mut learnt = Frame::new(Bytes::new(), Facts::NONE);
        events.iter().for_each(|event| learnt.learn(event));
        prop_assert_eq!(facts.contents(), learnt.contents());
        if events.iter().any(|event| matches!(event, Event::End | Event::Error(_))) {
            prop_assert_eq!(facts.facts(), learnt.facts());
        }
    }

    #[test]
    fn what_is_written_is_read_again(stream in any_stream()) {
        let first = events(&stream);
        if first.iter().any(|event| matches!(event, Event::End)) {
            let again = events(&encode(&first));
            for part in 0..6 {
                let (was, is) = (text(&first, part), text(&again, part));
                // A call without arguments gets an empty object.
                prop_assert!(was == is || (was.is_empty() && is == "{}"), "{} {}", was, is);
            }
            let kinds = |events: &[Event]| -> Vec<String> {
                show(&events.iter().filter(|event| !matches!(event, Event::Text { .. } | Event::Thinking { .. } | Event::Arguments { .. })).cloned().collect::<Vec<_>>())
            };
            prop_assert_eq!(kinds(&again), kinds(&first));
        }
    }

    #[test]
    fn nothing_that_comes_in_is_a_panic(data in "[{}\\[\\]\",:a-z0-9-]{0,60}", piece in 1_usize..9) {
        let stream = format!("event: content-delta\ndata: {data}\n\n");
        drop(cut(stream.as_bytes(), piece, &Restore::default()));
    }
}
