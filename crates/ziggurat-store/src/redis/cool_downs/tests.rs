use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};
use ziggurat_core::{Call, Error, ErrorKind, Instant, ProviderError, Reply};
use ziggurat_layers::route::{Cause, Condition, CoolDown, Endpoint, Registry, Route, Rules, Table};
use ziggurat_testkit::redis::PrivateRedis;

use super::{SharedCoolDowns, listing::Heard};
use crate::redis::{Redis, Settings};

const PATIENCE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

type Provider = BoxCloneSyncService<Call, Reply, Error>;

/// A gateway with two deployments, `a` and `b`, that fail as they are told to.
struct Gateway {
    registry: Registry,
    route: Route<Provider>,
    asked: Arc<AtomicUsize>,
    redis: Redis,
    shared: Option<SharedCoolDowns>,
}

impl Gateway {
    fn new(server: &PrivateRedis) -> Self {
        let redis = Redis::connect(Settings::from_url(&server.url()).unwrap()).unwrap();
        Self::with(redis)
    }

    fn with(redis: Redis) -> Self {
        let registry = Registry::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let provider = move |_: Call| {
            counter.fetch_add(1, Ordering::Relaxed);
            async {
                let error = Error::provider(ErrorKind::RateLimit, "no", ProviderError::default());
                Err::<Reply, _>(error.with_retry_after(HOUR / 30))
            }
        };
        let provider = BoxCloneSyncService::new(service_fn(provider));
        let endpoints = ["a", "b"].map(|id| Endpoint::new(id, provider.clone()));
        // Counted, so that one that is asked for by its id cools down, too.
        let rules = Rules::new().cool_down(CoolDown::new().allowed_fails(0));
        let route =
            Route::new(Table::builder(&registry).rules(rules).group("m", endpoints).build());
        let shared = Some(SharedCoolDowns::start(&redis, &registry));
        Self { registry, route, asked, redis, shared }
    }

    /// Asks a deployment, which has nothing left: it cools down.
    async fn exhaust(&self, deployment: &str) {
        self.route.clone().oneshot(Call::chat(deployment)).await.unwrap_err();
        assert_eq!(self.condition(deployment), Condition::Cooling);
    }

    fn condition(&self, deployment: &str) -> Condition {
        self.registry.state(deployment).unwrap().condition
    }

    async fn until(&self, deployment: &str, condition: Condition) -> Duration {
        let since = Instant::now();
        while self.condition(deployment) != condition {
            assert!(since.elapsed() < PATIENCE, "{deployment} never was {condition:?}");
            sleep(Duration::from_millis(2)).await;
        }
        since.elapsed()
    }

    fn left(&self, deployment: &str) -> Duration {
        let until = self.registry.state(deployment).unwrap().cool_until.unwrap();
        until.saturating_duration_since(Instant::now())
    }
}

