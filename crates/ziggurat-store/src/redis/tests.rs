use std::time::Duration;

use tokio::{net::TcpListener, time::sleep};
use ziggurat_core::{Instant, Secret};
#[cfg(feature = "tls")]
use ziggurat_testkit::redis::AUTHORITY;
use ziggurat_testkit::redis::PrivateRedis;

use super::{BadSettings, ErrorKind, Redis, Settings};

const PATIENCE: Duration = Duration::from_secs(10);
/// What is done without waiting for anybody takes less, on a busy machine too.
const AT_ONCE: Duration = Duration::from_millis(100);

fn settings(server: &PrivateRedis) -> Settings {
    Settings::from_url(&server.url()).unwrap()
}

fn redis(server: &PrivateRedis) -> Redis {
    Redis::connect(settings(server)).unwrap()
}

async fn get(redis: &Redis, key: &str) -> Result<Option<String>, super::Error> {
    redis.run(redis::cmd("GET").arg(key)).await
}

/// Polls until Redis answers again.
async fn back(redis: &Redis) -> Duration {
    let since = Instant::now();
    while redis.ping().await.is_err() {
        assert!(since.elapsed() < PATIENCE, "it never came back");
        sleep(Duration::from_millis(5)).await;
    }
    since.elapsed()
}

#[tokio::test]
async fn commands_and_scripts_are_answered() {
    let server = PrivateRedis::start();
    let redis = redis(&server);
    let mut set = redis::cmd("SET");
    set.arg("k").arg("v");
    redis.run::<()>(&set).await.unwrap();
    assert_eq!(get(&redis, "k").await.unwrap().as_deref(), Some("v"));
    redis.run::<()>(redis::cmd("SET").arg("n").arg(5)).await.unwrap();
    let script = redis::Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let mut invocation = script.key("n");
    invocation.arg(2);
    assert_eq!(redis.script::<i64>(&invocation).await.unwrap(), 7);
    // The server forgets its scripts: sent again, unseen.
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(redis.script::<i64>(&invocation).await.unwrap(), 9);
}

#[tokio::test]
async fn a_refusal_is_told_and_costs_no_connection() {
    let server = PrivateRedis::start();
    let redis = redis(&server);
    server.command(&["RPUSH", "list", "a"]);
    let refused = get(&redis, "list").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("WRONGTYPE"), "{refused}");
    assert!(redis.is_up());
}

#[tokio::test]
async fn a_gateway_starts_without_its_redis_and_finds_it_later() {
    let mut server = PrivateRedis::start();
    server.kill();
    let redis = redis(&server);
    assert!(!redis.is_up());
    assert_eq!(redis.ping().await.unwrap_err().kind(), ErrorKind::Away);
    server.restart();
    assert!(back(&redis).await < Duration::from_secs(3));
}

