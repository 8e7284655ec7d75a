//! The Ziggurat gateway as a library: what the binary `ziggurat` is made of.
//!
//! [`config`] reads LiteLLM's `config.yaml`, [`Gateway`] makes a tower of it, and
//! [`Gateway::app`] is that tower as a `tower::Service` over `http`, to be served, nested, or
//! called in process:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use tower_service::Service;
//! use ziggurat_core::Body;
//! use ziggurat_gateway::{Ending, Gateway, config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let text = b"model_list: [{model_name: m, litellm_params: {model: mock/echo}}]";
//! let env = HashMap::new();
//! let (config, _) = config::parse(text, "config.yaml", &env).unwrap();
//! let (gateway, _) = Gateway::new(config, &env).unwrap();
//! let body = r#"{"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}"#;
//! let request = http::Request::post("/v1/chat/completions")
//!     .body(Body::from(bytes::Bytes::from(body)))
//!     .unwrap();
//! let response = gateway.app(&Ending::default()).call(request).await.unwrap();
//! assert_eq!(response.status(), 200);
//! # }
//! ```
//!
//! The order of the layers, with the reason for each place, is in [`stack`].

pub mod banner;
pub mod check;
pub mod checks;
pub mod cli;
pub mod commands;
pub mod config;
mod deployments;
pub mod door;
pub mod estimate;
pub mod extras;
mod gateway;
pub mod logs;
pub mod mock;
pub mod models;
pub mod names;
mod notes;
pub mod observe;
pub mod policies;
mod prices;
mod registries;
pub mod reload;
pub mod run;
pub mod shutdown;
pub mod source;
pub mod stack;
pub mod upstream;

pub use gateway::Gateway;
pub use registries::Registries;
pub use reload::{Live, Reload};
pub use stack::{App, Ending};
