//! Streams: chunks, both ways, and the facts read while a stream is cut.

mod candidate;
mod decode;
mod encode;
mod partial;
mod piece;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;
