//! Cool-downs that gateways share.

mod listing;
mod share;
mod task;
#[cfg(test)]
mod tests;

pub use share::SharedCoolDowns;
