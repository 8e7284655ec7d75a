//! The two ends of an LLM gateway stack, in plain `http`.
//!
//! [`FrontDoorLayer`] turns an `http::Request` into a [`Call`](ziggurat_core::Call) and the reply back into the caller's dialect;
//! [`TranslateLayer`] turns a call into a provider's `http::Request` and reads what comes back. Between them any layers over
//! calls may stand. Since both ends are plain `http`, a stack nests into axum, sits on hyper, wraps an existing proxy, or
//! serves as the in-process transport of an existing client.
//!
//! ```no_run
//! use tower_layer::Layer;
//! use ziggurat_core::Secret;
//! use ziggurat_dialects::ANTHROPIC;
//! use ziggurat_http::{Deployment, FrontDoorLayer, Transport, TranslateLayer};
//!
//! let claude = Deployment::new("claude", ANTHROPIC, "https://api.anthropic.com".parse().unwrap())
//!     .key(Secret::new("sk-ant-…"))
//!     .model("claude-sonnet-4-6");
//! let stack = TranslateLayer::new(claude).layer(Transport::new());
//! // An OpenAI client may ask it, and so may an Anthropic client.
//! let service = FrontDoorLayer::new().layer(stack);
//! # let _ = service;
//! ```

mod admission;
mod authorize;
#[cfg(feature = "fetch")]
pub mod fetch;
mod front;
#[cfg(feature = "serve")]
mod serve;
mod translate;
#[cfg(any(feature = "transport", feature = "reqwest"))]
pub mod transport;

pub use admission::{Admission, AdmissionLayer, AdmittedBody, InFlight};
pub use authorize::{Authorize, AuthorizeFuture, AuthorizeLayer};
#[cfg(feature = "fetch")]
pub use fetch::{Fetch, FetchLayer, Fetcher};
pub use front::{
    Disconnect, Drains, FrontDoor, FrontDoorLayer, NotFound, ResponseBody, ResponseFuture, Route,
    Routes, Streaming, refuse, request_id,
};
#[cfg(feature = "serve")]
pub use serve::{RequestBody, ServeOptions, serve};
pub use translate::{Deployment, Translate, TranslateFuture, TranslateLayer};
#[cfg(feature = "transport")]
pub use transport::Transport;
