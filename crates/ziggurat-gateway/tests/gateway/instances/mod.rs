//! Two gateways in processes of their own, with one configuration and one Redis.

mod caches;
mod cool_downs;
mod limits;
mod load;
mod outages;
mod reloads;

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use ziggurat_core::Instant;
use ziggurat_testkit::redis::PrivateRedis;
use ziggurat_testkit::{FakeProvider, Script};

use crate::binary::{Process, file};
use crate::calls::{chat, streamed};
use crate::client::{Answer, Ask, Connection};

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at something that takes its time.
const LOOK: Duration = Duration::from_millis(10);

/// Two gateways, what they share, and the providers behind them.
struct Pair {
    one: Process,
    other: Process,
    redis: PrivateRedis,
    openai: FakeProvider,
    sibling: FakeProvider,
    path: String,
    _directory: TempDir,
}

impl Pair {
    /// Both serve the model `gpt`, by one provider, and `two`, by that and its sibling; `rest` is the rest of the file, in which
    /// `REDIS` is the URL of the Redis server.
    async fn start(rest: &str) -> Self {
        let redis = PrivateRedis::start();
        let openai = FakeProvider::openai().spawn().await;
        let sibling = FakeProvider::openai().spawn().await;
        let model = |name: &str, id: &str, provider: &FakeProvider| {
            format!(
                "- {{model_name: {name}, model_info: {{id: {id}}}, litellm_params: {{model: \
                 openai/gpt-4o, api_base: '{}', api_key: k}}}}\n",
                provider.base_url()
            )
        };
        let (directory, path) = file(&format!(
            "model_list:\n{}{}{}{}\n",
            model("gpt", "alone", &openai),
            model("two", "one-of-two", &openai),
            model("two", "sibling", &sibling),
            rest.replace("REDIS", &format!("'{}'", redis.url()))
        ));
        let args = ["--config", &path];
        // Nobody reads what they log, and a pipe that is full would hold them up.
        let env = [("RUST_LOG", "off")];
        let (one, other) = tokio::join!(Process::start(&args, &env), Process::start(&args, &env));
        Self { one, other, redis, openai, sibling, path, _directory: directory }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [self.one.address, self.other.address]
    }
}

/// Waits until it is so, by looks of its own.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < PATIENCE, "{what}: in vain");
        tokio::time::sleep(LOOK).await;
    }
}

async fn ask(address: SocketAddr) -> Answer {
    Ask::json(CHAT, &chat("gpt", "hi")).send(address).await
}

/// A stream that stays open until it is dropped; nothing when there is no place for it. From here on the provider finishes no
/// answer.
async fn hold(pair: &Pair, address: SocketAddr) -> Option<Connection> {
    pair.openai.always(Script::behave().stall_after(4));
    let mut held =
        Connection::ask(address, &Ask::json(CHAT, &streamed(chat("gpt", "one two")))).await;
    let head = held.until("\r\n\r\n").await;
    if head.starts_with("HTTP/1.1 200 ") {
        return Some(held);
    }
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    None
}

/// Streams that stay open, so many, as soon as there are places for them: how long it took until the last had one.
async fn hold_all(pair: &Pair, address: SocketAddr, number: usize) -> (Vec<Connection>, Duration) {
    let since = Instant::now();
    let mut held = Vec::new();
    while held.len() < number {
        match hold(pair, address).await {
            Some(one) => held.push(one),
            None => {
                assert!(since.elapsed() < PATIENCE, "only {} of {number} places", held.len());
                tokio::time::sleep(LOOK).await;
            }
        }
    }
    (held, since.elapsed())
}
