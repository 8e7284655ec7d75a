//! Lets a client send what is new of a conversation and no more.
//!
//! ```text
//! ANTHROPIC_API_KEY=… cargo run -p example-conversation
//! ```
//!
//! A client of OpenAI's Responses names the answer from which it goes on. Claude keeps nothing: here what was said is kept in a file
//! beside the program, and put in front of each request that goes on from it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::dialects::{ANTHROPIC, RESPONSES};
use ziggurat::http::{ServeOptions, serve};
use ziggurat::prelude::*;
use ziggurat::store::sqlite::{Bounds, Conversations};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let claude = Deployment::new("claude", ANTHROPIC, "https://api.anthropic.com".parse()?)
        .model("claude-sonnet-4-5")
        .key(Secret::new(std::env::var("ANTHROPIC_API_KEY")?));
    let bounds = Bounds::default().max_bytes(1 << 30);
    let kept = Conversations::open(Path::new("conversations.db"), bounds)?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app(claude, kept), ServeOptions::default(), stop).await?;
    Ok(())
}

/// One model, which seems to remember.
fn app(model: Deployment, kept: Conversations) -> Router {
    let service = ServiceBuilder::new()
        .layer(FrontDoorLayer::new())
        .layer(ConversationLayer::new(RESPONSES, Arc::new(kept)))
        .layer(TranslateLayer::new(model))
        .service(Transport::new());
    Router::new().fallback_service(service)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;
    use ziggurat_testkit::FakeProvider;

    use super::*;

    #[tokio::test]
    async fn what_was_said_before_is_said_again_by_the_gateway() {
        let provider = FakeProvider::anthropic().spawn().await;
        let model = Deployment::new("claude", ANTHROPIC, provider.base_url().parse().unwrap())
            .model("claude-sonnet-4-5")
            .key(Secret::new("fake"));
        let app = app(model, Conversations::in_memory(Bounds::default()));
        let send = async |request: Request<Body>| -> Value {
            let answer = app.clone().oneshot(request).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice(&body).unwrap()
        };
        let ask = async |body: Value| {
            let request = Request::post("/v1/responses").header("content-type", "application/json");
            send(request.body(Body::from(body.to_string())).unwrap()).await
        };
        let first = ask(json!({"model": "claude", "input": "My name is Ur."})).await;
        let second = ask(json!({"model": "claude", "input": "What is my name?",
            "previous_response_id": first["id"]}))
        .await;
        let sent = provider.requests().pop().unwrap();
        assert_eq!(sent.json()["messages"].as_array().unwrap().len(), 3);
        let path = format!("/v1/responses/{}", second["id"].as_str().unwrap());
        assert_eq!(send(Request::get(path).body(Body::empty()).unwrap()).await, second);
    }
}
