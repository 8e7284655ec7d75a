use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    CacheMark, Capabilities, Chat, Content, Dialect, Effort, Error, ErrorKind, Extras, LossPolicy,
    Losses, Members, Message, Operation, OutputFormat, OutputSchema, Part, RawJson, ReasoningMode,
    Role, Source, Str, Target, Tool, ToolCallKind, ToolChoice, ToolKind, Typed,
};

use crate::{ANTHROPIC, OPENAI};

/// Another dialect, as far as encoding must know there is one: nothing of it is called.
fn foreign() -> Dialect {
    Dialect::new(&stranger::Stranger)
}

fn decode(body: &Value) -> Chat {
    try_decode(&body.to_string()).unwrap()
}

fn try_decode(body: &str) -> Result<Chat, Error> {
    let members = Members::parse(Str::from(body))?;
    let typed = OPENAI.decode_request(Operation::Chat, &members)?;
    Ok(Chat::clone(typed.chat().unwrap()))
}

/// What goes out, and the losses.
struct Sent {
    body: Value,
    losses: Vec<String>,
    names: Vec<(String, String)>,
}

fn encode_with(
    chat: &Chat,
    model: &Capabilities,
    source: Option<Dialect>,
    policy: LossPolicy,
) -> Result<Sent, Error> {
    let mut losses = Losses::under(policy);
    let target = Target::new("gpt-4.1", model, source);
    let typed = Typed::Chat(std::sync::Arc::new(chat.clone()));
    let request = OPENAI.encode_request(&typed, &target, &mut losses)?;
    let names = chat
        .tools
        .iter()
        .filter_map(|tool| {
            let sent =
                crate::tools::ToolNames::under(crate::tools::OPENAI_NAMES).fit(&tool.name).ok()?;
            let back = request.restore.tool_name(&sent)?;
            Some((sent.to_string(), back.to_string()))
        })
        .collect();
    Ok(Sent {
        body: serde_json::from_slice(&request.body).unwrap(),
        losses: losses.found().iter().map(ToString::to_string).collect(),
        names,
    })
}

fn encode(chat: &Chat) -> Value {
    let model = Capabilities::default();
    encode_with(chat, &model, Some(OPENAI), LossPolicy::Default).unwrap().body
}

fn from_elsewhere(chat: &Chat) -> Sent {
    let model = Capabilities::default();
    encode_with(chat, &model, Some(foreign()), LossPolicy::Default).unwrap()
}

fn with(member: &str, value: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body[member] = value;
    body
}

fn message(message: Value) -> Message {
    let filler = json!({"role": "user", "content": "hi"});
    let chat = decode(&json!({"messages": [filler, message]}));
    chat.messages.into_iter().nth(1).unwrap()
}

