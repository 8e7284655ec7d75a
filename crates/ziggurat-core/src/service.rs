//! The alias for what all layers stand around.

use std::future::Future;

use tower_service::Service;

use crate::{Call, Error, Reply};

/// A service that answers calls. It is implemented for every `tower::Service` of this shape.
///
/// ```
/// use std::future::{Ready, ready};
/// use std::task::{Context, Poll};
///
/// use tower_service::Service;
/// use ziggurat_core::{Answer, Call, CallService, ChatReply, Error, Reply};
///
/// /// Answers everything with nothing.
/// #[derive(Clone)]
/// struct Silent;
///
/// impl Service<Call> for Silent {
///     type Response = Reply;
///     type Error = Error;
///     type Future = Ready<Result<Reply, Error>>;
///
///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn call(&mut self, call: Call) -> Self::Future {
///         let answer = ChatReply::new(call.id().clone(), call.model().clone());
///         ready(Ok(Reply::answer(Answer::Chat(Box::new(answer)))))
///     }
/// }
///
/// fn serve(_: impl CallService) {}
/// serve(Silent);
/// ```
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
