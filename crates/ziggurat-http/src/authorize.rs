//! Credentials that are put in last: between [`Translate`](crate::Translate) and the transport.
//!
//! A key that never changes is the [`Deployment`](crate::Deployment)'s, a header like others. A token that is fetched, or a signature
//! over the whole request, is put in by [`Authorize`], when nothing about the request changes any more. While a credential is at hand
//! this costs no allocation and no wait.
//!
//! Dropping the future while a credential is fetched drops the request; the fetch goes on for the others who wait for it, if there are
//! any.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use ziggurat_core::{Body, BoxError, Credentials, Error, ErrorKind};

/// Makes an [`Authorize`].
#[derive(Clone, Debug, Default)]
pub struct AuthorizeLayer {
    credentials: Option<Arc<dyn Credentials>>,
}

impl AuthorizeLayer {
    /// Puts these credentials into every request.
    #[must_use]
    pub fn new(credentials: Arc<dyn Credentials>) -> Self {
        Self { credentials: Some(credentials) }
    }

    /// These credentials, or none: then requests pass as they are.
    #[must_use]
    pub fn maybe(credentials: Option<Arc<dyn Credentials>>) -> Self {
        Self { credentials }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { inner, credentials: self.credentials.clone() }
    }
}

/// Puts credentials into requests. Made by [`AuthorizeLayer`].
#[derive(Clone, Debug)]
pub struct Authorize<S> {
    inner: S,
    credentials: Option<Arc<dyn Credentials>>,
}

impl<S, RB> Service<Request<Body>> for Authorize<S>
where
    S: Service<Request<Body>, Response = Response<RB>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    RB: 'static,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = AuthorizeFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(credentials) = self.credentials.clone() else {
            let state = State::Asking { answer: self.inner.call(request) };
            return AuthorizeFuture { state, credentials: None };
        };
        let state = match credentials.apply(&mut request) {
            Ok(true) => State::Asking { answer: self.inner.call(request) },
            Ok(false) => {
                // The instance that is ready is the one that is called, later.
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                let fetched = Arc::clone(&credentials);
                let asking = async move {
                    Arc::clone(&fetched).fetch().await?;
                    if !fetched.apply(&mut request)? {
                        return Err(nothing().into());
                    }
                    inner.call(request).await.map_err(Into::into)
                };
                State::Fetching { asking: Box::pin(asking) }
            }
            Err(error) => State::Failed { error: Some(error) },
        };
        AuthorizeFuture { state, credentials: Some(credentials) }
    }
}

/// What was fetched has ended before it could be used.
fn nothing() -> Error {
    Error::new(ErrorKind::Server, "the credential for the provider ends before it can be used")
}

pin_project! {
    /// The answer to a request with credentials.
    pub struct AuthorizeFuture<F, RB> {
        #[pin]
        state: State<F, RB>,
        credentials: Option<Arc<dyn Credentials>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, RB> {
        Asking { #[pin] answer: F },
        Fetching {
            asking: Pin<Box<dyn Future<Output = Result<Response<RB>, BoxError>> + Send>>,
        },
        Failed { error: Option<Error> },
    }
}

impl<F, RB, E> Future for AuthorizeFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RB>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.state.project() {
            StateProjection::Asking { answer } => ready!(answer.poll(cx)).map_err(Into::into),
            StateProjection::Fetching { asking } => ready!(asking.as_mut().poll(cx)),
            StateProjection::Failed { error } => {
                Err(error.take().unwrap_or_else(Error::closed).into())
            }
        };
        if let (Ok(response), Some(credentials)) = (&answer, this.credentials)
            && matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            credentials.refused();
        }
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use http::HeaderValue;
    use http::header::AUTHORIZATION;
    use ziggurat_core::Fetching;

    use super::*;

    /// A token that is there once it was fetched.
    #[derive(Debug, Default)]
    struct Token {
        there: AtomicBool,
        fetches: AtomicUsize,
        refusals: AtomicUsize,
        broken: bool,
    }

    impl Credentials for Token {
        fn apply(&self, request: &mut Request<Body>) -> Result<bool, Error> {
            if self.broken {
                return Err(Error::new(ErrorKind::Server, "broken"));
            }
            let there = self.there.load(Ordering::SeqCst);
            if there {
                request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer t"));
            }
            Ok(there)
        }

        fn fetch(self: Arc<Self>) -> Fetching {
            Box::pin(async move {
                tokio::task::yield_now().await;
                self.fetches.fetch_add(1, Ordering::SeqCst);
                self.there.store(true, Ordering::SeqCst);
                Ok(())
            })
        }

        fn refused(&self) {
            self.refusals.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Answers with what it was authorized by.
    #[derive(Clone)]
    struct Echo(StatusCode);

    impl Service<Request<Body>> for Echo {
        type Response = Response<Option<HeaderValue>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let mut response = Response::new(request.headers().get(AUTHORIZATION).cloned());
            *response.status_mut() = self.0;
            std::future::ready(Ok(response))
        }
    }

    async fn ask(service: &mut Authorize<Echo>) -> Option<HeaderValue> {
        service.call(Request::new(Body::empty())).await.unwrap().into_body()
    }

    #[tokio::test]
    async fn a_credential_is_fetched_before_the_first_request_and_then_at_hand() {
        let token = Arc::new(Token::default());
        let mut service = AuthorizeLayer::new(token.clone()).layer(Echo(StatusCode::OK));
        for _ in 0..3 {
            assert_eq!(ask(&mut service).await.unwrap(), "Bearer t");
        }
        assert_eq!(token.fetches.load(Ordering::SeqCst), 1);
        assert_eq!(token.refusals.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn without_credentials_requests_pass_as_they_are() {
        let mut service = AuthorizeLayer::maybe(None).layer(Echo(StatusCode::FORBIDDEN));
        assert_eq!(ask(&mut service).await, None);
    }

    #[tokio::test]
    async fn a_refusal_is_told_to_whoever_gave_the_credential() {
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            let token = Arc::new(Token::default());
            let mut service = AuthorizeLayer::new(token.clone()).layer(Echo(status));
            ask(&mut service).await;
            assert_eq!(token.refusals.load(Ordering::SeqCst), 1);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_put_in_is_our_error() {
        let token = Arc::new(Token { broken: true, ..Token::default() });
        let mut service = AuthorizeLayer::new(token).layer(Echo(StatusCode::OK));
        let error = service.call(Request::new(Body::empty())).await.unwrap_err();
        assert_eq!(error.downcast_ref::<Error>().unwrap().kind(), ErrorKind::Server);
    }
}
