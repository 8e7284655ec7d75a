//! Streams there and back.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Ask, Changes, CutOptions, Cutter, Error, ErrorKind, Event, Facts, Operation, PartId, PartKind,
    Restore, Start, Stop, StopReason, StreamDecoder, StreamEncoder, ToolCallKind, Usage,
};

use super::*;
use crate::framing::sse::{self, Decoded, EventReader as _, SseCutter};

fn events_of(values: &[Value]) -> String {
    let event = |value: &Value| {
        format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or("x"))
    };
    values.iter().map(event).collect()
}

fn decoded_with(stream: &str, restore: &Restore) -> Vec<Event> {
    let mut decoder = Decoder::restoring(restore);
    let mut events = Vec::new();
    decoder.decode(&Bytes::copy_from_slice(stream.as_bytes()), &mut events).unwrap();
    decoder.finish(&mut events);
    events
}

fn decoded(values: &[Value]) -> Vec<Event> {
    decoded_with(&events_of(values), &Restore::default())
}

fn ask() -> Ask {
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.call_id = "1".into();
    ask
}

fn encoded_for(ask: &Ask, events: &[Event]) -> String {
    let mut encoder = Encoder::new(ask);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn encoded(events: &[Event]) -> String {
    encoded_for(&ask(), events)
}

/// The events of a stream as JSON; their names are those in their data, and their numbers rise by one.
fn values(stream: &str) -> Vec<Value> {
    let bytes = Bytes::copy_from_slice(stream.as_bytes());
    let values: Vec<Value> = sse::events(&bytes)
        .filter(|event| !event.is_comment())
        .map(|event| {
            let value: Value = serde_json::from_slice(&event.share()).unwrap();
            assert_eq!(event.name, value["type"].as_str().map(str::as_bytes));
            value
        })
        .collect();
    for (number, value) in values.iter().enumerate() {
        assert_eq!(value["sequence_number"], number, "{value}");
    }
    values
}

/// One line per event, with what it holds.
fn sketch(events: &[Event]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    match event {
        Event::Start(start) => format!("start {} {}", start.id, start.model),
        Event::PartStart { part, kind } => {
            let kind = match &**kind {
                PartKind::Text => "text".to_owned(),
                PartKind::Reasoning => "reasoning".to_owned(),
                PartKind::Redacted(data) => format!("redacted {data}"),
                PartKind::Refusal => "refusal".to_owned(),
                PartKind::ToolCall { id, name, kind } => format!("{kind:?} {id} {name}"),
                PartKind::Opaque { kind, .. } => format!("opaque {kind}"),
                other => format!("{other:?}"),
            };
            format!("{}+ {kind}", part.index)
        }
        Event::Text { part, text } => format!("{} {text}", part.index),
        Event::Thinking { part, text } => format!("{} ({text})", part.index),
        Event::Refusal { part, text } => format!("{} !{text}", part.index),
        Event::Arguments { part, fragment } => format!("{} {fragment}", part.index),
        Event::Signature { part, signature } => format!("{} ~{signature}", part.index),
        Event::Citation { part, citation } => format!("{} {}", part.index, citation.get()),
        Event::Logprobs { logprobs, .. } => format!("logprobs {}", logprobs.get()),
        Event::PartEnd { part } => format!("{}-", part.index),
        Event::Usage(usage) => format!("usage {} {}", usage.total_input(), usage.total_output()),
        Event::Stop { stop, .. } => format!("stop {:?}", stop.reason),
        Event::Error(error) => format!("error {:?} {}", error.kind(), error.message()),
        Event::End => "end".to_owned(),
        Event::Ping => "ping".to_owned(),
        other => format!("{other:?}"),
    }
}

fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "response": {"id": "resp_9", "model": "m",
        "status": "completed", "output": output,
        "usage": {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10}}})
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [
        {"type": "output_text", "text": text, "annotations": []}]})
}

fn call(arguments: &str) -> Value {
    json!({"type": "function_call", "id": "fc_1", "call_id": "call_A", "name": "f",
        "arguments": arguments})
}

// === reading ===

