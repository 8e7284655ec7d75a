use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use ziggurat_core::{Error, Reply};

pin_project! {
    /// The reply of an [`Access`](super::Access), or why there is none.
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        refused: Option<Error>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn permitted(inner: F) -> Self {
        Self { inner: Some(inner), refused: None }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { inner: None, refused: Some(error) }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Reply, E>>,
    E: Into<Error>,
{
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(cx).map_err(Into::into),
            None => Poll::Ready(Err(this.refused.take().expect("not polled after it was ready"))),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
