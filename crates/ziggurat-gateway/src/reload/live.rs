//! The stack that serves now.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use http::Request;
use tower::util::Oneshot;
use tower_service::Service;

use crate::stack::App;

/// Hands each request to the stack that serves when it comes. Clones are the same.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<App>>);

impl Live {
    pub(super) fn new(app: App) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(app)))
    }

    /// Requests from now on go to this one.
    pub(super) fn swap(&self, app: App) {
        self.0.store(Arc::new(app));
    }
}

impl<B> Service<Request<B>> for Live
where
    App: Service<Request<B>, Error = Infallible>,
{
    type Response = <App as Service<Request<B>>>::Response;
    type Error = Infallible;
    type Future = Oneshot<App, Request<B>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Which stack it will be is not known yet; it is made ready in the future.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Oneshot::new(App::clone(&self.0.load()), request)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}
