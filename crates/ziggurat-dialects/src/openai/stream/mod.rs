//! Streams: chunks in server-sent events, ended by `[DONE]`.

mod choice;
mod decode;
mod encode;
mod piece;
mod side;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::{Encoder, words};
pub(super) use side::Side;
