//! Whole answers there and back.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{Changes, Extras, ServiceTier, Stop, Usage};

use super::*;

fn body(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn read(value: &Value, restore: &Restore) -> ChatReply {
    match decode(Operation::Chat, &body(value), restore) {
        Ok(Answer::Chat(reply)) => *reply,
        other => panic!("{other:?}"),
    }
}

fn write(reply: ChatReply) -> (Value, Vec<String>) {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.call_id = Str::from("c1");
    let mut losses = Losses::default();
    let body = encode(&Answer::Chat(Box::new(reply)), &ask, &mut losses).unwrap();
    let losses = losses.found().iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), losses)
}

fn golden() -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [
            {"type": "thinking", "thinking": "Time failed.", "signature": "EqQB"},
            {"type": "text", "text": "Retrying."},
            {"type": "tool_use", "id": "call_C3", "name": "get_time", "input": {}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 100, "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 900, "output_tokens": 100,
            "output_tokens_details": {"thinking_tokens": 60}}
    })
}

fn with_parts(parts: Vec<Part>, reason: StopReason) -> ChatReply {
    let mut reply = ChatReply::new("x_1", "m");
    reply.choices.push(Choice::new(0, parts, Stop::new(reason)));
    reply
}

fn call(arguments: &str) -> Part {
    Part::new(Content::ToolCall {
        id: Str::from("c"),
        name: Str::from("f"),
        arguments: Str::from(arguments),
        kind: ToolCallKind::Function,
        signature: None,
    })
}

fn changes(change: impl FnOnce(&mut Changes)) -> Restore {
    let mut changes = Changes::default();
    change(&mut changes);
    Restore::new(changes)
}

#[test]
fn the_golden_answer_goes_there_and_back() {
    let reply = read(&golden(), &Restore::default());
    assert_eq!(
        reply.usage,
        Some(Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60))
    );
    assert_eq!(reply.choices[0].stop, Stop::new(StopReason::ToolCalls));
    assert_eq!(reply.text(), "Retrying.");
    assert_eq!(reply.tool_calls().collect::<Vec<_>>(), [("call_C3", "get_time", "{}")]);
    assert_eq!(write(reply), (golden(), Vec::new()));
}

#[test]
fn what_is_not_understood_survives() {
    let mut answer = golden();
    answer["container"] = json!({"id": "c"});
    answer["usage"]["server_tool_use"] = json!({"web_search_requests": 1});
    answer["usage"]["service_tier"] = json!("standard");
    answer["content"][1]["citations"] = json!([{"type": "char_location", "cited_text": "x"}]);
    answer["content"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "web_search_tool_result", "content": []}));
    let (written, losses) = write(read(&answer, &Restore::default()));
    assert_eq!(written, answer);
    assert!(losses.is_empty());
}

#[test]
fn changes_of_the_request_are_undone() {
    let mut answer = golden();
    answer["content"][2]["input"] = json!({"input": "ls -l"});
    let restore = changes(|c| {
        c.tool_names.push((Str::from("get_time"), Str::from("get.time")));
        c.custom_tools.push(Str::from("get_time"));
    });
    let reply = read(&answer, &restore);
    assert_eq!(reply.tool_calls().collect::<Vec<_>>(), [("call_C3", "get.time", "ls -l")]);
    assert!(matches!(
        reply.choices[0].parts[2].content,
        Content::ToolCall { kind: ToolCallKind::Custom, .. }
    ));
}

