//! Shows pictures behind addresses to a model that takes their bytes alone.
//!
//! ```text
//! ollama pull llava && cargo run -p example-fetch
//! ```
//!
//! OpenAI's clients send the address of a picture, Ollama wants the picture. It is fetched here, once and within bounds, and never from
//! a network that the client could not reach itself.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::dialects::OLLAMA;
use ziggurat::http::{ServeOptions, serve};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let llava = Deployment::new("llava", OLLAMA, "http://localhost:11434".parse()?).model("llava");
    let fetcher = Fetcher::new().max_bytes(5 << 20).timeout(Duration::from_secs(10));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app(llava, fetcher), ServeOptions::default(), stop).await?;
    Ok(())
}

/// One model, which sees what it is told the address of.
fn app(model: Deployment, fetcher: Fetcher) -> Router {
    let service = ServiceBuilder::new()
        .layer(FrontDoorLayer::new())
        .layer(FetchLayer::new(fetcher, model.clone()))
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
    use ziggurat_testkit::{FakeProvider, Script};

    use super::*;

    #[tokio::test]
    async fn a_picture_is_sent_as_its_bytes() {
        let (ollama, pictures) =
            (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
        ollama.script(Script::json(&json!({"model": "llava", "done": true, "done_reason": "stop",
            "message": {"role": "assistant", "content": "A dot."}})));
        pictures.script(Script::reply(200, &[("content-type", "image/png")], "a picture"));
        let model = Deployment::new("llava", OLLAMA, ollama.url().parse().unwrap()).model("llava");
        // Here the pictures are on this machine.
        let fetcher = Fetcher::new().allow_network("127.0.0.1".parse().unwrap());
        let address = format!("{}/dot.png", pictures.url());
        let body = json!({"model": "llava", "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": address}}]}]});
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        let answer = app(model, fetcher).oneshot(request.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "A dot.", "{answer}");
        let sent = ollama.last_request().json();
        assert_eq!(sent["messages"][0]["images"], json!(["YSBwaWN0dXJl"]));
    }
}
