use serde_json::{Value, json};
use ziggurat_core::{Changes, ErrorKind, RawJson, Stop, Usage};

use super::*;

fn body() -> Value {
    json!({
        "model": "qwen3", "created_at": "2026-01-02T03:04:05.123456789Z",
        "message": {"role": "assistant", "content": "Hello", "thinking": "Hmm", "tool_calls": [
            {"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}]},
        "done": true, "done_reason": "stop", "total_duration": 812_000_000, "load_duration": 7,
        "prompt_eval_count": 26, "eval_count": 9,
        "logprobs": [{"token": "Hello", "logprob": -0.5, "bytes": [72], "top_logprobs": []}]
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
    ask.created = 1_767_323_045;
    let mut losses = Losses::default();
    let body = encode(&Answer::Chat(Box::new(reply)), &ask, &mut losses).unwrap();
    let losses = losses.found().iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), losses)
}

#[test]
fn an_answer_is_understood_and_goes_out_as_it_came() {
    let reply = chat(&body());
    assert_eq!(reply.model, "qwen3");
    assert_eq!(reply.created, Some(1_767_323_045));
    assert_eq!(reply.usage, Some(Usage::new(26, 9)));
    assert_eq!(reply.choices[0].stop, Stop::new(StopReason::ToolCalls));
    assert_eq!(reply.text(), "Hello");
    assert_eq!(reply.tool_calls().next(), Some(("call_1", "f", r#"{"a":1}"#)));
    let (written, losses) = write(reply);
    let mut expected = body();
    expected["created_at"] = json!("2026-01-02T03:04:05Z");
    assert_eq!(written, expected);
    assert_eq!(losses, [""; 0]);
}

#[test]
fn calls_without_ids_have_one_each_and_another_in_every_answer() {
    let with = |time: &str| {
        let call = json!({"function": {"name": "f", "arguments": {}}});
        chat(&json!({"created_at": time, "message": {"tool_calls": [call, call]}}))
    };
    let (first, second) = (with("2026-01-02T03:04:05.1Z"), with("2026-01-02T03:04:05.2Z"));
    let ids = |reply: &ChatReply| -> Vec<String> {
        reply.tool_calls().map(|(id, ..)| id.to_owned()).collect()
    };
    let all: std::collections::BTreeSet<String> =
        [ids(&first), ids(&second)].concat().into_iter().collect();
    assert_eq!(all.len(), 4);
    assert_eq!(ids(&first), ids(&with("2026-01-02T03:04:05.1Z")));
}

#[test]
fn what_was_changed_is_undone() {
    let mut changes = Changes::default();
    changes.custom_tools = vec!["sql".into()];
    changes.tool_names = vec![("sql".into(), "my sql".into())];
    let body = json!({"message": {"tool_calls": [
        {"function": {"name": "sql", "arguments": {"input": "select 1"}}}]}});
    let body = Bytes::from(body.to_string());
    let Answer::Chat(reply) = decode(Operation::Chat, &body, &Restore::new(changes)).unwrap()
    else {
        panic!("it is a chat");
    };
    let (_, name, arguments) = reply.tool_calls().next().unwrap();
    assert_eq!((name, arguments), ("my sql", "select 1"));
}

#[test]
fn a_prompt_that_was_cached_is_not_free_of_charge() {
    // Older servers leave the count out.
    let reply = chat(&json!({"message": {"content": "x"}, "eval_count": 3}));
    let usage = reply.usage.unwrap();
    assert_eq!((usage.input, usage.output), (None, Some(3)));
}

#[test]
fn a_failure_in_an_answer_is_one() {
    let error = read(&json!({"error": "server busy, please try again"})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.said().unwrap().dialect, Some(OLLAMA));
    for malformed in
        [json!({}), json!([]), json!({"message": 7}), json!({"message": {"content": 1}})]
    {
        assert_eq!(read(&malformed).unwrap_err().kind(), ErrorKind::BadUpstream, "{malformed}");
    }
}

#[test]
fn a_glance_sees_what_decoding_sees() {
    let glance = glance(Operation::Chat, &Bytes::from(body().to_string()));
    assert_eq!(glance.usage, Some(Usage::new(26, 9)));
    assert_eq!(glance.model.as_deref(), Some("qwen3"));
    assert!(glance.error.is_none());
    for failed in ["", "[]", "{}", r#"{"error":"no"}"#] {
        let glance = super::glance(Operation::Chat, &Bytes::from(failed));
        assert!(glance.error.is_some(), "{failed}");
    }
}

#[test]
fn what_the_dialect_cannot_say_is_told() {
    let mut reply = ChatReply::new("chatcmpl-1", "");
    reply.service_tier = Some("flex".into());
    let citation = RawJson::parse(r#"{"url":"https://a.test"}"#.into()).unwrap();
    let thought =
        Content::Reasoning { text: "Hm".into(), signature: Some("s".into()), redacted: None };
    let hidden =
        Content::Reasoning { text: "".into(), signature: None, redacted: Some("r".into()) };
    let said = Content::Text { text: "x".into(), citations: vec![citation] };
    let parts = [thought, hidden, said].map(Part::new).to_vec();
    reply.choices.push(Choice::new(0, parts, Stop::new(StopReason::ContentFilter)));
    reply.usage = Some(Usage::new(100, 40).cache_read(900).reasoning(60));
    let (written, losses) = write(reply);
    assert_eq!(
        written,
        json!({"model": "asked", "created_at": "2026-01-02T03:04:05Z",
            "message": {"role": "assistant", "content": "x", "thinking": "Hm"},
            "done": true, "done_reason": "content_filter",
            "prompt_eval_count": 1000, "eval_count": 100})
    );
    assert_eq!(
        losses,
        [
            "service_tier=dropped",
            "thinking.signature=dropped",
            "thinking=dropped",
            "citations=dropped"
        ]
    );
}

#[test]
fn a_model_that_failed_gave_no_answer() {
    let mut reply = ChatReply::new("", "m");
    reply.choices.push(Choice::new(0, Vec::new(), Stop::new(StopReason::Error)));
    let ask = Ask::new(Operation::Chat, "m");
    let failed = encode(&Answer::Chat(Box::new(reply)), &ask, &mut Losses::default());
    assert_eq!(failed.unwrap_err().status(), 502);
}

#[test]
fn a_usual_answer_is_read_in_one_pass() {
    let read = |answer: &str| plain::decode(&Str::from(answer));
    let usual = r#"{"model":"m","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop","total_duration":17,"eval_count":2}"#;
    assert!(read(usual).is_some());
    // What else it may say is for the reader of all.
    assert!(read(&usual.replacen('{', r#"{"more":1,"#, 1)).is_none());
    assert!(read(&usual.replace("Hi\"", r#"Hi","thinking":"Hm""#)).is_none());
}
