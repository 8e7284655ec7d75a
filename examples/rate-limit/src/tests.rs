//! The gateway over a fake provider.

use axum::body::Body;
use axum::http::HeaderMap;
use http_body_util::BodyExt;
use tower::ServiceExt;
use ziggurat_testkit::{FakeProvider, Script};

use super::*;

fn gateway(provider: &FakeProvider, limiter: &Limiter) -> Router {
    let deployment = Deployment::new("openai", OPENAI, provider.base_url().parse().unwrap())
        .key(Secret::new("sk-fake"));
    app(deployment, limiter.clone())
}

fn request(path: &str, key: &str, max_tokens: u32) -> Request {
    let body = format!(
        r#"{{"model":"gpt-4.1","max_tokens":{max_tokens},"messages":[{{"role":"user","content":"Hello!"}}]}}"#
    );
    Request::post(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

async fn send(app: &Router, request: Request) -> (StatusCode, HeaderMap, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    headers[name].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_key_has_its_own_requests_and_is_told_how_many_are_left() {
    let provider = FakeProvider::openai().spawn().await;
    let limiter = Limiter::new();
    let app = gateway(&provider, &limiter);
    for left in [2, 1, 0] {
        let (status, headers, answer) =
            send(&app, request("/v1/chat/completions", "ann", 20)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(number(&headers, "x-ratelimit-limit-requests"), 3);
        assert_eq!(number(&headers, "x-ratelimit-remaining-requests"), left);
        assert!(number(&headers, "x-ratelimit-remaining-tokens") < 10_000);
    }
    let (status, headers, answer) = send(&app, request("/v1/chat/completions", "ann", 20)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=20).contains(&number(&headers, "retry-after")), "{headers:?}");
    assert_eq!(number(&headers, "x-ratelimit-remaining-requests"), 0);
    assert!(answer.contains(r#""code":"rate_limit_exceeded""#), "{answer}");
    // In the terms of who asks.
    let (status, headers, answer) = send(&app, request("/v1/messages", "ann", 20)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(headers.contains_key("retry-after"));
    assert!(answer.contains(r#""type":"rate_limit_error""#), "{answer}");
    // Another key; and an app that is built anew.
    let (status, ..) = send(&app, request("/v1/chat/completions", "bob", 20)).await;
    assert_eq!(status, StatusCode::OK);
    let again = gateway(&provider, &limiter);
    let (status, ..) = send(&again, request("/v1/chat/completions", "ann", 20)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(provider.request_count(), 4);
}

#[tokio::test]
async fn tokens_that_could_be_used_are_reserved() {
    let provider = FakeProvider::openai().spawn().await;
    let app = gateway(&provider, &Limiter::new());
    let (status, _, answer) = send(&app, request("/v1/chat/completions", "ann", 50_000)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{answer}");
    let (status, headers, _) = send(&app, request("/v1/chat/completions", "ann", 20)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        number(&headers, "x-ratelimit-remaining-requests"),
        2,
        "what is refused is not used"
    );
    assert_eq!(provider.request_count(), 1);
}

#[tokio::test]
async fn a_place_is_free_when_its_call_is_over() {
    let provider = FakeProvider::openai().spawn().await;
    let limiter = Limiter::new();
    let app = gateway(&provider, &limiter);
    provider.script(Script::never_answer());
    provider.script(Script::never_answer());
    let waiting = [(); 2].map(|()| {
        let app = app.clone();
        tokio::spawn(async move { send(&app, request("/v1/chat/completions", "ann", 20)).await })
    });
    provider.wait_requests(2).await;
    let (status, headers, answer) = send(&app, request("/v1/chat/completions", "ann", 20)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{answer}");
    assert_eq!(number(&headers, "x-ratelimit-remaining-max_parallel_requests"), 0);
    for call in &waiting {
        call.abort();
    }
    for call in waiting {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    let (status, ..) = send(&app, request("/v1/chat/completions", "ann", 20)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(limiter.in_flight(), 0);
}
