//! Which models there are: lists of models, and what is known of one, answered here.
//!
//! Names and patterns are listed in the order of the configuration, then the aliases that are not hidden; of all of them only what
//! the caller may use. Everything else is handed on.

mod catalogue;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Answer, Call, CallService, Error, Operation, Reply, Typed};

pub use catalogue::{Catalogue, Listed};

/// Makes a [`Models`].
#[derive(Clone, Debug)]
pub struct ModelsLayer {
    catalogue: Catalogue,
}

/// Answers questions about models.
#[derive(Clone, Debug)]
pub struct Models<S> {
    inner: S,
    catalogue: Catalogue,
}

impl ModelsLayer {
    /// A layer that answers out of this catalogue.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self { catalogue }
    }
}

impl<S> Layer<S> for ModelsLayer {
    type Service = Models<S>;

    fn layer(&self, inner: S) -> Models<S> {
        Models { inner, catalogue: self.catalogue.clone() }
    }
}

// === impl Models ===

impl<S> Models<S> {
    /// Which models there are, or what is known of one.
    fn answer(&self, call: &Call) -> Result<Reply, Error> {
        let asked = match call.payload().decode()? {
            Typed::Models(asked) => asked.clone(),
            _ => None,
        };
        let catalogue = &self.catalogue;
        let answer = match asked {
            None => Answer::Models(catalogue.models(call.caller())),
            Some(name) => {
                let known = catalogue.model(&name).filter(|_| call.caller().may_use(&name));
                Answer::Model(known.ok_or_else(|| catalogue.table().unknown(call, &name))?)
            }
        };
        Ok(Reply::answer(answer))
    }
}

impl<S: CallService> Service<Call> for Models<S> {
    type Response = Reply;
    type Error = Error;
    type Future = ModelsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let state = if call.operation() == Operation::Models {
            State::Here { reply: Some(Box::new(self.answer(&call))) }
        } else {
            State::Asked { future: self.inner.call(call) }
        };
        ModelsFuture { state }
    }
}

pin_project! {
    /// The reply to come.
    pub struct ModelsFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Here { reply: Option<Box<Result<Reply, Error>>> },
        Asked {
            #[pin]
            future: F,
        },
    }
}

impl<F: Future<Output = Result<Reply, Error>>> Future for ModelsFuture<F> {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Here { reply } => {
                Poll::Ready(reply.take().map_or_else(|| Err(Error::closed()), |reply| *reply))
            }
            StateProjection::Asked { future } => future.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests;
