//! The vendor asked without a socket.

mod behaviour;
mod refusals;
mod streams;

use http::Method;
use serde_json::{Value, json};

use super::OpenAi;
use crate::testing::{Told, ask};

/// Headers that are in order.
const HEADERS: [(&str, &str); 2] =
    [("authorization", "Bearer sk-test"), ("content-type", "application/json; charset=utf-8")];

fn post(vendor: &OpenAi, body: &Value) -> Told {
    ask(vendor, Method::POST, "/v1/chat/completions", &HEADERS, body.to_string())
}

/// A request that says this, with more members laid over it.
fn says(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "gpt-4.1", "messages": [{"role": "user", "content": text}]});
    merge(&mut body, more);
    body
}

fn merge(body: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("an object") };
    for (name, value) in more {
        body[name] = value;
    }
}

fn chat(text: &str, more: Value) -> Told {
    post(&OpenAi::default(), &says(text, more))
}

/// The whole answer to a request that must succeed.
fn answer(text: &str, more: Value) -> Value {
    let told = chat(text, more);
    assert_eq!(told.status, 200, "{}", told.events[0]);
    told.json()
}

/// One tool with an argument, one without.
fn tools() -> Value {
    json!([
        {"type": "function", "function": {"name": "get_weather", "description": "Weather now",
         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}},
        {"type": "function", "function": {"name": "get_time"}},
    ])
}

/// A PNG of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9\
                   awAAAABJRU5ErkJggg==";
