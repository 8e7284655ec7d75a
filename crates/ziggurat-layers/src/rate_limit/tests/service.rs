//! The tower contract: readiness, cancellation, panics, clones, streams.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::service_fn;
use tower_test::mock;
use ziggurat_core::{ErrorKind, Str};

use super::*;
use crate::fake::{Act, Dropped, busy, close, done, next, script, settled, start, text};

fn limiter_and(limits: Limits) -> (Limiter, RateLimitLayer) {
    let limiter = Limiter::new();
    let layer = RateLimitLayer::new(limiter.clone(), LimitRules::new().each(By::All, limits));
    (limiter, layer)
}

fn free(layer: &RateLimitLayer) -> u64 {
    let mut service = layer.layer(Provider::default());
    let mut call = Call::chat("model").user("Hello!");
    let (_, guard) = call.open_scope();
    let future = service.call(call);
    let mut future = task::spawn(future);
    let reply = assert_ready_ok!(future.poll());
    drop(guard);
    remaining(&reply, LimitKind::Parallel) + 1
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let (_, layer) = limiter_and(Limits::new().max_parallel(1));
    let (mut service, mut handle) = mock::spawn_layer(layer);
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(2);
    assert_ready_ok!(service.poll_ready());
    let mut first = task::spawn(service.call(Call::chat("m")));
    assert_pending!(first.poll());
    // At the limit it is as ready as before: limits are those of a key, which nobody knows yet.
    assert_ready_ok!(service.poll_ready());
    let mut second = task::spawn(service.call(Call::chat("m")));
    assert_eq!(assert_ready_err!(second.poll()).kind(), ErrorKind::RateLimit);
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_error(Error::invalid("no"));
    let error = assert_ready_err!(first.poll());
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "our errors come back as they were");
    assert_eq!(error.limits().unwrap().get(LimitKind::Parallel).unwrap().remaining, 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_gives_back_at_every_point() {
    let (limiter, layer) = limiter_and(Limits::new().max_parallel(5).tpm(1000));
    let never = Dropped::default();
    let futures = never.clone();
    let mut service = layer.layer(service_fn(move |_: Call| futures.never()));
    let mut tokens = 1000;
    for polled in [false, true] {
        for settled_outside in [false, true] {
            let mut call = Call::chat("m").user("a".repeat(382)).max_output_tokens(100);
            let guard = settled_outside.then(|| call.open_scope().1.unwrap());
            let mut future = task::spawn(service.call(call));
            assert_eq!(limiter.in_flight(), 1);
            if polled {
                assert_pending!(future.poll());
                tokens -= 200;
            }
            drop(future);
            drop(guard);
            assert_eq!(limiter.in_flight(), 0);
            // What was perhaps sent is paid; what was never sent is given back.
            let mut call = Call::chat("m").user("a").max_output_tokens(0);
            let (_, guard) = call.open_scope();
            let reply = layer.layer(Provider::using(Usage::new(0, 0))).oneshot(call).await;
            let left = remaining(&reply.unwrap(), LimitKind::Tokens);
            guard.unwrap().close(End::Failure(busy()));
            assert_eq!(left + 5, tokens, "polled: {polled}, outside: {settled_outside}");
        }
    }
    assert_eq!(never.count(), 4);
    assert_eq!(free(&layer), 5);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_before_a_deployment_was_found_has_used_nothing() {
    let (_, layer) = limiter_and(Limits::new().tpm(1000));
    for (deployment, left) in [(None, 995), (Some("d"), 795)] {
        let mut service = layer.layer(service_fn(move |call: Call| async move {
            let attempt = call.scope().unwrap().attempt().unwrap();
            if let Some(deployment) = deployment {
                attempt.scope().set_deployment(Str::from_static(deployment));
            }
            std::future::pending::<()>().await;
            drop(attempt);
            Err::<Reply, _>(busy())
        }));
        let call = Call::chat("m").user("a".repeat(382)).max_output_tokens(100);
        let mut future = task::spawn(service.call(call));
        assert_pending!(future.poll());
        drop(future);
        let mut call = Call::chat("m").user("a").max_output_tokens(0);
        let (_, guard) = call.open_scope();
        let reply = layer.layer(Provider::default()).oneshot(call).await.unwrap();
        assert_eq!(remaining(&reply, LimitKind::Tokens), left);
        guard.unwrap().close(End::Failure(busy()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_leaves_nothing_behind() {
    let (limiter, layer) = limiter_and(Limits::new().max_parallel(2));
    for in_call in [true, false] {
        let mut service = layer.layer(service_fn(move |_: Call| {
            assert!(!in_call, "the service fails");
            async move {
                let fails = true;
                assert!(!fails, "the future fails");
                Err::<Reply, _>(busy())
            }
        }));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut future = task::spawn(service.call(Call::chat("m")));
            future.poll().is_ready()
        }));
        assert!(panicked.is_err());
        assert_eq!(limiter.in_flight(), 0);
    }
    assert_eq!(free(&layer), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_holds_its_place_until_its_end() {
    // However it ends: read, failed in the middle, dropped.
    let streams: [fn() -> Vec<Act>; 3] = [
        || vec![Act::Frame(start(7)), Act::Frame(text("a")), Act::Frame(done())],
        || vec![Act::Frame(text("a")), Act::Fail(busy())],
        || vec![Act::Frame(text("a")), Act::Hang],
    ];
    for (number, acts) in streams.into_iter().enumerate() {
        let (limiter, layer) = limiter_and(Limits::new().max_parallel(1));
        let (call, guard, log) = settled();
        let service =
            service_fn(move |_: Call| std::future::ready(Ok::<_, Error>(script(acts()).0)));
        let result = layer.layer(service).oneshot(call).await;
        let mut reply = close(result, guard).unwrap();
        assert_eq!(remaining(&reply, LimitKind::Parallel), 0);
        let refused = layer.layer(Provider::default()).oneshot(Call::chat("m")).await;
        refused.unwrap_err();
        next(&mut reply).await.unwrap().unwrap();
        assert_eq!(limiter.in_flight(), 1);
        if number == 2 {
            drop(reply);
        } else {
            while let Some(Ok(_)) = next(&mut reply).await {}
            assert_eq!(limiter.in_flight(), 0, "the end is the last frame, not the drop");
            drop(reply);
        }
        log.outcome();
        assert_eq!((limiter.in_flight(), free(&layer)), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_frees_its_place() {
    // LiteLLM's users: parallel counters stick after timeouts.
    let (limiter, layer) = limiter_and(Limits::new().max_parallel(1));
    for _ in 0..10 {
        let never = Dropped::default();
        let mut service = layer.layer(service_fn(move |_: Call| never.never()));
        let late = tokio::time::timeout(crate::fake::secs(5), service.call(Call::chat("m"))).await;
        assert!(late.is_err());
        assert_eq!(limiter.in_flight(), 0);
    }
    assert_eq!(free(&layer), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_settlement_gets_one() {
    let (limiter, layer) = limiter_and(Limits::new().max_parallel(1));
    let mut reply = layer.layer(Provider::default()).oneshot(Call::chat("m")).await.unwrap();
    assert_eq!(limiter.in_flight(), 1, "the reply holds it");
    reply.take_body();
    assert_eq!(limiter.in_flight(), 0);
    let failing = service_fn(|_: Call| std::future::ready(Err::<Reply, _>(busy())));
    layer.layer(failing).oneshot(Call::chat("m")).await.unwrap_err();
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_over_takes_nothing() {
    let (limiter, layer) = limiter_and(Limits::new().max_parallel(1));
    let mut call = Call::chat("m");
    drop(call.open_scope());
    let provider = Provider::default();
    let error = layer.layer(provider.clone()).oneshot(call).await.unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!((provider.count(), limiter.in_flight(), free(&layer)), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn clones_count_together_and_hold_nothing_else_in_common() {
    let (_, layer) = limiter_and(Limits::new().max_parallel(1));
    let never = Dropped::default();
    let mut first = layer.layer(service_fn(move |_: Call| never.never()));
    let mut second = first.clone();
    let mut one = task::spawn(first.call(Call::chat("m")));
    assert_pending!(one.poll());
    assert_ready_err!(task::spawn(second.call(Call::chat("m"))).poll());
    drop(one);
    assert_pending!(task::spawn(second.call(Call::chat("m"))).poll());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_limited_passes_as_it_is() {
    let (limiter, layer) = limiter_and(Limits::new());
    let reply = layer.layer(Provider::default()).oneshot(Call::chat("m")).await.unwrap();
    assert!(reply.head().limits.is_empty());
    assert_eq!((limiter.in_flight(), limiter.keys()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn around_one_deployment_it_settles_with_the_attempt() {
    let (limiter, layer) = limiter_and(Limits::new().max_parallel(1));
    let guard = Settlement::open();
    let attempt = guard.scope().attempt().unwrap();
    let mut call = Call::chat("m");
    call.set_scope(attempt.scope());
    layer.layer(Provider::default()).oneshot(call).await.unwrap();
    assert_eq!(limiter.in_flight(), 1);
    drop(attempt);
    assert_eq!(limiter.in_flight(), 0, "the next attempt can have the place");
    drop(guard);
}

#[test]
fn what_crosses_threads_may() {
    fn both<T: Send + Sync>() {}
    both::<Limiter>();
    both::<RateLimitLayer>();
    both::<RateLimit<Provider>>();
    both::<Lease>();
    fn service(_: impl ziggurat_core::CallService) {}
    let (_, layer) = limiter_and(Limits::new());
    service(layer.layer(Provider::default()));
}
