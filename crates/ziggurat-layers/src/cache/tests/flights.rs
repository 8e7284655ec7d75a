//! One call for all who ask the same at one time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use tokio::sync::oneshot;
use tokio_test::task;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use ziggurat_core::{End, ErrorKind, Usage};

use super::*;
use crate::fake::{busy, next, read, secs};

type Answer = oneshot::Sender<Result<Reply, Error>>;

fn later() -> (Answer, Turn) {
    let (answer, later) = oneshot::channel();
    (answer, Turn::Later(later))
}

#[tokio::test(start_paused = true)]
async fn a_hundred_equal_calls_go_upstream_once() {
    for stream in [false, true] {
        let (answer, turn) = later();
        let provider = Provider::of([turn]);
        let (cache, caches) = cached(&provider);
        let mut asking = Vec::new();
        for index in 0..100 {
            let call = match (index % 3, stream) {
                (0, _) => openai("Hello", stream),
                (1, true) => openai_with_usage("Hello"),
                _ => anthropic("Hello", stream),
            };
            let dialect = call.dialect().unwrap();
            let wants = call.payload().member("stream_options").is_some();
            let (call, guard, log) = opened(call);
            let cache = cache.clone();
            asking.push(tokio::spawn(async move {
                let mut reply = close(cache.oneshot(call).await, guard).unwrap();
                let cached = reply.head().cached;
                let text = written(&mut reply, dialect, wants).await.unwrap();
                drop(reply);
                (dialect, wants, text, cached, log.outcome())
            }));
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let reply = if stream { script(acts(true)).0 } else { whole() };
        answer.send(Ok(from_openai(reply))).unwrap();
        let (mut paid, mut live) = (0, 0);
        for asked in asking {
            let (dialect, wants, text, cached, outcome) = asked.await.unwrap();
            assert!(outcome.is_success());
            assert_eq!(outcome.tokens(), 9);
            assert_eq!((outcome.cached, nanos(&outcome) == Some(0)), (cached, cached));
            paid += nanos(&outcome).unwrap();
            live += usize::from(!cached);
            match (dialect == OPENAI, stream, wants) {
                (true, false, _) => assert_eq!(text, WHOLE),
                (true, true, true) => assert_eq!(text, all_chunks()),
                (true, true, false) => assert_eq!(text, all_chunks().replace(&chunk(USAGE), "")),
                (false, ..) => assert!(text.contains(r#""output_tokens":2"#), "{text}"),
            }
        }
        assert_eq!((provider.calls(), paid, live), (1, 9, 1));
        let stats = caches.stats();
        assert_eq!((stats.misses, stats.shared, stats.stored), (1, 99, 1));
        assert_eq!(caches.stats().flights, 0);
    }
}

/// Who asked for usage does not decide what the others see of it.
#[tokio::test(start_paused = true)]
async fn each_follower_sees_of_usage_what_it_asked_for() {
    for first_asks in [false, true] {
        let provider = Provider::streams(acts(!first_asks));
        let (cache, _) = cached(&provider);
        let calls = match first_asks {
            true => [openai_with_usage("x"), openai("x", true)],
            false => [openai("x", true), openai_with_usage("x")],
        };
        let mut replies = Vec::new();
        for call in calls {
            let wants = call.payload().member("stream_options").is_some();
            replies.push((wants, ask(&cache, call).await));
        }
        for (wants, (reply, log)) in replies {
            let text = written(&mut reply.unwrap(), OPENAI, wants).await.unwrap();
            let without = all_chunks().replace(&chunk(USAGE), "");
            assert_eq!(text, if wants { all_chunks() } else { without });
            assert_eq!(log.outcome().tokens(), 9);
        }
        assert_eq!(provider.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_flight_ends_when_the_last_follower_leaves() {
    // Before there is an answer.
    let provider = Provider::of([Turn::Never]);
    let (cache, caches) = cached(&provider);
    let (one, guard_one, log_one) = opened(openai("Hello", false));
    let (two, guard_two, _log) = opened(openai("Hello", false));
    let mut one = task::spawn(cache.clone().oneshot(one));
    let mut two = task::spawn(cache.clone().oneshot(two));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    drop(one);
    drop(guard_one);
    assert!(matches!(log_one.outcome().end, End::Cancelled));
    assert_eq!(provider.dropped.count(), 0, "somebody still waits");
    drop(two);
    assert_eq!(provider.dropped.count(), 1);
    drop(guard_two);
    assert_eq!(caches.stats().flights, 0);

    // In the middle of it.
    let mut begun = acts(true);
    begun.truncate(1);
    begun.push(Act::Hang);
    let provider = Provider::streams(begun);
    let (cache, caches) = cached(&provider);
    let (one, log_one) = ask(&cache, openai("Hello", true)).await;
    let (two, log_two) = ask(&cache, openai("Hello", true)).await;
    let (mut one, mut two) = (one.unwrap(), two.unwrap());
    next(&mut one).await.unwrap().unwrap();
    drop(one);
    assert!(matches!(log_one.outcome().end, End::Cancelled));
    assert_eq!(nanos(&log_one.outcome()), Some(0), "whoever stays pays");
    assert_eq!(provider.dropped.count(), 0);
    next(&mut two).await.unwrap().unwrap();
    drop(two);
    assert_eq!(provider.dropped.count(), 1);
    let outcome = log_two.outcome();
    assert!(matches!(outcome.end, End::Cancelled));
    assert_eq!(nanos(&outcome), Some(1), "what was produced is paid");
    assert_eq!(outcome.deployment, None);
    assert_eq!(outcome.attempts[0].deployment.as_deref(), Some("d"));
    assert_eq!(caches.stats().flights, 0);
    assert_eq!(caches.stats().stored, 0);
}

/// Spend was lost when the client hung up.
#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_pays_for_what_was_produced() {
    let mut begun = acts(true);
    begun.truncate(2);
    begun.push(Act::Hang);
    let provider = Provider::streams(begun);
    let (cache, _) = cached(&provider);
    let (reply, log) = ask(&cache, openai("Hello", true)).await;
    let mut reply = reply.unwrap();
    next(&mut reply).await.unwrap().unwrap();
    next(&mut reply).await.unwrap().unwrap();
    assert!(log.is_open());
    drop(reply);
    let outcome = log.outcome();
    assert!(matches!(outcome.end, End::Cancelled));
    assert_eq!((outcome.tokens(), nanos(&outcome)), (2, Some(2)));
    assert_eq!(provider.dropped.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_flight_goes_on_when_whoever_began_it_leaves() {
    let mut acts = acts(true);
    acts.insert(1, Act::Wait(secs(1)));
    let provider = Provider::streams(acts);
    let (cache, caches) = cached(&provider);
    let (one, log_one) = ask(&cache, openai("Hello", true)).await;
    let (two, log_two) = ask(&cache, openai("Hello", true)).await;
    let mut one = one.unwrap();
    next(&mut one).await.unwrap().unwrap();
    // It drives: it polls, and waits.
    let mut waiting = task::spawn(next(&mut one));
    assert_pending!(waiting.poll());
    drop(waiting);
    drop(one);
    let (frames, error) = read(&mut two.unwrap()).await;
    assert!(error.is_none());
    assert_eq!(frames.concat(), all_chunks().replace(&chunk(USAGE), "").as_bytes());
    assert_eq!(nanos(&log_one.outcome()), Some(0));
    let heir = log_two.outcome();
    assert_eq!((nanos(&heir), heir.cached), (Some(9), false), "somebody pays, once");
    assert_eq!((provider.calls(), caches.stats().stored), (1, 1));
}

/// Whoever stays pays, and is not told that it came for nothing.
#[tokio::test(start_paused = true)]
async fn the_mark_of_a_cache_and_the_cost_agree() {
    let (answer, turn) = later();
    let provider = Provider::of([turn]);
    let (cache, _) = cached(&provider);
    let mut asking: VecDeque<_> = (0..3)
        .map(|_| {
            let (call, guard, log) = opened(openai("Hello", false));
            let mut future = task::spawn(cache.clone().oneshot(call));
            assert_pending!(future.poll());
            (future, guard, log)
        })
        .collect();
    drop(asking.pop_front());
    answer.send(Ok(whole())).unwrap();
    for (live, (mut future, guard, log)) in [true, false].into_iter().zip(asking) {
        let mut reply = close(Ok(assert_ready_ok!(future.poll())), guard).unwrap();
        drop(reply.take_body());
        let outcome = log.outcome();
        assert_eq!((reply.head().cached, outcome.cached), (!live, !live));
        assert_eq!(nanos(&outcome), Some(if live { 9 } else { 0 }));
    }
    assert_eq!(provider.calls(), 1);
}

/// A team shares answers, but not what a model says that only some of them may use.
#[tokio::test(start_paused = true)]
async fn what_another_model_answered_is_for_the_key_that_asked() {
    let ways = |key: &str, stream| {
        let mut call = by(openai("Hello", stream), key);
        let caller = if key.is_empty() { Caller::anonymous() } else { Caller::new(key) };
        call.set_caller(caller.team("t"));
        call
    };
    for stream in [false, true] {
        let (answer, turn) = later();
        let reply = || if stream { from_openai(script(acts(true)).0) } else { whole() };
        let turns = (0..3).map(|_| Turn::Reply(reply()));
        let provider = Provider::of([turn].into_iter().chain(turns));
        let caches = Arc::new(Caches::new().local(1 << 20));
        let layer = CacheLayer::new(caches.clone()).scope(CacheScope::Team);
        let cache = layer.layer(provider.clone());
        let mut asking: Vec<_> = ["1", "1", "2", ""]
            .map(|key| task::spawn(cache.clone().oneshot(ways(key, stream))))
            .into();
        for future in &mut asking {
            assert_pending!(future.poll());
        }
        assert_eq!((provider.calls(), caches.stats().flights), (1, 1));
        let mut other = reply();
        other.head_mut().fallbacks = 1;
        other.head_mut().group = Some("other".into());
        answer.send(Ok(other)).unwrap();
        let replies: Vec<Reply> =
            asking.iter_mut().map(|future| assert_ready_ok!(future.poll())).collect();
        let heads = replies.iter().map(Reply::head);
        let heads = heads.map(|head| (head.fallbacks, head.group.is_some(), head.cached));
        let heads: Vec<_> = heads.collect();
        drop(replies);
        let (live, shared, own) = ((1, true, false), (1, true, true), (0, false, false));
        assert_eq!(heads, [live, shared, own, own], "streamed: {stream}");
        assert_eq!(provider.calls(), 3);
        let stats = caches.stats();
        assert_eq!((stats.stored, stats.flights), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn followers_are_not_told_what_was_said_to_another() {
    for stream in [false, true] {
        let mut reply = if stream { from_openai(script(acts(true)).0) } else { whole() };
        said_to_one(reply.head_mut());
        let (answer, turn) = later();
        let provider = Provider::of([turn]);
        let (cache, _) = cached(&provider);
        let mut one = task::spawn(cache.clone().oneshot(openai("Hello", stream)));
        let mut two = task::spawn(cache.clone().oneshot(anthropic("Hello", stream)));
        assert_pending!(one.poll());
        assert_pending!(two.poll());
        answer.send(Ok(reply)).unwrap();
        let (one, two) = (assert_ready_ok!(one.poll()), assert_ready_ok!(two.poll()));
        assert!(one.head().request_id.is_some() && !one.head().headers.is_empty());
        assert_is_told_nothing(two.head());
    }
}

/// Nobody waits for a flight that gives up earlier than they would.
#[tokio::test(start_paused = true)]
async fn a_flight_that_is_soon_too_late_is_not_shared_by_those_who_have_time() {
    let provider = Provider::of([Turn::Never, Turn::Never, Turn::Never]);
    let (cache, caches) = cached(&provider);
    let now = ziggurat_core::Instant::now();
    let until = |time: Option<u64>| {
        let mut call = openai("x", false);
        if let Some(time) = time {
            call.set_deadline(now + secs(time));
        }
        call
    };
    let mut waiting = Vec::new();
    let mut flights = 0;
    for (time, alone) in
        [(Some(10), true), (Some(20), false), (Some(3), false), (Some(21), true), (None, true)]
    {
        let mut future = task::spawn(cache.clone().oneshot(until(time)));
        assert_pending!(future.poll());
        waiting.push(future);
        flights += usize::from(alone);
        assert_eq!(provider.calls(), flights, "{time:?}");
    }
    drop(waiting);
    assert_eq!((provider.dropped.count(), caches.stats().flights), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_late_sees_everything() {
    let mut acts = acts(true);
    acts.insert(3, Act::Wait(secs(1)));
    let provider = Provider::streams(acts);
    let (cache, _) = cached(&provider);
    let (one, _) = ask(&cache, openai("Hello", true)).await;
    let mut one = one.unwrap();
    for _ in 0..3 {
        next(&mut one).await.unwrap().unwrap();
    }
    let (two, _) = ask(&cache, openai("Hello", true)).await;
    let mut two = two.unwrap();
    assert!(two.head().cached);
    let all = all_chunks().replace(&chunk(USAGE), "");
    assert_eq!(read(&mut two).await.0.concat(), all.as_bytes());
    read(&mut one).await;
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_all_who_wait() {
    let (answer, turn) = later();
    let provider = Provider::of([turn]);
    let (cache, caches) = cached(&provider);
    let mut asking = Vec::new();
    for _ in 0..3 {
        let (call, guard, log) = opened(openai("Hello", false));
        let mut future = task::spawn(cache.clone().oneshot(call));
        assert_pending!(future.poll());
        asking.push((future, guard, log));
    }
    answer.send(Err(busy())).unwrap();
    for (mut future, guard, log) in asking {
        assert!(future.is_woken());
        let error = assert_ready_err!(future.poll());
        assert_eq!(error.kind(), busy().kind());
        close(Err(error), guard).unwrap_err();
        assert!(!log.outcome().is_success());
    }
    assert_eq!(provider.calls(), 1);
    assert_eq!(caches.stats().flights, 0);

    // In the middle of a stream.
    let cut = acts(true).into_iter().take(2).chain([Act::Fail(busy())]);
    let provider = Provider::streams(cut);
    let (cache, _) = cached(&provider);
    let (one, _) = ask(&cache, openai("Hello", true)).await;
    let (two, log) = ask(&cache, openai("Hello", true)).await;
    for reply in [one, two] {
        let (frames, error) = read(&mut reply.unwrap()).await;
        assert_eq!((frames.len(), error.unwrap().kind()), (2, busy().kind()));
    }
    assert!(!log.outcome().is_success());
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_is_an_error_to_the_others() {
    // Of the service.
    let provider = Provider::of([Turn::Panic]);
    let (cache, caches) = cached(&provider);
    let mut first = cache.clone();
    let mut second = cache;
    let mut one = task::spawn(first.call(openai("Hello", false)));
    let mut two = task::spawn(second.call(openai("Hello", false)));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(one.poll()))).is_err());
    assert_eq!(assert_ready_err!(two.poll()).kind(), ErrorKind::Server);
    assert_eq!(caches.stats().flights, 0);

    // Of the stream.
    let panics = acts(true).into_iter().take(1).chain([Act::Panic]);
    let provider = Provider::streams(panics);
    let (cache, caches) = cached(&provider);
    let (one, _) = ask(&cache, openai("Hello", true)).await;
    let (two, log) = ask(&cache, openai("Hello", true)).await;
    let (mut one, mut two) = (one.unwrap(), two.unwrap());
    next(&mut one).await.unwrap().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(one.poll_frame(&mut cx)))).is_err());
    let (frames, error) = read(&mut two).await;
    assert_eq!((frames.len(), error.unwrap().kind()), (1, ErrorKind::Server));
    drop(one);
    drop(two);
    assert!(!log.outcome().is_success());
    assert_eq!(provider.dropped.count(), 1);
    assert_eq!(caches.stats().flights, 0);
}

#[tokio::test(start_paused = true)]
async fn lost_attempts_are_on_the_account_of_one() {
    let (answer, turn) = later();
    let provider = Provider::of([turn]);
    let (cache, _) = cached(&provider);
    let (one, guard_one, log_one) = opened(openai("Hello", true));
    let (two, guard_two, log_two) = opened(openai("Hello", true));
    let mut one = task::spawn(cache.clone().oneshot(one));
    let mut two = task::spawn(cache.clone().oneshot(two));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    {
        let seen = provider.seen.lock().unwrap();
        let lost = seen[0].scope().unwrap().attempt().unwrap();
        lost.scope().report_usage(&Usage::new(100, 0));
        lost.scope().report_cost(Cost::default());
        drop(lost);
    }
    answer.send(Ok(from_openai(script(acts(true)).0))).unwrap();
    let mut one = close(Ok(assert_ready_ok!(one.poll())), guard_one).unwrap();
    let mut two = close(Ok(assert_ready_ok!(two.poll())), guard_two).unwrap();
    // The other reads first, to the end.
    read(&mut two).await;
    read(&mut one).await;
    let (paid, free) = (log_one.outcome(), log_two.outcome());
    assert_eq!((paid.tokens(), paid.attempts.len(), nanos(&paid)), (109, 2, Some(9)));
    assert_eq!((free.tokens(), nanos(&free)), (9, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_the_fast_ones_back_only_when_all_is_too_large_to_keep() {
    let many: Vec<Frame> = frames(true).into_iter().take(1).cycle().take(100).collect();
    let size = many[0].bytes().len() + size_of::<Frame>();
    let read_by = |acts: Vec<Act>, max_entry: usize| async move {
        let provider = Provider::streams(acts);
        let caches = Arc::new(Caches::new().local(1 << 20));
        let layer = CacheLayer::new(caches.clone()).max_entry(max_entry).window(10 * size);
        let cache = layer.layer(provider.clone());
        let (fast, _) = ask(&cache, openai("Hello", true)).await;
        let (slow, _) = ask(&cache, openai("Hello", true)).await;
        let (mut fast, mut slow) = (fast.unwrap(), slow.unwrap());
        let mut count = 0;
        loop {
            let mut reading = task::spawn(next(&mut fast));
            match reading.poll() {
                Poll::Ready(Some(Ok(_))) => count += 1,
                Poll::Ready(_) => return (count, 0),
                Poll::Pending => {
                    // The slow one reads one: the fast one is woken.
                    assert!(!reading.is_woken());
                    let mut other = task::spawn(next(&mut slow));
                    assert!(matches!(other.poll(), Poll::Ready(Some(Ok(_)))));
                    assert!(reading.is_woken());
                    drop(reading);
                    // When it leaves, nobody is in the way.
                    drop(other);
                    drop(slow);
                    let (rest, error) = read(&mut fast).await;
                    assert!(error.is_none());
                    return (count, rest.len());
                }
            }
        }
    };
    let acts = || many.iter().cloned().map(Act::Frame).collect::<Vec<_>>();
    assert_eq!(read_by(acts(), 1 << 20).await, (100, 0), "it is recorded, and nobody waits");
    let (before, after) = read_by(acts(), 20 * size).await;
    assert!((20..=22).contains(&before), "{before}");
    assert_eq!(before + after, 100);
    let (before, after) = read_by(acts(), 0).await;
    assert!((10..=12).contains(&before), "{before}");
    assert_eq!(before + after, 100);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_upstream_that_nobody_asked_for() {
    let provider = Provider::counted(acts(true));
    let (cache, _) = cached(&provider);
    let (one, log) = ask(&cache, openai("Hello", true)).await;
    let mut one = one.unwrap();
    next(&mut one).await.unwrap().unwrap();
    assert!(log.is_open());
    let (two, _) = ask(&cache, openai("Hello", true)).await;
    let mut two = two.unwrap();
    assert_eq!(provider.read(), 1);
    next(&mut two).await.unwrap().unwrap();
    assert_eq!(provider.read(), 1, "it was there");
    next(&mut two).await.unwrap().unwrap();
    assert_eq!(provider.read(), 2);
    next(&mut one).await.unwrap().unwrap();
    assert_eq!(provider.read(), 2);
    assert_eq!(read(&mut one).await.0.len(), CHUNKS.len() - 2);
    assert_eq!(read(&mut two).await.0.len(), CHUNKS.len() - 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_nobody_polls_keeps_no_other_waiting() {
    let mut acts = acts(true);
    acts.insert(1, Act::Wait(secs(1)));
    let provider = Provider::streams(acts);
    let (cache, _) = cached(&provider);
    let (one, _) = ask(&cache, openai("Hello", true)).await;
    let (two, _) = ask(&cache, openai("Hello", true)).await;
    let (mut one, mut two) = (one.unwrap(), two.unwrap());
    next(&mut one).await.unwrap().unwrap();
    next(&mut two).await.unwrap().unwrap();
    let mut other = task::spawn(next(&mut two));
    assert_pending!(other.poll());
    // The last to poll is asked to go on, and never does.
    let mut stuck = task::spawn(next(&mut one));
    assert_pending!(stuck.poll());
    tokio::time::advance(secs(1)).await;
    assert!(other.is_woken());
    assert!(matches!(other.poll(), Poll::Ready(Some(Ok(_)))));
}

#[tokio::test(start_paused = true)]
async fn what_one_caller_may_not_do_is_no_answer_to_another() {
    let caches = Arc::new(Caches::new().local(1 << 20));
    for (error, alone) in [
        (Error::new(ErrorKind::RateLimit, "too many requests for this key"), true),
        (busy(), false),
    ] {
        let (answer, turn) = later();
        let provider = Provider::of([turn]);
        let layer = CacheLayer::new(caches.clone()).scope(CacheScope::Global);
        let cache = layer.layer(provider.clone());
        let mut one = task::spawn(cache.clone().oneshot(by(openai("x", false), "1")));
        let mut same = task::spawn(cache.clone().oneshot(by(openai("x", false), "1")));
        let mut two = task::spawn(cache.clone().oneshot(by(openai("x", false), "2")));
        assert_pending!(one.poll());
        assert_pending!(same.poll());
        assert_pending!(two.poll());
        answer.send(Err(error)).unwrap();
        assert_ready_err!(one.poll());
        assert_ready_err!(same.poll());
        if alone {
            assert_ready_ok!(two.poll());
        } else {
            assert_ready_err!(two.poll());
        }
        assert_eq!(provider.calls(), 1 + usize::from(alone));
    }
}

#[tokio::test(start_paused = true)]
async fn calls_on_other_terms_do_not_share_a_flight() {
    let provider = Provider::of((0..7).map(|_| Turn::Never));
    let (cache, _) = cached(&provider);
    let said = |say: fn(&mut ziggurat_core::Controls)| {
        let mut call = openai("x", false);
        say(call.controls_mut());
        call
    };
    let calls = [
        said(|_| {}),
        said(|controls| controls.cache.no_cache = true),
        said(|controls| controls.disable_fallbacks = true),
        said(|controls| controls.retries = Some(0)),
        said(|controls| controls.fallbacks = Some(vec!["b".into()])),
        said(|controls| controls.tags = vec!["free".into()]),
        said(|controls| controls.region = Some("eu".into())),
    ];
    let mut waiting = Vec::new();
    for call in calls {
        let mut future = task::spawn(cache.clone().oneshot(call));
        assert_pending!(future.poll());
        waiting.push(future);
    }
    assert_eq!(provider.calls(), 7);
    drop(waiting);
    assert_eq!(provider.dropped.count(), 7);
    let caches = Arc::new(Caches::new());
    let provider = Provider::of([Turn::Never, Turn::Never]);
    let cache = CacheLayer::new(caches).single_flight(false).layer(provider.clone());
    let mut one = task::spawn(cache.clone().oneshot(openai("x", false)));
    let mut two = task::spawn(cache.oneshot(openai("x", false)));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_flight_has_books_of_its_own_and_the_caller_who_began_it() {
    let provider = Provider::default();
    let (cache, _) = cached(&provider);
    let (call, guard, log) = opened(openai("Hello", false));
    let outer = call.scope().unwrap().clone();
    let mut reply = close(cache.oneshot(call).await, guard).unwrap();
    {
        let seen = provider.seen.lock().unwrap();
        assert_eq!(seen[0].caller().key(), Some("key-1"));
        assert!(seen[0].scope().unwrap().is_closed(), "the flight is over");
        assert!(!outer.is_closed(), "the call is not");
    }
    drop(reply.take_body());
    let outcome = log.outcome();
    assert_eq!(outcome.attempts.len(), 1);
    assert_eq!((outcome.tokens(), nanos(&outcome)), (9, Some(9)));
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_settlement_are_served_too() {
    let provider = Provider::streams(acts(true));
    let (cache, _) = cached(&provider);
    for _ in 0..2 {
        let mut reply = cache.clone().oneshot(openai("Hello", true)).await.unwrap();
        assert_eq!(read(&mut reply).await.0.len(), CHUNKS.len());
    }
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services_and_the_ready_one_is_called() {
    let (mock, mut handle) = tower_test::mock::pair::<Call, Reply>();
    handle.allow(0);
    let service = tower::util::BoxCloneSyncService::new(Shy(Arc::new(AtomicUsize::new(1))));
    let caches = Arc::new(Caches::new());
    let mut cache = CacheLayer::new(caches).layer(service);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(cache.poll_ready(&mut cx).is_pending());
    assert!(cache.poll_ready(&mut cx).is_ready());
    // `Shy` panics when an instance is called that was not polled ready.
    cache.call(openai("x", false)).await.unwrap();
    drop(mock);
}

/// Ready at the second asking, and then for one call.
struct Shy(Arc<AtomicUsize>);

impl Clone for Shy {
    fn clone(&self) -> Self {
        Self(Arc::new(AtomicUsize::new(1)))
    }
}

impl Service<Call> for Shy {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            1 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Call) -> Self::Future {
        assert!(self.0.load(Ordering::Relaxed) >= 3, "called before it was ready");
        ready(Ok(whole()))
    }
}

/// What many threads do to one flight: they join, read, stop in the middle, come late.
#[test]
fn on_many_threads_each_call_is_settled_once_and_paid_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    for round in 0..200 {
        let provider = Provider::of([Turn::Reply(from_openai(yielding()))]);
        let (cache, caches) = cached(&provider);
        let (paid, calls) = runtime.block_on(async {
            let mut asking = Vec::new();
            for index in 0..16_usize {
                let cache = cache.clone();
                let leave = ((index + round) % 3 == 0).then_some((index + round) % 5);
                asking.push(tokio::spawn(async move {
                    let (reply, log) = ask(&cache, openai("Hello", true)).await;
                    let mut reply = reply.unwrap();
                    match leave {
                        None => {
                            let whole = reply.is_streamed().then_some(CHUNKS.len());
                            let (frames, error) = read(&mut reply).await;
                            assert!(error.is_none());
                            assert!(whole.is_none_or(|length| frames.len() == length));
                        }
                        Some(after) => {
                            for _ in 0..after {
                                drop(next(&mut reply).await);
                            }
                        }
                    }
                    drop(reply);
                    let outcome = log.outcome();
                    // Who leaves last, before anything was said, does not know what it cost.
                    assert!(outcome.cost.is_some() || outcome.usage.is_none());
                    nanos(&outcome).unwrap_or(0)
                }));
            }
            let mut paid = 0;
            for asked in asking {
                paid += asked.await.unwrap();
            }
            (paid, provider.calls())
        });
        // A flight that all left was paid as far as it came; the next call then is a whole answer.
        assert!((9..=9 * calls as u64).contains(&paid), "{paid} for {calls}");
        assert!(calls > 1 || paid == 9, "{paid}");
        assert_eq!(caches.stats().flights, 0);
        assert_eq!(provider.dropped.count(), 0);
    }
}

/// The stream, with a pause before each frame.
fn yielding() -> Reply {
    struct Yields {
        frames: VecDeque<Frame>,
        paused: bool,
    }
    impl Frames for Yields {
        fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            self.paused = !self.paused;
            if self.paused {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.frames.pop_front().map(Ok))
        }
    }
    Reply::frames(Yields { frames: frames(true).into(), paused: false })
}

/// Whoever is alone is woken itself; who comes while it looks must not wait for it to look again.
#[tokio::test(start_paused = true)]
async fn whoever_joins_while_the_only_reader_reads_is_woken_for_itself() {
    type Asking = task::Spawn<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>;
    type Other = Arc<Mutex<Option<Asking>>>;
    /// Lets another join in the middle of a read, and then waits for ever.
    struct Joined(Option<Box<dyn FnOnce() + Send>>);
    impl Frames for Joined {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            if let Some(join) = self.0.take() {
                join();
            }
            Poll::Pending
        }
    }
    let provider = Provider::default();
    let (cache, _) = cached(&provider);
    let other = Other::default();
    let join = {
        let (mut cache, other) = (cache.clone(), other.clone());
        move || {
            let mut call = cache.call(openai("Hello", true));
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let Poll::Ready(Ok(mut reply)) = std::pin::Pin::new(&mut call).poll(&mut cx) else {
                panic!("it has begun");
            };
            let reading = async move {
                next(&mut reply).await;
            };
            let mut reading: Asking = task::spawn(Box::pin(reading));
            assert_pending!(reading.poll());
            *other.lock().unwrap() = Some(reading);
        }
    };
    let reply = from_openai(Reply::frames(Joined(Some(Box::new(join)))));
    provider.script.lock().unwrap().push_back(Turn::Reply(reply));
    let (reply, _) = ask(&cache, openai("Hello", true)).await;
    let mut reply = reply.unwrap();
    let mut reading = task::spawn(next(&mut reply));
    assert_pending!(reading.poll());
    assert!(other.lock().unwrap().as_ref().unwrap().is_woken());
}
