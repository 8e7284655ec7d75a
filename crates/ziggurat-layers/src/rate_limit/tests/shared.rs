//! The layer over limits that are shared, with a store by script.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use ziggurat_core::{ErrorKind, LimitState, RateLimits};

use super::*;
use crate::fake::{Dropped, busy, secs};

/// Answers as it is told to, and keeps what it is told.
#[derive(Default)]
struct Store(Mutex<Told>);

#[derive(Default)]
struct Told {
    answers: VecDeque<Result<Verdict, Unavailable>>,
    /// Asked, and not yet answered.
    waiting: Vec<oneshot::Sender<Result<Verdict, Unavailable>>>,
    asked: Vec<Arc<Lease>>,
    adopted: Vec<Arc<Lease>>,
    settled: Vec<(Arc<Lease>, Tokens)>,
}

impl SharedLimits for Store {
    fn acquire(&self, lease: Arc<Lease>) -> Acquire {
        let mut told = self.0.lock().unwrap();
        told.asked.push(lease);
        if let Some(answer) = told.answers.pop_front() {
            return Box::pin(ready(answer));
        }
        let (answer, answered) = oneshot::channel();
        told.waiting.push(answer);
        Box::pin(async move { answered.await.unwrap() })
    }

    fn adopt(&self, lease: Arc<Lease>) {
        self.0.lock().unwrap().adopted.push(lease);
    }

    fn settle(&self, lease: Arc<Lease>, used: Tokens) {
        self.0.lock().unwrap().settled.push((lease, used));
    }
}

impl Store {
    fn answer(&self, answer: Result<Verdict, Unavailable>) {
        let mut told = self.0.lock().unwrap();
        match told.waiting.pop() {
            Some(waiting) => drop(waiting.send(answer)),
            None => told.answers.push_back(answer),
        }
    }

    fn settled(&self) -> Vec<Tokens> {
        self.0.lock().unwrap().settled.iter().map(|(_, used)| *used).collect()
    }
}

fn granted(remaining: u64) -> Result<Verdict, Unavailable> {
    let mut left = RateLimits::default();
    left.tighten(LimitKind::Tokens, LimitState::new(1000, remaining, secs(1)));
    Ok(Verdict::Granted(left))
}

const AWAY: Result<Verdict, Unavailable> = Err(Unavailable { retry_after: Duration::from_secs(7) });

fn shared(limits: Limits) -> (Arc<Store>, Limiter, RateLimitLayer) {
    let (store, limiter) = (Arc::new(Store::default()), Limiter::new());
    let rules = LimitRules::new().each(By::Key, limits);
    let layer = RateLimitLayer::new(limiter.clone(), rules).estimator(sized).shared(store.clone());
    (store, limiter, layer)
}

