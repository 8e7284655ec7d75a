//! Bounds: of bodies, heads, patience, and of what is in the process at once.

use std::time::Duration;

use serde_json::{Value, json};

use ziggurat_testkit::Script;

use crate::calls::{chat, messages, streamed};
use crate::client::{Ask, Connection};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

fn padded(length: usize) -> Value {
    let mut body = chat("mock/x", "hi");
    body["padding"] = json!("x".repeat(length));
    body
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413_and_one_below_it_is_not() {
    let world = World::with("ziggurat: {limits: {max_body_bytes: 1MiB}}").await;
    let address = world.address();
    assert_eq!(Ask::json(CHAT, &padded(1_000_000)).send(address).await.status, 200);
    assert_eq!(Ask::json(CHAT, &padded(1_000_000)).chunked().send(address).await.status, 200);
    let message = Ask::json(CHAT, &padded(1 << 20)).send(address).await.openai_error(413);
    assert!(message.contains("1048576 bytes"), "{message}");
    Ask::json(CHAT, &padded(1 << 20)).chunked().send(address).await.openai_error(413);
    Ask::json(MESSAGES, &padded(1 << 20)).send(address).await.anthropic_error(413);
}

#[tokio::test]
async fn fifty_megabytes_fit_where_they_are_allowed_to() {
    let body = padded(50_000_000);
    let world = World::plain().await;
    assert_eq!(Ask::json(CHAT, &body).send(world.address()).await.status, 200);
    let world = World::with("general_settings: {max_request_size_mb: 10}").await;
    Ask::json(CHAT, &body).send(world.address()).await.openai_error(413);
    assert_eq!(Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await.status, 200);
}

#[tokio::test]
async fn fifty_megabytes_reach_a_provider_as_they_came() {
    let world = World::plain().await;
    let mut body = chat("gpt", "hi");
    body["messages"][0]["content"] = json!("x".repeat(50_000_000));
    let reply = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices":
        [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]});
    world.openai.script(Script::json(&reply));
    let answer = Ask::json(CHAT, &body).send(world.address()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = world.openai.last_request();
    assert!(sent.body.len() > 50_000_000);
    assert_eq!(sent.header("content-length"), Some(sent.body.len().to_string().as_str()));
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_a_431() {
    let world = World::with("ziggurat: {limits: {max_header_bytes: 16KiB}}").await;
    let long = "x".repeat(16 << 10);
    let ask = Ask::json(CHAT, &chat("gpt", "hi"));
    let message = ask.header("x-long", &long).send(world.address()).await.openai_error(431);
    assert!(message.contains("16384 bytes"), "{message}");
    let ask = Ask::json(MESSAGES, &messages("claude", "hi")).header("x-long", &long);
    ask.send(world.address()).await.anthropic_error(431);
    // Beyond the server's own limit the dialect is not known.
    let endless = "x".repeat(200 << 10);
    let ask = Ask::json(CHAT, &chat("gpt", "hi")).header("x-long", &endless);
    let answer = ask.send(world.address()).await;
    assert_eq!(answer.status, 431);
    assert!(answer.json()["error"]["message"].is_string());
    let fits = "x".repeat(15 << 10);
    let ask = Ask::json(CHAT, &chat("gpt", "hi")).header("x-long", &fits);
    assert_eq!(ask.send(world.address()).await.status, 200);
}

#[tokio::test]
async fn a_request_that_is_never_finished_is_a_408() {
    let limits = "ziggurat: {limits: {header_read_timeout: 300ms, body_read_timeout: 300ms}}";
    let world = World::with(limits).await;
    // A head, half.
    let mut half = Connection::open(world.address()).await;
    half.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: gat").await;
    assert_eq!(half.answer().await.status, 408);
    // A body, half, in both dialects.
    let ask = Ask::json(CHAT, &chat("gpt", "hi"));
    let bytes = ask.bytes();
    let mut half = Connection::open(world.address()).await;
    half.write(&bytes[..bytes.len() - 5]).await;
    half.answer().await.openai_error(408);
    let bytes = Ask::json(MESSAGES, &messages("claude", "hi")).chunked().bytes();
    let mut half = Connection::open(world.address()).await;
    half.write(&bytes[..bytes.len() - 9]).await;
    half.answer().await.anthropic_error(408);
    assert_eq!(world.openai.request_count() + world.anthropic.request_count(), 0);
}

#[tokio::test]
async fn a_slow_client_is_waited_for_while_it_sends() {
    let world = World::with("ziggurat: {limits: {body_read_timeout: 2s}}").await;
    let bytes = Ask::json(CHAT, &chat("gpt", "hi")).bytes();
    let mut slow = Connection::open(world.address()).await;
    for piece in bytes.chunks(bytes.len().div_ceil(12)) {
        slow.write(piece).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(slow.answer().await.status, 200);
}

#[tokio::test]
async fn what_does_not_fit_is_a_503_that_says_when_to_come_back() {
    let world = World::with("ziggurat: {admission: {max_calls: 1, retry_after: 7s}}").await;
    world.openai.script(Script::behave().stall_after(4));
    let held = Ask::json(CHAT, &streamed(chat("gpt", "one two")));
    let mut held = Connection::ask(world.address(), &held).await;
    held.until("data: ").await;
    let openai = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    openai.openai_error(503);
    assert_eq!(openai.header("retry-after"), Some("7"));
    Ask::json(MESSAGES, &messages("claude", "hi")).send(world.address()).await.anthropic_error(503);
    // Full is not dead.
    assert_eq!(Ask::get("/health/readiness").send(world.address()).await.status, 200);
    drop(held);
    world.openai.wait_disconnect().await;
    let mut answer = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    for _ in 0..50 {
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    }
    assert_eq!(answer.status, 200, "its place is free again");
}

#[tokio::test]
async fn bodies_share_one_budget_of_bytes() {
    let world = World::with("ziggurat: {admission: {max_bytes: 100KiB}}").await;
    Ask::json(CHAT, &padded(200 << 10)).send(world.address()).await.openai_error(503);
    Ask::json(CHAT, &padded(200 << 10)).chunked().send(world.address()).await.openai_error(503);
    assert_eq!(Ask::json(CHAT, &padded(50 << 10)).send(world.address()).await.status, 200);
}

#[tokio::test]
async fn a_deployment_has_only_so_many_calls_at_once() {
    let world = World::params(", max_parallel_requests: 1", "").await;
    world.openai.script(Script::behave().stall_after(4));
    let held = Ask::json(CHAT, &streamed(chat("gpt", "one two")));
    let mut held = Connection::ask(world.address(), &held).await;
    held.until("data: ").await;
    let full = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    full.openai_error(429);
    assert!(full.header("retry-after").is_some());
    assert_eq!(Ask::json(CHAT, &chat("claude", "hi")).send(world.address()).await.status, 200);
}

#[tokio::test]
async fn between_two_requests_there_is_more_time_than_within_one() {
    let limits = "ziggurat: {limits: {header_read_timeout: 300ms, idle_timeout: 3s}}";
    let world = World::with(limits).await;
    let kept = String::from_utf8(Ask::get("/health/liveness").bytes()).unwrap();
    let kept = kept.replace("connection: close\r\n", "");
    let mut connection = Connection::open(world.address()).await;
    connection.write(kept.as_bytes()).await;
    connection.until("alive").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    // Half of the second head, and then silence.
    let bytes = Ask::get("/v1/models").bytes();
    connection.write(&bytes[..20]).await;
    let began = tokio::time::Instant::now();
    let read = connection.until("408 Request Timeout").await;
    assert!(began.elapsed() < Duration::from_secs(2), "{read}");

    let world =
        World::with("ziggurat: {limits: {header_read_timeout: 10ms, idle_timeout: 300ms}}").await;
    let mut idle = Connection::open(world.address()).await;
    idle.write(kept.as_bytes()).await;
    idle.until("alive").await;
    let began = tokio::time::Instant::now();
    let answer = idle.answer().await;
    assert_eq!(answer.status, 200, "nothing was said that could be answered");
    assert!(began.elapsed() > Duration::from_millis(200));
}
