//! Limits requests, tokens and parallel calls of each key.
//!
//! ```text
//! OPENAI_API_KEY=sk-… cargo run -p example-rate-limit
//! for _ in 1 2 3 4; do
//!     curl -i 127.0.0.1:4000/v1/chat/completions -H "authorization: Bearer ann" -H "content-type: application/json" \
//!         -d '{"model": "gpt-4.1-mini", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello!"}]}'
//! done
//! ```
//!
//! Every answer says what is left (`x-ratelimit-remaining-requests` …). The fourth of these calls is refused with a 429 in its
//! caller's dialect, which says when to come back (`retry-after`), and nobody else is held up by it.

#[cfg(test)]
mod tests;

use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::Caller;
use ziggurat::http::{ServeOptions, serve};
use ziggurat::layers::rate_limit::{By, LimitRules, Limiter, Limits};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let openai = Deployment::new("openai", OPENAI, "https://api.openai.com/v1".parse()?)
        .key(Secret::new(std::env::var("OPENAI_API_KEY")?));
    let listener = TcpListener::bind("127.0.0.1:4000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app(openai, Limiter::new()), ServeOptions::default(), stop).await?;
    Ok(())
}

/// The gateway. What was used is in the limiter, which outlives it: an app that is built anew gets the same.
fn app(provider: Deployment, limiter: Limiter) -> Router {
    let rules = LimitRules::new()
        // Three at once after a rest, then one every twenty seconds.
        .each(By::Key, Limits::new().rpm(3).tpm(10_000).max_parallel(2))
        // All keys together, for a model whose provider has a limit of its own.
        .one(By::Model, "gpt-4.1", Limits::new().rpm(500));
    let gateway = ServiceBuilder::new()
        .layer(FrontDoorLayer::new())
        .layer(RateLimitLayer::new(limiter, rules))
        .layer(TranslateLayer::new(provider))
        .service(Transport::new());
    Router::new().fallback_service(gateway).layer(middleware::from_fn(name))
}

/// Whoever brings a key is who it says. A program of some size knows its keys.
async fn name(mut request: Request, next: Next) -> Response {
    let said = request.headers().get(header::AUTHORIZATION).and_then(|said| said.to_str().ok());
    let Some(key) = said.and_then(|said| said.strip_prefix("Bearer ")) else {
        return (StatusCode::UNAUTHORIZED, "bring a key\n").into_response();
    };
    let caller = Caller::new(key);
    request.extensions_mut().insert(caller);
    next.run(request).await
}
