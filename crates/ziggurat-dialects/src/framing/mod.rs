//! How streams are cut into events.

pub mod sse;
