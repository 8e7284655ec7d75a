//! An LLM gateway made of tower layers, for programs that call models.
//!
//! A [`Call`] is one request to a model, a [`Reply`] what comes back, an [`Error`] why it did not; everything between them is a
//! [`tower_layer::Layer`] around a [`CallService`]. Take one layer, or a whole gateway, into the program you have.
//!
//! # Asking a model
//!
//! ```no_run
//! use ziggurat::{Call, Client};
//!
//! # async fn run() -> Result<(), ziggurat::Error> {
//! // The key is in ANTHROPIC_API_KEY.
//! let client = Client::from_env();
//! let answer = client.ask(Call::chat("anthropic/claude-sonnet-4").user("Hello!")).await?;
//! println!("{}", answer.text());
//! # Ok(())
//! # }
//! ```
//!
//! # A gateway in process
//!
//! A front door takes the requests of OpenAI's and Anthropic's clients alike, layers decide, and translation sends the call to
//! its deployment in the dialect that is spoken there. The result is a service over `http::Request`: it nests into axum, sits on
//! hyper, or carries the requests of a client that the program has already.
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use ziggurat::prelude::*;
//!
//! let claude = Deployment::new("claude", ANTHROPIC, "https://api.anthropic.com".parse().unwrap())
//!     .key(Secret::new("sk-ant-…"))
//!     .model("claude-sonnet-4-5");
//! let gateway = ServiceBuilder::new()
//!     // Requests in any dialect become calls, replies go back in the caller's own.
//!     .layer(FrontDoorLayer::new())
//!     // A provider that fails in its first event has failed, not answered.
//!     .layer(PeekLayer::new())
//!     // A provider that says nothing is not waited for.
//!     .layer(TimeoutLayer::new().first_content(Duration::from_secs(30)))
//!     // Calls become requests to this deployment, answers become replies.
//!     .layer(TranslateLayer::new(claude))
//!     .service(Transport::new());
//! # let _ = gateway;
//! ```
//!
//! # One layer in a proxy that exists
//!
//! [`TranslateLayer::same`](http::TranslateLayer::same) keeps address, headers and credentials as they came. Between it and the
//! front door, any layer goes in front of a plain reverse proxy; requests that are no model calls pass untouched.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//! use tower::{ServiceBuilder, service_fn};
//! use ziggurat::Body;
//! use ziggurat::prelude::*;
//!
//! // Somebody's proxy: any service over `http::Request` that does not fail.
//! let proxy = service_fn(|request: http::Request<Body>| async move {
//!     Ok::<_, Infallible>(http::Response::new(request.into_body()))
//! });
//! let proxy = ServiceBuilder::new()
//!     .layer(FrontDoorLayer::new().otherwise(proxy))
//!     .layer(TimeoutLayer::new().idle(Duration::from_secs(60)))
//!     .layer(TranslateLayer::same())
//!     .service(proxy);
//! # fn is_http<S: Service<http::Request<Body>>>(_: &S) {}
//! # is_http(&proxy);
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `client` (on) | [`Client`] and [`client::Providers`]: direct calls to `provider/model` |
//! | `layers` (on), or one by one: `access`, `cache`, `conversation`, `fallback`, `peek`, `rate-limit`, `retry`, `route`, `split`, `stack`, `timeout` | [`layers`] |
//! | `redis`, with `redis-cluster`, `redis-tls` | [`store`]: cache, limits and cool-downs shared by several instances |
//! | `sqlite` | [`store`]: conversations in a file, or in memory |
//! | `http` | [`http`]: front door, translation, admission |
//! | `transport` | [`http::Transport`], over hyper-util and rustls |
//! | `reqwest` | a `reqwest::Client` as transport |
//! | `fetch` | [`http`]: pictures and documents behind addresses, for providers that take only their bytes |
//! | `serve` | the accept loop of a server |
//! | `dialects` | [`dialects`]: the wire formats by themselves, without I/O |
//! | `providers` | [`providers`]: addresses, capabilities and prices, as data |
//! | `full` | all of these |
//!
//! Without any feature there is the vocabulary alone: enough to write a layer of one's own.
//!
//! # Not here
//!
//! Configuration files, keys of users, an admin API: those are the gateway's, a program of its own that stands on these crates.

#[cfg(feature = "client")]
pub mod client;
pub mod prelude;

pub use ziggurat_core::*;

#[cfg(feature = "client")]
#[doc(inline)]
pub use client::Client;
#[cfg(feature = "dialects")]
#[doc(inline)]
pub use ziggurat_dialects as dialects;
#[cfg(feature = "http")]
#[doc(inline)]
pub use ziggurat_http as http;
#[cfg(any(
    feature = "access",
    feature = "cache",
    feature = "conversation",
    feature = "fallback",
    feature = "peek",
    feature = "rate-limit",
    feature = "retry",
    feature = "route",
    feature = "split",
    feature = "stack",
    feature = "timeout"
))]
#[doc(inline)]
pub use ziggurat_layers as layers;
#[cfg(feature = "providers")]
#[doc(inline)]
pub use ziggurat_providers as providers;
#[cfg(any(feature = "redis", feature = "sqlite"))]
#[doc(inline)]
pub use ziggurat_store as store;
