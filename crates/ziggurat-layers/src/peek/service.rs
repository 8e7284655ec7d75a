use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, Error, Reply};

use super::ResponseFuture;
use super::held::Window;

/// Holds a stream's head back until content has come. Made by [`PeekLayer`](super::PeekLayer).
#[derive(Clone, Debug)]
pub struct Peek<S> {
    inner: S,
    window: Window,
}

impl<S> Peek<S> {
    pub(super) fn new(inner: S, window: Window) -> Self {
        Self { inner, window }
    }
}

impl<S> Service<Call> for Peek<S>
where
    S: Service<Call, Response = Reply, Error: Into<Error>>,
{
    type Response = Reply;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let scope = call.scope().cloned();
        ResponseFuture::new(self.inner.call(call), scope, self.window)
    }
}
