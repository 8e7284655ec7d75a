//! How streams are cut into events.

pub mod event_stream;
pub mod ndjson;
pub mod sse;
