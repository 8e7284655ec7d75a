//! Asks for more vectors than a provider makes at once.
//!
//! ```text
//! GEMINI_API_KEY=… cargo run -p example-split
//! ```
//!
//! Google takes a hundred texts a request, OpenAI two thousand: a program that moves from one to the other would have to cut its
//! lists. Here OpenAI's clients ask for as many as they are used to; what is too much goes out in parts, four at a time, and
//! comes back as one answer.

use std::error::Error;

use axum::Router;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::dialects::GEMINI;
use ziggurat::http::{ServeOptions, serve};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = "https://generativelanguage.googleapis.com/v1beta".parse()?;
    let gemini = Deployment::new("gemini", GEMINI, address)
        .model("gemini-embedding-001")
        .key(Secret::new(std::env::var("GEMINI_API_KEY")?));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app(gemini), ServeOptions::default(), stop).await?;
    Ok(())
}

/// One model for clients of every vendor, asked in as many parts as its dialect needs.
fn app(model: Deployment) -> Router {
    let service = ServiceBuilder::new()
        .layer(FrontDoorLayer::new())
        .layer(SplitLayer::maybe(model.most_inputs()))
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
    async fn many_texts_are_asked_in_parts_and_answered_in_order() {
        let provider = FakeProvider::gemini().spawn().await;
        let model = Deployment::new("gemini", GEMINI, provider.base_url().parse().unwrap())
            .model("gemini-embedding-001")
            .key(Secret::new("fake"));
        let app = app(model);
        let ask = async |texts: Vec<String>| -> Value {
            let body = json!({"model": "m", "input": texts, "dimensions": 4});
            let request = Request::post("/v1/embeddings")
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()));
            let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice(&body).unwrap()
        };
        let texts: Vec<String> = (0..250).map(|number| format!("text {number}")).collect();
        let all = ask(texts.clone()).await;
        assert_eq!((all["data"].as_array().unwrap().len(), provider.request_count()), (250, 3));
        let last = ask(vec![texts[249].clone()]).await;
        assert_eq!(all["data"][249]["embedding"], last["data"][0]["embedding"]);
    }
}
