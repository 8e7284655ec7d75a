//! Streams there and back, and the facts read in between.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Ask, Changes, CutOptions, Cutter, Error, ErrorKind, Event, Facts, Frame, Operation, PartId,
    PartKind, RawJson, Restore, Start, Stop, StopReason, Str, StreamDecoder, StreamEncoder,
    ToolCallKind, Usage,
};

use super::*;
use crate::framing::sse::{self, SseCutter};

// === helpers ===

fn sse(events: &[Value]) -> Bytes {
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect::<String>().into()
}

fn decoded_with(bytes: &Bytes, restore: &Restore) -> Vec<Event> {
    let mut decoder = Decoder::new(restore);
    let mut events = Vec::new();
    decoder.decode(bytes, &mut events).unwrap();
    decoder.finish(&mut events);
    events
}

fn decoded(bytes: &Bytes) -> Vec<Event> {
    decoded_with(bytes, &Restore::default())
}

fn encoded(events: &[Event]) -> Bytes {
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.call_id = Str::from("1");
    let mut encoder = Encoder::new(&ask);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    out.into()
}

/// The events of a stream as JSON; their names are those in their data.
fn values(bytes: &Bytes) -> Vec<Value> {
    let value = |event: sse::SseEvent<'_>| {
        let value: Value = serde_json::from_slice(&event.share()).unwrap();
        assert_eq!(event.name, value["type"].as_str().map(str::as_bytes));
        value
    };
    sse::events(bytes).map(value).collect()
}

/// One word per event, with what it holds.
fn sketch(events: &[Event]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    let n = |part: &PartId| part.index;
    match event {
        Event::Start(start) => format!("start {} {}", start.id, start.model),
        Event::PartStart { part, kind } => match &**kind {
            PartKind::ToolCall { id, name, kind: ToolCallKind::Function } => {
                format!("{} call {id} {name}", n(part))
            }
            other => format!("{} {other:?}", n(part)),
        },
        Event::Text { part, text } => format!("{} text {text}", n(part)),
        Event::Thinking { part, text } => format!("{} thinking {text}", n(part)),
        Event::Signature { part, signature } => format!("{} signature {signature}", n(part)),
        Event::Arguments { part, fragment } => format!("{} arguments {fragment}", n(part)),
        Event::Citation { part, citation } => format!("{} citation {}", n(part), citation.get()),
        Event::PartEnd { part } => format!("{} end", n(part)),
        Event::Usage(usage) => format!("usage {} {}", usage.total_input(), usage.total_output()),
        Event::Stop { stop, .. } => format!("stop {:?}", stop.reason),
        Event::Error(error) => format!("error {:?}", error.kind()),
        Event::End => "end".to_owned(),
        Event::Ping => "ping".to_owned(),
        other => format!("{other:?}"),
    }
}

fn message_start(usage: Value) -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage}})
}

fn start(index: u32, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn text(index: u32, text: &str) -> Value {
    delta(index, json!({"type": "text_delta", "text": text}))
}

fn arguments(index: u32, json: &str) -> Value {
    delta(index, json!({"type": "input_json_delta", "partial_json": json}))
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn message_delta(reason: &str, usage: Value) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage})
}

fn message_stop() -> Value {
    json!({"type": "message_stop"})
}

/// Thinking, text and two calls, the second without arguments.
fn golden() -> Vec<Value> {
    vec![
        message_start(
            json!({"input_tokens": 30, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 50, "output_tokens": 1}),
        ),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        json!({"type": "ping"}),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hmm."})),
        delta(0, json!({"type": "signature_delta", "signature": "EqQB"})),
        stop(0),
        start(1, json!({"type": "text", "text": ""})),
        text(1, "Checking."),
        stop(1),
        start(2, json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}})),
        arguments(2, ""),
        arguments(2, r#"{"city":"Oslo"}"#),
        stop(2),
        start(3, json!({"type": "tool_use", "id": "toolu_2", "name": "get_time", "input": {}})),
        stop(3),
        message_delta("tool_use", json!({"output_tokens": 30})),
        message_stop(),
    ]
}

