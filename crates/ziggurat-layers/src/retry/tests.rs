use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;
use ziggurat_core::{
    Call, CallService, End, Error, ErrorKind, Instant, Origin, ProviderError, Reply, Settlement,
    Ticket,
};

use super::{RetryBudget, RetryBudgets, RetryLayer, RetryPolicy};
use crate::fake::{Act, busy, close, next, read, secs, settled, start, text};
use crate::scripted::{Chance, Log, Scripted, Turn};

fn call() -> Call {
    Call::chat("model").user("Hello!").streamed()
}

fn of(kind: ErrorKind) -> Error {
    Error::provider(kind, "no", ProviderError::default())
}

fn failed() -> Error {
    of(ErrorKind::Overloaded)
}

fn elsewhere(kind: ErrorKind) -> Error {
    of(kind).with_elsewhere(true)
}

/// Waits are half of what they may be.
fn layer() -> RetryLayer {
    RetryLayer::new().ambient(Arc::new(Chance(128)))
}

async fn ask(layer: &RetryLayer, turns: Vec<Turn>) -> (Result<Reply, Error>, Scripted) {
    ask_for(layer, call(), turns).await
}

async fn ask_for(
    layer: &RetryLayer,
    call: Call,
    turns: Vec<Turn>,
) -> (Result<Reply, Error>, Scripted) {
    let provider = Scripted::new(turns);
    let result = layer.layer(provider.clone()).oneshot(call).await;
    (result, provider)
}

/// How often something is tried that fails like this again and again.
async fn tries(layer: &RetryLayer, error: Error) -> usize {
    tries_of(layer, call(), error).await
}

async fn tries_of(layer: &RetryLayer, call: Call, error: Error) -> usize {
    let turns = std::iter::repeat_with(|| Turn::Fail(error.clone())).take(50).collect();
    ask_for(layer, call, turns).await.1.seen().len()
}

