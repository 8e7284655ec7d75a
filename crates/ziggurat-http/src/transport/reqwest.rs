//! `reqwest` as a transport.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use ziggurat_core::{Body, BoxError};

/// A `reqwest::Client` as a transport, for programs that have one already, with its proxies, certificates and pool.
///
/// How a client is made is up to the program, and so is who does its cryptography: this crate asks reqwest for rustls without a
/// provider. Unless the program enables another TLS feature of reqwest, it installs one before it builds the client, which
/// panics otherwise.
///
/// ```
/// use ziggurat_http::transport::ReqwestTransport;
///
/// # fn main() -> Result<(), reqwest::Error> {
/// // Once, at the start of the program. It fails only if one is installed already.
/// let _ = rustls::crypto::ring::default_provider().install_default();
/// let client = reqwest::Client::builder()
///     // The answer is forwarded as it came.
///     .redirect(reqwest::redirect::Policy::none())
///     .tcp_nodelay(true)
///     .build()?;
/// let transport = ReqwestTransport::from(client);
/// # drop(transport);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestTransport(reqwest::Client);

impl From<reqwest::Client> for ReqwestTransport {
    fn from(client: reqwest::Client) -> Self {
        Self(client)
    }
}

impl Service<Request<Body>> for ReqwestTransport {
    type Response = Response<reqwest::Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // A body that is all here keeps its length.
            let body = match body.as_bytes() {
                Some(bytes) => reqwest::Body::from(bytes),
                None => reqwest::Body::wrap(SyncBody(std::sync::Mutex::new(body))),
            };
            let mut outgoing = client.request(parts.method, parts.uri.to_string()).body(body);
            outgoing = outgoing.headers(parts.headers);
            let response = outgoing.send().await?;
            Ok(response.into())
        })
    }
}

/// reqwest wants bodies that can be shared between threads; ours are only polled, one thread at a time.
struct SyncBody(std::sync::Mutex<Body>);

impl http_body::Body for SyncBody {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, BoxError>>> {
        let body = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        Pin::new(body).poll_frame(cx)
    }
}
