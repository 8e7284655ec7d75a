use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, Error, Reply};

use super::ResponseFuture;
use super::layer::Settings;

/// Tries a call that failed again. Made by [`RetryLayer`](super::RetryLayer).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S> Service<Call> for Retry<S>
where
    S: Service<Call, Response = Reply, Error: Into<Error>, Future: Future + Send + 'static>
        + Clone
        + Send
        + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let (scope, opened) = call.open_scope();
        let Ok(attempt) = scope.attempt() else { return ResponseFuture::refused(Error::closed()) };
        let mut first = call.clone();
        first.set_scope(attempt.scope());
        // The first attempt has the instance that was polled ready; the others poll theirs themselves.
        let inner = self.inner.call(first);
        let again = self.inner.clone();
        ResponseFuture::new(inner, attempt, opened, again, call, scope, Arc::clone(&self.settings))
    }
}
