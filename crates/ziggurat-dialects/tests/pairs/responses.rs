//! Bugs that gateways are known for where one side is OpenAI Responses, each under its own name.

use serde_json::{Value, json};
use ziggurat_core::{Dialect, Operation};
use ziggurat_dialects::{ANTHROPIC, GEMINI, OPENAI, RESPONSES};

use crate::harness::{Setting, data, error};

/// A caller of Responses, a provider of another dialect.
fn from(provider: Dialect) -> Setting {
    Setting::new(RESPONSES, provider)
}

/// A caller of another dialect, a provider of Responses.
fn to(caller: Dialect) -> Setting {
    Setting::new(caller, RESPONSES)
}

fn request(setting: &Setting, body: &Value) -> Value {
    setting.request(Operation::Chat, &body.to_string()).unwrap().json()
}

fn reply(setting: &Setting, body: &Value) -> Value {
    setting.reply(Operation::Chat, &body.to_string()).unwrap().json()
}

fn run(setting: &Setting, stream: &str) -> Vec<Value> {
    data(&setting.stream(stream, usize::MAX))
}

/// Chunks of Chat Completions.
fn chunks(deltas: &[Value], finish: &str) -> String {
    let chunk = |delta: &Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = json!({"id": "chatcmpl-9", "created": 1, "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    let mut all: String = deltas.iter().map(|delta| chunk(delta, Value::Null)).collect();
    all.push_str(&chunk(&json!({}), json!(finish)));
    all.push_str("data: [DONE]\n\n");
    all
}

fn fragment(index: u32, id: Option<&str>, arguments: &str) -> Value {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        call["id"] = json!(id);
        call["function"]["name"] = json!("f");
    }
    json!({"tool_calls": [call]})
}

/// Events of Responses.
fn events(events: &[Value]) -> String {
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

fn completed(output: &Value) -> Value {
    json!({"type": "response.completed", "response": {"id": "resp_9", "model": "m",
        "status": "completed", "output": output, "usage": {"input_tokens": 100, "output_tokens": 5,
            "total_tokens": 105, "input_tokens_details": {"cached_tokens": 120}}}})
}

fn call(arguments: &str) -> Value {
    json!({"type": "function_call", "id": "fc_1", "call_id": "call_A", "name": "f",
        "arguments": arguments})
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == format!("response.{kind}")).collect()
}

// === streams for callers of Responses ===

#[test]
fn an_item_and_its_part_begin_before_any_delta() {
    let out = run(&from(OPENAI), &chunks(&[json!({"content": "Hi"})], "stop"));
    let place = |kind: &str| {
        out.iter().position(|event| event["type"] == format!("response.{kind}")).unwrap()
    };
    assert!(place("output_item.added") < place("content_part.added"));
    assert!(place("content_part.added") < place("output_text.delta"));
    let last = &out.last().unwrap()["response"];
    for name in ["id", "object", "model", "created_at", "output", "usage"] {
        assert!(last.get(name).is_some(), "{name}");
    }
    assert_eq!(last["output"][0]["content"][0]["text"], "Hi");
}

#[test]
fn places_begin_anew_in_each_item_and_every_event_is_numbered_and_typed() {
    let block = |index: u32, block: Value, delta: Value| {
        [
            json!({"type": "content_block_start", "index": index, "content_block": block}),
            json!({"type": "content_block_delta", "index": index, "delta": delta}),
            json!({"type": "content_block_stop", "index": index}),
        ]
    };
    let text = |index, text: &str| {
        block(
            index,
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": text}),
        )
    };
    let tool = block(
        1,
        json!({"type": "tool_use", "id": "a", "name": "f", "input": {}}),
        json!({"type": "input_json_delta", "partial_json": "{}"}),
    );
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "model": "m"}});
    let end = [
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
        json!({"type": "message_stop"}),
    ];
    let stream = [&[start], &text(0, "One.")[..], &tool, &text(2, "Two."), &end].concat();
    let out = run(&from(ANTHROPIC), &events(&stream));
    for (number, event) in out.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        assert!(event["type"].as_str().unwrap().starts_with("response."), "{event}");
    }
    let deltas = of_type(&out, "output_text.delta");
    let places: Vec<_> =
        deltas.iter().map(|event| (&event["output_index"], &event["content_index"])).collect();
    assert_eq!(places, [(&json!(0), &json!(0)), (&json!(2), &json!(0))]);
}

