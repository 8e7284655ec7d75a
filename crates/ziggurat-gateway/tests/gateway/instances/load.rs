//! Callers that ask without pause and note how each call ended.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use ziggurat_core::Instant;

use super::{CHAT, LOOK, PATIENCE};
use crate::calls::{chat, streamed};
use crate::client::Ask;

/// What is said in about a fifth of a second, in a dozen events.
const SAID: &str = "[slow:15] one two three four five six seven eight nine ten";

/// How calls ended, so far.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Streams that came to their end.
    pub(super) complete: AtomicUsize,
    /// Streams that broke off.
    pub(super) broken: AtomicUsize,
    /// Connections that were not made, or not answered.
    pub(super) unanswered: AtomicUsize,
    /// 429s.
    pub(super) refused: AtomicUsize,
    /// 503s that say when to come back.
    pub(super) unavailable: AtomicUsize,
    /// Whatever else was answered.
    pub(super) strange: Mutex<Vec<String>>,
    /// Streams that are surely in flight, and the most that ever were.
    inside: AtomicUsize,
    pub(super) most_inside: AtomicUsize,
    /// What the slowest took until it was answered, in milliseconds.
    pub(super) slowest: AtomicUsize,
}

/// Callers at work.
pub(super) struct Load {
    pub(super) ends: Arc<Ends>,
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    /// So many callers for each gateway.
    pub(super) fn start(addresses: [SocketAddr; 2], callers: usize) -> Self {
        let (ends, stop) = (Arc::<Ends>::default(), Arc::<AtomicBool>::default());
        let mut tasks = JoinSet::new();
        for address in addresses.into_iter().cycle().take(2 * callers) {
            let (ends, stop) = (Arc::clone(&ends), Arc::clone(&stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if ends.call(address).await.is_none() {
                        tokio::time::sleep(LOOK).await;
                    }
                }
            });
        }
        Self { ends, stop, callers: tasks }
    }

    /// Waits until so many more have come to their end.
    pub(super) async fn complete(&self, more: usize) {
        let goal = self.ends.complete.load(Ordering::Relaxed) + more;
        self.until(|ends| ends.complete.load(Ordering::Relaxed) >= goal).await;
    }

    pub(super) async fn until(&self, reached: impl Fn(&Ends) -> bool) {
        let since = Instant::now();
        while !reached(&self.ends) {
            assert!(since.elapsed() < PATIENCE, "{:?}", self.ends);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// No more calls; waits for those in flight.
    pub(super) async fn stop(mut self) -> Arc<Ends> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller.unwrap();
        }
        self.ends
    }
}

impl Ends {
    /// One call. `None` when there was no stream.
    async fn call(&self, address: SocketAddr) -> Option<()> {
        let since = Instant::now();
        let called = tokio::time::timeout(PATIENCE, self.stream(address, since));
        called.await.expect("a call ends")
    }

    async fn stream(&self, address: SocketAddr, since: Instant) -> Option<()> {
        let mut read = Vec::new();
        let Some(mut connection) = connect(address).await else {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        while !contains(&read, "\r\n\r\n") {
            if !matches!(connection.read_buf(&mut read).await, Ok(1..)) {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        }
        let took = usize::try_from(since.elapsed().as_millis()).unwrap();
        self.slowest.fetch_max(took, Ordering::Relaxed);
        if !read.starts_with(b"HTTP/1.1 200 ") {
            drop(connection.read_to_end(&mut read).await);
            let head = String::from_utf8_lossy(&read).into_owned();
            if head.starts_with("HTTP/1.1 429 ") {
                self.refused.fetch_add(1, Ordering::Relaxed);
            } else if head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: ") {
                self.unavailable.fetch_add(1, Ordering::Relaxed);
            } else {
                self.strange.lock().unwrap().push(head);
            }
            return None;
        }
        // From its first event to one before its last it is in flight whatever the gateway does between.
        let mut inside = None;
        loop {
            let events = String::from_utf8_lossy(&read).matches("data: ").count();
            if (1..8).contains(&events) {
                inside.get_or_insert_with(|| Inside::new(self));
            } else if events >= 8 {
                inside = None;
            }
            if !matches!(connection.read_buf(&mut read).await, Ok(1..)) {
                break;
            }
        }
        let complete = contains(&read, "data: [DONE]");
        let count = if complete { &self.complete } else { &self.broken };
        count.fetch_add(1, Ordering::Relaxed);
        Some(())
    }
}

async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let ask = Ask::json(CHAT, &streamed(chat("gpt", SAID)));
    stream.write_all(&ask.bytes()).await.ok()?;
    Some(stream)
}

fn contains(read: &[u8], text: &str) -> bool {
    read.windows(text.len()).any(|window| window == text.as_bytes())
}

/// One that is in flight.
struct Inside<'a>(&'a Ends);

impl<'a> Inside<'a> {
    fn new(ends: &'a Ends) -> Self {
        let now = ends.inside.fetch_add(1, Ordering::SeqCst) + 1;
        ends.most_inside.fetch_max(now, Ordering::SeqCst);
        Self(ends)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is asserted of a number.
pub(super) fn count(number: &AtomicUsize) -> usize {
    number.load(Ordering::Relaxed)
}

/// Asserts that nothing else was answered than what the test knows of.
#[track_caller]
pub(super) fn nothing_strange(ends: &Ends) {
    let strange = ends.strange.lock().unwrap();
    assert!(strange.is_empty(), "{:?}", strange.first());
}

/// How long the slowest call may wait for its answer, with a Redis that is asked in vain: far less than the provider's deadline, far
/// more than a busy machine needs.
pub(super) const SLOW: Duration = Duration::from_secs(5);