// === reading ===

#[test]
fn the_golden_stream_is_read() {
    assert_eq!(
        sketch(&decoded(&sse(&golden()))),
        [
            "start msg_1 m",
            "0 Reasoning",
            "ping",
            "0 thinking Hmm.",
            "0 signature EqQB",
            "0 end",
            "1 Text",
            "1 text Checking.",
            "1 end",
            "2 call toolu_1 get_weather",
            r#"2 arguments {"city":"Oslo"}"#,
            "2 end",
            "3 call toolu_2 get_time",
            "3 end",
            "stop ToolCalls",
            "usage 80 30",
            "end"
        ]
    );
}

#[test]
fn a_stream_of_its_own_comes_out_as_it_went_in() {
    let mut expected = golden();
    expected.retain(|event| event["delta"]["partial_json"] != "");
    // The last report repeats what the first one told.
    expected[14]["usage"] = json!({"input_tokens": 30, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 50, "output_tokens": 30});
    assert_eq!(values(&encoded(&decoded(&sse(&golden())))), expected);
}

#[test]
fn the_placeholder_of_arguments_is_none_of_them() {
    let stream = |input: Value, fragment: &str| {
        let events = sse(&[
            start(0, json!({"type": "tool_use", "id": "t", "name": "f", "input": input})),
            arguments(0, fragment),
            stop(0),
            message_delta("tool_use", json!({})),
            message_stop(),
        ]);
        let events = sketch(&decoded(&events));
        events.into_iter().filter(|line| line.contains("arguments")).collect::<Vec<_>>()
    };
    assert_eq!(stream(json!({}), r#"{"a":1}"#), [r#"0 arguments {"a":1}"#]);
    assert_eq!(stream(json!({"a": 1}), r#"{"a":1}"#), [r#"0 arguments {"a":1}"#]);
    assert_eq!(stream(json!({"a": 1}), ""), [r#"0 arguments {"a":1}"#]);
    assert_eq!(stream(json!({}), ""), Vec::<String>::new());
}

#[test]
fn blocks_that_only_this_dialect_knows_are_told_whole() {
    let events = decoded(&sse(&[
        message_start(json!({})),
        start(0, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        arguments(0, "{\"query\":"),
        arguments(0, "\"x\"}"),
        stop(0),
        start(1, json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [1]})),
        stop(1),
        start(2, json!({"type": "compaction", "content": ""})),
        delta(2, json!({"type": "compaction_delta", "content": "So far"})),
        stop(2),
        start(3, json!({"type": "redacted_thinking", "data": "zzz"})),
        stop(3),
        message_delta("pause_turn", json!({"output_tokens": 1})),
        message_stop(),
    ]));
    let values = values(&encoded(&events));
    let blocks: Vec<_> = values.iter().filter_map(|event| event.get("content_block")).collect();
    assert_eq!(blocks[0]["input"], json!({"query": "x"}));
    assert_eq!(blocks[1]["content"], json!([1]));
    assert_eq!(blocks[2]["content"], "So far");
    assert_eq!(blocks[3]["data"], "zzz");
    assert!(sketch(&events).contains(&"stop Pause".to_owned()));
}

#[test]
fn what_is_unknown_is_skipped() {
    let stream = Bytes::from_static(
        b": hello\n\nevent: novelty\ndata: {\"type\":\"novelty\",\"index\":{}}\n\nid: 7\n\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\"}}\n\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"A\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"novelty_delta\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":9,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"x\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":9}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    assert_eq!(
        sketch(&decoded(&stream)),
        ["ping", "start msg_1 m", "0 Text", "0 text A", "0 end", "stop Stop", "end"]
    );
}

#[test]
fn usage_is_cumulative_and_the_end_does_not_reset_it() {
    let events = decoded(&sse(&[
        message_start(json!({"input_tokens": 30, "output_tokens": 1})),
        message_delta("end_turn", json!({"output_tokens": 5})),
        json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9, "cache_read_input_tokens": 4}}),
        message_stop(),
    ]));
    let last = events.iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(**usage),
        _ => None,
    });
    assert_eq!(last, Some(Usage::new(30, 9).cache_read(4)));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Stop { .. })).count(), 1);
}

