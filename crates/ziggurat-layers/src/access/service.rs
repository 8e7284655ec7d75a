use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, Error, Reply};

use super::{AccessLayer, ResponseFuture};

/// Asks whether a caller may use a model, and these parameters. Made by [`AccessLayer`].
#[derive(Clone, Debug)]
pub struct Access<S> {
    inner: S,
    rules: AccessLayer,
}

impl<S> Access<S> {
    pub(super) fn new(inner: S, rules: AccessLayer) -> Self {
        Self { inner, rules }
    }
}

impl<S> Service<Call> for Access<S>
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
        match self.rules.check(&call) {
            Ok(()) => ResponseFuture::permitted(self.inner.call(call)),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}