#[test]
fn the_answer_tool_is_text_and_the_answer_has_simply_ended() {
    let body = Bytes::from_static(
        br#"{"content":[{"type":"tool_use","id":"t","name":"respond_json","input":{ "b": 1, "a": 2 }}],"stop_reason":"tool_use"}"#,
    );
    let restore = changes(|c| c.answer_tool = Some(Str::from("respond_json")));
    let Ok(Answer::Chat(reply)) = decode(Operation::Chat, &body, &restore) else { panic!() };
    assert_eq!(reply.text(), r#"{"b":1,"a":2}"#);
    assert_eq!(reply.choices[0].stop.reason, StopReason::Stop);
}

#[test]
fn an_answer_of_one_text_is_read_as_any_other() {
    let usage = json!({"input_tokens": 9, "output_tokens": 5, "cache_creation_input_tokens": 2, "service_tier": "priority",
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 0}});
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "A \"text\".\n"}], "stop_reason": "stop_sequence", "stop_sequence": "\n",
        "usage": usage, "container": null});
    let plain = Str::from(answer.to_string());
    assert!(plain::decode(&plain, &Restore::default()).is_some());
    // Each of these says nothing more, but is another spelling.
    for (name, value) in [("unheard_of", json!([])), ("stop_details", json!({}))] {
        let mut more = answer.clone();
        more[name] = value;
        assert!(plain::decode(&Str::from(more.to_string()), &Restore::default()).is_none());
        let mut read_in_full = read(&more, &Restore::default());
        read_in_full.extras = Extras::default();
        read_in_full.choices[0].stop.details = None;
        assert_eq!(read(&answer, &Restore::default()), read_in_full);
    }
    for block in
        [json!({"text": "?"}), json!({"type": "text"}), json!({"type": "image", "text": "?"})]
    {
        let mut wrong = answer.clone();
        wrong["content"] = json!([block]);
        assert!(plain::decode(&Str::from(wrong.to_string()), &Restore::default()).is_none());
    }
}

#[test]
fn a_fence_around_asked_for_json_goes() {
    let mut answer = golden();
    answer["content"][1]["text"] = json!("```json\n{}\n```");
    assert_eq!(read(&answer, &changes(|c| c.strip_fence = true)).text(), "{}");
}

#[test]
fn every_reason_to_stop_is_told() {
    for (reason, sequence, said) in [
        (StopReason::Stop, None, "end_turn"),
        (StopReason::StopSequence, Some("END"), "stop_sequence"),
        (StopReason::StopSequence, None, "end_turn"),
        (StopReason::Length, None, "max_tokens"),
        (StopReason::ContentFilter, None, "refusal"),
        (StopReason::Refusal, None, "refusal"),
        (StopReason::Pause, None, "pause_turn"),
        (StopReason::ContextWindow, None, "model_context_window_exceeded"),
    ] {
        let mut reply = with_parts(vec![Part::text("x")], reason);
        reply.choices[0].stop.sequence = sequence.map(Str::from);
        let (written, _) = write(reply);
        assert_eq!(written["stop_reason"], said, "{reason:?}");
        assert_eq!(written["stop_sequence"], sequence.map_or(Value::Null, |text| json!(text)));
    }
    let mut reply = with_parts(vec![Part::text("x")], StopReason::Other);
    reply.choices[0].stop = Stop::other("eos");
    assert_eq!(write(reply).0["stop_reason"], "eos");
    let failed = with_parts(vec![], StopReason::Error);
    let error = encode(
        &Answer::Chat(Box::new(failed)),
        &Ask::new(Operation::Chat, "m"),
        &mut Losses::default(),
    )
    .unwrap_err();
    assert_eq!(error.status(), 502);
}

#[test]
fn the_details_of_a_refusal_survive() {
    let mut answer = golden();
    answer["content"] = json!([]);
    answer["stop_reason"] = json!("refusal");
    answer["stop_details"] = json!({"type": "refusal", "category": "cyber", "explanation": "no"});
    let reply = read(&answer, &Restore::default());
    assert_eq!(reply.choices[0].stop.reason, StopReason::Refusal);
    assert_eq!(write(reply).0, answer);
}

