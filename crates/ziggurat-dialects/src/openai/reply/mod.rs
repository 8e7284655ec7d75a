//! Whole answers.

mod glance;

use bytes::Bytes;
use ziggurat_core::{Answer, Ask, Error, ErrorKind, Losses, Operation, Restore};

pub(super) use glance::glance;

/// Reads a whole answer.
pub(super) fn decode(
    operation: Operation,
    _body: &Bytes,
    _restore: &Restore,
) -> Result<Answer, Error> {
    Err(Error::new(ErrorKind::Unsupported, format!("answers to {operation} are not read yet")))
}

/// Writes a whole answer.
pub(super) fn encode(answer: &Answer, _ask: &Ask, _losses: &mut Losses) -> Result<Bytes, Error> {
    let operation = answer.operation();
    Err(Error::new(ErrorKind::Unsupported, format!("answers to {operation} are not written yet")))
}
