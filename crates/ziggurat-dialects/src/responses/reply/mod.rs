//! Whole answers.

mod decode;
mod encode;
mod glance;
mod plain;
#[cfg(test)]
mod tests;

pub(super) use decode::{blame, decode, failure};
pub(super) use encode::encode;
pub(super) use glance::glance;
