use std::net::TcpStream;

use nix::{errno::Errno, sys::signal, unistd::Pid};
use serde_json::{Value, json};

use super::PrivateRedis;

fn pid(redis: &PrivateRedis) -> Pid {
    let info = redis.command(&["INFO", "server"]);
    let info = info.as_str().unwrap();
    let id = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
    Pid::from_raw(id.trim().parse().unwrap())
}

#[test]
fn it_answers_and_two_of_them_share_nothing() {
    let (one, two) = (PrivateRedis::start(), PrivateRedis::start());
    assert_eq!(one.command(&["SET", "k", "v w"]), json!("OK"));
    assert_eq!(one.command(&["GET", "k"]), json!("v w"));
    assert_eq!(two.command(&["GET", "k"]), Value::Null);
    assert_eq!(one.command(&["RPUSH", "list", "a", ""]), json!(2));
    assert_eq!(one.command(&["LRANGE", "list", "0", "-1"]), json!(["a", ""]));
    assert_eq!(one.url(), format!("redis://127.0.0.1:{}", one.port()));
    assert_ne!(one.port(), two.port());
}

#[test]
#[should_panic(expected = "ERR unknown command")]
fn an_error_is_not_taken_for_an_answer() {
    PrivateRedis::start().command(&["NONSENSE"]);
}

#[test]
fn a_killed_server_is_gone_and_a_restarted_one_is_empty_on_the_same_port() {
    let mut redis = PrivateRedis::start();
    redis.command(&["SET", "k", "v"]);
    let (port, before) = (redis.port(), pid(&redis));
    redis.kill();
    assert!(TcpStream::connect(redis.address()).is_err());
    redis.kill();
    redis.restart();
    assert_eq!(redis.port(), port);
    assert_ne!(pid(&redis), before);
    assert_eq!(redis.command(&["GET", "k"]), Value::Null);
}

#[test]
fn a_paused_server_takes_connections_and_answers_when_it_goes_on() {
    let redis = PrivateRedis::start();
    redis.pause();
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| redis.command(&["ECHO", "late"]));
        assert!(TcpStream::connect(redis.address()).is_ok());
        assert!(!asked.is_finished());
        redis.resume();
        asked.join().unwrap()
    });
    assert_eq!(asked, "late");
}

#[test]
fn a_dropped_server_is_no_process_any_more_even_if_paused() {
    let redis = PrivateRedis::start();
    let pid = pid(&redis);
    assert_eq!(signal::kill(pid, None), Ok(()));
    redis.pause();
    drop(redis);
    assert_eq!(signal::kill(pid, None), Err(Errno::ESRCH));
}

#[test]
fn a_password_is_asked_for_and_is_in_the_url() {
    let redis = PrivateRedis::with_password("hunter2");
    assert_eq!(redis.command(&["PING"]), "PONG");
    assert_eq!(redis.url(), format!("redis://:hunter2@127.0.0.1:{}", redis.port()));
    let stranger =
        super::wire::Connection::open(redis.address(), None, std::time::Duration::from_secs(5));
    let refusal = stranger.unwrap().ask(&["PING"]).unwrap_err();
    assert!(refusal.to_string().starts_with("NOAUTH"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn paused_time_does_not_hurry_it() {
    let mut redis = PrivateRedis::start();
    redis.restart();
    assert_eq!(redis.command(&["PING"]), "PONG");
}

#[test]
fn a_cluster_refuses_what_needs_several_slots_and_is_one_again_after_a_restart() {
    let mut redis = PrivateRedis::cluster();
    assert_eq!(redis.command(&["MGET", "{a}1", "{a}2"]), json!([null, null]));
    let refused = std::panic::catch_unwind(|| redis.command(&["MGET", "a", "b"]));
    assert!(refused.is_err());
    redis.restart();
    let info = || redis.command(&["CLUSTER", "INFO"]).as_str().unwrap().to_owned();
    assert!(info().contains("cluster_slots_assigned:16384"), "{}", info());
}

#[test]
fn tls_is_spoken_on_a_port_of_its_own_for_a_hundred_years() {
    let redis = PrivateRedis::with_tls();
    assert_eq!(redis.command(&["PING"]), "PONG");
    assert!(TcpStream::connect(("127.0.0.1", redis.tls_port().unwrap())).is_ok());
    assert_eq!(PrivateRedis::start().tls_port(), None);
}

#[test]
fn a_server_whose_owner_was_killed_ends_too() {
    let mut redis = PrivateRedis::start();
    redis.owner_dies();
    assert!(TcpStream::connect(redis.address()).is_err());
}
