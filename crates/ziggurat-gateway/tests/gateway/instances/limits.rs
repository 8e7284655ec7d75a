//! Limits that hold for both together, and places that a gateway leaves behind when it is killed.

use ziggurat_core::Instant;

use super::load::{Load, count, nothing_strange};
use super::{LOOK, PATIENCE, Pair, ask, hold, hold_all};

#[tokio::test]
async fn so_many_requests_pass_and_no_more_whichever_gateway_is_asked() {
    const RPM: usize = 30;
    let pair = Pair::start(&format!(
        "general_settings: {{coordination_redis: {{url: REDIS}}}}\n\
         ziggurat: {{rate_limits: {{model: {{rpm: {RPM}}}}}}}"
    ))
    .await;
    let since = Instant::now();
    let asked = (0..100).map(|at| tokio::spawn(ask(pair.addresses()[at % 2])));
    let asked: Vec<_> = asked.collect();
    let (mut passed, mut refused) = (0, 0);
    for answer in asked {
        let answer = answer.await.unwrap();
        match answer.status {
            200 => passed += 1,
            429 => {
                refused += 1;
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
                assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("30"));
            }
            _ => panic!("{answer:?}"),
        }
    }
    // What comes back meanwhile comes back evenly.
    let back = usize::try_from(since.elapsed().as_secs()).unwrap() * RPM / 60 + 1;
    assert!((RPM..=RPM + back).contains(&passed), "{passed}");
    assert_eq!(passed + refused, 100);
    assert_eq!(pair.openai.request_count(), passed as u64, "a refused call goes nowhere");
}

#[tokio::test]
async fn places_of_a_gateway_that_is_killed_under_load_are_free_again_and_none_is_lost() {
    const PLACES: usize = 6;
    let pair = Pair::start(&format!(
        "general_settings: {{coordination_redis: {{url: REDIS}}}}\n\
         ziggurat: {{rate_limits: {{model: {{parallel: {PLACES}}}}}, redis: {{lease: 1s}}}}"
    ))
    .await;
    let load = Load::start(pair.addresses(), 8);
    load.complete(30).await;
    pair.one.signal("KILL");
    load.until(|ends| count(&ends.unanswered) > 0).await;
    // The other goes on, with the places of the dead as soon as their leases are over.
    load.complete(60).await;
    let ends = load.stop().await;
    nothing_strange(&ends);
    assert_eq!(count(&ends.most_inside), PLACES, "all places are used, and no more");
    assert!(count(&ends.refused) > 0 && count(&ends.unavailable) == 0, "{ends:?}");

    let other = pair.other.address;
    let (held, _) = hold_all(&pair, other, PLACES).await;
    assert!(hold(&pair, other).await.is_none(), "there are no more than there were");
    drop(held);
    let (again, _) = hold_all(&pair, other, PLACES).await;
    drop(again);
}

#[tokio::test]
async fn places_of_the_dead_stay_taken_for_a_lease_and_those_of_the_living_as_long_as_they_live() {
    let pair = Pair::start(
        "general_settings: {coordination_redis: {url: REDIS}}\n\
         ziggurat: {rate_limits: {model: {parallel: 4}}, redis: {lease: 1s}}",
    )
    .await;
    let (theirs, _) = hold_all(&pair, pair.one.address, 2).await;
    let (ours, _) = hold_all(&pair, pair.other.address, 2).await;
    let killed = Instant::now();
    pair.one.signal("KILL");
    assert!(hold(&pair, pair.other.address).await.is_none());
    let (more, _) = hold_all(&pair, pair.other.address, 2).await;
    let took = killed.elapsed();
    assert!(took.as_millis() > 300, "nobody waited for the lease: {took:?}");
    assert!(took < PATIENCE / 4, "{took:?}");
    // For some leases to come, those that live keep their places.
    while killed.elapsed() < took + std::time::Duration::from_millis(2500) {
        assert!(hold(&pair, pair.other.address).await.is_none());
        tokio::time::sleep(LOOK * 10).await;
    }
    drop((theirs, ours, more));
}
