use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Answer, Ask, Changes, ChatReply, Choice, Content, ErrorKind, Extras, Losses, ModelInfo,
    Operation, Origin, Part, RawJson, Restore, Stop, StopReason, Str, TokenCount, ToolCallKind,
    Usage,
};

use crate::OPENAI;

fn decode_with(body: &Value, restore: &Restore) -> Result<ChatReply, ziggurat_core::Error> {
    let body = Bytes::from(body.to_string());
    match OPENAI.decode_reply(Operation::Chat, &body, restore)? {
        Answer::Chat(reply) => Ok(*reply),
        other => panic!("{other:?}"),
    }
}

fn decode(body: &Value) -> ChatReply {
    decode_with(body, &Restore::default()).unwrap()
}

fn ask() -> Ask {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.created = 5;
    ask.call_id = Str::from("our");
    ask
}

fn encode(reply: &ChatReply) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let answer = Answer::Chat(Box::new(reply.clone()));
    let body = OPENAI.encode_reply(&answer, &ask(), &mut losses).unwrap();
    let losses = losses.found().iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), losses)
}

fn golden() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_767_323_045, "model": "m",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
            "role": "assistant", "content": "Retrying.", "refusal": null,
            "reasoning_content": "Time failed.",
            "tool_calls": [{"id": "call_C3", "type": "function",
                "function": {"name": "get_time", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 1200, "completion_tokens": 100, "total_tokens": 1300,
            "prompt_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 200},
            "completion_tokens_details": {"reasoning_tokens": 60}}
    })
}

/// An answer with this message.
fn saying(message: Value, finish: &str) -> Value {
    json!({"id": "x", "choices": [{"index": 0, "finish_reason": finish, "message": message}]})
}

fn call(id: &str, name: &str, arguments: &str) -> Content {
    Content::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        kind: ToolCallKind::Function,
        signature: None,
    }
}

#[test]
fn the_golden_answer_is_read_and_written_again() {
    let reply = decode(&golden());
    let contents: Vec<Content> =
        reply.choices[0].parts.iter().map(|part| part.content.clone()).collect();
    let reasoning =
        Content::Reasoning { text: "Time failed.".into(), signature: None, redacted: None };
    let text = Content::Text { text: "Retrying.".into(), citations: Vec::new() };
    assert_eq!(contents, [reasoning, text, call("call_C3", "get_time", "{}")]);
    assert_eq!(reply.choices[0].stop, Stop::new(StopReason::ToolCalls));
    let usage = Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60);
    assert_eq!(reply.usage, Some(usage));
    assert_eq!(encode(&reply), (golden(), Vec::new()));
}

#[test]
fn an_answer_from_elsewhere_is_given_an_id_and_a_time() {
    let mut reply = decode(&golden());
    reply.id = "msg_1".into();
    reply.created = None;
    reply.model = Str::new();
    let (body, _) = encode(&reply);
    assert_eq!(body["id"], "chatcmpl-our");
    assert_eq!(body["created"], 5);
    assert_eq!(body["model"], "asked");
}

#[test]
fn signed_reasoning_goes_out_beside_its_text() {
    let mut reply = decode(&golden());
    reply.choices[0].parts[0].content = Content::Reasoning {
        text: "Time failed.".into(),
        signature: Some("EqQB".into()),
        redacted: None,
    };
    let (body, _) = encode(&reply);
    let message = &body["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "Time failed.");
    assert_eq!(
        message["thinking_blocks"],
        json!([{"type": "thinking", "thinking": "Time failed.", "signature": "EqQB"}])
    );
    assert_eq!(decode(&body).choices, reply.choices);
    let answer = Answer::Chat(Box::new(reply));
    let mut of_another = ask();
    of_another.origin = Some("claude".into());
    let body = OPENAI.encode_reply(&answer, &of_another, &mut Losses::default()).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let block = &body["choices"][0]["message"]["thinking_blocks"][0];
    assert_eq!(block["signature"], "zig1.Y2xhdWRl.EqQB");
    let mut hidden = ask();
    hidden.show_reasoning = false;
    let body = OPENAI.encode_reply(&answer, &hidden, &mut Losses::default()).unwrap();
    assert!(!std::str::from_utf8(&body).unwrap().contains("Time failed."));
}

#[test]
fn a_refused_answer_stops_normally_and_says_so() {
    let refused = saying(json!({"role": "assistant", "content": null, "refusal": "No."}), "stop");
    let reply = decode(&refused);
    assert_eq!(reply.choices[0].stop.reason, StopReason::Refusal);
    assert_eq!(reply.choices[0].parts, [Part::new(Content::Refusal { text: "No.".into() })]);
    let (body, _) = encode(&reply);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["message"]["refusal"], "No.");
}

