//! Fetches pictures and documents that a request names by their address, for providers that take only their bytes.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tower::ServiceBuilder;
//! use ziggurat_http::fetch::{FetchLayer, Fetcher};
//! use ziggurat_http::{Deployment, Transport, TranslateLayer};
//! use ziggurat_dialects::OLLAMA;
//!
//! let llava = Arc::new(Deployment::new("llava", OLLAMA, "http://localhost:11434".parse().unwrap()));
//! let fetcher = Fetcher::new().max_bytes(10 << 20);
//! let service = ServiceBuilder::new()
//!     .layer(FetchLayer::new(fetcher, Arc::clone(&llava)))
//!     .layer(TranslateLayer::new(llava))
//!     .service(Transport::new());
//! # let _ = service;
//! ```
//!
//! # What is fetched
//!
//! What is an `http` or `https` address in a conversation, and what the deployment's dialect and model take only as bytes
//! ([`Codec::inlines`](ziggurat_core::Codec::inlines)): everything else is passed on. A call that leaves in the dialect that it came
//! in is not looked at. What was fetched stands in the conversation as base64; its media type is what the first bytes say, else what the
//! server says, and one that does not fit (a page where a picture is expected) is refused.
//!
//! Each address is asked once a call, whatever is tried again below or beside it.
//!
//! # Bounds
//!
//! | bound | default | |
//! | --- | --- | --- |
//! | [`max_bytes`](Fetcher::max_bytes) | 20 MiB | all that one call names, together |
//! | [`timeout`](Fetcher::timeout) | 30 s | one address, from the name to the last byte, redirects included |
//! | redirects | 5 | each is checked as the first address was |
//! | addresses | 32 a call | four are asked at once, and 64 for all calls together |
//!
//! # Whom nobody may ask
//!
//! Whoever may send a prompt could otherwise read what only this machine can reach: an internal service, the metadata of the
//! cloud. Addresses on this machine, on private and on shared networks, link-local and reserved ones are not asked, whatever name
//! leads to them: what a name was resolved to is checked where the connection is made, for every redirect anew. Addresses of IPv4 within
//! those of IPv6 count as what they are. Proxies of the environment are not used, since they would resolve names themselves.
//! [`allow_network`](Fetcher::allow_network) makes exceptions, and [`allow_private`](Fetcher::allow_private) one for all.
//!
//! No header of the caller goes along, and no credentials that stand in an address.
//!
//! # Errors
//!
//! `InvalidRequest`, 400, with the code `invalid_image_url` or `invalid_file_url`. They say what went wrong with the address, and
//! nothing of what is behind it.
//!
//! # Where it belongs
//!
//! Around a provider, above the clocks: the time that it takes is not the provider's.
//!
//! # Streams and cancellation
//!
//! Everything is fetched before the inner service is called. Replies pass through untouched; dropping the future ends what is being
//! fetched.

mod fetcher;
mod guard;
mod layer;
mod recent;
#[cfg(test)]
mod tests;

pub use fetcher::Fetcher;
pub use guard::{BadNetwork, Network};
pub use layer::{Fetch, FetchLayer};