#[test]
fn answers_of_others_fit_this_dialects_clients() {
    let thought = Content::Reasoning { text: Str::from("Hm."), signature: None, redacted: None };
    let refusal = Content::Refusal { text: Str::from("No.") };
    let mut cited = Part::text("see A.");
    if let Content::Text { citations, .. } = &mut cited.content {
        let url = r#"{"type":"url_citation","url_citation":{"start_index":4,"end_index":5,"url":"https://a.test","title":"A"}}"#;
        citations.push(RawJson::parse(Str::from(url)).unwrap());
        citations.push(RawJson::parse(Str::from(r#"{"type":"file_citation"}"#)).unwrap());
    }
    let parts = vec![Part::new(thought), cited, Part::new(refusal), call("{\"a\":1"), call("")];
    let mut reply = with_parts(parts, StopReason::Stop);
    reply.choices.push(Choice::new(1, Vec::new(), Stop::new(StopReason::Stop)));
    reply.service_tier = Some(Str::from("default"));
    let (written, losses) = write(reply);
    assert_eq!(written["id"], "msg_c1");
    assert_eq!(written["model"], "m");
    assert_eq!(written["content"][0]["signature"], "zig1.bQ==");
    assert_eq!(written["content"][1]["citations"][0]["cited_text"], "A");
    assert_eq!(written["content"][2], json!({"type": "text", "text": "No."}));
    assert_eq!(written["content"][3]["input"], json!({"_raw": "{\"a\":1"}));
    assert_eq!(written["content"][4]["input"], json!({}));
    assert_eq!(written["stop_reason"], "tool_use");
    assert_eq!(written["usage"]["input_tokens"], 0);
    assert_eq!(written["usage"]["service_tier"], "standard");
    assert_eq!(losses, ["choices=dropped", "content.1=dropped"]);
}

#[test]
fn only_tiers_that_the_client_knows_are_named() {
    for (tier, expected) in
        [("priority", Some("priority")), ("auto", Some("standard")), ("flex", None)]
    {
        let mut reply = with_parts(Vec::new(), StopReason::Stop);
        reply.service_tier = Some(Str::from(tier));
        let (written, losses) = write(reply);
        assert_eq!(written["usage"]["service_tier"].as_str(), expected, "{tier}");
        assert_eq!(losses.is_empty(), expected.is_some(), "{losses:?}");
    }
}

#[test]
fn an_answer_that_is_none_is_the_providers_fault() {
    for (text, kind) in [
        ("", ErrorKind::BadUpstream),
        ("<html>", ErrorKind::BadUpstream),
        ("{}", ErrorKind::BadUpstream),
        (r#"{"content":5}"#, ErrorKind::BadUpstream),
        (r#"{"content":[{"type":"text"}]}"#, ErrorKind::BadUpstream),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ErrorKind::Overloaded,
        ),
    ] {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let error = decode(Operation::Chat, &body, &Restore::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}");
        assert_eq!(error.origin(), ziggurat_core::Origin::Provider, "{text}");
        if !text.contains(r#""content":["#) && !text.contains(r#""content":5"#) {
            assert_eq!(glance(Operation::Chat, &body).error.unwrap().kind(), kind, "{text}");
        }
    }
}

#[test]
fn usage_and_model_are_seen_in_passing() {
    let seen = glance(Operation::Chat, &body(&golden()));
    assert!(seen.error.is_none());
    assert_eq!(seen.model.as_deref(), Some("m"));
    assert_eq!(seen.usage.unwrap().total(), 1300);
    assert!(glance(Operation::CountTokens, &body(&json!({"input_tokens": 1}))).error.is_none());
}

#[test]
fn a_token_count_goes_there_and_back() {
    let count = Answer::TokenCount(TokenCount { input_tokens: 123, estimated: false });
    let ask = Ask::new(Operation::CountTokens, "m");
    let written = encode(&count, &ask, &mut Losses::default()).unwrap();
    assert_eq!(written, r#"{"input_tokens":123}"#);
    assert_eq!(decode(Operation::CountTokens, &written, &Restore::default()).unwrap(), count);
}

fn word() -> impl Strategy<Value = Str> {
    "[a-zA-Z\"\\\\é\n ]{1,12}".prop_map(Str::from)
}

fn part() -> impl Strategy<Value = Part> {
    let opaque = word().prop_map(|word| {
        let value = json!({"type": "server_tool_use", "id": word.as_str(), "input": {"q": 1}});
        let value = RawJson::parse(Str::from(value.to_string())).unwrap();
        let mut part = Part::new(Content::Opaque { kind: Str::from("server_tool_use"), value });
        part.extras = Extras::of(ANTHROPIC);
        part
    });
    prop_oneof![
        word().prop_map(Part::text),
        (word(), word()).prop_map(|(text, signature)| {
            Part::new(Content::Reasoning { text, signature: Some(signature), redacted: None })
        }),
        word().prop_map(|data| {
            let (text, redacted) = (Str::new(), Some(data));
            Part::new(Content::Reasoning { text, signature: None, redacted })
        }),
        (0u64..9).prop_map(|n| call(&format!("{{\"z\":{n},\"a\":1152921504606846977}}"))),
        opaque,
    ]
}

fn reply() -> impl Strategy<Value = ChatReply> {
    let usage = (0u64..1000, 0u64..1000, 0u64..1000, 0u64..1000, 1u64..1000);
    let usage = usage.prop_map(|(input, read, write, output, reasoning)| {
        Usage::new(input, output).cache_read(read).cache_write(write).reasoning(reasoning)
    });
    (vec(part(), 0..5), usage, 0..6u8, any::<bool>()).prop_map(|(parts, usage, reason, extra)| {
        let calls = parts.iter().any(is_call);
        let stop = match reason {
            0 => Stop::new(StopReason::Length),
            1 => Stop::new(StopReason::Refusal),
            2 => Stop::new(StopReason::Pause),
            3 => Stop::new(StopReason::ContextWindow),
            _ if calls => Stop::new(StopReason::ToolCalls),
            4 => Stop::other("compaction"),
            _ => {
                let mut stop = Stop::new(StopReason::StopSequence);
                stop.sequence = Some(Str::from("END"));
                stop
            }
        };
        let mut reply = ChatReply::new("msg_1", "m");
        reply.choices.push(Choice::new(0, parts, stop));
        let mut usage = usage;
        if extra {
            usage.tier = Some(ServiceTier::Priority);
            reply.service_tier = Some(Str::from("priority"));
            reply.extras = Extras::of(ANTHROPIC);
            reply.extras.push(Str::from("container"), RawJson::EMPTY_OBJECT);
        }
        reply.usage = Some(usage);
        reply
    })
}

proptest! {
    #[test]
    fn an_answer_survives_being_written_and_read(reply in reply()) {
        let ask = Ask::new(Operation::Chat, "asked");
        let mut losses = Losses::default();
        let body = encode(&Answer::Chat(Box::new(reply.clone())), &ask, &mut losses).unwrap();
        prop_assert!(losses.found().is_empty());
        let back = decode(Operation::Chat, &body, &Restore::default()).unwrap();
        prop_assert_eq!(back, Answer::Chat(Box::new(reply)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..60)) {
        let bytes = Bytes::from(bytes);
        for operation in [Operation::Chat, Operation::CountTokens, Operation::Models] {
            drop(decode(operation, &bytes, &Restore::default()));
            drop(glance(operation, &bytes));
        }
    }
}

#[test]
fn what_another_dialects_model_signed_bears_its_name() {
    // A signature of one provider was sent to the next as it was, which refused it.
    let thought =
        Content::Reasoning { text: "Hm.".into(), signature: Some("gAAA".into()), redacted: None };
    let hidden =
        Content::Reasoning { text: Str::new(), signature: None, redacted: Some("gBBB".into()) };
    let reply = with_parts(vec![Part::new(thought), Part::new(hidden)], StopReason::Stop);
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.origin = Some("gpt".into());
    let written = encode(&Answer::Chat(Box::new(reply)), &ask, &mut Losses::default()).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["content"][0]["signature"], "zig1.Z3B0.gAAA");
    assert_eq!(written["content"][1]["data"], "zig1.Z3B0.gBBB");
}
