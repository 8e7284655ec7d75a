//! Refuses heads that are too large, in words.
//!
//! The server itself stops reading at a [hard limit](hard), without knowing the caller's dialect.
//! Between this soft limit and that one a request has been read, and its refusal can be written in
//! the dialect that the path suggests.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, Uri};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Error, ErrorKind};
use ziggurat_http::refuse;

use super::either::{EitherBody, EitherFuture};

/// Makes a [`Limits`].
#[derive(Clone, Copy, Debug)]
pub struct LimitsLayer {
    max_head: u64,
}

/// Refuses what is too large.
#[derive(Clone, Debug)]
pub struct Limits<S> {
    inner: S,
    max_head: u64,
}

/// Where the server stops reading a head whose limit is `max_head` bytes.
#[must_use]
pub fn hard(max_head: u64) -> usize {
    usize::try_from(max_head.saturating_mul(2).saturating_add(8 << 10)).unwrap_or(usize::MAX)
}

impl LimitsLayer {
    /// Takes heads of at most so many bytes.
    #[must_use]
    pub fn new(max_head: u64) -> Self {
        Self { max_head }
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limits<S>;

    fn layer(&self, inner: S) -> Limits<S> {
        Limits { inner, max_head: self.max_head }
    }
}

impl<S, B, RB> Service<Request<B>> for Limits<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = Infallible>,
{
    type Response = Response<EitherBody<RB>>;
    type Error = Infallible;
    type Future = EitherFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if size(request.uri(), request.headers()) > self.max_head {
            let message = format!("the head of the request is larger than {} bytes", self.max_head);
            let error = Error::new(ErrorKind::HeadersTooLarge, message);
            tracing::debug!(reason = %error, "refused");
            let response = refuse(request.uri(), request.headers(), &error);
            return EitherFuture::here(response);
        }
        EitherFuture::behind(self.inner.call(request))
    }
}

/// The bytes of a head as HTTP/1.1 writes it, the request line's constant parts aside.
fn size(uri: &Uri, headers: &HeaderMap) -> u64 {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let headers: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (target + headers) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused_in_its_dialect() {
        let inner =
            tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
        let mut service = LimitsLayer::new(1000).layer(inner);
        let mut ask = |path: &str, header: usize| {
            let request = Request::builder().uri(path).header("x-long", "x".repeat(header));
            service.call(request.body(()).unwrap())
        };
        assert_eq!(ask("/v1/messages", 900).await.unwrap().status(), 200);
        assert_eq!(ask("/v1/messages", 1000).await.unwrap().status(), 431);
        let path = format!("/{}", "x".repeat(1000));
        assert_eq!(ask(&path, 1).await.unwrap().status(), 431);
    }
}
