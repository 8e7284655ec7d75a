use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;
use tokio::time::sleep;
use ziggurat_core::Instant;
use ziggurat_layers::cache::{Key, Store};
use ziggurat_testkit::redis::PrivateRedis;

use super::CacheStore;
use crate::redis::{Redis, Settings};

const HOUR: Duration = Duration::from_secs(3600);

fn store(server: &PrivateRedis, prefix: &'static str, namespace: &str) -> CacheStore {
    let settings = Settings::from_url(&server.url()).unwrap().prefix(prefix);
    CacheStore::in_namespace(Redis::connect(settings).unwrap(), namespace)
}

fn key(number: usize) -> Key {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Key::from_bytes(bytes)
}

#[tokio::test]
async fn what_one_gateway_puts_another_gets_byte_by_byte() {
    let server = PrivateRedis::start();
    let (one, two) = (store(&server, "z:", ""), store(&server, "z:", ""));
    assert_eq!(one.get(key(1)).await.unwrap(), None);
    let value = Bytes::from_iter((0..=255).cycle().take(1 << 20));
    one.put(key(1), value.clone(), HOUR).await.unwrap();
    assert_eq!(two.get(key(1)).await.unwrap(), Some(value));
    one.put(key(1), Bytes::new(), HOUR).await.unwrap();
    assert_eq!(two.get(key(1)).await.unwrap(), Some(Bytes::new()));
    assert_eq!(server.command(&["KEYS", "*"]), json!([format!("z:cache::{}", key(1))]));
}

#[tokio::test]
async fn entries_live_as_long_as_was_said() {
    let server = PrivateRedis::start();
    let store = store(&server, "z:", "team");
    let name = format!("z:cache:team:{}", key(1));
    let left = || server.command(&["PTTL", &name]).as_i64().unwrap();
    store.put(key(1), "v".into(), HOUR).await.unwrap();
    assert!((3_590_000..=3_600_000).contains(&left()), "{}", left());
    store.put(key(1), "v".into(), Duration::MAX).await.unwrap();
    assert!(left() > 0);
    store.put(key(1), "v".into(), Duration::from_millis(30)).await.unwrap();
    let since = Instant::now();
    while store.get(key(1)).await.unwrap().is_some() {
        assert!(since.elapsed() < Duration::from_secs(5), "it never ended");
        sleep(Duration::from_millis(5)).await;
    }
    store.put(key(1), "v".into(), HOUR).await.unwrap();
    store.put(key(1), "v".into(), Duration::ZERO).await.unwrap();
    assert_eq!(store.get(key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn deleting_says_how_many_there_were() {
    let server = PrivateRedis::start();
    let store = store(&server, "z:", "");
    for number in 0..1300 {
        store.put(key(number), "v".into(), HOUR).await.unwrap();
    }
    assert_eq!(store.delete(Vec::new()).await.unwrap(), 0);
    assert_eq!(store.delete((100..5000).map(key).collect()).await.unwrap(), 1200);
    assert_eq!(server.command(&["DBSIZE"]), 100);
}

#[tokio::test]
async fn clearing_takes_what_is_ours_and_nothing_else() {
    let server = PrivateRedis::start();
    let ours = store(&server, "z[a]*:", "x");
    let namespace = store(&server, "z[a]*:", "xy");
    let neighbour = store(&server, "za1:", "x");
    for number in 0..1500 {
        ours.put(key(number), "v".into(), HOUR).await.unwrap();
    }
    namespace.put(key(0), "v".into(), HOUR).await.unwrap();
    neighbour.put(key(0), "v".into(), HOUR).await.unwrap();
    server.command(&["SET", "session:42", "somebody else's"]);
    ours.clear().await.unwrap();
    assert_eq!(ours.get(key(7)).await.unwrap(), None);
    assert!(neighbour.get(key(0)).await.unwrap().is_some());
    assert!(namespace.get(key(0)).await.unwrap().is_some());
    assert_eq!(server.command(&["DBSIZE"]), 3);
}

#[tokio::test]
async fn a_store_whose_redis_is_away_fails_and_is_an_object() {
    let mut server = PrivateRedis::start();
    let store: Arc<dyn Store> = Arc::new(store(&server, "z:", ""));
    store.ping().await.unwrap();
    server.kill();
    store.ping().await.unwrap_err();
    store.get(key(1)).await.unwrap_err();
    store.put(key(1), "v".into(), HOUR).await.unwrap_err();
    store.delete(vec![key(1)]).await.unwrap_err();
    store.clear().await.unwrap_err();
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_keeps_finds_and_clears_entries_of_all_its_slots() {
    let server = PrivateRedis::cluster();
    let settings = Settings::new("127.0.0.1", server.port()).node("127.0.0.1", server.port());
    let store = CacheStore::new(Redis::connect(settings).unwrap());
    for number in 0..200 {
        store.put(key(number), "v".into(), HOUR).await.unwrap();
    }
    assert_eq!(store.get(key(3)).await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(store.delete((0..100).map(key).collect()).await.unwrap(), 100);
    server.command(&["SET", "foreign", "v"]);
    store.clear().await.unwrap();
    assert_eq!(server.command(&["DBSIZE"]), 1);
}
