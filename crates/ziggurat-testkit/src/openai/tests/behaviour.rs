use http::Method;
use serde_json::{Value, json};

use super::{HEADERS, PNG, answer, chat, merge, post, tools};
use crate::{
    Vendor,
    openai::OpenAi,
    testing::{ask, take_apart},
};

fn message(text: &str, more: Value) -> Value {
    answer(text, more)["choices"][0]["message"].clone()
}

#[test]
fn plain_text_is_answered_in_the_vendors_shape() {
    let told = chat("hello there", json!({}));
    let expected = concat!(
        r#""object":"chat.completion","created":1767323045,"model":"gpt-4.1","choices":[{"#,
        r#""index":0,"message":{"role":"assistant","content":"You said: hello there","#,
        r#""refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"#,
        r#""usage":{"prompt_tokens":2,"completion_tokens":4,"total_tokens":6,"#,
        r#""prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},"#,
        r#""completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"#,
        r#""accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"#,
        r#""service_tier":"default","system_fingerprint":"fp_fake"}"#,
    );
    assert!(told.events[0].ends_with(expected), "{}", told.events[0]);
    assert!(told.events[0].starts_with(r#"{"id":"chatcmpl-"#));
}

#[test]
fn every_answer_has_the_vendors_headers() {
    for told in [chat("hi", json!({})), chat("hi", json!({"x": 1})), chat("[error:500]", json!({}))]
    {
        assert!(told.header("x-request-id").starts_with("req_"));
        assert_eq!(told.header("openai-processing-ms"), "7");
        assert_eq!(told.header("openai-version"), "2020-10-01");
        assert_eq!(told.header("x-ratelimit-remaining-requests"), "499");
        assert_eq!(told.header("x-ratelimit-reset-tokens"), "6m0s");
    }
}

#[test]
fn tools_are_called_when_the_text_or_the_choice_says_so() {
    let called = answer("[tool] city=Oslo", json!({"tools": tools()}));
    let choice = &called["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &Value::Null)
    );
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(
        call["function"],
        json!({"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"})
    );
    assert!(call["id"].as_str().unwrap().starts_with("call_"));

    let two = message("[tools2] [preface]", json!({"tools": tools()}));
    let calls = two["tool_calls"].as_array().unwrap();
    assert_eq!((calls.len(), &two["content"]), (2, &json!("Let me look.")));
    assert_eq!(calls[1]["function"], json!({"name": "get_time", "arguments": "{}"}));
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    let one = message("[tools2]", json!({"tools": tools(), "parallel_tool_calls": false}));
    assert_eq!(one["tool_calls"].as_array().unwrap().len(), 1);

    let forced = json!({"type": "function", "function": {"name": "get_time"}});
    for (choice, name) in [
        (json!("required"), Some("get_weather")),
        (forced.clone(), Some("get_time")),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [forced]}}),
            Some("get_time"),
        ),
        (json!("auto"), None),
        (json!("none"), None),
    ] {
        let message = message("hi", json!({"tools": tools(), "tool_choice": choice}));
        assert_eq!(message["tool_calls"][0]["function"]["name"].as_str(), name, "{choice}");
    }
}

#[test]
fn free_text_tools_and_functions_of_old_are_called_too() {
    let custom = json!([{"type": "custom", "custom": {"name": "run_sql"}}]);
    let called = message("[tool]", json!({"tools": custom}));
    assert_eq!(called["tool_calls"][0]["type"], "custom");
    assert_eq!(called["tool_calls"][0]["custom"]["input"], "free text for run_sql");
    let functions = json!([{"name": "f", "parameters": {"type": "object", "properties": {}}}]);
    let called = answer("[tool]", json!({"functions": functions}));
    let choice = &called["choices"][0];
    assert_eq!(choice["finish_reason"], "function_call");
    assert_eq!(choice["message"]["function_call"], json!({"name": "f", "arguments": "{}"}));
}

