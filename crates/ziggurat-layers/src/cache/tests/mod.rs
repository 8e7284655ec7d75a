//! What the tests of the cache share: conversations in two dialects, a provider that answers them, callers.

mod flights;
mod kept;
mod stores;

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Ambient, Call, CallHead, Caller, Cost, CutOptions, Dialect, Error, Frame, Frames, Guard,
    Operation, Outcome, Payload, Price, Reply, ReplyBody, ReplyHead, Settle, Settlement, Str,
    Ticket,
};
use ziggurat_dialects::{ANTHROPIC, OPENAI};

use super::*;
use crate::fake::{Act, Dropped, close, script};

const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"gpt","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

const CHUNKS: [&str; 5] = [
    r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}"#,
    r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#,
    r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
    "[DONE]",
];

const USAGE: usize = 3;

fn chunk(index: usize) -> String {
    format!("data: {}\n\n", CHUNKS[index])
}

fn all_chunks() -> String {
    (0..CHUNKS.len()).map(chunk).collect()
}

/// The stream's frames, one for each chunk, as a transport cuts them.
fn frames(withhold: bool) -> Vec<Frame> {
    let mut cutter = OPENAI.cutter(&CutOptions::default().withhold_usage(withhold));
    let mut frames = Vec::new();
    for index in 0..CHUNKS.len() {
        cutter.push(Bytes::from(chunk(index)));
        frames.extend(std::iter::from_fn(|| cutter.next_frame().unwrap()));
    }
    frames
}

fn acts(withhold: bool) -> Vec<Act> {
    frames(withhold).into_iter().map(Act::Frame).collect()
}

fn from_openai(mut reply: Reply) -> Reply {
    reply.head_mut().dialect = Some(OPENAI);
    reply.head_mut().model = Some("gpt-4.1".into());
    reply
}

fn whole() -> Reply {
    let body = ReplyBody::Whole(Bytes::from_static(WHOLE.as_bytes()));
    from_openai(Reply::new(ReplyHead::default(), body))
}

/// What only the one who asked is told.
fn said_to_one(head: &mut ReplyHead) {
    head.request_id = Some("req-1".into());
    head.provider_time = Some(Duration::from_millis(7));
    let left = ziggurat_core::LimitState::new(9, 8, Duration::from_secs(1));
    head.limits.tighten(ziggurat_core::LimitKind::Requests, left);
    head.headers.insert("x-ratelimit-remaining-requests", HeaderValue::from_static("8"));
    head.headers.insert("openai-organization", HeaderValue::from_static("o"));
}

fn assert_is_told_nothing(head: &ReplyHead) {
    assert!(head.cached);
    assert_eq!((head.attempts, &head.request_id, head.provider_time), (0, &None, None));
    assert!(head.headers.is_empty() && head.limits.is_empty());
    assert_eq!(head.model.as_deref(), Some("gpt-4.1"), "who answered is told");
}

fn openai(question: &str, stream: bool) -> Call {
    let body = format!(
        r#"{{"model":"gpt","max_tokens":9,"stream":{stream},"messages":[{{"role":"user","content":"{question}"}}]}}"#
    );
    wire(OPENAI, body, stream)
}

fn openai_with_usage(question: &str) -> Call {
    let body = format!(
        r#"{{"model":"gpt","max_tokens":9,"stream":true,"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"{question}"}}]}}"#
    );
    wire(OPENAI, body, true)
}

fn anthropic(question: &str, stream: bool) -> Call {
    let body = format!(
        r#"{{"messages":[{{"content":[{{"type":"text","text":"{question}"}}],"role":"user"}}],"model":"gpt","max_tokens":9,"stream":{stream}}}"#
    );
    wire(ANTHROPIC, body, stream)
}

fn wire(dialect: Dialect, body: String, stream: bool) -> Call {
    with_headers(dialect, body, stream, HeaderMap::new())
}

fn with_headers(dialect: Dialect, body: String, stream: bool, headers: HeaderMap) -> Call {
    let id = Str::from("call");
    let uri = Uri::from_static("/v1/x");
    let head = CallHead::new(Method::POST, uri, headers, Some(dialect), id.clone(), id);
    let payload = Payload::wire(dialect, Operation::Chat, Bytes::from(body)).unwrap();
    let mut call = Call::new(Arc::new(head), "gpt", stream, payload);
    call.set_caller(Caller::new("key-1"));
    call
}

fn by(mut call: Call, key: &str) -> Call {
    call.set_caller(Caller::new(key));
    call
}

/// Answers calls by script, and with the whole answer when there is nothing in it. Its attempts have a price.
#[derive(Clone, Default)]
struct Provider {
    calls: Arc<AtomicUsize>,
    script: Arc<Mutex<VecDeque<Turn>>>,
    dropped: Dropped,
    seen: Arc<Mutex<Vec<Call>>>,
    read: Arc<AtomicUsize>,
}

struct Counting {
    inner: Box<dyn Frames>,
    count: Arc<AtomicUsize>,
}

impl Frames for Counting {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.poll_frame(cx)
    }
}

#[allow(clippy::large_enum_variant)]
enum Turn {
    Reply(Reply),
    Fail(Error),
    Later(tokio::sync::oneshot::Receiver<Result<Reply, Error>>),
    Never,
    Panic,
}

impl Provider {
    fn of(turns: impl IntoIterator<Item = Turn>) -> Self {
        let provider = Self::default();
        provider.script.lock().unwrap().extend(turns);
        provider
    }

    fn streams(acts: impl IntoIterator<Item = Act>) -> Self {
        let (reply, dropped) = script(acts);
        Self { dropped, ..Self::of([Turn::Reply(from_openai(reply))]) }
    }

