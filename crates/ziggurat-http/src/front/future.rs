//! From a request to the head of its answer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use ziggurat_core::{
    Ask, Body, BoxError, Call, CallHead, CallService, Caller, Error, Guard, Reply,
};

use super::body::{ResponseBody, Waiting};
use super::disconnect::{self, Leave};
use super::read::ReadBody;
use super::visit::{Visit, past_deadline, shutting_down};
use crate::admission::Permit;

pin_project! {
    /// The answer to come. Dropping it cancels the call, or leaves it to be [drained](super::Disconnect).
    pub struct ResponseFuture<S: CallService, B: HttpBody, F> {
        #[pin]
        state: State<S, B, F>,
    }

    impl<S: CallService, B: HttpBody, F> PinnedDrop for ResponseFuture<S, B, F> {
        fn drop(this: Pin<&mut Self>) {
            if let StateProjection::Asking { asked, guard, leave, .. } = this.project().state.project()
                && let AskedProjection::Apart { asking } = asked.project()
                && let (Some(leave), Some(asking)) = (leave.take(), asking.take())
            {
                leave.asking(asking, guard.take());
            }
        }
    }
}

pin_project! {
    #[project = StateProjection]
    #[project_replace = StateReplacement]
    enum State<S: CallService, B: HttpBody, F> {
        // Somebody else's request.
        Otherwise { #[pin] future: F },
        // Refused before it was a call.
        Refused { response: Option<Response<ResponseBody>> },
        // The body is read.
        Reading { #[pin] body: ReadBody<B>, visit: Visit, head: Arc<CallHead>, caller: Caller, admitted: Option<Arc<Permit>>, inner: S },
        // The layers are asked.
        Asking { #[pin] asked: Asked<S>, #[pin] limits: Limits, visit: Visit, head: Arc<CallHead>, ask: Ask, guard: Option<Guard>, leave: Option<Box<Leave>> },
        Done,
    }
}

impl<S: CallService, B: HttpBody, F> ResponseFuture<S, B, F> {
    pub(super) fn otherwise(future: F) -> Self {
        Self { state: State::Otherwise { future } }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(super) fn answering(visit: Visit, inner: S, request: Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        let (head, caller, admitted) = visit.head(parts);
        let body = visit.reading(body);
        Self { state: State::Reading { body, visit, head, caller, admitted, inner } }
    }
}

impl<S, B, F, OB> Future for ResponseFuture<S, B, F>
where
    S: CallService,
    B: HttpBody<Error: Into<BoxError>>,
    F: Future<Output = Result<Response<OB>, Infallible>>,
    OB: HttpBody<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Otherwise { future } => {
                    let response = ready!(future.poll(cx))?;
                    state.set(State::Done);
                    return Poll::Ready(Ok(
                        response.map(|body| ResponseBody::plain(Body::stream(body)))
                    ));
                }
                StateProjection::Refused { response } => {
                    return Poll::Ready(Ok(response.take().unwrap_or_default()));
                }
                StateProjection::Reading { body, visit, head, caller, admitted, inner } => {
                    let read = match visit.needs_body() {
                        true => ready!(body.poll(cx)),
                        false => Ok(bytes::Bytes::new()),
                    };
                    let call = read.and_then(|bytes| visit.call(bytes, head));
                    let mut call = match call {
                        Ok(call) => call,
                        Err(error) => {
                            let response = visit.refuse(head, &ziggurat_core::Str::new(), &error);
                            state.set(State::Done);
                            return Poll::Ready(Ok(response));
                        }
                    };
                    call.set_caller(std::mem::take(caller));
                    let (ask, guard) = visit.open(&mut call);
                    let limits = Limits::new(visit, &call);
                    let leave = visit.leave(&call, admitted.take());
                    let asking = Asking::new(inner.clone(), call);
                    let asked = match limits.keepalive.is_some() || leave.is_some() {
                        // It may have to go on in the body of an answer that has begun, or without its client.
                        true => Asked::Apart { asking: Some(Box::pin(asking)) },
                        false => Asked::Here { asking },
                    };
                    State::Asking {
                        asked,
                        limits,
                        visit: visit.clone(),
                        head: Arc::clone(head),
                        ask,
                        guard,
                        leave,
                    }
                }
                StateProjection::Asking { mut asked, limits, visit, head, ask, guard, leave } => {
                    let result = match asked.as_mut().poll(cx) {
                        Poll::Ready(result) => result,
                        Poll::Pending => match ready!(limits.poll_passed(cx)) {
                            Passed::Error(error) => Err(error),
                            Passed::Patience => {
                                // From here on the status is 200: whatever happens is told in the stream.
                                let AskedProjection::Apart { asking } = asked.project() else {
                                    return Poll::Pending;
                                };
                                let Some(asking) = asking.take() else { return Poll::Pending };
                                let waiting = Waiting {
                                    asking,
                                    guard: guard.take(),
                                    ask: ask.clone(),
                                    leave: leave.take(),
                                };
                                let response = visit.begin(head, waiting);
                                state.set(State::Done);
                                return Poll::Ready(Ok(response));
                            }
                        },
                    };
                    let response = visit.answer(head, ask, result, guard.take(), leave.take());
                    state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Done => return Poll::Pending,
            };
            state.set(next);
        }
    }
}

pin_project! {
    /// Waits until the layers are ready, then for their answer.
    #[project = AskingProjection]
    enum Asking<S: CallService> {
        Waiting { inner: S, call: Option<Call> },
        Called { #[pin] future: S::Future },
    }
}

impl<S: CallService> Asking<S> {
    fn new(inner: S, call: Call) -> Self {
        Self::Waiting { inner, call: Some(call) }
    }
}

impl<S: CallService> Future for Asking<S> {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let future = match self.as_mut().project() {
                AskingProjection::Called { future } => return future.poll(cx),
                AskingProjection::Waiting { inner, call } => {
                    ready!(inner.poll_ready(cx))?;
                    let Some(call) = call.take() else { return Poll::Ready(Err(Error::closed())) };
                    inner.call(call)
                }
            };
            self.set(Self::Called { future });
        }
    }
}

