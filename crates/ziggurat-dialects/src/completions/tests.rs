use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{
    Ask, Capabilities, ErrorKind, LossPolicy, Losses, Members, Operation, Payload, Restore, Str,
    Target, Typed,
};

use super::COMPLETIONS;
use crate::{ANTHROPIC, OPENAI};

fn asked(body: &Value) -> Result<Typed, ziggurat_core::Error> {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    COMPLETIONS.decode_request(Operation::Chat, &members)
}

fn written(
    to: ziggurat_core::Dialect,
    from: ziggurat_core::Dialect,
    body: &Value,
) -> Result<(Value, Vec<String>), ziggurat_core::Error> {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    let typed = from.decode_request(Operation::Chat, &members)?;
    let capabilities = Capabilities::default();
    let target = Target::new("there", &capabilities, Some(from));
    let mut losses = Losses::under(LossPolicy::Default);
    let request = to.encode_request(&typed, &target, &mut losses)?;
    let losses = losses.found().iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&request.body).unwrap(), losses))
}

#[test]
fn a_prompt_is_what_the_user_says() {
    let body = json!({"model": "m", "prompt": "Once", "max_tokens": 5, "temperature": 0.5,
        "stop": ["."], "n": 2, "seed": 7, "echo": true, "best_of": 1, "user": "u"});
    let (openai, losses) = written(OPENAI, COMPLETIONS, &body).unwrap();
    assert_eq!(openai["messages"], json!([{"role": "user", "content": "Once"}]));
    assert_eq!((&openai["n"], &openai["stop"]), (&json!(2), &json!(["."])));
    assert_eq!(losses, Vec::<String>::new());
    let body = json!({"model": "m", "prompt": ["Once"], "logit_bias": {"1": 2}});
    let (anthropic, losses) = written(ANTHROPIC, COMPLETIONS, &body).unwrap();
    assert_eq!(anthropic["messages"][0]["content"], "Once");
    assert_eq!(losses, ["logit_bias=dropped"]);
}

