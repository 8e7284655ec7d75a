use std::future::{Ready, ready};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt};
use ziggurat_core::{
    Answer, Call, Caller, ChatReply, End, Error, ErrorKind, Guard, Instant, LimitKind, Reply,
    Settlement, Usage,
};
use ziggurat_layers::RateLimitLayer;
use ziggurat_layers::rate_limit::{By, Estimate, LimitRules, Limiter, Limits, Outage, Rate};
use ziggurat_testkit::redis::PrivateRedis;

use super::LimitStore;
use crate::redis::{Redis, Settings};

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(20);
const LEASE: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Provider;

impl Service<Call> for Provider {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        ready(Ok(Reply::answer(Answer::Chat(Box::new(ChatReply::new("1", "model"))))))
    }
}

/// A gateway of its own: its own counts, its own connection.
struct Gateway {
    layer: RateLimitLayer,
    limiter: Limiter,
    store: LimitStore,
}

fn gateway(server: &PrivateRedis, rules: LimitRules) -> Gateway {
    let redis = Redis::connect(Settings::from_url(&server.url()).unwrap()).unwrap();
    let store = LimitStore::new(redis).lease(LEASE);
    let limiter = Limiter::new();
    let layer = RateLimitLayer::new(limiter.clone(), rules)
        .estimator(|call: &Call| {
            let (input, output) = call.model().split_once('/').unwrap_or(("1", "1"));
            Estimate::new(input.parse().unwrap(), output.parse().ok())
        })
        .shared(Arc::new(store.clone()));
    Gateway { layer, limiter, store }
}

fn per_key(limits: Limits) -> LimitRules {
    LimitRules::new().each(By::Key, limits)
}

impl Gateway {
    async fn begin(&self, model: &str) -> Result<(Reply, Guard), Error> {
        let mut call = Call::chat(model).user("Hello!");
        call.set_caller(Caller::new("key-7").team("team").organization("org"));
        let guard = Settlement::open();
        call.set_scope(guard.scope());
        let reply = self.layer.layer(Provider).oneshot(call).await?;
        Ok((reply, guard))
    }

    /// Begins a call and ends it, with nothing told.
    async fn send(&self) -> Result<Reply, Error> {
        let (reply, guard) = self.begin("1/1").await?;
        guard.close(End::Success);
        Ok(reply)
    }

    async fn told(&self) {
        self.store.flush(PATIENCE).await;
    }
}

fn left(reply: &Reply, kind: LimitKind) -> u64 {
    reply.head().limits.get(kind).unwrap().remaining
}

fn requests(amount: u64) -> Limits {
    Limits::new().rate(Rate::requests(amount, DAY))
}

fn tokens(amount: u64) -> Limits {
    Limits::new().rate(Rate::tokens(amount, DAY))
}

