//! Bugs that gateways are known for where one side is Gemini, each under its own name.

use serde_json::{Value, json};
use ziggurat_core::{Dialect, Operation};
use ziggurat_dialects::{ANTHROPIC, GEMINI, OPENAI};

use crate::harness::{Setting, data, error};

fn request(caller: Dialect, body: &Value) -> Value {
    newer(caller).request(Operation::Chat, &body.to_string()).unwrap().json()
}

/// A caller of this dialect, and a model that signs its calls.
fn newer(caller: Dialect) -> Setting {
    Setting::new(caller, GEMINI).capabilities(&json!({"signed_calls": true}))
}

fn reply(caller: Dialect, body: &Value) -> Value {
    Setting::new(caller, GEMINI).reply(Operation::Chat, &body.to_string()).unwrap().json()
}

fn answer(parts: Value, reason: &str) -> Value {
    json!({"candidates": [{"index": 0, "finishReason": reason,
        "content": {"role": "model", "parts": parts}}], "modelVersion": "m", "responseId": "r-1"})
}

fn stream(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect()
}

fn chunk(parts: Value) -> Value {
    json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}}],
        "modelVersion": "m", "responseId": "r-1"})
}

fn last(usage: Value) -> Value {
    json!({"candidates": [{"index": 0, "finishReason": "STOP"}], "usageMetadata": usage})
}

fn run(caller: Dialect, chunks: &[Value]) -> Vec<Value> {
    data(&Setting::new(caller, GEMINI).stream(&stream(chunks), usize::MAX))
}

fn call(id: &str, name: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}})
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let parts = json!([{"functionCall": {"id": "a", "name": "f"}}]);
    let whole = reply(OPENAI, &answer(parts.clone(), "STOP"));
    let calls = &whole["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], "{}");
    assert_eq!(reply(ANTHROPIC, &answer(parts.clone(), "STOP"))["content"][0]["input"], json!({}));
    let out = run(OPENAI, &[chunk(parts), last(json!({}))]);
    let arguments: String = out
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
        })
        .collect();
    assert_eq!(arguments, "{}");
    let there = request(
        OPENAI,
        &json!({"messages": [{"role": "user", "content": "Go."},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "a", "content": "x"}]}),
    );
    assert_eq!(there["contents"][1]["parts"][0]["functionCall"]["args"], json!({}));
}

#[test]
fn parallel_calls_in_one_chunk_have_indexes_of_their_own() {
    let parts =
        json!([{"text": "Hm."}, {"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]);
    let out = run(OPENAI, &[chunk(parts), last(json!({}))]);
    let starts: Vec<_> = out
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| call["id"].is_string())
        .collect();
    assert_eq!((&starts[0]["index"], &starts[1]["index"]), (&json!(0), &json!(1)));
    assert_ne!(starts[0]["id"], starts[1]["id"]);
}

#[test]
fn a_call_that_ends_with_stop_is_told_as_a_call() {
    let parts = json!([{"functionCall": {"name": "f"}}]);
    let whole = reply(OPENAI, &answer(parts.clone(), "STOP"));
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(reply(ANTHROPIC, &answer(parts, "STOP"))["stop_reason"], "tool_use");
}

#[test]
fn thoughts_are_counted_once() {
    let usage = json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 20,
        "toolUsePromptTokenCount": 3, "cachedContentTokenCount": 4, "totalTokenCount": 38});
    let mut whole = answer(json!([{"text": "Hi"}]), "STOP");
    whole["usageMetadata"] = usage.clone();
    for (input, output, total) in [
        {
            let out = &reply(OPENAI, &whole)["usage"];
            (
                out["prompt_tokens"].clone(),
                out["completion_tokens"].clone(),
                out["total_tokens"].clone(),
            )
        },
        {
            let out = run(OPENAI, &[chunk(json!([{"text": "Hi"}])), last(usage)]);
            let out = &out.last().unwrap()["usage"];
            (
                out["prompt_tokens"].clone(),
                out["completion_tokens"].clone(),
                out["total_tokens"].clone(),
            )
        },
    ] {
        assert_eq!((input, output, total), (json!(13), json!(25), json!(38)));
    }
    let out = &reply(ANTHROPIC, &whole)["usage"];
    assert_eq!((&out["input_tokens"], &out["cache_read_input_tokens"]), (&json!(9), &json!(4)));
    assert_eq!(out["output_tokens"], 25);
}

