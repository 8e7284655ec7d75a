//! What a provider remembers: requests, connections, and clients that left early.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};

use crate::Script;

/// One request as it arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// What followed the `?`, if anything did.
    pub query: Option<String>,
    /// The headers, names in lower case.
    pub headers: HeaderMap,
    /// The body, transfer coding removed.
    pub body: Bytes,
    /// Which connection it came over, counted from 1.
    pub connection: u64,
}

impl Recorded {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If the body is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the recorded body is JSON")
    }

    /// A header's first value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// As `GET /__requests` shows it: headers of one name joined, the body as text, and as `json`
    /// too where it is.
    fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let values: Vec<_> = self
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            headers.insert(name.to_string(), values.join(", ").into());
        }
        json!({
            "method": self.method.as_str(),
            "path": self.path,
            "query": self.query,
            "headers": headers,
            "body": String::from_utf8_lossy(&self.body),
            "json": serde_json::from_slice::<Value>(&self.body).ok(),
            "connection": self.connection,
        })
    }
}

/// How many requests are kept unless the builder says otherwise; older ones go first.
pub(super) const KEPT_REQUESTS: usize = 4096;

/// The shared memory of a provider and its connections.
pub(super) struct Ledger {
    queue: Mutex<Queue>,
    requests: Mutex<VecDeque<Recorded>>,
    keep: usize,
    arrived: watch::Sender<u64>,
    /// One permit for every client that left in the middle and was not waited for yet.
    left: Semaphore,
    disconnects: AtomicUsize,
    connections: AtomicU64,
    open: AtomicUsize,
    sent: AtomicU64,
}

/// The scripts to come.
#[derive(Default)]
struct Queue {
    next: VecDeque<Script>,
    always: Option<Script>,
}

impl Ledger {
    pub(super) fn new(scripts: Vec<Script>, always: Option<Script>, keep: usize) -> Self {
        Self {
            queue: Mutex::new(Queue { next: scripts.into(), always }),
            requests: Mutex::default(),
            keep,
            arrived: watch::Sender::new(0),
            left: Semaphore::new(0),
            disconnects: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
        }
    }

    pub(super) fn queue(&self, script: Script) {
        lock(&self.queue).next.push_back(script);
    }

    pub(super) fn always(&self, script: Option<Script>) {
        lock(&self.queue).always = script;
    }

    pub(super) fn queued(&self) -> usize {
        lock(&self.queue).next.len()
    }

    /// Records a request: its number, and the script for it.
    pub(super) fn arrive(&self, request: &Recorded) -> (u64, Script) {
        let script = {
            let mut queue = lock(&self.queue);
            queue.next.pop_front().or_else(|| queue.always.clone()).unwrap_or_else(Script::behave)
        };
        if self.keep > 0 {
            let mut requests = lock(&self.requests);
            if requests.len() >= self.keep {
                requests.pop_front();
            }
            requests.push_back(request.clone());
        }
        let mut number = 0;
        self.arrived.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        (number, script)
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        lock(&self.requests).iter().cloned().collect()
    }

    pub(super) fn forget_requests(&self) {
        lock(&self.requests).clear();
    }

    pub(super) fn requests_json(&self) -> String {
        Value::from_iter(lock(&self.requests).iter().map(Recorded::to_json)).to_string()
    }

    pub(super) fn request_count(&self) -> u64 {
        *self.arrived.borrow()
    }

    pub(super) async fn wait_requests(&self, count: u64) {
        let mut arrived = self.arrived.subscribe();
        arrived.wait_for(|seen| *seen >= count).await.expect("the ledger holds the sender");
    }

    /// Counts a connection for as long as the guard lives.
    pub(super) fn connect(&self) -> (u64, Open<'_>) {
        self.open.fetch_add(1, Ordering::SeqCst);
        (self.connections.fetch_add(1, Ordering::SeqCst) + 1, Open(&self.open))
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn disconnect(&self) {
        self.disconnects.fetch_add(1, Ordering::SeqCst);
        self.left.add_permits(1);
    }

    pub(super) fn disconnects(&self) -> usize {
        self.disconnects.load(Ordering::SeqCst)
    }

    pub(super) async fn wait_disconnect(&self) {
        self.left.acquire().await.expect("the semaphore is never closed").forget();
    }

    pub(super) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

/// An open connection.
pub(super) struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A test that failed while it held the lock must not make the others fail too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