#[test]
fn an_error_in_the_stream_is_the_last_event() {
    let events = decoded(&sse(&[
        message_start(json!({"input_tokens": 5, "output_tokens": 1})),
        start(0, json!({"type": "text", "text": ""})),
        text(0, "Hi"),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        text(0, "late"),
    ]));
    assert_eq!(sketch(&events).last().unwrap(), "error Overloaded");
    let Some(Event::Error(error)) = events.last() else { panic!() };
    assert_eq!(error.message(), "Overloaded");
    let written = values(&encoded(&events));
    assert_eq!(written.last().unwrap()["error"]["type"], "overloaded_error");
    assert_eq!(written.iter().filter(|event| event["type"] == "message_stop").count(), 0);
}

/// It was looked up by the type in its data, and skipped, where every client fails on the event's name.
#[test]
fn an_event_called_error_is_one_whatever_its_data_says() {
    for data in ["{}", r#"{"type":"overloaded","error":{"message":"busy"}}"#] {
        let events = decoded(&Bytes::from(format!("event: error\ndata: {data}\n\n")));
        assert!(matches!(events[..], [Event::Start(_), Event::Error(_)]), "{events:?}");
    }
}

#[test]
fn a_call_of_no_tool_is_malformed() {
    for block in [json!({"type": "tool_use", "id": "a"}), json!({"type": "tool_use", "name": ""})] {
        let mut decoder = Decoder::new(&Restore::default());
        let read = decoder.decode(&sse(&[start(0, block)]), &mut Vec::new());
        assert_eq!(read.unwrap_err().kind(), ErrorKind::BadUpstream);
    }
}

#[test]
fn a_stream_that_breaks_off_is_an_error_unless_all_has_come() {
    let mut events = golden();
    events.pop();
    assert_eq!(sketch(&decoded(&sse(&events))).last().unwrap(), "end");
    events.pop();
    assert_eq!(sketch(&decoded(&sse(&events))).last().unwrap(), "error BadUpstream");
}

#[test]
fn an_event_that_is_no_json_is_the_providers_fault() {
    for event in [
        "data: {\n\n",
        "data: 5\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":-1}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":0}\n\n",
    ] {
        let bytes = Bytes::copy_from_slice(event.as_bytes());
        let error = Decoder::new(&Restore::default()).decode(&bytes, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUpstream, "{event}");
    }
}

#[test]
fn changes_of_the_request_are_undone() {
    let stream = |name: &str, fragments: &[&str]| {
        let mut events = vec![
            message_start(json!({})),
            start(0, json!({"type": "tool_use", "id": "t", "name": name, "input": {}})),
        ];
        events.extend(fragments.iter().map(|fragment| arguments(0, fragment)));
        events.extend([stop(0), message_delta("tool_use", json!({})), message_stop()]);
        sse(&events)
    };
    let mut changes = Changes::default();
    changes.tool_names.push((Str::from("files_read"), Str::from("files.read")));
    changes.custom_tools.push(Str::from("shell"));
    changes.answer_tool = Some(Str::from("respond_json"));
    let restore = Restore::new(changes);
    let lines = |name: &str, fragments: &[&str]| {
        let all = sketch(&decoded_with(&stream(name, fragments), &restore));
        all[1..all.len() - 1].to_vec()
    };
    assert_eq!(
        lines("files_read", &["{}"]),
        ["0 call t files.read", "0 arguments {}", "0 end", "stop ToolCalls"]
    );
    assert_eq!(
        lines("respond_json", &["{\"a\":", "1}"]),
        ["0 Text", "0 text {\"a\":", "0 text 1}", "0 end", "stop Stop"]
    );
    let custom = lines("shell", &["{\"input\":\"ls", " \\n-l\"}"]);
    assert_eq!(custom[1..], ["0 arguments ls \n-l", "0 end", "stop ToolCalls"]);
}