#[test]
fn the_first_event_tells_the_usage_that_the_provider_told() {
    let mut first = chunk(json!([{"text": "Hi"}]));
    first["usageMetadata"] = json!({"promptTokenCount": 80, "totalTokenCount": 80});
    let out =
        run(ANTHROPIC, &[first, last(json!({"promptTokenCount": 80, "candidatesTokenCount": 2}))]);
    assert_eq!(out[0]["message"]["usage"]["input_tokens"], 80);
}

#[test]
fn there_are_as_many_results_as_calls_even_if_one_is_empty_or_missing() {
    for caller in [OPENAI, ANTHROPIC] {
        let body = match caller == OPENAI {
            true => json!({"messages": [{"role": "user", "content": "Go."},
                {"role": "assistant", "tool_calls": [call("a", "f"), call("b", "g"), call("c", "h")]},
                {"role": "tool", "tool_call_id": "b", "content": ""},
                {"role": "tool", "tool_call_id": "a", "content": "A"},
                {"role": "user", "content": "Well?"}]}),
            false => json!({"max_tokens": 9, "messages": [{"role": "user", "content": "Go."},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                    {"type": "tool_use", "id": "b", "name": "g", "input": {}},
                    {"type": "tool_use", "id": "c", "name": "h", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "b"},
                    {"type": "tool_result", "tool_use_id": "a", "content": "A"},
                    {"type": "text", "text": "Well?"}]}]}),
        };
        let sent = request(caller, &body);
        let calls = sent["contents"][1]["parts"].as_array().unwrap();
        let results = sent["contents"][2]["parts"].as_array().unwrap();
        assert_eq!((calls.len(), results.len()), (3, 3));
        for (call, result) in calls.iter().zip(results) {
            assert_eq!(call["functionCall"]["id"], result["functionResponse"]["id"]);
            assert_eq!(call["functionCall"]["name"], result["functionResponse"]["name"]);
        }
        assert_eq!(results[1]["functionResponse"]["response"], json!({"output": ""}));
        assert_eq!(sent["contents"][3]["parts"][0]["text"], "Well?");
    }
}

#[test]
fn a_signature_comes_back_through_an_openai_client_whole_and_streamed() {
    let parts = json!([{"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "Q2lRQg=="},
        {"functionCall": {"id": "b", "name": "g", "args": {}}}]);
    let whole = reply(OPENAI, &answer(parts.clone(), "STOP"))["choices"][0]["message"].clone();
    // As a client puts the pieces together, those without a number at the last call included.
    let mut calls: Vec<Value> = Vec::new();
    for chunk in run(OPENAI, &[chunk(parts), last(json!({}))]) {
        for delta in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            if delta["id"].is_string() {
                calls.push(delta.clone());
                continue;
            }
            let last = calls.last_mut().unwrap();
            if let Some(more) = delta["function"]["arguments"].as_str() {
                let so_far = last["function"]["arguments"].as_str().unwrap().to_owned();
                last["function"]["arguments"] = json!(so_far + more);
            }
            if let Some(extra) = delta.get("extra_content") {
                last["extra_content"] = extra.clone();
            }
        }
    }
    for message in [whole, json!({"role": "assistant", "content": null, "tool_calls": calls})] {
        let sent = request(
            OPENAI,
            &json!({"messages": [{"role": "user", "content": "Go."}, message,
                {"role": "tool", "tool_call_id": "a", "content": "A"},
                {"role": "tool", "tool_call_id": "b", "content": "B"}]}),
        );
        let parts = &sent["contents"][1]["parts"];
        assert_eq!(parts[0]["thoughtSignature"], "Q2lRQg==");
        assert!(parts[1].get("thoughtSignature").is_none());
    }
}

#[test]
fn a_model_that_signs_no_calls_is_sent_no_ids() {
    let body = json!({"messages": [{"role": "user", "content": "Go."},
        {"role": "assistant", "tool_calls": [call("a", "f")]},
        {"role": "tool", "tool_call_id": "a", "content": "A"}]});
    let older = Setting::new(OPENAI, GEMINI).request(Operation::Chat, &body.to_string()).unwrap();
    let older = String::from_utf8(older.body.to_vec()).unwrap();
    assert!(!older.contains("\"id\"") && !older.contains("thoughtSignature"), "{older}");
}

