//! Another Redis while both run.

use std::fs;
use std::net::SocketAddr;

use ziggurat_testkit::redis::PrivateRedis;

use super::{Pair, ask, hold, hold_all, until};
use crate::client::Ask;

/// How many are connected, without who asks.
fn clients(redis: &PrivateRedis) -> usize {
    let list = redis.command(&["CLIENT", "LIST"]);
    list.as_str().unwrap().lines().count() - 1
}

async fn reload(address: SocketAddr) {
    let answer = Ask::post("/config/reload", "").send(address).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn who_moves_to_another_redis_leaves_no_connection_to_the_first() {
    const PLACES: usize = 2;
    let pair = Pair::start(&format!(
        "router_settings: {{redis_url: REDIS}}\n\
         litellm_settings: {{cache: true, cache_params: {{type: redis, url: REDIS}}}}\n\
         ziggurat: {{cache: {{single_flight: false}}, rate_limits: {{model: {{parallel: {PLACES}}}}}}}"
    ))
    .await;
    for address in pair.addresses() {
        assert_eq!(ask(address).await.status, 200);
    }
    // Limits, the cache, and a channel for cool-downs.
    until("both are connected", || clients(&pair.redis) == 6).await;
    // A call in flight keeps the server that it counts with.
    let (held, _) = hold_all(&pair, pair.one.address, 1).await;

    let next = PrivateRedis::start();
    let text = fs::read_to_string(&pair.path).unwrap();
    fs::write(&pair.path, text.replace(&pair.redis.url(), &next.url())).unwrap();
    for address in pair.addresses() {
        reload(address).await;
    }
    until("only what is in flight is left", || (1..=3).contains(&clients(&pair.redis))).await;
    drop(held);
    until("nothing is left", || clients(&pair.redis) == 0).await;
    // They share there what they shared before.
    let (one, _) = hold_all(&pair, pair.one.address, 1).await;
    let (other, _) = hold_all(&pair, pair.other.address, 1).await;
    for address in pair.addresses() {
        assert!(hold(&pair, address).await.is_none());
    }
    until("both are connected", || clients(&next) == 6).await;
    drop((one, other));
}
