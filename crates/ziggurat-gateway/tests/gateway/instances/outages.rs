//! A Redis that hangs, is killed and comes back, under load.

use std::sync::atomic::Ordering;

use ziggurat_core::Instant;

use super::load::{Load, SLOW, count, nothing_strange};
use super::{LOOK, PATIENCE, Pair, hold, hold_all};

/// Waits until what both hold together fills all places for either.
async fn limits_are_shared(pair: &Pair, places: usize) {
    let (one, _) = hold_all(pair, pair.one.address, places / 2).await;
    let (other, _) = hold_all(pair, pair.other.address, places - places / 2).await;
    let since = Instant::now();
    for address in pair.addresses() {
        while hold(pair, address).await.is_some() {
            assert!(since.elapsed() < PATIENCE, "they count by themselves");
            tokio::time::sleep(LOOK).await;
        }
    }
    drop((one, other));
}

#[tokio::test]
async fn calls_go_on_while_redis_is_away_and_limits_are_shared_again_when_it_is_back() {
    const PLACES: usize = 8;
    let mut pair = Pair::start(&format!(
        "general_settings: {{coordination_redis: {{url: REDIS}}}}\n\
         ziggurat: {{rate_limits: {{model: {{parallel: {PLACES}, rpm: 100000}}}}, redis: {{lease: 1s}}}}"
    ))
    .await;
    // As many as there are places, so that a place too few would be seen.
    let load = Load::start(pair.addresses(), PLACES / 2);
    load.complete(20).await;
    pair.redis.pause();
    load.complete(40).await;
    pair.redis.resume();
    load.complete(20).await;
    pair.redis.kill();
    load.complete(60).await;
    pair.redis.restart();
    load.complete(40).await;
    let ends = load.stop().await;
    nothing_strange(&ends);
    assert_eq!((count(&ends.broken), count(&ends.unanswered)), (0, 0), "{ends:?}");
    assert_eq!(count(&ends.unavailable), 0, "{ends:?}");
    assert!(count(&ends.most_inside) <= PLACES, "{ends:?}");
    assert!(count(&ends.slowest) < SLOW.as_millis() as usize, "{ends:?}");
    limits_are_shared(&pair, PLACES).await;
}

#[tokio::test]
async fn calls_are_refused_while_redis_is_away_where_that_is_asked_for_and_pass_when_it_is_back() {
    let mut pair = Pair::start(
        "general_settings: {coordination_redis: {url: REDIS}, fail_closed_rate_limit_enforcement: true}\n\
         ziggurat: {rate_limits: {model: {parallel: 8, rpm: 100000}}, redis: {lease: 1s}}",
    )
    .await;
    let load = Load::start(pair.addresses(), 4);
    load.complete(20).await;
    pair.redis.kill();
    load.until(|ends| count(&ends.unavailable) >= 50).await;
    let before = count(&load.ends.complete);
    pair.redis.restart();
    load.complete(40).await;
    let ends = load.stop().await;
    nothing_strange(&ends);
    // Those in flight came to their end.
    assert_eq!((count(&ends.broken), count(&ends.unanswered)), (0, 0), "{ends:?}");
    assert!(before >= 20 && count(&ends.slowest) < SLOW.as_millis() as usize, "{ends:?}");
    limits_are_shared(&pair, 8).await;
}

/// The most that are in flight together while so many more come to their end.
async fn most_inside(load: &Load, more: usize) -> usize {
    load.ends.most_inside.store(0, Ordering::Relaxed);
    load.complete(more).await;
    count(&load.ends.most_inside)
}

#[tokio::test]
async fn under_too_many_callers_places_are_never_passed_by_more_than_is_said_and_none_is_lost() {
    const PLACES: usize = 6;
    let mut pair = Pair::start(&format!(
        "general_settings: {{coordination_redis: {{url: REDIS}}}}\n\
         ziggurat: {{rate_limits: {{model: {{parallel: {PLACES}}}}}, redis: {{lease: 1s}}}}"
    ))
    .await;
    let load = Load::start(pair.addresses(), 2 * PLACES);
    assert!(most_inside(&load, 30).await <= PLACES);
    load.until(|ends| count(&ends.refused) > 0).await;
    pair.redis.kill();
    // Each by its own count, and for a moment beside those that had a place before.
    let moment = most_inside(&load, 30).await;
    assert!(moment <= 3 * PLACES, "{moment}");
    let away = most_inside(&load, 60).await;
    assert!(away <= 2 * PLACES, "{away}");
    pair.redis.restart();
    // In the moment until both have told of their calls it may be the limit once more.
    let back = most_inside(&load, 20).await;
    assert!(back <= 3 * PLACES, "{back}");
    let since = Instant::now();
    while most_inside(&load, 20).await > PLACES {
        assert!(since.elapsed() < PATIENCE, "they count by themselves");
    }
    assert!(most_inside(&load, 60).await <= PLACES);
    let ends = load.stop().await;
    nothing_strange(&ends);
    assert_eq!((count(&ends.broken), count(&ends.unanswered)), (0, 0), "{ends:?}");
    assert_eq!(count(&ends.unavailable), 0, "{ends:?}");
    assert!(count(&ends.slowest) < SLOW.as_millis() as usize, "{ends:?}");
    limits_are_shared(&pair, PLACES).await;
}
