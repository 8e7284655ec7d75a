//! Puts one layer of ours into an axum app that is a reverse proxy already.
//!
//! ```text
//! UPSTREAM=127.0.0.1:8000 cargo run -p example-axum-layer
//! ```
//!
//! The app keeps its routes, its proxy and its callers' credentials. What is new: a model that keeps its caller waiting is given
//! up, and the caller is told in the terms of its own API, in the middle of a stream too.

mod before;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::uri::Authority;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::http::{FrontDoorLayer, ServeOptions, TranslateLayer, serve};
use ziggurat::layers::TimeoutLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::var("UPSTREAM")?.parse()?;
    let patience = Duration::from_secs(30);
    let app = app(upstream, TimeoutLayer::new().first_content(patience).idle(patience));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, app, ServeOptions::default(), stop).await?;
    Ok(())
}

/// The app, with the layer in front of it.
fn app(upstream: Authority, layer: TimeoutLayer) -> Router {
    let before = before::app(upstream);
    let with_layer = ServiceBuilder::new()
        // Model calls go through the layer; everything else goes to the app, untouched.
        .layer(FrontDoorLayer::new().otherwise(before.clone()))
        // The layer. Others may stand beside it.
        .layer(layer)
        // Calls are sent on to the app as the requests they were: address, headers, body.
        .layer(TranslateLayer::same())
        .service(before);
    Router::new().fallback_service(with_layer)
}
