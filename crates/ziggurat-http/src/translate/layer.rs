//! Makes a [`Translate`].

use std::sync::Arc;

use tower_layer::Layer;

use super::deployment::Deployment;
use super::service::{Translate, Way};

/// Makes a [`Translate`] around any `Service<http::Request<Body>>`: a transport, or somebody's proxy.
#[derive(Clone, Debug)]
pub struct TranslateLayer {
    way: Way,
}

impl TranslateLayer {
    /// Calls go to this deployment.
    pub fn new(deployment: impl Into<Arc<Deployment>>) -> Self {
        Self { way: Way::To(deployment.into()) }
    }

    /// Calls keep address, headers and credentials as they came: for a layer in front of a plain proxy. They leave in the
    /// dialect they came in.
    #[must_use]
    pub fn same() -> Self {
        Self { way: Way::Same }
    }
}

impl<S> Layer<S> for TranslateLayer {
    type Service = Translate<S>;

    fn layer(&self, inner: S) -> Translate<S> {
        Translate::new(inner, self.way.clone())
    }
}
