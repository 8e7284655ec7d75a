use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service};
use tower_test::mock;
use ziggurat_core::{
    Call, CallService, Caller, Dialect, Error, ErrorKind, Operation, Origin, Payload, RawJson,
    Reply, Typed,
};
use ziggurat_dialects::{ANTHROPIC, OPENAI};

use super::AccessLayer;
use crate::fake::{Dropped, busy};

fn wire_of(dialect: Dialect, body: &'static str) -> Call {
    let head = Arc::clone(Call::chat("").head());
    let payload = Payload::wire(dialect, Operation::Chat, body.into()).unwrap();
    Call::new(head, "gpt", false, payload)
}

fn wire(body: &'static str) -> Call {
    wire_of(OPENAI, body)
}

fn refused(layer: &AccessLayer, call: &Call) -> (ErrorKind, String) {
    let error = layer.check(call).unwrap_err();
    assert_eq!(error.origin(), Origin::Caller);
    (error.kind(), error.param().unwrap().to_owned())
}

#[test]
fn a_guarded_service_is_a_call_service() {
    fn is(_: &impl CallService) {}
    is(&AccessLayer::new().layer(tower::service_fn(|_: Call| async { Err::<Reply, _>(busy()) })));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services_and_who_may_passes() {
    let (mut service, mut handle) = mock::spawn_layer(AccessLayer::new());
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = Call::chat("gpt");
    call.set_caller(Caller::new("key").models(["gpt"]));
    let mut future = task::spawn(service.call(call));
    assert_pending!(future.poll());
    let (call, respond) = handle.next_request().await.unwrap();
    assert_eq!(call.model(), "gpt");
    respond.send_error(busy());
    assert_eq!(assert_ready_err!(future.poll()).kind(), ErrorKind::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_use_a_model_reaches_nothing() {
    let (mut service, mut handle) = mock::spawn_layer(AccessLayer::new());
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    assert_ready_ok!(service.poll_ready());
    let mut call = Call::chat("gpt\n-5");
    call.set_caller(Caller::new("key").models(["gpt"]));
    let mut future = task::spawn(service.call(call));
    let error = assert_ready_err!(future.poll());
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Permission, 403));
    assert_eq!((error.origin(), error.param()), (Origin::Caller, Some("model")));
    assert_eq!(error.message(), "this key may not use the model `gpt-5…`");
    assert_pending!(task::spawn(handle.next_request()).poll());
}

#[test]
fn the_list_of_models_is_not_guarded_here() {
    let head = Arc::clone(Call::chat("").head());
    let mut call = Call::new(head, "", false, Payload::typed(Typed::Models(None)));
    call.set_caller(Caller::new("key").models(["gpt"]));
    AccessLayer::new().require(["user"]).check(&call).unwrap();
}

#[test]
fn parameters_may_be_denied() {
    let layer = AccessLayer::new().deny(["service_tier", "tools"]);
    layer.check(&wire(r#"{"model":"gpt","messages":[],"user":"u"}"#)).unwrap();
    for body in [
        r#"{"model":"gpt","service_tier":"priority"}"#,
        r#"{"model":"gpt","service_\u0074ier":"priority"}"#,
    ] {
        assert_eq!(refused(&layer, &wire(body)), (ErrorKind::Permission, "service_tier".into()));
    }
    let shouted = wire(r#"{"model":"gpt","Service_Tier":"priority"}"#);
    assert_eq!(refused(&layer, &shouted).0, ErrorKind::Permission);
    // What an edit puts in is seen, and what it takes out is not.
    let mut edited = wire(r#"{"model":"gpt","tools":[]}"#);
    edited.payload_mut().remove("tools");
    layer.check(&edited).unwrap();
    edited.payload_mut().set("service_tier", RawJson::string("flex"));
    assert_eq!(refused(&layer, &edited).1, "service_tier");
}

#[test]
fn parameters_may_be_allowed_one_by_one() {
    let layer = AccessLayer::new().allow(["temperature"]).allow(["top_p"]);
    let body = r#"{"model":"gpt","messages":[],"stream":true,"temperature":1,"top_p":1}"#;
    layer.check(&wire(body)).unwrap();
    let body = r#"{"model":"gpt","messages":[],"invented_yesterday":1}"#;
    let (kind, param) = refused(&layer, &wire(body));
    assert_eq!((kind, param.as_str()), (ErrorKind::Permission, "invented_yesterday"));
    assert_eq!(refused(&layer.deny(["top_p"]), &wire(r#"{"top_p":1}"#)).1, "top_p");
}

#[test]
fn parameters_may_be_required() {
    let layer = AccessLayer::new().require(["user"]);
    layer.check(&wire(r#"{"model":"gpt","user":"u"}"#)).unwrap();
    for body in [r#"{"model":"gpt","messages":[]}"#, r#"{"model":"gpt","messages":[],"user":null}"#]
    {
        assert_eq!(refused(&layer, &wire(body)), (ErrorKind::InvalidRequest, "user".into()));
    }
    // Anthropic's callers say it elsewhere.
    let body = r#"{"model":"claude","max_tokens":1,"messages":[{"role":"user","content":"a"}],"metadata":{"user_id":"u"}}"#;
    layer.check(&wire_of(ANTHROPIC, body)).unwrap();
    let body = r#"{"model":"claude","max_tokens":1,"messages":[{"role":"user","content":"a"}],"metadata":{}}"#;
    assert_eq!(refused(&layer, &wire_of(ANTHROPIC, body)).1, "user");

    let layer = AccessLayer::new().require(["metadata.team", "metadata.job.id"]);
    layer.check(&wire(r#"{"metadata":{"team":"t","job":{"id":0}}}"#)).unwrap();
    for (body, missing) in [
        (r#"{"model":"gpt"}"#, "metadata.team"),
        (r#"{"metadata":"team"}"#, "metadata.team"),
        (r#"{"metadata":{"team":null,"job":{"id":1}}}"#, "metadata.team"),
        (r#"{"metadata":{"team":"t","job":{}}}"#, "metadata.job.id"),
        (r#"{"metadata":{"team":"t","job":[]}}"#, "metadata.job.id"),
    ] {
        assert_eq!(refused(&layer, &wire(body)).1, missing, "{body}");
    }
}

#[test]
fn conversations_built_in_code_are_asked_by_openais_names() {
    let call = Call::chat("gpt").user("a").max_output_tokens(5).with_chat(|chat| {
        chat.user = Some("u".into());
        chat.metadata = Some(RawJson::parse(r#"{"team":"t"}"#.into()).unwrap());
        chat.extras.push("speed".into(), RawJson::string("fast"));
    });
    AccessLayer::new()
        .require(["user", "max_tokens", "metadata.team", "speed"])
        .deny(["tools", "temperature"])
        .check(&call)
        .unwrap();
    let layer = AccessLayer::new();
    assert_eq!(refused(&layer.clone().deny(["max_tokens"]), &call).1, "max_tokens");
    assert_eq!(refused(&layer.clone().deny(["speed"]), &call).1, "speed");
    assert_eq!(refused(&layer.clone().allow(["user", "metadata"]), &call).1, "max_tokens");
    assert_eq!(refused(&layer.clone().require(["temperature"]), &call).1, "temperature");
    assert_eq!(refused(&layer.require(["metadata.job"]), &call).1, "metadata.job");
}

#[test]
fn further_rules_are_asked_after_the_others() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let layer = AccessLayer::new().deny(["tools"]).rule(move |call| {
        count.fetch_add(1, Ordering::Relaxed);
        match call.caller().team_id() {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::Billing, "no team, no budget")),
        }
    });
    layer.check(&wire(r#"{"tools":[]}"#)).unwrap_err();
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let mut call = wire(r#"{"model":"gpt"}"#);
    assert_eq!(layer.check(&call).unwrap_err().kind(), ErrorKind::Billing);
    call.set_caller(Caller::new("key").team("search"));
    layer.check(&call).unwrap();
    assert!(format!("{layer:?}").contains("rules: 1"));
}

#[tokio::test(start_paused = true)]
async fn dropping_drops_what_is_inside_and_clones_are_independent() {
    let never = Dropped::default();
    let futures = never.clone();
    let mut service = AccessLayer::new().layer(tower::service_fn(move |_: Call| futures.never()));
    let mut other = service.clone();
    let mut one = task::spawn(service.call(Call::chat("gpt")));
    let mut two = task::spawn(other.call(Call::chat("gpt")));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    drop(one);
    assert_eq!(never.count(), 1);
    assert_pending!(two.poll());
    // Never polled.
    drop(service.call(Call::chat("gpt")));
    assert_eq!(never.count(), 2);
}

#[test]
fn what_is_denied_is_so_wherever_a_dialect_has_it() {
    use ziggurat_dialects::{CONVERSE, GEMINI, OLLAMA, RESPONSES};

    let layer = AccessLayer::new().deny(["temperature", "reasoning_effort", "response_format"]);
    for (dialect, body, param) in [
        (
            GEMINI,
            r#"{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"temperature":1}}"#,
            "temperature",
        ),
        (
            CONVERSE,
            r#"{"messages":[{"role":"user","content":[{"text":"a"}]}],"inferenceConfig":{"temperature":1}}"#,
            "temperature",
        ),
        (
            OLLAMA,
            r#"{"messages":[{"role":"user","content":"a"}],"options":{"temperature":1}}"#,
            "temperature",
        ),
        (RESPONSES, r#"{"input":"a","reasoning":{"effort":"low"}}"#, "reasoning_effort"),
        (RESPONSES, r#"{"input":"a","text":{"format":{"type":"json_object"}}}"#, "response_format"),
    ] {
        let call = wire_of(dialect, body);
        assert_eq!(refused(&layer, &call), (ErrorKind::Permission, param.to_owned()), "{dialect}");
        assert!(AccessLayer::new().deny(["top_p"]).check(&call).is_ok(), "{body}");
    }
    // What cannot be read is refused further below, by whoever knows why.
    assert!(layer.check(&wire_of(GEMINI, r#"{"contents":7}"#)).is_ok());
}
