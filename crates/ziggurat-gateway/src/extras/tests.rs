use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};
use serde_json::json;
use ziggurat_core::{
    CacheControls, CallHead, ErrorKind, FallbackTarget, Instant, Operation, RawJson, Settlement,
};
use ziggurat_dialects::OPENAI;

use super::*;

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-litellm-timeout");
const STREAM_TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");

/// Keeps what arrives behind the layer.
#[derive(Clone, Default)]
struct Behind {
    calls: Arc<Mutex<Vec<Call>>>,
    hangs: bool,
}

impl Service<Call> for Behind {
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.calls.lock().unwrap().push(call);
        if self.hangs {
            return Box::pin(std::future::pending());
        }
        Box::pin(Mock::saying("mock", "hi").call(Call::chat("m")))
    }
}

fn call_with(dialect: Dialect, body: &serde_json::Value, headers: &[(&HeaderName, &str)]) -> Call {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap()))
        .collect();
    let uri = Uri::from_static("/v1/chat/completions");
    let head =
        CallHead::new(Method::POST, uri, headers, Some(dialect), "id".into(), "request".into());
    let payload = Payload::wire(dialect, Operation::Chat, Bytes::from(body.to_string())).unwrap();
    let streamed = body["stream"] == json!(true);
    Call::new(Arc::new(head), "m", streamed, payload)
}

fn call(body: &serde_json::Value) -> Call {
    call_with(OPENAI, body, &[])
}

async fn ask(behind: &Behind, call: Call) -> Result<Reply, Error> {
    ExtrasLayer::new().layer(behind.clone()).call(call).await
}

/// What the provider would get.
async fn sent(call: Call) -> (serde_json::Value, Call, Reply) {
    let behind = Behind::default();
    let reply = ask(&behind, call).await.unwrap();
    let call = behind.calls.lock().unwrap().pop().unwrap();
    let body = call.payload().body().unwrap().as_bytes().unwrap();
    (serde_json::from_slice(&body).unwrap(), call, reply)
}

#[tokio::test]
async fn no_provider_sees_what_is_meant_for_the_gateway() {
    let (body, call, reply) = sent(call(&json!({
        "model": "m",
        "num_retries": 3,
        "metadata": {"tags": ["a"]},
        "cache": {"no-cache": true},
        "tags": ["t"],
        "no-log": true,
        "litellm_trace_id": "x",
        "fallbacks": null,
        "drop_params": true,
        "timeout": 5,
        "invented_yesterday": 1,
        "messages": [],
    })))
    .await;
    assert_eq!(body, json!({"model": "m", "invented_yesterday": 1, "messages": []}));
    assert_eq!(call.loss_policy(), Some(LossPolicy::Allow));
    let mut losses: Vec<String> = reply.head().losses.iter().map(Loss::to_string).collect();
    losses.sort();
    assert_eq!(losses, ["litellm_trace_id=dropped", "no-log=dropped"]);
}

/// What the layers are told.
async fn told(call: Call) -> Controls {
    let (_, call, _) = sent(call).await;
    call.controls().clone()
}

#[tokio::test]
async fn what_callers_say_reaches_the_layers() {
    let (body, call, reply) = sent(call(&json!({
        "model": "m",
        "num_retries": 3,
        "fallbacks": ["a", {"model": "b", "temperature": 0.5}],
        "disable_fallbacks": true,
        "cache": {
            "no-cache": true, "no-store": false, "ttl": 5, "s-maxage": 1.5, "namespace": "n",
            "use-cache": true
        },
        "tags": ["x", "y", "x"],
        "allowed_model_region": "eu",
        "metadata": {"tags": ["y", "z", 7], "session_id": "s", "more": 1},
    })))
    .await;
    assert_eq!(body, json!({"model": "m", "metadata": {"session_id": "s", "more": 1}}));
    assert!(reply.head().losses.is_empty());
    let controls = call.controls();
    assert_eq!(controls.retries, Some(3));
    assert_eq!(controls.region.as_deref(), Some("eu"));
    let half = RawJson::of(&0.5).unwrap();
    let targets = [FallbackTarget::new("a"), FallbackTarget::new("b").param("temperature", half)];
    assert_eq!(controls.fallbacks.as_deref(), Some(&targets[..]));
    assert!(controls.disable_fallbacks);
    let mut cache = CacheControls::default();
    cache.no_cache = true;
    cache.ttl = Some(Duration::from_secs(5));
    cache.max_age = Some(Duration::from_millis(1500));
    cache.namespace = Some("n".into());
    cache.use_cache = Some(true);
    assert_eq!(controls.cache, cache);
    let mut tags = controls.tags.clone();
    tags.sort();
    assert_eq!(tags, ["x", "y", "z"]);
    assert_eq!(controls.session.as_deref(), Some("s"));
}