#[test]
fn interleaved_calls_come_one_by_one() {
    let stream = chunks(
        &[
            fragment(0, Some("a"), "{\"x\""),
            fragment(1, Some("b"), "{\"y\""),
            fragment(0, None, ":1}"),
            fragment(1, None, ":2}"),
        ],
        "tool_calls",
    );
    let out = run(&from(OPENAI), &stream);
    let mut open = None;
    for event in &out {
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(open.replace(event["output_index"].clone()), None);
            }
            "response.output_item.done" => {
                assert_eq!(open.take(), Some(event["output_index"].clone()));
            }
            "response.function_call_arguments.delta" => {
                assert_eq!(open.as_ref(), Some(&event["output_index"]));
            }
            _ => {}
        }
    }
    let whole: Vec<_> = of_type(&out, "function_call_arguments.done")
        .iter()
        .map(|event| event["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(whole, ["{\"x\":1}", "{\"y\":2}"]);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let out = run(&from(OPENAI), &chunks(&[fragment(0, Some("a"), "")], "tool_calls"));
    assert_eq!(of_type(&out, "function_call_arguments.done")[0]["arguments"], "{}");
    assert_eq!(out.last().unwrap()["response"]["output"][0]["arguments"], "{}");
    for (caller, arguments) in [
        (OPENAI, "/choices/0/message/tool_calls/0/function/arguments"),
        (ANTHROPIC, "/content/0/input"),
    ] {
        let answer =
            json!({"id": "resp_9", "model": "m", "status": "completed", "output": [call("")]});
        let empty = if caller == OPENAI { json!("{}") } else { json!({}) };
        assert_eq!(reply(&to(caller), &answer).pointer(arguments), Some(&empty), "{caller}");
    }
}

#[test]
fn a_stream_that_breaks_is_no_answer() {
    let start = json!({"id": "chatcmpl-9", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}}]});
    let error = json!({"error": {"message": "busy", "type": "server_error", "code": null}});
    let out = run(&from(OPENAI), &format!("data: {start}\n\ndata: {error}\n\n"));
    assert_eq!(out.last().unwrap()["type"], "response.failed");
    assert_eq!(out.last().unwrap()["response"]["status"], "failed");
    assert!(of_type(&out, "completed").is_empty());
}

#[test]
fn usage_after_the_reason_to_stop_is_in_the_last_event() {
    let mut stream = chunks(&[json!({"content": "Hi"})], "stop");
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}});
    stream = stream.replace("data: [DONE]", &format!("data: {usage}\n\ndata: [DONE]"));
    let out = run(&from(OPENAI), &stream);
    let usage = &out.last().unwrap()["response"]["usage"];
    assert_eq!(usage["input_tokens"], 8);
    assert_eq!(usage["input_tokens_details"]["cached_tokens"], 0);
    assert_eq!(usage["output_tokens_details"]["reasoning_tokens"], 0);
}

// === streams of providers of Responses ===

#[test]
fn arguments_that_come_when_they_are_complete_are_not_lost() {
    let stream = events(&[
        json!({"type": "response.output_item.added", "output_index": 0, "item": call("")}),
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_1",
            "output_index": 0, "arguments": "{\"city\":\"Oslo\"}"}),
        completed(&json!([call("{\"city\":\"Oslo\"}")])),
    ]);
    let out = run(&to(OPENAI), &stream);
    let arguments: String = out
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
        })
        .collect();
    assert_eq!(arguments, "{\"city\":\"Oslo\"}");
}

#[test]
fn what_is_unknown_does_not_lose_the_stream() {
    let stream = events(&[
        json!({"type": "response.telepathy.delta", "output_index": 0, "delta": "x"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "telepathy"}}),
        completed(&json!([{"type": "telepathy"}, call("{}")])),
    ]);
    for caller in [OPENAI, ANTHROPIC] {
        let out = run(&to(caller), &stream).iter().map(ToString::to_string).collect::<String>();
        assert!(out.contains("call_A"), "{caller}: {out}");
        assert!(!out.contains("telepathy"), "{caller}: {out}");
    }
}

#[test]
fn cached_tokens_are_part_of_the_input_and_never_more_than_it() {
    let whole = reply(&to(ANTHROPIC), &completed(&json!([]))["response"]);
    assert_eq!(whole["usage"]["input_tokens"], 0);
    assert_eq!(whole["usage"]["cache_read_input_tokens"], 120);
    // Thoughts that Gemini counts beside the answer are counted once.
    let gemini = json!({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 80, "candidatesTokenCount": 22, "thoughtsTokenCount": 8,
            "totalTokenCount": 110}});
    let whole = reply(&from(GEMINI), &gemini);
    assert_eq!(whole["usage"]["output_tokens"], 30);
    assert_eq!(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 8);
    assert_eq!(whole["usage"]["total_tokens"], 110);
}

