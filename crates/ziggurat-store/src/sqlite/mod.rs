//! Stores in SQLite, which is built in: a file, or memory.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use ziggurat_store::sqlite::{Bounds, Conversations};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let bounds = Bounds::default().max_bytes(64 << 20).keep(Duration::from_secs(30 * 24 * 3600));
//! // For a `ConversationLayer`.
//! let store = Arc::new(Conversations::in_memory(bounds));
//! # drop(store);
//! # }
//! ```
//!
//! # What is in the file
//!
//! `turns` holds one row for each answer: its owner, as a digest, its id, the id of the one before it, when it came, how many bytes it
//! takes, and what was said, as JSON and in clear text: the file is as secret as the conversations are, and made readable by its owner
//! alone. `items` tells in which answer an item is. `pragma user_version` says which layout that is; a file of a later one is not
//! opened.
//!
//! # Bounds
//!
//! What is older than [`keep`](Bounds::keep) is gone when something is looked for or put in. When all that is kept is larger than
//! [`max_bytes`](Bounds::max_bytes), what is oldest goes; one answer that takes more than an eighth of that is not kept.
//!
//! # Threads
//!
//! One thread of its own does all work of a store, in the order in which it was asked, so that nobody waits for a disk on a thread of the
//! runtime. At most 1,024 questions wait for it; whoever asks more is told that the store is busy. A file is in WAL mode: what was kept
//! is there again after a crash of the program, and but for the last moments after one of the machine.

mod conversations;
mod error;
mod schema;
#[cfg(test)]
mod tests;
mod worker;

pub use conversations::{Bounds, Conversations};
pub use error::OpenError;
