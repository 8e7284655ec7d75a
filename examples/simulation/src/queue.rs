//! So many calls at once; the others wait for their turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;
use ziggurat::prelude::*;
use ziggurat::{Outcome, Settle, Ticket};

/// Makes a [`Queue`] around a service.
#[derive(Clone, Debug)]
pub(crate) struct QueueLayer {
    places: Arc<Semaphore>,
    forgetful: bool,
}

/// Lets so many calls through at once, and holds the others back.
#[derive(Clone, Debug)]
pub(crate) struct Queue<S> {
    inner: S,
    layer: QueueLayer,
}

/// A place, until the call is settled: its answer was read to the end, failed, or was given up.
struct Place(Mutex<Option<OwnedSemaphorePermit>>);

impl Settle for Place {
    fn settle(&self, _: Ticket, _: &Outcome) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl QueueLayer {
    /// So many places.
    pub(crate) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), forgetful: false }
    }

    /// How many places are free.
    pub(crate) fn free(&self) -> usize {
        self.places.available_permits()
    }

    /// Wrong on purpose: the place is not given back where the answer is an error.
    #[cfg(test)]
    pub(crate) fn forgetful(mut self) -> Self {
        self.forgetful = true;
        self
    }
}

impl<S> tower::Layer<S> for QueueLayer {
    type Service = Queue<S>;

    fn layer(&self, inner: S) -> Queue<S> {
        Queue { inner, layer: self.clone() }
    }
}

impl<S: CallService> Service<Call> for Queue<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let inner = self.inner.clone();
        let QueueLayer { places, forgetful } = self.layer.clone();
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(|_| Error::closed())?;
            let (scope, guard) = call.open_scope();
            let place = Arc::new(Place(Mutex::new(Some(place))));
            scope.register(place.clone(), Ticket::default()).map_err(|_| Error::closed())?;
            let mut reply = inner.oneshot(call).await.inspect_err(|_| {
                if forgetful {
                    std::mem::forget(place.0.lock().unwrap_or_else(PoisonError::into_inner).take());
                }
            })?;
            if let Some(guard) = guard {
                reply.hold(guard);
            }
            Ok(reply)
        })
    }
}
