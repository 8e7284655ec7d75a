//! The alias for what all layers stand around.

use std::future::Future;

use tower_service::Service;

use crate::{Call, Error, Reply};

/// A service that answers calls. It is implemented for every `tower::Service` of this shape.
pub trait CallService:
    Service<Call, Response = Reply, Error = Error, Future: Future + Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> CallService for S where
    S: Service<Call, Response = Reply, Error = Error, Future: Future + Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}
