//! Whole answers.

mod decode;
mod encode;
mod glance;
#[cfg(test)]
mod tests;

pub(super) use decode::decode;
pub(super) use encode::encode;
pub(super) use glance::glance;

/// Where extra members of a choice's message are kept among those of the choice.
const MESSAGE: &str = "message.";
