//! Requests.
//!
//! Members that the superset has no field for are kept as extras of this dialect; those of a nested object by their path
//! (`reasoning.context`).

mod decode;
mod defaults;
mod encode;
mod input;
mod params;
mod parts;
#[cfg(test)]
mod tests;
mod tools;
mod write;

pub(super) use decode::decode;
pub(super) use defaults::set_default;
pub(super) use encode::encode;

/// Where extra members of `stream_options` are kept.
const STREAM_OPTIONS: &str = "stream_options.";
/// Where extra members of `text` are kept.
const TEXT: &str = "text.";
/// Where extra members of the format of the answer are kept.
const FORMAT: &str = "text.format.";
/// Where extra members of `reasoning` are kept.
const REASONING: &str = "reasoning.";
