use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, Error, Reply};

use super::ResponseFuture;
use super::layer::Settings;

/// Asks another model when one fails. Made by [`FallbackLayer`](super::FallbackLayer).
#[derive(Clone, Debug)]
pub struct Fallback<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Fallback<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S> Service<Call> for Fallback<S>
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
        if !self.settings.concerns(&call) {
            return ResponseFuture::passing(self.inner.call(call));
        }
        // One settlement for all models, so that attempts are counted through.
        let (scope, opened) = call.open_scope();
        let kept = call.clone();
        // The first model has the instance that was polled ready; the others poll theirs themselves.
        let inner = self.inner.call(call);
        let settings = Arc::clone(&self.settings);
        ResponseFuture::new(inner, opened, self.inner.clone(), kept, scope, settings)
    }
}