#[test]
fn a_fence_is_taken_off_while_it_streams() {
    let mut changes = Changes::default();
    changes.strip_fence = true;
    let events = decoded_with(
        &sse(&[
            message_start(json!({})),
            start(0, json!({"type": "text", "text": ""})),
            text(0, "``"),
            text(0, "`json\n{\"a\""),
            text(0, ":1}\n`"),
            text(0, "``"),
            stop(0),
            message_delta("end_turn", json!({})),
            message_stop(),
        ]),
        &Restore::new(changes),
    );
    let text: String = events
        .iter()
        .filter_map(|event| match event {
            Event::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, "{\"a\":1}");
}

// === writing ===

fn part(index: u16) -> PartId {
    PartId::first(index)
}

fn part_start(index: u16, kind: PartKind) -> Event {
    Event::PartStart { part: part(index), kind: Box::new(kind) }
}

fn call(index: u16, id: &str, name: &str) -> Event {
    let (id, name) = (Str::from(id), Str::from(name));
    part_start(index, PartKind::ToolCall { id, name, kind: ToolCallKind::Function })
}

fn fragment(index: u16, json: &str) -> Event {
    Event::Arguments { part: part(index), fragment: Str::from(json) }
}

fn part_end(index: u16) -> Event {
    Event::PartEnd { part: part(index) }
}

fn said(index: u16, text: &str) -> Event {
    Event::Text { part: part(index), text: Str::from(text) }
}

fn stopped(reason: StopReason) -> Event {
    Event::Stop { choice: 0, stop: Box::new(Stop::new(reason)) }
}

fn started(id: &str) -> Event {
    Event::Start(Box::new(Start::new(id, "m")))
}

#[test]
fn calls_that_interleave_are_put_in_order() {
    let events = [
        started("chatcmpl-1"),
        part_start(0, PartKind::Text),
        said(0, "Checking."),
        part_end(0),
        call(1, "call_A", "get_weather"),
        fragment(1, "{\"city\":"),
        call(2, "call_B", "get_time"),
        fragment(1, "\"Oslo\"}"),
        fragment(2, "{}"),
        part_end(1),
        part_end(2),
        stopped(StopReason::ToolCalls),
        Event::Usage(Box::new(Usage::new(30, 30).cache_read(50).reasoning(0))),
        Event::End,
    ];
    assert_eq!(
        values(&encoded(&events)),
        [
            message_start(json!({"input_tokens": 0, "output_tokens": 0})),
            start(0, json!({"type": "text", "text": ""})),
            text(0, "Checking."),
            stop(0),
            start(
                1,
                json!({"type": "tool_use", "id": "call_A", "name": "get_weather", "input": {}})
            ),
            arguments(1, "{\"city\":"),
            arguments(1, "\"Oslo\"}"),
            stop(1),
            start(2, json!({"type": "tool_use", "id": "call_B", "name": "get_time", "input": {}})),
            arguments(2, "{}"),
            stop(2),
            message_delta(
                "tool_use",
                json!({"input_tokens": 30, "cache_read_input_tokens": 50,
                "cache_creation_input_tokens": 0, "output_tokens": 30})
            ),
            message_stop()
        ]
    );
}

#[test]
fn a_part_that_goes_on_after_its_turn_came_streams() {
    let events = [
        started("x"),
        call(0, "a", "f"),
        call(1, "b", "g"),
        fragment(1, "{\"x\""),
        part_end(0),
        fragment(1, ":1}"),
        part_end(1),
        Event::End,
    ];
    let written = values(&encoded(&events));
    let pieces: Vec<_> =
        written.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(pieces, ["{\"x\"", ":1}"]);
    assert_eq!(written.last().unwrap(), &message_stop());
    let word = written.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(word["delta"]["stop_reason"], "tool_use");
}

#[test]
fn a_thought_without_a_signature_gets_one_of_ours_once() {
    let thinking =
        |signature: Option<&str>| {
            let mut events = vec![
                started("x"),
                part_start(0, PartKind::Reasoning),
                Event::Thinking { part: part(0), text: Str::from("Hm.") },
            ];
            events.extend(signature.map(|signature| Event::Signature {
                part: part(0),
                signature: Str::from(signature),
            }));
            events.extend([part_end(0), Event::End]);
            let written = values(&encoded(&events));
            let signatures: Vec<_> =
                written.iter().filter_map(|event| event["delta"]["signature"].as_str()).collect();
            assert_eq!(signatures.len(), 1);
            assert_eq!(written[4], stop(0));
            signatures[0].to_owned()
        };
    assert_eq!(thinking(Some("EqQB")), "EqQB");
    assert_eq!(thinking(None), "zig1.bQ==");
}

#[test]
fn a_thought_of_another_dialects_model_bears_its_name() {
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.origin = Some(Str::from("gpt"));
    let mut encoder = Encoder::new(&ask);
    let mut out = Vec::new();
    for event in [
        started("x"),
        part_start(0, PartKind::Redacted(Str::from("gBBB"))),
        part_end(0),
        part_start(1, PartKind::Reasoning),
        Event::Signature { part: part(1), signature: Str::from("gAAA") },
        part_end(1),
        Event::End,
    ] {
        encoder.encode(&event, &mut out);
    }
    let written = values(&out.into());
    assert_eq!(written[1]["content_block"]["data"], "zig1.Z3B0.gBBB");
    assert_eq!(written[4]["delta"]["signature"], "zig1.Z3B0.gAAA");
}

#[test]
fn an_empty_answer_still_has_a_block() {
    for events in [vec![Event::End], vec![started("x"), stopped(StopReason::Stop), Event::End]] {
        let written = values(&encoded(&events));
        let names: Vec<_> = written.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "message_start",
                "content_block_start",
                "content_block_stop",
                "message_delta",
                "message_stop"
            ]
        );
        assert_eq!(written[0]["message"]["id"], "msg_1");
    }
}

