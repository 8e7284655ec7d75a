//! Translate as a service.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;

use ziggurat_core::{Body, BoxError, Call, Error, Reply};

use super::deployment::Deployment;
use super::request::{self, Outgoing};
use super::response::TranslateFuture;

/// Answers calls by sending requests to a provider. Made by [`TranslateLayer`](super::TranslateLayer).
#[derive(Clone, Debug)]
pub struct Translate<S> {
    inner: S,
    way: Way,
}

#[derive(Clone, Debug)]
pub(super) enum Way {
    To(Arc<Deployment>),
    Same,
}

impl<S> Translate<S> {
    pub(super) fn new(inner: S, way: Way) -> Self {
        Self { inner, way }
    }

    /// Where calls go; `None` when they keep the address they came with.
    #[must_use]
    pub fn deployment(&self) -> Option<&Arc<Deployment>> {
        match &self.way {
            Way::To(deployment) => Some(deployment),
            Way::Same => None,
        }
    }
}

impl<S, RB> Service<Call> for Translate<S>
where
    S: Service<Request<Body>, Response = Response<RB>, Error: Into<BoxError>>,
    RB: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = TranslateFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (outgoing, deployment) = match &self.way {
            Way::To(deployment) => {
                (request::outgoing(&call, deployment), Some(Arc::clone(deployment)))
            }
            Way::Same => (request::same(&call), None),
        };
        let Outgoing { request, plan } = match outgoing {
            Ok(outgoing) => outgoing,
            Err(error) => return TranslateFuture::refused(error),
        };
        let answer = self.inner.call(request);
        let scope = call.scope().cloned();
        if let (Some(scope), Some(deployment)) = (&scope, &deployment) {
            scope.set_deployment(deployment.id.clone());
            if let Some(price) = &deployment.price {
                scope.set_price(price);
            }
        }
        if let Some(scope) = &scope {
            scope.report_losses(&plan.losses);
        }
        // The call itself, with its body, is dropped here: the request has what it needs.
        drop(call);
        TranslateFuture::new(answer, plan, deployment, scope)
    }
}
