//! A deployment that fails one of them is left alone by both.

use super::{CHAT, Pair, until};
use crate::calls::chat;
use crate::client::Ask;
use ziggurat_testkit::Script;

const COOLED: &str = "router_settings: {redis_url: REDIS}";
const TOLD: &str = "ziggurat:cooldowns:told";

/// Waits until so many gateways listen.
async fn listeners(pair: &Pair, number: u64) {
    let listeners = || pair.redis.command(&["PUBSUB", "NUMSUB", TOLD])[1].as_u64();
    until("gateways listen", || listeners() == Some(number)).await;
}

/// Waits until both have surely read, or heard, what there was to be told: each reads once a second.
async fn both_have_read(pair: &Pair) {
    let reads = || {
        let stats = pair.redis.command(&["INFO", "commandstats"]);
        let lines = stats.as_str().unwrap().lines();
        let mut lines = lines.filter_map(|line| line.strip_prefix("cmdstat_zrangebyscore:calls="));
        lines.next().map_or(0, |line| line.split(',').next().unwrap().parse::<u32>().unwrap())
    };
    let goal = reads() + 4;
    until("both read", || reads() >= goal).await;
}

/// Asks the first until the sibling has failed it once; nobody notices.
async fn exhaust_the_sibling(pair: &Pair) {
    let headers = [("content-type", "application/json"), ("retry-after", "60")];
    let error =
        r#"{"error": {"message": "no more", "type": "requests", "code": "rate_limit_exceeded"}}"#;
    pair.sibling.always(Script::reply(429, &headers, error));
    let before = pair.sibling.request_count();
    for _ in 0..200 {
        let answer = Ask::json(CHAT, &chat("two", "hi")).send(pair.one.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        if pair.sibling.request_count() > before {
            return;
        }
    }
    panic!("the sibling is never asked");
}

/// Asks the other many times: how often that went to the sibling.
async fn asked_by_the_other(pair: &Pair) -> u64 {
    let before = pair.sibling.request_count();
    for _ in 0..30 {
        let answer = Ask::json(CHAT, &chat("two", "hi")).send(pair.other.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    pair.sibling.request_count() - before
}

#[tokio::test]
async fn a_deployment_that_one_gateway_cools_is_not_asked_by_the_other() {
    let pair = Pair::start(COOLED).await;
    listeners(&pair, 2).await;
    // Both are asked as long as both are well, or the test would show nothing.
    assert!(asked_by_the_other(&pair).await > 0);
    exhaust_the_sibling(&pair).await;
    until("it is told", || pair.redis.command(&["ZCARD", "ziggurat:cooldowns"]) == 1).await;
    both_have_read(&pair).await;
    assert_eq!(asked_by_the_other(&pair).await, 0);
}

#[tokio::test]
async fn what_cools_while_redis_is_away_is_told_when_it_is_back() {
    let mut pair = Pair::start(COOLED).await;
    listeners(&pair, 2).await;
    pair.redis.kill();
    exhaust_the_sibling(&pair).await;
    pair.redis.restart();
    until("it is told", || pair.redis.command(&["ZCARD", "ziggurat:cooldowns"]) == 1).await;
    both_have_read(&pair).await;
    assert_eq!(asked_by_the_other(&pair).await, 0);
    // Who dies takes nothing along.
    pair.one.signal("KILL");
    listeners(&pair, 1).await;
    assert_eq!(asked_by_the_other(&pair).await, 0);
}
