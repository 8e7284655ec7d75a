//! What was answered is answered again.

use std::time::Duration;

use serde_json::{Value, json};
use ziggurat_testkit::{After, Script};

use crate::calls::{chat, messages, streamed};
use crate::client::{Answer, Ask};
use crate::world::{Running, World, run};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const CACHE: &str = "litellm_settings: {cache: true, cache_params: {type: local}}";

async fn ask(world: &World, path: &str, body: &Value) -> Answer {
    let answer = Ask::json(path, body).send(world.address()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn is_hit(answer: &Answer) -> bool {
    assert!(answer.header("x-litellm-cache-key").is_some(), "{answer:?}");
    answer.header("x-ziggurat-cached") == Some("true")
}

/// The same conversation in either dialect.
fn same(model: &str, text: &str) -> [(&'static str, Value); 2] {
    let mut openai = chat(model, text);
    openai["max_tokens"] = json!(100);
    [(CHAT, openai), (MESSAGES, messages(model, text))]
}

#[tokio::test]
async fn a_hit_is_the_same_answer_and_asks_nobody() {
    let world = World::with(CACHE).await;
    for (path, body) in same("gpt", "hi") {
        let before = world.openai.requests().len();
        let first = ask(&world, path, &body).await;
        let second = ask(&world, path, &body).await;
        assert!(is_hit(&second));
        assert_eq!(first.header("x-litellm-cache-key"), second.header("x-litellm-cache-key"));
        assert_eq!(second.header("x-ziggurat-attempts"), Some("0"));
        assert!(world.openai.requests().len() - before <= 1);
        let said = |answer: &Answer| {
            let body = answer.json();
            body["choices"][0]["message"]["content"]
                .as_str()
                .or(body["content"][0]["text"].as_str())
                .map(str::to_owned)
        };
        assert_eq!(said(&first).as_deref(), Some("You said: hi"));
        assert_eq!(said(&first), said(&second));
    }
}

#[tokio::test]
async fn equal_calls_of_two_dialects_share_an_answer() {
    for stream in [false, true] {
        for model in ["gpt", "claude"] {
            let world = World::with(CACHE).await;
            let mut hits = Vec::new();
            for (path, mut body) in same(model, "one two three") {
                body["stream"] = json!(stream);
                let answer = ask(&world, path, &body).await;
                hits.push(is_hit(&answer));
                if stream {
                    assert_eq!(answer.spoken(), "You said: one two three");
                    assert!(answer.complete);
                }
            }
            assert_eq!(hits, [false, true], "{model}, streamed: {stream}");
            let asked = world.openai.requests().len() + world.anthropic.requests().len();
            assert_eq!(asked, 1, "{model}, streamed: {stream}");
        }
    }
}

#[tokio::test]
async fn what_no_provider_wrote_is_kept_too() {
    let world = World::with(CACHE).await;
    for stream in [false, true] {
        let mut answers = Vec::new();
        for (path, mut body) in same("mock/echo", "one two") {
            body["stream"] = json!(stream);
            answers.push(is_hit(&ask(&world, path, &body).await));
        }
        assert_eq!(answers, [false, true], "streamed: {stream}");
    }
}

#[tokio::test]
async fn callers_say_what_the_cache_may_do() {
    let world = World::with(CACHE).await;
    let body = chat("gpt", "hi");
    let with = |controls: Value| {
        let mut body = body.clone();
        body["cache"] = controls;
        body
    };
    ask(&world, CHAT, &with(json!({"no-store": true}))).await;
    assert!(!is_hit(&ask(&world, CHAT, &body).await), "it was not kept");
    assert!(is_hit(&ask(&world, CHAT, &body).await));
    assert!(!is_hit(&ask(&world, CHAT, &with(json!({"no-cache": true}))).await));
    let header = Ask::json(CHAT, &body).header("cache-control", "no-cache");
    assert!(!is_hit(&header.send(world.address()).await));
    assert!(!is_hit(&ask(&world, CHAT, &with(json!({"namespace": "other"}))).await));
    assert!(is_hit(&ask(&world, CHAT, &with(json!({"namespace": "other"}))).await));
    let wrong = Ask::json(CHAT, &with(json!({"ttl": "soon"}))).send(world.address()).await;
    assert!(wrong.openai_error(400).contains("`cache.ttl`"));
}

#[tokio::test]
async fn what_failed_or_broke_is_not_kept() {
    let world = World::with(CACHE).await;
    world.openai.script(Script::error(500));
    let failed = Ask::json(CHAT, &chat("gpt", "hi")).send(world.address()).await;
    failed.openai_error(500);
    let text = "one two three four five six";
    world.openai.script(Script::behave().cut_after(After::Events(4)));
    let broken = ask(&world, CHAT, &streamed(chat("gpt", text))).await;
    assert!(broken.text().contains(r#""error""#));
    for body in [chat("gpt", "hi"), streamed(chat("gpt", text))] {
        let answer = ask(&world, CHAT, &body).await;
        assert!(!is_hit(&answer));
        assert!(answer.text().contains("You"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_hit_does_not_count_against_limits() {
    let rest = format!("{CACHE}\nziggurat: {{rate_limits: {{global: {{rpm: 1}}}}}}");
    let world = World::with(&rest).await;
    for _ in 0..3 {
        ask(&world, CHAT, &chat("gpt", "hi")).await;
    }
    Ask::json(CHAT, &chat("gpt", "other")).send(world.address()).await.openai_error(429);
}

#[tokio::test]
async fn calls_at_the_same_time_are_one() {
    let world = World::with(CACHE).await;
    world.openai.always(Script::behave().delay_head(Duration::from_millis(200)));
    for body in [chat("gpt", "hi"), streamed(chat("gpt", "one two"))] {
        let before = world.openai.requests().len();
        let asks = (0..5).map(|_| {
            let (ask, address) = (Ask::json(CHAT, &body), world.address());
            tokio::spawn(async move { ask.send(address).await })
        });
        for asked in asks.collect::<Vec<_>>() {
            let answer = asked.await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.complete && answer.text().contains("You"), "{}", answer.text());
        }
        assert_eq!(world.openai.requests().len() - before, 1);
    }
}

#[tokio::test]
async fn where_it_is_off_unless_asked_for_it_is_asked_for() {
    let rest = "litellm_settings: {cache: true, cache_params: {type: local, mode: default_off}}";
    let world = World::with(rest).await;
    let mut body = chat("gpt", "hi");
    ask(&world, CHAT, &body).await;
    ask(&world, CHAT, &body).await;
    assert_eq!(world.openai.requests().len(), 2);
    body["cache"] = json!({"use-cache": true});
    assert!(!is_hit(&ask(&world, CHAT, &body).await));
    assert!(is_hit(&ask(&world, CHAT, &body).await));
}

#[tokio::test]
async fn only_the_calls_that_are_named_are_kept() {
    let rest = "litellm_settings: {cache: true, cache_params: {type: local, \
                supported_call_types: [acompletion, aembedding]}}";
    let world = World::with(rest).await;
    for _ in 0..2 {
        ask(&world, MESSAGES, &messages("gpt", "hi")).await;
        ask(&world, CHAT, &chat("gpt", "hello")).await;
    }
    assert_eq!(world.openai.requests().len(), 3);
}

async fn admin(
    gateway: &Running,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> Answer {
    let mut ask = match method {
        "POST" => Ask::post(path, body),
        _ => Ask::new(method, path),
    };
    if let Some(key) = key {
        ask = ask.header("authorization", &format!("Bearer {key}"));
    }
    ask.send(gateway.address).await
}

#[tokio::test]
async fn the_cache_is_emptied_by_the_master_and_by_nobody_else() {
    let rest = format!("{CACHE}\ngeneral_settings: {{master_key: sk-1}}");
    let world = World::with(&rest).await;
    let key = Some("sk-1");
    let ask = || Ask::json(CHAT, &chat("gpt", "hi")).header("authorization", "Bearer sk-1");
    let first = ask().send(world.address()).await;
    let name = first.header("x-litellm-cache-key").unwrap().to_owned();
    assert!(is_hit(&ask().send(world.address()).await));
    let keys = json!({"keys": [name]}).to_string();
    for (method, path) in [
        ("GET", "/cache/ping"),
        ("POST", "/cache/delete"),
        ("POST", "/cache/flushall"),
        ("GET", "/router/settings"),
    ] {
        for key in [None, Some("sk-wrong")] {
            let refused = admin(&world.gateway, method, path, key, &keys).await;
            assert_eq!(refused.status, 401, "{path}: {}", refused.text());
        }
        let crafted = Ask::new(method, "/v1/models")
            .header("x-forwarded-host", path)
            .header("x-original-url", path);
        assert_eq!(crafted.send(world.address()).await.status, 401);
    }
    assert!(is_hit(&ask().send(world.address()).await), "nothing was deleted");

    let deleted = admin(&world.gateway, "POST", "/cache/delete", key, &keys).await;
    assert_eq!(deleted.json()["status"], "success");
    assert!(!is_hit(&ask().send(world.address()).await));
    let flushed = admin(&world.gateway, "POST", "/cache/flushall", key, "").await;
    assert_eq!(flushed.json()["status"], "success");
    assert!(!is_hit(&ask().send(world.address()).await));
    let ping = admin(&world.gateway, "GET", "/cache/ping", key, "").await.json();
    assert_eq!((&ping["status"], &ping["cache_type"]), (&json!("healthy"), &json!("local")));
    assert!(ping["hits"].as_u64().unwrap() >= 2, "{ping}");
}

#[tokio::test]
async fn without_a_cache_it_is_said_that_there_is_none() {
    let gateway = run("model_list: []").await;
    for (method, path) in
        [("GET", "/cache/ping"), ("POST", "/cache/delete"), ("POST", "/cache/flushall")]
    {
        let answer = admin(&gateway, method, path, None, "{}").await;
        assert_eq!(answer.status, 503);
        assert!(answer.text().contains("there is no cache"), "{}", answer.text());
    }
}