#[test]
fn what_was_told_on_the_way_is_not_told_again() {
    let delta = |text: &str| {
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text})
    };
    let done = json!({"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "text": "Hello"});
    let item =
        json!({"type": "response.output_item.done", "output_index": 0, "item": message("Hello")});
    let expected = ["start  ", "0+ text", "0 Hel", "0 lo", "0-", "usage 8 2", "stop Stop", "end"];
    // Pieces short of the whole, with and without the events that tell all of it.
    for stream in [
        vec![delta("Hel"), delta("lo"), done.clone(), item.clone()],
        vec![delta("Hel"), done, item.clone()],
        vec![delta("Hel"), item],
        vec![delta("Hel")],
    ] {
        let all = [&stream[..], &[completed(json!([message("Hello")]))]].concat();
        assert_eq!(sketch(&decoded(&all)), expected);
    }
}

#[test]
fn arguments_come_in_pieces_or_whole() {
    let added = json!({"type": "response.output_item.added", "output_index": 0, "item": call("")});
    let delta = json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1",
        "output_index": 0, "delta": "{}"});
    let done = json!({"type": "response.function_call_arguments.done", "item_id": "fc_1",
        "output_index": 0, "arguments": "{}"});
    let item = json!({"type": "response.output_item.done", "output_index": 0, "item": call("{}")});
    let expected =
        ["start  ", "0+ Function call_A f", "0 {}", "0-", "usage 8 2", "stop ToolCalls", "end"];
    for stream in [
        vec![added.clone(), delta.clone(), done.clone(), item.clone()],
        vec![added.clone(), delta],
        vec![added.clone(), done],
        vec![added, item],
    ] {
        let all = [&stream[..], &[completed(json!([call("{}")]))]].concat();
        assert_eq!(sketch(&decoded(&all)), expected);
    }
    let never = sketch(&decoded(&[completed(json!([call("{}")]))]));
    assert_eq!(never, expected.map(|line| line.replace("start  ", "start resp_9 m")));
}

