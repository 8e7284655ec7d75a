//! Requests that are wrong, each told so in its own dialect.

use serde_json::json;

use crate::calls::{chat, messages};
use crate::client::{Ask, Connection};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// Sends a body down both paths; the messages of the 400s.
async fn refused(world: &World, body: &[u8]) -> [String; 2] {
    let openai = Ask::post(CHAT, body).send(world.address()).await.openai_error(400);
    let anthropic = Ask::post(MESSAGES, body).send(world.address()).await.anthropic_error(400);
    assert_eq!(world.openai.request_count() + world.anthropic.request_count(), 0);
    [openai, anthropic]
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let world = World::plain().await;
    for body in [
        &b""[..],
        b" ",
        b"{",
        br#"{"model": "gpt", "messages": [{"role": "user", "content": "hi"}"#,
        br#"{"model": "gpt", "messages": [}"#,
        br#"{"model": "gpt"} {"model": "gpt"}"#,
        br#"{'model': 'gpt'}"#,
        b"[]",
        b"null",
        b"\"text\"",
        b"model=gpt",
    ] {
        for message in refused(&world, body).await {
            assert!(!message.is_empty(), "{}", String::from_utf8_lossy(body));
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let world = World::plain().await;
    let body =
        b"{\"model\": \"gpt\", \"messages\": [{\"role\": \"user\", \"content\": \"\xff\xfe\"}]}";
    for message in refused(&world, body).await {
        assert!(message.contains("UTF-8"), "{message}");
    }
}

#[tokio::test]
async fn nesting_without_end_is_refused_and_nobody_falls_over() {
    let world = World::plain().await;
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(100_000);
        let body = format!("{{\"model\": \"gpt\", \"messages\": {deep}");
        refused(&world, body.as_bytes()).await;
    }
    let closed = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = format!(r#"{{"model": "gpt", "messages": {closed}}}"#);
    refused(&world, body.as_bytes()).await;
    assert_eq!(Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await.status, 200);
}

#[tokio::test]
async fn a_second_model_cannot_be_smuggled_in() {
    let world = World::plain().await;
    for second in [r#""model": "claude""#, r#""mod\u0065l": "claude""#, r#""Model": "claude""#] {
        let body = format!(r#"{{"model": "gpt", {second}, "messages": []}}"#);
        refused(&world, body.as_bytes()).await;
    }
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_named() {
    let world = World::plain().await;
    for (name, value) in [
        ("model", json!(7)),
        ("model", json!("")),
        ("model", json!(null)),
        ("stream", json!("yes")),
        ("drop_params", json!("yes")),
        ("timeout", json!("soon")),
        ("api_key", json!("sk-callers")),
        ("base_url", json!("http://169.254.169.254/")),
    ] {
        let mut body = chat("gpt", "hi");
        body[name] = value.clone();
        for message in refused(&world, body.to_string().as_bytes()).await {
            assert!(message.contains(&format!("`{name}`")), "{name} {value}: {message}");
        }
    }
    let mut body = chat("gpt", "hi");
    body.as_object_mut().unwrap().remove("model");
    for message in refused(&world, body.to_string().as_bytes()).await {
        assert!(message.contains("`model`"), "{message}");
    }
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_named_when_a_call_is_translated() {
    let world = World::plain().await;
    let mut body = chat("claude", "hi");
    body["messages"] = json!("hi");
    let message = Ask::json(CHAT, &body).send(world.address()).await.openai_error(400);
    assert!(message.contains("messages"), "{message}");
    let mut body = messages("gpt", "hi");
    body["messages"] = json!([{"role": "user", "content": 7}]);
    let message = Ask::json(MESSAGES, &body).send(world.address()).await.anthropic_error(400);
    assert!(message.contains("messages"), "{message}");
}

#[tokio::test]
async fn an_unknown_model_is_a_404_that_names_it() {
    let world = World::plain().await;
    for model in ["gpt-5", "../gpt", "gpt\n", "openai/gpt-4o"] {
        let openai = Ask::json(CHAT, &chat(model, "hi")).send(world.address()).await;
        let message = openai.openai_error(404);
        assert!(message.starts_with("there is no model `"), "{message}");
        assert!(message.contains("`gpt`, `claude`, `mock/*`"), "{message}");
        assert_eq!(openai.json()["error"]["code"], "model_not_found");
        let anthropic = Ask::json(MESSAGES, &messages(model, "hi")).send(world.address()).await;
        anthropic.anthropic_error(404);
        assert_eq!(anthropic.json()["error"]["type"], "not_found_error");
    }
}

#[tokio::test]
async fn a_wrong_path_is_a_404_and_a_wrong_method_a_405() {
    let world = World::plain().await;
    for path in ["/nowhere", "/v1/chat/completion", "/v1", "/v1/messages/x", "/healthy", "/%00"] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = Ask::new(method, path).send(world.address()).await;
            if path.contains("/messages") {
                answer.anthropic_error(404);
            } else {
                answer.openai_error(404);
            }
        }
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "BREW"] {
        let openai = Ask::new(method, CHAT).send(world.address()).await;
        openai.openai_error(405);
        assert_eq!(openai.header("allow"), Some("POST"));
        Ask::new(method, MESSAGES).send(world.address()).await.anthropic_error(405);
    }
    Ask::post("/v1/models", "{}").send(world.address()).await.openai_error(405);
}

#[tokio::test]
async fn a_head_that_is_no_http_is_a_400_with_words() {
    let world = World::plain().await;
    for bytes in [
        &b"hello\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ] {
        let mut connection = Connection::open(world.address()).await;
        connection.write(bytes).await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn two_lengths_are_no_length() {
    let world = World::plain().await;
    for framing in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: -1\r\n",
        "content-length: 99999999999999999999\r\n",
    ] {
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{framing}\r\n");
        let mut connection = Connection::open(world.address()).await;
        connection.write(head.as_bytes()).await;
        connection.write(b"0\r\n\r\n").await;
        let status = connection.answer().await.status;
        assert!(matches!(status, 400 | 413), "{framing}: {status}");
    }
    assert_eq!(world.openai.request_count(), 0);
}