#[tokio::test]
async fn a_dead_redis_costs_no_time_and_comes_back_by_itself() {
    let mut server = PrivateRedis::start();
    let redis = redis(&server);
    redis.ping().await.unwrap();
    server.kill();
    // The first finds the connection broken; from then on nobody waits.
    assert!(redis.ping().await.is_err());
    while redis.ping().await.is_err_and(|error| error.kind() != ErrorKind::Away) {}
    let since = Instant::now();
    for _ in 0..1000 {
        assert_eq!(get(&redis, "k").await.unwrap_err().kind(), ErrorKind::Away);
    }
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    server.restart();
    assert!(back(&redis).await < Duration::from_secs(3));
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_three_times_and_then_not_at_all() {
    let server = PrivateRedis::start();
    let timeout = Duration::from_millis(100);
    let redis =
        Redis::connect(settings(&server).timeout(timeout).connect_timeout(timeout)).unwrap();
    redis.ping().await.unwrap();
    server.pause();
    for _ in 0..3 {
        let since = Instant::now();
        assert_eq!(redis.ping().await.unwrap_err().kind(), ErrorKind::Slow);
        assert!(since.elapsed() < timeout + AT_ONCE, "{:?}", since.elapsed());
    }
    let since = Instant::now();
    for _ in 0..1000 {
        assert_eq!(redis.ping().await.unwrap_err().kind(), ErrorKind::Away);
    }
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    server.resume();
    assert!(back(&redis).await < Duration::from_secs(3));
}

#[tokio::test]
async fn one_slow_answer_costs_no_connection() {
    let server = PrivateRedis::start();
    let redis = Redis::connect(settings(&server).timeout(Duration::from_millis(50))).unwrap();
    redis.ping().await.unwrap();
    server.pause();
    assert_eq!(redis.ping().await.unwrap_err().kind(), ErrorKind::Slow);
    assert!(redis.is_up());
    server.resume();
    back(&redis).await;
    let connections = server.command(&["INFO", "stats"]);
    // Ours, and one of each look: the one that started it, and this.
    assert!(connections.as_str().unwrap().contains("total_connections_received:3\r"));
}

#[tokio::test]
async fn an_idle_connection_that_broke_is_replaced_before_it_is_needed() {
    let mut server = PrivateRedis::start();
    let redis = redis(&server);
    redis.ping().await.unwrap();
    server.restart();
    let since = Instant::now();
    let number = || redis.connections_made();
    while number() < 2 || !redis.is_up() {
        assert!(since.elapsed() < PATIENCE, "nobody noticed");
        sleep(Duration::from_millis(5)).await;
    }
    redis.ping().await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_answers_is_waited_for_by_one_command() {
    // Takes connections, says nothing: as behind a firewall.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let redis = Redis::connect(
        Settings::new("127.0.0.1", port)
            .timeout(Duration::from_millis(50))
            .connect_timeout(PATIENCE),
    )
    .unwrap();
    let since = Instant::now();
    assert_eq!(redis.ping().await.unwrap_err().kind(), ErrorKind::Away);
    assert!(since.elapsed() >= Duration::from_millis(50));
    let since = Instant::now();
    for _ in 0..100 {
        assert_eq!(redis.ping().await.unwrap_err().kind(), ErrorKind::Away);
    }
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_command_that_is_given_up_leaves_the_connection_in_order() {
    let server = PrivateRedis::start();
    let redis = redis(&server);
    redis.ping().await.unwrap();
    server.pause();
    for key in ["a", "b"] {
        let get = get(&redis, key);
        tokio::select! {
            biased;
            _ = get => panic!("nobody answers"),
            () = sleep(Duration::from_millis(5)) => {}
        }
    }
    server.resume();
    // Answers go to those who asked for them.
    let set = server.command(&["SET", "mine", "7"]);
    assert_eq!(set, "OK");
    assert_eq!(get(&redis, "mine").await.unwrap().as_deref(), Some("7"));
    assert_eq!(redis.connections_made(), 1);
}

#[tokio::test]
async fn everything_ends_with_the_last_handle() {
    let server = PrivateRedis::start();
    let one = redis(&server);
    let two = one.clone();
    one.ping().await.unwrap();
    drop(one);
    two.ping().await.unwrap();
    drop(two);
    let since = Instant::now();
    let only_mine = "connected_clients:1\r";
    while !server.command(&["INFO", "clients"]).as_str().unwrap().contains(only_mine) {
        assert!(since.elapsed() < PATIENCE, "a connection is left");
        sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_handle_outlives_the_runtime_it_was_first_used_in() {
    let server = PrivateRedis::start();
    let redis = redis(&server);
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(back(&redis));
    }
}

#[tokio::test]
async fn a_password_is_sent_and_never_shown() {
    let server = PrivateRedis::with_password("hunter2");
    let good = redis(&server);
    good.ping().await.unwrap();
    let wrong = Settings::new("127.0.0.1", server.port())
        .username(Secret::new("hunter-user"))
        .password(Secret::new("hunter3"));
    let shown = format!("{good:?} {wrong:?} {wrong}");
    let wrong = Redis::connect(wrong).unwrap();
    let refused = wrong.ping().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Away);
    let shown = format!("{shown} {refused} {refused:?} {wrong:?}");
    assert!(!shown.contains("hunter") && shown.contains("127.0.0.1"), "{shown}");
    let separate = Settings::new("127.0.0.1", server.port()).password(Secret::new("hunter2"));
    Redis::connect(separate).unwrap().ping().await.unwrap();
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_is_spoken_with_whom_the_authority_vouches_for_and_nobody_else() {
    let server = PrivateRedis::with_tls();
    let url = format!("rediss://127.0.0.1:{}", server.tls_port().unwrap());
    let settings = Settings::from_url(&url).unwrap().authority_pem(AUTHORITY);
    let redis = Redis::connect(settings).unwrap();
    back(&redis).await;
    redis.run::<()>(redis::cmd("SET").arg("k").arg("v")).await.unwrap();
    assert_eq!(server.command(&["GET", "k"]), "v");
    let listening = redis.listen("channel").await;
    assert!(listening.is_ok());
    let stranger = Redis::connect(Settings::from_url(&url).unwrap()).unwrap();
    assert_eq!(stranger.ping().await.unwrap_err().kind(), ErrorKind::Away);
    for nothing in ["", "hello", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"] {
        let settings = Settings::from_url(&url).unwrap().authority_pem(nothing);
        assert_eq!(Redis::connect(settings).unwrap_err(), BadSettings::Authority);
    }
}

#[tokio::test]
async fn the_database_is_chosen() {
    let server = PrivateRedis::start();
    let third = Redis::connect(settings(&server).database(3)).unwrap();
    third.run::<()>(redis::cmd("SET").arg("k").arg("v")).await.unwrap();
    assert_eq!(get(&redis(&server), "k").await.unwrap(), None);
    let url = Settings::from_url(&format!("{}/3", server.url())).unwrap();
    let same = Redis::connect(url).unwrap();
    assert_eq!(get(&same, "k").await.unwrap().as_deref(), Some("v"));
}

#[test]
fn settings_that_cannot_work_are_refused_without_being_repeated() {
    for url in ["http://:hunter2@host", "hunter2", "redis://", "redis://:hunter2@host:99999"] {
        let refused = match Settings::from_url(url) {
            Ok(settings) => Redis::connect(settings).expect_err(url),
            Err(refused) => refused,
        };
        assert!(!refused.to_string().contains("hunter"), "{refused}");
    }
    assert_eq!(Redis::connect(Settings::new("", 1)).unwrap_err(), BadSettings::Host);
    let url = Settings::from_url("rediss://host").and_then(Redis::connect);
    let flag = Redis::connect(Settings::new("host", 1).tls(true));
    let expected = if cfg!(feature = "tls") { None } else { Some(BadSettings::NoTls) };
    assert_eq!((url.err(), flag.err()), (expected, expected));
    let cluster = Settings::new("a", 1).node("b", 2);
    assert_eq!(format!("{cluster:?}"), "Settings(a:1,b:2)");
    let expected =
        if cfg!(feature = "cluster") { BadSettings::Cluster } else { BadSettings::NoCluster };
    assert_eq!(Redis::connect(cluster.database(1)).unwrap_err(), expected);
}

#[test]
fn handles_may_be_shared() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn sendable<T: Send>(_: &T) {}
    let redis = Redis::connect(Settings::new("localhost", 6379)).unwrap();
    shared(&redis);
    sendable(&redis.ping());
}
