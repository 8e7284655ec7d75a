//! What most programs need, by one line: `use ziggurat::prelude::*;`
//!
//! The traits that make layers and services usable, the words of a call, and, as far as their features are on, the two ends and
//! the layers between them.

pub use tower_layer::Layer;
pub use tower_service::Service;

#[doc(no_inline)]
pub use ziggurat_core::{Call, CallService, Error, ErrorKind, Reply, Secret};

#[cfg(feature = "dialects")]
#[doc(no_inline)]
pub use ziggurat_dialects::{ANTHROPIC, OPENAI};

#[cfg(feature = "http")]
#[doc(no_inline)]
pub use ziggurat_http::{AdmissionLayer, Deployment, FrontDoorLayer, TranslateLayer};

#[cfg(feature = "transport")]
#[doc(no_inline)]
pub use ziggurat_http::Transport;

#[cfg(feature = "fetch")]
#[doc(no_inline)]
pub use ziggurat_http::{FetchLayer, Fetcher};

#[cfg(feature = "access")]
#[doc(no_inline)]
pub use ziggurat_layers::AccessLayer;

#[cfg(feature = "cache")]
#[doc(no_inline)]
pub use ziggurat_layers::CacheLayer;

#[cfg(feature = "conversation")]
#[doc(no_inline)]
pub use ziggurat_layers::ConversationLayer;

#[cfg(feature = "fallback")]
#[doc(no_inline)]
pub use ziggurat_layers::FallbackLayer;

#[cfg(feature = "peek")]
#[doc(no_inline)]
pub use ziggurat_layers::PeekLayer;

#[cfg(feature = "rate-limit")]
#[doc(no_inline)]
pub use ziggurat_layers::RateLimitLayer;

#[cfg(feature = "retry")]
#[doc(no_inline)]
pub use ziggurat_layers::RetryLayer;

#[cfg(feature = "route")]
#[doc(no_inline)]
pub use ziggurat_layers::Route;

#[cfg(feature = "split")]
#[doc(no_inline)]
pub use ziggurat_layers::SplitLayer;

#[cfg(feature = "stack")]
#[doc(no_inline)]
pub use ziggurat_layers::Stack;

#[cfg(feature = "timeout")]
#[doc(no_inline)]
pub use ziggurat_layers::TimeoutLayer;

#[cfg(feature = "client")]
#[doc(no_inline)]
pub use crate::client::{Client, Providers};