#[test]
fn a_system_message_in_the_middle_is_said_and_stays_there() {
    let sent = request(
        OPENAI,
        &json!({"messages": [{"role": "system", "content": "First."}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."}, {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "So?"}]}),
    );
    assert_eq!(sent["systemInstruction"]["parts"][0]["text"], "First.");
    let said = sent["contents"][2]["parts"][0]["text"].as_str().unwrap();
    assert!(said.contains("Be kind."), "{sent}");
}

#[test]
fn large_numbers_and_key_order_survive_there_and_back() {
    let arguments = r#"{"z":1152921504606846977,"a":1.50,"m":{"y":0.1,"b":[]}}"#;
    let there = newer(OPENAI)
        .request(
            Operation::Chat,
            &json!({"messages": [{"role": "user", "content": "Go."},
                {"role": "assistant", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
                {"role": "tool", "tool_call_id": "a", "content": "x"}]})
            .to_string(),
        )
        .unwrap();
    let there = String::from_utf8(there.body.to_vec()).unwrap();
    assert!(there.contains(&format!("\"args\":{arguments}")), "{there}");
    let back = Setting::new(GEMINI, OPENAI).request(Operation::Chat, &there).unwrap().json();
    assert_eq!(back["messages"][1]["tool_calls"][0]["function"]["arguments"], arguments);
}

#[test]
fn a_stream_may_be_cut_anywhere_and_spelled_in_any_way() {
    let text = "Grüße, 世界 🌍";
    let stream = stream(&[chunk(json!([{"text": text}])), last(json!({"promptTokenCount": 1}))]);
    for caller in [OPENAI, ANTHROPIC, GEMINI] {
        let setting = Setting::new(caller, GEMINI);
        let whole = setting.stream(&stream, usize::MAX);
        assert!(whole.contains(text));
        for spelling in
            [stream.clone(), stream.replace("\r\n", "\n"), stream.replace("data: ", "data:")]
        {
            for piece in 1..=40 {
                assert_eq!(setting.stream(&spelling, piece), whole, "pieces of {piece}");
            }
        }
    }
}

#[test]
fn an_error_in_the_middle_is_no_normal_end() {
    let failed = json!({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}});
    let chunks = [chunk(json!([{"text": "Hi"}])), failed];
    let out = run(OPENAI, &chunks);
    assert_eq!(out.last().unwrap()["error"]["code"], "rate_limit_exceeded");
    let out = run(ANTHROPIC, &chunks);
    assert_eq!(out.last().unwrap()["error"]["type"], "rate_limit_error");
}

#[test]
fn several_answers_do_not_run_into_each_other() {
    let both = json!({"candidates": [
        {"index": 0, "content": {"parts": [{"text": "One"}]}, "finishReason": "STOP"},
        {"index": 1, "content": {"parts": [{"text": "Two"}]}, "finishReason": "STOP"}]});
    let out = run(OPENAI, &[both]);
    for chunk in &out {
        let choice = &chunk["choices"][0];
        if let Some(text) = choice["delta"]["content"].as_str().filter(|text| !text.is_empty()) {
            assert_eq!(text == "Two", choice["index"] == 1);
        }
    }
}

#[test]
fn thinking_of_another_model_survives_a_client_of_this_dialect() {
    // What the client gets, it sends back: the model that thought it takes it, and no other.
    let thought = json!({"id": "msg_1", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
            {"type": "text", "text": "So."}]});
    let told =
        Setting::new(GEMINI, ANTHROPIC).reply(Operation::Chat, &thought.to_string()).unwrap();
    let content = told.json()["candidates"][0]["content"].clone();
    assert_eq!(content["parts"][0]["thought"], true);
    let history = json!({"contents": [{"role": "user", "parts": [{"text": "Why?"}]}, content,
        {"role": "user", "parts": [{"text": "And?"}]}]});
    let sent = Setting::new(GEMINI, OPENAI).request(Operation::Chat, &history.to_string()).unwrap();
    assert!(!String::from_utf8(sent.body.to_vec()).unwrap().contains("Hm."));
}

#[test]
fn errors_of_gemini_read_as_those_of_others() {
    let said = |code: u16, status: &str| {
        json!({"error": {"code": code, "message": "m", "status": status}}).to_string()
    };
    for (status, word, openai, anthropic) in [
        (400, "INVALID_ARGUMENT", (400, "invalid_value"), (400, "invalid_request_error")),
        (400, "FAILED_PRECONDITION", (429, "insufficient_quota"), (402, "billing_error")),
        (401, "UNAUTHENTICATED", (502, "upstream_auth"), (502, "api_error")),
        (404, "NOT_FOUND", (404, "model_not_found"), (404, "not_found_error")),
        (429, "RESOURCE_EXHAUSTED", (429, "rate_limit_exceeded"), (429, "rate_limit_error")),
        (503, "UNAVAILABLE", (503, "server_is_overloaded"), (529, "overloaded_error")),
        (504, "DEADLINE_EXCEEDED", (504, "timeout"), (504, "timeout_error")),
    ] {
        let (code, body) = error(GEMINI, OPENAI, status, &said(status, word));
        assert_eq!((code, body["error"]["code"].as_str().unwrap()), openai);
        let (code, body) = error(GEMINI, ANTHROPIC, status, &said(status, word));
        assert_eq!((code, body["error"]["type"].as_str().unwrap()), anthropic);
    }
    let spent = json!({"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}});
    let (code, body) = error(OPENAI, GEMINI, 429, &spent.to_string());
    assert_eq!((code, body["error"]["status"].as_str().unwrap()), (429, "RESOURCE_EXHAUSTED"));
    let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}});
    let (code, body) = error(ANTHROPIC, GEMINI, 529, &busy.to_string());
    assert_eq!((code, body["error"]["status"].as_str().unwrap()), (503, "UNAVAILABLE"));
}

#[test]
fn every_reason_to_stop_crosses() {
    for (gemini, openai, anthropic) in [
        ("STOP", "stop", "end_turn"),
        ("MAX_TOKENS", "length", "max_tokens"),
        ("SAFETY", "content_filter", "refusal"),
        ("RECITATION", "content_filter", "refusal"),
        ("MODEL_ARMOR", "content_filter", "refusal"),
        ("TOO_MANY_TOOL_CALLS", "stop", "pause_turn"),
        ("OTHER", "stop", "end_turn"),
        ("NO_IMAGE", "stop", "end_turn"),
        ("TO_COME", "stop", "end_turn"),
    ] {
        let value = answer(json!([{"text": "x"}]), gemini);
        assert_eq!(reply(OPENAI, &value)["choices"][0]["finish_reason"], openai, "{gemini}");
        assert_eq!(reply(ANTHROPIC, &value)["stop_reason"], anthropic, "{gemini}");
        assert_eq!(reply(GEMINI, &value)["candidates"][0]["finishReason"], gemini);
    }
}

/// A conversation that all can hold keeps all of it there and back.
#[test]
fn what_all_can_say_comes_back_as_it_was() {
    let body = json!({"systemInstruction": {"parts": [{"text": "Be terse."}]}, "contents": [
        {"role": "user", "parts": [{"text": "What?"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
        {"role": "model", "parts": [{"text": "Wait."}, {"functionCall": {"id": "fc-1", "name": "f", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "fc-1", "name": "f", "response": {"output": "x"}}}]},
        {"role": "user", "parts": [{"text": "So?"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "F", "parametersJsonSchema":
            {"type": "object", "properties": {"a": {"type": "integer"}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 64, "temperature": 0.5, "stopSequences": ["END"]}});
    for other in [OPENAI, ANTHROPIC] {
        let there =
            Setting::new(GEMINI, other).request(Operation::Chat, &body.to_string()).unwrap();
        assert_eq!(there.losses, [""; 0], "{other}");
        let there = String::from_utf8(there.body.to_vec()).unwrap();
        let back = newer(other).request(Operation::Chat, &there).unwrap();
        let mut json = back.json();
        // The first call of a step is signed, by nobody in particular.
        json["contents"][1]["parts"][1].as_object_mut().unwrap().remove("thoughtSignature");
        assert_eq!(json, body, "{other}");
    }
}
