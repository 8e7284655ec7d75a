//! Requests.
//!
//! Documents stand beside the conversation here. They are read as parts of what the user says last, to be cited, so that other
//! dialects can carry them; and such parts of other dialects' are written there.

mod decode;
mod defaults;
mod documents;
mod messages;
mod params;
#[cfg(test)]
mod tests;
mod write;

pub(super) use decode::decode;
pub(super) use defaults::set_default;
pub(super) use messages::{assistant, leftover, part};
pub(super) use write::encode;
