//! A stack whose type nobody needs to know.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;
use ziggurat_core::{Body, BoxError};

pub(super) type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A stack under test. Made by [`World::http`](super::World::http) and [`World::calls`](super::World::calls).
#[derive(Clone)]
pub struct Stack(Arc<dyn Fn(Request<Body>) -> Answering + Send + Sync>);

impl Stack {
    pub(super) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(Arc::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
                let Ok(response) = service.call(request).await;
                response.map(Body::stream)
            })
        }))
    }

    pub(super) fn send(&self, request: Request<Body>) -> Answering {
        (self.0)(request)
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}
