use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use ziggurat_core::{End, Error, Reply, ReplyBody, Scope};

use super::held::{Peeking, Window, nothing, of_reply};

pin_project! {
    /// The reply of a [`Peek`](super::Peek), once content has come.
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        peeking: Option<Peeking>,
        scope: Option<Scope>,
        window: Window,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, scope: Option<Scope>, window: Window) -> Self {
        Self { inner: Some(inner), peeking: None, scope, window }
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
        if this.peeking.is_none() {
            let inner = this.inner.as_mut().as_pin_mut().expect("not polled after it was ready");
            let result = ready!(inner.poll(cx));
            this.inner.set(None);
            let reply = result.map_err(Into::into)?;
            if !reply.is_streamed() {
                return Poll::Ready(whole(reply));
            }
            *this.peeking = Some(Peeking::new(reply, this.scope.take(), *this.window));
        }
        let peeking = this.peeking.as_mut().expect("set above");
        let result = ready!(peeking.poll(cx));
        *this.peeking = None;
        Poll::Ready(result)
    }
}

/// A reply in one piece is an answer if there is anything in it at all.
fn whole(mut reply: Reply) -> Result<Reply, Error> {
    match reply.body() {
        ReplyBody::Whole(bytes) if bytes.trim_ascii().is_empty() => {
            let error = of_reply(nothing(), &reply);
            reply.end(&End::Failure(error.clone()));
            Err(error)
        }
        _ => Ok(reply),
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
