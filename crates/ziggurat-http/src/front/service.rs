//! The front door as a service.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, header};
use http_body::Body as HttpBody;
use tower_service::Service;

use ziggurat_core::{Body, BoxError, CallService, Error, ErrorKind};

use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::layer::Settings;
use super::respond::{self, refusal};
use super::routes::{Found, Routes, hint};
use super::visit::Visit;

/// `http::Request` in, `http::Response` out; never an error. Made by [`FrontDoorLayer`](super::FrontDoorLayer).
#[derive(Clone, Debug)]
pub struct FrontDoor<S, O = NotFound> {
    inner: S,
    otherwise: O,
    settings: Arc<Settings>,
}

impl<S, O> FrontDoor<S, O> {
    pub(super) fn new(inner: S, otherwise: O, settings: Arc<Settings>) -> Self {
        Self { inner, otherwise, settings }
    }
}

impl<S, O, B, OB> Service<Request<B>> for FrontDoor<S, O>
where
    S: CallService,
    O: Service<Request<B>, Response = Response<OB>, Error = Infallible>,
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
    OB: HttpBody<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture<S, B, O::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The inner service is called after the body has been read, long after this: it is made ready in the future.
        self.otherwise.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let routes = Routes::default();
        match routes.find(request.method(), request.uri(), request.headers()) {
            Found::Route(route) => {
                let visit = Visit::new(Arc::clone(&self.settings), route);
                ResponseFuture::answering(visit, self.inner.clone(), request)
            }
            Found::Method { dialect, allow } => {
                let error = Error::new(
                    ErrorKind::MethodNotAllowed,
                    format!("this path takes {allow}, not {}", request.method()),
                );
                let mut response = refusal(dialect, request.headers(), &error, &self.settings);
                response.headers_mut().insert(
                    header::ALLOW,
                    HeaderValue::from_str(&allow).unwrap_or(HeaderValue::from_static("POST")),
                );
                ResponseFuture::refused(response)
            }
            Found::Nothing => ResponseFuture::otherwise(self.otherwise.call(request)),
        }
    }
}

/// Answers 404 in the dialect that the path suggests. The front door's default for what is no model call.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotFound(());

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let error = Error::new(
            ErrorKind::NotFound,
            format!(
                "there is nothing at {} {}: {}",
                request.method(),
                printable(path),
                hint(path, request.headers())
            ),
        )
        .with_code("not_found");
        let dialect = Routes::default().dialect(path, request.headers());
        std::future::ready(Ok(respond::bare(dialect, request.headers(), &error)))
    }
}

fn printable(path: &str) -> String {
    path.chars().take(200).filter(|c| !c.is_control()).collect()
}