fn golden() -> Value {
    json!({
        "model": "gpt-4.1",
        "max_completion_tokens": 512,
        "temperature": 0.5,
        "stop": ["END"],
        "messages": [
            {"role": "system", "content": "You are terse."},
            {"role": "user", "content": "Weather and time in Oslo?"},
            {"role": "assistant", "content": "Checking.", "tool_calls": [
                {"id": "call_A1", "type": "function",
                 "function": {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}},
                {"id": "call_B2", "type": "function",
                 "function": {"name": "get_time", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_A1", "content": "4 C, rain"},
            {"role": "tool", "tool_call_id": "call_B2", "content": "Error: timeout"},
            {"role": "user", "content": "Go on."}],
        "tools": [
            {"type": "function", "function": {
                "name": "get_weather", "description": "Weather now",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                               "required": ["city"]}}},
            {"type": "function", "function": {"name": "get_time", "description": "Clock"}}],
        "tool_choice": "auto"
    })
}

// === decoding ===

#[test]
fn the_golden_request_is_read_and_written_again() {
    let chat = decode(&golden());
    assert_eq!(chat.system, [Part::text("You are terse.")]);
    assert_eq!(chat.max_output_tokens, Some(512));
    assert_eq!(chat.sampling.temperature, Some(0.5));
    assert_eq!(chat.stop, ["END"]);
    assert_eq!(chat.tool_choice, Some(ToolChoice::Auto));
    assert_eq!(chat.messages.len(), 5);
    let Content::ToolCall { id, name, arguments, .. } = &chat.messages[1].parts[1].content else {
        panic!("{chat:?}")
    };
    assert_eq!((&**id, &**name, &**arguments), ("call_A1", "get_weather", r#"{"city":"Oslo"}"#));
    let Content::ToolResult { call_id, parts, is_error, .. } = &chat.messages[3].parts[0].content
    else {
        panic!("{chat:?}")
    };
    assert!(is_error);
    assert_eq!((&**call_id, parts[0].as_text()), ("call_B2", Some("timeout")));
    assert_eq!(chat.messages[4].at, Some(5));
    assert_eq!(encode(&chat), golden());
}

#[test]
fn what_another_dialect_says_in_one_user_message_becomes_several() {
    let result = |id: &str, text: &str, is_error| {
        Part::new(Content::ToolResult {
            call_id: id.into(),
            name: None,
            parts: vec![Part::text(text)],
            is_error,
        })
    };
    let mut chat = decode(&golden());
    chat.messages.truncate(2);
    chat.messages.push(Message::new(
        Role::User,
        vec![
            result("call_A1", "4 C, rain", false),
            result("call_B2", "timeout", true),
            Part::text("Go on."),
        ],
    ));
    let sent = from_elsewhere(&chat);
    assert_eq!(sent.body, golden());
    assert_eq!(sent.losses, [""; 0]);
}

#[test]
fn null_equals_absent() {
    let body = json!({
        "messages": [{"role": "user", "content": "hi", "name": null},
            {"role": "assistant", "content": null, "refusal": null, "tool_calls": null,
             "function_call": null, "audio": null, "annotations": []}],
        "max_tokens": null, "temperature": null, "stop": null, "n": null, "tools": null,
        "tool_choice": null, "response_format": null, "stream": null, "stream_options": null,
        "reasoning_effort": null, "metadata": null, "logit_bias": null, "foo": null,
        "parallel_tool_calls": null, "logprobs": null, "top_logprobs": null
    });
    let plain = json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant"}]});
    assert_eq!(decode(&body), decode(&plain));
}

#[test]
fn every_parameter_has_its_place() {
    let chat = decode(&json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5, "temperature": 1, "top_p": 0.5, "top_k": 3, "min_p": 0.1,
        "frequency_penalty": -1, "presence_penalty": 1.5, "repetition_penalty": 1.1, "seed": -7,
        "stop": "x", "n": 2, "logprobs": true, "top_logprobs": 3, "logit_bias": {"50": -100},
        "reasoning_effort": "xhigh", "verbosity": "low", "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"}, "stream": true,
        "stream_options": {"include_usage": true, "include_obfuscation": false},
        "user": "u", "metadata": {"a": "b"}, "store": true, "service_tier": "flex",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h",
        "prediction": {"type": "content", "content": "x"}, "web_search_options": {},
        "parallel_tool_calls": false, "safety_identifier": "s", "thinking": {"type": "enabled", "budget_tokens": 1024}
    }));
    assert_eq!(chat.max_output_tokens, Some(5));
    assert_eq!(chat.sampling.top_k, Some(3));
    assert_eq!(chat.sampling.seed, Some(-7));
    assert_eq!(chat.stop, ["x"]);
    assert_eq!((chat.n, chat.logprobs), (Some(2), Some(3)));
    assert_eq!(chat.logit_bias.as_ref().unwrap().get(), r#"{"50":-100}"#);
    assert_eq!(chat.reasoning.effort, Some(Effort::XHigh));
    assert_eq!(chat.reasoning.mode, Some(ReasoningMode::On));
    assert_eq!(chat.reasoning.budget_tokens, Some(1024));
    assert_eq!(chat.modalities, ["text", "audio"]);
    assert_eq!((chat.stream, chat.stream_usage), (true, Some(true)));
    assert_eq!(chat.cache.key.as_deref(), Some("k"));
    assert_eq!(chat.parallel_tools, Some(false));
    assert_eq!(chat.extras.dialect, Some(OPENAI));
    assert_eq!(chat.extras.get("safety_identifier").unwrap().get(), r#""s""#);
    assert_eq!(chat.extras.get("stream_options.include_obfuscation").unwrap().get(), "false");
    let sent = encode(&chat);
    assert_eq!(
        sent["stream_options"],
        json!({"include_usage": true, "include_obfuscation": false})
    );
    assert_eq!(sent["safety_identifier"], "s");
    assert_eq!(sent["top_logprobs"], 3);
    assert_eq!(sent["max_completion_tokens"], 5);
    assert_eq!(sent.get("max_tokens"), None);
    assert_eq!(sent["top_k"], 3);
}

#[test]
fn the_newer_name_of_the_token_limit_holds() {
    let both = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "max_completion_tokens": 7});
    assert_eq!(decode(&both).max_output_tokens, Some(7));
}

#[test]
fn parts_of_every_kind_are_read() {
    let message = message(json!({"role": "user", "name": "ann", "content": [
        {"type": "text", "text": "What is in these?",
         "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
        {"type": "image_url", "image_url": {"url": "https://example.test/cat.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,iVBORw0KGgo="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "file", "file": {"file_id": "file-abc123"}},
        {"type": "video_url", "video_url": {"url": "https://example.test/v.mp4"}},
        {"type": "new_kind", "x": 1},
        "bare"
    ]}));
    assert_eq!(message.name.as_deref(), Some("ann"));
    let contents: Vec<&Content> = message.parts.iter().map(|part| &part.content).collect();
    assert_eq!(message.parts[0].cache, Some(CacheMark::HalfHour));
    assert!(matches!(contents[1], Content::Image { source: Source::Url(url), detail: Some(d) }
        if *url == "https://example.test/cat.png" && *d == "low"));
    // A PNG that was called a JPEG.
    assert!(
        matches!(contents[2], Content::Image { source: Source::Base64 { media_type, data }, .. }
        if *media_type == "image/png" && *data == "iVBORw0KGgo=")
    );
    assert!(matches!(contents[3], Content::Audio { source: Source::Base64 { media_type, .. } }
        if *media_type == "audio/mpeg"));
    assert!(
        matches!(contents[4], Content::Document { source: Source::Base64 { media_type, .. }, title: Some(title), .. }
        if *media_type == "application/pdf" && *title == "a.pdf")
    );
    assert!(matches!(contents[5], Content::Document { source: Source::File(id), .. }
        if *id == "file-abc123"));
    assert!(matches!(contents[6], Content::Video { source: Source::Url(_) }));
    assert!(matches!(contents[7], Content::Opaque { kind, .. } if *kind == "new_kind"));
    assert_eq!(message.parts[7].extras.dialect, Some(OPENAI));
    assert_eq!(message.parts[8].as_text(), Some("bare"));
}

#[test]
fn large_media_share_the_bodys_buffer() {
    let data = "A".repeat(4096);
    let body = Str::from(format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
    ));
    let members = Members::parse(body.clone()).unwrap();
    let typed = OPENAI.decode_request(Operation::Chat, &members).unwrap();
    let Content::Image { source: Source::Base64 { data, .. }, .. } =
        &typed.chat().unwrap().messages[0].parts[0].content
    else {
        panic!()
    };
    assert!(body.as_bytes().as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn anthropics_cache_marks_are_taken() {
    let chat = decode(&json!({
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": "u", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "r", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]
    }));
    assert_eq!(chat.system[0].cache, Some(CacheMark::Default));
    assert_eq!(chat.messages[0].parts[0].cache, Some(CacheMark::OneHour));
    assert_eq!(chat.messages[2].parts[0].cache, Some(CacheMark::FiveMinutes));
    assert_eq!(chat.tools[0].cache, Some(CacheMark::Default));
    // A model that does not know marks gets none, and that is said.
    let sent =
        encode_with(&chat, &Capabilities::default(), Some(OPENAI), LossPolicy::Default).unwrap();
    assert!(!sent.body.to_string().contains("cache"), "{}", sent.body);
    assert_eq!(sent.losses, ["tools[0].cache_control=dropped", "cache_control=dropped"]);
    let mut model = Capabilities::default();
    model.cache_marks = true;
    let sent = encode_with(&chat, &model, Some(OPENAI), LossPolicy::Default).unwrap();
    assert_eq!(
        sent.body["messages"][0]["content"][0]["prompt_cache_breakpoint"],
        json!({"mode": "explicit"})
    );
    assert_eq!(
        sent.body["messages"][1]["content"][0]["prompt_cache_breakpoint"]["ttl"], "30m",
        "an hour is not twelve"
    );
    assert!(sent.losses.contains(&"cache_control.ttl=clamped".to_owned()));
}

#[test]
fn thinking_goes_round_through_a_client() {
    let turn = json!({"role": "assistant", "content": "Hi", "reasoning_content": "Hm",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "x=="}]});
    let message = message(turn.clone());
    assert_eq!(
        message.parts[0].content,
        Content::Reasoning { text: "Hm".into(), signature: Some("EqQB".into()), redacted: None }
    );
    assert_eq!(
        message.parts[1].content,
        Content::Reasoning { text: Str::new(), signature: None, redacted: Some("x==".into()) }
    );
    let mut chat = decode(&with("n", json!(1)));
    chat.messages.push(message);
    assert_eq!(encode(&chat)["messages"][1], turn);
    // It is not sent to another provider.
    let sent = from_elsewhere(&chat);
    assert_eq!(sent.body["messages"][1], json!({"role": "assistant", "content": "Hi"}));
    assert_eq!(sent.losses, ["messages[1]=dropped"]);
}

#[test]
fn functions_from_before_tools_are_tools() {
    let chat = decode(&json!({
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\":1}"}},
            {"role": "function", "name": "f", "content": "Error: no"}],
        "functions": [{"name": "f", "description": "d", "parameters": {"type": "object"}}],
        "function_call": {"name": "f"}
    }));
    let sent = encode(&chat);
    let id = sent["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() <= 40);
    assert_eq!(sent["messages"][2]["tool_call_id"], id);
    assert_eq!(sent["messages"][2]["content"], "Error: no");
    assert_eq!(sent["tools"][0]["function"]["parameters"], json!({"type": "object"}));
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(decode(&with("function_call", json!("none"))).tool_choice, Some(ToolChoice::None));
}

#[test]
fn tool_choices_of_every_kind_go_round() {
    let tools = json!([
        {"type": "function", "function": {"name": "f", "strict": true}},
        {"type": "custom", "custom": {"name": "c", "description": "d",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}}]);
    for choice in [
        json!("none"),
        json!("auto"),
        json!("required"),
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "custom", "custom": {"name": "c"}}),
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "f"}},
            {"type": "custom", "custom": {"name": "c"}}]}}),
    ] {
        let mut body = with("tool_choice", choice.clone());
        body["tools"] = tools.clone();
        let sent = encode(&decode(&body));
        assert_eq!(sent["tool_choice"], choice);
        assert_eq!(sent["tools"], tools);
    }
}

