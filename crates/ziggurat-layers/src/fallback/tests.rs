use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use proptest::prelude::*;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;
use ziggurat_core::{
    Call, CallService, Caller, End, Error, ErrorKind, FallbackTarget, Instant, Operation, Origin,
    Payload, ProviderError, RawJson, Reply, Settlement, Typed,
};
use ziggurat_dialects::OPENAI;

use super::{FallbackLayer, FallbackPolicy};
use crate::fake::{Act, Dropped, busy, close, next, read, secs, settled, text};
use crate::scripted::{Scripted, Turn};

const NONE: [&str; 0] = [];

fn of(kind: ErrorKind) -> Error {
    Error::provider(kind, "no", ProviderError::default())
}

fn fail(kind: ErrorKind) -> Turn {
    Turn::Fail(of(kind))
}

fn fails(number: usize) -> Vec<Turn> {
    std::iter::repeat_with(|| fail(ErrorKind::Overloaded)).take(number).collect()
}

/// `model` falls back to `b`, then to `c`.
fn layer() -> FallbackLayer {
    FallbackLayer::new(FallbackPolicy::new().on("model", ["b", "c"]))
}

fn call() -> Call {
    Call::chat("model").user("Hello!").streamed()
}

async fn ask_for(
    layer: &FallbackLayer,
    call: Call,
    turns: Vec<Turn>,
) -> (Result<Reply, Error>, Scripted) {
    let provider = Scripted::new(turns);
    let result = layer.layer(provider.clone()).oneshot(call).await;
    (result, provider)
}

async fn ask(layer: &FallbackLayer, turns: Vec<Turn>) -> (Result<Reply, Error>, Scripted) {
    ask_for(layer, call(), turns).await
}

