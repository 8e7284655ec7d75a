//! Whole answers there and back.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Answer, Ask, ChatReply, Choice, Content, ErrorKind, Extras, Losses, ModelInfo, Operation, Part,
    RawJson, Restore, Stop, StopReason, Str, TokenCount, ToolCallKind, Usage,
};

use super::*;
use crate::gemini::GEMINI;

fn body(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn chat(value: &Value) -> ChatReply {
    match decode(Operation::Chat, &body(value), &Restore::default()).unwrap() {
        Answer::Chat(reply) => *reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_answer_is_the_providers_fault() {
    for (value, kind) in [
        (json!({}), ErrorKind::BadUpstream),
        (json!([]), ErrorKind::BadUpstream),
        (json!({"candidates": 5}), ErrorKind::BadUpstream),
        (json!({"candidates": [{"content": {"parts": [{"text": 1}]}}]}), ErrorKind::BadUpstream),
        (
            json!({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}),
            ErrorKind::RateLimit,
        ),
    ] {
        let error = decode(Operation::Chat, &body(&value), &Restore::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{value}");
        assert_eq!(error.origin(), ziggurat_core::Origin::Provider);
    }
    assert!(glance(Operation::Chat, &Bytes::from_static(b"<html>")).error.is_some());
    assert!(glance(Operation::Chat, &body(&json!({}))).error.is_some());
}

#[test]
fn usage_and_model_are_seen_in_passing() {
    let value = json!({"candidates": [], "modelVersion": "gemini-x",
        "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 2}});
    let seen = glance(Operation::Chat, &body(&value));
    assert!(seen.error.is_none());
    assert_eq!(seen.model.unwrap(), "gemini-x");
    assert_eq!(seen.usage, Some(Usage::new(8, 2)));
}

#[test]
fn a_prompt_that_was_not_answered_is_an_answer_that_says_why() {
    let value = json!({"promptFeedback": {"blockReason": "JAILBREAK"}, "responseId": "r"});
    let reply = chat(&value);
    assert_eq!(reply.choices[0].stop.reason, StopReason::ContentFilter);
    let ask = Ask::new(Operation::Chat, "m");
    let written = encode(&Answer::Chat(Box::new(reply)), &ask, &mut Losses::default()).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["promptFeedback"]["blockReason"], "JAILBREAK");
    assert!(written.get("candidates").is_none());
}

#[test]
fn counts_and_lists_go_there_and_back() {
    let count = Answer::TokenCount(TokenCount { input_tokens: 123, estimated: false });
    let models = Answer::Models(vec![ModelInfo::new("gemini-x", "google", 0)]);
    for (operation, answer) in [(Operation::CountTokens, count), (Operation::Models, models)] {
        let ask = Ask::new(operation, "m");
        let written = encode(&answer, &ask, &mut Losses::default()).unwrap();
        assert_eq!(decode(operation, &written, &Restore::default()).unwrap(), answer);
    }
}

#[test]
fn a_signature_of_another_dialects_model_bears_its_name_in_base64() {
    let mut reply = ChatReply::new("msg_1", "claude-opus-5");
    let thought = Content::Reasoning {
        text: Str::from("Hm."),
        signature: Some(Str::from("EqQB")),
        redacted: None,
    };
    reply.choices.push(Choice::new(0, vec![Part::new(thought)], Stop::new(StopReason::Stop)));
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.origin = Some(Str::from("claude-opus-5"));
    let written = encode(&Answer::Chat(Box::new(reply)), &ask, &mut Losses::default()).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    let signature = written["candidates"][0]["content"]["parts"][0]["thoughtSignature"].as_str();
    let back = crate::gemini::signature::read(Str::from(signature.unwrap()));
    assert_eq!(crate::gemini::signature::for_model(&back, "claude-opus-5"), Some("EqQB"));
    assert_eq!(crate::gemini::signature::for_model(&back, "gemini-x"), None);
}

fn word() -> impl Strategy<Value = Str> {
    "[a-zA-Z\"\\\\é\n ]{1,12}".prop_map(Str::from)
}

fn part() -> impl Strategy<Value = Part> {
    let opaque = word().prop_map(|code| {
        let value = json!({"executableCode": {"code": code.as_str()}});
        let value = RawJson::parse(Str::from(value.to_string())).unwrap();
        let mut part = Part::new(Content::Opaque { kind: Str::from("executableCode"), value });
        part.extras = Extras::of(GEMINI);
        part
    });
    let call = (0u64..9, proptest::option::of("[A-D]{4}")).prop_map(|(n, signature)| {
        Part::new(Content::ToolCall {
            id: Str::from(format!("fc-{n}")),
            name: Str::from("f"),
            arguments: Str::from(format!("{{\"z\":{n},\"a\":1152921504606846977}}")),
            kind: ToolCallKind::Function,
            signature: signature.map(Str::from),
        })
    });
    let thought = (word(), "[A-D]{4}").prop_map(|(text, signature)| {
        let signature = Some(Str::from(signature));
        let mut part = Part::new(Content::Reasoning { text, signature, redacted: None });
        part.extras.dialect = Some(GEMINI);
        part
    });
    prop_oneof![word().prop_map(Part::text), thought, call, opaque]
}

fn reply() -> impl Strategy<Value = ChatReply> {
    let usage = (0u64..1000, 0u64..1000, 0u64..1000, 1u64..1000, 0u64..9);
    let usage = usage.prop_map(|(input, read, output, reasoning, tools)| {
        let mut usage = Usage::new(input, output).cache_read(read).reasoning(reasoning);
        usage.tool_prompt = Some(tools);
        usage
    });
    let choice = (vec(part(), 0..5), 0..4u8, any::<bool>());
    (vec(choice, 1..3), usage, any::<bool>()).prop_map(|(choices, usage, extra)| {
        let mut reply = ChatReply::new("r-1", "m");
        for (index, (parts, reason, extra)) in choices.into_iter().enumerate() {
            let calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall { .. }));
            let stop = match reason {
                0 => Stop::new(StopReason::Length),
                1 => crate::gemini::stop::decode("RECITATION", Some(Str::from("x")), calls),
                _ if calls => Stop::new(StopReason::ToolCalls),
                2 => Stop::new(StopReason::Other),
                _ => Stop::new(StopReason::Stop),
            };
            let mut choice = Choice::new(u32::try_from(index).unwrap(), parts, stop);
            if extra {
                choice.extras = Extras::of(GEMINI);
                choice
                    .extras
                    .push(Str::from("safetyRatings"), RawJson::parse(Str::from("[]")).unwrap());
            }
            reply.choices.push(choice);
        }
        reply.usage = Some(usage);
        if extra {
            reply.extras = Extras::of(GEMINI);
            let rest = RawJson::parse(Str::from(r#"{"trafficType":"ON_DEMAND"}"#)).unwrap();
            reply.extras.push(Str::from("usageMetadata"), rest);
            reply.created = Some(1_767_323_045);
        }
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
        prop_assert_eq!(back, Answer::Chat(Box::new(reply)), "{}", String::from_utf8_lossy(&body));
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
fn a_usual_answer_is_read_in_one_pass() {
    let read = |answer: &str| plain::decode(&Str::from(answer), &Restore::default());
    let usual = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":4,"promptTokensDetails":[{"modality":"TEXT","tokenCount":4}]},"modelVersion":"m","responseId":"r"}"#;
    assert!(read(usual).is_some());
    // What else it may say is for the reader of all.
    assert!(read(&usual.replacen('{', r#"{"more":1,"#, 1)).is_none());
    assert!(read(&usual.replace("Hi\"}", r#"Hi","thought":true}"#)).is_none());
}