#[test]
fn custom_calls_go_round() {
    let turn = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}]});
    let message = message(turn.clone());
    assert!(matches!(&message.parts[0].content,
        Content::ToolCall { kind: ToolCallKind::Custom, arguments, .. } if *arguments == "select 1"));
    let mut chat = decode(&with("n", json!(1)));
    chat.messages.push(message);
    assert_eq!(encode(&chat)["messages"][1], turn);
}

#[test]
fn googles_signature_comes_back_with_its_call() {
    let nested = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "Q2"}}});
    let flat = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"},
        "thought_signature": "Q2", "index": 0});
    for call in [&nested, &flat] {
        let message = message(json!({"role": "assistant", "tool_calls": [call]}));
        assert!(matches!(&message.parts[0].content,
            Content::ToolCall { signature: Some(signature), .. } if *signature == "Q2"));
        let mut chat = decode(&with("n", json!(1)));
        chat.messages.push(message);
        assert_eq!(encode(&chat)["messages"][1]["tool_calls"][0], nested);
    }
}

#[test]
fn formats_of_the_answer_go_round() {
    let schema = json!({"type": "json_schema", "json_schema": {
        "name": "n", "description": "d", "schema": {"type": "object"}, "strict": true}});
    assert_eq!(
        encode(&decode(&with("response_format", schema.clone())))["response_format"],
        schema
    );
    let object = json!({"type": "json_object"});
    assert_eq!(
        encode(&decode(&with("response_format", object.clone())))["response_format"],
        object
    );
    let text = decode(&with("response_format", json!({"type": "text"})));
    assert_eq!(encode(&text).get("response_format"), None);
}

#[test]
fn numbers_and_key_order_survive() {
    let body = r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1152921504606846977,\"a\":1.50}"}}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{"z":1152921504606846977,"a":1.50}}}],"new":{"z":1.50,"a":[]}}"#;
    let chat = try_decode(body).unwrap();
    let model = Capabilities::default();
    let typed = Typed::Chat(std::sync::Arc::new(chat));
    let target = Target::new("m", &model, Some(OPENAI));
    let sent = OPENAI.encode_request(&typed, &target, &mut Losses::default()).unwrap();
    let sent = std::str::from_utf8(&sent.body).unwrap();
    for part in [
        r#""arguments":"{\"z\":1152921504606846977,\"a\":1.50}""#,
        r#""parameters":{"z":1152921504606846977,"a":1.50}"#,
        r#""new":{"z":1.50,"a":[]}"#,
    ] {
        assert!(sent.contains(part), "{sent}");
    }
}

