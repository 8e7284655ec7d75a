//! The proxy over a fake provider.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use ziggurat::layers::cache::Caches;
use ziggurat_testkit::{FakeProvider, Script};

const ASKED: &str = r#"{"model":"gpt-4.1","messages":[{"role":"user","content":"one two"}]}"#;
/// The same question in other bytes.
const AGAIN: &str =
    r#"{ "messages": [{"content": "one two", "role": "user"}], "model": "gpt-4.1" }"#;
const STREAMED: &str =
    r#"{"model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"one two"}]}"#;

fn app(provider: &FakeProvider) -> Router {
    let caches = Arc::new(Caches::new().local(1 << 20));
    crate::app(provider.address().to_string().parse().unwrap(), caches)
}

fn chat(body: &str, key: &str) -> Request<Body> {
    Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"))
        .body(Body::from(body.to_owned()))
        .unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> (bool, String) {
    let response: Response<Body> = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let cached = response.headers().contains_key("x-ziggurat-cached");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (cached, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_second_of_two_equal_calls_never_reaches_the_provider() {
    let provider = FakeProvider::openai().spawn().await;
    let app = app(&provider);
    let (cached, first) = send(&app, chat(ASKED, "sk-1")).await;
    assert!(!cached && first.contains("You said: one two"), "{first}");
    let asked = provider.last_request();
    assert_eq!(asked.body, ASKED.as_bytes(), "what is asked is asked as it came");
    assert_eq!(asked.header("authorization"), Some("Bearer sk-1"));
    for body in [ASKED, AGAIN] {
        assert_eq!(send(&app, chat(body, "sk-1")).await, (true, first.clone()));
    }
    assert_eq!(provider.request_count(), 1);
    // Who has another key has another cache.
    assert!(!send(&app, chat(ASKED, "sk-2")).await.0);
    assert_eq!(provider.request_count(), 2);
}

#[tokio::test]
async fn a_stream_is_replayed_as_it_came() {
    let provider = FakeProvider::openai().spawn().await;
    let app = app(&provider);
    let (cached, first) = send(&app, chat(STREAMED, "sk-1")).await;
    assert!(!cached && first.ends_with("data: [DONE]\n\n"), "{first}");
    assert_eq!(send(&app, chat(STREAMED, "sk-1")).await, (true, first));
    assert_eq!(provider.request_count(), 1);
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_request() {
    let provider = FakeProvider::openai().spawn().await;
    let pause = std::time::Duration::from_millis(20);
    provider.always(Script::behave().delay_head(pause).delay_between(pause));
    let app = app(&provider);
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { send(&app, chat(STREAMED, "sk-1")).await.1 })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.unwrap().ends_with("data: [DONE]\n\n"));
    }
    assert_eq!(provider.request_count(), 1);
}

#[tokio::test]
async fn an_error_is_passed_on_and_asked_again() {
    let provider = FakeProvider::openai().spawn().await;
    let app = app(&provider);
    provider.script(Script::error(500));
    let response = app.clone().oneshot(chat(ASKED, "sk-1")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!send(&app, chat(ASKED, "sk-1")).await.0);
    assert_eq!(provider.request_count(), 2);
}

#[tokio::test]
async fn what_is_no_model_call_goes_by_untouched() {
    let provider = FakeProvider::bare().spawn().await;
    provider.always(Script::reply(200, &[], "short and stout"));
    let app = app(&provider);
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(send(&app, get("/")).await, (false, "Welcome!".into()));
    for _ in 0..2 {
        assert_eq!(send(&app, get("/teapot?size=2")).await, (false, "short and stout".into()));
    }
    assert_eq!(provider.request_count(), 2);
    let asked = provider.last_request();
    assert_eq!((asked.path.as_str(), asked.query.as_deref()), ("/teapot", Some("size=2")));
}
