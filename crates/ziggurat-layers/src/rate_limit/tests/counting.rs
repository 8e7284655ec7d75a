//! How it is counted: rates, tokens, places.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::advance;
use ziggurat_core::{ErrorKind, Origin};

use super::*;
use crate::fake::secs;

#[tokio::test(start_paused = true)]
async fn as_many_requests_pass_as_are_allowed_and_the_rest_is_told_when_to_come_back() {
    let (layer, provider) = (per_key(Limits::new().rpm(60)), Provider::default());
    for left in (0..60).rev() {
        let reply = send(&layer, &provider, from("a")).await.unwrap();
        let limits = &reply.head().limits;
        let state = limits.get(LimitKind::Requests).unwrap();
        assert_eq!((state.limit, state.remaining, state.reset), (60, left, secs(60 - left)));
    }
    let error = send(&layer, &provider, from("a")).await.unwrap_err();
    assert_eq!((error.kind(), error.origin()), (ErrorKind::RateLimit, Origin::Gateway));
    assert_eq!((error.status().as_u16(), error.retry_after()), (429, Some(secs(1))));
    assert_eq!(error.code(), Some("rate_limit_exceeded"));
    assert_eq!(
        error.message(),
        "the rate limit of 60 requests per minute is reached for the key `a`; it resets in 1 s"
    );
    assert_eq!(error.limits().unwrap().get(LimitKind::Requests).unwrap().remaining, 0);
    assert_eq!(provider.count(), 60);
    // Another key has its own.
    send(&layer, &provider, from("b")).await.unwrap();
    // Who comes back when told to is let through.
    advance(error.retry_after().unwrap()).await;
    send(&layer, &provider, from("a")).await.unwrap();
    send(&layer, &provider, from("a")).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_new_minute_does_not_let_twice_the_limit_through() {
    // Windows that begin with the minute let 60 pass in its last second, and 60 in the next one's first.
    let (layer, provider) = (per_key(Limits::new().rpm(60)), Provider::default());
    advance(secs(59)).await;
    for _ in 0..60 {
        send(&layer, &provider, from("a")).await.unwrap();
    }
    advance(secs(2)).await;
    let passed = pass(&layer, &provider, 60).await;
    assert_eq!(passed, 2, "what came back in two seconds");
}

#[tokio::test(start_paused = true)]
async fn a_burst_may_be_smaller_than_the_limit() {
    let rate = Rate::requests(60, secs(60)).burst(5);
    let (layer, provider) = (per_key(Limits::new().rate(rate)), Provider::default());
    assert_eq!(pass(&layer, &provider, 60).await, 5);
    advance(secs(3)).await;
    assert_eq!(pass(&layer, &provider, 60).await, 3);
    advance(secs(600)).await;
    assert_eq!(pass(&layer, &provider, 60).await, 5);
}

async fn pass(layer: &RateLimitLayer, provider: &Provider, calls: usize) -> usize {
    let mut passed = 0;
    for _ in 0..calls {
        passed += usize::from(send(layer, provider, from("a")).await.is_ok());
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_takes_nothing_anywhere() {
    // LiteLLM's users: rejected requests eat the rate limit.
    let rules = LimitRules::new()
        .each(By::Team, Limits::new().rpm(100).tpm(10_000).max_parallel(50))
        .each(By::Key, Limits::new().rpm(1));
    let layer = RateLimitLayer::new(Limiter::new(), rules).estimator(sized);
    let provider = Provider::using(Usage::new(10, 10));
    let call = || {
        let mut call = of("a", 10, 10);
        call.set_caller(Caller::new("a").team("t"));
        call
    };
    send(&layer, &provider, call()).await.unwrap();
    for _ in 0..500 {
        send(&layer, &provider, call()).await.unwrap_err();
    }
    let mut other = of("b", 10, 10);
    other.set_caller(Caller::new("b").team("t"));
    let reply = send(&layer, &provider, other).await.unwrap();
    // The key's own limit is the tightest of the requests; the team's tokens and places are untouched by the refused.
    assert_eq!(remaining(&reply, LimitKind::Tokens), 10_000 - 20 - 20);
    assert_eq!(remaining(&reply, LimitKind::Parallel), 49);
    let mut last = 0;
    for key in 0..98 {
        let mut call = of("", 10, 10);
        call.set_caller(Caller::new(format!("key-{key}")).team("t"));
        last += usize::from(send(&layer, &provider, call).await.is_ok());
    }
    assert_eq!(last, 98, "the team has had two calls of its hundred");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_and_the_difference_is_given_back() {
    let layer = per_key(Limits::new().tpm(1000));
    let provider = Provider::default();
    let (reply, guard) = begin(&layer, &provider, of("a", 100, 500)).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 400);
    // Concurrent calls cannot pass together before anything has landed.
    let error = send(&layer, &provider, of("a", 100, 500)).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(secs(12)), "200 are missing, 1000 come back in a minute");
    assert!(error.message().starts_with("the rate limit of 1000 tokens per minute is reached"));
    end_with(guard, Some(Usage::new(90, 10)));
    let (reply, guard) = begin(&layer, &provider, of("a", 100, 500)).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 300);
    end_with(guard, None);
    // Nobody told: the reservation stays. A minute later all is whole.
    let error = send(&layer, &provider, of("a", 100, 500)).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(secs(18)));
    advance(secs(60)).await;
    let (reply, _guard) = begin(&layer, &provider, of("a", 0, 1)).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 999);
}

