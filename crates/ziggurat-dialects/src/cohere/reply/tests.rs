use serde_json::{Value, json};
use ziggurat_core::{BilledTokens, ErrorKind, Stop, Usage};

use super::*;

fn body() -> Value {
    json!({
        "id": "c14c80c3", "finish_reason": "COMPLETE",
        "message": {"role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hmm"}, {"type": "text", "text": "Hello"}],
            "citations": [{"start": 0, "end": 5, "text": "Hello", "content_index": 1,
                "type": "TEXT_CONTENT", "sources": [
                    {"type": "document", "id": "d1", "document": {"title": "T"}}]}]},
        "usage": {"billed_units": {"input_tokens": 12, "output_tokens": 20},
            "tokens": {"input_tokens": 1200, "output_tokens": 90}, "cached_tokens": 200}
    })
}

fn calling() -> Value {
    json!({
        "id": "c14c80c3", "finish_reason": "TOOL_CALL",
        "message": {"role": "assistant", "tool_plan": "I will call the tool.", "tool_calls": [
            {"id": "f_0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
        "usage": {"billed_units": {"input_tokens": 12, "output_tokens": 20},
            "tokens": {"input_tokens": 1200, "output_tokens": 90}}
    })
}

fn read(body: &Value) -> Result<Answer, Error> {
    decode(Operation::Chat, &Bytes::from(body.to_string()), &Restore::default())
}

fn chat(body: &Value) -> ChatReply {
    match read(body).unwrap() {
        Answer::Chat(reply) => *reply,
        other => panic!("{other:?}"),
    }
}

fn write(reply: ChatReply) -> (Value, Vec<String>) {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.call_id = "call".into();
    let mut losses = Losses::default();
    let body = encode(&Answer::Chat(Box::new(reply)), &ask, &mut losses).unwrap();
    let losses = losses.found().iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), losses)
}

/// What is counted, and what is billed.
fn used() -> Usage {
    let mut usage = Usage::new(1000, 90).cache_read(200);
    usage.billed = Some(BilledTokens::new(12, 20));
    usage
}

#[test]
fn an_answer_is_understood_and_goes_out_as_it_came() {
    let reply = chat(&body());
    assert_eq!(reply.usage, Some(used()));
    assert_eq!(reply.choices[0].stop, Stop::new(StopReason::Stop));
    assert_eq!(reply.text(), "Hello");
    let Content::Text { citations, .. } = &reply.choices[0].parts[1].content else { panic!() };
    assert_eq!(citations.len(), 1);
    assert_eq!(write(reply), (body(), Vec::new()));
}

#[test]
fn a_plan_is_what_is_said_before_the_calls() {
    let reply = chat(&calling());
    assert_eq!(reply.text(), "I will call the tool.");
    assert_eq!(reply.tool_calls().next(), Some(("f_0", "f", r#"{"a":1}"#)));
    assert_eq!(reply.choices[0].stop.reason, StopReason::ToolCalls);
    assert_eq!(write(reply), (calling(), Vec::new()));
}

#[test]
fn a_failure_in_an_answer_is_one() {
    let error = read(&json!({"id": "1", "message": "rate limit"})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    for malformed in [json!({}), json!([]), json!({"message": {"content": 1}})] {
        assert_eq!(read(&malformed).unwrap_err().kind(), ErrorKind::BadUpstream, "{malformed}");
    }
    let mut failed = body();
    failed["finish_reason"] = json!("ERROR");
    let ask = Ask::new(Operation::Chat, "m");
    let error = encode(&read(&failed).unwrap(), &ask, &mut Losses::default()).unwrap_err();
    assert_eq!(error.status(), 502);
}

#[test]
fn a_glance_sees_what_decoding_sees() {
    let glance = glance(Operation::Chat, &Bytes::from(body().to_string()));
    assert_eq!(glance.usage, Some(used()));
    assert!(glance.error.is_none());
    for failed in ["", "[]", "{}", r#"{"message":"no"}"#] {
        assert!(super::glance(Operation::Chat, &Bytes::from(failed)).error.is_some(), "{failed}");
    }
}

#[test]
fn probabilities_are_told_by_piece() {
    let mut told = body();
    told["logprobs"] = json!([{"text": "Hello", "token_ids": [1], "logprobs": [-0.5]}]);
    let reply = chat(&told);
    let logprobs = reply.choices[0].logprobs.as_ref().unwrap();
    assert!(logprobs.get().contains(r#""token":"Hello","logprob":-0.5"#));
    let (written, _) = write(reply);
    assert_eq!(written["logprobs"][0]["logprobs"], json!([-0.5]));
}

#[test]
fn what_other_dialects_say_is_said() {
    let mut reply = ChatReply::new("chatcmpl-1", "gpt");
    reply.service_tier = Some("flex".into());
    let url = r#"{"type":"url_citation","url_citation":{"url":"https://a.test","title":"A","start_index":0,"end_index":1}}"#;
    let cited = Content::Text {
        text: "x".into(),
        citations: vec![RawJson::parse(url.into()).unwrap(), RawJson::EMPTY_OBJECT],
    };
    let thought =
        Content::Reasoning { text: "Hm".into(), signature: Some("s".into()), redacted: None };
    let parts = [thought, cited].map(Part::new).to_vec();
    reply.choices.push(Choice::new(0, parts, Stop::new(StopReason::Length)));
    let (written, losses) = write(reply);
    assert_eq!(written["id"], "call");
    assert_eq!(written["finish_reason"], "MAX_TOKENS");
    assert_eq!(
        written["message"]["content"],
        json!([{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "x"}])
    );
    let citation = &written["message"]["citations"][0];
    assert_eq!(citation["sources"][0]["document"]["url"], "https://a.test");
    assert_eq!(citation["content_index"], 1);
    // Clients do arithmetic with it.
    assert_eq!(written["usage"]["tokens"], json!({"input_tokens": 0, "output_tokens": 0}));
    assert_eq!(losses, ["service_tier=dropped", "thinking.signature=dropped", "citations=dropped"]);
}

#[test]
fn a_usual_answer_is_read_in_one_pass() {
    let read = |answer: &str| plain::decode(&Str::from(answer), &Restore::default());
    let usual = r#"{"id":"c","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"Hi"}]},"usage":{"billed_units":{"input_tokens":12.0},"tokens":{"input_tokens":12.0}}}"#;
    assert!(read(usual).is_some());
    // What else it may say is for the reader of all.
    assert!(read(&usual.replacen('{', r#"{"more":1,"#, 1)).is_none());
    assert!(read(&usual.replace("Hi\"}", r#"Hi"},{"type":"thinking","thinking":"Hm"}"#)).is_none());
}
