//! The vendor asked without a socket.

mod behaviour;
mod gates;
mod refusals;
mod streams;
mod threads;

use http::Method;
use serde_json::{Value, json};

use super::Anthropic;
use crate::testing::{Told, ask};

/// Headers that are in order.
const HEADERS: [(&str, &str); 3] = [
    ("x-api-key", "sk-ant-test"),
    ("anthropic-version", "2023-06-01"),
    ("content-type", "application/json"),
];

fn post(body: &Value) -> Told {
    ask(&Anthropic::default(), Method::POST, "/v1/messages?beta=true", &HEADERS, body.to_string())
}

/// Posts under the newer version, and with beta features.
fn post_with(version: &str, beta: &str, body: &Value) -> Told {
    let headers =
        [HEADERS[0], ("anthropic-version", version), ("anthropic-beta", beta), HEADERS[2]];
    ask(&Anthropic::default(), Method::POST, "/v1/messages", &headers, body.to_string())
}

/// A request that says this, with more members laid over it; null takes one away.
fn says(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "claude-sonnet-4-5", "max_tokens": 4096,
        "messages": [{"role": "user", "content": text}]});
    let Value::Object(more) = more else { panic!("an object") };
    for (name, value) in more {
        body[name] = value;
    }
    body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    body
}

fn chat(text: &str, more: Value) -> Told {
    post(&says(text, more))
}

/// The whole answer to a request that must succeed.
fn answer(text: &str, more: Value) -> Value {
    let told = chat(text, more);
    assert_eq!(told.status, 200, "{}", told.events[0]);
    told.json()
}

/// Asserts that a request is refused with 400 and exactly this message.
#[track_caller]
fn told(told: &Told, message: &str) {
    assert_eq!(told.status, 400, "{}", told.events[0]);
    let body = told.json();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert_eq!(body["error"]["message"], message);
    assert_eq!(body["request_id"], told.header("request-id"));
}

#[track_caller]
fn refused(more: Value, message: &str) {
    told(&chat("hi", more), message);
}

/// Asserts that it is refused in words that begin like this.
#[track_caller]
fn refused_like(more: Value, start: &str) {
    let told = chat("hi", more);
    assert_eq!(told.status, 400, "{}", told.events[0]);
    let body = told.json();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(start), "{message}");
}

#[track_caller]
fn accepted(more: Value) {
    let told = chat("hi", more);
    assert_eq!(told.status, 200, "{}", told.events[0]);
}

/// One tool with an argument, one without.
fn tools() -> Value {
    json!([
        {"name": "get_weather", "description": "Weather now",
         "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
        {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
    ])
}

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: Value) -> Value {
    json!({"role": "assistant", "content": content})
}

fn tool_use(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "get_time", "input": {}})
}

fn result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "noon"})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A PNG of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9\
                   awAAAABJRU5ErkJggg==";