#[test]
fn a_mistake_is_named_by_its_place() {
    for (body, param, message) in [
        ("{}", "messages", "`messages` is required"),
        (r#"{"messages":5}"#, "messages", "`messages`: a list is expected, not 5"),
        (r#"{"messages":[5]}"#, "messages[0]", "`messages[0]`: an object is expected, not 5"),
        (r#"{"messages":[{}]}"#, "messages[0].role", "`messages[0].role` is required"),
        (
            r#"{"messages":[{"role":"bot"}]}"#,
            "messages[0].role",
            "`messages[0].role`: \"bot\" is none of system, developer, user, assistant, tool, function",
        ),
        (
            r#"{"messages":[{"role":"user"}]}"#,
            "messages[0].content",
            "`messages[0].content` is required",
        ),
        (
            r#"{"messages":[{"role":"user","content":{}}]}"#,
            "messages[0].content",
            "`messages[0].content`: a string or a list of parts is expected, not an object",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":7}}]}]}"#,
            "messages[0].content[0].image_url.url",
            "`messages[0].content[0].image_url.url`: a string is expected, not 7",
        ),
        (
            r#"{"messages":[{"role":"tool","content":"x"}]}"#,
            "messages[0].tool_call_id",
            "`messages[0].tool_call_id` is required",
        ),
        (r#"{"messages":[]}"#, "messages", "`messages`: at least one message is required"),
        (
            r#"{"messages":[],"temperature":"hot"}"#,
            "temperature",
            "`temperature`: a number is expected, not a string",
        ),
        (r#"{"messages":[],"stream":1}"#, "stream", "`stream`: true or false is expected, not 1"),
        (r#"{"messages":[],"stop":[1]}"#, "stop[0]", "`stop[0]`: a string is expected, not 1"),
        (r#"{"messages":[],"n":-1}"#, "n", "`n`: a whole number is expected, not -1"),
        (
            r#"{"messages":[],"tools":[{"type":"function","function":{}}]}"#,
            "tools[0].function.name",
            "`tools[0].function.name` is required",
        ),
        (
            r#"{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"a":}}}]}"#,
            "tools[0].function.parameters",
            "`tools[0].function.parameters`: this is not valid JSON: expected value at line 1 column 6",
        ),
        (
            r#"{"messages":[],"tool_choice":"must"}"#,
            "tool_choice",
            "`tool_choice`: \"must\" is none of none, auto, required",
        ),
        (
            r#"{"messages":[],"reasoning_effort":"huge"}"#,
            "reasoning_effort",
            "`reasoning_effort`: \"huge\" is none of none, minimal, low, medium, high, xhigh, max",
        ),
        (
            r#"{"messages":[],"response_format":{"type":"xml"}}"#,
            "response_format.type",
            "`response_format.type`: \"xml\" is none of text, json_object, json_schema",
        ),
    ] {
        let error = try_decode(body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{body}");
        assert_eq!(error.status(), 400);
        assert_eq!((error.param(), error.message()), (Some(param), message), "{body}");
    }
}

// === encoding ===

#[test]
fn a_reasoning_model_is_asked_in_its_own_way() {
    let chat = decode(&json!({
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        "max_tokens": 9, "temperature": 0.5, "top_p": 1, "frequency_penalty": 0,
        "presence_penalty": 1, "logit_bias": {}
    }));
    let mut model = Capabilities::default();
    model.reasoning_model = true;
    let sent = encode_with(&chat, &model, Some(OPENAI), LossPolicy::Default).unwrap();
    assert_eq!(
        sent.body,
        json!({"model": "gpt-4.1", "max_completion_tokens": 9, "messages": [
            {"role": "developer", "content": "s"}, {"role": "user", "content": "hi"}]})
    );
    assert_eq!(
        sent.losses,
        ["temperature=dropped", "presence_penalty=dropped", "logit_bias=dropped"]
    );
    let refused = encode_with(&chat, &model, Some(OPENAI), LossPolicy::Refuse).err().unwrap();
    assert_eq!(refused.param(), Some("temperature"));
    let probable = decode(&with("logprobs", json!(true)));
    assert!(encode_with(&probable, &model, Some(OPENAI), LossPolicy::Default).is_err());
    // What the caller insists on goes out.
    let mut losses = Losses::under(LossPolicy::Default).passing(&[Str::from("temperature")]);
    let target = Target::new("m", &model, Some(OPENAI));
    let typed = Typed::Chat(std::sync::Arc::new(chat));
    let request = OPENAI.encode_request(&typed, &target, &mut losses).unwrap();
    assert!(std::str::from_utf8(&request.body).unwrap().contains("\"temperature\":0.5"));
}

#[test]
fn extras_of_another_dialect_are_lost_by_name_unless_they_pass() {
    let mut chat = decode(&with("n", json!(1)));
    chat.extras = Extras::of(foreign());
    chat.extras.push("container".into(), RawJson::EMPTY_OBJECT);
    let sent = from_elsewhere(&chat);
    assert_eq!(sent.losses, ["container=dropped"]);
    assert_eq!(sent.body.get("container"), None);
    let model = Capabilities::default();
    let mut losses = Losses::under(LossPolicy::Refuse).passing(&[Str::from("container")]);
    let target = Target::new("m", &model, Some(foreign()));
    let typed = Typed::Chat(std::sync::Arc::new(chat.clone()));
    let request = OPENAI.encode_request(&typed, &target, &mut losses).unwrap();
    assert!(std::str::from_utf8(&request.body).unwrap().contains(r#""container":{}"#));
    assert!(encode_with(&chat, &model, Some(foreign()), LossPolicy::Refuse).is_err());
}

#[test]
fn parameters_that_only_other_dialects_know_are_lost_by_name() {
    let mut chat = decode(&with("n", json!(1)));
    chat.sampling.top_k = Some(5);
    chat.cache.auto = Some(CacheMark::Default);
    chat.service_tier = Some("standard_only".into());
    let sent = from_elsewhere(&chat);
    assert_eq!(sent.losses, ["top_k=dropped", "cache.auto=dropped"]);
    assert_eq!(sent.body.get("top_k"), None);
    assert_eq!(sent.body["service_tier"], "default");
}

#[test]
fn what_another_provider_holds_cannot_be_left_out() {
    let lose = |name: &str, policy| {
        let mut chat = decode(&with("n", json!(1)));
        chat.extras = Extras::of(ANTHROPIC);
        chat.extras.push(name.into(), RawJson::EMPTY_OBJECT);
        encode_with(&chat, &Capabilities::default(), Some(ANTHROPIC), policy)
    };
    // A continued thread lost its beginning, and its tools' results came as words.
    let error = lose("thread", LossPolicy::Allow).map(|sent| sent.body).unwrap_err();
    assert_eq!(error.param(), Some("thread"));
    let (status, body) = ANTHROPIC.encode_error(&error, None);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 400);
    assert_eq!(body["error"]["details"]["error_code"], "thread_unsupported_request");
    for name in ["mcp_servers", "inference_geo"] {
        assert!(lose(name, LossPolicy::Default).is_err(), "{name}");
        assert_eq!(lose(name, LossPolicy::Allow).unwrap().losses, [format!("{name}=dropped")]);
    }
    assert!(lose("context_management", LossPolicy::Default).is_ok());
}

#[test]
fn pictures_in_a_tools_answer_are_shown_by_the_user() {
    let picture = || {
        Part::new(Content::Image {
            source: Source::Base64 { media_type: "image/png".into(), data: "AAAA".into() },
            detail: None,
        })
    };
    let answer = |id: &str| {
        let parts = vec![Part::text("see"), picture()];
        Part::new(Content::ToolResult { call_id: id.into(), name: None, parts, is_error: false })
    };
    let call = |id: &str| {
        Part::new(Content::ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: "{}".into(),
            kind: ToolCallKind::Function,
            signature: None,
        })
    };
    let mut chat = Chat::new();
    chat.messages = vec![
        Message::text(Role::User, "a"),
        Message::new(Role::Assistant, vec![call("1"), call("2")]),
        Message::new(Role::User, vec![answer("1"), answer("2"), Part::text("and?")]),
        Message::new(Role::Assistant, vec![call("3")]),
        Message::new(Role::User, vec![answer("3")]),
    ];
    let sent = from_elsewhere(&chat).body;
    let url = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    assert_eq!(
        sent["messages"].as_array().unwrap()[2..5],
        [
            json!({"role": "tool", "tool_call_id": "1", "content": "see\n[image 1 below]"}),
            json!({"role": "tool", "tool_call_id": "2", "content": "see\n[image 2 below]"}),
            json!({"role": "user", "content": [
                {"type": "text", "text": "[image 1]"}, url,
                {"type": "text", "text": "[image 2]"}, url,
                {"type": "text", "text": "and?"}]}),
        ]
    );
    assert_eq!(
        sent["messages"].as_array().unwrap()[6..],
        [
            json!({"role": "tool", "tool_call_id": "3", "content": "see\n[image 1 below]"}),
            json!({"role": "user", "content": [{"type": "text", "text": "[image 1]"}, url]}),
        ]
    );
}

#[test]
fn what_the_model_must_see_is_refused_and_not_lost() {
    for content in [
        Content::Image { source: Source::File("file_1".into()), detail: None },
        Content::Audio { source: Source::Url("https://a.test/a.wav".into()) },
        Content::Video { source: Source::Url("https://a.test/a.mp4".into()) },
        Content::Document {
            source: Source::File("file_1".into()),
            title: None,
            context: None,
            citations: None,
        },
        Content::Opaque { kind: "search_result".into(), value: RawJson::EMPTY_OBJECT },
    ] {
        let mut chat = Chat::new();
        chat.messages = vec![Message::new(Role::User, vec![Part::new(content)]).at(3)];
        let model = Capabilities::default();
        let refused = encode_with(&chat, &model, Some(foreign()), LossPolicy::Allow);
        let error = refused.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.param(), Some("messages[3].content[0]"));
    }
}

#[test]
fn documents_of_text_are_sent_as_text() {
    let mut chat = Chat::new();
    let source = Source::Text { media_type: "text/plain".into(), text: "body".into() };
    let content = Content::Document {
        source,
        title: Some("T".into()),
        context: Some("C".into()),
        citations: Some(true),
    };
    chat.messages = vec![Message::new(Role::User, vec![Part::new(content)])];
    let sent = from_elsewhere(&chat);
    assert_eq!(
        sent.body["messages"][0]["content"],
        json!([{"type": "text", "text": "T\nC\nbody"}])
    );
    assert_eq!(sent.losses, ["messages.citations=dropped", "messages=emulated"]);
}

#[test]
fn tools_of_other_providers_own_are_refused() {
    let server = ToolKind::Server {
        server_type: "web_search_20250305".into(),
        value: RawJson::EMPTY_OBJECT,
    };
    let mut tool = Tool::new("web_search", server);
    tool.extras = Extras::of(foreign());
    let mut chat = decode(&with("n", json!(1)));
    chat.tools.push(tool);
    let model = Capabilities::default();
    let error = encode_with(&chat, &model, Some(foreign()), LossPolicy::Allow).err().unwrap();
    assert_eq!(error.param(), Some("tools[0]"));
    // This dialect's own go out as they came.
    let own = json!([{"type": "new_tool", "x": 1}]);
    assert_eq!(encode(&decode(&with("tools", own.clone())))["tools"], own);
}

#[test]
fn names_and_ids_that_do_not_fit_are_fitted_everywhere() {
    let long = "x".repeat(50);
    let chat = decode(&json!({
        "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [{"id": long, "type": "function",
                "function": {"name": "files.read", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": long, "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "files.read"}},
            {"type": "function", "function": {"name": "files:read"}}],
        "tool_choice": {"type": "function", "function": {"name": "files.read"}}
    }));
    let model = Capabilities::default();
    let sent = encode_with(&chat, &model, Some(OPENAI), LossPolicy::Default).unwrap();
    let name = sent.body["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(name.starts_with("files_read_") && name.len() <= 64);
    assert_ne!(sent.body["tools"][1]["function"]["name"], name);
    assert_eq!(sent.body["messages"][1]["tool_calls"][0]["function"]["name"], name);
    assert_eq!(sent.body["tool_choice"]["function"]["name"], name);
    let id = sent.body["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() <= 40);
    assert_eq!(sent.body["messages"][2]["tool_call_id"], id);
    assert_eq!(sent.names[0], (name.to_owned(), "files.read".to_owned()));
    assert_eq!(sent.names.len(), 2);
}

#[test]
fn effort_is_snapped_to_what_the_model_takes() {
    use Effort::*;
    let sent = |effort: Effort, known: &[Effort]| {
        let mut chat = decode(&with("n", json!(1)));
        chat.reasoning.effort = Some(effort);
        let mut model = Capabilities::default();
        model.efforts = known.to_vec();
        let sent = encode_with(&chat, &model, Some(OPENAI), LossPolicy::Default).unwrap();
        sent.body.get("reasoning_effort").map(|effort| effort.as_str().unwrap().to_owned())
    };
    assert_eq!(sent(Max, &[]).unwrap(), "max");
    assert_eq!(sent(Max, &[Low, Medium, High]).unwrap(), "high");
    assert_eq!(sent(Medium, &[Low, High]).unwrap(), "low", "down on ties");
    assert_eq!(sent(Minimal, &[None, Low]).unwrap(), "low", "never to none");
    assert_eq!(sent(None, &[Minimal, Low]).unwrap(), "minimal");
    assert_eq!(sent(None, &[None, Low]).unwrap(), "none");
}

#[test]
fn a_budget_becomes_an_effort() {
    let sent = |budget: Option<u64>, mode| {
        let mut chat = decode(&with("n", json!(1)));
        chat.reasoning.budget_tokens = budget;
        chat.reasoning.mode = mode;
        from_elsewhere(&chat).body.get("reasoning_effort").cloned()
    };
    for (budget, effort) in
        [(512, "minimal"), (1024, "low"), (8192, "medium"), (24_576, "high"), (30_000, "xhigh")]
    {
        assert_eq!(sent(Some(budget), Some(ReasoningMode::On)), Some(json!(effort)));
    }
    assert_eq!(sent(None, Some(ReasoningMode::Auto)), None);
    assert_eq!(sent(None, Some(ReasoningMode::Off)), None);
}

#[test]
fn a_schema_is_told_to_a_model_that_takes_none() {
    let mut chat = decode(&with("n", json!(1)));
    let schema = RawJson::parse(Str::from(r#"{"type":"object"}"#)).unwrap();
    chat.output = OutputFormat::Schema(OutputSchema::new(schema));
    let mut model = Capabilities::default();
    let native = encode_with(&chat, &model, Some(foreign()), LossPolicy::Default).unwrap();
    assert_eq!(native.body["response_format"]["json_schema"]["name"], "answer");
    model.structured_output = false;
    let told = encode_with(&chat, &model, Some(foreign()), LossPolicy::Refuse).unwrap();
    assert_eq!(told.body["response_format"], json!({"type": "json_object"}));
    assert_eq!(told.body["messages"][0]["role"], "system");
    assert!(told.body["messages"][0]["content"].as_str().unwrap().contains(r#"{"type":"object"}"#));
    assert_eq!(told.losses, ["output=emulated"]);
}

#[test]
fn a_provider_that_wants_to_hear_of_json_hears_of_it() {
    let mut chat = decode(&with("n", json!(1)));
    chat.output = OutputFormat::Json;
    assert_eq!(from_elsewhere(&chat).body["messages"][0]["content"], "Answer in JSON.");
    chat.messages[0] = Message::text(Role::User, "as Json please");
    assert_eq!(from_elsewhere(&chat).body["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_stream_always_asks_for_usage() {
    let chat = decode(&with("stream", json!(true)));
    assert_eq!(encode(&chat)["stream_options"], json!({"include_usage": true}));
    assert_eq!(chat.stream_usage, None);
}

#[test]
fn a_model_that_cannot_be_forced_is_not() {
    let mut body = with("tool_choice", json!("required"));
    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    let chat = decode(&body);
    let mut model = Capabilities::default();
    model.forced_tools = false;
    assert!(encode_with(&chat, &model, Some(OPENAI), LossPolicy::Default).is_err());
    let sent = encode_with(&chat, &model, Some(OPENAI), LossPolicy::Allow).unwrap();
    assert_eq!(sent.body["tool_choice"], "auto");
}

#[test]
fn more_stop_texts_than_are_taken_are_cut() {
    let chat = decode(&with("stop", json!(["a", "b", "c", "d", "e"])));
    assert_eq!(encode(&chat)["stop"], json!(["a", "b", "c", "d"]));
}

#[test]
fn the_system_prompt_keeps_its_parts_and_names() {
    let messages = json!([
        {"role": "system", "content": "a", "name": "ops"},
        {"role": "system", "content": "b", "name": "law"},
        {"role": "user", "content": "hi"},
        {"role": "developer", "content": "later"}]);
    let chat = decode(&json!({"messages": messages}));
    assert_eq!(chat.system.len(), 2);
    assert_eq!(encode(&chat)["messages"], messages);
    let mut two = Chat::new();
    two.system = vec![Part::text("a"), Part::text("b")];
    assert_eq!(from_elsewhere(&two).body["messages"][0]["content"], "a\n\nb");
}

// === there and back ===

fn text() -> impl Strategy<Value = Str> {
    "[a-zä€😀\"\\\\\n ]{1,8}".prop_map(Str::from)
}

fn user_part() -> impl Strategy<Value = Part> {
    let inline = |media_type: &'static str| Source::Base64 {
        media_type: Str::from_static(media_type),
        data: Str::from_static("AAAA"),
    };
    let content = prop_oneof![
        text().prop_map(|text| Content::Text { text, citations: Vec::new() }),
        any::<bool>().prop_map(move |low| Content::Image {
            source: if low { inline("image/gif") } else { Source::Url("https://a.test/b".into()) },
            detail: low.then(|| "low".into()),
        }),
        Just(Content::Audio { source: inline("audio/wav") }),
        text().prop_map(move |title| Content::Document {
            source: inline("application/pdf"),
            title: Some(title),
            context: None,
            citations: None
        }),
        Just(Content::Document {
            source: Source::File("file-1".into()),
            title: None,
            context: None,
            citations: None
        }),
    ];
    let cache = prop::option::weighted(
        0.2,
        prop_oneof![
            Just(CacheMark::Default),
            Just(CacheMark::HalfHour),
            Just(CacheMark::TwelveHours)
        ],
    );
    (content, cache, any::<bool>()).prop_map(|(content, cache, extra)| {
        let mut part = Part::new(content);
        part.cache = cache;
        if extra {
            part.extras = Extras::of(OPENAI);
            part.extras.push("x".into(), RawJson::EMPTY_OBJECT);
        }
        part
    })
}

fn turn() -> impl Strategy<Value = Vec<Message>> {
    let user = prop::collection::vec(user_part(), 1..4)
        .prop_map(|parts| vec![Message::new(Role::User, parts)]);
    let middle = text().prop_map(|text| vec![Message::text(Role::System, text)]);
    let thought = prop_oneof![
        Just(Vec::new()),
        text().prop_map(|text| vec![Content::Reasoning { text, signature: None, redacted: None }]),
        text().prop_map(|text| vec![
            Content::Reasoning { text, signature: Some("sig".into()), redacted: None },
            Content::Reasoning { text: Str::new(), signature: None, redacted: Some("r".into()) },
        ]),
    ];
    let calls = prop::collection::vec((text(), any::<bool>(), any::<bool>()), 0..3);
    let assistant = (thought, prop::option::of(text()), calls, text()).prop_map(
        |(thoughts, said, calls, answer)| {
            let mut message =
                Message::new(Role::Assistant, thoughts.into_iter().map(Part::new).collect());
            message.parts.extend(said.map(Part::text));
            let mut messages = Vec::new();
            for (at, (arguments, custom, failed)) in calls.into_iter().enumerate() {
                let id = Str::from(format!("call_{at}"));
                let kind = if custom { ToolCallKind::Custom } else { ToolCallKind::Function };
                message.parts.push(Part::new(Content::ToolCall {
                    id: id.clone(),
                    name: "f".into(),
                    arguments,
                    kind,
                    signature: failed.then(|| "g".into()),
                }));
                messages.push(Message::new(
                    Role::Tool,
                    vec![Part::new(Content::ToolResult {
                        call_id: id,
                        name: None,
                        parts: vec![Part::text(answer.clone())],
                        is_error: failed,
                    })],
                ));
            }
            messages.insert(0, message);
            messages
        },
    );
    prop_oneof![2 => user, 1 => middle, 3 => assistant]
}

fn any_chat() -> impl Strategy<Value = Chat> {
    let system = prop::collection::vec(text().prop_map(Part::text), 0..3);
    let turns = prop::collection::vec(turn(), 0..5);
    let numbers = (
        prop::option::of(0..100_u64),
        prop::option::of((0..200_u32).prop_map(|hundredths| f64::from(hundredths) / 100.0)),
        prop::option::of(any::<i64>()),
        prop::option::of(0..20_u8),
        prop::option::of(1..5_u32),
    );
    let words = (
        prop::collection::vec(text(), 0..4),
        prop::option::of(text()),
        prop::option::of(prop_oneof![Just(Effort::None), Just(Effort::Low), Just(Effort::Max)]),
        any::<bool>(),
        any::<bool>(),
        0..4_u8,
    );
    (system, turns, numbers, words).prop_map(|(system, turns, numbers, words)| {
        let mut chat = Chat::new();
        chat.system = system;
        chat.messages = vec![Message::text(Role::User, "first")];
        chat.messages.extend(turns.into_iter().flatten());
        // The system prompt may come as several messages.
        let before = usize::from(!chat.system.is_empty());
        for (index, message) in chat.messages.iter_mut().enumerate() {
            message.at = u32::try_from(index + before).ok();
        }
        (
            chat.max_output_tokens,
            chat.sampling.temperature,
            chat.sampling.seed,
            chat.logprobs,
            chat.n,
        ) = numbers;
        let (stop, user, effort, stream, tools, output) = words;
        chat.stop = stop;
        chat.user = user;
        chat.reasoning.effort = effort;
        chat.stream = stream;
        chat.stream_usage = stream.then_some(true);
        if tools {
            let mut tool = Tool::function("f", Some(RawJson::EMPTY_OBJECT));
            tool.strict = Some(true);
            let format = Some(RawJson::EMPTY_OBJECT);
            chat.tools = vec![tool, Tool::new("c", ToolKind::Custom { format })];
            chat.tool_choice =
                Some(ToolChoice::Allowed { required: stream, names: vec!["f".into(), "c".into()] });
            chat.parallel_tools = Some(false);
        }
        chat.output = match output {
            0 => OutputFormat::Json,
            1 => {
                let mut schema = OutputSchema::new(RawJson::EMPTY_OBJECT);
                schema.name = Some("n".into());
                OutputFormat::Schema(schema)
            }
            _ => OutputFormat::Text,
        };
        if stream {
            chat.extras = Extras::of(OPENAI);
            chat.extras.push("new".into(), RawJson::EMPTY_OBJECT);
        }
        chat
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_as_it_was(chat in any_chat()) {
        let mut model = Capabilities::default();
        model.cache_marks = true;
        let sent = encode_with(&chat, &model, Some(OPENAI), LossPolicy::Refuse).unwrap();
        let again = decode(&sent.body);
        prop_assert_eq!(again, chat, "{}", sent.body);
    }

    #[test]
    fn no_body_is_a_panic(body in ".{0,60}") {
        drop(try_decode(&body));
    }

    #[test]
    fn a_damaged_body_is_no_panic(at in 0..1000_usize, byte in any::<char>()) {
        let mut body = golden().to_string();
        if let Some((at, old)) = body.char_indices().nth(at) {
            body.replace_range(at..at + old.len_utf8(), &byte.to_string());
        }
        drop(try_decode(&body));
    }

    #[test]
    fn every_conversation_from_elsewhere_can_be_said(chat in any_chat()) {
        let mut chat = chat;
        chat.extras = Extras::default();
        for message in &mut chat.messages {
            // File ids are another provider's.
            message.parts.retain(|part| {
                !matches!(part.content, Content::Document { source: Source::File(_), .. })
            });
        }
        let model = Capabilities::default();
        let sent = encode_with(&chat, &model, Some(foreign()), LossPolicy::Allow);
        prop_assert!(sent.is_ok(), "{:?}", sent.err());
    }
}

mod stranger {
    //! A dialect that is only a name.

    use std::borrow::Cow;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, StatusCode, header};
    use ziggurat_core::{
        Answer, Ask, Codec, CutOptions, Cutter, EncodedRequest, Error, Glance, Losses, Members,
        Operation, Payload, Prepared, Restore, Secret, StreamDecoder, StreamEncoder, Target, Typed,
    };

    pub(super) struct Stranger;

    fn no<T>() -> Result<T, Error> {
        Err(Error::invalid("nobody speaks this"))
    }

    impl Codec for Stranger {
        fn name(&self) -> &'static str {
            "stranger"
        }
        fn path(&self, _: Operation, _: &str, _: bool) -> Cow<'static, str> {
            Cow::Borrowed("/")
        }
        fn request_headers(&self) -> &'static [HeaderName] {
            &[]
        }
        fn reply_headers(&self) -> &'static [HeaderName] {
            &[]
        }
        fn request_id_header(&self) -> HeaderName {
            header::HOST
        }
        fn authorize(&self, _: &mut HeaderMap, _: Option<&Secret>) -> Result<(), Error> {
            no()
        }
        fn decode_request(&self, _: Operation, _: &Members) -> Result<Typed, Error> {
            no()
        }
        fn encode_request(
            &self,
            _: &Typed,
            _: &Target<'_>,
            _: &mut Losses,
        ) -> Result<EncodedRequest, Error> {
            no()
        }
        fn prepare(&self, _: &mut Payload, _: bool) -> Result<Prepared, Error> {
            no()
        }
        fn glance(&self, _: Operation, _: &Bytes) -> Glance {
            Glance::default()
        }
        fn decode_reply(&self, _: Operation, _: &Bytes, _: &Restore) -> Result<Answer, Error> {
            no()
        }
        fn encode_reply(&self, _: &Answer, _: &Ask, _: &mut Losses) -> Result<Bytes, Error> {
            no()
        }
        fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter> {
            crate::OPENAI.cutter(options)
        }
        fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder> {
            crate::OPENAI.decoder(restore)
        }
        fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder> {
            crate::OPENAI.encoder(ask)
        }
        fn keep_alive(&self) -> Bytes {
            Bytes::new()
        }
        fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
            crate::OPENAI.decode_error(status, headers, body)
        }
        fn encode_error(&self, error: &Error, id: Option<&str>) -> (StatusCode, Bytes) {
            crate::OPENAI.encode_error(error, id)
        }
        fn encode_stream_error(&self, error: &Error, id: Option<&str>) -> Bytes {
            crate::OPENAI.encode_stream_error(error, id)
        }
    }
}

proptest! {
    #[test]
    fn a_message_is_read_alike_however_it_is_told(
        role in "system|developer|user|assistant",
        text in r#"[ -~äé—😀\n\t"\\]{0,40}"#,
        first in any::<bool>(),
        spaced in any::<bool>(),
    ) {
        let (role, text) = (json!(role).to_string(), json!(text).to_string());
        let plain = match first {
            true => format!("{{\"role\":{role},\"content\":{text}}}"),
            false => format!("{{\"content\":{text},\"role\":{role}}}"),
        };
        let plain = if spaced { plain.replace("\":", "\" : ") } else { plain };
        // What says nothing is nothing, but it is one member more.
        let more = format!("{},\"name\":null}}", &plain[..plain.len() - 1]);
        let read = |message: &str| {
            let user = r#"{"role":"user","content":"Hi"}"#;
            try_decode(&format!(r#"{{"model":"m","messages":[{message},{user},{message}]}}"#)).unwrap()
        };
        prop_assert_eq!(read(&plain), read(&more));
    }
}
