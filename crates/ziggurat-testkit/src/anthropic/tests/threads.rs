//! Conversations that the vendor holds.

use http::Method;
use serde_json::{Value, json};

use super::{HEADERS, says};
use crate::{
    anthropic::Anthropic,
    testing::{Told, ask_as},
};

const BETA: &str = "message-threads-2026-08-12";

/// Asks as the request of this number.
fn send(vendor: &Anthropic, number: u64, body: &Value) -> Told {
    let headers = [HEADERS[0], HEADERS[1], ("anthropic-beta", BETA), HEADERS[2]];
    ask_as(vendor, number, Method::POST, "/v1/messages", &headers, body.to_string())
}

fn continuing(id: &Value, text: &str, more: Value) -> Value {
    let mut body = says(text, more);
    body["thread"] = json!({"type": "continue", "previous_message_id": id});
    body
}

#[track_caller]
fn refused(told: &Told, status: u16, code: &str) {
    assert_eq!(told.status, status, "{}", told.events[0]);
    assert_eq!(told.json()["error"]["details"]["error_code"], code);
}

#[test]
fn a_thread_holds_what_was_said_before() {
    let vendor = Anthropic::default();
    let begin = says("one", json!({"system": "Terse.", "thread": {"type": "create"}}));
    let first = send(&vendor, 1, &begin).json();
    let next = continuing(&first["id"], "[system?] two", json!({"stream": true}));
    let streamed = send(&vendor, 2, &next).data();
    let second = &streamed[0]["message"];
    // "You said: one" and both questions, and the system text.
    assert_eq!(second["usage"]["input_tokens"], 1 + 1 + 3 + 2);
    let third = send(&vendor, 3, &continuing(&second["id"], "[system?]", json!({}))).json();
    assert_eq!(third["content"][0]["text"], "System: Terse.");
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let vendor = Anthropic::default();
    let first = send(&vendor, 1, &says("one", json!({"thread": {"type": "create"}}))).json();
    let id = &first["id"];
    refused(
        &send(&vendor, 2, &continuing(&json!("msg_x"), "two", json!({}))),
        404,
        "thread_not_found",
    );
    let repeated = continuing(id, "two", json!({"system": "Terse."}));
    refused(&send(&vendor, 3, &repeated), 400, "thread_fingerprint_mismatch");
    assert_eq!(send(&vendor, 4, &continuing(id, "two", json!({}))).status, 200);
    refused(
        &send(&vendor, 5, &continuing(id, "three", json!({}))),
        400,
        "thread_already_continued",
    );
    // Without the beta the field does not exist.
    let told = super::post(&says("one", json!({"thread": {"type": "create"}})));
    super::told(&told, "thread: Extra inputs are not permitted");
}

#[test]
fn a_refused_or_broken_answer_is_not_held() {
    let vendor = Anthropic::default();
    for (number, text) in [(1, "[refuse]"), (3, "[cut] one")] {
        let more = json!({"stream": true, "thread": {"type": "create"}});
        let first = send(&vendor, number, &says(text, more)).data();
        let next = continuing(&first[0]["message"]["id"], "two", json!({}));
        refused(&send(&vendor, number + 1, &next), 404, "thread_not_found");
    }
}
