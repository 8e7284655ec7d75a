//! Keeps answers, so that a caller sends what is new of a conversation and no more.
//!
//! OpenAI Responses lets a caller name the answer that a request goes on from (`previous_response_id`), name single items of
//! earlier answers (`item_reference`), and ask for an answer again later. Most providers keep nothing. This layer does it for them:
//! it keeps what was said and answered, and puts it in front of the next request, so that whoever is below sees all of the
//! conversation.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tower::ServiceBuilder;
//! use ziggurat_core::CallService;
//! use ziggurat_dialects::RESPONSES;
//! use ziggurat_layers::ConversationLayer;
//! use ziggurat_layers::conversation::Store;
//!
//! fn remembering(models: impl CallService, store: Arc<dyn Store>) -> impl CallService {
//!     ServiceBuilder::new().layer(ConversationLayer::new(RESPONSES, store)).service(models)
//! }
//! ```
//!
//! | a caller says | what happens |
//! | --- | --- |
//! | nothing of `store`, or `"store": true` | the answer is kept when it is complete, and says `"store": true` |
//! | `"store": false` | nothing is kept |
//! | `previous_response_id` | what was said before stands before the `input`. If it is not known here, the provider is asked as it came: it may know it |
//! | an `item_reference` in `input` | the item stands there, if it is known here |
//! | `GET /responses/{id}` | the answer, 404 if there is none |
//! | `DELETE /responses/{id}` | it is forgotten |
//! | `background: true` | the answer is `queued` at once, and written by a task of its own. `GET` tells how far it is |
//! | `background: true` and `stream: true` | its events are kept, too: `GET /responses/{id}?stream=true&starting_after=N` goes on from any of them, until ten minutes after the last |
//! | `POST /responses/{id}/cancel` | what is being written is `cancelled`, and the provider's answer dropped. 400 for an answer that was waited for |
//! | `GET /responses/{id}/input_items` | what it is an answer to, all of the conversation before it included, in pages (`limit`, `order`, `after`) |
//!
//! What is kept is the caller's own: it is found by those alone who come with the same key, or without a key of the gateway's by
//! the same credentials. To everybody else it does not exist. Instructions do not go on from one answer to the next (OpenAI
//! Responses, `instructions`).
//!
//! # Where it belongs
//!
//! Above the cache and all that counts or looks at a conversation, which see all of it; below the question whether a caller may.
//!
//! # Streams and cancellation
//!
//! A stream is kept when its last event has come, before that is handed on: who has read `response.completed` can go on from it. What
//! is cut, or left by its caller, is not kept. Where the provider speaks another dialect, the answer is written here already, since
//! the ids of its items belong to what is kept. Dropping the future drops the inner one.
//!
//! # In the background
//!
//! An answer in the background ends with its provider's answer, a failure, or when it is cancelled or deleted; not when its caller
//! leaves. It opens its own scope below, so that all it costs is booked. At most 256 are written at once, whoever asks for more is
//! refused with `Overloaded`, 503. They live in the process: one that was not complete when that ended is `failed` afterwards.
//! With `store: false` there is none: 400.
//!
//! # If the store fails
//!
//! An answer is never lost for it: it is delivered, and a warning logged. A request that goes on from an answer that cannot be read
//! is refused with `Overloaded`, 503.
//!
//! # Cost
//!
//! Calls of other dialects pass with one comparison. A call whose answer is kept allocates a future and the copy that is kept.

mod background;
mod body;
mod items;
mod jobs;
mod layer;
mod owner;
mod page;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod turns;

pub use layer::ConversationLayer;
pub use owner::Owner;
pub use service::Conversation;
pub use store::{Store, Turn};

pub use crate::store::{StoreError, StoreFuture};
