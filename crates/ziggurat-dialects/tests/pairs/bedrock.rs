//! Bugs that gateways are known for where Bedrock is on one side, each under its own name.

use serde_json::{Value, json};
use ziggurat_core::{LossPolicy, Operation};
use ziggurat_dialects::{ANTHROPIC, CONVERSE, OPENAI};

use crate::harness::{Setting, data, error};

fn request(setting: &Setting, body: &Value) -> Value {
    setting.request(Operation::Chat, &body.to_string()).unwrap().json()
}

fn reply(setting: &Setting, body: &Value) -> Value {
    setting.reply(Operation::Chat, &body.to_string()).unwrap().json()
}

fn usage(read: u64, written: u64) -> Value {
    json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
        "stopReason": "end_turn", "usage": {"inputTokens": 100, "outputTokens": 100,
        "totalTokens": 200 + read + written, "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written}})
}

// === 2, 5: tool calls in streams ===

#[test]
fn calls_are_numbered_among_calls_and_have_arguments() {
    let stream = "messageStart {\"role\":\"assistant\"}\n\
        contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hm\"}}\n\
        contentBlockStop {\"contentBlockIndex\":0}\n\
        contentBlockStart {\"contentBlockIndex\":1,\"start\":{\"toolUse\":{\"toolUseId\":\"a\",\"name\":\"f\"}}}\n\
        contentBlockStop {\"contentBlockIndex\":1}\n\
        messageStop {\"stopReason\":\"tool_use\"}\n";
    let chunks = data(&Setting::new(OPENAI, CONVERSE).stream(stream, usize::MAX));
    let calls: Vec<&Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
        .collect();
    assert!(calls.iter().all(|call| call["index"] == 0), "{calls:?}");
    let arguments: String =
        calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, "{}");
}

// === 10, 12, 13: usage ===

#[test]
fn cached_tokens_are_counted_once_on_both_sides() {
    let openai = reply(&Setting::new(OPENAI, CONVERSE), &usage(900, 200));
    assert_eq!(openai["usage"]["prompt_tokens"], 1200);
    assert_eq!(openai["usage"]["prompt_tokens_details"]["cached_tokens"], 900);
    assert_eq!(openai["usage"]["total_tokens"], 1300);
    let anthropic = reply(&Setting::new(ANTHROPIC, CONVERSE), &usage(900, 200));
    assert_eq!(anthropic["usage"]["input_tokens"], 100);
    assert_eq!(anthropic["usage"]["cache_read_input_tokens"], 900);
    assert_eq!(anthropic["usage"]["cache_creation_input_tokens"], 200);
    // And back.
    let back = reply(&Setting::new(CONVERSE, OPENAI), &openai);
    assert_eq!(back["usage"]["inputTokens"], 100);
    assert_eq!(back["usage"]["totalTokens"], 1300);
    let back = reply(&Setting::new(CONVERSE, ANTHROPIC), &anthropic);
    assert_eq!(back["usage"]["cacheReadInputTokens"], 900);
    assert_eq!(back["usage"]["totalTokens"], 1300);
}

#[test]
fn usage_after_the_reason_to_stop_is_told_once_and_right() {
    let stream = "messageStart {\"role\":\"assistant\"}\n\
        contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hi\"}}\n\
        contentBlockStop {\"contentBlockIndex\":0}\n\
        messageStop {\"stopReason\":\"end_turn\"}\n\
        metadata {\"usage\":{\"inputTokens\":30,\"outputTokens\":7,\"totalTokens\":37},\"metrics\":{\"latencyMs\":1}}\n";
    let events = data(&Setting::new(ANTHROPIC, CONVERSE).stream(stream, usize::MAX));
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((of("message_delta"), of("message_stop")), (1, 1));
    let delta = &events[events.len() - 2];
    assert_eq!(
        (&delta["usage"]["input_tokens"], &delta["usage"]["output_tokens"]),
        (&json!(30), &json!(7))
    );
}

// === 16, 19: history ===