#[tokio::test(start_paused = true)]
async fn more_than_was_reserved_is_a_debt_that_later_calls_wait_for() {
    let layer = per_key(Limits::new().tpm(600));
    let provider = Provider::default();
    let (_, guard) = begin(&layer, &provider, of("a", 100, 100)).await;
    end_with(guard, Some(Usage::new(100, 1100)));
    let error = send(&layer, &provider, of("a", 1, 0)).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_millis(60_100)), "600 of debt, and 1");
    assert_eq!(error.limits().unwrap().get(LimitKind::Tokens).unwrap().remaining, 0);
    advance(secs(60)).await;
    send(&layer, &provider, of("a", 1, 0)).await.unwrap_err();
    advance(secs(1)).await;
    send(&layer, &provider, of("a", 1, 0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn input_and_output_are_limited_each_by_itself() {
    let layer = per_key(Limits::new().itpm(1000).otpm(100));
    let provider = Provider::using(Usage::new(900, 10).cache_read(50).reasoning(40));
    let reply = send(&layer, &provider, of("a", 800, 100)).await.unwrap();
    assert_eq!(remaining(&reply, LimitKind::InputTokens), 200);
    assert_eq!(remaining(&reply, LimitKind::OutputTokens), 0);
    let error = send(&layer, &provider, of("a", 51, 50)).await.unwrap_err();
    assert!(error.message().contains("1000 input tokens per minute"), "{error}");
    let error = send(&layer, &provider, of("a", 50, 51)).await.unwrap_err();
    assert!(error.message().contains("100 output tokens per minute"), "{error}");
    send(&layer, &provider, of("a", 50, 50)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_the_limit_is_not_told_to_come_back() {
    let layer = per_key(Limits::new().tpm(1000).rpm(5));
    let provider = Provider::default();
    let error = send(&layer, &provider, of("a", 900, 101)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimit, None));
    assert_eq!(error.code(), Some("rate_limit_too_small"));
    assert_eq!(
        error.message(),
        "the call may take 1001 tokens, which is more than the rate limit of 1000 at once (1000 per minute) for the key `a` \
         ever lets pass"
    );
    let reply = send(&layer, &provider, of("a", 900, 100)).await.unwrap();
    assert_eq!(remaining(&reply, LimitKind::Requests), 4);
    // A limit of nothing lets nothing pass, and does not say when.
    for none in [Limits::new().rpm(0), Limits::new().max_parallel(0), Limits::new().tpm(0)] {
        let error = send(&per_key(none), &provider, of("a", 1, 1)).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.retry_after()), (429, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_guess_of_the_output_never_makes_a_call_too_large() {
    let provider = Provider::default();
    // 256 are guessed where the caller sets no bound.
    let layer = per_key(Limits::new().tpm(1000));
    let call = || of("a", 100, 0).with_chat(|_| {});
    let unbounded = |input: u64| {
        let mut call = call();
        call.set_model(format!("{input}/?"));
        call
    };
    let (reply, guard) = begin(&layer, &provider, unbounded(100)).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 1000 - 356);
    end_with(guard, Some(Usage::new(0, 1)));
    advance(secs(60)).await;
    let (reply, _guard) = begin(&layer, &provider, unbounded(950)).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 0);
    // As LiteLLM has it: a quarter of the limit.
    let layer = layer.unbounded_output(UnboundedOutput::Percent(25));
    let mut other = unbounded(100);
    other.set_caller(Caller::new("b"));
    let (reply, _guard) = begin(&layer, &provider, other).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Tokens), 1000 - 350);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_counted_exactly() {
    let (layer, provider) = (per_key(Limits::new().max_parallel(2)), Provider::default());
    let (one, first) = begin(&layer, &provider, from("a")).await;
    assert_eq!(remaining(&one.unwrap(), LimitKind::Parallel), 1);
    let (_, second) = begin(&layer, &provider, from("a")).await;
    let error = send(&layer, &provider, from("a")).await.unwrap_err();
    assert_eq!(error.message(), "the limit of 2 parallel calls is reached for the key `a`");
    assert_eq!(error.retry_after(), Some(secs(1)));
    // Time does not free a place, an end does: closed or dropped.
    advance(secs(3600)).await;
    send(&layer, &provider, from("a")).await.unwrap_err();
    first.close(End::Success);
    let (third, third_guard) = begin(&layer, &provider, from("a")).await;
    third.unwrap();
    drop(second);
    drop(third_guard);
    let (reply, _guard) = begin(&layer, &provider, from("a")).await;
    assert_eq!(remaining(&reply.unwrap(), LimitKind::Parallel), 1);
}

#[tokio::test(start_paused = true)]
async fn days_and_minutes_hold_together() {
    let (layer, provider) = (per_key(Limits::new().rpm(60).rpd(70)), Provider::default());
    assert_eq!(pass(&layer, &provider, 100).await, 60);
    advance(secs(60)).await;
    let reply = send(&layer, &provider, from("a")).await.unwrap();
    let state = *reply.head().limits.get(LimitKind::Requests).unwrap();
    assert_eq!((state.limit, state.remaining), (70, 9), "the tighter of the two is told");
    assert_eq!(pass(&layer, &provider, 100).await, 9);
    let error = send(&layer, &provider, from("a")).await.unwrap_err();
    assert!(error.message().contains("70 requests per day"), "{error}");
    assert!(error.retry_after().unwrap() > secs(1000), "{error}");
}

#[test]
fn many_threads_together_never_pass_more_than_the_limit() {
    // Concurrent calls that pass before anything lands.
    let limits = Limits::new()
        .rate(Rate::requests(1000, secs(86_400)))
        .rate(Rate::tokens(5000, secs(86_400)));
    let layer = per_key(limits.max_parallel(100_000));
    let passed = AtomicUsize::new(0);
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let mut service = layer.layer(Provider::using(Usage::new(5, 5)));
                for _ in 0..200 {
                    let guard = Settlement::open();
                    let mut call = of("a", 5, 5);
                    call.set_scope(guard.scope());
                    let future = std::pin::pin!(service.call(call));
                    let mut cx = Context::from_waker(std::task::Waker::noop());
                    let Poll::Ready(result) = std::future::Future::poll(future, &mut cx) else {
                        panic!("it answers at once")
                    };
                    if let Ok(mut reply) = crate::fake::close(result, guard) {
                        passed.fetch_add(1, Ordering::Relaxed);
                        reply.take_body();
                    }
                }
            });
        }
    });
    // In a day 5000 tokens come back, in a second none: 500 calls of ten.
    assert_eq!(passed.into_inner(), 500);
}

