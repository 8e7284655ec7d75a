//! A store that others share, and what becomes of entries on the way there.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::time::{Instant, advance};
use tokio_test::{assert_ready, task};

use super::*;
use crate::fake::{read, secs};

/// A store in memory that can be away, and slow.
#[derive(Default)]
struct Shelf {
    values: Mutex<HashMap<Key, (Bytes, Instant)>>,
    state: Mutex<Shape>,
    gets: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Shape {
    #[default]
    Well,
    Away,
    Slow,
}

impl Shelf {
    fn is(&self, state: Shape) {
        *self.state.lock().unwrap() = state;
    }

    fn answer<T: Send + 'static>(&self, value: T) -> StoreFuture<T> {
        let state = *self.state.lock().unwrap();
        Box::pin(async move {
            match state {
                Shape::Well => Ok(value),
                Shape::Away => Err(StoreError::new("away")),
                Shape::Slow => {
                    tokio::time::sleep(secs(3600)).await;
                    Ok(value)
                }
            }
        })
    }

    fn values(&self) -> Vec<Bytes> {
        self.values.lock().unwrap().values().map(|(bytes, _)| bytes.clone()).collect()
    }
}

impl Store for Shelf {
    fn get(&self, key: Key) -> StoreFuture<Option<Bytes>> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        let values = self.values.lock().unwrap();
        let value = values.get(&key).filter(|(_, until)| *until > Instant::now());
        self.answer(value.map(|(bytes, _)| bytes.clone()))
    }

    fn put(&self, key: Key, value: Bytes, ttl: Duration) -> StoreFuture<()> {
        if *self.state.lock().unwrap() == Shape::Well {
            self.values.lock().unwrap().insert(key, (value, Instant::now() + ttl));
        }
        self.answer(())
    }

    fn delete(&self, keys: Vec<Key>) -> StoreFuture<u64> {
        let mut values = self.values.lock().unwrap();
        let deleted = keys.iter().filter(|key| values.remove(key).is_some()).count();
        self.answer(deleted as u64)
    }

    fn clear(&self) -> StoreFuture<()> {
        self.values.lock().unwrap().clear();
        self.answer(())
    }

    fn ping(&self) -> StoreFuture<()> {
        self.answer(())
    }
}

/// A gateway of its own over a shelf that it shares.
fn gateway(
    provider: &Provider,
    shelf: &Arc<Shelf>,
    local: bool,
    clock: &Clock,
) -> (Cache<Provider>, Arc<Caches>) {
    let caches = Caches::new().store(shelf.clone());
    let caches = Arc::new(if local { caches.local(1 << 20) } else { caches });
    let layer =
        CacheLayer::new(caches.clone()).dialects([OPENAI, ANTHROPIC]).ambient(clock.clone());
    (layer.layer(provider.clone()), caches)
}

