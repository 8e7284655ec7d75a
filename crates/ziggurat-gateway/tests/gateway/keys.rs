//! With a master key nobody gets past the door without it.

use crate::calls::{chat, messages};
use crate::client::Ask;
use crate::world::World;

const MASTER: &str = "sk-the-master-key";

async fn world() -> World {
    World::with(&format!("general_settings: {{master_key: {MASTER}}}")).await
}

#[tokio::test]
async fn every_header_will_do_on_every_route() {
    let world = world().await;
    let bearer = format!("Bearer {MASTER}");
    for (name, value) in [
        ("Authorization", bearer.as_str()),
        ("X-Api-Key", MASTER),
        ("api-key", MASTER),
        ("x-litellm-api-key", MASTER),
        ("x-litellm-api-key", bearer.as_str()),
        ("x-goog-api-key", MASTER),
    ] {
        for ask in [
            Ask::json("/v1/chat/completions", &chat("gpt", "hi")),
            Ask::json("/v1/messages", &messages("claude", "hi")),
            Ask::get("/v1/models"),
        ] {
            let answer = ask.header(name, value).send(world.address()).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        }
    }
    assert_eq!(world.openai.last_request().header("authorization"), Some("Bearer sk-openai"));
}

#[tokio::test]
async fn a_wrong_key_is_a_401_in_the_callers_dialect_in_each_header() {
    let world = world().await;
    for (name, value) in [
        ("authorization", "Bearer sk-wrong"),
        ("authorization", MASTER),
        ("x-api-key", "sk-wrong"),
        ("api-key", "sk-the-master-ke"),
        ("x-litellm-api-key", "sk-the-master-key-"),
        ("x-goog-api-key", "SK-THE-MASTER-KEY"),
        ("cookie", MASTER),
    ] {
        let ask = Ask::json("/v1/chat/completions", &chat("gpt", "hi")).header(name, value);
        let answer = ask.send(world.address()).await;
        answer.openai_error(401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(answer.header("x-request-id").is_some());
        assert!(!answer.text().contains(value), "a key is not repeated");
        let ask = Ask::json("/v1/messages", &messages("claude", "hi")).header(name, value);
        ask.send(world.address()).await.anthropic_error(401);
    }
    assert_eq!(world.openai.request_count() + world.anthropic.request_count(), 0);
}

#[tokio::test]
async fn no_key_is_a_401_wherever_one_asks() {
    let world = world().await;
    for ask in [
        Ask::get("/v1/models"),
        Ask::get("/nowhere"),
        Ask::new("DELETE", "/v1/chat/completions"),
        Ask::json("/v1/chat/completions", &chat("gpt", "hi")),
        // A body that is no call is not even looked at.
        Ask::post("/v1/chat/completions", "{"),
        Ask::get("/health/../v1/models"),
        Ask::get("//v1/models"),
        Ask::get("http://evil.example/v1/models"),
    ] {
        ask.send(world.address()).await.openai_error(401);
    }
}

#[tokio::test]
async fn a_crafted_host_changes_nothing() {
    let world = world().await;
    for host in ["localhost", "127.0.0.1", "gateway/health/liveness", "a b", "x?y", "gateway:99999"]
    {
        let bytes = format!(
            "GET /v1/models HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: localhost\r\n\
             connection: close\r\n\r\n"
        );
        let mut connection = crate::client::Connection::open(world.address()).await;
        connection.write(bytes.as_bytes()).await;
        let status = connection.answer().await.status;
        assert!(matches!(status, 400 | 401), "{host}: {status}");
    }
}

#[tokio::test]
async fn without_a_master_key_strange_pages_may_not_ask() {
    let world = World::plain().await;
    let ask = Ask::json("/v1/chat/completions", &chat("gpt", "hi"));
    let page = ask.clone().header("origin", "https://evil.example").send(world.address()).await;
    page.openai_error(403);
    let local = ask.header("origin", "http://localhost:3000").send(world.address()).await;
    assert_eq!(local.status, 200);
    assert_eq!(local.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(world.openai.request_count(), 1);
}
