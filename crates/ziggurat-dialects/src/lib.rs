//! Wire formats of LLM APIs as sans-IO codecs: bytes in, the vocabulary of `ziggurat-core` out, and back.

mod anthropic;
mod fence;
mod fields;
pub mod framing;
mod hints;
mod json;
pub mod media;
pub mod normalise;
mod openai;
mod schema;
pub mod tools;

pub use anthropic::ANTHROPIC;
pub use fields::{Field, Names};
pub use openai::OPENAI;
