use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, Error, Reply};

use super::ResponseFuture;
use super::clock::{Clock, Limits};

/// Gives up on a provider that keeps one waiting. Made by [`TimeoutLayer`](super::TimeoutLayer).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    limits: Limits,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, limits: Limits) -> Self {
        Self { inner, limits }
    }
}

impl<S> Service<Call> for Timeout<S>
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
        let clock = Clock::start(self.limits, call.is_streamed());
        ResponseFuture::new(self.inner.call(call), clock)
    }
}