#[test]
fn a_retried_service_is_a_call_service() {
    fn is(_: &impl CallService) {}
    let layer = RetryLayer::new();
    is(&layer.layer(layer.layer(tower::service_fn(|_: Call| async { Err::<Reply, _>(busy()) }))));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) = mock::spawn_layer(layer().retries(1));
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(call()));
    assert_pending!(call.poll());
    handle.next_request().await.unwrap().1.send_error(elsewhere(ErrorKind::Overloaded));
    // The second attempt is not sent before the service is ready for it.
    handle.allow(0);
    assert_pending!(call.poll());
    assert_pending!(task::spawn(handle.next_request()).poll());
    handle.allow(1);
    assert_pending!(call.poll());
    handle.next_request().await.unwrap().1.send_error(busy());
    assert_eq!(assert_ready_err!(call.poll()).attempts(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_between_attempts_is_not_called() {
    let (mut service, mut handle) = mock::spawn_layer(layer());
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(call()));
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    handle.send_error(of(ErrorKind::Server));
    respond.send_error(elsewhere(ErrorKind::Overloaded));
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.others()[0].kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn a_good_first_attempt_is_the_only_one() {
    let (call, guard, log) = settled();
    let (result, provider) = ask_for(&layer(), call, vec![Turn::Answer]).await;
    let mut reply = close(result, guard).unwrap();
    assert_eq!(reply.head().attempts, 1);
    assert_eq!(provider.seen()[0].attempt, Some(0));
    assert!(provider.ended().is_empty() && log.is_open(), "the reply keeps both open");
    assert_eq!(read(&mut reply).await.0, ["start", "word", "[DONE]"]);
    assert!(provider.ended()[0].is_success());
    let outcome = log.outcome();
    assert!(outcome.is_success());
    assert_eq!(outcome.attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_and_each_attempt_has_a_number() {
    let (call, guard, log) = settled();
    let turns = vec![Turn::Fail(failed()), Turn::Fail(of(ErrorKind::Timeout)), Turn::Answer];
    let (result, provider) = ask_for(&layer(), call, turns).await;
    let mut reply = close(result, guard).unwrap();
    assert_eq!(reply.head().attempts, 3);
    let numbers: Vec<_> = provider.seen().iter().map(|seen| seen.attempt).collect();
    assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
    // Half of 0.5 s, then half of 1 s.
    assert_eq!(provider.times(), [0, 250, 750]);
    read(&mut reply).await;
    let ends: Vec<_> = provider.ended().iter().map(|end| end.is_success()).collect();
    assert_eq!(ends, [false, false, true], "each told of its own end, once");
    let outcome = log.outcome();
    assert!(outcome.is_success());
    assert_eq!(outcome.attempts.len(), 3);
    assert!(matches!(outcome.attempts[1].end, End::Failure(_)));
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_finds_wrong_with_the_call_is_the_answer() {
    let invalid = of(ErrorKind::InvalidRequest).with_origin(Origin::Provider);
    let turns = vec![
        Turn::Fail(of(ErrorKind::BadUpstream).with_deployment("a")),
        Turn::Fail(invalid.with_deployment("b")),
    ];
    let (result, provider) = ask_for(&layer(), call(), turns).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.deployment()), (ErrorKind::InvalidRequest, Some("b")));
    assert_eq!(error.others()[0].kind(), ErrorKind::BadUpstream);
    assert_eq!((error.attempts(), provider.seen().len()), (Some(2), 2));
    // The gateway's own refusal is no verdict: it may be the echo of the retries.
    let refused = of(ErrorKind::InvalidRequest).with_origin(Origin::Gateway);
    let turns = vec![Turn::Fail(of(ErrorKind::BadUpstream)), Turn::Fail(refused)];
    let error = ask_for(&layer(), call(), turns).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadUpstream);
}

#[tokio::test(start_paused = true)]
async fn the_first_error_is_the_answer_with_the_others_attached() {
    let (call, guard, log) = settled();
    let turns = vec![
        Turn::Fail(failed().with_deployment("a").with_retry_after(secs(30))),
        Turn::Fail(of(ErrorKind::RateLimit).with_deployment("b").with_retry_after(secs(5))),
        Turn::Fail(of(ErrorKind::Server)),
    ];
    let (result, provider) = ask_for(&layer(), call, turns).await;
    let error = close(result, guard).unwrap_err();
    assert_eq!((error.kind(), error.deployment()), (ErrorKind::Overloaded, Some("a")));
    let others: Vec<_> = error.others().iter().map(Error::kind).collect();
    assert_eq!(others, [ErrorKind::RateLimit, ErrorKind::Server]);
    assert_eq!((error.attempts(), error.fallbacks()), (Some(3), 0));
    assert_eq!(error.retry_after(), None, "every time that was told is over");
    assert_eq!(provider.times(), [0, 30_250, 35_500]);
    assert!(matches!(&log.outcome().end, End::Failure(told) if told.attempts() == Some(3)));
}

#[tokio::test(start_paused = true)]
async fn when_to_come_back_is_the_longest_wait_that_still_stands() {
    let turns = vec![
        Turn::Fail(elsewhere(ErrorKind::RateLimit).with_retry_after(secs(50))),
        Turn::Late(secs(10), elsewhere(ErrorKind::RateLimit).with_retry_after(secs(5))),
        Turn::Late(secs(10), of(ErrorKind::RateLimit).with_retry_after(secs(7))),
    ];
    let error = ask(&layer(), turns).await.0.unwrap_err();
    assert_eq!(error.retry_after(), Some(secs(30)));
    let error =
        ask(&layer().retries(0), vec![Turn::Fail(failed().with_retry_after(secs(3)))]).await;
    assert_eq!(error.0.unwrap_err().retry_after(), Some(secs(3)));
}

#[tokio::test(start_paused = true)]
async fn kind_and_origin_decide() {
    use ErrorKind as K;
    let layer = layer().budget(RetryBudget::unlimited());
    let anywhere =
        [K::Conflict, K::RateLimit, K::Server, K::BadUpstream, K::Overloaded, K::Timeout];
    for kind in anywhere {
        assert_eq!(tries(&layer, of(kind)).await, 3, "{kind:?}");
        assert_eq!(tries(&layer, of(kind).with_origin(Origin::Caller)).await, 1, "{kind:?}");
    }
    assert_eq!(tries(&layer, of(K::RequestTimeout)).await, 3);
    assert_eq!(tries(&layer, Error::new(K::RequestTimeout, "slow")).await, 1);
    for kind in [K::Authentication, K::Permission, K::Billing, K::QuotaExhausted, K::NotFound] {
        assert_eq!(tries(&layer, of(kind)).await, 1, "{kind:?}");
        assert_eq!(tries(&layer, elsewhere(kind)).await, 3, "{kind:?}");
        let own = elsewhere(kind).with_origin(Origin::Caller);
        assert_eq!(tries(&layer, own).await, 1, "{kind:?}: the caller's own");
    }
    let never = [
        K::InvalidRequest,
        K::Unsupported,
        K::ContextLength,
        K::ContentPolicy,
        K::MethodNotAllowed,
        K::TooLarge,
        K::HeadersTooLarge,
        K::Cancelled,
    ];
    for kind in never {
        assert_eq!(tries(&layer, elsewhere(kind)).await, 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_our_own_are_waited_for_only_when_they_are_over_soon() {
    let layer = layer();
    for kind in [ErrorKind::RateLimit, ErrorKind::Overloaded] {
        let refused = Error::new(kind, "all deployments are full");
        assert_eq!(tries(&layer, refused.clone()).await, 1);
        assert_eq!(tries(&layer, refused.clone().with_elsewhere(true)).await, 3);
        assert_eq!(tries(&layer, refused.clone().with_retry_after(secs(1))).await, 3);
        assert_eq!(tries(&layer, refused.clone().with_retry_after(secs(2))).await, 1);
        let patient = layer.clone().max_wait_for_refusals(secs(2));
        assert_eq!(tries(&patient, refused.with_retry_after(secs(2))).await, 3);
    }
    assert_eq!(tries(&layer, Error::new(ErrorKind::Permission, "not this model")).await, 1);
    assert_eq!(tries(&layer, Error::new(ErrorKind::Billing, "no budget")).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_may_forbid_to_come_back() {
    let mut said = ProviderError::default();
    said.headers.insert("x-should-retry", "false".parse().unwrap());
    let error = Error::provider(ErrorKind::Server, "no", said);
    assert_eq!(tries(&layer(), error.clone()).await, 1);
    assert_eq!(tries(&layer(), error.with_elsewhere(true)).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_free_sibling_is_not_waited_for() {
    let told = elsewhere(ErrorKind::RateLimit).with_retry_after(secs(3600));
    let turns = vec![Turn::Fail(told), Turn::Fail(elsewhere(ErrorKind::Server)), Turn::Answer];
    let (result, provider) = ask(&layer(), turns).await;
    assert_eq!(result.unwrap().head().attempts, 3);
    assert_eq!(provider.times(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn waits_double_up_to_the_cap_and_are_drawn_by_lot() {
    let fails = |n| std::iter::repeat_with(|| Turn::Fail(failed())).take(n).collect();
    let waits = async |chance| {
        let layer = RetryLayer::new().retries(6).ambient(Arc::new(Chance(chance)));
        let times = ask(&layer, fails(7)).await.1.times();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    assert_eq!(waits(128).await, [250, 500, 1000, 2000, 4000, 4000]);
    assert_eq!(waits(0).await, [0; 6]);
    let longest = waits(255).await;
    assert!(longest.iter().all(|wait| *wait < 8000) && longest[5] > 7900, "{longest:?}");
    let layer = layer().backoff(secs(1), secs(3)).retries(3);
    assert_eq!(ask(&layer, fails(4)).await.1.times(), [0, 500, 1500, 3000]);
    let layer = layer.least_wait(Duration::from_millis(1200));
    assert_eq!(ask(&layer, fails(4)).await.1.times(), [0, 1200, 2400, 3900]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_obeyed_up_to_the_cap() {
    let told = |wait| vec![Turn::Fail(failed().with_retry_after(wait)), Turn::Answer];
    let (result, provider) = ask(&layer(), told(secs(60))).await;
    assert_eq!(result.unwrap().head().attempts, 2);
    assert_eq!(provider.times(), [0, 60_250]);
    let (result, provider) = ask(&layer(), told(secs(61))).await;
    assert_eq!(result.unwrap_err().retry_after(), Some(secs(61)));
    assert_eq!(provider.times(), [0]);
    let (result, _) = ask(&layer(), told(Duration::MAX)).await;
    result.unwrap_err();
    let (_, provider) = ask(&layer().max_wait(secs(1)), told(secs(2))).await;
    assert_eq!(provider.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_that_cannot_end_in_time() {
    let within = |time| {
        let mut call = call();
        call.set_deadline(Instant::now() + time);
        call
    };
    let fails = || vec![Turn::Fail(failed()), Turn::Fail(failed()), Turn::Answer];
    let begun = Instant::now();
    // The first wait fits, the second does not.
    let (result, provider) = ask_for(&layer(), within(Duration::from_millis(750)), fails()).await;
    assert_eq!(result.unwrap_err().attempts(), Some(2));
    assert_eq!(provider.times(), [0, 250]);
    assert_eq!(begun.elapsed().as_millis(), 250, "and the error comes back at once");
    let (result, _) = ask_for(&layer(), within(Duration::from_millis(751)), fails()).await;
    result.unwrap();
    // No wait, but no time either.
    let late = vec![Turn::Late(secs(1), elsewhere(ErrorKind::Server)), Turn::Answer];
    let (_, provider) = ask_for(&layer(), within(secs(1)), late).await;
    assert_eq!(provider.seen().len(), 1);
    let late = || vec![Turn::Late(secs(1), elsewhere(ErrorKind::Server)), Turn::Answer];
    let layer = layer().least_time(secs(2));
    let (_, provider) = ask_for(&layer, within(secs(3)), late()).await;
    assert_eq!(provider.seen().len(), 1);
    let (_, provider) = ask_for(&layer, within(secs(4)), late()).await;
    assert_eq!(provider.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_policies_and_models_say_how_often() {
    let asking = |retries| {
        let mut call = call();
        call.controls_mut().retries = Some(retries);
        call
    };
    let layer = layer().budget(RetryBudget::unlimited());
    assert_eq!(tries_of(&layer, asking(5), failed()).await, 6);
    assert_eq!(tries_of(&layer, asking(0), failed()).await, 1);
    assert_eq!(tries_of(&layer, asking(u32::MAX), failed()).await, 11);
    assert_eq!(tries_of(&layer.clone().most(3), asking(7), failed()).await, 4);

    let policy = RetryPolicy::new()
        .on([ErrorKind::RateLimit, ErrorKind::InvalidRequest], 4)
        .on([ErrorKind::Timeout], 0)
        .otherwise(1);
    let by_kind = layer.clone().policy(policy);
    assert_eq!(tries(&by_kind, of(ErrorKind::RateLimit)).await, 5);
    assert_eq!(tries(&by_kind, of(ErrorKind::Timeout)).await, 1);
    assert_eq!(tries(&by_kind, failed()).await, 2);
    let own = of(ErrorKind::InvalidRequest).with_origin(Origin::Caller);
    assert_eq!(tries(&by_kind, own).await, 5, "what is named wins over the check");
    assert_eq!(tries(&by_kind, of(ErrorKind::ContextLength)).await, 1, "the rest does not");
    assert_eq!(tries_of(&by_kind, asking(9), of(ErrorKind::RateLimit)).await, 5);
    assert_eq!(tries_of(&by_kind, asking(0), of(ErrorKind::RateLimit)).await, 1);
    assert_eq!(tries(&by_kind, of(ErrorKind::Cancelled)).await, 1);

    let by_model = by_kind
        .model_policy("model", RetryPolicy::new().on([ErrorKind::Timeout], 3))
        .model_retries("model", 7)
        .model_retries("other", 1);
    assert_eq!(tries(&by_model, of(ErrorKind::Timeout)).await, 4);
    assert_eq!(tries(&by_model, of(ErrorKind::RateLimit)).await, 8, "not the policy for all");
    assert_eq!(tries_of(&by_model, asking(1), of(ErrorKind::RateLimit)).await, 2);
    let other = Call::chat("other").user("Hello!");
    assert_eq!(tries_of(&by_model, other, of(ErrorKind::RateLimit)).await, 5);
    let plain = layer.model_retries("other", 1);
    assert_eq!(tries_of(&plain, Call::chat("other"), failed()).await, 2);
}

#[test]
fn litellms_names_are_understood() {
    let mut policy = RetryPolicy::new();
    let names = [
        ("BadRequestErrorRetries", ErrorKind::InvalidRequest),
        ("AuthenticationErrorRetries", ErrorKind::Authentication),
        ("TimeoutErrorRetries", ErrorKind::Timeout),
        ("RateLimitErrorRetries", ErrorKind::RateLimit),
        ("ContentPolicyViolationErrorRetries", ErrorKind::ContentPolicy),
        ("InternalServerErrorRetries", ErrorKind::Server),
        ("ServiceUnavailableErrorRetries", ErrorKind::Overloaded),
        ("NotFoundErrorRetries", ErrorKind::NotFound),
    ];
    for (number, (name, _)) in (1..).zip(names) {
        policy = policy.litellm(name, number).unwrap();
    }
    for (number, (_, kind)) in (1..).zip(names) {
        assert_eq!(policy.retries(kind), Some(number));
    }
    assert_eq!(policy.retries(ErrorKind::BadUpstream), None);
    let policy = policy.litellm("DefaultRetries", 9).unwrap();
    assert_eq!(policy.others(), Some(9));
    assert_eq!(policy.litellm("NoSuchErrorRetries", 1), None);
}

#[tokio::test(start_paused = true)]
async fn retries_are_taken_from_the_budget_of_the_deployment_that_failed() {
    let budgets = RetryBudgets::new();
    let layer =
        layer().retries(9).budget(RetryBudget::percent(100)).budgets(budgets.clone()).most(9);
    // One deposit, one retry; going elsewhere is taken from it, too.
    let at = |name: &'static str| elsewhere(ErrorKind::Server).with_deployment(name);
    assert_eq!(tries(&layer, at("a")).await, 2);
    assert_eq!(tries(&layer, at("b")).await, 2);
    // What the first did not use is left for others.
    let turns = || vec![Turn::Fail(at("c")), Turn::Fail(at("a")), Turn::Answer];
    let (result, provider) = ask(&layer, turns()).await;
    assert_eq!(result.unwrap_err().attempts(), Some(2));
    assert_eq!(provider.seen().len(), 2);
    // A new stack with the same books knows of it; so it does of good calls.
    drop(layer);
    let layer = self::layer().budget(RetryBudget::percent(100)).budgets(budgets);
    ask(&layer, vec![Turn::AnswerAs("a")]).await.0.unwrap();
    let turns = vec![Turn::Fail(at("c")), Turn::Fail(at("a")), Turn::Answer];
    let (result, _) = ask(&layer, turns).await;
    assert_eq!(result.unwrap().head().attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn where_no_deployment_is_known_the_models_budget_counts() {
    let layer = layer().budget(RetryBudget::percent(100));
    assert_eq!(tries(&layer, failed()).await, 2);
    assert_eq!(tries_of(&layer, Call::chat("other"), failed()).await, 2);
    // Names that nobody serves are not remembered.
    let budgets = RetryBudgets::new();
    let layer = layer.budgets(budgets.clone());
    tries(&layer, Error::new(ErrorKind::NotFound, "no such model")).await;
    assert!(budgets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_is_not_stormed() {
    let layer = layer().budget(RetryBudget::percent(20).per_second(1));
    let down = failed().with_deployment("a");
    let turns = std::iter::repeat_with(|| Turn::Fail(down.clone())).take(3000);
    let provider = Scripted::new(turns);
    let service = layer.layer(provider.clone());
    let calls = (0..1000).map(|_| tokio::spawn(service.clone().oneshot(call())));
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap_err();
    }
    let attempts = provider.seen().len();
    assert!((1200..=1210).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn what_is_ok_is_never_tried_again() {
    let acts = vec![Act::Frame(start(7)), Act::Frame(text("a")), Act::Fail(busy())];
    let (call, guard, log) = settled();
    let (result, provider) = ask_for(&layer(), call, vec![Turn::Stream(acts)]).await;
    let mut reply = close(result, guard).unwrap();
    let (frames, error) = read(&mut reply).await;
    assert_eq!(frames, ["start", "a"]);
    assert_eq!(error.unwrap().kind(), ErrorKind::Overloaded);
    assert_eq!(provider.seen().len(), 1);
    assert!(matches!(log.outcome().end, End::Failure(_)));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_settlement_gets_one() {
    let (result, provider) = ask(&layer(), vec![Turn::Fail(failed()), Turn::Answer]).await;
    let mut reply = result.unwrap();
    let scope = provider.last().scope().unwrap().clone();
    assert_eq!(scope.attempts(), 2);
    assert!(!scope.is_closed());
    read(&mut reply).await;
    assert!(scope.is_closed());
    assert!(scope.attempt().is_err(), "and so is the call");

    let (result, provider) = ask(&layer().retries(0), vec![Turn::Fail(failed())]).await;
    result.unwrap_err();
    assert!(provider.last().scope().unwrap().attempt().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_over_is_not_sent() {
    let guard = Settlement::open();
    let mut over = call();
    over.set_scope(guard.scope());
    guard.close(End::Cancelled);
    let (result, provider) = ask_for(&layer(), over, vec![]).await;
    assert!(result.unwrap_err().is_cancelled());
    assert!(provider.seen().is_empty());
    // It ends while a retry waits.
    let (call, guard, _) = settled();
    let provider = Scripted::new([Turn::Fail(failed())]);
    let mut future = task::spawn(layer().layer(provider.clone()).oneshot(call));
    assert_pending!(future.poll());
    drop(guard);
    advance(secs(1)).await;
    assert_eq!(assert_ready_err!(future.poll()).kind(), ErrorKind::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn dropping_cancels_at_every_point() {
    let begin = |turns: Vec<Turn>| {
        let (call, guard, log) = settled();
        let provider = Scripted::new(turns);
        let future = task::spawn(layer().layer(provider.clone()).call(call));
        (future, provider, guard, log)
    };
    let cancelled =
        |provider: &Scripted| matches!(provider.ended().last().unwrap().end, End::Cancelled);
    // Never polled.
    let (future, provider, _guard, _) = begin(vec![Turn::Hang]);
    drop(future);
    assert!(provider.dropped() == 1 && cancelled(&provider));
    // In the first attempt.
    let (mut future, provider, _guard, _) = begin(vec![Turn::Hang]);
    assert_pending!(future.poll());
    assert!(provider.ended().is_empty());
    drop(future);
    assert!(provider.dropped() == 1 && cancelled(&provider));
    // While it waits.
    let (mut future, provider, guard, log) = begin(vec![Turn::Fail(failed())]);
    assert_pending!(future.poll());
    assert_eq!(provider.ended().len(), 1);
    drop(future);
    advance(secs(100)).await;
    assert_eq!(provider.seen().len(), 1, "nothing is tried any more");
    drop(guard);
    assert!(matches!(log.outcome().end, End::Cancelled));
    // In the second attempt.
    let (mut future, provider, guard, log) = begin(vec![Turn::Fail(failed()), Turn::Hang]);
    assert_pending!(future.poll());
    advance(secs(1)).await;
    assert_pending!(future.poll());
    assert_eq!(provider.seen().len(), 2);
    drop(future);
    assert!(provider.dropped() == 1 && cancelled(&provider));
    drop(guard);
    assert_eq!(log.outcome().attempts.len(), 2);
    // A reply that is not read to its end.
    let stream = vec![Act::Frame(text("a")), Act::Hang];
    let (call, guard, log) = settled();
    let (result, provider) = ask_for(&layer(), call, vec![Turn::Stream(stream)]).await;
    let mut reply = close(result, guard).unwrap();
    next(&mut reply).await.unwrap().unwrap();
    drop(reply);
    assert!(cancelled(&provider));
    assert!(matches!(log.outcome().end, End::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_passes_and_closes_the_attempt() {
    for turns in [
        vec![Turn::PanicAtOnce],
        vec![Turn::Panic],
        vec![Turn::Fail(elsewhere(ErrorKind::Server)), Turn::PanicAtOnce],
        vec![Turn::Fail(elsewhere(ErrorKind::Server)), Turn::Panic],
    ] {
        let attempts = turns.len();
        let provider = Scripted::new(turns);
        let mut service = layer().layer(provider.clone());
        let (call, guard, log) = settled();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut future = Box::pin(service.call(call));
            let mut cx = Context::from_waker(Waker::noop());
            future.as_mut().poll(&mut cx).is_ready()
        }));
        assert!(panicked.is_err());
        assert_eq!(provider.ended().len(), attempts);
        assert!(matches!(provider.ended().last().unwrap().end, End::Cancelled));
        assert!(log.is_open(), "the call is its opener's");
        drop(guard);
        assert_eq!(log.outcome().attempts.len(), attempts);
    }
    // Where the layer opened the call, it ends it.
    let provider = Scripted::new([Turn::Panic]);
    let mut service = layer().layer(provider.clone());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut future = Box::pin(service.call(call()));
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }));
    assert!(panicked.is_err());
    assert!(provider.last().scope().unwrap().attempt().is_err());
}

#[tokio::test(start_paused = true)]
async fn clones_do_not_wait_for_each_other() {
    let provider = Scripted::new([Turn::Fail(failed()), Turn::Answer, Turn::Answer]);
    let mut first = layer().layer(provider.clone());
    let mut second = first.clone();
    let mut one = task::spawn(first.call(call()));
    assert_pending!(one.poll());
    let two = second.call(call()).await.unwrap();
    assert_eq!(two.head().attempts, 1);
    advance(secs(1)).await;
    assert_eq!(assert_ready_ok!(one.poll()).head().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn who_registered_on_the_call_is_told_once_whatever_the_attempts_do() {
    let (mut call, guard, _) = settled();
    let log = Log::default();
    call.register(Arc::new(log.clone()), Ticket(1, 2)).unwrap();
    call.controls_mut().retries = Some(3);
    let fails =
        vec![Turn::Fail(failed()), Turn::Fail(failed()), Turn::Fail(failed()), Turn::Answer];
    let (result, _) = ask_for(&layer(), call, fails).await;
    let mut reply = close(result, guard).unwrap();
    read(&mut reply).await;
    drop(reply);
    let ends = log.all();
    assert_eq!(ends.len(), 1);
    assert!(ends[0].is_success() && ends[0].attempts.len() == 4);
}

/// Any failure a provider, or a layer below, may come up with.
fn failure() -> impl Strategy<Value = Error> {
    use ErrorKind as K;
    let kinds = prop::sample::select(vec![
        K::InvalidRequest,
        K::ContextLength,
        K::Authentication,
        K::NotFound,
        K::Conflict,
        K::RateLimit,
        K::QuotaExhausted,
        K::Cancelled,
        K::Server,
        K::BadUpstream,
        K::Overloaded,
        K::Timeout,
    ]);
    let origins = prop::sample::select(vec![Origin::Caller, Origin::Gateway, Origin::Provider]);
    let deployments = prop::option::of(prop::sample::select(vec!["a", "b"]));
    (kinds, origins, deployments, any::<bool>(), prop::option::of(0u64..100)).prop_map(
        |(kind, origin, deployment, elsewhere, wait)| {
            let error = Error::new(kind, "no").with_origin(origin).with_elsewhere(elsewhere);
            let error = error.with_retry_after(wait.map(secs));
            match deployment {
                Some(deployment) => error.with_deployment(deployment),
                None => error,
            }
        },
    )
}

fn turn() -> impl Strategy<Value = Result<bool, (u64, Error)>> {
    prop_oneof![
        1 => any::<bool>().prop_map(Ok),
        6 => (0u64..5, failure()).prop_map(Err),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens, there is one result, no more attempts than policy and budget allow, none after the deadline, and
    /// everything is settled once.
    #[test]
    fn attempts_stay_within_policy_and_budget(
        calls in prop::collection::vec(prop::collection::vec(turn(), 12), 1..12),
        retries in 0u32..6,
        deadline in prop::option::of(1u64..40),
        percent in 0u32..150,
        seed in any::<u8>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let budget = RetryBudget::percent(percent);
            let layer = RetryLayer::new()
                .retries(retries)
                .budget(budget)
                .ambient(Arc::new(Chance(seed)));
            let (mut firsts, mut again) = (0, 0);
            for turns in calls {
                let provider = Scripted::new(turns.into_iter().map(|turn| match turn {
                    Ok(true) => Turn::Answer,
                    Ok(false) => Turn::Stream(vec![Act::Frame(text("a")), Act::Fail(busy())]),
                    Err((late, error)) => Turn::Late(secs(late), error),
                }));
                let (mut call, guard, log) = settled();
                let begun = Instant::now();
                if let Some(deadline) = deadline {
                    call.set_deadline(begun + secs(deadline));
                }
                let result = layer.layer(provider.clone()).oneshot(call).await;
                let attempts = provider.seen().len();
                match close(result, guard) {
                    Ok(mut reply) => {
                        assert_eq!(reply.head().attempts as usize, attempts);
                        read(&mut reply).await;
                    }
                    Err(error) => {
                        assert_eq!(error.attempts().unwrap() as usize, attempts);
                        assert_eq!(error.others().len() + 1, attempts);
                    }
                }
                assert!(attempts <= 1 + retries as usize);
                let last = provider.seen().last().unwrap().at;
                assert!(attempts == 1 || deadline.is_none_or(|deadline| last < secs(deadline)));
                assert_eq!(provider.ended().len(), attempts, "each attempt is settled once");
                assert_eq!(log.outcome().attempts.len(), attempts);
                firsts += 1;
                again += attempts - 1;
            }
            // The budgets of all deployments together never allow more than that of one that had all the calls.
            assert!(again <= firsts * percent as usize / 100);
        });
    }
}
