use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Call, End, Error, Guard, RateLimits, Reply, Ticket};

use super::Limiter;
use super::layer::Settings;
use super::shared::{Acquire, Lease};

pin_project! {
    /// The reply of a [`RateLimit`](super::RateLimit), or its refusal.
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<S, F> {
        #[pin]
        state: State<S, F>,
        admitted: Option<Admitted>,
    }

    impl<S, F> PinnedDrop for ResponseFuture<S, F> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(Admitted { unpolled: Some((limiter, ticket)), .. }) = this.project().admitted {
                limiter.unsent(*ticket);
            }
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Refused { error: Option<Error> },
        // Boxed: the way to shared limits is long, and the other one shall not be the wider for it.
        Asking { asking: Option<Box<Asking<S>>> },
        Answering { #[pin] inner: F },
    }
}

/// A call that waits for the answer of the shared limits.
pub(super) struct Asking<S> {
    pub(super) asking: Acquire,
    pub(super) lease: Arc<Lease>,
    pub(super) call: Call,
    pub(super) inner: S,
    pub(super) settings: Arc<Settings>,
}

/// A call that was let pass.
pub(super) struct Admitted {
    pub(super) left: RateLimits,
    /// The call's, if it was opened here.
    pub(super) guard: Option<Guard>,
    /// Whom to tell when the call is given up before it began.
    pub(super) unpolled: Option<(Limiter, Ticket)>,
}

impl<S, F> ResponseFuture<S, F> {
    pub(super) fn unlimited(inner: F) -> Self {
        Self { state: State::Answering { inner }, admitted: None }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) }, admitted: None }
    }

    pub(super) fn asking(asking: Asking<S>) -> Self {
        Self { state: State::Asking { asking: Some(Box::new(asking)) }, admitted: None }
    }

    pub(super) fn admitted(inner: F, admitted: Admitted) -> Self {
        Self { state: State::Answering { inner }, admitted: Some(admitted) }
    }
}

impl<S> Future for ResponseFuture<S, S::Future>
where
    S: Service<Call, Response = Reply, Error: Into<Error>>,
{
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Refused { error } => {
                    let error = error.take().expect("not polled after it was ready");
                    return Poll::Ready(Err(error));
                }
                StateProj::Asking { asking } => {
                    let asked = asking.as_mut().expect("not polled after it was ready");
                    let verdict = ready!(asked.asking.as_mut().poll(cx));
                    let asked = asking.take().expect("it has just answered");
                    let Asking { lease, mut call, mut inner, settings, .. } = *asked;
                    match settings.decide(&mut call, lease, verdict) {
                        Err(error) => return Poll::Ready(Err(error)),
                        Ok(admitted) => {
                            *this.admitted = Some(admitted);
                            let inner = inner.call(call);
                            this.state.set(State::Answering { inner });
                        }
                    }
                }
                StateProj::Answering { inner } => {
                    if let Some(admitted) = this.admitted {
                        admitted.unpolled = None;
                    }
                    let result = ready!(inner.poll(cx)).map_err(Into::into);
                    return Poll::Ready(match this.admitted.take() {
                        None => result,
                        Some(admitted) => admitted.finish(result),
                    });
                }
            }
        }
    }
}

impl Admitted {
    fn finish(self, result: Result<Reply, Error>) -> Result<Reply, Error> {
        match result {
            Ok(mut reply) => {
                // A layer further in may have told of tighter ones.
                let limits = &mut reply.head_mut().limits;
                if limits.is_empty() {
                    *limits = self.left;
                } else {
                    self.left.iter().for_each(|(kind, state)| limits.tighten(kind, *state));
                }
                if let Some(guard) = self.guard {
                    reply.hold(guard);
                }
                Ok(reply)
            }
            Err(error) => {
                let mut limits = error.limits().cloned().unwrap_or_default();
                self.left.iter().for_each(|(kind, state)| limits.tighten(kind, *state));
                let error = error.with_limits(limits);
                if let Some(guard) = self.guard {
                    guard.close(End::Failure(error.clone()));
                }
                Err(error)
            }
        }
    }
}