#[test]
fn the_last_two_events_come_once_and_with_the_real_usage() {
    let events = [
        started("x"),
        stopped(StopReason::Stop),
        Event::Usage(Box::new(Usage::new(1, 2))),
        Event::Usage(Box::new(Usage::new(10, 20))),
        stopped(StopReason::Length),
        Event::End,
        Event::Usage(Box::new(Usage::new(0, 0))),
        Event::End,
        Event::Error(Error::new(ErrorKind::Server, "late")),
    ];
    let written = values(&encoded(&events));
    let last = &written[written.len() - 2..];
    assert_eq!(last[0]["usage"]["output_tokens"], 20);
    assert_eq!(last[0]["delta"]["stop_reason"], "end_turn");
    assert_eq!(last[1], message_stop());
    assert_eq!(written.iter().filter(|event| event["type"] == "message_delta").count(), 1);
}

#[test]
fn the_first_event_tells_what_is_known_of_the_usage() {
    let mut start = Start::new("msg_7", "m");
    start.usage = Some(Usage::new(30, 1).cache_read(50));
    let written = values(&encoded(&[Event::Start(Box::new(start)), Event::End]));
    assert_eq!(written[0]["message"]["id"], "msg_7");
    assert_eq!(written[0]["message"]["usage"]["input_tokens"], 30);
    assert_eq!(written[3]["usage"]["input_tokens"], 30);
}

#[test]
fn a_failure_is_never_a_normal_end() {
    let events = [started("x"), stopped(StopReason::Error), Event::End];
    let written = values(&encoded(&events));
    assert_eq!(written.last().unwrap()["type"], "error");
    assert_eq!(written.len(), 2);
}

#[test]
fn a_refusal_is_text_and_other_choices_are_not_told() {
    let events = [
        started("x"),
        part_start(0, PartKind::Refusal),
        Event::Refusal { part: part(0), text: Str::from("No.") },
        Event::PartStart { part: PartId { choice: 1, index: 0 }, kind: Box::new(PartKind::Text) },
        Event::Text { part: PartId { choice: 1, index: 0 }, text: Str::from("Other") },
        part_end(0),
        stopped(StopReason::Refusal),
        Event::End,
    ];
    let written = values(&encoded(&events));
    assert_eq!(written[2], text(0, "No."));
    assert_eq!(written[4]["delta"]["stop_reason"], "refusal");
    assert!(!written.iter().any(|event| event.to_string().contains("Other")));
}

