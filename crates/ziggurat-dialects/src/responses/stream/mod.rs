//! Streams: events by name, the last of which tells the whole answer.

mod decode;
mod encode;
mod item;
mod open;
mod piece;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::{Encoder, error_event};
