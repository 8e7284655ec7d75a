//! The default transport.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pin_project_lite::pin_project;
use tower_service::Service;

use ziggurat_core::{Body, BoxError};

use super::connect::{Connect, tls};

/// How a [`Transport`] connects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TransportOptions {
    /// How long a connection may take, TLS aside.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How many idle connections are kept for one host.
    pub max_idle_per_host: usize,
    /// 0 for HTTP/1.1, a connection for each call under way; else HTTP/2 over this many connections, the least loaded first.
    pub http2_shards: usize,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured.
    pub proxy_from_env: bool,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(90),
            max_idle_per_host: 1024,
            http2_shards: 0,
            proxy_from_env: true,
        }
    }
}

type Https = Client<HttpsConnector<Connect>, Body>;

/// hyper-util's client over rustls: pooled connections, TCP_NODELAY, proxies from the environment.
///
/// Certificates are checked against Mozilla's roots, or against those that `SSL_CERT_FILE` or `SSL_CERT_DIR` name.
#[derive(Clone, Debug)]
pub struct Transport {
    shards: Arc<[Shard]>,
}

#[derive(Debug)]
struct Shard {
    client: Https,
    open: Arc<AtomicUsize>,
}

impl Default for Transport {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport {
    /// A transport with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&TransportOptions::default())
    }

    /// A transport with these options.
    #[must_use]
    pub fn with(options: &TransportOptions) -> Self {
        let http2 = options.http2_shards > 0;
        let connect = Connect::new(options.connect_timeout, options.proxy_from_env);
        let tls = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls()).https_or_http();
        let https = if http2 {
            tls.enable_http2().wrap_connector(connect)
        } else {
            tls.enable_http1().wrap_connector(connect)
        };
        let shards = (0..options.http2_shards.max(1)).map(|_| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(options.idle_timeout)
                .pool_max_idle_per_host(options.max_idle_per_host)
                .http2_only(http2);
            if http2 {
                // A dead connection is noticed before a caller waits on it.
                builder
                    .http2_adaptive_window(true)
                    .http2_keep_alive_interval(Duration::from_secs(20))
                    .http2_keep_alive_timeout(Duration::from_secs(10));
            }
            Shard { client: builder.build(https.clone()), open: Arc::default() }
        });
        Self { shards: shards.collect() }
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<TransportBody>;
    type Error = BoxError;
    type Future = TransportFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> TransportFuture {
        let (shard, open) = match &*self.shards {
            [only] => (only, None),
            shards => {
                let least = shards.iter().min_by_key(|shard| shard.open.load(Ordering::Relaxed));
                let shard = least.unwrap_or(&shards[0]);
                shard.open.fetch_add(1, Ordering::Relaxed);
                (shard, Some(Open(Arc::clone(&shard.open))))
            }
        };
        TransportFuture { answer: shard.client.request(request), open }
    }
}

/// Counts a call under way.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The answer of a [`Transport`] to come.
    pub struct TransportFuture {
        #[pin]
        answer: ResponseFuture,
        open: Option<Open>,
    }
}

impl Future for TransportFuture {
    type Output = Result<Response<TransportBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(cx))?;
        let open = this.open.take();
        Poll::Ready(Ok(response.map(|body| TransportBody { body, _open: open })))
    }
}

/// The body of a provider's answer.
#[derive(Debug)]
pub struct TransportBody {
    body: Incoming,
    _open: Option<Open>,
}

impl HttpBody for TransportBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
