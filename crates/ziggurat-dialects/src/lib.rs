//! Wire formats of LLM APIs as sans-IO codecs: bytes in, the vocabulary of `ziggurat-core` out, and back.

mod fields;
mod json;
pub mod normalise;

pub use fields::{Field, Names};
