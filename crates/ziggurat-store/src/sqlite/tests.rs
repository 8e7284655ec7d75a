use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ziggurat_core::{Ambient, Call, Caller, RawJson, Str};
use ziggurat_layers::conversation::{Owner, Store, Turn};

use super::{Bounds, Conversations, OpenError};

/// A clock that is set.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<AtomicU64>);

impl Ambient for Clock {
    fn unix_time(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        7
    }
}

fn owner(key: &str) -> Owner {
    let mut call = Call::chat("m");
    call.set_caller(Caller::new(Str::from(key)));
    Owner::of(&call)
}

fn raw(text: &str) -> RawJson {
    RawJson::parse(Str::from(text)).unwrap()
}

fn turn(id: &str, previous: Option<&str>) -> Turn {
    let mut turn = Turn::new(
        Str::from(id),
        raw(r#"[{"role":"user","content":"Hi"}]"#),
        raw(&format!(r#"{{"id":"{id}","output":[{{"id":"msg_{id}","type":"message"}}]}}"#)),
    );
    turn.previous = previous.map(Str::from);
    turn.items = vec![Str::from(format!("msg_{id}"))];
    turn
}

fn without_items(mut turn: Turn) -> Turn {
    turn.items.clear();
    turn
}

#[tokio::test]
async fn what_is_kept_is_found_by_its_owner_alone() {
    let store = Conversations::in_memory(Bounds::default());
    let (ann, bob) = (owner("ann"), owner("bob"));
    store.put(ann, turn("a", None)).await.unwrap();
    let found = store.get(ann, "a".into()).await.unwrap().unwrap();
    assert_eq!(found, without_items(turn("a", None)));
    assert_eq!(store.get(bob, "a".into()).await.unwrap(), None);
    assert_eq!(store.with_item(bob, "msg_a".into()).await.unwrap(), None);
    assert_eq!(store.with_item(ann, "msg_a".into()).await.unwrap().unwrap().id, "a");
    assert!(!store.delete(bob, "a".into()).await.unwrap());
    assert!(store.delete(ann, "a".into()).await.unwrap());
    assert!(!store.delete(ann, "a".into()).await.unwrap());
    assert_eq!(store.with_item(ann, "msg_a".into()).await.unwrap(), None);
}

#[tokio::test]
async fn a_thread_is_followed_to_its_beginning_or_to_what_is_gone() {
    let store = Conversations::in_memory(Bounds::default());
    let ann = owner("ann");
    for (id, previous) in [("a", None), ("b", Some("a")), ("c", Some("b"))] {
        store.put(ann, turn(id, previous)).await.unwrap();
    }
    let ids = async |id: &'static str| {
        let thread = store.thread(ann, id.into()).await.unwrap();
        thread.iter().map(|turn| turn.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids("c").await, ["c", "b", "a"]);
    store.delete(ann, "a".into()).await.unwrap();
    assert_eq!(ids("c").await, ["c", "b"]);
    assert!(ids("x").await.is_empty());
    // Whoever writes into the file can make a circle.
    store.put(ann, turn("a", Some("c"))).await.unwrap();
    assert_eq!(ids("c").await, ["c", "b", "a"]);
}

#[tokio::test]
async fn what_is_old_or_too_much_is_forgotten() {
    let clock = Clock::default();
    let one = turn("0", None);
    let size = (one.input.get().len() + one.response.get().len()) as u64;
    let bounds =
        Bounds::default().max_bytes(8 * size).keep(Duration::from_secs(100)).ambient(clock.clone());
    let store = Conversations::in_memory(bounds);
    let ann = owner("ann");
    let there = async |id: String| store.get(ann, id.into()).await.unwrap().is_some();
    for number in 0..9 {
        clock.0.store(number, Ordering::Relaxed);
        store.put(ann, turn(&number.to_string(), None)).await.unwrap();
    }
    // Of nine there is place for eight.
    assert!(!there("0".into()).await);
    assert!(there("1".into()).await);
    // In place of itself it takes no more.
    for _ in 0..20 {
        store.put(ann, turn("8", None)).await.unwrap();
    }
    assert!(there("1".into()).await);
    clock.0.store(103, Ordering::Relaxed);
    assert!(!there("2".into()).await);
    assert!(there("3".into()).await);
    assert_eq!(store.with_item(ann, "msg_2".into()).await.unwrap(), None);
    let large = raw(&format!("[\"{}\"]", "x".repeat(usize::try_from(size).unwrap())));
    let error = store.put(ann, Turn::new("l", large, raw("{}"))).await.unwrap_err();
    assert!(error.to_string().contains("are the most"), "{error}");
}

#[tokio::test]
async fn a_file_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.db");
    let ann = owner("ann");
    let store = Conversations::open(&path, Bounds::default()).unwrap();
    store.put(ann, turn("a", None)).await.unwrap();
    // Two at one file see each other.
    let again = Conversations::open(&path, Bounds::default()).unwrap();
    assert!(again.get(ann, "a".into()).await.unwrap().is_some());
    drop(store);
    drop(again);
    let again = Conversations::open(&path, Bounds::default()).unwrap();
    assert!(again.get(ann, "a".into()).await.unwrap().is_some());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.db");
    std::fs::write(&path, "this is a text and no database, whatever its name says").unwrap();
    let error = Conversations::open(&path, Bounds::default()).unwrap_err();
    assert!(error.to_string().contains("kept.db"), "{error}");
    let later = folder.path().join("later.db");
    let connection = rusqlite::Connection::open(&later).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Conversations::open(&later, Bounds::default()).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 99, .. }), "{error}");
    let nowhere = folder.path().join("no/such/folder/kept.db");
    assert!(Conversations::open(&nowhere, Bounds::default()).is_err());
}