#[test]
fn a_word_that_nobody_knows_stays_visible() {
    let reply = decode(&saying(json!({"content": "a"}), "repetition"));
    assert_eq!(reply.choices[0].stop, Stop::other("repetition"));
    assert_eq!(encode(&reply).0["choices"][0]["finish_reason"], "repetition");
}

#[test]
fn a_failed_answer_is_an_error() {
    let mut reply = decode(&golden());
    reply.choices[0].stop = Stop::new(StopReason::Error);
    let answer = Answer::Chat(Box::new(reply));
    let error = OPENAI.encode_reply(&answer, &ask(), &mut Losses::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadUpstream);
}

#[test]
fn citations_with_an_address_become_annotations() {
    let cited = |json: &str, text: &str| {
        let citation = RawJson::parse(Str::from(json)).unwrap();
        Part::new(Content::Text { text: text.into(), citations: vec![citation] })
    };
    let parts = vec![
        Part::text("äb "),
        cited(r#"{"url":"https://a.test","title":"A"}"#, "cited"),
        cited(r#"{"type":"char_location"}"#, "x"),
    ];
    let choice = Choice::new(0, parts, Stop::new(StopReason::Stop));
    let mut reply = ChatReply::new("x", "m");
    reply.choices = vec![choice];
    let (body, losses) = encode(&reply);
    assert_eq!(body["choices"][0]["message"]["content"], "äb citedx");
    assert_eq!(
        body["choices"][0]["message"]["annotations"],
        json!([{"type": "url_citation", "url_citation":
            {"start_index": 3, "end_index": 8, "title": "A", "url": "https://a.test"}}])
    );
    assert_eq!(losses, ["citations=dropped"]);
    // Back as they came.
    let again = decode(&body);
    let Content::Text { citations, .. } = &again.choices[0].parts[0].content else { panic!() };
    assert_eq!(citations.len(), 1);
    assert_eq!(again.choices[0].parts[0].extras.dialect, Some(OPENAI));
    assert_eq!(encode(&again).0, body);
}

#[test]
fn what_is_not_understood_goes_round() {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "service_tier": "flex", "system_fingerprint": "fp_1",
        "choices": [
            {"index": 0, "finish_reason": "stop", "logprobs": {"content": []},
             "content_filter_results": {"hate": {}},
             "message": {"role": "assistant", "content": "a", "refusal": null,
                "audio": {"id": "au"}, "provider_fields": [1.50]}},
            {"index": 1, "finish_reason": "length", "logprobs": null,
             "message": {"role": "assistant", "content": "b", "refusal": null}}]
    });
    let reply = decode(&body);
    assert_eq!(reply.extras.dialect, Some(OPENAI));
    assert_eq!(encode(&reply), (body, Vec::new()));
}

#[test]
fn extras_of_another_dialect_are_lost_by_name() {
    let mut reply = decode(&golden());
    reply.extras = Extras::default();
    reply.extras.push("own".into(), RawJson::EMPTY_OBJECT);
    assert_eq!(encode(&reply).0["own"], json!({}), "built in code");
    let opaque = Content::Opaque { kind: "server_tool_use".into(), value: RawJson::EMPTY_OBJECT };
    reply.choices[0].parts.push(Part::new(opaque));
    assert_eq!(encode(&reply).1, ["server_tool_use=dropped"]);
}

