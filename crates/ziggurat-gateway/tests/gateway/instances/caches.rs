//! What one was answered, the other answers; without Redis each asks for itself.

use serde_json::json;
use ziggurat_core::Instant;

use super::{CHAT, LOOK, PATIENCE, Pair, until};
use crate::calls::{chat, messages, streamed};
use crate::client::{Answer, Ask};

const MESSAGES: &str = "/v1/messages";
const CACHED: &str = "litellm_settings: {cache: true, cache_params: {type: redis, url: REDIS}}";

/// Waits until so many answers are kept: that is done behind the callers' backs.
async fn kept(pair: &Pair, number: usize) {
    let keys = || pair.redis.command(&["KEYS", "ziggurat:cache:*"]);
    until("answers are kept", || keys().as_array().is_some_and(|keys| keys.len() == number)).await;
}

fn is_cached(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-ziggurat-cached") == Some("true")
}

#[tokio::test]
async fn what_one_gateway_was_answered_the_other_answers_whole_and_streamed_in_either_dialect() {
    let pair = Pair::start(CACHED).await;
    let [one, other] = pair.addresses();
    let mut whole = chat("gpt", "whole");
    whole["max_tokens"] = json!(100);
    let mut parts = streamed(chat("gpt", "one two three"));
    parts["max_tokens"] = json!(100);
    let first = Ask::json(CHAT, &whole).send(one).await;
    kept(&pair, 1).await;
    let stream = Ask::json(CHAT, &parts).send(one).await;
    kept(&pair, 2).await;
    assert!(!is_cached(&first) && !is_cached(&stream));
    assert_eq!(pair.openai.request_count(), 2);

    let again = Ask::json(CHAT, &whole).send(other).await;
    assert!(is_cached(&again));
    assert_eq!(again.json()["choices"], first.json()["choices"]);
    let again = Ask::json(CHAT, &parts).send(other).await;
    assert!(is_cached(&again) && again.complete);
    assert_eq!(again.text(), stream.text(), "event by event");
    let again = Ask::json(MESSAGES, &messages("gpt", "whole")).send(other).await;
    assert!(is_cached(&again));
    assert_eq!(again.json()["content"][0]["text"], "You said: whole");
    let again = Ask::json(MESSAGES, &streamed(messages("gpt", "one two three"))).send(other).await;
    assert!(is_cached(&again) && again.complete);
    assert!(again.text().contains("three") && again.text().contains("message_stop"));
    assert_eq!(pair.openai.request_count(), 2, "nobody was asked again");

    // What is forgotten through one is forgotten for both.
    assert_eq!(Ask::post("/cache/flushall", "").send(one).await.status, 200);
    assert!(!is_cached(&Ask::json(CHAT, &whole).send(other).await));
    assert_eq!(pair.openai.request_count(), 3);
}

#[tokio::test]
async fn while_redis_is_away_each_asks_for_itself_and_when_it_is_back_they_share_again() {
    let mut pair = Pair::start(CACHED).await;
    let [one, other] = pair.addresses();
    let body = chat("gpt", "before");
    assert!(!is_cached(&Ask::json(CHAT, &body).send(one).await));
    kept(&pair, 1).await;
    pair.redis.kill();
    for address in [one, other] {
        let since = Instant::now();
        assert!(!is_cached(&Ask::json(CHAT, &body).send(address).await));
        assert!(since.elapsed() < PATIENCE / 4, "nobody waits for a cache");
    }
    pair.redis.restart();
    // Each finds it by itself, with no call in between that would fail.
    let since = Instant::now();
    for round in 0.. {
        let body = chat("gpt", &format!("after {round}"));
        assert!(!is_cached(&Ask::json(CHAT, &body).send(one).await));
        tokio::time::sleep(LOOK).await;
        if is_cached(&Ask::json(CHAT, &body).send(other).await) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "they do not share again");
    }
}
