//! Whole answers there and back.

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, Losses, Operation, Part, RawJson, Restore, Stop,
    StopReason, TokenCount,
};

use super::*;

fn read(value: &Value) -> ChatReply {
    match decode(Operation::Chat, &Bytes::from(value.to_string()), &Restore::default()) {
        Ok(Answer::Chat(reply)) => *reply,
        other => panic!("{other:?}"),
    }
}

fn write(reply: ChatReply) -> (Value, Vec<String>) {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.call_id = "1".into();
    let mut losses = Losses::default();
    let body = encode(&Answer::Chat(Box::new(reply)), &ask, &mut losses).unwrap();
    let losses = losses.found().iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), losses)
}

fn golden() -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_767_323_045, "status": "completed",
        "model": "m", "error": null, "incomplete_details": null, "instructions": null,
        "output": [
            {"type": "reasoning", "id": "rs_1",
             "summary": [{"type": "summary_text", "text": "Time failed."}], "encrypted_content": "gA"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "Retrying.", "annotations": [],
                "logprobs": [{"token": "R"}]}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_C3", "name": "get_time",
             "arguments": "{}", "status": "completed"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"}],
        "usage": {"input_tokens": 1200,
            "input_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 200},
            "output_tokens": 100, "output_tokens_details": {"reasoning_tokens": 60},
            "total_tokens": 1300},
        "novel": {"x": 1}
    })
}

#[test]
fn what_is_understood_goes_there_and_back() {
    let reply = read(&golden());
    assert_eq!(reply.choices[0].stop.reason, StopReason::ToolCalls);
    assert_eq!(reply.usage.unwrap().reasoning, Some(60));
    let (written, losses) = write(reply.clone());
    assert_eq!(losses, [""; 0]);
    for name in ["id", "created_at", "status", "model", "usage", "novel"] {
        assert_eq!(written[name], golden()[name], "{name}");
    }
    assert_eq!(written["output"][0], golden()["output"][0]);
    assert_eq!(written["output"][3], golden()["output"][3]);
    assert_eq!(read(&written), reply);
}

#[test]
fn what_the_model_could_not_finish_is_told() {
    for (details, reason) in [
        (json!({"reason": "max_output_tokens"}), StopReason::Length),
        (json!({"reason": "content_filter"}), StopReason::ContentFilter),
        (json!({"reason": "steered"}), StopReason::Other),
        (Value::Null, StopReason::Other),
    ] {
        let mut answer = golden();
        answer["status"] = json!("incomplete");
        answer["incomplete_details"] = details.clone();
        let reply = read(&answer);
        assert_eq!(reply.choices[0].stop.reason, reason, "{details}");
        let (written, _) = write(reply);
        if !details.is_null() {
            assert_eq!(written["incomplete_details"], details);
        }
    }
}

#[test]
fn an_answer_that_is_none_is_the_providers_fault() {
    for body in [
        "[]",
        "{}",
        r#"{"output":{}}"#,
        r#"{"output":[{}]}"#,
        r#"{"output":[{"type":"function_call"}]}"#,
        r#"{"status":"queued","output":[]}"#,
        r#"{"status":"cancelled","output":[]}"#,
    ] {
        let body = Bytes::from_static(body.as_bytes());
        let error = decode(Operation::Chat, &body, &Restore::default()).unwrap_err();
        assert_eq!(error.status(), 502, "{body:?}: {error}");
    }
}

#[test]
fn answers_of_others_fit_this_dialects_clients() {
    let thought = Content::Reasoning { text: "Hm.".into(), signature: None, redacted: None };
    let mut cited = Part::text("see A.");
    if let Content::Text { citations, .. } = &mut cited.content {
        let url = r#"{"type":"url_citation","url_citation":{"start_index":4,"end_index":5,"url":"https://a.test","title":"A"}}"#;
        citations.push(RawJson::parse(url.into()).unwrap());
        citations.push(RawJson::parse(r#"{"type":"char_location"}"#.into()).unwrap());
    }
    let opaque = Content::Opaque { kind: "server_tool_use".into(), value: RawJson::EMPTY_OBJECT };
    let parts = vec![Part::new(thought), cited, Part::new(opaque), Part::text(" And B.")];
    let mut reply = ChatReply::new("msg_9", "m");
    reply.choices.push(Choice::new(0, parts, Stop::new(StopReason::Length)));
    reply.choices.push(Choice::new(1, Vec::new(), Stop::new(StopReason::Stop)));
    reply.service_tier = Some("batch".into());
    let (written, losses) = write(reply);
    assert_eq!(written["id"], "resp_1");
    assert_eq!(written["status"], "incomplete");
    assert_eq!(written["output"][0]["encrypted_content"], "zig1.bQ==");
    let content = written["output"][1]["content"].as_array().unwrap();
    assert_eq!(content.len(), 2, "texts in a row are one message");
    assert_eq!(content[0]["annotations"][0]["start_index"], 4);
    assert_eq!(written.get("service_tier"), None);
    assert_eq!(
        losses,
        ["choices=dropped", "service_tier=dropped", "citations=dropped", "server_tool_use=dropped"]
    );
}

#[test]
fn a_model_that_failed_is_an_error() {
    let mut reply = ChatReply::new("x", "m");
    reply.choices.push(Choice::new(0, Vec::new(), Stop::new(StopReason::Error)));
    let ask = Ask::new(Operation::Chat, "m");
    let error = encode(&Answer::Chat(Box::new(reply)), &ask, &mut Losses::default()).unwrap_err();
    assert_eq!(error.status(), 502);
}

#[test]
fn tokens_are_counted_in_this_dialects_words() {
    let count = Answer::TokenCount(TokenCount { input_tokens: 123, estimated: false });
    let ask = Ask::new(Operation::CountTokens, "m");
    let body = encode(&count, &ask, &mut Losses::default()).unwrap();
    assert_eq!(body, r#"{"object":"response.input_tokens","input_tokens":123}"#);
    let read = decode(Operation::CountTokens, &body, &Restore::default()).unwrap();
    assert_eq!(read, count);
}

#[test]
fn a_usual_answer_is_read_in_one_pass() {
    let read = |answer: &str| plain::decode(&ziggurat_core::Str::from(answer));
    let usual = r#"{"id":"resp_1","object":"response","status":"completed","error":null,"model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"tools":[{"a":"}"}],"usage":{"input_tokens":4,"output_tokens":2,"total_tokens":6}}"#;
    assert!(read(usual).is_some());
    // What else it may say is for the reader of all.
    assert!(read(&usual.replacen('{', r#"{"more":1,"#, 1)).is_none());
    assert!(read(&usual.replace("completed\",\"error", r#"incomplete","error"#)).is_none());
}