#[test]
fn results_of_tools_are_repeated() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "get_time", "arguments": "{}"}});
    let mut messages = vec![
        json!({"role": "user", "content": "[tool]"}),
        json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]}),
        json!({"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "4 C"}]}),
        json!({"role": "tool", "tool_call_id": "b", "content": "noon"}),
    ];
    let said = message("", json!({"messages": messages, "tools": tools()}));
    assert_eq!(said["content"], "The tool said: 4 C\nThe tool said: noon");
    messages.push(json!({"role": "user", "content": "Go on."}));
    let said = message("", json!({"messages": messages, "tools": tools()}));
    assert_eq!(said["content"], "The tool said: 4 C\nThe tool said: noon\nYou said: Go on.");
}

#[test]
fn media_are_named_by_type_and_size() {
    let content = json!([
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}},
        {"type": "image_url", "image_url": {"url": "https://example.test/cat.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]);
    let said = answer("", json!({"messages": [{"role": "user", "content": content}]}));
    let expected = "You said: see\nimage image/png 70 bytes\nimage url https://example.test/cat.png\n\
                    document application/pdf 5 bytes\ndocument file file-1";
    assert_eq!(said["choices"][0]["message"]["content"], expected);
    assert_eq!(said["usage"]["prompt_tokens"], 41);
}

#[test]
fn the_system_text_is_told_when_asked_for() {
    let messages = json!([
        {"role": "system", "content": "Be terse."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "[system?]"},
    ]);
    let said = message("", json!({"messages": messages}));
    assert_eq!(said["content"], "System: Be terse.\n\nBe kind.");
}

#[test]
fn answers_end_in_all_the_ways_there_are() {
    let reason = |text: &str, more: Value| {
        let choice = answer(text, more)["choices"][0].clone();
        (choice["finish_reason"].as_str().unwrap().to_owned(), choice["message"].clone())
    };
    let (why, message) = reason("[length] a b c", json!({}));
    assert_eq!((&*why, &message["content"]), ("length", &json!("You said: [length]")));
    let (why, message) = reason("a b c", json!({"max_tokens": 3}));
    assert_eq!((&*why, &message["content"]), ("length", &json!("You said: a")));
    let (why, message) = reason("a [stop:END] b", json!({"stop": "END"}));
    assert_eq!((&*why, &message["content"]), ("stop", &json!("You said: a")));
    assert_eq!(reason("[filter] a b", json!({})).0, "content_filter");
    let (why, message) = reason("[refuse]", json!({}));
    assert_eq!((&*why, &message["content"]), ("stop", &Value::Null));
    assert!(message["refusal"].as_str().unwrap().contains("can't help"));
}

#[test]
fn usage_tells_of_cache_and_reasoning() {
    let usage = answer("[cached] [think] one two", json!({}))["usage"].clone();
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 2);
    assert_eq!(usage["prompt_tokens_details"]["cache_write_tokens"], 1);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 7);
    assert_eq!(usage["completion_tokens"], 7 + 6);
    let more = json!({"model": "gpt-5", "reasoning_effort": "low"});
    let asked = answer("hi", more.clone());
    assert_eq!(asked["usage"]["completion_tokens_details"]["reasoning_tokens"], 7);
    assert_eq!(asked["choices"][0]["message"].get("reasoning_content"), None);
    let mut body = super::says("hi", more);
    let told = post(&OpenAi::default().reasoning_content(), &body).json();
    assert!(told["choices"][0]["message"]["reasoning_content"].is_string());
    merge(&mut body, json!({"model": "gpt-5.6", "reasoning_effort": "none"}));
    let told = post(&OpenAi::default(), &body).json();
    assert_eq!(told["usage"]["completion_tokens_details"]["reasoning_tokens"], 0);
}

