//! Which web pages may ask.
//!
//! With a master key any page may: it needs the key, which no browser sends by itself. Without one
//! every page that somebody opens could spend the provider's money through the loopback address, so
//! that only pages from this very machine may, and requests of other pages are refused. What is no
//! page of the web (a program, a desktop app's own scheme) is never refused.
//!
//! `OPTIONS` is answered here, before a key is asked for: browsers send none with it.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Error, ErrorKind};
use ziggurat_http::{ResponseBody, refuse};

use super::either::{EitherBody, EitherFuture};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Makes a [`Cors`].
#[derive(Clone, Copy, Debug)]
pub struct CorsLayer {
    any: bool,
}

/// Answers browsers' questions and refuses strange pages.
#[derive(Clone, Debug)]
pub struct Cors<S> {
    inner: S,
    any: bool,
}

impl CorsLayer {
    /// Lets any page ask when there is a key to be known, else those from this machine.
    #[must_use]
    pub fn new(has_key: bool) -> Self {
        Self { any: has_key }
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors { inner, any: self.any }
    }
}

// === impl Cors ===

impl<S, B, RB> Service<Request<B>> for Cors<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = Infallible>,
{
    type Response = Response<EitherBody<RB>>;
    type Error = Infallible;
    type Future = CorsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let origin = request.headers().get(ORIGIN).cloned();
        if let Some(origin) = origin.as_ref().filter(|origin| !self.any && is_strange(origin)) {
            tracing::debug!(?origin, "refused");
            let response = refuse(request.uri(), request.headers(), &strange());
            return CorsFuture::new(EitherFuture::here(response), None);
        }
        let allowed = origin.map(|origin| if self.any { ANY } else { origin });
        let future = if request.method() == Method::OPTIONS {
            EitherFuture::here(options(request.headers()))
        } else {
            EitherFuture::behind(self.inner.call(request))
        };
        CorsFuture::new(future, allowed)
    }
}

fn strange() -> Error {
    Error::new(
        ErrorKind::Permission,
        "web pages from elsewhere may not ask a gateway without a master key: set one",
    )
    .with_code("origin_not_allowed")
}

/// Whether a page of the web, from another machine or from nowhere, asks.
fn is_strange(origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return true };
    if origin.eq_ignore_ascii_case("null") {
        return true;
    }
    let Ok(uri) = origin.parse::<Uri>() else { return true };
    match uri.scheme_str() {
        Some("http" | "https") => !uri.host().is_some_and(is_loopback),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn options(asked: &HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    if asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
    }
    response
}

pin_project! {
    /// The answer to come, with what browsers want to know.
    pub struct CorsFuture<F> {
        #[pin]
        future: EitherFuture<F>,
        allowed: Option<HeaderValue>,
    }
}

impl<F> CorsFuture<F> {
    fn new(future: EitherFuture<F>, allowed: Option<HeaderValue>) -> Self {
        Self { future, allowed }
    }
}

impl<F, B> Future for CorsFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<EitherBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        if let Some(allowed) = this.allowed.take() {
            let headers = response.headers_mut();
            if allowed != ANY {
                headers.append(VARY, HeaderValue::from_static("origin"));
            }
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANY);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(has_key: bool, method: Method, headers: &[(&str, &str)]) -> (u16, HeaderMap) {
        let inner =
            tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
        let mut service = CorsLayer::new(has_key).layer(inner);
        let mut request = Request::builder().method(method).uri("/v1/messages");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = service.call(request.body(()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    #[tokio::test]
    async fn with_a_key_any_page_may_ask() {
        let origin = ("origin", "https://example.com");
        let (status, headers) = ask(true, Method::POST, &[origin]).await;
        assert_eq!((status, &headers[ACCESS_CONTROL_ALLOW_ORIGIN]), (200, &ANY));

        let preflight = [
            origin,
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let (status, headers) = ask(true, Method::OPTIONS, &preflight).await;
        assert_eq!(status, 204);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], METHODS);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "authorization,content-type");
    }

    #[tokio::test]
    async fn without_a_key_only_pages_of_this_machine_may_ask() {
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"] {
            let (status, headers) = ask(false, Method::POST, &[("origin", origin)]).await;
            assert_eq!(status, 200, "{origin}");
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], origin);
            assert_eq!(headers[VARY], "origin");
        }
        for origin in ["https://example.com", "http://localhost.example.com", "null", "http://"] {
            for method in [Method::POST, Method::OPTIONS] {
                let (status, headers) = ask(false, method, &[("origin", origin)]).await;
                assert_eq!(status, 403, "{origin}");
                assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_page_is_not_refused() {
        for headers in [&[][..], &[("origin", "vscode-webview://abc")]] {
            assert_eq!(ask(false, Method::POST, headers).await.0, 200);
        }
        let (status, headers) = ask(false, Method::OPTIONS, &[]).await;
        assert_eq!((status, &headers[ALLOW]), (204, &METHODS));
    }

    #[tokio::test]
    async fn a_forged_host_changes_nothing() {
        let forged = [("origin", "https://example.com"), ("host", "localhost")];
        assert_eq!(ask(false, Method::POST, &forged).await.0, 403);
    }
}
