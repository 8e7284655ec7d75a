//! Some paths of its own beside everything else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as HttpBody;
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{BoxError, Error, ErrorKind};
use ziggurat_http::refuse;

/// Answers some paths by a router, and hands on everything else.
///
/// The path alone decides: no header does, the host's least of all.
#[derive(Clone, Debug)]
pub struct Aside<S> {
    inner: S,
    router: Router,
    serves: fn(&str) -> bool,
}

// === impl Aside ===

impl<S> Aside<S> {
    /// Answers the paths that `serves` knows by this router.
    pub(super) fn new(inner: S, router: Router, serves: fn(&str) -> bool) -> Self {
        Self { inner, router, serves }
    }
}

impl<S, B, RB> Service<Request<B>> for Aside<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = Infallible>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Either<Body, RB>>;
    type Error = Infallible;
    type Future = AsideFuture<<Router as Service<Request<B>>>::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The router is always ready.
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if (self.serves)(request.uri().path()) {
            AsideFuture { asked: Asked::Here { future: self.router.call(request) } }
        } else {
            AsideFuture { asked: Asked::Behind { future: self.inner.call(request) } }
        }
    }
}

pin_project! {
    /// The answer to come.
    pub struct AsideFuture<H, F> {
        #[pin]
        asked: Asked<H, F>,
    }
}

pin_project! {
    #[project = AskedProjection]
    enum Asked<H, F> {
        // It was for the router.
        Here {
            #[pin]
            future: H,
        },
        // It was for anybody else.
        Behind {
            #[pin]
            future: F,
        },
    }
}

impl<H, F, B> Future for AsideFuture<H, F>
where
    H: Future<Output = Result<Response<Body>, Infallible>>,
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Either<Body, B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project().asked.project() {
            AskedProjection::Here { future } => ready!(future.poll(cx))?.map(Either::Left),
            AskedProjection::Behind { future } => ready!(future.poll(cx))?.map(Either::Right),
        }))
    }
}

// === answers ===

/// That a path takes other methods than this one.
pub(super) fn wrong_method(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    takes: &'static str,
) -> Response<Body> {
    let message = format!("this path takes {takes}, not {method}");
    let error = Error::new(ErrorKind::MethodNotAllowed, message);
    let mut response = refuse(uri, headers, &error).map(Body::new);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(takes));
    response
}

pub(super) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    response(status, "application/json", body.to_string())
}

pub(super) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
