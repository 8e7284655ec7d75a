//! How much callers may ask for.

use serde_json::json;
use ziggurat_testkit::Script;

use crate::calls::{chat, messages, streamed};
use crate::client::{Ask, Connection};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

#[tokio::test]
async fn what_is_left_is_told_and_beyond_it_is_a_429_in_every_dialect() {
    let world = World::with("ziggurat: {rate_limits: {global: {requests_per_minute: 2}}}").await;
    let first = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert!(first.header("x-ratelimit-reset-requests").is_some());
    let second =
        Ask::json(MESSAGES, &streamed(messages("claude", "hi"))).send(world.address()).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.header("x-ratelimit-remaining-requests"), Some("0"));

    let third = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    let message = third.openai_error(429);
    assert!(message.contains("request"), "{message}");
    let wait: u64 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(third.header("x-ratelimit-remaining-requests"), Some("0"));
    let fourth = Ask::json(MESSAGES, &streamed(messages("gpt", "hi"))).send(world.address()).await;
    fourth.anthropic_error(429);
    assert_eq!(fourth.json()["error"]["type"], "rate_limit_error");
    assert!(fourth.header("retry-after").is_some());
    assert_eq!(world.openai.requests().len() + world.anthropic.requests().len(), 2);
}

#[tokio::test]
async fn keys_and_models_have_limits_of_their_own() {
    let rest = "general_settings: {master_key: sk-1}
ziggurat: {rate_limits: {key: {rpm: 3}, models: {gpt: {rpm: 1}}}}";
    let world = World::with(rest).await;
    let ask =
        |model: &str| Ask::json(CHAT, &chat(model, "hi")).header("authorization", "Bearer sk-1");
    assert_eq!(ask("gpt").send(world.address()).await.status, 200);
    ask("gpt").send(world.address()).await.openai_error(429);
    assert_eq!(
        ask("claude").send(world.address()).await.status,
        200,
        "a refused call used nothing"
    );
    assert_eq!(ask("claude").send(world.address()).await.status, 200);
    ask("claude").send(world.address()).await.openai_error(429);
}

#[tokio::test]
async fn a_place_is_free_again_when_the_stream_has_ended() {
    let world = World::with("ziggurat: {rate_limits: {global: {parallel: 1}}}").await;
    world.openai.script(Script::behave().stall_after(4));
    let held = Ask::json(CHAT, &streamed(chat("gpt", "one two")));
    let mut held = Connection::ask(world.address(), &held).await;
    held.until("data: ").await;
    let full = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    full.openai_error(429);
    assert!(full.header("retry-after").is_some());
    drop(held);
    world.openai.wait_disconnect().await;
    let mut answer = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    for _ in 0..50 {
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        answer = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    }
    assert_eq!(answer.status, 200, "its place is free again");
}

#[tokio::test]
async fn tokens_are_counted_as_they_were_used() {
    let world = World::with("ziggurat: {rate_limits: {global: {tokens_per_minute: 1000}}}").await;
    let mut body = chat("gpt", "hi");
    body["max_tokens"] = json!(900);
    let answer = Ask::json(CHAT, &body).send(world.address()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Nine hundred were reserved, and a handful used: the rest is there again.
    let answer = Ask::json(CHAT, &body).send(world.address()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    body["max_tokens"] = json!(5000);
    Ask::json(CHAT, &body).send(world.address()).await.openai_error(429);
}