#[test]
fn structured_output_is_an_instance_of_the_schema() {
    let schema = json!({"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema",
        "json_schema": {"name": "out", "strict": true, "schema": schema}});
    let said = message("city=Oslo days=3", json!({"response_format": format}));
    let said: Value = serde_json::from_str(said["content"].as_str().unwrap()).unwrap();
    assert_eq!(said, json!({"city": "Oslo", "days": 3}));
    let said = message("json", json!({"response_format": {"type": "json_object"}}));
    assert_eq!(said["content"], r#"{"answer":"You said: json"}"#);
}

#[test]
fn several_answers_differ_and_are_counted_together() {
    let told = answer("hi", json!({"n": 3}));
    let choices = told["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 3);
    assert_eq!(choices[2]["message"]["content"], "You said: hi\n(choice 2)");
    assert_eq!(choices[2]["index"], 2);
    assert_eq!(told["usage"]["completion_tokens"], 3 + 5 + 5);
}

#[test]
fn log_probabilities_are_told_when_asked_for() {
    let told = answer("hi", json!({"logprobs": true, "top_logprobs": 2}));
    let content = told["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len(), 3);
    assert_eq!(content[1]["token"], " said:");
    assert_eq!(content[1]["bytes"], json!(b" said:"));
    let top = content[1]["top_logprobs"].as_array().unwrap();
    assert_eq!((top.len(), &top[0]["token"]), (2, &json!(" said:")));
    assert!(top[1]["logprob"].as_f64() < top[0]["logprob"].as_f64());
}

#[test]
fn errors_come_when_asked_for() {
    for (mark, status, kind, code) in [
        ("429", 429, "requests", json!("rate_limit_exceeded")),
        ("500", 500, "server_error", Value::Null),
        ("503", 503, "service_unavailable_error", json!("server_is_overloaded")),
        ("529", 529, "server_error", Value::Null),
        ("overloaded", 503, "service_unavailable_error", json!("server_is_overloaded")),
        ("context", 400, "invalid_request_error", json!("context_length_exceeded")),
        ("policy", 400, "invalid_request_error", json!("content_policy_violation")),
        ("quota", 429, "insufficient_quota", json!("insufficient_quota")),
        ("auth", 401, "invalid_request_error", json!("invalid_api_key")),
        ("permission", 403, "invalid_request_error", json!("permission_denied")),
        ("model", 404, "invalid_request_error", json!("model_not_found")),
        ("large", 413, "invalid_request_error", json!("request_too_large")),
        ("timeout", 504, "server_error", json!("timeout")),
    ] {
        let told = chat(&format!("[error:{mark}]"), json!({"stream": true}));
        let error = &told.json()["error"];
        assert_eq!((told.status, &error["type"], &error["code"]), (status, &json!(kind), &code));
    }
    let told = chat("[error:429:7]", json!({}));
    assert_eq!((told.header("retry-after"), told.header("retry-after-ms")), ("7", "7000"));
    assert_eq!(told.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(chat("[error:500]", json!({})).header("retry-after"), "");
    let status = http::StatusCode::TOO_MANY_REQUESTS;
    let told = take_apart(OpenAi::default().error(status, 1));
    assert_eq!((told.status, told.header("retry-after")), (429, "1"));
    // An error of an earlier turn is over.
    let messages = json!([{"role": "user", "content": "[error:500]"},
        {"role": "assistant", "content": "x"}]);
    assert_eq!(chat("", json!({"messages": messages})).status, 200);
}

#[test]
fn models_are_listed() {
    let vendor = OpenAi::default().model("mine");
    let list = ask(&vendor, Method::GET, "/v1/models", &HEADERS, "").json();
    assert_eq!(list["object"], "list");
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| m["id"].clone()).collect();
    assert!(ids.contains(&json!("gpt-4o")) && ids.contains(&json!("mine")));
    let one = ask(&vendor, Method::GET, "/v1/models/gpt-4o", &HEADERS, "").json();
    assert_eq!((&one["id"], &one["object"]), (&json!("gpt-4o"), &json!("model")));
}

#[test]
fn the_same_request_is_answered_the_same() {
    let first = chat("[tools2]", json!({"tools": tools()}));
    assert_eq!(first.events, chat("[tools2]", json!({"tools": tools()})).events);
}
