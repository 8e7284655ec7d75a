//! Every pair of dialects, both ways, whole and streamed.
//!
//! `golden.rs` runs the files under `tests/golden/`: what goes in is written by hand, what comes out is compared (with `BLESS=1`
//! it is written anew, and the diff is the review). `cases.rs`, `gemini.rs` and `responses.rs` hold bugs that gateways are known for, each under
//! its own name.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers fail a test by panicking, too.

mod bedrock;
mod cases;
mod gemini;
mod golden;
mod harness;
mod plain;
mod responses;
mod wire;