/// Lets what was put go its way.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn gateways_share_what_one_of_them_was_answered() {
    let clock = Clock::default();
    for stream in [false, true] {
        for local in [false, true] {
            let turn = if stream { script(acts(true)).0 } else { whole() };
            let provider = Provider::of([Turn::Reply(from_openai(turn))]);
            let shelf = Arc::new(Shelf::default());
            let (one, _) = gateway(&provider, &shelf, local, &clock);
            let (two, caches) = gateway(&provider, &shelf, local, &clock);
            let (first, ..) = answer(&one, openai("Hello", stream)).await;
            settle().await;
            for _ in 0..2 {
                let (again, outcome, head) = answer(&two, openai("Hello", stream)).await;
                assert_eq!(first, again);
                assert!(head.cached);
                assert_eq!(head.model.as_deref(), Some("gpt-4.1"));
                assert_eq!((nanos(&outcome), outcome.tokens()), (Some(0), 9));
            }
            // From another dialect, without a word about which there are.
            assert!(answer(&two, anthropic("Hello", stream)).await.2.cached);
            assert_eq!(provider.calls(), 1);
            let gets = shelf.gets.load(Ordering::Relaxed);
            assert_eq!(gets, if local { 2 } else { 4 }, "a hit fills what stands in front");
            let stats = caches.stats();
            assert_eq!((stats.hits, stats.misses), (3, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_or_slow_is_a_miss() {
    for state in [Shape::Away, Shape::Slow] {
        let provider = Provider::default();
        let shelf = Arc::new(Shelf::default());
        let (cache, caches) = gateway(&provider, &shelf, false, &Clock::default());
        shelf.is(state);
        let begun = Instant::now();
        for _ in 0..2 {
            let (text, outcome, head) = answer(&cache, openai("Hello", false)).await;
            assert_eq!(text, WHOLE);
            assert!(!head.cached && outcome.is_success());
            assert!(begun.elapsed() <= Duration::from_millis(200), "{state:?}");
        }
        assert_eq!(provider.calls(), 2);
        caches.ping().await.unwrap_err();
        caches.clear().await.unwrap_err();
        caches.delete(&[Key::from_bytes([0; 32])]).await.unwrap_err();
        assert!(caches.stats().store_failures >= 2);
        shelf.is(Shape::Well);
        caches.ping().await.unwrap();
        answer(&cache, openai("Hello", false)).await;
        settle().await;
        assert!(answer(&cache, openai("Hello", false)).await.2.cached, "it came back by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_deleted_is_not_used_for_long() {
    let clock = Clock::default();
    let provider = Provider::default();
    let shelf = Arc::new(Shelf::default());
    let (one, _) = gateway(&provider, &shelf, true, &clock);
    let (_, two) = gateway(&provider, &shelf, true, &clock);
    let key = answer(&one, openai("Hello", false)).await.2.cache_key.unwrap();
    settle().await;
    assert_eq!(two.delete(&[key.parse().unwrap()]).await.unwrap(), 1);
    assert!(answer(&one, openai("Hello", false)).await.2.cached);
    advance(secs(60)).await;
    assert!(!answer(&one, openai("Hello", false)).await.2.cached);
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_as_old_as_its_answer_wherever_it_is() {
    let clock = Clock::default();
    clock.set(1000);
    let provider = Provider::default();
    let shelf = Arc::new(Shelf::default());
    let (one, _) = gateway(&provider, &shelf, true, &clock);
    let (two, _) = gateway(&provider, &shelf, true, &clock);
    answer(&one, openai("Hello", false)).await;
    settle().await;
    advance(secs(580)).await;
    clock.set(1580);
    let mut young = openai("Hello", false);
    young.controls_mut().cache.max_age = Some(secs(500));
    young.controls_mut().cache.no_store = true;
    assert!(!answer(&two, young).await.2.cached);
    assert!(answer(&two, openai("Hello", false)).await.2.cached);
    advance(secs(19)).await;
    assert!(answer(&two, openai("Hello", false)).await.2.cached);
    advance(secs(1)).await;
    clock.set(1600);
    assert!(!answer(&two, openai("Hello", false)).await.2.cached, "ten minutes in all");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_entry_is_a_miss() {
    let clock = Clock::default();
    let provider = Provider::default();
    let shelf = Arc::new(Shelf::default());
    let (one, _) = gateway(&provider, &shelf, false, &clock);
    answer(&one, openai("Hello", false)).await;
    settle().await;
    let good = shelf.values()[0].clone();
    let set = |bytes: Bytes| {
        for (value, _) in shelf.values.lock().unwrap().values_mut() {
            *value = bytes.clone();
        }
    };
    let bad: [Bytes; 5] = [
        Bytes::new(),
        Bytes::from_static(b"{\"timestamp\":1,\"response\":\"{}\"}"),
        good.slice(..good.len() - 1),
        good.slice(..8),
        Bytes::from(good.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()),
    ];
    for bytes in bad {
        set(bytes);
        let mut look = openai("Hello", false);
        look.controls_mut().cache.no_store = true;
        let (text, _, head) = answer(&one, look).await;
        assert_eq!((text.as_str(), head.cached), (WHOLE, false));
    }
    set(good);
    assert!(answer(&one, openai("Hello", false)).await.2.cached);
}

#[tokio::test(start_paused = true)]
async fn only_some_puts_are_under_way_at_once() {
    let provider = Provider::default();
    let shelf = Arc::new(Shelf::default());
    let (cache, caches) = gateway(&provider, &shelf, true, &Clock::default());
    shelf.is(Shape::Slow);
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for question in 0..200 {
        let mut call = openai(&question.to_string(), false);
        call.controls_mut().cache.no_cache = true;
        answer(&cache, call).await;
    }
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks() - before;
    assert!(alive <= 64, "{alive}");
    assert_eq!(caches.stats().store_failures, 200 - 64);
    tokio::time::sleep(secs(6)).await;
    settle().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn an_entry_survives_its_own_bytes() {
    let clock = Clock::default();
    clock.set(77);
    let (mut reply, _) = script(acts(true));
    reply.head_mut().losses.push(ziggurat_core::Loss::new(
        "seed",
        "no such field",
        ziggurat_core::LossAction::Dropped,
    ));
    reply.head_mut().deployment = Some("d-1".into());
    let provider = Provider::of([Turn::Reply(from_openai(reply))]);
    let shelf = Arc::new(Shelf::default());
    let (cache, _) = gateway(&provider, &shelf, false, &clock);
    let (reply, _) = ask(&cache, openai("Hello", true)).await;
    read(&mut reply.unwrap()).await;
    settle().await;
    let bytes = shelf.values()[0].clone();
    let entry = Entry::from_bytes(bytes.clone(), &[ANTHROPIC, OPENAI]).unwrap();
    assert_eq!(entry.to_bytes(), bytes);
    assert!(entry.is_streamed());
    assert_eq!((entry.dialect(), entry.created()), (OPENAI, secs(77)));
    assert_eq!(entry.usage().unwrap().total(), 9);
    assert!(Entry::from_bytes(bytes, &[ANTHROPIC]).is_none(), "a dialect that is not known");
    let (_, _, head) = answer(&cache, openai("Hello", true)).await;
    assert_eq!(head.losses[0].to_string(), "seed=dropped");
    assert_eq!(head.deployment.as_deref(), Some("d-1"));
}

/// Wherever a call is dropped, or its insides panic, it is gone: nobody finds its flight, and its books are closed.
#[tokio::test(start_paused = true)]
async fn no_flight_is_left_of_a_call_wherever_it_ends() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum At {
        Unpolled,
        InTheStore,
        Asking,
        Panicking,
        Unread,
        InTheMiddle,
        PanickingInTheMiddle,
    }
    use At::*;
    for at in [Unpolled, InTheStore, Asking, Panicking, Unread, InTheMiddle, PanickingInTheMiddle] {
        let mut acts: Vec<Act> = acts(true).into_iter().take(1).collect();
        acts.push(if at == PanickingInTheMiddle { Act::Panic } else { Act::Hang });
        let provider = match at {
            Asking => Provider::of([Turn::Never]),
            Panicking => Provider::of([Turn::Panic]),
            _ => Provider::streams(acts),
        };
        let shelf = Arc::new(Shelf::default());
        let (mut cache, caches) = gateway(&provider, &shelf, true, &Clock::default());
        if at == InTheStore {
            shelf.is(Shape::Slow);
        }
        let (call, guard, log) = opened(openai("Hello", true));
        let mut future = task::spawn(cache.call(call));
        assert_eq!(caches.stats().flights, 1, "{at:?}");
        let poll = AssertUnwindSafe(|| match at {
            Unpolled => {}
            InTheStore | Asking => assert!(future.poll().is_pending()),
            Panicking => drop(future.poll()),
            Unread | InTheMiddle | PanickingInTheMiddle => {
                let mut reply = close(assert_ready!(future.poll()), guard).unwrap();
                let reads = [Unread, InTheMiddle, PanickingInTheMiddle].iter();
                let mut cx = Context::from_waker(std::task::Waker::noop());
                for _ in 0..reads.take_while(|other| **other != at).count() {
                    drop(reply.poll_frame(&mut cx));
                }
            }
        });
        let panicked = catch_unwind(poll).is_err();
        assert_eq!(panicked, matches!(at, Panicking | PanickingInTheMiddle), "{at:?}");
        drop(future);
        assert_eq!(caches.stats().flights, 0, "{at:?}");
        let asked = usize::from(!matches!(at, Unpolled | InTheStore));
        assert_eq!(provider.calls(), asked, "{at:?}");
        let seen = provider.seen.lock().unwrap();
        assert!(seen.iter().all(|call| call.scope().unwrap().is_closed()), "{at:?}");
        if matches!(at, Asking | Unread | InTheMiddle | PanickingInTheMiddle) {
            assert_eq!(provider.dropped.count(), 1, "{at:?}");
        }
        drop(log);
    }
}