/// How often the server was asked to do this.
fn asked(server: &PrivateRedis, command: &str) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let name = format!("cmdstat_{command}:calls=");
    let line = stats.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gateways_share_one_limit_and_never_pass_more() {
    let server = PrivateRedis::start();
    let rules =
        || per_key(requests(50)).each(By::Team, requests(60)).each(By::Model, tokens(1_000_000));
    let gateways = Arc::new([gateway(&server, rules()), gateway(&server, rules())]);
    let passed = Arc::new(AtomicUsize::new(0));
    let callers = (0..8).map(|caller| {
        let (gateways, passed) = (gateways.clone(), passed.clone());
        tokio::spawn(async move {
            for _ in 0..40 {
                match gateways[caller % 2].send().await {
                    Ok(_) => drop(passed.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::RateLimit),
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert_eq!(passed.load(Ordering::Relaxed), 50);
    // The team has had those fifty, and none of the 270 that were refused.
    let other = gateway(&server, LimitRules::new().each(By::Team, requests(60)));
    assert_eq!(left(&other.send().await.unwrap(), LimitKind::Requests), 9);
}

#[tokio::test]
async fn a_refusal_says_what_a_local_one_says() {
    let server = PrivateRedis::start();
    let gateway = gateway(&server, per_key(Limits::new().rpm(2).max_parallel(10)));
    let (first, _one) = gateway.begin("1/1").await.unwrap();
    assert_eq!(left(&first, LimitKind::Requests), 1);
    assert_eq!(left(&first, LimitKind::Parallel), 9);
    let (_, _two) = gateway.begin("1/1").await.unwrap();
    let error = gateway.send().await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::RateLimit, 429));
    assert!(
        error
            .message()
            .starts_with("the rate limit of 2 requests per minute is reached for the key `key-7`")
    );
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(25) && wait <= Duration::from_secs(30), "{wait:?}");
    assert_eq!(error.limits().unwrap().get(LimitKind::Parallel).unwrap().remaining, 8);
    // Larger than the limit: nobody is asked.
    let small = self::gateway(&server, per_key(tokens(100)));
    let before = asked(&server, "evalsha");
    let error = small.begin("60/60").await.unwrap_err();
    assert_eq!((error.retry_after(), error.code()), (None, Some("rate_limit_too_small")));
    assert_eq!(asked(&server, "evalsha"), before);
}

#[tokio::test]
async fn time_gives_back_by_the_servers_clock() {
    let server = PrivateRedis::start();
    let rate = Rate::requests(10, Duration::from_secs(1));
    let gateway = gateway(&server, per_key(Limits::new().rate(rate)));
    let begun = Instant::now();
    let mut passed = 0_u32;
    while begun.elapsed() < Duration::from_secs(2) {
        passed += u32::from(gateway.send().await.is_ok());
    }
    // What is there at first, and what comes back until the last call was answered.
    let most = 10.0 + begun.elapsed().as_secs_f64() * 10.0;
    assert!(f64::from(passed) <= most + 0.5, "{passed} of {most}");
    assert!(passed >= 29, "{passed}");
}

#[tokio::test]
async fn tokens_are_reserved_everywhere_and_settled_everywhere() {
    let server = PrivateRedis::start();
    let rules =
        || per_key(tokens(1000)).each(By::Team, Limits::new().rate(Rate::input_tokens(5000, DAY)));
    let (a, b) = (gateway(&server, rules()), gateway(&server, rules()));
    let (_, guard) = a.begin("100/500").await.unwrap();
    let error = b.begin("100/500").await.unwrap_err();
    assert!(error.message().contains("1000 tokens per day"), "{error}");
    guard.scope().report_usage(&Usage::new(90, 10));
    guard.close(End::Success);
    a.told().await;
    let (reply, guard) = b.begin("100/500").await.unwrap();
    assert_eq!(left(&reply, LimitKind::Tokens), 300);
    assert_eq!(left(&reply, LimitKind::InputTokens), 4810);
    // More than was reserved is a debt.
    guard.scope().report_usage(&Usage::new(100, 1900));
    guard.close(End::Success);
    b.told().await;
    let error = a.begin("1/0").await.unwrap_err();
    let wait = error.retry_after().unwrap();
    let expected = DAY * 1101 / 1000;
    assert!(wait <= expected && wait > expected - Duration::from_secs(60), "{wait:?}");
}

#[tokio::test]
async fn a_call_takes_one_round_trip_whatever_its_dimensions() {
    let server = PrivateRedis::start();
    let limits = || Limits::new().rpm(10_000).tpm(1_000_000).max_parallel(100);
    let rules = LimitRules::new()
        .each(By::Key, limits())
        .each(By::Team, limits())
        .each(By::Model, limits());
    let gateway = gateway(&server, rules);
    // The first tells the server the scripts.
    gateway.send().await.unwrap();
    gateway.told().await;
    let before = asked(&server, "evalsha");
    let mut guards = Vec::new();
    for _ in 0..50 {
        guards.push(gateway.begin("1/1").await.unwrap());
    }
    let renewals = asked(&server, "evalsha") - before - 50;
    assert!(renewals <= 3, "one a call, and a renewal of all together now and then: {renewals}");
    // Fifty ends are told together.
    let before = asked(&server, "evalsha");
    drop(guards);
    gateway.told().await;
    let told = asked(&server, "evalsha") - before;
    assert!(told <= 4, "{told}");
    // Requests alone need nobody to hear of the end.
    let plain = self::gateway(&server, per_key(requests(1000)));
    plain.send().await.unwrap();
    let before = asked(&server, "evalsha");
    for _ in 0..20 {
        plain.send().await.unwrap();
    }
    plain.told().await;
    assert!(asked(&server, "evalsha") - before <= 21, "20, and perhaps a renewal of the other");
}

#[tokio::test]
async fn a_lease_lives_as_long_as_its_call() {
    let server = PrivateRedis::start();
    let rules = || per_key(Limits::new().max_parallel(1));
    let (a, b) = (gateway(&server, rules()), gateway(&server, rules()));
    let (_, guard) = a.begin("1/1").await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < 3 * LEASE {
        let error = b.send().await.unwrap_err();
        assert_eq!(error.message(), "the limit of 1 parallel calls is reached for the key `key-7`");
        sleep(Duration::from_millis(100)).await;
    }
    drop(guard);
    a.told().await;
    b.send().await.unwrap();
}

/// Not a test: the gateway that is killed below.
#[tokio::test]
#[ignore = "started by another test"]
async fn holder() {
    let Ok(url) = std::env::var("ZIGGURAT_TEST_HOLDER") else { return };
    let redis = Redis::connect(Settings::from_url(&url).unwrap()).unwrap();
    let store = LimitStore::new(redis).lease(LEASE);
    let rules = per_key(tokens(1000).max_parallel(3));
    let layer = RateLimitLayer::new(Limiter::new(), rules)
        .estimator(|_: &Call| Estimate::new(100, Some(100)))
        .shared(Arc::new(store));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut call = Call::chat("m").user("Hello!");
        call.set_caller(Caller::new("key-7"));
        held.push(layer.layer(Provider).oneshot(call).await.unwrap());
    }
    std::future::pending::<()>().await;
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn the_places_of_a_gateway_that_was_killed_are_free_after_a_lease() {
    let server = PrivateRedis::start();
    let gateway = gateway(&server, per_key(tokens(1000).max_parallel(3)));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "redis::limits::tests::holder", "--ignored", "--nocapture"])
        .env("ZIGGURAT_TEST_HOLDER", server.url())
        .stdout(Stdio::null())
        .spawn();
    let holder = Killed(child.unwrap());
    let places =
        || server.command(&["ZCARD", "ziggurat:limit:{all}:l:key:key-7"]).as_i64().unwrap();
    let begun = Instant::now();
    while places() < 3 {
        assert!(begun.elapsed() < PATIENCE, "it never took its places");
        sleep(Duration::from_millis(10)).await;
    }
    gateway.send().await.unwrap_err();
    sleep(2 * LEASE).await;
    gateway.send().await.expect_err("it lives and renews");
    // kill -9
    drop(holder);
    let killed = Instant::now();
    let reply = loop {
        match gateway.send().await {
            Ok(reply) => break reply,
            Err(_) => assert!(killed.elapsed() < 3 * LEASE, "its places are lost"),
        }
        sleep(Duration::from_millis(20)).await;
    };
    assert!(killed.elapsed() <= LEASE + Duration::from_millis(500), "{:?}", killed.elapsed());
    assert_eq!(left(&reply, LimitKind::Parallel), 2);
    // What it had reserved counts as used: nobody will ever tell.
    assert_eq!(left(&reply, LimitKind::Tokens), 1000 - 600 - 2);
}

#[tokio::test]
async fn a_call_given_up_before_the_answer_leaves_nothing_taken() {
    let server = PrivateRedis::start();
    let gateway = gateway(&server, per_key(tokens(1000).max_parallel(2)));
    gateway.send().await.unwrap();
    server.pause();
    for _ in 0..5 {
        let begin = gateway.begin("100/100");
        assert!(tokio::time::timeout(Duration::from_millis(10), begin).await.is_err());
    }
    server.resume();
    assert_eq!(gateway.limiter.in_flight(), 0);
    gateway.told().await;
    let (reply, _guard) = gateway.begin("1/1").await.unwrap();
    assert_eq!(left(&reply, LimitKind::Parallel), 1);
    assert_eq!(left(&reply, LimitKind::Tokens), 1000 - 4);
}

#[tokio::test]
async fn without_redis_each_keeps_its_share_or_all_is_refused() {
    let mut server = PrivateRedis::start();
    let rules = || per_key(requests(10).max_parallel(4));
    let open = gateway(&server, rules());
    let mut closed = gateway(&server, rules());
    closed.layer = closed.layer.outage(Outage::Refuse);
    open.send().await.unwrap();
    closed.send().await.unwrap();
    let (_, held) = open.begin("1/1").await.unwrap();
    server.kill();
    // The first may find the connection broken; then nothing is asked any more.
    drop(open.send().await);
    let begun = Instant::now();
    let error = closed.send().await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Overloaded, 503));
    assert!(error.retry_after().is_some());
    // What this gateway let pass before is known to it.
    let mut passed = 0;
    for _ in 0..20 {
        passed += usize::from(open.send().await.is_ok());
    }
    assert!((7..=8).contains(&passed), "2 of 10 before, perhaps one in between: {passed}");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "a dead Redis costs no time: {:?}",
        begun.elapsed()
    );
    let half = Gateway {
        layer: open.layer.clone().outage(Outage::Local(50)),
        ..gateway(&server, rules())
    };
    half.send().await.unwrap_err();
    drop(held);
    // It comes back, by itself.
    server.restart();
    let begun = Instant::now();
    while closed.send().await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "it never came back");
        sleep(Duration::from_millis(20)).await;
    }
    open.told().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_killed_under_load_loses_no_place_for_good() {
    let mut server = PrivateRedis::start();
    let rules = || per_key(Limits::new().max_parallel(6));
    let gateways = Arc::new([gateway(&server, rules()), gateway(&server, rules())]);
    let (stop, inside, most) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let passed = Arc::new(AtomicUsize::new(0));
    // One long call each, before, during and after.
    let long = [gateways[0].begin("1/1").await.unwrap(), gateways[1].begin("1/1").await.unwrap()];
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let (gateways, stop) = (gateways.clone(), stop.clone());
            let (inside, most, passed) = (inside.clone(), most.clone(), passed.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((_, guard)) = gateways[caller % 2].begin("1/1").await {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        passed.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(5)).await;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(guard);
                    } else {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            })
        })
        .collect();
    sleep(Duration::from_millis(500)).await;
    assert!(most.load(Ordering::SeqCst) <= 4, "while it is there: six, less the long ones");
    assert!(passed.load(Ordering::Relaxed) > 0);
    server.kill();
    sleep(Duration::from_millis(300)).await;
    server.restart();
    sleep(2 * LEASE).await;
    // Each had the whole limit by itself meanwhile, and until it was told of those the new server had it once more.
    assert!(most.load(Ordering::SeqCst) <= 3 * 6 - 2, "{}", most.load(Ordering::SeqCst));
    // The long calls are known again.
    most.store(0, Ordering::SeqCst);
    sleep(Duration::from_millis(500)).await;
    assert!(most.load(Ordering::SeqCst) <= 4, "{}", most.load(Ordering::SeqCst));
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    drop(long);
    for gateway in gateways.iter() {
        gateway.told().await;
        assert_eq!(gateway.limiter.in_flight(), 0);
    }
    // What may have been taken for a call that gave up is free after a lease at most.
    let begun = Instant::now();
    loop {
        let (reply, _guard) = gateways[0].begin("1/1").await.unwrap();
        if left(&reply, LimitKind::Parallel) == 5 {
            break;
        }
        assert!(
            begun.elapsed() < 3 * LEASE,
            "{} places are lost",
            5 - left(&reply, LimitKind::Parallel)
        );
        drop(reply);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_call_that_passed_without_redis_counts_when_it_is_back() {
    let mut server = PrivateRedis::start();
    let rules = || per_key(tokens(1000).max_parallel(2));
    let (a, b) = (gateway(&server, rules()), gateway(&server, rules()));
    a.send().await.unwrap();
    server.kill();
    let (_, long) = a.begin("100/100").await.unwrap();
    let (_, short) = a.begin("100/100").await.unwrap();
    short.scope().report_usage(&Usage::new(30, 20));
    short.close(End::Success);
    server.restart();
    let begun = Instant::now();
    let (reply, guard) = loop {
        // Until it has heard of both.
        if let Ok((reply, guard)) = b.begin("1/1").await
            && left(&reply, LimitKind::Tokens) < 800
        {
            break (reply, guard);
        }
        assert!(begun.elapsed() < PATIENCE, "the call is not known");
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(left(&reply, LimitKind::Parallel), 0);
    guard.scope().report_usage(&Usage::new(1, 0));
    guard.close(End::Success);
    long.scope().report_usage(&Usage::new(10, 20));
    long.close(End::Success);
    a.told().await;
    b.told().await;
    let (reply, _guard) = b.begin("1/1").await.unwrap();
    assert_eq!(left(&reply, LimitKind::Parallel), 1);
    assert!(left(&reply, LimitKind::Tokens) <= 1000 - 50 - 30 - 1 - 2);
}

#[tokio::test]
async fn keys_go_when_they_say_nothing_any_more() {
    let server = PrivateRedis::start();
    let limits = Limits::new().rate(Rate::requests(10, Duration::from_secs(1))).max_parallel(5);
    let gateway = gateway(&server, per_key(limits));
    let (_, guard) = gateway.begin("1/1").await.unwrap();
    // Longer than the time of the keys: the call lives, and so do they.
    sleep(3 * LEASE).await;
    assert_eq!(server.command(&["DBSIZE"]).as_i64(), Some(2));
    drop(guard);
    gateway.told().await;
    let begun = Instant::now();
    while server.command(&["DBSIZE"]).as_i64() != Some(0) {
        assert!(begun.elapsed() < PATIENCE, "keys stay: {}", server.command(&["KEYS", "*"]));
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn groups_count_each_by_themselves() {
    let server = PrivateRedis::start();
    let mut gateway = gateway(&server, per_key(requests(1)));
    gateway.send().await.unwrap();
    gateway.send().await.unwrap_err();
    gateway.layer = gateway
        .layer
        .group(|call| call.caller().organization_id().map(|id| format!("{id}}}{{").into()));
    gateway.send().await.unwrap();
    let keys = server.command(&["KEYS", "*org*"]);
    assert_eq!(keys[0], "ziggurat:limit:{org%7d%7b}:h:key:key-7");
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_decides_all_dimensions_of_a_call_on_one_node() {
    let server = PrivateRedis::cluster();
    let settings = Settings::new("127.0.0.1", server.port()).node("127.0.0.1", server.port());
    let store = LimitStore::new(Redis::connect(settings).unwrap()).lease(LEASE);
    let limits = || Limits::new().rpm(100).tpm(100_000).max_parallel(2);
    let rules = LimitRules::new()
        .each(By::Key, limits())
        .each(By::Team, limits())
        .each(By::KeyModel, limits());
    let limiter = Limiter::new();
    let layer = RateLimitLayer::new(limiter.clone(), rules)
        .outage(Outage::Refuse)
        .group(|call| call.caller().organization_id().map(Into::into))
        .shared(Arc::new(store.clone()));
    let mut gateway = Gateway { layer, limiter, store };
    for _ in 0..20 {
        let (one, two) = (gateway.begin("1/1").await.unwrap(), gateway.begin("1/1").await.unwrap());
        gateway.begin("1/1").await.unwrap_err();
        drop((one, two));
        gateway.told().await;
    }
    // Ends of several groups are told apart, since their keys are in several slots.
    let held: Vec<_> = {
        let numbers = AtomicUsize::new(0);
        gateway.layer = gateway
            .layer
            .group(move |_| Some(format!("{}", numbers.fetch_add(1, Ordering::Relaxed)).into()));
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(gateway.begin("1/1").await.unwrap());
        }
        held
    };
    sleep(2 * LEASE).await;
    drop(held);
    gateway.told().await;
    assert_eq!(gateway.limiter.in_flight(), 0);
}
