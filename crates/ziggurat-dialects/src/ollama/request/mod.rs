//! Requests.
//!
//! Members that the superset has no field for are kept as extras of this dialect; those of `options` under their path
//! (`options.num_ctx`).

mod decode;
mod messages;
mod options;
#[cfg(test)]
mod tests;
mod think;
mod write;

pub(super) use decode::decode;
pub(super) use options::{output_bound, set_default};
pub(super) use write::encode;

/// Where the members of `options` are kept that the superset has no field for.
const OPTIONS: &str = "options.";
