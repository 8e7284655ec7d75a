//! The provider itself: a small HTTP/1.1 server that can lie at every byte.
//!
//! It is written over a bare [`TcpListener`](tokio::net::TcpListener), because a proper server
//! would not let a script cut a chunk short, claim a false length or reset the line.

mod connection;
mod http1;
mod play;
mod provider;
mod record;
#[cfg(test)]
mod tests;
mod vendor;

pub use self::{
    provider::{Builder, FakeProvider},
    record::Recorded,
    vendor::Vendor,
};