#[test]
fn many_threads_together_never_hold_more_places_than_there_are() {
    let layer = per_key(Limits::new().max_parallel(3));
    let (inside, most, passed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut service = layer.layer(Provider::default());
                for _ in 0..500 {
                    let guard = Settlement::open();
                    let mut call = from("a");
                    call.set_scope(guard.scope());
                    let future = std::pin::pin!(service.call(call));
                    let mut cx = Context::from_waker(std::task::Waker::noop());
                    if let Poll::Ready(Ok(_)) = std::future::Future::poll(future, &mut cx) {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        passed.fetch_add(1, Ordering::Relaxed);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                    drop(guard);
                }
            });
        }
    });
    assert!(most.into_inner() <= 3);
    assert!(passed.into_inner() > 0, "whoever is first passes");
    // Nobody is left inside, so all three places are free again.
    let mut held = Vec::new();
    for place in 0..4 {
        let mut service = layer.layer(Provider::default());
        let guard = Settlement::open();
        let mut call = from("a");
        call.set_scope(guard.scope());
        let future = std::pin::pin!(service.call(call));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(result) = std::future::Future::poll(future, &mut cx) else {
            panic!("it answers at once")
        };
        assert_eq!(result.is_ok(), place < 3, "place {place}");
        held.push((guard, result));
    }
}

