//! Streams: events, both ways, and the facts read while a stream is cut.

mod decode;
mod encode;
mod piece;
mod side;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::{Encoder, write_ping};
pub(super) use side::Side;