#[test]
fn calls_are_named_even_if_the_server_does_not() {
    let body = json!({"id": "x", "choices": [{"message": {"tool_calls": [
        {"function": {"name": "f", "arguments": {"a": 1}}},
        {"function": {"name": "f", "arguments": ""}}]}}]});
    let reply = decode(&body);
    let calls: Vec<_> = reply.tool_calls().collect();
    assert!(calls[0].0.starts_with("call_"));
    assert_ne!(calls[0].0, calls[1].0);
    assert_eq!(calls[0].2, r#"{"a":1}"#);
    assert_eq!(reply.choices[0].stop.reason, StopReason::ToolCalls);
    assert_eq!(
        encode(&reply).0["choices"][0]["message"]["tool_calls"][1]["function"]["arguments"],
        "{}"
    );
    let legacy =
        saying(json!({"function_call": {"name": "f", "arguments": "{}"}}), "function_call");
    assert_eq!(decode(&legacy).tool_calls().next().unwrap().1, "f");
}

#[test]
fn tools_go_by_the_callers_names() {
    let mut changes = Changes::default();
    changes.tool_names.push(("get_time".into(), "get.time".into()));
    let reply = decode_with(&golden(), &Restore::new(changes)).unwrap();
    assert_eq!(reply.tool_calls().next().unwrap().1, "get.time");
}

#[test]
fn mistrals_lists_of_thoughts_are_read() {
    let body = saying(
        json!({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
            {"type": "text", "text": "Hi"}]}),
        "stop",
    );
    let reply = decode(&body);
    assert_eq!(reply.text(), "Hi");
    assert!(matches!(&reply.choices[0].parts[0].content,
        Content::Reasoning { text, .. } if *text == "Hm"));
}

#[test]
fn a_malformed_answer_is_the_providers_fault() {
    for body in [
        json!({}),
        json!([]),
        json!({"choices": 5}),
        json!({"choices": [{"message": {"content": 7}}]}),
        json!({"choices": [{"message": {"tool_calls": [{}]}}]}),
    ] {
        let error = decode_with(&body, &Restore::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUpstream, "{body}");
        assert_eq!(error.origin(), Origin::Provider);
    }
    let html = Bytes::from_static(b"<html>");
    assert!(OPENAI.decode_reply(Operation::Chat, &html, &Restore::default()).is_err());
    let limited = json!({"error": {"message": "slow", "code": 429}});
    let error = decode_with(&limited, &Restore::default()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, "slow"));
}

#[test]
fn only_tiers_that_the_client_knows_are_named() {
    let written = |tier: &str| {
        let mut reply = ChatReply::new("x", "m");
        reply.service_tier = Some(tier.into());
        let (body, losses) = encode(&reply);
        (body.get("service_tier").cloned(), losses)
    };
    // Anthropic's word reached clients of OpenAI, whose enumeration does not have it.
    assert_eq!(written("standard"), (Some(json!("default")), vec![]));
    assert_eq!(written("flex"), (Some(json!("flex")), vec![]));
    assert_eq!(written("batch"), (None, vec!["service_tier=dropped".to_owned()]));
}

#[test]
fn models_are_listed() {
    let models = vec![ModelInfo::new("a", "openai", 1), ModelInfo::new("b", "us", 2)];
    let answer = Answer::Models(models);
    let body = OPENAI.encode_reply(&answer, &ask(), &mut Losses::default()).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"object": "list", "data": [
            {"id": "a", "object": "model", "created": 1, "owned_by": "openai"},
            {"id": "b", "object": "model", "created": 2, "owned_by": "us"}]})
    );
    let again = OPENAI.decode_reply(Operation::Models, &body, &Restore::default()).unwrap();
    assert_eq!(again, answer);
    let one = Answer::Model(ModelInfo::new("a", "openai", 1));
    let body = OPENAI.encode_reply(&one, &ask(), &mut Losses::default()).unwrap();
    assert_eq!(OPENAI.decode_reply(Operation::Models, &body, &Restore::default()).unwrap(), one);
}

#[test]
fn a_count_of_tokens_is_told_as_litellm_does() {
    let count = Answer::TokenCount(TokenCount { input_tokens: 12, estimated: true });
    let body = OPENAI.encode_reply(&count, &ask(), &mut Losses::default()).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&told["total_tokens"], &told["tokenizer_type"]), (&12.into(), &"estimate".into()));
    assert_eq!(told["request_model"], ask().model.as_str());
    let read = OPENAI.decode_reply(Operation::CountTokens, &body, &Restore::default()).unwrap();
    assert_eq!(read, count);
}