#[tokio::test]
async fn headers_say_it_too_and_members_win() {
    let headers = [
        (&HeaderName::from_static("x-litellm-num-retries"), "4"),
        (&HeaderName::from_static("x-litellm-tags"), "a, b,,a"),
        (&HeaderName::from_static("x-litellm-session-id"), "from-header"),
        (&http::header::CACHE_CONTROL, "no-store, MAX-AGE=60, nonsense=1"),
    ];
    let body = json!({"model": "m", "metadata": {"session_id": "s"}, "tags": ["c"]});
    let controls = told(call_with(OPENAI, &body, &headers)).await;
    assert_eq!(controls.retries, Some(4));
    assert_eq!(controls.tags, ["a", "b", "c"]);
    assert_eq!(controls.session.as_deref(), Some("from-header"));
    assert!(controls.cache.no_store && !controls.cache.no_cache);
    assert_eq!(controls.cache.max_age, Some(Duration::from_secs(60)));

    let body = json!({
        "model": "m", "num_retries": 0, "litellm_session_id": "mine",
        "cache": {"no-store": false, "s-max-age": 5}
    });
    let controls = told(call_with(OPENAI, &body, &headers)).await;
    assert_eq!(controls.retries, Some(0));
    assert_eq!(controls.session.as_deref(), Some("mine"));
    assert!(!controls.cache.no_store);
    assert_eq!(controls.cache.max_age, Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn whoever_says_nothing_has_no_controls() {
    for body in [
        json!({"model": "m"}),
        json!({"model": "m", "metadata": {"user_id": "u", "tags": "not ours", "session_id": 7}}),
        json!({"model": "m", "tags": null, "cache": {}, "fallbacks": null, "num_retries": null}),
    ] {
        assert_eq!(told(call(&body)).await, Controls::default(), "{body}");
    }
}

#[tokio::test]
async fn what_clients_of_anthropic_say_is_heard() {
    let body = json!({
        "model": "m", "fallbacks": [{"model": "n"}], "num_retries": 1, "disable_fallbacks": false,
        "metadata": {"user_id": "u", "tags": ["t"]}, "cache": {"no-cache": true}, "caching": true
    });
    let (sent, call, _) = sent(call_with(ANTHROPIC, &body, &[])).await;
    let stays = json!({
        "model": "m", "fallbacks": [{"model": "n"}], "metadata": {"user_id": "u"}
    });
    assert_eq!(sent, stays);
    let controls = call.controls();
    assert_eq!((controls.retries, &controls.fallbacks), (Some(1), &None));
    assert_eq!(controls.tags, ["t"]);
    assert!(controls.cache.no_cache);
    assert_eq!(controls.cache.use_cache, Some(true));
}

#[tokio::test]
async fn a_caller_may_say_what_the_answer_is() {
    let behind = Behind::default();
    let body = json!({"model": "m", "mock_response": "as told", "messages": [{"role": "user", "content": "hi"}], "no-log": true});
    let mut reply = ask(&behind, call(&body)).await.unwrap();
    assert!(behind.calls.lock().unwrap().is_empty(), "nobody is asked");
    assert_eq!(reply.head().losses.len(), 1);
    match reply.take_body() {
        ziggurat_core::ReplyBody::Answer(ziggurat_core::Answer::Chat(said)) => {
            assert_eq!(said.text(), "as told");
            assert_eq!(said.model, "m");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_body_without_extras_is_not_touched() {
    let body = json!({"messages": [], "model": "m", "thinking": {"type": "adaptive"}});
    let before = call(&body);
    let bytes = before.payload().bytes().unwrap();
    let behind = Behind::default();
    ask(&behind, before).await.unwrap();
    let after = behind.calls.lock().unwrap().pop().unwrap();
    assert_eq!(after.payload().segments().unwrap().as_slice(), [bytes]);
    assert_eq!(after.loss_policy(), None);
}

#[tokio::test]
async fn losses_are_told_to_whoever_settles() {
    struct Tell(Mutex<Vec<Loss>>);
    impl ziggurat_core::Settle for Tell {
        fn settle(&self, _: ziggurat_core::Ticket, outcome: &ziggurat_core::Outcome) {
            self.0.lock().unwrap().clone_from(&outcome.losses);
        }
    }
    let tell = Arc::new(Tell(Mutex::default()));
    let guard = Settlement::open();
    guard.scope().register(tell.clone(), ziggurat_core::Ticket::default()).unwrap();
    let mut call = call(&json!({"model": "m", "no-log": true}));
    call.set_scope(guard.scope());
    ask(&Behind::default(), call).await.unwrap();
    guard.close(ziggurat_core::End::Success);
    assert_eq!(tell.0.lock().unwrap()[0].path, "no-log");
}

#[tokio::test]
async fn where_a_call_goes_is_not_its_callers_business() {
    for name in ["api_key", "api_base", "base_url", "user_config", "model_list"] {
        let behind = Behind::default();
        let error = ask(&behind, call(&json!({"model": "m", name: "x"}))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
        assert_eq!(error.param(), Some(name));
        assert!(behind.calls.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_member_whose_name_is_escaped_is_found() {
    let text = r#"{"model":"m","api\u005fbase":"http://elsewhere"}"#;
    let payload = Payload::wire(OPENAI, Operation::Chat, Bytes::from(text)).unwrap();
    let call = Call::new(Arc::clone(Call::chat("m").head()), "m", false, payload);
    assert!(ask(&Behind::default(), call).await.is_err());
}

#[tokio::test]
async fn values_of_the_wrong_type_are_refused() {
    for (name, value) in [
        ("drop_params", json!("yes")),
        ("timeout", json!(0)),
        ("timeout", json!(-1)),
        ("timeout", json!([1])),
        ("stream_timeout", json!("5")),
        ("num_retries", json!(-1)),
        ("num_retries", json!("3")),
        ("num_retries", json!(1.5)),
        ("max_retries", json!([])),
        ("fallbacks", json!("other")),
        ("fallbacks", json!([1])),
        ("fallbacks", json!([""])),
        ("fallbacks", json!([{"temperature": 1}])),
        ("fallbacks", json!([{"model": "n", "num_retries": 1}])),
        ("fallbacks", json!(vec!["a"; 21])),
        ("disable_fallbacks", json!("yes")),
        ("cache", json!(true)),
        ("cache", json!({"no-cash": true})),
        ("caching", json!(1)),
        ("tags", json!("a")),
        ("tags", json!([1])),
        ("tags", json!(["x".repeat(300)])),
        ("litellm_session_id", json!(1)),
        ("mock_response", json!({"a": 1})),
    ] {
        let behind = Behind::default();
        let error = ask(&behind, call(&json!({"model": "m", name: value}))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.param(), Some(name), "{value}");
    }
    for (name, value) in [
        ("no-cache", json!("yes")),
        ("no-store", json!(1)),
        ("ttl", json!("5")),
        ("ttl", json!(-1)),
        ("s-maxage", json!([])),
        ("namespace", json!(7)),
        ("use-cache", json!("true")),
    ] {
        let body = json!({"model": "m", "cache": {name: value}});
        let error = ask(&Behind::default(), call(&body)).await.unwrap_err();
        assert_eq!(error.param(), Some(format!("cache.{name}").as_str()));
    }
    for (name, value) in [
        ("x-litellm-timeout", "soon"),
        ("x-litellm-stream-timeout", "0"),
        ("x-litellm-num-retries", "many"),
        ("x-litellm-num-retries", "-1"),
    ] {
        let header = HeaderName::from_static(name);
        let call = call_with(OPENAI, &json!({"model": "m"}), &[(&header, value)]);
        assert_eq!(ask(&Behind::default(), call).await.unwrap_err().param(), Some(name));
    }
}

#[tokio::test]
async fn no_fallback_goes_where_a_call_may_not() {
    let body = json!({"model": "m", "fallbacks": [{"model": "n", "api_base": "http://elsewhere"}]});
    let error = ask(&Behind::default(), call(&body)).await.unwrap_err();
    assert_eq!(error.param(), Some("api_base"));
}

#[tokio::test(start_paused = true)]
async fn a_callers_timeout_is_kept() {
    let hanging = Behind { hangs: true, ..Behind::default() };
    let streamed = json!({"model": "m", "stream": true, "timeout": 9, "stream_timeout": 2});
    for (call, seconds) in [
        (call(&json!({"model": "m", "timeout": 1.5})), 1.5),
        (call_with(OPENAI, &json!({"model": "m"}), &[(&TIMEOUT_HEADER, "3")]), 3.0),
        (call_with(OPENAI, &json!({"model": "m", "timeout": 2}), &[(&TIMEOUT_HEADER, "3")]), 2.0),
        (call(&streamed), 2.0),
        (call(&json!({"model": "m", "stream": true, "timeout": 4})), 4.0),
        (
            call_with(
                OPENAI,
                &json!({"model": "m", "stream": true}),
                &[(&STREAM_TIMEOUT_HEADER, "5")],
            ),
            5.0,
        ),
    ] {
        let began = Instant::now();
        let error = ask(&hanging, call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!((began.elapsed().as_secs_f64() - seconds).abs() < 0.1, "{seconds}");
    }
}

#[tokio::test]
async fn a_timeout_beyond_all_measure_is_none() {
    let (_, call, _) = sent(call(&json!({"model": "m", "timeout": 1e300}))).await;
    assert!(call.deadline().is_some());
}

#[tokio::test]
async fn anthropics_own_fallbacks_stay() {
    let body = json!({"model": "m", "fallbacks": [{"model": "n"}]});
    let (sent, _, reply) = sent(call_with(ANTHROPIC, &body, &[])).await;
    assert_eq!(sent, body);
    assert!(reply.head().losses.is_empty());
}