#[tokio::test(start_paused = true)]
async fn limits_change_and_what_was_used_stays() {
    let limiter = Limiter::new();
    let with = |limits| {
        RateLimitLayer::new(limiter.clone(), LimitRules::new().each(By::Key, limits))
            .estimator(sized)
    };
    let provider = Provider::default();
    let before = with(Limits::new().rpm(10).max_parallel(1));
    let (_, open) = begin(&before, &provider, from("a")).await;
    // A reload: more requests, and still one place, which the call of before holds.
    let after = with(Limits::new().rpm(20).max_parallel(1));
    send(&after, &provider, from("a")).await.unwrap_err();
    open.close(End::Success);
    let reply = send(&after, &provider, from("a")).await.unwrap();
    assert_eq!(
        remaining(&reply, LimitKind::Requests),
        17,
        "a tenth of the minute was used, then one of 20"
    );
    let tight = with(Limits::new().rpm(2));
    send(&tight, &provider, from("a")).await.unwrap();
    send(&tight, &provider, from("a")).await.unwrap_err();
    // A token limit that comes while a call is in flight sees what it holds.
    let (_, open) = begin(&with(Limits::new().tpm(100_000)), &provider, of("b", 300, 300)).await;
    let small = with(Limits::new().tpm(1000));
    send(&small, &provider, of("b", 300, 300)).await.unwrap_err();
    end_with(open, Some(Usage::new(1, 1)));
    send(&small, &provider, of("b", 300, 300)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_number_of_keys_is_bounded_and_calls_in_flight_are_not_forgotten() {
    let limiter = Limiter::with_max_keys(1000);
    let limits = Limits::new().rpm(2).max_parallel(1);
    let layer = RateLimitLayer::new(limiter.clone(), LimitRules::new().each(By::User, limits));
    let provider = Provider::default();
    let by = |user: String| {
        let mut call = Call::chat("model").user("Hello!");
        call.set_caller(Caller::new("key").user(user));
        call
    };
    let (_, open) = begin(&layer, &provider, by("in flight".into())).await;
    for user in 0..20_000 {
        send(&layer, &provider, by(format!("user-{user}"))).await.unwrap();
    }
    assert!(limiter.keys() <= 1000 + 16, "{}", limiter.keys());
    let error = send(&layer, &provider, by("in flight".into())).await.unwrap_err();
    assert!(error.message().contains("1 parallel calls"), "{error}");
    drop(open);
    // What is whole again is forgotten without a loss.
    advance(secs(60)).await;
    for user in 0..2000 {
        send(&layer, &provider, by(format!("new-{user}"))).await.unwrap();
    }
    assert!(limiter.keys() <= 1000 + 16, "{}", limiter.keys());
}

#[tokio::test(start_paused = true)]
async fn large_limits_are_kept_too() {
    // More than 32 bits, and more than one in a nanosecond.
    let layer = per_key(Limits::new().tpm(90_000_000_000));
    let provider = Provider::using(Usage::new(80_000_000_000, 0));
    send(&layer, &provider, of("a", 80_000_000_000, 0)).await.unwrap();
    let error = send(&layer, &provider, of("a", 20_000_000_000, 0)).await.unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!(wait >= secs(6) && wait < secs(8), "{wait:?}");
    advance(wait).await;
    send(&layer, &provider, of("a", 20_000_000_000, 0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_fact_of_a_call_can_be_counted() {
    let once = || Limits::new().rpm(1);
    let call = |key: &'static str,
                user: &'static str,
                team: &'static str,
                model: &'static str,
                tag: &'static str| {
        let mut call = Call::chat(model).user("Hello!");
        let caller = Caller::new(key).user(user).team(team).organization("o").tag("all");
        call.set_caller(caller);
        call.controls_mut().tags.push(tag.into());
        call
    };
    let provider = Provider::default();
    let table = [
        (By::Key, [true, true, false], "key `a`"),
        (By::User, [true, true, false], "user `u`"),
        (By::Team, [true, false, false], "team `t`"),
        (By::Organization, [true, false, false], "organization `o`"),
        (By::Model, [true, true, true], "model `m`"),
        (By::KeyModel, [true, true, true], "model per key `m` of `a`"),
        (By::TeamModel, [true, true, true], "model per team `m` of `t`"),
        (By::Tag, [true, false, false], "tag `"),
        (By::All, [true, false, false], "all calls together"),
    ];
    for (by, pass, whose) in table {
        let layer = RateLimitLayer::new(Limiter::new(), LimitRules::new().each(by, once()));
        let calls = [
            call("a", "u", "t", "m", "x"),
            call("b", "v", "t", "n", "y"),
            call("a", "u", "t", "o", "z"),
        ];
        for (number, (call, pass)) in calls.into_iter().zip(pass).enumerate() {
            let passed = send(&layer, &provider, call).await.is_ok();
            assert_eq!(passed, pass, "{by:?}, call {number}");
        }
        let error = send(&layer, &provider, call("a", "u", "t", "m", "x")).await.unwrap_err();
        assert!(error.message().contains(whose), "{by:?}: {error}");
    }
    // An anonymous caller has no key to count by.
    let layer = RateLimitLayer::new(Limiter::new(), LimitRules::new().each(By::Key, once()));
    for _ in 0..5 {
        send(&layer, &provider, Call::chat("m").user("Hello!")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_may_have_limits_of_its_own() {
    let rules = LimitRules::new()
        .each(By::Key, Limits::new().rpm(1))
        .one(By::Key, "large", Limits::new().rpm(3))
        .lookup(By::Key, |call, key| {
            (key == "known" && call.model() == "model").then(|| Limits::new().rpm(2))
        })
        .fixed("deployment", "openai-1", Limits::new().rpm(7));
    let layer = RateLimitLayer::new(Limiter::new(), rules);
    let provider = Provider::default();
    let mut passed = Vec::new();
    for key in ["small", "large", "known", "other"] {
        let mut calls = 0;
        for _ in 0..5 {
            calls += usize::from(send(&layer, &provider, from(key)).await.is_ok());
        }
        passed.push(calls);
    }
    assert_eq!(passed, [1, 3, 2, 1]);
    let error = send(&layer, &provider, from("last")).await.unwrap_err();
    assert!(error.message().contains("the deployment `openai-1`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn whatever_can_be_computed_from_a_call_can_be_counted() {
    let session = |call: &Call| call.controls().session.clone();
    let rules = LimitRules::new().by("session", session, Limits::new().rpm(1));
    let layer = RateLimitLayer::new(Limiter::new(), rules);
    let provider = Provider::default();
    let call = |session: Option<&str>| {
        let mut call = from("a");
        call.controls_mut().session = session.map(Into::into);
        call
    };
    send(&layer, &provider, call(Some("1"))).await.unwrap();
    send(&layer, &provider, call(Some("2"))).await.unwrap();
    let error = send(&layer, &provider, call(Some("1"))).await.unwrap_err();
    assert!(error.message().contains("the session `1`"), "{error}");
    for _ in 0..3 {
        send(&layer, &provider, call(None)).await.unwrap();
    }
    // A key that a caller makes up does not make the message long.
    let long = "x".repeat(10_000);
    send(&layer, &provider, call(Some(&long))).await.unwrap();
    let error = send(&layer, &provider, call(Some(&long))).await.unwrap_err();
    assert!(error.message().len() < 200, "{}", error.message().len());
}
