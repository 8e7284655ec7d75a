mod identity;

use std::sync::Arc;

use serde_json::{Value, json};
use ziggurat_core::{
    Capabilities, Chat, Content, Effort, LossPolicy, Losses, Members, Message, Operation,
    OutputFormat, Part, Payload, RawJson, ReasoningMode, Role, Source, Str, Target, ToolChoice,
    Typed,
};

use super::*;
use crate::{ANTHROPIC, OPENAI};

fn read(body: &Value) -> Result<Typed, Error> {
    decode(Operation::Chat, &Members::parse(Str::from(body.to_string())).unwrap())
}

fn chat_of(body: &Value) -> Chat {
    (**read(body).unwrap().chat().unwrap()).clone()
}

fn user(content: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": [content]}]})
}

/// A chat on its way to a model, from a caller who speaks `source`.
fn sent(chat: Chat, model: &str, source: Option<ziggurat_core::Dialect>) -> Value {
    let caps = Capabilities::default();
    let target = Target::new(model, &caps, source);
    let mut losses = Losses::under(LossPolicy::Allow);
    let request = encode(&Typed::Chat(Arc::new(chat)), &target, &mut losses).unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn what_is_wrong_is_blamed_by_its_place() {
    for (body, param) in [
        (json!({}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": {}}), "messages"),
        (json!({"messages": [{"content": []}]}), "messages.0.role"),
        (json!({"messages": [{"role": "tool", "content": []}]}), "messages.0.role"),
        (json!({"messages": [{"role": "user"}]}), "messages.0.content"),
        (json!({"messages": [{"role": "user", "content": "hi"}]}), "messages.0.content"),
        (user(&json!({})), "messages.0.content.0"),
        (user(&json!({"text": "a", "image": {}})), "messages.0.content.0"),
        (user(&json!({"text": 1})), "messages.0.content.0.text"),
        (user(&json!({"image": {"source": {"bytes": ""}}})), "messages.0.content.0.image.format"),
        (user(&json!({"image": {"format": "png"}})), "messages.0.content.0.image.source"),
        (user(&json!({"toolUse": {"name": "f"}})), "messages.0.content.0.toolUse.toolUseId"),
        (
            user(&json!({"toolResult": {"toolUseId": "a", "status": "maybe"}})),
            "messages.0.content.0.toolResult.status",
        ),
        (
            user(&json!({"toolResult": {"toolUseId": "a", "content": [{"toolResult": {}}]}})),
            "messages.0.content.0.toolResult.content.0",
        ),
    ] {
        assert_eq!(read(&body).unwrap_err().param(), Some(param), "{body}");
    }
    let with = |name: &str, value: Value| {
        let mut body = user(&json!({"text": "hi"}));
        body[name] = value;
        read(&body).unwrap_err().param().unwrap().to_owned()
    };
    assert_eq!(with("inferenceConfig", json!({"maxTokens": "x"})), "inferenceConfig.maxTokens");
    assert_eq!(
        with("inferenceConfig", json!({"stopSequences": ["a", 1]})),
        "inferenceConfig.stopSequences.1"
    );
    assert_eq!(with("toolConfig", json!({"toolChoice": {}})), "toolConfig.toolChoice");
    assert_eq!(
        with("toolConfig", json!({"tools": [{"toolSpec": {}}]})),
        "toolConfig.tools.0.toolSpec.name"
    );
    assert_eq!(
        with("outputConfig", json!({"textFormat": {"type": "json_schema"}})),
        "outputConfig.textFormat.structure.jsonSchema"
    );
    assert_eq!(
        with(
            "outputConfig",
            json!({"textFormat": {"type": "json_schema",
                "structure": {"jsonSchema": {"schema": "[]"}}}})
        ),
        "outputConfig.textFormat.structure.jsonSchema.schema"
    );
}

#[test]
fn tool_results_nest_no_deeper_than_one() {
    let mut deep = "[]".to_owned();
    for _ in 0..20 {
        deep = format!(r#"[{{"toolResult":{{"toolUseId":"a","content":{deep}}}}}]"#);
    }
    let body = format!(r#"{{"messages":[{{"role":"user","content":{deep}}}]}}"#);
    let error = decode(Operation::Chat, &Members::parse(Str::from(body)).unwrap()).unwrap_err();
    assert!(error.message().contains("cannot hold another one"));
}

#[test]
fn words_of_each_model_are_understood() {
    let with = |fields: Value| {
        let mut body = user(&json!({"text": "hi"}));
        body["additionalModelRequestFields"] = fields;
        chat_of(&body)
    };
    assert_eq!(with(json!({"top_k": 5})).sampling.top_k, Some(5));
    let thinking = with(json!({"thinking": {"type": "enabled", "budget_tokens": 2048}}));
    assert_eq!(thinking.reasoning.mode, Some(ReasoningMode::On));
    assert_eq!(thinking.reasoning.budget_tokens, Some(2048));
    assert!(thinking.extras.is_empty());
    for fields in [
        json!({"output_config": {"effort": "low"}}),
        json!({"reasoning_effort": "low"}),
        json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
    ] {
        let chat = with(fields);
        assert_eq!(chat.reasoning.effort, Some(Effort::Low));
        assert!(chat.extras.is_empty());
    }
    let single = with(json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}));
    assert_eq!(single.parallel_tools, Some(false));
    assert_eq!(single.tool_choice, Some(ToolChoice::Auto));
    // What is not understood stays together.
    for fields in [
        json!({"thinking": {"type": "new"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": "x"}}),
        json!({"output_config": {"effort": "low", "x": 1}}),
        json!({"anthropic_beta": ["x"]}),
    ] {
        let chat = with(fields.clone());
        let kept: Value = chat.extras.get("additionalModelRequestFields").unwrap().read().unwrap();
        assert_eq!(kept, fields);
        assert_eq!(sent(chat, "m", Some(CONVERSE))["additionalModelRequestFields"], fields);
    }
}

#[test]
fn what_is_counted_is_the_input_of_a_call() {
    let body = json!({"input": {"converse": {"system": [{"text": "s"}],
        "messages": [{"role": "user", "content": [{"text": "hi"}]}]}}});
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    let typed = decode(Operation::CountTokens, &members).unwrap();
    let caps = Capabilities::default();
    let target = Target::new("m", &caps, Some(CONVERSE));
    let request = encode(&typed, &target, &mut Losses::default()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), body);
    let native = json!({"input": {"invokeModel": {"body": "e30="}}});
    let members = Members::parse(Str::from(native.to_string())).unwrap();
    let error = decode(Operation::CountTokens, &members).unwrap_err();
    assert_eq!(error.param(), Some("input.converse"));
}

// === reasoning of others ===

fn thought(signature: &str) -> Chat {
    let mut chat = Chat::new();
    let thought = |signature: Option<&str>, redacted: Option<&str>| {
        Part::new(Content::Reasoning {
            text: Str::from("Hm."),
            signature: signature.map(Str::from),
            redacted: redacted.map(Str::from),
        })
    };
    chat.messages = vec![
        Message::text(Role::User, "a"),
        Message::new(
            Role::Assistant,
            vec![thought(Some(signature), None), thought(None, Some(signature)), Part::text("b")],
        ),
        Message::text(Role::User, "c"),
    ];
    chat
}

fn thoughts(sent: &Value) -> usize {
    let blocks = sent["messages"][1]["content"].as_array().unwrap();
    blocks.iter().filter(|block| block.get("reasoningContent").is_some()).count()
}

#[test]
fn reasoning_goes_back_to_the_model_that_signed_it_and_to_no_other() {
    let marked = crate::origin::mark(Some("anthropic.claude-x"), "EqQB").into_owned();
    let own = sent(thought(&marked), "anthropic.claude-x", Some(OPENAI));
    assert_eq!(thoughts(&own), 2);
    let block = &own["messages"][1]["content"][0]["reasoningContent"]["reasoningText"];
    assert_eq!(block["signature"], "EqQB");
    assert_eq!(thoughts(&sent(thought(&marked), "anthropic.claude-y", Some(OPENAI))), 0);
    // What Anthropic signed its own caller carries without a mark.
    assert_eq!(thoughts(&sent(thought("EqQB"), "anthropic.claude-x", Some(ANTHROPIC))), 0);
    assert_eq!(thoughts(&sent(thought("EqQB"), "anthropic.claude-x", Some(CONVERSE))), 2);
}

#[test]
fn reasoning_that_was_marked_is_taken_out_of_what_passes_by() {
    let marked = crate::origin::mark(Some("claude"), "EqQB").into_owned();
    let redacted = crate::converse::state::write_redacted(Some("claude"), "EqQC");
    let body = json!({"messages": [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "x", "signature": marked}}},
            {"reasoningContent": {"redactedContent": redacted}},
            {"reasoningContent": {"reasoningText": {"text": "own", "signature": "EqQB"}}},
            {"text": "b"}]},
        {"role": "assistant", "content": [{"reasoningContent": {"redactedContent": redacted}}]}
    ], "x": 1});
    let mut payload =
        Payload::wire(CONVERSE, Operation::Chat, Bytes::from(body.to_string())).unwrap();
    prepare(&mut payload).unwrap();
    let messages: Value = serde_json::from_str(&payload.member("messages").unwrap()).unwrap();
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [{"text": "a"}]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "own", "signature": "EqQB"}}},
                {"text": "b"}]}
        ])
    );
    assert_eq!(payload.member("x").as_deref(), Some("1"));
}

