//! Whole answers.

mod decode;
mod encode;
mod plain;
#[cfg(test)]
mod tests;

pub(super) use decode::{answer_part, decode, glance, misread};
pub(super) use encode::{encode, response_id, write_answer_part};