#[test]
fn reasoning_of_several_parts_is_one_text() {
    let piece = |index: u64, text: &str| {
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1",
            "output_index": 0, "summary_index": index, "delta": text})
    };
    let item = json!({"type": "response.output_item.done", "output_index": 0, "item": {
        "type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": [
            {"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]}});
    let told = sketch(&decoded(&[piece(0, "a"), piece(1, "b"), item]));
    assert_eq!(told[1..7], ["0+ reasoning", "0 (a)", "0 (\n\n)", "0 (b)", "0 ~gAAA", "0-"]);
    let hidden = json!({"type": "response.output_item.done", "output_index": 0, "item": {
        "type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": []}});
    assert_eq!(sketch(&decoded(&[hidden]))[1..3], ["0+ redacted gAAA", "0-"]);
    let nothing = json!({"type": "response.output_item.done", "output_index": 0, "item": {
        "type": "reasoning", "id": "rs_1", "summary": []}});
    assert!(!sketch(&decoded(&[nothing])).iter().any(|line| line.contains('+')));
}

#[test]
fn probabilities_stand_before_their_text() {
    let delta = json!({"type": "response.output_text.delta", "item_id": "msg_1",
        "output_index": 0, "content_index": 0, "delta": "Hi", "logprobs": [{"token": "Hi"}]});
    let told = sketch(&decoded(&[delta]));
    let logprobs = r#"logprobs {"content":[{"token":"Hi"}],"refusal":null}"#;
    assert_eq!(told[1..4], [logprobs, "0+ text", "0 Hi"]);
}

#[test]
fn every_way_to_fail_is_an_error() {
    let failed = json!({"type": "response.failed", "response": {"id": "resp_9", "status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "slow down"}, "output": []}});
    let bare =
        json!({"type": "error", "code": "server_error", "message": "it broke", "param": null});
    let nested = json!({"type": "error", "error": {"code": "server_error", "message": "it broke"}});
    let other = json!({"error": {"message": "it broke", "code": 503}});
    for (event, expected) in [
        (failed, "error RateLimit slow down"),
        (bare, "error Server it broke"),
        (nested, "error Server it broke"),
        (other, "error Overloaded it broke"),
    ] {
        assert_eq!(sketch(&decoded(&[event])).last().unwrap(), expected);
    }
    let cut =
        sketch(&decoded(&[json!({"type": "response.created", "response": {"id": "resp_9"}})]));
    assert_eq!(cut.last().unwrap(), "error BadUpstream the stream ended before its end marker");
}

#[test]
fn a_stop_text_cuts_the_stream() {
    let mut changes = Changes::default();
    changes.stop = vec!["END".into()];
    let delta = |text: &str| {
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text})
    };
    let stream = events_of(&[delta("one E"), delta("ND two"), completed(json!([call("{}")]))]);
    let told = sketch(&decoded_with(&stream, &Restore::new(changes)));
    assert_eq!(
        told,
        ["start  ", "0+ text", "0 one ", "0-", "usage 8 2", "stop StopSequence", "end"]
    );
}

#[test]
fn names_are_put_back() {
    let mut changes = Changes::default();
    changes.tool_names = vec![("f".into(), "files.read".into())];
    let stream = events_of(&[completed(json!([call("{}")]))]);
    let told = sketch(&decoded_with(&stream, &Restore::new(changes)));
    assert!(told.contains(&"0+ Function call_A files.read".to_owned()), "{told:?}");
}

// === writing ===

fn started() -> Event {
    Event::Start(Box::new(Start::new("x", "m")))
}

fn start(index: u16, kind: PartKind) -> Event {
    Event::PartStart { part: PartId::first(index), kind: Box::new(kind) }
}

fn end(index: u16) -> Event {
    Event::PartEnd { part: PartId::first(index) }
}

fn text(index: u16, text: &str) -> Event {
    Event::Text { part: PartId::first(index), text: text.into() }
}

fn names(values: &[Value]) -> Vec<&str> {
    values
        .iter()
        .map(|value| value["type"].as_str().unwrap().trim_start_matches("response."))
        .collect()
}

#[test]
fn every_item_is_bracketed() {
    let events = [started(), start(0, PartKind::Text), text(0, "Hi"), end(0), Event::End];
    let written = values(&encoded(&events));
    assert_eq!(
        names(&written),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    let last = &written.last().unwrap()["response"];
    assert_eq!(last["object"], "response");
    assert_eq!(last["output"][0], written[7]["item"]);
    assert_eq!(last["usage"], Value::Null);
}

#[test]
fn texts_in_a_row_are_one_message_and_places_begin_anew_in_each_item() {
    let tool =
        PartKind::ToolCall { id: "c".into(), name: "f".into(), kind: ToolCallKind::Function };
    let events = [
        started(),
        start(0, PartKind::Text),
        text(0, "a"),
        end(0),
        start(1, PartKind::Text),
        text(1, "b"),
        end(1),
        start(2, tool),
        end(2),
        start(3, PartKind::Text),
        text(3, "c"),
        end(3),
        Event::End,
    ];
    let written = values(&encoded(&events));
    let deltas: Vec<_> = written
        .iter()
        .filter(|value| value["type"] == "response.output_text.delta")
        .map(|value| {
            (value["output_index"].as_u64().unwrap(), value["content_index"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(deltas, [(0, 0), (0, 1), (2, 0)]);
    let output = written.last().unwrap()["response"]["output"].as_array().unwrap().clone();
    assert_eq!(output.len(), 3);
    assert_eq!(output[1]["arguments"], "{}");
}

#[test]
fn a_stop_text_and_a_filter_end_an_answer_in_their_own_way() {
    let ended = |reason| {
        let stop = Box::new(Stop::new(reason));
        let events = [
            started(),
            start(0, PartKind::Text),
            text(0, "Hi"),
            end(0),
            Event::Stop { choice: 0, stop },
            Event::End,
        ];
        let written = values(&encoded(&events));
        let last = written.last().unwrap().clone();
        let item = &last["response"]["output"][0]["status"];
        (
            last["type"].as_str().unwrap().to_owned(),
            last["response"]["status"].clone(),
            item.clone(),
        )
    };
    let done = ("response.completed".to_owned(), json!("completed"), json!("completed"));
    assert_eq!(ended(StopReason::StopSequence), done);
    let cut = ("response.incomplete".to_owned(), json!("incomplete"), json!("incomplete"));
    assert_eq!(ended(StopReason::Length), cut);
    assert_eq!(ended(StopReason::ContentFilter), cut);
    assert_eq!(ended(StopReason::Error).0, "response.failed");
}

#[test]
fn a_failure_tells_what_came_and_nothing_follows() {
    let error = Error::new(ErrorKind::RateLimit, "key sk-12345678901 is slow");
    let events = [
        started(),
        start(0, PartKind::Text),
        text(0, "Hi"),
        Event::Error(error.clone()),
        end(0),
        Event::End,
    ];
    let written = values(&encoded(&events));
    let last = written.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["error"]["code"], "rate_limit_exceeded");
    assert_eq!(last["response"]["error"]["message"], "key [redacted] is slow");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Hi");
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");

    let bare = values(&String::from_utf8(error_event(&error)).unwrap());
    assert_eq!(bare[0]["type"], "error");
    assert_eq!(bare[0]["param"], Value::Null);
}

#[test]
fn reasoning_bears_the_name_of_its_model() {
    let mut ask = ask();
    ask.origin = Some("claude".into());
    let events = [
        started(),
        start(0, PartKind::Reasoning),
        Event::Thinking { part: PartId::first(0), text: "Hm.".into() },
        Event::Signature { part: PartId::first(0), signature: "EqQB".into() },
        end(0),
        start(1, PartKind::Reasoning),
        end(1),
        start(2, PartKind::Redacted("zzz".into())),
        end(2),
        Event::End,
    ];
    let written = values(&encoded_for(&ask, &events));
    let output = &written.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["encrypted_content"], "zig1.Y2xhdWRl.EqQB");
    assert_eq!(output[0]["summary"][0]["text"], "Hm.");
    assert_eq!(output[1]["encrypted_content"], "zig1.bQ==");
    assert_eq!(output[2]["encrypted_content"], "zig1.Y2xhdWRl.zzz");
    assert_eq!(output[2]["summary"], json!([]));

    let tool =
        PartKind::ToolCall { id: "c".into(), name: "f".into(), kind: ToolCallKind::Function };
    let signature = Event::Signature { part: PartId::first(0), signature: "EqQB".into() };
    let events = [started(), start(0, tool), signature, end(0), Event::End];
    let written = values(&encoded_for(&ask, &events));
    let signed = &written.last().unwrap()["response"]["output"][0]["extra_content"];
    assert_eq!(signed["google"]["thought_signature"], "zig1.Y2xhdWRl.EqQB");
}

#[test]
fn what_the_answer_repeats_stands_in_its_events() {
    let mut ask = ask();
    ask.echo =
        Some(ziggurat_core::RawJson::parse(r#"{"temperature":0.5,"store":true}"#.into()).unwrap());
    let written = values(&encoded_for(&ask, &[started(), Event::End]));
    for value in &written {
        assert_eq!(value["response"]["temperature"], 0.5);
        assert_eq!(value["response"]["store"], true);
    }
}

// === properties ===

fn any_event() -> impl Strategy<Value = Value> {
    let index = 0_u64..3;
    let item = prop_oneof![
        "[ab]{0,4}".prop_map(|text| message(&text)),
        "[ab]{0,4}".prop_map(|arguments| call(&arguments)),
        ("[ab]{0,2}", "[xy]{0,2}").prop_map(|(text, made)| json!({"type": "reasoning",
            "id": "rs_1", "encrypted_content": made,
            "summary": [{"type": "summary_text", "text": text}]})),
        Just(json!({"type": "web_search_call", "id": "ws_1"})),
        Just(json!({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]})),
    ];
    let piece = prop::sample::select(vec![
        "output_text.delta",
        "output_text.done",
        "refusal.delta",
        "refusal.done",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_text.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "custom_tool_call_input.delta",
        "output_text.annotation.added",
    ]);
    prop_oneof![
        3 => (piece, index.clone(), 0_u64..2, "[abä]{0,3}").prop_map(|(name, index, place, text)| {
            json!({"type": format!("response.{name}"), "output_index": index,
                "content_index": place, "summary_index": place, "delta": text, "text": text,
                "refusal": text, "arguments": text, "annotation": {"type": "file_path"}})
        }),
        2 => (index, item, any::<bool>()).prop_map(|(index, item, done)| {
            let name = if done { "response.output_item.done" } else { "response.output_item.added" };
            json!({"type": name, "output_index": index, "item": item})
        }),
        1 => Just(json!({"type": "response.created", "response": {"id": "resp_9", "model": "m"}})),
        1 => Just(completed(json!([message("aa"), call("b")]))),
        1 => Just(json!({"type": "response.novel", "x": 1})),
        1 => Just(json!({"type": "error", "message": "no"})),
    ]
}

/// Facts, usage and frames of a stream that comes in pieces of these sizes.
fn cut(stream: &str, sizes: &[usize]) -> (Facts, u64, String, bool) {
    let mut cutter = SseCutter::new(Decoded::<Decoder>::new(), &CutOptions::default());
    let (mut facts, mut contents, mut bytes) = (Facts::NONE, 0, Vec::new());
    let mut take = |frame: ziggurat_core::Frame| {
        facts |= frame.facts();
        contents += u64::from(frame.contents());
        bytes.extend_from_slice(frame.bytes());
    };
    let mut rest = stream.as_bytes();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*size).min(rest.len()));
        rest = later;
        cutter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = cutter.next_frame().unwrap() {
            take(frame);
        }
    }
    let complete = match cutter.finish() {
        Ok(frame) => {
            frame.map(take);
            true
        }
        Err(_) => false,
    };
    (facts, contents, String::from_utf8(bytes).unwrap(), complete)
}

proptest! {
    #[test]
    fn facts_are_the_decoders_however_the_stream_is_chopped(
        events in prop::collection::vec(any_event(), 0..12),
        sizes in prop::collection::vec(1_usize..40, 1..4),
    ) {
        let stream = events_of(&events);
        let mut frame = ziggurat_core::Frame::new(Bytes::new(), Facts::NONE);
        let mut decoder = Decoder::restoring(&Restore::default());
        let mut told = Vec::new();
        decoder.decode(&Bytes::copy_from_slice(stream.as_bytes()), &mut told).unwrap();
        for event in &told {
            frame.learn(event);
        }
        let (facts, contents, bytes, complete) = cut(&stream, &sizes);
        prop_assert_eq!(facts, frame.facts());
        prop_assert_eq!(contents, u64::from(frame.contents()));
        prop_assert_eq!(bytes, stream);
        prop_assert_eq!(complete, decoder.has_ended());
    }

    #[test]
    fn every_decoder_keeps_its_promises(events in prop::collection::vec(any_event(), 0..12)) {
        let events = decoded(&events);
        let mut open: Vec<PartId> = Vec::new();
        let mut seen: Vec<PartId> = Vec::new();
        let (mut stopped, mut started) = (false, false);
        for (at, event) in events.iter().enumerate() {
            let last = at + 1 == events.len();
            match event {
                Event::Start(_) => prop_assert!(!std::mem::replace(&mut started, true)),
                Event::PartStart { part, kind } => {
                    prop_assert!(started && !seen.contains(part));
                    if let PartKind::ToolCall { id, name, .. } = &**kind {
                        prop_assert!(!id.is_empty() && !name.is_empty());
                    }
                    open.push(*part);
                    seen.push(*part);
                }
                Event::PartEnd { part } => {
                    prop_assert!(open.contains(part));
                    open.retain(|other| other != part);
                }
                Event::Text { part, .. }
                | Event::Thinking { part, .. }
                | Event::Refusal { part, .. }
                | Event::Signature { part, .. }
                | Event::Citation { part, .. }
                | Event::Arguments { part, .. } => prop_assert!(open.contains(part)),
                Event::Stop { .. } => prop_assert!(!std::mem::replace(&mut stopped, true)),
                Event::End | Event::Error(_) => {
                    prop_assert!(started && last && open.is_empty());
                }
                _ => {}
            }
        }
        prop_assert!(matches!(events.last(), Some(Event::End | Event::Error(_))));
    }

    #[test]
    fn whatever_is_encoded_can_be_read_again(events in prop::collection::vec(any_event(), 0..12)) {
        let events = decoded(&events);
        let again = decoded_with(&encoded(&events), &Restore::default());
        let says = |events: &[Event]| {
            // Part by part: where parts were told in turns, one follows the other when they are written.
            let mut parts: Vec<(PartId, &str, String)> = Vec::new();
            for event in events {
                let (part, kind, piece) = match event {
                    Event::Text { part, text } => (*part, "text", text),
                    Event::Refusal { part, text } => (*part, "refusal", text),
                    _ => continue,
                };
                match parts.iter_mut().find(|(known, of, _)| *known == part && *of == kind) {
                    Some((_, _, said)) => said.push_str(piece),
                    None => parts.push((part, kind, piece.to_string())),
                }
            }
            // One that began first comes first, even if another said something before.
            let began: Vec<PartId> = events
                .iter()
                .filter_map(|event| match event {
                    Event::PartStart { part, .. } => Some(*part),
                    _ => None,
                })
                .collect();
            parts.sort_by_key(|(part, ..)| began.iter().position(|other| other == part));
            let mut said = std::collections::BTreeMap::<&str, String>::new();
            for (_, kind, piece) in parts {
                said.entry(kind).or_default().push_str(&piece);
            }
            let usage: Vec<Usage> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Usage(usage) => Some(Usage::new(usage.total_input(), usage.total_output())),
                    _ => None,
                })
                .collect();
            let failed = events.iter().any(|event| matches!(event, Event::Error(_)));
            (said, usage, failed)
        };
        prop_assert_eq!(says(&events), says(&again));
    }
}

#[test]
fn a_stream_written_event_by_event_is_the_same() {
    let events = [started(), start(0, PartKind::Text), text(0, "ä\"\n"), end(0), Event::End];
    let decoded = decoded_with(&encoded(&events), &Restore::default());
    let said: String = decoded
        .iter()
        .filter_map(|event| match event {
            Event::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(said, "ä\"\n");
}
