//! Tells teams apart by their keys, and what each may ask for.
//!
//! ```text
//! OPENAI_API_KEY=sk-… cargo run -p example-access
//! curl 127.0.0.1:4000/v1/chat/completions -H "authorization: Bearer key-of-search" -H "content-type: application/json" \
//!     -d '{"model": "gpt-4.1-mini", "user": "u1", "messages": [{"role": "user", "content": "Hello!"}]}'
//! ```
//!
//! Who calls is found out over http, by whatever the program has for that: here a middleware of a few lines. It puts a `Caller` into
//! the request; the front door puts it into the call, and the layer asks it.

#[cfg(test)]
mod tests;

use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::Caller;
use ziggurat::http::{ServeOptions, serve};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let openai = Deployment::new("openai", OPENAI, "https://api.openai.com/v1".parse()?)
        .key(Secret::new(std::env::var("OPENAI_API_KEY")?));
    let listener = TcpListener::bind("127.0.0.1:4000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app(openai), ServeOptions::default(), stop).await?;
    Ok(())
}

/// The gateway: authentication, then calls that are asked whether they may be.
fn app(provider: Deployment) -> Router {
    let access = AccessLayer::new()
        // Who pays wants to know for whom.
        .require(["user"])
        // Nobody chooses the price, and nothing is kept elsewhere.
        .deny(["service_tier", "store"])
        .rule(no_tools_for_search);
    let gateway = ServiceBuilder::new()
        .layer(FrontDoorLayer::new())
        .layer(access)
        .layer(TranslateLayer::new(provider))
        .service(Transport::new());
    Router::new().fallback_service(gateway).layer(middleware::from_fn(authenticate))
}

/// The teams and their models. A program of some size keeps them elsewhere.
fn caller(headers: &HeaderMap) -> Option<Caller> {
    let key = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    match key {
        "key-of-search" => Some(Caller::new("search").team("search").models(["gpt-4.1-mini"])),
        "key-of-research" => Some(Caller::new("research").team("research").models(["gpt-*"])),
        _ => None,
    }
}

async fn authenticate(mut request: Request, next: Next) -> Response {
    match caller(request.headers()) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => (StatusCode::UNAUTHORIZED, "this key is not known\n").into_response(),
    }
}

/// A rule of one's own may look at anything in a call.
fn no_tools_for_search(call: &Call) -> Result<(), ziggurat::Error> {
    if call.caller().team_id() == Some("search") && call.payload().member("tools").is_some() {
        return Err(
            ziggurat::Error::new(ErrorKind::Permission, "search has no tools").with_param("tools")
        );
    }
    Ok(())
}
