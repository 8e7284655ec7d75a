//! Streams: lines of JSON, the last of which says that it is done.

mod decode;
mod encode;
mod piece;
mod side;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;
pub(super) use side::Side;