pin_project! {
    /// The question to the layers: in this future, or boxed where it may have to move on into the answer's body.
    #[project = AskedProjection]
    enum Asked<S: CallService> {
        Here { #[pin] asking: Asking<S> },
        Apart { asking: Option<disconnect::Asking> },
    }
}

impl<S: CallService> Asked<S> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        match self.project() {
            AskedProjection::Here { asking } => asking.poll(cx),
            AskedProjection::Apart { asking } => {
                // Out of its place while it runs: what panics is not there any more to be asked again.
                let Some(mut running) = asking.take() else { return Poll::Pending };
                let result = running.as_mut().poll(cx);
                if result.is_pending() {
                    *asking = Some(running);
                }
                result
            }
        }
    }
}

pin_project! {
    /// What ends a wait from outside: the deadline, the end of the program, the patience of a caller who wants to hear something.
    struct Limits {
        #[pin]
        deadline: Option<Sleep>,
        #[pin]
        shutdown: Option<WaitForCancellationFutureOwned>,
        #[pin]
        keepalive: Option<Sleep>,
    }
}

enum Passed {
    Error(Error),
    Patience,
}

impl Limits {
    fn new(visit: &Visit, call: &Call) -> Self {
        let settings = visit.settings();
        let keepalive = visit.keepalive_after().filter(|_| call.is_streamed());
        Self {
            deadline: call.deadline().map(tokio::time::sleep_until),
            shutdown: settings.shutdown.as_ref().map(|token| token.clone().cancelled_owned()),
            keepalive: keepalive.map(tokio::time::sleep),
        }
    }

    fn poll_passed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Passed> {
        let this = self.project();
        if let Some(deadline) = this.deadline.as_pin_mut()
            && deadline.poll(cx).is_ready()
        {
            return Poll::Ready(Passed::Error(past_deadline()));
        }
        if let Some(shutdown) = this.shutdown.as_pin_mut()
            && shutdown.poll(cx).is_ready()
        {
            return Poll::Ready(Passed::Error(shutting_down()));
        }
        match this.keepalive.as_pin_mut() {
            Some(keepalive) => keepalive.poll(cx).map(|()| Passed::Patience),
            None => Poll::Pending,
        }
    }
}