fn text() -> impl Strategy<Value = Str> {
    "[a-zä€😀\"\\\\\n]{1,8}".prop_map(Str::from)
}

fn any_choice() -> impl Strategy<Value = Choice> {
    let thoughts = prop_oneof![
        Just(Vec::new()),
        text().prop_map(|text| vec![Content::Reasoning { text, signature: None, redacted: None }]),
        text().prop_map(|text| vec![
            Content::Reasoning { text, signature: Some("s".into()), redacted: None },
            Content::Reasoning { text: Str::new(), signature: None, redacted: Some("r".into()) },
        ]),
    ];
    let said = prop::option::of(text());
    let refusal = prop::option::weighted(0.2, text());
    let calls = prop::collection::vec((text(), text(), any::<bool>()), 0..3);
    let stop = prop_oneof![
        Just(Stop::new(StopReason::Stop)),
        Just(Stop::new(StopReason::Length)),
        Just(Stop::new(StopReason::ContentFilter)),
        Just(Stop::other("eos")),
    ];
    (thoughts, said, refusal, calls, stop, any::<bool>()).prop_map(
        |(thoughts, said, refusal, calls, stop, more)| {
            let mut parts: Vec<Part> = thoughts.into_iter().map(Part::new).collect();
            parts.extend(said.map(Part::text));
            let refused = refusal.is_some();
            parts.extend(refusal.map(|text| Part::new(Content::Refusal { text })));
            let called = !calls.is_empty();
            for (id, arguments, custom) in calls {
                let kind = if custom { ToolCallKind::Custom } else { ToolCallKind::Function };
                let signature = more.then(|| Str::from("g"));
                let name = Str::from("f");
                parts.push(Part::new(Content::ToolCall { id, name, arguments, kind, signature }));
            }
            let stop = match stop.reason {
                StopReason::Stop | StopReason::Other if called => Stop::new(StopReason::ToolCalls),
                StopReason::Stop if refused => Stop::new(StopReason::Refusal),
                _ => stop,
            };
            let mut choice = Choice::new(0, parts, stop);
            if more {
                choice.logprobs = Some(RawJson::EMPTY_OBJECT);
                choice.extras = Extras::of(OPENAI);
                choice.extras.push("message.new".into(), RawJson::EMPTY_OBJECT);
                choice.extras.push("other".into(), RawJson::EMPTY_OBJECT);
            }
            choice
        },
    )
}

fn any_reply() -> impl Strategy<Value = ChatReply> {
    let usage = prop::option::of((
        0..1000_u64,
        0..1000_u64,
        prop::option::of(0..1000_u64),
        prop::option::of(0..1000_u64),
        prop::option::of(0..1000_u64),
    ));
    (prop::collection::vec(any_choice(), 0..3), usage).prop_map(|(choices, usage)| {
        let mut reply = ChatReply::new("chatcmpl-1", "m");
        reply.created = Some(7);
        reply.choices = choices;
        for (index, choice) in reply.choices.iter_mut().enumerate() {
            choice.index = u32::try_from(index).unwrap();
        }
        reply.usage = usage.map(|(input, output, read, write, reasoning)| {
            let mut usage = Usage::new(input, output);
            usage.cache_read = read;
            usage.cache_write = write;
            usage.reasoning = reasoning;
            usage
        });
        reply.service_tier = Some("default".into());
        reply
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_as_it_was(reply in any_reply()) {
        let (body, losses) = encode(&reply);
        prop_assert_eq!(losses, Vec::<String>::new());
        prop_assert_eq!(decode(&body), reply, "{}", body);
    }

    #[test]
    fn a_damaged_answer_is_no_panic(at in 0..800_usize, byte in any::<char>()) {
        let mut body = golden().to_string();
        if let Some((at, old)) = body.char_indices().nth(at) {
            body.replace_range(at..at + old.len_utf8(), &byte.to_string());
        }
        let body = Bytes::from(body);
        drop(OPENAI.decode_reply(Operation::Chat, &body, &Restore::default()));
        drop(OPENAI.glance(Operation::Chat, &body));
    }
}
