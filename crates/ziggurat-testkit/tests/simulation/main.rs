//! The simulation kit: it repeats itself, it lets good stacks pass, and it catches bad ones.

// Helpers fail a test by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod broken;
mod good;
