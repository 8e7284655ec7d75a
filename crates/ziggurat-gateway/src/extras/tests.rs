use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Method, Uri};
use serde_json::json;
use ziggurat_core::{CallHead, ErrorKind, Instant, Operation, Settlement};
use ziggurat_dialects::OPENAI;

use super::*;
use crate::mock::Mock;

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
    assert_eq!(
        body,
        json!({"model": "m", "metadata": {"tags": ["a"]}, "invented_yesterday": 1, "messages": []})
    );
    assert_eq!(call.loss_policy(), Some(LossPolicy::Allow));
    let mut losses: Vec<String> = reply.head().losses.iter().map(Loss::to_string).collect();
    losses.sort();
    let expected = [
        "cache=dropped",
        "litellm_trace_id=dropped",
        "no-log=dropped",
        "num_retries=dropped",
        "tags=dropped",
    ];
    assert_eq!(losses, expected);
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
    let mut call = call(&json!({"model": "m", "tags": []}));
    call.set_scope(guard.scope());
    ask(&Behind::default(), call).await.unwrap();
    guard.close(ziggurat_core::End::Success);
    assert_eq!(tell.0.lock().unwrap()[0].path, "tags");
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
    ] {
        let behind = Behind::default();
        let error = ask(&behind, call(&json!({"model": "m", name: value}))).await.unwrap_err();
        assert_eq!(error.param(), Some(name), "{value}");
    }
    let header = call_with(OPENAI, &json!({"model": "m"}), &[(&TIMEOUT_HEADER, "soon")]);
    assert_eq!(
        ask(&Behind::default(), header).await.unwrap_err().param(),
        Some("x-litellm-timeout")
    );
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