#[test]
fn what_only_a_model_of_its_own_takes_is_refused_by_name() {
    for (body, param) in [
        (json!({"prompt": ["a", "b"]}), "prompt"),
        (json!({"prompt": [1, 2]}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": {}}), "prompt"),
        (json!({"model": "m"}), "prompt"),
        (json!({"prompt": "a", "stop": 7}), "stop"),
        (json!({"prompt": "a", "suffix": "b"}), "suffix"),
    ] {
        let error = written(ANTHROPIC, COMPLETIONS, &body).unwrap_err();
        assert_eq!(error.param(), Some(param), "{body}");
        assert!(matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unsupported));
    }
    // Among their own kind they pass.
    let body = json!({"model": "m", "prompt": "a", "suffix": "b", "best_of": 3});
    let (own, losses) = written(COMPLETIONS, COMPLETIONS, &body).unwrap();
    assert_eq!((&own["suffix"], &own["best_of"]), (&json!("b"), &json!(3)));
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn a_conversation_is_written_as_one_text() {
    let body = json!({"model": "m", "max_tokens": 9, "system": "Be kind.", "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}]});
    let (own, losses) = written(COMPLETIONS, ANTHROPIC, &body).unwrap();
    assert_eq!(
        own,
        json!({"model": "there", "max_tokens": 9,
            "prompt": "System: Be kind.\n\nUser: a\n\nAssistant: b\n\nUser: c\n\nAssistant:"})
    );
    assert_eq!(losses, ["messages=emulated"]);
    let tools = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    assert_eq!(written(COMPLETIONS, ANTHROPIC, &tools).unwrap_err().param(), Some("tools"));
}

fn ask() -> Ask {
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.call_id = "1".into();
    ask.created = 7;
    ask.stream_usage = true;
    ask
}

#[test]
fn answers_of_others_are_texts() {
    let body = json!({"id": "chatcmpl-1", "model": "there", "choices": [{"index": 0,
        "finish_reason": "length", "message": {"role": "assistant", "content": " upon a time"},
        "logprobs": {"content": [{"token": " upon", "logprob": -0.5,
            "top_logprobs": [{"token": " upon", "logprob": -0.5}]}, {"token": " a", "logprob": -1.0}]}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let bytes = Bytes::from(body.to_string());
    let answer = OPENAI.decode_reply(Operation::Chat, &bytes, &Restore::default()).unwrap();
    let asked = Bytes::from(json!({"prompt": "Once", "echo": true}).to_string());
    let payload = Payload::wire(COMPLETIONS, Operation::Chat, asked).unwrap();
    let mut ask = ask();
    ask.echo = COMPLETIONS.echo(&payload);
    let mut losses = Losses::default();
    let written = COMPLETIONS.encode_reply(&answer, &ask, &mut losses).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(
        written,
        json!({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "there",
            "choices": [{"text": "Once upon a time", "index": 0, "finish_reason": "length",
                "logprobs": {"tokens": [" upon", " a"], "token_logprobs": [-0.5, -1.0],
                    "top_logprobs": [{" upon": -0.5}, {}], "text_offset": [0, 5]}}],
            "usage": written["usage"]})
    );
    assert_eq!(written["usage"]["total_tokens"], 3);
}

#[test]
fn its_own_answers_are_read_back() {
    let body = json!({"id": "cmpl-9", "object": "text_completion", "created": 1, "model": "d",
        "choices": [{"text": "upon", "index": 0, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let bytes = Bytes::from(body.to_string());
    let answer = COMPLETIONS.decode_reply(Operation::Chat, &bytes, &Restore::default()).unwrap();
    let mut losses = Losses::default();
    let anthropic = ANTHROPIC.encode_reply(&answer, &ask(), &mut losses).unwrap();
    let anthropic: Value = serde_json::from_slice(&anthropic).unwrap();
    assert_eq!(anthropic["content"][0]["text"], "upon");
    assert_eq!(anthropic["stop_reason"], "end_turn");
    let again = COMPLETIONS.encode_reply(&answer, &ask(), &mut losses).unwrap();
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!((&again["id"], &again["choices"]), (&body["id"], &body["choices"]));
    assert!(COMPLETIONS.glance(Operation::Chat, &bytes).usage.is_some());
}

#[test]
fn streams_go_there_and_back() {
    let stream = [
        json!({"id": "cmpl-9", "object": "text_completion", "created": 1, "model": "d",
            "choices": [{"text": "upon", "index": 0, "logprobs": null, "finish_reason": null}]}),
        json!({"id": "cmpl-9", "object": "text_completion", "created": 1, "model": "d",
            "choices": [{"text": " a", "index": 0, "logprobs": null, "finish_reason": null}]}),
        json!({"id": "cmpl-9", "object": "text_completion", "created": 1, "model": "d",
            "choices": [{"text": "", "index": 0, "logprobs": null, "finish_reason": "length"}]}),
        json!({"id": "cmpl-9", "object": "text_completion", "created": 1, "model": "d",
            "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}),
    ];
    let mut text: String = stream.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    text.push_str("data: [DONE]\n\n");
    let mut decoder = COMPLETIONS.decoder(&Restore::default());
    let mut events = Vec::new();
    decoder.decode(&Bytes::from(text.clone()), &mut events).unwrap();
    let mut encoder = COMPLETIONS.encoder(&ask());
    let mut out = Vec::new();
    for event in &events {
        encoder.encode(event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    let chunks = |text: &str| -> Vec<Value> {
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    };
    let choices = |text: &str| -> Vec<Value> {
        chunks(text).into_iter().map(|chunk| chunk["choices"].clone()).collect()
    };
    assert_eq!(choices(&out), choices(&text));
    assert!(out.ends_with("data: [DONE]\n\n"));
    assert_eq!(chunks(&out)[3]["usage"]["total_tokens"], 3);
    let mut losses = String::new();
    for loss in encoder.losses() {
        losses.push_str(&loss.to_string());
    }
    assert_eq!(losses, "");
    // What stands in place of a message in one that converses is read as well.
    assert!(asked(&json!({"prompt": "a", "stream": true})).is_ok());
}
