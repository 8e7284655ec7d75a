//! Requests.
//!
//! Members that the superset has no field for are kept as extras of this dialect; those of a nested object by their path
//! (`stream_options.include_obfuscation`).

mod decode;
mod encode;
mod messages;
mod params;
mod parts;
#[cfg(test)]
mod tests;
mod write;

pub(super) use decode::decode;
pub(super) use encode::encode;
pub(super) use messages::{thoughts, tool_call};
pub(super) use write::{reasoning as write_reasoning, write_call};

/// Where extra members of `stream_options` are kept.
const STREAM_OPTIONS: &str = "stream_options.";
/// Where extra members of a schema for the answer are kept.
const SCHEMA: &str = "response_format.json_schema.";