#[tokio::test(start_paused = true)]
async fn the_store_decides_and_hears_of_the_end() {
    let (store, limiter, layer) = shared(Limits::new().tpm(1000).max_parallel(9));
    store.answer(granted(400));
    let provider = Provider::default();
    let (reply, guard) = begin(&layer, &provider, of("a", 100, 500)).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 400);
    assert_eq!(limiter.in_flight(), 1);
    end_with(guard, Some(Usage::new(90, 10)));
    assert_eq!(store.settled(), [Tokens::new(90, 10)]);
    let told = store.0.lock().unwrap();
    assert!(Arc::ptr_eq(&told.settled[0].0, &told.asked[0]));
    let lease = &told.asked[0];
    assert_eq!(
        (lease.id().len(), lease.group(), lease.tokens()),
        (32, None, Tokens::new(100, 500))
    );
    let dimension = lease.dimensions().next().unwrap();
    assert_eq!((dimension.name, dimension.key, dimension.of), ("key", "a", ""));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_store_reads_like_a_local_one() {
    let (store, limiter, layer) = shared(Limits::new().rpm(5).tpm(1000).max_parallel(9));
    let refused = |rate| {
        let left = RateLimits::default();
        Ok(Verdict::Refused { dimension: 0, rate, wait: secs(12), left })
    };
    let provider = Provider::default();
    for (rate, message) in [
        (
            Some(0),
            "the rate limit of 5 requests per minute is reached for the key `a`; it resets in 12 s",
        ),
        (
            Some(1),
            "the rate limit of 1000 tokens per minute is reached for the key `a`; it resets in 12 s",
        ),
        (None, "the limit of 9 parallel calls is reached for the key `a`"),
    ] {
        store.answer(refused(rate));
        let error = send(&layer, &provider, of("a", 1, 1)).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, message));
        assert!(error.retry_after().is_some());
    }
    assert_eq!((limiter.in_flight(), provider.count(), store.settled().len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_each_keeps_its_own_books() {
    let (store, limiter, layer) = shared(Limits::new().tpm(1000));
    let provider = Provider::default();
    // What the store has granted is known here.
    store.answer(granted(400));
    send(&layer, &provider, of("a", 300, 300)).await.unwrap();
    store.answer(AWAY);
    let (reply, guard) = begin(&layer, &provider, of("a", 100, 100)).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 200);
    store.answer(AWAY);
    let error = send(&layer, &provider, of("a", 100, 101)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    // The one that passed is told of, when the store is back.
    assert_eq!(store.0.lock().unwrap().adopted.len(), 1);
    end_with(guard, Some(Usage::new(1, 2)));
    assert_eq!(store.settled(), [Tokens::new(300, 300), Tokens::new(1, 2)]);
    assert_eq!(limiter.in_flight(), 0);
    // A share of the limits only.
    let layer = layer.outage(Outage::Local(10));
    for (input, passes) in [(90, true), (20, false), (10, true)] {
        store.answer(AWAY);
        assert_eq!(begin(&layer, &provider, of("b", input, 0)).await.0.is_ok(), passes, "{input}");
    }
}

#[tokio::test(start_paused = true)]
async fn or_nothing_passes_and_the_caller_is_told_when_to_come_back() {
    let (store, limiter, layer) = shared(Limits::new().tpm(1000));
    let layer = layer.outage(Outage::Refuse);
    store.answer(AWAY);
    let provider = Provider::default();
    let error = send(&layer, &provider, of("a", 1, 1)).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Overloaded, 503));
    assert_eq!(error.retry_after(), Some(secs(7)));
    assert_eq!((limiter.in_flight(), provider.count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_gives_back_at_every_point() {
    let (store, limiter, layer) = shared(Limits::new().tpm(1000));
    let never = Dropped::default();
    let futures = never.clone();
    let mut service = layer.layer(tower::service_fn(move |_: Call| futures.never()));
    // Never polled, and while the store is asked: that is the store's to undo.
    drop(service.call(of("a", 10, 10)));
    let mut asking = task::spawn(service.call(of("a", 10, 10)));
    assert_pending!(asking.poll());
    drop(asking);
    assert_eq!((limiter.in_flight(), never.count(), store.settled().len()), (0, 0, 0));
    assert!(store.0.lock().unwrap().waiting.iter().all(oneshot::Sender::is_closed));
    store.0.lock().unwrap().waiting.clear();
    // Granted, and on its way.
    store.answer(granted(1));
    let mut sent = task::spawn(service.call(of("a", 10, 10)));
    assert_pending!(sent.poll());
    assert_eq!(limiter.in_flight(), 1);
    drop(sent);
    assert_eq!((limiter.in_flight(), never.count()), (0, 1));
    assert_eq!(store.settled(), [Tokens::new(10, 10)], "it may have been billed");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_while_the_store_is_asked_gives_its_lease_back() {
    let (store, limiter, layer) = shared(Limits::new().tpm(1000));
    let mut service = layer.layer(Provider::default());
    let mut call = of("a", 10, 10);
    let (_, guard) = call.open_scope();
    let mut future = task::spawn(service.call(call));
    assert_pending!(future.poll());
    drop(guard);
    store.answer(granted(1));
    assert!(assert_ready_err!(future.poll()).is_cancelled());
    assert_eq!((limiter.in_flight(), store.settled()), (0, vec![Tokens::default()]));
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_polled_is_the_one_that_is_called() {
    let (store, _, layer) = shared(Limits::new().rpm(10));
    let (mut service, mut handle) = tower_test::mock::spawn_layer(layer);
    let _: &mut tower_test::mock::Handle<Call, Reply> = &mut handle;
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut future = task::spawn(service.call(of("a", 1, 1)));
    assert_pending!(future.poll());
    // The mock panics when one is called that was not asked whether it is ready.
    store.answer(granted(1));
    assert_pending!(future.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_error(busy());
    assert_eq!(assert_ready_err!(future.poll()).kind(), ErrorKind::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_not_asked() {
    let (store, _, layer) = shared(Limits::new().tpm(1000));
    let error = send(&layer, &Provider::default(), of("a", 1000, 1)).await.unwrap_err();
    assert_eq!((error.retry_after(), error.code()), (None, Some("rate_limit_too_small")));
    assert!(store.0.lock().unwrap().asked.is_empty());
}