    /// A stream whose frames are counted when they are read.
    fn counted(acts: impl IntoIterator<Item = Act>) -> Self {
        let provider = Self::default();
        let (mut reply, _) = script(acts);
        let count = provider.read.clone();
        reply.wrap_frames(|inner| Counting { inner, count });
        provider.script.lock().unwrap().push_back(Turn::Reply(from_openai(reply)));
        provider
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Service<Call> for Provider {
    type Response = Reply;
    type Error = Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.seen.lock().unwrap().push(call.clone());
        let attempt = call.scope().map(|scope| scope.attempt().unwrap());
        let turn = self.script.lock().unwrap().pop_front();
        let dropped = self.dropped.clone();
        Box::pin(async move {
            let scope = attempt.as_ref().map(Guard::scope);
            if let Some(scope) = &scope {
                scope.set_deployment("d".into());
                let price = ziggurat_core::NanoDollars(1_000_000);
                scope.set_price(&Price::per_million(price, price));
            }
            let result = match turn {
                None => Ok(whole()),
                Some(Turn::Reply(reply)) => Ok(reply),
                Some(Turn::Fail(error)) => Err(error),
                Some(Turn::Later(later)) => later.await.unwrap_or_else(|_| Err(Error::closed())),
                Some(Turn::Never) => dropped.never().await,
                Some(Turn::Panic) => panic!("a layer fails"),
            };
            if let (Ok(reply), Some(scope)) = (&result, &scope)
                && let ReplyBody::Whole(bytes) = reply.body()
                && let Some(usage) = OPENAI.glance(Operation::Chat, bytes).usage
            {
                scope.report_usage(&usage);
            }
            match attempt {
                Some(attempt) => close(result, attempt),
                None => result,
            }
        })
    }
}

/// A cache over a provider, and its state.
fn cached(provider: &Provider) -> (Cache<Provider>, Arc<Caches>) {
    let caches = Arc::new(Caches::new().local(1 << 20));
    (CacheLayer::new(caches.clone()).layer(provider.clone()), caches)
}

/// Asks as a front door does, under a settlement.
async fn ask(cache: &Cache<Provider>, call: Call) -> (Result<Reply, Error>, Arc<Log>) {
    let (call, guard, log) = opened(call);
    let result = cache.clone().oneshot(call).await;
    (close(result, guard), log)
}

fn opened(mut call: Call) -> (Call, Guard, Arc<Log>) {
    let log = Arc::new(Log::default());
    let guard = Settlement::open();
    guard.scope().register(log.clone(), Ticket::default()).unwrap();
    call.set_scope(guard.scope());
    (call, guard, log)
}

/// What a caller of this dialect reads, as a front door writes it, and how the call was settled.
async fn answer(cache: &Cache<Provider>, call: Call) -> (String, Outcome, ReplyHead) {
    let dialect = call.dialect().unwrap();
    let wants = call.payload().member("stream_options").is_some();
    let (reply, log) = ask(cache, call).await;
    let mut reply = reply.unwrap();
    let head = reply.head().clone();
    let text = written(&mut reply, dialect, wants).await.unwrap();
    (text, log.outcome(), head)
}

/// Reads a reply as a front door does: bytes as they are for a caller of their dialect, encoded for others.
async fn written(reply: &mut Reply, dialect: Dialect, wants: bool) -> Result<String, Error> {
    let mut asked = ziggurat_core::Ask::new(Operation::Chat, "gpt");
    asked.stream_usage = wants;
    let same = reply.head().dialect == Some(dialect);
    if !reply.is_streamed() {
        let theirs = reply.head().dialect.unwrap();
        let bytes = match reply.take_body() {
            ReplyBody::Whole(bytes) if same => bytes,
            ReplyBody::Whole(bytes) => {
                let answer = theirs.decode_reply(Operation::Chat, &bytes, &Default::default());
                dialect.encode_reply(&answer?, &asked, &mut Default::default())?
            }
            ReplyBody::Answer(answer) => {
                dialect.encode_reply(&answer, &asked, &mut Default::default())?
            }
            other => panic!("{other:?}"),
        };
        return Ok(String::from_utf8(bytes.to_vec()).unwrap());
    }
    if !same {
        reply.events();
    }
    let decodes = reply.frames_mut().unwrap().decodes();
    let mut encoder = dialect.encoder(&asked);
    let mut out = Vec::new();
    while let Some(frame) = crate::fake::next(reply).await {
        let frame = frame?;
        let before = out.len();
        for event in frame.events().unwrap_or_default() {
            encoder.encode(event, &mut out);
        }
        if same && !(decodes && frame.is_changed()) {
            out.truncate(before);
            out.extend_from_slice(frame.bytes());
        }
    }
    Ok(String::from_utf8(out).unwrap())
}

#[derive(Default)]
struct Log(Mutex<Vec<Outcome>>);

impl Settle for Log {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        self.0.lock().unwrap().push(outcome.clone());
    }
}

impl Log {
    fn outcome(&self) -> Outcome {
        let outcomes = self.0.lock().unwrap();
        assert_eq!(outcomes.len(), 1, "settled exactly once");
        outcomes[0].clone()
    }

    fn is_open(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

fn nanos(outcome: &Outcome) -> Option<u64> {
    outcome.cost.map(|cost| cost.total().0)
}

/// Wall time that a test sets.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<Mutex<Duration>>);

impl Clock {
    fn set(&self, secs: u64) {
        *self.0.lock().unwrap() = Duration::from_secs(secs);
    }
}

impl Ambient for Clock {
    fn unix_time(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn random(&self) -> u64 {
        7
    }
}
