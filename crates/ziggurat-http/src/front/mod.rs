//! The front door: `http::Request` in, `http::Response` out, a [`CallService`](ziggurat_core::CallService) behind.
//!
//! It reads the body within bounds, makes a [`Call`](ziggurat_core::Call) of it, opens the call's settlement and keeps the call's
//! deadline. What comes back is written in the caller's own dialect, errors included. Whatever is no model call goes to
//! [`otherwise`](FrontDoorLayer::otherwise), untouched.
//!
//! A client that leaves drops the response future or body, which cancels everything below at once, unless the call's
//! [`Disconnect`] policy says to drain it. A stream that fails ends with an error in the caller's dialect, never as if it were
//! complete.

mod array;
mod body;
mod disconnect;
mod future;
mod headers;
mod layer;
mod read;
mod respond;
mod routes;
mod service;
mod visit;

pub use body::ResponseBody;
pub use disconnect::{Disconnect, Drains};
pub use future::ResponseFuture;
pub use headers::request_id;
pub use layer::FrontDoorLayer;
pub use respond::refuse;
pub(crate) use routes::escape;
pub use routes::{Route, Routes, Streaming};
pub use service::{FrontDoor, NotFound};
