//! Tells a failure in the first event of a stream as what it is: an error with its status, not a stream that breaks.
//!
//! ```text
//! OPENAI_API_KEY=sk-… cargo run -p example-peek
//! ```
//!
//! A provider that is overloaded often says so in a stream that began with 200. Clients do not try such a call again, and balancers
//! count it as a success. With the peek between, the head of the answer goes out when content has come, or a few words later where
//! a model is known to fail after its first ones.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::http::{ServeOptions, serve};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gpt = Deployment::new("gpt", OPENAI, "https://api.openai.com/v1".parse()?)
        .key(Secret::new(std::env::var("OPENAI_API_KEY")?));
    // Eight tokens, or as many as come within 200 ms of the first.
    let peek = PeekLayer::new().until_tokens(8).until_elapsed(Duration::from_millis(200));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app(gpt, peek), ServeOptions::default(), stop).await?;
    Ok(())
}

/// One model for clients of either vendor, with a peek at its answers.
fn app(model: Deployment, peek: PeekLayer) -> Router {
    let service = ServiceBuilder::new()
        .layer(FrontDoorLayer::new())
        .layer(peek)
        .layer(TranslateLayer::new(model))
        .service(Transport::new());
    Router::new().fallback_service(service)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use ziggurat_testkit::{FakeProvider, Script};

    use super::*;

    async fn ask(peek: PeekLayer, failing_after: usize) -> (StatusCode, String) {
        let provider = FakeProvider::openai().spawn().await;
        provider.script(Script::behave().error_event_after(failing_after));
        let model = Deployment::new("gpt", OPENAI, provider.base_url().parse().unwrap())
            .key(Secret::new("sk-fake"));
        let body = r#"{"model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"a b c d e f"}]}"#;
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Body::from(body));
        let answer = app(model, peek).oneshot(request.unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_failure_before_the_first_word_has_its_status() {
        let (status, answer) = ask(PeekLayer::new(), 1).await;
        assert!(status.is_server_error(), "{status}");
        assert!(answer.starts_with(r#"{"error":"#), "{answer}");
    }

    #[tokio::test]
    async fn a_failure_after_it_is_told_in_the_stream() {
        let (status, answer) = ask(PeekLayer::new(), 4).await;
        assert_eq!(status, StatusCode::OK);
        let last = answer.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with(r#"data: {"error":"#), "{answer}");
    }

    #[tokio::test]
    async fn a_window_sees_failures_that_come_a_little_later() {
        let window = PeekLayer::new().until_tokens(20).until_elapsed(Duration::from_secs(5));
        let (status, answer) = ask(window, 4).await;
        assert!(status.is_server_error(), "{answer}");
    }
}