// === history ===

#[test]
fn reasoning_that_is_sent_back_has_what_the_provider_needs_and_no_more() {
    let item = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA",
        "content": [{"type": "reasoning_text", "text": "a secret thought"}], "status": "completed"});
    let said = json!({"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "So.", "annotations": []}]});
    let body = json!({"model": "x", "store": false, "input": [
        {"role": "user", "content": "Why?"}, item, said, {"role": "user", "content": "And?"}]});
    let sent = request(&Setting::new(RESPONSES, RESPONSES), &body);
    let sent = &sent["input"][1];
    assert_eq!(sent["id"], "rs_1");
    assert_eq!(sent["encrypted_content"], "gAAA");
    assert!(sent["summary"].is_array());
    assert_eq!(sent.get("content"), None);
}

#[test]
fn large_numbers_and_the_order_of_keys_survive() {
    let arguments = "{\"z\":1152921504606846977,\"a\":1.50}";
    let body = json!({"model": "x", "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "input": [{"role": "user", "content": "Go."}, call(arguments),
            {"type": "function_call_output", "call_id": "call_A", "output": "x"}]});
    for provider in [OPENAI, ANTHROPIC] {
        let sent = from(provider).request(Operation::Chat, &body.to_string()).unwrap().body;
        let back = Setting::new(provider, RESPONSES)
            .request(Operation::Chat, std::str::from_utf8(&sent).unwrap())
            .unwrap()
            .json();
        let calls = back["input"].as_array().unwrap();
        let call = calls.iter().find(|item| item["type"] == "function_call").unwrap();
        assert_eq!(call["arguments"], arguments, "{provider}");
    }
}

#[test]
fn a_signed_call_comes_back_signed_through_a_client_of_responses() {
    let gemini = json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model",
        "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "Q2lRQg=="}]}}]});
    let whole = reply(&from(GEMINI), &gemini);
    let item = &whole["output"][0];
    assert_eq!(item["type"], "function_call");
    let body = json!({"model": "x", "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "input": [{"role": "user", "content": "Go."}, item,
            {"type": "function_call_output", "call_id": item["call_id"], "output": "x"}]});
    let newer = from(GEMINI).capabilities(&json!({"signed_calls": true}));
    let sent = request(&newer, &body);
    let parts = sent["contents"][1]["parts"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["thoughtSignature"] == "Q2lRQg=="), "{sent}");
}

#[test]
fn calls_are_linked_by_their_call_and_never_by_their_item() {
    let body = json!({"model": "x", "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "input": [{"role": "user", "content": "Go."}, call("{}"),
            {"type": "function_call_output", "id": "fco_1", "call_id": "call_A", "output": "x"}]});
    let sent = request(&from(ANTHROPIC), &body);
    assert_eq!(sent["messages"][1]["content"][0]["id"], "call_A");
    assert_eq!(sent["messages"][2]["content"][0]["tool_use_id"], "call_A");
    let sent = request(&from(OPENAI), &body);
    assert_eq!(sent["messages"][2]["tool_call_id"], "call_A");
}

#[test]
fn what_the_provider_has_to_know_is_not_lost_in_silence() {
    for (name, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
    ] {
        let mut body = json!({"model": "x", "input": "Hi"});
        body[name] = value;
        for provider in [OPENAI, ANTHROPIC] {
            let refused = from(provider).request(Operation::Chat, &body.to_string()).unwrap_err();
            assert_eq!(
                (refused.status().as_u16(), refused.param()),
                (400, Some(name)),
                "{provider}"
            );
        }
    }
}

// === errors ===

#[test]
fn errors_of_both_dialects_of_openai_read_the_same() {
    let own = r#"{"error":{"message":"no","type":"invalid_request_error","param":"input","code":"novel"}}"#;
    for provider in [OPENAI, RESPONSES] {
        for caller in [OPENAI, RESPONSES] {
            let (status, body) = error(provider, caller, 400, own);
            assert_eq!(
                (status, body.to_string()),
                (400, serde_json::from_str::<Value>(own).unwrap().to_string())
            );
        }
    }
    let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    let (status, body) = error(ANTHROPIC, RESPONSES, 529, busy);
    assert_eq!((status, &body["error"]["code"]), (503, &json!("server_is_overloaded")));
    let (status, body) = error(RESPONSES, ANTHROPIC, 429, own);
    assert_eq!((status, &body["error"]["type"]), (429, &json!("rate_limit_error")));
}
