//! What a layer over http answers: its own refusal, or what is behind it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body_util::Either;
use pin_project_lite::pin_project;
use ziggurat_http::ResponseBody;

/// The body of such an answer.
pub type EitherBody<B> = Either<ResponseBody, B>;

pin_project! {
    /// The answer to come.
    pub struct EitherFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        // It was made here.
        Here { response: Option<Box<Response<ResponseBody>>> },
        // It comes from behind.
        Behind {
            #[pin]
            future: F,
        },
    }
}

impl<F> EitherFuture<F> {
    pub(super) fn here(response: Response<ResponseBody>) -> Self {
        Self { state: State::Here { response: Some(Box::new(response)) } }
    }

    pub(super) fn behind(future: F) -> Self {
        Self { state: State::Behind { future } }
    }
}

impl<F, B> Future for EitherFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<EitherBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project().state.project() {
            StateProjection::Here { response } => {
                response.take().map(|response| *response).unwrap_or_default().map(Either::Left)
            }
            StateProjection::Behind { future } => ready!(future.poll(cx))?.map(Either::Right),
        }))
    }
}
