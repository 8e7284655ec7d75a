//! Tools to test gateways with: fake LLM providers that can misbehave, simulations of whole stacks, and golden files.
//!
//! [`FakeProvider`] listens on a loopback port and is one of two things. Left alone it is a model
//! of a *vendor*: it refuses what the vendor refuses, in the vendor's words and shapes, and
//! answers the rest deterministically, steered by marks in the last user message (see [`steer`]).
//! Given a [`Script`] it does what the script says, down to the byte: it splits frames, stalls,
//! cuts, resets, lies about lengths or never answers.
//!
//! ```
//! use ziggurat_testkit::{After, FakeProvider, Script};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let provider = FakeProvider::openai().spawn().await;
//! // The next request is answered as OpenAI would, but the line is reset after two events.
//! provider.script(Script::behave().reset_after(After::Events(2)));
//! let base_url = provider.base_url(); // point a client here
//! assert!(base_url.ends_with("/v1"));
//! # }
//! ```
//!
//! The binary `fake-provider` serves the same models to tests written in other languages.
//!
//! [`PrivateRedis`](redis::PrivateRedis) is a real Redis that a test can kill, pause and start again.
//!
//! With the feature `sim`, `sim` runs a stack of yours in process under thousands of seeds, each with callers, providers and
//! faults of its own, and checks that every caller was told the truth once and that nothing was left behind.
//!
//! [`golden::check`] compares what a test made with a file in the tree.
//!
//! Not covered: TLS, HTTP/2, and every endpoint but chat, token counting and the list of models;
//! [`FakeProvider::bare`] answers anything else by script.

mod check;
mod clock;
mod json;
mod model;
mod prompt;
mod schema;
mod script;
mod server;
#[cfg(test)]
mod testing;
mod vectors;

pub mod anthropic;
pub mod gemini;
pub mod golden;
pub mod openai;
#[cfg(unix)]
pub mod redis;
#[cfg(feature = "sim")]
pub mod sim;
pub mod steer;

pub use crate::{
    script::{After, Script},
    server::{Builder, FakeProvider, Recorded, Vendor},
};