#[test]
fn tools_of_the_history_are_declared_and_empty_results_have_content() {
    let history = json!({"model": "x", "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "tool", "tool_call_id": "c2", "content": " "}]});
    let sent = request(&Setting::new(OPENAI, CONVERSE), &history);
    let tools = sent["toolConfig"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &tool["toolSpec"]["name"]).collect();
    assert_eq!(names, ["f", "g"]);
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "one message holds all results");
    for result in sent["messages"][2]["content"].as_array().unwrap() {
        assert_eq!(result["toolResult"]["content"], json!([{"text": "(empty)"}]));
    }
    let failed = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "is_error": true}]}]});
    let sent = request(&Setting::new(ANTHROPIC, CONVERSE), &failed);
    let result = &sent["messages"][2]["content"][0]["toolResult"];
    assert_eq!(
        (&result["status"], &result["content"][0]["text"]),
        (&json!("error"), &json!("(empty)"))
    );
}

// === 20, 32: ids that Mistral takes ===

#[test]
fn ids_of_a_claude_on_bedrock_are_nine_letters_for_a_mistral_on_bedrock() {
    let mut setting = Setting::new(CONVERSE, CONVERSE);
    setting.model = "mistral.mistral-large-2407-v1:0".to_owned();
    let history = json!({"messages": [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "tooluse_a-_1", "name": "f", "input": {}}},
            {"toolUse": {"toolUseId": "tooluse_a-_2", "name": "f", "input": {}}}]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "tooluse_a-_1", "content": [{"text": "x"}]}},
            {"toolResult": {"toolUseId": "tooluse_a-_2", "content": [{"text": "y"}]}}]}]});
    let sent = request(&setting, &history);
    let id = |message: usize, part: usize, kind: &str| {
        sent["messages"][message]["content"][part][kind]["toolUseId"].as_str().unwrap().to_owned()
    };
    let calls = [id(1, 0, "toolUse"), id(1, 1, "toolUse")];
    assert_eq!(calls, [id(2, 0, "toolResult"), id(2, 1, "toolResult")]);
    assert_ne!(calls[0], calls[1]);
    assert!(calls.iter().all(|id| id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric())));
}

// === 24, 25: what newer Claudes take ===

#[test]
fn sampling_is_left_out_for_a_model_that_takes_none() {
    let setting = Setting::new(OPENAI, CONVERSE).capabilities(&json!({"sampling": false}));
    let body = json!({"model": "x", "temperature": 0.2, "top_p": 0.5,
        "messages": [{"role": "user", "content": "Hi"}]});
    let sent = request(&setting, &body);
    assert_eq!(sent.get("inferenceConfig"), None);
}

#[test]
fn thinking_gives_way_to_a_forced_tool_and_to_the_bound_on_output() {
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let body = json!({"model": "x", "reasoning_effort": "high", "tools": tool,
        "tool_choice": "required", "messages": [{"role": "user", "content": "Hi"}]});
    let sent = request(&Setting::new(OPENAI, CONVERSE), &body);
    assert_eq!(sent.get("additionalModelRequestFields"), None);
    assert_eq!(sent["toolConfig"]["toolChoice"], json!({"any": {}}));
    let body = json!({"model": "x", "reasoning_effort": "high", "max_completion_tokens": 4000,
        "messages": [{"role": "user", "content": "Hi"}]});
    let sent = request(&Setting::new(OPENAI, CONVERSE), &body);
    let budget = &sent["additionalModelRequestFields"]["thinking"]["budget_tokens"];
    assert!(budget.as_u64().unwrap() < 4000, "{budget}");
}

// === 28: errors in streams ===

#[test]
fn an_exception_in_a_stream_is_an_error_in_the_callers_dialect() {
    for (exception, kind) in [
        ("throttlingException", "rate_limit_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelStreamErrorException", "api_error"),
        ("validationException", "invalid_request_error"),
    ] {
        let stream = format!(
            "messageStart {{\"role\":\"assistant\"}}\n\
            contentBlockDelta {{\"contentBlockIndex\":0,\"delta\":{{\"text\":\"Hi\"}}}}\n\
            {exception} {{\"message\":\"no\"}}\n"
        );
        let events = data(&Setting::new(ANTHROPIC, CONVERSE).stream(&stream, usize::MAX));
        let last = events.last().unwrap();
        assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!(kind)));
    }
}

