//! The gateway over a fake provider.

use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;
use ziggurat_testkit::FakeProvider;

use super::*;

async fn ask(provider: &FakeProvider, key: &str, body: &str) -> (StatusCode, String) {
    let deployment = Deployment::new("openai", OPENAI, provider.base_url().parse().unwrap())
        .key(Secret::new("sk-fake"));
    let request = Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = app(deployment).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn body(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello!"}}]{more}}}"#)
}

#[tokio::test]
async fn who_may_is_answered() {
    let provider = FakeProvider::openai().spawn().await;
    for (key, model) in [("key-of-search", "gpt-4.1-mini"), ("key-of-research", "gpt-4.1")] {
        let (status, answer) = ask(&provider, key, &body(model, r#","user":"u1""#)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(answer.contains("You said: Hello!"), "{answer}");
    }
    assert_eq!(provider.request_count(), 2);
}

#[tokio::test]
async fn who_may_not_is_told_why_and_nothing_reaches_the_provider() {
    let provider = FakeProvider::openai().spawn().await;
    let cases = [
        ("key-of-search", "gpt-4.1", r#","user":"u1""#, 403, "may not use the model `gpt-4.1`"),
        ("key-of-research", "o3", r#","user":"u1""#, 403, "may not use the model `o3`"),
        ("key-of-research", "gpt-4.1", "", 400, "`user` is required"),
        (
            "key-of-research",
            "gpt-4.1",
            r#","user":"u1","store":true"#,
            403,
            "`store` is not allowed",
        ),
        ("key-of-search", "gpt-4.1-mini", r#","user":"u1","tools":[]"#, 403, "search has no tools"),
        ("key-of-nobody", "gpt-4.1", r#","user":"u1""#, 401, "not known"),
    ];
    for (key, model, more, status, why) in cases {
        let (told, answer) = ask(&provider, key, &body(model, more)).await;
        assert_eq!(told.as_u16(), status, "{answer}");
        assert!(answer.contains(why), "{answer}");
    }
    assert_eq!(provider.request_count(), 0);
}
