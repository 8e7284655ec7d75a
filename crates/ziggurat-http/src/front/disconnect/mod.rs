//! What becomes of a call whose client leaves: cut, or drained in the background. The rules are told at [`Disconnect`].

mod drains;
mod leave;
mod policy;
#[cfg(test)]
mod tests;

pub use drains::Drains;
pub(super) use leave::{Asking, Leave};
pub use policy::Disconnect;
pub(super) use policy::Policy;
