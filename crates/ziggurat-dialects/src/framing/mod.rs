//! How streams are cut into events.

pub mod event_stream;
pub(crate) mod fresh;
pub mod ndjson;
pub mod sse;