#[test]
fn a_request_that_needs_no_change_gets_none() {
    let body = r#"{"messages":[{"role":"user","content":[{"text":"emlnMS zig1."}]}]}"#;
    let mut payload = Payload::wire(CONVERSE, Operation::Chat, Bytes::from(body)).unwrap();
    prepare(&mut payload).unwrap();
    assert_eq!(payload.member("messages").as_deref(), Some(&body[12..body.len() - 1]));
}

// === defaults ===

#[test]
fn defaults_are_put_where_this_dialect_has_them() {
    let body = r#"{"messages":[],"inferenceConfig":{"temperature":0.1}}"#;
    let mut payload = Payload::wire(CONVERSE, Operation::Chat, Bytes::from(body)).unwrap();
    for (name, value) in [
        ("temperature", "0.9"),
        ("max_tokens", "7"),
        ("stop", r#""END""#),
        ("top_k", "3"),
        ("service_tier", r#""flex""#),
        ("seed", "1"),
    ] {
        let value = RawJson::parse(Str::from(value)).unwrap();
        set_default(&mut payload, &Str::from(name), &value);
    }
    let member = |name: &str| payload.member(name).unwrap_or_default().to_string();
    assert_eq!(
        member("inferenceConfig"),
        r#"{"temperature":0.1,"maxTokens":7,"stopSequences":["END"]}"#
    );
    assert_eq!(member("additionalModelRequestFields"), r#"{"top_k":3}"#);
    assert_eq!(member("serviceTier"), r#"{"type":"flex"}"#);
    assert_eq!(member("seed"), "");
}

// === labels and schemas ===

#[test]
fn labels_that_are_not_taken_are_left_out() {
    for (labels, kept) in [
        (json!({"team": "a b:c"}), true),
        (json!({"team": "ä"}), false),
        (json!({"": "a"}), false),
        (json!({"team": "x".repeat(257)}), false),
        (json!({"team": 1}), false),
    ] {
        let mut chat = chat_of(&user(&json!({"text": "hi"})));
        chat.metadata = Some(RawJson::parse(Str::from(labels.to_string())).unwrap());
        let sent = sent(chat, "m", Some(OPENAI));
        assert_eq!(sent.get("requestMetadata").is_some(), kept, "{labels}");
    }
}

#[test]
fn a_schema_is_the_text_of_one() {
    let schema = r#"{"type": "object"}"#;
    let mut body = user(&json!({"text": "hi"}));
    body["outputConfig"] = json!({"textFormat": {"type": "json_schema",
        "structure": {"jsonSchema": {"schema": schema, "name": "n", "description": "d"}}}});
    let chat = chat_of(&body);
    let OutputFormat::Schema(wanted) = &chat.output else { panic!("{:?}", chat.output) };
    assert_eq!((wanted.schema.get(), wanted.name.as_deref()), (schema, Some("n")));
    assert_eq!(sent(chat, "m", Some(CONVERSE))["outputConfig"], body["outputConfig"]);
}

#[test]
fn a_document_in_parts_crosses_dialects() {
    let body = user(&json!({"document": {"name": "d", "source": {"content": [{"text": "x"}]}}}));
    let chat = chat_of(&body);
    let Content::Document { source: Source::Parts(parts), .. } = &chat.messages[0].parts[0].content
    else {
        panic!("{:?}", chat.messages)
    };
    assert_eq!(parts.get(), r#"[{"type":"text","text":"x"}]"#);
    assert_eq!(sent(chat, "m", Some(CONVERSE)), body);
}