#[test]
fn blocks_of_other_dialects_are_not_told() {
    let value = RawJson::parse(Str::from(r#"{"type":"x"}"#)).unwrap();
    let events = [
        started("chatcmpl-1"),
        part_start(0, PartKind::Opaque { kind: Str::from("x"), value }),
        part_end(0),
        part_start(1, PartKind::Text),
        said(1, "Hi"),
        part_end(1),
        Event::End,
    ];
    assert_eq!(values(&encoded(&events))[2], text(0, "Hi"));
}

#[test]
fn what_waits_is_bounded() {
    let mut events = vec![started("x"), call(0, "a", "f"), call(1, "b", "g")];
    let piece = "x".repeat(1 << 20);
    events.extend((0..20).map(|_| fragment(1, &piece)));
    events.push(Event::End);
    let written = values(&encoded(&events));
    assert_eq!(written.last().unwrap()["type"], "error");
}

#[test]
fn a_ping_goes_on() {
    assert_eq!(encoded(&[Event::Ping]), &b"event: ping\ndata: {\"type\":\"ping\"}\n\n"[..]);
}

// === facts, and any way of cutting ===

fn cut(chunks: &[Bytes]) -> Result<Vec<Frame>, Error> {
    let mut cutter = SseCutter::new(Side::new(), &CutOptions::default());
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
fn frames_know_what_is_in_them() {
    let bytes = sse(&golden());
    let frames = cut(std::slice::from_ref(&bytes)).unwrap();
    let (facts, contents, usage) = facts(&frames);
    assert!(
        facts.has(
            Facts::CONTENT | Facts::USAGE | Facts::STOP | Facts::KEEP_ALIVE | Facts::TERMINATOR
        )
    );
    assert_eq!(contents, 3);
    assert_eq!(usage.unwrap().total(), 110);
}

#[test]
fn a_stream_that_breaks_off_has_no_terminator() {
    let mut events = golden();
    events.truncate(8);
    assert_eq!(cut(&[sse(&events)]).unwrap_err().kind(), ErrorKind::BadUpstream);
    let mut events = golden();
    events.pop();
    let frames = cut(&[sse(&events)]).unwrap();
    assert!(facts(&frames).0.has(Facts::TERMINATOR));
}

#[test]
fn an_error_event_is_a_fact() {
    let bytes =
        sse(&[json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}})]);
    let frames = cut(std::slice::from_ref(&bytes)).unwrap();
    let error = frames[0].error().unwrap();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(error.said().unwrap().error_type.as_deref(), Some("rate_limit_error"));
}

fn any_delta() -> impl Strategy<Value = Value> {
    let word = "[a-z\"\\\\é\n{}]{0,6}";
    prop_oneof![
        word.prop_map(|text| json!({"type": "text_delta", "text": text})),
        word.prop_map(|text| json!({"type": "thinking_delta", "thinking": text})),
        word.prop_map(|text| json!({"type": "input_json_delta", "partial_json": text})),
        word.prop_map(|text| json!({"type": "signature_delta", "signature": text})),
        Just(json!({"type": "citations_delta", "citation": {"type": "char_location"}})),
        Just(json!({"type": "new_delta", "text": "x"})),
    ]
}

