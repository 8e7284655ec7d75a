use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Ask, Changes, CutOptions, Error, ErrorKind, Event, Facts, Frame, Operation, PartId, PartKind,
    RawJson, Restore, Start, Stop, StopReason, Str, ToolCallKind, Usage,
};

use crate::OLLAMA;

const STREAM: &str = concat!(
    r#"{"model":"qwen3","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"","thinking":"Hmm"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"Hel"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"lo \"é\""},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_1","function":{"index":0,"name":"f","arguments":{"city":"Oslo"}}},{"function":{"name":"g","arguments":{}}}]},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2026-01-02T03:04:06Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":9}"#,
    "\n",
);

/// What comes of a stream in pieces of this size: events, the facts of all frames, the bytes, and the error that ended it.
fn cut(
    stream: &[u8],
    piece: usize,
    restore: &Restore,
) -> (Vec<Event>, Frame, Vec<u8>, Option<Error>) {
    let mut cutter = OLLAMA.cutter(&CutOptions::default());
    let mut decoder = OLLAMA.decoder(restore);
    let mut events = Vec::new();
    let mut all = Frame::new(Bytes::new(), Facts::NONE);
    let mut bytes = Vec::new();
    let mut take = |frame: Frame, events: &mut Vec<Event>| {
        all.mark(frame.facts());
        all.set_contents(all.contents() + frame.contents());
        if let Some(usage) = frame.usage() {
            all.set_usage(usage);
        }
        bytes.extend_from_slice(frame.bytes());
        decoder.decode(frame.bytes(), events)
    };
    for piece in stream.chunks(piece) {
        cutter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = cutter.next_frame().unwrap() {
            if let Err(error) = take(frame, &mut events) {
                return (events, all, bytes, Some(error));
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
    (events, all, bytes, error)
}

fn events(stream: &str) -> Vec<Event> {
    cut(stream.as_bytes(), usize::MAX, &Restore::default()).0
}

fn show(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn line(message: Value) -> String {
    let line = json!({"model": "m", "created_at": "2026-01-02T03:04:05Z", "message": message, "done": false});
    format!("{line}\n")
}

#[test]
fn lines_are_events() {
    let events = events(STREAM);
    let text = |wanted: u16| -> String {
        let of = |event: &Event| match event {
            Event::Text { part, text } | Event::Thinking { part, text } if part.index == wanted => {
                Some(text.to_string())
            }
            Event::Arguments { part, fragment } if part.index == wanted => {
                Some(fragment.to_string())
            }
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    assert_eq!([0, 1, 2, 3].map(text), ["Hmm", "Hello \"é\"", r#"{"city":"Oslo"}"#, "{}"]);
    let Event::Start(start) = &events[0] else { panic!("{events:?}") };
    assert_eq!((start.model.as_str(), start.created), ("qwen3", Some(1_767_323_045)));
    let starts: Vec<&PartKind> = events
        .iter()
        .filter_map(|event| match event {
            Event::PartStart { kind, .. } => Some(&**kind),
            _ => None,
        })
        .collect();
    assert_eq!(starts[..2], [&PartKind::Reasoning, &PartKind::Text]);
    let PartKind::ToolCall { id, name, .. } = starts[3] else { panic!("{starts:?}") };
    assert_eq!(name, "g");
    assert!(!id.is_empty(), "a call is named");
    let [.., Event::Usage(usage), Event::Stop { stop, .. }, Event::End] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(**usage, Usage::new(26, 9));
    assert_eq!(stop.reason, StopReason::ToolCalls);
}

#[test]
fn one_line_may_hold_thoughts_and_text() {
    let stream = line(json!({"thinking": "a", "content": "b"})) + &line(json!({"thinking": "c"}));
    let parts =
        events(&stream).iter().filter(|event| matches!(event, Event::PartStart { .. })).count();
    assert_eq!(parts, 3, "each in a part of its own");
}

#[test]
fn a_stream_that_ends_before_it_is_done_failed() {
    let (events, _, _, error) =
        cut(line(json!({"content": "Hi"})).as_bytes(), 9, &Restore::default());
    assert_eq!(error.unwrap().kind(), ErrorKind::BadUpstream);
    assert!(!events.iter().any(|event| matches!(event, Event::Stop { .. } | Event::End)));
}

#[test]
fn an_error_in_the_stream_is_one() {
    let stream = line(json!({"content": "Hi"})) + "{\"error\":\"model runner has stopped\"}\n";
    let (events, facts, ..) = cut(stream.as_bytes(), usize::MAX, &Restore::default());
    let Some(Event::Error(error)) = events.last() else { panic!("{events:?}") };
    assert_eq!(error.message(), "model runner has stopped");
    assert!(facts.facts().has(Facts::ERROR));
    assert!(!facts.facts().has(Facts::TERMINATOR));
}

#[test]
fn an_answer_begins_after_what_keeps_its_caller_waiting() {
    let wait = String::from_utf8(OLLAMA.keep_alive().to_vec()).unwrap();
    let events = events(&(wait + STREAM));
    let [Event::Ping, Event::Start(start), ..] = &events[..] else { panic!("{events:?}") };
    assert_eq!(start.model, "qwen3");
}

#[test]
fn probabilities_come_before_their_text() {
    let told = json!([{"token": "Hi", "logprob": -0.1}]);
    let stream = json!({"message": {"content": "Hi"}, "logprobs": told, "done": false});
    let events = events(&format!("{stream}\n"));
    let place = |wanted: fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    let logprobs = place(|event| matches!(event, Event::Logprobs { .. }));
    assert!(logprobs < place(|event| matches!(event, Event::Text { .. })));
}

#[test]
fn what_was_changed_is_undone() {
    let mut changes = Changes::default();
    changes.custom_tools = vec!["sql".into()];
    changes.tool_names = vec![("sql".into(), "my sql".into())];
    let call = json!({"tool_calls": [{"function": {"name": "sql", "arguments": {"input": "x"}}}]});
    let stream = line(call);
    let (events, ..) = cut(stream.as_bytes(), usize::MAX, &Restore::new(changes));
    let told = show(&events).join("\n");
    assert!(told.contains("my sql") && told.contains("Custom"), "{told}");
    assert!(told.contains(r#"fragment: "x""#), "{told}");
}

#[test]
fn the_common_line_is_recognised_and_no_other() {
    let begin = line(json!({"content": "a"}));
    for (odd, contents) in [
        (
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":"x\"y"},"done":false}"#,
            1,
        ),
        (
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":""},"done":false}"#,
            0,
        ),
        (
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":"x"},"done":true}"#,
            1,
        ),
        (
            r#"{"model":"m","error":"t","message":{"role":"assistant","content":"x"},"done":false}"#,
            0,
        ),
        (
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":"x","thinking":"y"},"done":false}"#,
            2,
        ),
        (
            r#"{"model":"m","created_at":"t","x":{},"message":{"role":"assistant","content":"x"},"done":false}"#,
            1,
        ),
    ] {
        let stream = format!("{begin}{odd}\n");
        let mut cutter = OLLAMA.cutter(&CutOptions::default());
        cutter.push(Bytes::from(stream.clone()));
        let frame = cutter.next_frame().unwrap().unwrap();
        let mut decoded = Frame::new(Bytes::new(), Facts::NONE);
        let mut events = Vec::new();
        OLLAMA.decoder(&Restore::default()).decode(frame.bytes(), &mut events).unwrap();
        events.iter().for_each(|event| decoded.learn(event));
        assert_eq!(frame.facts(), decoded.facts(), "{odd}");
        assert_eq!(frame.contents(), decoded.contents(), "{odd}");
        assert_eq!(frame.contents(), 1 + contents, "{odd}");
    }
}

// === writing ===

fn encode(events: &[Event]) -> String {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.created = 1_767_323_045;
    let mut encoder = OLLAMA.encoder(&ask);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn values(stream: &str) -> Vec<Value> {
    stream.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_stream_goes_out_as_it_came() {
    let mut written = values(&encode(&events(STREAM)));
    let mut expected = values(STREAM);
    // Each call is told in a line of its own, by the name that it was given.
    let id = written[4]["message"]["tool_calls"][0]["id"].take();
    assert!(id.as_str().unwrap().starts_with("call_"));
    let calls = expected[3]["message"]["tool_calls"].take();
    expected[3]["message"]["tool_calls"] = json!([calls[0]]);
    let second = json!({"id": null, "function": {"index": 1, "name": "g", "arguments": {}}});
    let mut line = expected[3].clone();
    line["message"]["tool_calls"] = json!([second]);
    expected.insert(4, line);
    expected.last_mut().unwrap()["created_at"] = json!("2026-01-02T03:04:05Z");
    assert_eq!(written, expected);
}

fn call_start(index: u16, id: &str) -> Event {
    let kind = PartKind::ToolCall { id: id.into(), name: "f".into(), kind: ToolCallKind::Function };
    Event::PartStart { part: PartId::first(index), kind: Box::new(kind) }
}

fn arguments(index: u16, fragment: &'static str) -> Event {
    Event::Arguments { part: PartId::first(index), fragment: Str::from(fragment) }
}

fn end(index: u16) -> Event {
    Event::PartEnd { part: PartId::first(index) }
}

fn stop(reason: StopReason) -> Event {
    Event::Stop { choice: 0, stop: Box::new(Stop::new(reason)) }
}

#[test]
fn calls_that_interleave_are_told_whole_and_in_order() {
    let stream = encode(&[
        Event::Start(Box::new(Start::new("1", "m"))),
        call_start(0, "a"),
        arguments(0, "{\"n\":"),
        call_start(1, "b"),
        arguments(1, ""),
        arguments(0, "1152921504606846977}"),
        end(1),
        end(0),
        stop(StopReason::ToolCalls),
        Event::Usage(Box::new(Usage::new(5, 2))),
        Event::End,
    ]);
    let lines = values(&stream);
    let calls: Vec<&Value> = lines.iter().map(|line| &line["message"]["tool_calls"][0]).collect();
    assert_eq!(
        calls[0],
        &json!({"id": "a", "function": {
            "index": 0, "name": "f", "arguments": {"n": 1_152_921_504_606_846_977_u64}
        }})
    );
    assert_eq!(
        calls[1],
        &json!({"id": "b", "function": {"index": 1, "name": "f", "arguments": {}}})
    );
    let last = &lines[2];
    assert_eq!(last["done_reason"], "stop");
    assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(5), &json!(2)));
    assert_eq!(lines.iter().filter(|line| line["done"] == true).count(), 1);
}

#[test]
fn a_call_cut_short_still_has_an_object() {
    let stream = encode(&[
        call_start(0, "a"),
        arguments(0, "{\"n\":"),
        stop(StopReason::Length),
        Event::End,
    ]);
    let lines = values(&stream);
    assert_eq!(
        lines[0]["message"]["tool_calls"][0]["function"]["arguments"],
        json!({"_raw": "{\"n\":"})
    );
    assert_eq!(lines[1]["done_reason"], "length");
}

#[test]
fn a_failure_is_the_last_line() {
    let text = Event::Text { part: PartId::first(0), text: "Hi".into() };
    let failed = Event::Error(Error::new(ErrorKind::Overloaded, "busy"));
    let stream = encode(&[text.clone(), failed, Event::End]);
    assert_eq!(values(&stream)[1..], [json!({"error": "busy"})]);
    let stream = encode(&[text, stop(StopReason::Error), Event::End]);
    let lines = values(&stream);
    assert!(lines[1]["error"].is_string(), "{stream}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn an_empty_answer_is_done_nevertheless() {
    let lines = values(&encode(&[Event::End]));
    assert_eq!(
        lines,
        [json!({"model": "asked", "created_at": "2026-01-02T03:04:05Z",
        "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"})]
    );
}

#[test]
fn no_line_breaks_where_a_client_would_see_one() {
    let text = "a\u{2028}b\u{85}c\nd";
    let stream = encode(&[Event::Text { part: PartId::first(0), text: text.into() }, Event::End]);
    let is_break = |c: char| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    assert!(!stream.contains(is_break), "{stream}");
    assert_eq!(values(&stream)[0]["message"]["content"], text);
}

#[test]
fn arguments_that_wait_are_bounded() {
    let piece: &'static str = Box::leak("x".repeat(1 << 20).into_boxed_str());
    let mut sent = vec![call_start(0, "a")];
    sent.extend((0..17).map(|_| arguments(0, piece)));
    sent.push(Event::End);
    let lines = values(&encode(&sent));
    assert!(lines.len() == 1 && lines[0]["error"].is_string());
}

#[test]
fn probabilities_go_out_with_their_text() {
    let told = RawJson::parse(r#"{"content":[{"token":"Hi","logprob":-0.1}]}"#.into()).unwrap();
    let logprobs = Event::Logprobs { choice: 0, logprobs: Box::new(told) };
    let text = Event::Text { part: PartId::first(0), text: "Hi".into() };
    let lines = values(&encode(&[logprobs.clone(), text, logprobs, Event::End]));
    let expected = json!([{"token": "Hi", "logprob": -0.1}]);
    assert_eq!((&lines[0]["logprobs"], &lines[0]["message"]["content"]), (&expected, &json!("Hi")));
    assert_eq!(lines[1]["logprobs"], expected, "what has no text is told all the same");
}

// === properties ===

fn piece() -> impl Strategy<Value = Value> {
    let text = "[a-z\"\\\\é\u{2028}\n ]{0,9}";
    prop_oneof![
        4 => text.prop_map(|text| json!({"role": "assistant", "content": text})),
        1 => text.prop_map(|text| json!({"role": "assistant", "content": "", "thinking": text})),
        1 => ("[a-z\"\\\\é]{0,9}", any::<bool>()).prop_map(|(text, named)| {
            let mut call = json!({"function": {"name": "f", "arguments": {"a": text}}});
            if named {
                call["id"] = json!("c");
            }
            json!({"role": "assistant", "content": "", "tool_calls": [call]})
        }),
    ]
}

fn stream() -> impl Strategy<Value = String> {
    let end = prop_oneof![
        4 => Just("{\"model\":\"m\",\"created_at\":\"2026-01-02T03:04:05Z\",\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"length\",\"eval_count\":3}\n"),
        1 => Just("{\"error\":\"busy\"}\n"),
        1 => Just(""),
    ];
    (proptest::collection::vec(piece(), 0..8), end)
        .prop_map(|(pieces, end)| pieces.into_iter().map(line).collect::<String>() + end)
}

proptest! {
    #[test]
    fn chopping_changes_nothing(stream in stream(), piece in 1_usize..40) {
        let restore = Restore::default();
        let whole = cut(stream.as_bytes(), usize::MAX, &restore);
        let chopped = cut(stream.as_bytes(), piece, &restore);
        prop_assert_eq!(show(&chopped.0), show(&whole.0));
        prop_assert_eq!(chopped.1.facts(), whole.1.facts());
        prop_assert_eq!(chopped.1.contents(), whole.1.contents());
        prop_assert_eq!(chopped.1.usage(), whole.1.usage());
        prop_assert_eq!(&chopped.2, &whole.2);
        prop_assert_eq!(chopped.3.is_some(), whole.3.is_some());
        prop_assert_eq!(&whole.2, stream.as_bytes());
    }

    #[test]
    fn facts_are_those_of_the_events(stream in stream()) {
        let (events, facts, ..) = cut(stream.as_bytes(), usize::MAX, &Restore::default());
        let mut learnt = Frame::new(Bytes::new(), Facts::NONE);
        events.iter().for_each(|event| learnt.learn(event));
        prop_assert_eq!(facts.contents(), learnt.contents());
        // What the end of the input says is said by the cutter's own error.
        if events.iter().any(|event| matches!(event, Event::End | Event::Error(_))) {
            prop_assert_eq!(facts.facts(), learnt.facts());
        }
    }

    #[test]
    fn what_is_written_is_read_again(stream in stream()) {
        let first = events(&stream);
        if first.iter().any(|event| matches!(event, Event::End)) {
            let again = events(&encode(&first));
            let quiet = |events: &[Event]| -> Vec<String> {
                show(&events.iter().filter(|event| !matches!(event, Event::Ping)).cloned().collect::<Vec<_>>())
            };
            prop_assert_eq!(quiet(&again), quiet(&first));
        }
    }

    #[test]
    fn nothing_that_comes_in_is_a_panic(stream in "[{}\\[\\]\",:a-z0-9\n]{0,60}", piece in 1_usize..9) {
        drop(cut(stream.as_bytes(), piece, &Restore::default()));
    }
}