/// Waits until Redis answers so.
async fn answers(server: &PrivateRedis, words: &[&str], expected: &Value) {
    let since = Instant::now();
    while server.command(words) != *expected {
        assert!(since.elapsed() < PATIENCE, "{words:?} never gave {expected}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until so many gateways listen.
async fn listeners(server: &PrivateRedis, number: usize) {
    let channel = "ziggurat:cooldowns:told";
    answers(server, &["PUBSUB", "NUMSUB", channel], &json!([channel, number])).await;
}

#[tokio::test]
async fn a_deployment_that_cools_for_one_cools_for_all_at_once_and_as_long() {
    let server = PrivateRedis::start();
    let (one, two) = (Gateway::new(&server), Gateway::new(&server));
    listeners(&server, 2).await;
    one.exhaust("a").await;
    let took = two.until("a", Condition::Cooling).await;
    assert!(took < Duration::from_millis(500), "not by the channel: {took:?}");
    assert_eq!(two.condition("b"), Condition::Well);
    let (here, there) = (one.left("a"), two.left("a"));
    assert!(here.abs_diff(there) < Duration::from_secs(1), "{here:?} {there:?}");
    assert_eq!(two.registry.state("a").unwrap().cause, Some(Cause::RateLimit));
    // The other one, chosen, is asked; this one is not.
    let error = two.route.clone().oneshot(Call::chat("m")).await.unwrap_err();
    assert_eq!(error.deployment().map(AsRef::as_ref), Some("b"));
    assert_eq!(two.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_that_comes_later_reads_what_cools() {
    let server = PrivateRedis::start();
    let one = Gateway::new(&server);
    one.exhaust("a").await;
    answers(&server, &["ZCARD", "ziggurat:cooldowns"], &json!(1)).await;
    drop(one);
    let later = Gateway::new(&server);
    later.until("a", Condition::Cooling).await;
    let left = server.command(&["PTTL", "ziggurat:cooldowns"]).as_i64().unwrap();
    assert!((100_000..=120_000).contains(&left), "it ends with its last entry: {left}");
}

#[tokio::test]
async fn without_the_channel_it_is_known_within_about_a_second() {
    let server = PrivateRedis::start();
    let (one, two) = (Gateway::new(&server), Gateway::new(&server));
    listeners(&server, 2).await;
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    listeners(&server, 0).await;
    one.exhaust("a").await;
    assert!(two.until("a", Condition::Cooling).await < Duration::from_secs(3));
    listeners(&server, 2).await;
}

#[tokio::test]
async fn what_began_while_redis_was_away_is_told_when_it_is_back() {
    let mut server = PrivateRedis::start();
    let (one, two) = (Gateway::new(&server), Gateway::new(&server));
    listeners(&server, 2).await;
    server.kill();
    one.exhaust("a").await;
    one.exhaust("b").await;
    assert_eq!(two.condition("a"), Condition::Well);
    server.restart();
    two.until("a", Condition::Cooling).await;
    two.until("b", Condition::Cooling).await;
    listeners(&server, 2).await;
}

#[tokio::test]
async fn what_was_found_to_be_well_is_not_cooled_anew_by_the_same_news() {
    let server = PrivateRedis::start();
    let (one, two) = (Gateway::new(&server), Gateway::new(&server));
    listeners(&server, 2).await;
    one.exhaust("a").await;
    two.until("a", Condition::Cooling).await;
    // By those who hear of it, and by the one who said it.
    assert!(one.registry.warm("a") && two.registry.warm("a"));
    let reads = || {
        let stats = server.command(&["INFO", "commandstats"]);
        let line = stats.as_str().unwrap().lines().find(|l| l.contains("cmdstat_zrangebyscore:"));
        line.and_then(|l| l.split(['=', ',']).nth(1)?.parse::<u32>().ok()).unwrap_or(0)
    };
    let before = reads();
    let since = Instant::now();
    while reads() < before + 4 {
        assert!(since.elapsed() < PATIENCE, "nobody reads");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((one.condition("a"), two.condition("a")), (Condition::Well, Condition::Well));
    // New news is heard.
    one.exhaust("a").await;
    two.until("a", Condition::Cooling).await;
}

#[tokio::test]
async fn everything_ends_with_its_owner() {
    let server = PrivateRedis::start();
    let (mut one, two) = (Gateway::new(&server), Gateway::new(&server));
    listeners(&server, 2).await;
    one.shared = None;
    listeners(&server, 1).await;
    one.exhaust("a").await;
    one.redis.ping().await.unwrap();
    assert_eq!(server.command(&["EXISTS", "ziggurat:cooldowns"]), 0);
    assert_eq!(two.condition("a"), Condition::Well);
}

#[tokio::test]
async fn gateways_of_other_prefixes_are_not_heard() {
    let server = PrivateRedis::start();
    let settings = Settings::from_url(&server.url()).unwrap().prefix("other:");
    let (one, two) = (Gateway::with(Redis::connect(settings).unwrap()), Gateway::new(&server));
    listeners(&server, 1).await;
    one.exhaust("a").await;
    answers(&server, &["EXISTS", "other:cooldowns"], &json!(1)).await;
    two.redis.ping().await.unwrap();
    assert_eq!(two.condition("a"), Condition::Well);
}

#[tokio::test]
async fn nonsense_is_no_news_and_no_time_is_believed_beyond_a_day() {
    let server = PrivateRedis::start();
    let gateway = Gateway::new(&server);
    let heard = Heard::new(gateway.registry.clone(), 7);
    for told in
        ["", "x", "1 2", "1 2 rate_limit", "1 -2 fault 8 a", "1 2 fault zz a", "1 2 fault 8 "]
    {
        heard.hear(told);
    }
    // Nor what one said oneself, nor what is served elsewhere.
    heard.hear("9 60000 fault 7 a");
    heard.hear_all(&["9 60000 fault 8 elsewhere".to_owned()]);
    assert_eq!(gateway.condition("a"), Condition::Well);
    heard.hear(&format!("{0} {0} something-new 8 a", u64::MAX));
    assert_eq!(gateway.condition("a"), Condition::Cooling);
    assert!(gateway.left("a") <= Duration::from_secs(24 * 3600));
    assert_eq!(gateway.registry.state("a").unwrap().cause, Some(Cause::Fault));
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_carries_them_too() {
    let server = PrivateRedis::cluster();
    let cluster = || {
        let settings = Settings::new("127.0.0.1", server.port()).node("127.0.0.1", server.port());
        Gateway::with(Redis::connect(settings).unwrap())
    };
    let (one, two) = (cluster(), cluster());
    listeners(&server, 2).await;
    one.exhaust("a").await;
    two.until("a", Condition::Cooling).await;
}
