use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use ziggurat_core::{Call, CallService, Error, ErrorKind, Origin, Reply};

use super::body::{Place, hit, repeat};
use super::flight::{Asked, Found, Landing, is_of_another};
use super::memory::Alias;

pin_project! {
    /// The reply of a [`Cache`](super::Cache).
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<S: CallService> {
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: CallService> {
        // Nothing of it is the cache's affair.
        Passing { #[pin] inner: S::Future },
        // It was there.
        Done { reply: Option<Result<Reply, Error>> },
        // It is made for all who ask. `own`: how to ask alone, if the other may not.
        Following { place: Option<Place>, own: Option<Box<(S, Call)>> },
        // It is looked up, and made for nobody else.
        Alone { asked: Asked, call: Call, alias: Alias },
    }
}

impl<S: CallService> ResponseFuture<S> {
    pub(super) fn passing(inner: S::Future) -> Self {
        Self { state: State::Passing { inner } }
    }

    pub(super) fn done(reply: Result<Reply, Error>) -> Self {
        Self { state: State::Done { reply: Some(reply) } }
    }

    pub(super) fn following(place: Place, own: Option<Box<(S, Call)>>) -> Self {
        Self { state: State::Following { place: Some(place), own } }
    }

    pub(super) fn alone(asked: Asked, call: Call, alias: Alias) -> Self {
        Self { state: State::Alone { asked, call, alias } }
    }
}

impl<S: CallService> Future for ResponseFuture<S> {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Passing { inner } => return inner.poll(cx),
                StateProjection::Done { reply } => {
                    return Poll::Ready(reply.take().expect("not polled after it was ready"));
                }
                StateProjection::Alone { asked, call, alias } => {
                    return Poll::Ready(match ready!(asked.as_mut().poll(cx)) {
                        Ok(Found::Held(held)) => Ok(hit(&held, call, *alias)),
                        Ok(Found::Reply(reply)) => Ok(*reply),
                        Err(error) => Err(error),
                    });
                }
                StateProjection::Following { place, own } => {
                    let here = place.as_ref().expect("not polled after it was ready");
                    let landing = ready!(here.seat.poll_landing(cx));
                    let here = place.take().expect("it was there");
                    if let Some(own) = own.take().filter(|_| is_personal(&landing)) {
                        drop(here);
                        let (mut service, call) = *own;
                        let inner = service.call(call);
                        state.set(State::Passing { inner });
                        continue;
                    }
                    return Poll::Ready(match landing {
                        Landing::Held(held) => Ok(repeat(&held, here.scope.as_ref(), here.alias)),
                        Landing::Whole(whole) => Ok(here.whole(whole)),
                        Landing::Stream(begun) => here.stream(&begun),
                        Landing::Failed(error) => Err(error),
                    });
                }
            }
        }
    }
}

/// Whether it came like this because of who asked: another model answered, which others may not use; or the gateway refused.
fn is_personal(landing: &Landing) -> bool {
    match landing {
        Landing::Held(_) => false,
        Landing::Whole(whole) => is_of_another(&whole.head),
        Landing::Stream(begun) => is_of_another(&begun.head),
        Landing::Failed(error) => is_refusal(error),
    }
}

/// Whether the gateway refused because of who asked.
fn is_refusal(error: &Error) -> bool {
    let personal = matches!(
        error.kind(),
        ErrorKind::RateLimit
            | ErrorKind::QuotaExhausted
            | ErrorKind::Billing
            | ErrorKind::Permission
            | ErrorKind::Authentication
            | ErrorKind::Cancelled
    );
    personal && error.origin() != Origin::Provider
}

impl<S: CallService> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
