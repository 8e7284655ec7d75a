//! Requests.
//!
//! Members that the superset has no field for are kept as extras of this dialect; those of a nested object by their path
//! (`generationConfig.mediaResolution`).

mod config;
mod contents;
mod decode;
mod defaults;
mod encode;
mod ids;
mod params;
mod parts;
mod prepare;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;

pub(super) use decode::decode;
pub(super) use defaults::set_default;
pub(super) use encode::encode;
pub(super) use prepare::{output_bound, prepare};

/// Where extra members of `generationConfig` are kept.
const CONFIG: &str = "generationConfig.";
/// Where extra members of `toolConfig` are kept.
const TOOL_CONFIG: &str = "toolConfig.";
/// Where extra members of `toolConfig.functionCallingConfig` are kept.
const CALLING: &str = "toolConfig.functionCallingConfig.";
