//! Puts a cache into somebody's plain axum reverse proxy, and nothing else.
//!
//! ```text
//! UPSTREAM=127.0.0.1:8000 cargo run -p example-cache
//! ```
//!
//! The proxy keeps its routes and forwards its callers' own credentials. What is new: a question that was asked before is answered
//! from memory, whole or as a stream, in the dialect of whoever asks; and a hundred who ask the same at once are one request to the
//! provider. Who asks is known by the credentials of the request, so that nobody reads what others were answered.

mod before;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::uri::Authority;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::http::{ServeOptions, serve};
use ziggurat::layers::cache::Caches;
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::var("UPSTREAM")?.parse()?;
    // Of the process: an app that is built anew, from another configuration, gets the same.
    let caches = Arc::new(Caches::new().local(256 << 20));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app(upstream, caches), ServeOptions::default(), stop).await?;
    Ok(())
}

/// The proxy, with a cache in front of it.
fn app(upstream: Authority, caches: Arc<Caches>) -> Router {
    let before = before::app(upstream);
    let cached = ServiceBuilder::new()
        // Model calls go on to the cache; everything else goes to the proxy, untouched.
        .layer(FrontDoorLayer::new().otherwise(before.clone()))
        .layer(CacheLayer::new(caches).ttl(Duration::from_secs(3600)))
        // What is not known is sent on to the proxy as the request it was: address, headers, body.
        .layer(TranslateLayer::same())
        .service(before);
    Router::new().fallback_service(cached)
}