// === 33, 36 ===

#[test]
fn a_system_message_in_the_middle_stays_there_or_is_marked() {
    let body = json!({"model": "x", "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "c"}]});
    let sent = request(&Setting::new(OPENAI, CONVERSE), &body);
    assert_eq!(sent["messages"][3]["role"], "system");
    let older = Setting::new(OPENAI, CONVERSE).capabilities(&json!({"mid_system": false}));
    let sent = request(&older, &body);
    assert_eq!(sent.get("system"), None);
    assert_eq!(sent["messages"][2]["content"][0]["text"], "[system]\nBe kind.\n[/system]");
}

#[test]
fn large_numbers_and_the_order_of_arguments_survive() {
    let arguments = r#"{"z":1152921504606846976,"a":1.50}"#;
    let body = format!(
        r#"{{"output":{{"message":{{"role":"assistant","content":[{{"toolUse":{{"toolUseId":"a","name":"f","input":{arguments}}}}}]}}}},"stopReason":"tool_use"}}"#
    );
    let there = Setting::new(OPENAI, CONVERSE).reply(Operation::Chat, &body).unwrap();
    assert_eq!(
        there.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        arguments
    );
    let text = String::from_utf8(there.body.to_vec()).unwrap();
    let back = Setting::new(CONVERSE, OPENAI).reply(Operation::Chat, &text).unwrap();
    assert!(String::from_utf8_lossy(&back.body).contains(arguments));
}

// === there and back ===

#[test]
fn what_both_can_say_survives_the_way_there_and_back() {
    let body = json!({
        "system": [{"text": "You are terse."}],
        "messages": [
            {"role": "user", "content": [{"text": "Look"},
                {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}]},
            {"role": "assistant", "content": [{"text": "Hm"},
                {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}}]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "a", "content": [{"text": "torn"}], "status": "error"}},
                {"text": "Go on"}]}],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "stopSequences": ["END"]},
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "description": "F",
            "inputSchema": {"json": {"type": "object", "properties": {}}}}}],
            "toolChoice": {"tool": {"name": "f"}}}
    });
    for other in [OPENAI, ANTHROPIC] {
        let there = request(&Setting::new(CONVERSE, other), &body);
        let mut back = request(&Setting::new(other, CONVERSE), &there);
        // Asked for on behalf of callers of other dialects.
        back.as_object_mut().unwrap().remove("additionalModelResponseFieldPaths");
        assert_eq!(back, body, "{other}");
    }
}

#[test]
fn nothing_is_lost_where_nothing_may_be() {
    let mut setting = Setting::new(OPENAI, CONVERSE);
    setting.policy = LossPolicy::Refuse;
    let body = json!({"model": "x", "seed": 1, "messages": [{"role": "user", "content": "Hi"}]});
    let refused = setting.request(Operation::Chat, &body.to_string()).unwrap_err();
    assert_eq!(refused.param(), Some("seed"));
    let mut setting = Setting::new(CONVERSE, OPENAI);
    setting.policy = LossPolicy::Refuse;
    let body = json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "performanceConfig": {"latency": "optimized"}});
    let refused = setting.request(Operation::Chat, &body.to_string()).unwrap_err();
    assert_eq!(refused.param(), Some("performanceConfig"));
}

#[test]
fn errors_cross_in_both_directions() {
    let long = r#"{"message":"Input is too long for requested model."}"#;
    // Without the header the type is not known, so the words decide nothing.
    let (status, body) = error(
        CONVERSE,
        OPENAI,
        400,
        &long.replace("message", "__type\":\"ValidationException\",\"message"),
    );
    assert_eq!((status, &body["error"]["code"]), (400, &json!("context_length_exceeded")));
    let openai = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded","param":null}}"#;
    let (status, body) = error(OPENAI, CONVERSE, 429, openai);
    assert_eq!((status, &body), (429, &json!({"message": "slow down"})));
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(error(ANTHROPIC, CONVERSE, 529, overloaded).0, 503);
}