fn any_event() -> impl Strategy<Value = Value> {
    let block = prop_oneof![
        Just(json!({"type": "text", "text": ""})),
        Just(json!({"type": "text", "text": "x"})),
        Just(json!({"type": "thinking", "thinking": "", "signature": ""})),
        Just(json!({"type": "redacted_thinking", "data": "z"})),
        Just(json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
        Just(json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}})),
        Just(json!({"type": "server_tool_use", "id": "t", "name": "f", "input": {}})),
    ];
    prop_oneof![
        2 => (0u32..3, block).prop_map(|(index, block)| start(index, block)),
        6 => (0u32..3, any_delta()).prop_map(|(index, inner)| delta(index, inner)),
        2 => (0u32..3).prop_map(stop),
        1 => Just(json!({"type": "ping"})),
        1 => Just(json!({"type": "novelty"})),
        1 => (0u64..99).prop_map(|n| message_delta("end_turn", json!({"output_tokens": n}))),
        1 => Just(message_start(json!({"input_tokens": 3, "output_tokens": 1}))),
    ]
}

/// A stream in one of the spellings that servers use, which ends as it should, in an error, or not at all.
fn any_stream() -> impl Strategy<Value = Bytes> {
    let ends = prop_oneof![
        Just(Some(message_stop())),
        Just(Some(json!({"type": "error", "error": {"type": "api_error", "message": "x"}}))),
        Just(None),
    ];
    (vec((any_event(), 0..4u8), 0..12), ends).prop_map(|(events, end)| {
        let mut out = String::new();
        let end = end.map(|event| (event, 0));
        for (event, spelling) in events.into_iter().chain(end) {
            let name = event["type"].as_str().unwrap();
            match spelling {
                0 => out.push_str(&format!("event: {name}\ndata: {event}\n\n")),
                1 => out.push_str(&format!("data:{event}\r\n\r\n")),
                2 => out.push_str(&format!(": x\n\nevent:{name}\ndata: {event}  \n\n")),
                _ => {
                    // As real servers order the members, which is not alphabetical.
                    let text = respell(&event);
                    out.push_str(&format!("event: {name}\ndata: {text}\n\n"));
                }
            }
        }
        Bytes::from(out)
    })
}

/// `type` first, then `index`, as the provider writes it.
fn respell(event: &Value) -> String {
    let Some(inner) = event.get("delta").filter(|_| event.get("index").is_some()) else {
        return event.to_string();
    };
    let mut members = vec![format!("\"type\":{}", inner["type"])];
    for (name, value) in inner.as_object().unwrap() {
        if name != "type" {
            members.push(format!("\"{name}\":{value}"));
        }
    }
    format!(
        "{{\"type\":{},\"index\":{},\"delta\":{{{}}}}}",
        event["type"],
        event["index"],
        members.join(",")
    )
}

fn chopped(bytes: &Bytes, cuts: &[usize]) -> Vec<Bytes> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| bytes.slice(pair[0]..pair[1])).collect()
}

/// What is decoded, with the error that ended it, if one did.
fn all_events(chunks: &[Bytes]) -> Vec<String> {
    let mut decoder = Decoder::new(&Restore::default());
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
        let mut decoder = Decoder::new(&Restore::default());
        let mut events = Vec::new();
        decoder.decode(&stream, &mut events).unwrap();
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
    fn what_is_written_keeps_the_order_of_this_dialect(stream in any_stream()) {
        let events = decoded(&stream);
        let written = values(&encoded(&events));
        let mut open: Option<u64> = None;
        let mut next = 0;
        let mut ended = false;
        for event in &written {
            prop_assert!(!ended, "{event} after the end");
            match event["type"].as_str().unwrap() {
                "content_block_start" => {
                    prop_assert_eq!(open, None);
                    prop_assert_eq!(&event["index"], &json!(next));
                    open = Some(next);
                    next += 1;
                }
                "content_block_delta" => prop_assert_eq!(event["index"].as_u64(), open),
                "content_block_stop" => {
                    prop_assert_eq!(event["index"].as_u64(), open);
                    open = None;
                }
                "message_delta" => prop_assert_eq!(open, None),
                "message_stop" | "error" => ended = true,
                _ => {}
            }
        }
        prop_assert!(ended);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..80), text in "[a-z:{}\" \n]{0,60}") {
        for bytes in [Bytes::from(bytes), Bytes::from(text)] {
            drop(cut(std::slice::from_ref(&bytes)));
            drop(Decoder::new(&Restore::default()).decode(&bytes, &mut Vec::new()));
        }
    }
}
