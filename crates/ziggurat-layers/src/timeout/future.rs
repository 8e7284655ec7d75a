use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use ziggurat_core::{Error, Reply};

use super::body::TimedFrames;
use super::clock::Clock;

pin_project! {
    /// The reply of a [`Timeout`](super::Timeout), or the error of the time that ran out.
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        clock: Option<Clock>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, clock: Option<Clock>) -> Self {
        Self { inner: Some(inner), clock }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Reply, E>>,
    E: Into<Error>,
{
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut().expect("not polled after it was ready");
        let result = match (inner.poll(cx), this.clock.as_mut()) {
            (Poll::Ready(result), _) => result,
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Pending, Some(clock)) => match clock.poll_ran_out(cx) {
                Poll::Ready(error) => {
                    this.inner.set(None);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        this.inner.set(None);
        let mut reply = result.map_err(Into::into)?;
        if let Some(clock) = this.clock.take() {
            reply.wrap_frames(|frames| TimedFrames::new(frames, clock));
        }
        Poll::Ready(Ok(reply))
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
