//! Wire formats of LLM APIs as sans-IO codecs: bytes in, the vocabulary of `ziggurat-core` out, and back.
//!
//! A dialect never knows another one. Both sides of a call meet in the superset of `ziggurat-core`: what one of them cannot say
//! is dropped, emulated or refused by rule, and told in the caller's own words.
//!
//! ```
//! use ziggurat_core::{Capabilities, Losses, Members, Operation, Str, Target};
//! use ziggurat_dialects::{ANTHROPIC, OPENAI};
//!
//! let body = r#"{"model":"fast","seed":7,"messages":[{"role":"user","content":"Hello!"}]}"#;
//! let asked = OPENAI.decode_request(Operation::Chat, &Members::parse(Str::from(body))?)?;
//!
//! let capabilities = Capabilities::default();
//! let target = Target::new("claude-sonnet-4-6", &capabilities, Some(OPENAI));
//! let mut losses = Losses::default();
//! let sent = ANTHROPIC.encode_request(&asked, &target, &mut losses)?;
//! assert_eq!(
//!     sent.body,
//!     r#"{"model":"claude-sonnet-4-6","max_tokens":4096,"messages":[{"role":"user","content":"Hello!"}]}"#
//! );
//! assert_eq!(losses.found()[0].to_string(), "seed=dropped");
//! # Ok::<(), ziggurat_core::Error>(())
//! ```
//!
//! [`all`] lists the dialects of conversations, [`named`] finds one by its name, OpenAI's legacy [`COMPLETIONS`] among them. One more is a folder of the same shape and a line there.
//!
//! | module | holds |
//! | --- | --- |
//! | [`framing`] | how streams are cut into events |
//! | [`normalise`] | the order that a target insists on, as rules over messages |
//! | [`media`], [`tools`] | data URLs and what their bytes are; names and ids of tools, fitted |

mod anthropic;
mod arguments;
mod clock;
mod cohere;
mod completions;
mod converse;
mod embedding;
mod fence;
mod fields;
pub mod framing;
mod gemini;
mod hints;
mod json;
pub mod media;
mod named;
mod node;
pub mod normalise;
mod ollama;
mod openai;
mod openai_api;
mod origin;
mod plain_error;
mod plan;
mod ranking;
mod responses;
mod said;
mod schema;
mod sequence;
mod spelled;
mod stops;
pub mod tools;
mod unsaid;
mod variant;

pub use anthropic::ANTHROPIC;
pub use cohere::COHERE;
pub use completions::COMPLETIONS;
pub use converse::CONVERSE;
pub use fields::{Field, Names};
pub use gemini::{GEMINI, PREDICT};
pub use named::{all, named};
pub use ollama::OLLAMA;
pub use openai::{Json, MaxTokensName, OPENAI, Quirks};
pub use responses::RESPONSES;
pub use variant::{KeyHeader, NoKeyHeader, Paths, Variant};
