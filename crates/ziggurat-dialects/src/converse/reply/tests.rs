use serde_json::{Value, json};
use ziggurat_core::{Changes, Usage};

use super::*;
use crate::origin::{Origin, origin as origin_of};

fn answer(body: &Value) -> Answer {
    decode(Operation::Chat, &Bytes::from(body.to_string()), &Restore::default()).unwrap()
}

fn plain(content: &Value) -> Value {
    json!({"output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "end_turn", "metrics": {"latencyMs": 8},
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3,
            "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0}})
}

fn written(answer: &Answer, ask: &Ask) -> Value {
    let body = encode(answer, ask, &mut Losses::default()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn ask() -> Ask {
    Ask::new(Operation::Chat, "m")
}

#[test]
fn an_answer_survives_being_read_and_written() {
    let mut body = plain(&json!([
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "EqQB"}}},
        {"reasoningContent": {"redactedContent": "EqQC"}},
        {"citationsContent": {"content": [{"text": "It is."}], "citations": [
            {"title": "R", "sourceContent": [{"text": "x"}],
                "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}]}},
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"z": 1, "a": 2}}},
        {"toolUse": {"toolUseId": "b", "name": "g", "input": {}, "type": "server_tool_use"}},
        {"hologram": {"x": 1}}
    ]));
    body["stopReason"] = json!("tool_use");
    body["trace"] = json!({"guardrail": {"x": 1}});
    body["performanceConfig"] = json!({"latency": "standard"});
    body["serviceTier"] = json!({"type": "flex"});
    body["additionalModelResponseFields"] = json!({"stop_sequence": null, "x": 1});
    assert_eq!(written(&answer(&body), &ask()), body);
}

#[test]
fn usage_and_errors_are_seen_in_passing() {
    let look = |body: Value| glance(Operation::Chat, &Bytes::from(body.to_string()));
    let seen = look(plain(&json!([])));
    assert_eq!(seen.usage, Some(Usage::new(1, 2).cache_read(0).cache_write(0)));
    assert!(seen.error.is_none());
    let error = look(json!({"__type": "ThrottlingException", "message": "slow"})).error.unwrap();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(look(json!({"x": 1})).error.unwrap().kind(), ErrorKind::BadUpstream);
    assert!(glance(Operation::Chat, &Bytes::from_static(b"<html>")).error.is_some());
    let counted = glance(Operation::CountTokens, &Bytes::from_static(br#"{"inputTokens":7}"#));
    assert!(counted.error.is_none());
}

#[test]
fn what_was_changed_in_the_request_is_undone() {
    let mut changes = Changes::default();
    changes.tool_names = vec![("sent".into(), "callers.own".into())];
    changes.custom_tools = vec!["shell".into()];
    changes.answer_tool = Some("respond_json".into());
    changes.strip_fence = true;
    let body = plain(&json!([
        {"text": "```json\n{}\n```"},
        {"toolUse": {"toolUseId": "a", "name": "sent", "input": {}}},
        {"toolUse": {"toolUseId": "b", "name": "shell", "input": {"input": "ls"}}},
        {"toolUse": {"toolUseId": "c", "name": "respond_json", "input": {"a": 1}}}
    ]));
    let bytes = Bytes::from(body.to_string());
    let Answer::Chat(reply) = decode(Operation::Chat, &bytes, &Restore::new(changes)).unwrap()
    else {
        panic!("it is a chat")
    };
    assert_eq!(reply.text(), r#"{}{"a":1}"#);
    let calls: Vec<_> = reply.tool_calls().collect();
    assert_eq!(calls, [("a", "callers.own", "{}"), ("b", "shell", "ls")]);
}

#[test]
fn what_is_malformed_is_the_providers_fault() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"output":1}"#,
        r#"{"output":{"message":{"content":[{"text":1}]}}}"#,
        r#"{"output":{"message":{"content":[{}]}}}"#,
        "\u{fffd}",
    ] {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let error = decode(Operation::Chat, &body, &Restore::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUpstream, "{body:?}");
    }
}

#[test]
fn counts_go_there_and_back() {
    let body = Bytes::from_static(br#"{"inputTokens":7}"#);
    let counted = decode(Operation::CountTokens, &body, &Restore::default()).unwrap();
    assert_eq!(encode(&counted, &ask(), &mut Losses::default()).unwrap(), body);
}

#[test]
fn reasoning_of_another_providers_model_bears_its_name() {
    let mut reply = ChatReply::new("msg_1", "claude");
    let thought = |signature: Option<&str>, redacted: Option<&str>| {
        Part::new(Content::Reasoning {
            text: Str::from("Hm."),
            signature: signature.map(Str::from),
            redacted: redacted.map(Str::from),
        })
    };
    let parts = vec![thought(Some("EqQB"), None), thought(None, Some("EqQC")), thought(None, None)];
    reply.choices.push(Choice::new(0, parts, Stop::new(StopReason::Stop)));
    let answer = Answer::Chat(Box::new(reply));
    let mut foreign = ask();
    foreign.origin = Some(Str::from("claude"));
    let sent = written(&answer, &foreign);
    let content = &sent["output"]["message"]["content"];
    let signature = |index: usize| {
        let block = &content[index]["reasoningContent"]["reasoningText"]["signature"];
        block.as_str().unwrap().to_owned()
    };
    assert_eq!(origin_of(&signature(0)), Origin::Model("claude".into(), "EqQB"));
    assert_eq!(origin_of(&signature(2)), Origin::Ours);
    // Read again, as a client sends its history.
    let history = json!({"messages": [{"role": "assistant", "content": content}]});
    let members = ziggurat_core::Members::parse(Str::from(history.to_string())).unwrap();
    let typed = crate::CONVERSE.decode_request(Operation::Chat, &members).unwrap();
    let chat = typed.chat().unwrap();
    let Content::Reasoning { redacted: Some(data), .. } = &chat.messages[0].parts[1].content else {
        panic!("{:?}", chat.messages)
    };
    assert_eq!(origin_of(data), Origin::Model("claude".into(), "EqQC"));
}

#[test]
fn a_usual_answer_is_read_in_one_pass() {
    let read = |answer: &str| super::plain::decode(&Str::from(answer), &Restore::default());
    let usual = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":4,"outputTokens":2},"metrics":{"latencyMs":5}}"#;
    assert!(read(usual).is_some());
    // What else it may say is for the reader of all.
    assert!(read(&usual.replacen('{', r#"{"more":1,"#, 1)).is_none());
    assert!(read(&usual.replace("Hi\"}", r#"Hi"},{"text":"!"}"#)).is_none());
}