#[test]
fn a_service_with_fallbacks_is_a_call_service() {
    fn is(_: &impl CallService) {}
    is(&layer().layer(layer().layer(service_fn(|_: Call| async { Err::<Reply, _>(busy()) }))));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) = mock::spawn_layer(layer());
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(call()));
    assert_pending!(call.poll());
    handle.next_request().await.unwrap().1.send_error(busy());
    // The second model is not asked before the service is ready for it.
    handle.allow(0);
    assert_pending!(call.poll());
    assert_pending!(task::spawn(handle.next_request()).poll());
    handle.allow(1);
    assert_pending!(call.poll());
    let (second, respond) = handle.next_request().await.unwrap();
    assert_eq!(second.model(), "b");
    respond.send_error(of(ErrorKind::Cancelled));
    assert_eq!(assert_ready_err!(call.poll()).fallbacks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_between_models_is_not_called() {
    let (mut service, mut handle) = mock::spawn_layer(layer());
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(call()));
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    handle.send_error(of(ErrorKind::Server));
    respond.send_error(busy());
    let error = assert_ready_err!(call.poll());
    assert_eq!((error.kind(), error.fallbacks()), (ErrorKind::Overloaded, 0));
    assert_eq!(error.others()[0].kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_answers_is_the_only_one() {
    let (call, guard, log) = settled();
    let (result, provider) = ask_for(&layer(), call, vec![Turn::Answer]).await;
    let mut reply = close(result, guard).unwrap();
    assert_eq!(provider.models(), ["model"]);
    assert_eq!((reply.head().fallbacks, reply.head().group.as_deref()), (0, None));
    read(&mut reply).await;
    assert!(log.outcome().is_success());
}

#[tokio::test(start_paused = true)]
async fn the_next_model_is_asked_and_the_caller_sees_which_answered() {
    let (call, guard, log) = settled();
    let mut turns = fails(2);
    turns.push(Turn::Answer);
    let (result, provider) = ask_for(&layer(), call, turns).await;
    let mut reply = close(result, guard).unwrap();
    assert_eq!(provider.models(), ["model", "b", "c"]);
    assert_eq!(reply.head().group.as_deref(), Some("c"));
    assert_eq!((reply.head().fallbacks, reply.head().attempts), (2, 3));
    assert_eq!(read(&mut reply).await.0, ["start", "word", "[DONE]"]);
    assert!(log.outcome().is_success());
}

#[tokio::test(start_paused = true)]
async fn if_all_fail_the_first_error_is_the_answer_with_the_rest_attached() {
    let (call, guard, log) = settled();
    let first = of(ErrorKind::RateLimit).with_deployment("a").with_retry_after(secs(60));
    let first = first.with_others(vec![of(ErrorKind::Server)]);
    let turns = vec![
        Turn::Fail(first),
        Turn::Late(secs(10), of(ErrorKind::Overloaded).with_retry_after(secs(100))),
        fail(ErrorKind::Timeout),
    ];
    let (result, _) = ask_for(&layer(), call, turns).await;
    let error = close(result, guard).unwrap_err();
    assert_eq!((error.kind(), error.deployment()), (ErrorKind::RateLimit, Some("a")));
    let others: Vec<_> = error.others().iter().map(Error::kind).collect();
    assert_eq!(others, [ErrorKind::Server, ErrorKind::Overloaded, ErrorKind::Timeout]);
    assert_eq!((error.attempts(), error.fallbacks()), (Some(3), 2));
    assert_eq!(error.retry_after(), Some(secs(50)), "one model is enough");
    assert!(matches!(&log.outcome().end, End::Failure(told) if told.fallbacks() == 2));
}

#[tokio::test(start_paused = true)]
async fn kind_and_origin_decide() {
    use ErrorKind as K;
    let asked = async |error: Error| {
        let turns = (0..3).map(|_| Turn::Fail(error.clone())).collect();
        ask(&layer(), turns).await.1.seen().len()
    };
    let whatever = [
        K::Authentication,
        K::Billing,
        K::Permission,
        K::Conflict,
        K::TooLarge,
        K::RateLimit,
        K::QuotaExhausted,
        K::Server,
        K::BadUpstream,
        K::Overloaded,
        K::Timeout,
    ];
    for kind in whatever {
        assert_eq!(asked(of(kind)).await, 3, "{kind:?}");
        assert_eq!(asked(of(kind).with_origin(Origin::Gateway)).await, 3, "{kind:?}");
        assert_eq!(asked(of(kind).with_origin(Origin::Caller)).await, 1, "{kind:?}");
    }
    for kind in [K::ContextLength, K::ContentPolicy, K::Unsupported, K::NotFound] {
        assert_eq!(asked(of(kind)).await, 3, "{kind:?}");
        assert_eq!(asked(Error::new(kind, "no")).await, 3, "{kind:?}: whoever says it");
    }
    assert_eq!(asked(Error::invalid("not JSON")).await, 1);
    assert_eq!(asked(of(K::Cancelled)).await, 1);
    let (_, provider) = ask(&layer(), vec![fail(K::Server), fail(K::Cancelled)]).await;
    assert_eq!(provider.seen().len(), 2, "given up, and nobody else is asked");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_request_is_asked_about_once_more() {
    let invalid = || fail(ErrorKind::InvalidRequest);
    let (result, provider) = ask(&layer(), vec![invalid(), invalid()]).await;
    assert_eq!(provider.models(), ["model", "b"]);
    assert_eq!(result.unwrap_err().others().len(), 1);
    let (result, _) = ask(&layer(), vec![invalid(), Turn::Answer]).await;
    assert_eq!(result.unwrap().head().group.as_deref(), Some("b"));
    // What is wrong in one place only does not end the search.
    let turns = vec![fail(ErrorKind::Server), invalid(), Turn::Answer];
    assert_eq!(ask(&layer(), turns).await.1.models(), ["model", "b", "c"]);
    let turns = vec![invalid(), fail(ErrorKind::Server), Turn::Answer];
    assert_eq!(ask(&layer(), turns).await.1.models(), ["model", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn lists_are_found_by_name_with_and_without_a_providers_prefix() {
    let policy = FallbackPolicy::new()
        .on("gpt", ["1"])
        .on("azure/gpt-5", ["2"])
        .on("openai/gpt", ["3"])
        .on("openrouter/meta/llama", ["4"]);
    let list = |policy: &FallbackPolicy, model: &str| -> Vec<String> {
        let targets = policy.targets(model, &busy());
        targets.iter().map(|target| target.model.to_string()).collect()
    };
    assert_eq!(list(&policy, "gpt"), ["1"]);
    assert_eq!(list(&policy, "openai/gpt"), ["3"], "the exact name first");
    assert_eq!(list(&policy, "azure/gpt"), ["1"]);
    assert_eq!(list(&policy, "gpt-5"), ["2"]);
    assert_eq!(list(&policy, "meta/llama"), ["4"]);
    assert_eq!(list(&policy, "llama"), NONE);
    assert_eq!(list(&policy.otherwise(["5"]), "llama"), ["5"]);
}

#[tokio::test(start_paused = true)]
async fn long_prompts_and_forbidden_content_have_lists_of_their_own() {
    let asked = async |policy: &FallbackPolicy, kind| {
        let turns = vec![fail(kind), Turn::Answer];
        let models = ask(&FallbackLayer::new(policy.clone()), turns).await.1.models();
        models.get(1).map(ToString::to_string)
    };
    let general = FallbackPolicy::new().on("model", ["general"]).otherwise(["default"]);
    for kind in [ErrorKind::ContextLength, ErrorKind::ContentPolicy, ErrorKind::Server] {
        assert_eq!(asked(&general, kind).await.as_deref(), Some("general"));
    }
    let own = general
        .clone()
        .on_context_length("model", ["long"])
        .on_content_policy("model", ["liberal"]);
    assert_eq!(asked(&own, ErrorKind::ContextLength).await.as_deref(), Some("long"));
    assert_eq!(asked(&own, ErrorKind::ContentPolicy).await.as_deref(), Some("liberal"));
    assert_eq!(asked(&own, ErrorKind::Server).await.as_deref(), Some("general"));
    // Lists for others only: no general ones.
    let others = general.on_context_length("other", ["long"]);
    assert_eq!(asked(&others, ErrorKind::ContextLength).await, None);
    assert_eq!(asked(&others, ErrorKind::ContentPolicy).await.as_deref(), Some("general"));
    // Without general lists at all.
    let only = FallbackPolicy::new().on_context_length("*", ["long"]);
    assert_eq!(asked(&only, ErrorKind::ContextLength).await.as_deref(), Some("long"));
    assert_eq!(asked(&only, ErrorKind::Server).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_has_its_own_list_asked_next() {
    let policy = FallbackPolicy::new()
        .on("model", ["b", "c"])
        .on("b", ["b1", "b2"])
        .on("b1", ["model", "b2"])
        .on_context_length("b2", ["long"]);
    let layer = FallbackLayer::new(policy).max_fallbacks(100);
    let turns = vec![
        fail(ErrorKind::Server),
        fail(ErrorKind::Server),
        fail(ErrorKind::Server),
        fail(ErrorKind::ContextLength),
        fail(ErrorKind::Server),
        fail(ErrorKind::Server),
    ];
    let (result, provider) = ask(&layer, turns).await;
    assert_eq!(provider.models(), ["model", "b", "b1", "b2", "long", "c"], "each once");
    assert_eq!(result.unwrap_err().fallbacks(), 5);
}

#[tokio::test(start_paused = true)]
async fn lists_that_lead_in_a_circle_end() {
    let policy = FallbackPolicy::new().on("model", ["b"]).on("b", ["model"]).otherwise(["b"]);
    let (_, provider) = ask(&FallbackLayer::new(policy), fails(2)).await;
    assert_eq!(provider.models(), ["model", "b"]);
    let policy = FallbackPolicy::new().on("model", ["model"]);
    let (_, provider) = ask(&FallbackLayer::new(policy), fails(1)).await;
    assert_eq!(provider.models(), ["model"]);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_models_is_bounded() {
    let many = || (0..50).map(|n| format!("m{n}"));
    let layer = FallbackLayer::new(FallbackPolicy::new().on("model", many()));
    assert_eq!(ask(&layer, fails(50)).await.1.seen().len(), 6);
    let few = layer.clone().max_fallbacks(1);
    assert_eq!(ask(&few, fails(50)).await.1.seen().len(), 2);
    assert_eq!(ask(&layer.max_fallbacks(0), fails(50)).await.1.seen().len(), 1);
    // Callers' lists, too.
    let mut call = call();
    call.controls_mut().fallbacks = Some(many().map(FallbackTarget::new).collect());
    let layer = FallbackLayer::new(FallbackPolicy::new());
    assert_eq!(ask_for(&layer, call, fails(50)).await.1.seen().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_fallbacks_come_first_with_their_parameters() {
    let body = br#"{"model":"model","messages":[],"temperature":1,"stream":true}"#;
    let payload = Payload::wire(OPENAI, Operation::Chat, body.as_slice().into()).unwrap();
    let mut wire = Call::new(Arc::clone(call().head()), "model", true, payload);
    let json = |text: &str| RawJson::parse(text.into()).unwrap();
    let target = FallbackTarget::new("own")
        .param("temperature", json("0"))
        .param("seed", json("7"))
        .param("model", json("\"other\""))
        .param("stream", json("false"));
    wire.controls_mut().fallbacks = Some(vec![target.clone()]);
    let turns = || vec![fail(ErrorKind::Server), Turn::Answer];
    let (_, provider) = ask_for(&layer(), wire.clone(), turns()).await;
    let last = provider.last();
    assert_eq!(last.model(), "own");
    let body = String::from_utf8(last.payload().segments().unwrap().concat()).unwrap();
    assert_eq!(
        body, r#"{"model":"model","messages":[],"temperature":0,"stream":true,"seed":7}"#,
        "what the call is stays as it was: translation writes the model's name"
    );
    assert!(wire.payload().segments().is_some_and(|old| old.concat() != body.as_bytes()));
    // What is configured comes after them, as the caller asked at first.
    let mut turns = fails(2);
    turns.push(Turn::Answer);
    let (_, provider) = ask_for(&layer(), wire, turns).await;
    assert_eq!(provider.models(), ["model", "own", "b"]);
    assert_eq!(provider.last().payload().member("temperature").unwrap(), "1");

    let mut typed = call();
    typed.controls_mut().fallbacks =
        Some(vec![target.param("top_k", json("3")).param("x", json("1"))]);
    let (_, provider) = ask_for(&layer(), typed, vec![fail(ErrorKind::Server), Turn::Answer]).await;
    let last = provider.last();
    let chat = last.payload().chat().unwrap();
    assert_eq!((chat.sampling.temperature, chat.sampling.top_k), (Some(0.0), Some(3)));
    assert!(chat.stream && chat.extras.get("x").is_some() && chat.extras.get("model").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_same_model_with_other_parameters_is_another() {
    let mut call = call();
    let again =
        FallbackTarget::new("model").param("temperature", RawJson::parse("0".into()).unwrap());
    call.controls_mut().fallbacks = Some(vec![again.clone(), again]);
    let layer = FallbackLayer::new(FallbackPolicy::new());
    assert_eq!(ask_for(&layer, call, fails(2)).await.1.models(), ["model", "model"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_switch_fallbacks_off() {
    let mut call = call();
    call.controls_mut().disable_fallbacks = true;
    call.controls_mut().fallbacks = Some(vec!["own".into()]);
    assert_eq!(ask_for(&layer(), call, fails(1)).await.1.models(), ["model"]);
}

#[tokio::test(start_paused = true)]
async fn counting_tokens_and_listing_models_have_no_fallbacks() {
    let chat = Arc::clone(call().payload().chat().unwrap());
    for typed in [Typed::CountTokens(chat), Typed::Models(None)] {
        let head = Arc::clone(call().head());
        let call = Call::new(head, "model", false, Payload::typed(typed));
        assert_eq!(ask_for(&layer(), call, fails(1)).await.1.models(), ["model"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_the_caller_may_not_use_is_passed_over() {
    let mut call = call();
    call.set_caller(Caller::new("key").models(["model", "c"]));
    let turns = || vec![fail(ErrorKind::Server), Turn::Answer];
    let (result, provider) = ask_for(&layer(), call.clone(), turns()).await;
    assert_eq!(provider.models(), ["model", "c"]);
    assert_eq!(result.unwrap().head().fallbacks, 1, "who is passed over is not counted");
    // Nor is the list of such a model followed.
    let policy = FallbackPolicy::new().on("model", ["b"]).on("b", ["c"]);
    let (result, provider) = ask_for(&FallbackLayer::new(policy), call.clone(), turns()).await;
    assert_eq!(provider.models(), ["model"]);
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.fallbacks()), (ErrorKind::Server, 0));
    assert_eq!(error.others()[0].message(), "this key may not use the model `b`");
    // The question may be another.
    let asked = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&asked);
    let layer = layer().permit(move |call| {
        note.lock().unwrap().push(call.model().to_string());
        Ok(())
    });
    assert_eq!(ask_for(&layer, call, fails(3)).await.1.seen().len(), 3);
    assert_eq!(*asked.lock().unwrap(), ["b", "c"], "and is not asked for the first model");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_after_the_deadline() {
    let mut call = call();
    call.set_deadline(Instant::now() + secs(5));
    let late = |time| Turn::Late(secs(time), of(ErrorKind::Server));
    let turns = vec![late(4), late(1), Turn::Answer];
    let (result, provider) = ask_for(&layer(), call, turns).await;
    assert_eq!(provider.times(), [0, 4000]);
    assert_eq!(result.unwrap_err().fallbacks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_settlement_gets_one_for_all_models() {
    let mut turns = fails(1);
    turns.push(Turn::Answer);
    let (result, provider) = ask(&layer(), turns).await;
    let mut reply = result.unwrap();
    let scope = provider.last().scope().unwrap().clone();
    assert!(!scope.is_closed());
    read(&mut reply).await;
    assert!(scope.is_closed());
    assert!(provider.ended().iter().all(ziggurat_core::Outcome::is_success));
    let (result, provider) = ask(&layer(), fails(3)).await;
    result.unwrap_err();
    assert!(provider.last().scope().unwrap().is_closed());
    assert_eq!(provider.ended().len(), 3);
    // Where nothing would be done, nothing is opened.
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let service = service_fn(move |call: Call| {
        *note.lock().unwrap() = Some(call.scope().is_some());
        async { Err::<Reply, _>(busy()) }
    });
    let idle = FallbackLayer::new(FallbackPolicy::new());
    idle.layer(service).oneshot(call()).await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ended_meanwhile_goes_nowhere() {
    let guard = Settlement::open();
    let mut over = call();
    over.set_scope(guard.scope());
    let provider = Scripted::new([Turn::Late(secs(1), of(ErrorKind::Server))]);
    let mut future = task::spawn(layer().layer(provider.clone()).oneshot(over));
    assert_pending!(future.poll());
    guard.close(End::Cancelled);
    advance(secs(2)).await;
    assert_ready_err!(future.poll());
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_cancels_at_every_point() {
    let begin = |turns: Vec<Turn>| {
        let (call, guard, log) = settled();
        let provider = Scripted::new(turns);
        let future = task::spawn(layer().layer(provider.clone()).call(call));
        (future, provider, guard, log)
    };
    // Never polled.
    let (future, provider, _guard, _) = begin(vec![Turn::Hang]);
    drop(future);
    assert_eq!(provider.dropped(), 1);
    // At the first model.
    let (mut future, provider, _guard, _) = begin(vec![Turn::Hang]);
    assert_pending!(future.poll());
    drop(future);
    assert_eq!(provider.dropped(), 1);
    // At the second.
    let (mut future, provider, guard, log) = begin(vec![fail(ErrorKind::Server), Turn::Hang]);
    assert_pending!(future.poll());
    assert_eq!(provider.models(), ["model", "b"]);
    drop(future);
    assert_eq!(provider.dropped(), 1);
    drop(guard);
    assert!(matches!(log.outcome().end, End::Cancelled));
    // A reply that is not read to its end.
    let stream = Turn::Stream(vec![Act::Frame(text("a")), Act::Hang]);
    let (call, guard, log) = settled();
    let (result, _) = ask_for(&layer(), call, vec![fail(ErrorKind::Server), stream]).await;
    let mut reply = close(result, guard).unwrap();
    next(&mut reply).await.unwrap().unwrap();
    drop(reply);
    assert!(matches!(log.outcome().end, End::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_passes_and_the_call_is_settled() {
    for turns in [
        vec![Turn::PanicAtOnce],
        vec![Turn::Panic],
        vec![fail(ErrorKind::Server), Turn::PanicAtOnce],
        vec![fail(ErrorKind::Server), Turn::Panic],
    ] {
        let models = turns.len();
        let provider = Scripted::new(turns);
        let mut service = layer().layer(provider.clone());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut future = Box::pin(service.call(call()));
            future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        }));
        assert!(panicked.is_err());
        assert_eq!(provider.seen().len(), models);
        assert!(provider.ended().iter().all(|end| matches!(end.end, End::Cancelled)));
        assert_eq!(provider.ended().len(), models);
    }
}

#[tokio::test(start_paused = true)]
async fn clones_do_not_wait_for_each_other() {
    let never = Dropped::default();
    let futures = never.clone();
    let mut first = layer().layer(service_fn(move |_: Call| futures.never()));
    let mut second = first.clone();
    let mut one = task::spawn(first.call(call()));
    let mut two = task::spawn(second.call(call()));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    drop(one);
    assert_eq!(never.count(), 1);
    assert_pending!(two.poll());
}

#[cfg(all(feature = "retry", feature = "peek"))]
mod above_retry {
    use ziggurat_core::Facts;

    use super::*;
    use crate::fake::{frame, start};
    use crate::{PeekLayer, RetryLayer};

    fn stack(provider: &Scripted) -> impl CallService {
        let retry = RetryLayer::new().ambient(Arc::new(crate::scripted::Chance(0)));
        layer().layer(retry.layer(PeekLayer::new().layer(provider.clone())))
    }

    #[tokio::test(start_paused = true)]
    async fn each_model_is_tried_again_and_all_attempts_are_counted_through() {
        let mut turns = fails(4);
        turns.push(Turn::AnswerAs("d"));
        let provider = Scripted::new(turns);
        let (call, guard, log) = settled();
        let mut reply = close(stack(&provider).oneshot(call).await, guard).unwrap();
        assert_eq!(provider.models(), ["model", "model", "model", "b", "b"]);
        let numbers: Vec<_> = provider.seen().iter().filter_map(|seen| seen.attempt).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!((reply.head().attempts, reply.head().fallbacks), (5, 1));
        read(&mut reply).await;
        assert_eq!(log.outcome().attempts.len(), 5);
        assert_eq!(provider.ended().len(), 5, "each told once");

        let provider = Scripted::new(fails(9));
        let error = stack(&provider).oneshot(self::call()).await.unwrap_err();
        assert_eq!((error.attempts(), error.fallbacks()), (Some(9), 2));
        // Two retries of the first, then the two models with two each of their own.
        assert_eq!(error.others().len(), 4);
        assert_eq!(error.others()[3].others().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_overload_inside_a_200_goes_to_another_model_and_no_text_comes_twice() {
        let overload = || {
            let mut error = frame("error", Facts::NONE);
            error.set_error(of(ErrorKind::Overloaded));
            Turn::Stream(vec![Act::Frame(start(7)), Act::Frame(error)])
        };
        let cut = vec![Act::Frame(start(7)), Act::Frame(text("a")), Act::Fail(busy())];
        let turns = vec![overload(), overload(), overload(), Turn::Stream(cut)];
        let provider = Scripted::new(turns);
        let (call, guard, log) = settled();
        let mut reply = close(stack(&provider).oneshot(call).await, guard).unwrap();
        assert_eq!(reply.head().group.as_deref(), Some("b"));
        let (frames, error) = read(&mut reply).await;
        // After content nobody else is asked: the break is the caller's to see.
        assert_eq!(frames, ["start", "a"]);
        assert_eq!(error.unwrap().kind(), ErrorKind::Overloaded);
        assert_eq!(provider.seen().len(), 4);
        let outcome = log.outcome();
        assert!(matches!(outcome.end, End::Failure(_)));
        assert_eq!(outcome.attempts.len(), 4);
        assert_eq!(outcome.usage.unwrap().total_input(), 28, "all that was begun is booked");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever the lists say, each model is asked once at most, no more than the bound allows, and there is one result.
    #[test]
    fn no_list_leads_astray(
        lists in prop::collection::vec(prop::collection::vec(0usize..8, 0..5), 8),
        outcomes in prop::collection::vec(0usize..12, 10),
        most in 0u32..10,
        allowed in prop::collection::vec(any::<bool>(), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let name = |number: usize| format!("m{number}");
            let mut policy = FallbackPolicy::new();
            for (number, list) in lists.iter().enumerate() {
                policy = policy.on(name(number), list.iter().copied().map(name));
            }
            let kinds = [
                ErrorKind::Server,
                ErrorKind::RateLimit,
                ErrorKind::InvalidRequest,
                ErrorKind::ContextLength,
                ErrorKind::Cancelled,
            ];
            let turns = outcomes.iter().map(|outcome| match outcome {
                0 => Turn::Answer,
                n => fail(kinds[n % kinds.len()]),
            });
            let mut call = Call::chat("m0").user("Hello!");
            let may: Vec<_> =
                (0..8).filter(|number| *number == 0 || allowed[*number]).map(name).collect();
            call.set_caller(Caller::new("key").models(may.clone()));
            let layer = FallbackLayer::new(policy).max_fallbacks(most);
            let (result, provider) = ask_for(&layer, call, turns.collect()).await;
            let models = provider.models();
            let different: HashSet<_> = models.iter().collect();
            assert_eq!(different.len(), models.len(), "nobody is asked twice");
            assert!(models.len() <= 1 + most as usize);
            assert!(models.iter().all(|model| may.iter().any(|may| *model == may.as_str())));
            match result {
                Ok(mut reply) => {
                    assert_eq!(reply.head().fallbacks as usize, models.len() - 1);
                    read(&mut reply).await;
                }
                Err(error) => assert_eq!(error.fallbacks() as usize, models.len() - 1),
            }
            // One settlement for all: each model's registration is told when the call ends.
            assert_eq!(provider.ended().len(), if most == 0 { 0 } else { models.len() });
        });
    }
}
