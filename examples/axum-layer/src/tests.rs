//! The app over a fake provider.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use ziggurat::layers::TimeoutLayer;
use ziggurat_testkit::{FakeProvider, Script};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

const STREAMED: &str =
    r#"{"model":"gpt-4.1", "stream" : true,"messages":[{"role":"user","content":"one two"}]}"#;

fn app(provider: &FakeProvider, layer: TimeoutLayer) -> Router {
    crate::app(provider.address().to_string().parse().unwrap(), layer)
}

fn patient() -> TimeoutLayer {
    TimeoutLayer::new().first_content(LONG).idle(LONG)
}

async fn chat(app: Router, body: &str) -> (StatusCode, String) {
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-the-callers-own")
        .body(Body::from(body.to_owned()));
    send(app, request.unwrap()).await
}

async fn send(app: Router, request: Request<Body>) -> (StatusCode, String) {
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn what_is_no_model_call_goes_by_untouched() {
    let provider = FakeProvider::bare().spawn().await;
    provider.always(Script::reply(418, &[], "short and stout"));
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let (status, body) = send(app(&provider, patient()), get("/")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "Welcome!"));
    let (status, body) = send(app(&provider, patient()), get("/teapot?size=2")).await;
    assert_eq!((status, body.as_str()), (StatusCode::IM_A_TEAPOT, "short and stout"));
    let asked = provider.last_request();
    assert_eq!((asked.path.as_str(), asked.query.as_deref()), ("/teapot", Some("size=2")));
}

#[tokio::test]
async fn a_model_call_passes_the_layer_as_it_is() {
    let provider = FakeProvider::openai().spawn().await;
    let body = r#"{"model":"gpt-4.1",  "messages":[{"role":"user","content":"h\u00e9"}]}"#;
    let (status, answer) = chat(app(&provider, patient()), body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer.contains("You said: h\u{e9}"), "{answer}");
    let asked = provider.last_request();
    assert_eq!(asked.body, body.as_bytes());
    assert_eq!(asked.header("authorization"), Some("Bearer sk-the-callers-own"));

    let (status, answer) = chat(app(&provider, patient()), STREAMED).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
}

#[tokio::test]
async fn a_model_that_keeps_its_caller_waiting_is_given_up() {
    let provider = FakeProvider::openai().spawn().await;
    provider.script(Script::never_answer());
    let layer = TimeoutLayer::new().first_content(SHORT);
    let (status, answer) = chat(app(&provider, layer), STREAMED).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{answer}");
    provider.wait_disconnect().await;

    // In the middle of a stream the status is out already: the error is its last event.
    provider.script(Script::behave().stall_after(2));
    let layer = TimeoutLayer::new().first_content(LONG).idle(SHORT);
    let (status, answer) = chat(app(&provider, layer), STREAMED).await;
    assert_eq!(status, StatusCode::OK);
    let last = answer.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with(r#"data: {"error":"#), "{answer}");
    provider.wait_disconnect().await;
}
