//! The accept loop: TCP_NODELAY on every connection, bounds on heads, graceful shutdown.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use ziggurat_core::BoxError;

mod body;
mod head;

pub use body::RequestBody;
use head::HeadGuard;

/// Starts every HTTP/2 connection (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8; 12] = b"PRI * HTTP/2";

/// Bounds of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The largest head of a request, in bytes. A larger one is a 431. hyper's smallest is 8 KiB.
    pub max_header_bytes: usize,
    /// How many headers a request may have. More are a 431.
    pub max_headers: usize,
    /// How long a request's head may take once it has begun, and a new connection to begin one. Past it a head that had begun
    /// gets a 408, and the connection is closed.
    pub header_timeout: Duration,
    /// How long a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// How many connections may be open. More wait to be accepted.
    pub max_connections: usize,
    /// How long calls under way may go on after a shutdown has begun, before they are ended with an error.
    pub grace: Duration,
    /// Ends what is under way when the grace is over. The [front door](crate::FrontDoorLayer::shutdown) should know it.
    pub end: CancellationToken,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_header_bytes: 64 << 10,
            max_headers: 128,
            header_timeout: Duration::from_secs(30),
            // Above the 60 s of common load balancers, so that they close first.
            idle_timeout: Duration::from_secs(75),
            max_connections: 65_536,
            grace: Duration::from_secs(30),
            end: CancellationToken::new(),
        }
    }
}

/// Serves a service over HTTP/1.1 and HTTP/2 until `stop` is ready; then finishes what is under way, within the grace.
///
/// # Errors
///
/// When the listener fails for good. A connection that fails is that connection's own matter.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    options: ServeOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let stopping = CancellationToken::new();
    let options = std::sync::Arc::new(options);
    let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(options.max_connections));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accept = async {
            let slot = std::sync::Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accept => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_one_connections_matter(&error) => continue,
            Err(error) => {
                // Out of descriptors, most likely: closing connections will free some.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Without this a streamed frame waits up to 40 ms for the acknowledgement of the one before it.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let service = Handle(service.clone());
        let (options, watcher) = (options.clone(), graceful.watcher());
        let stopping = stopping.clone();
        tokio::spawn(async move {
            let began = tokio::time::timeout(options.header_timeout, speaks_http2(&stream));
            let http2 = tokio::select! {
                // Who has said nothing is not waited for.
                () = stopping.cancelled() => return,
                began = began => match began {
                    Ok(Ok(http2)) => http2,
                    Ok(Err(_)) | Err(_) => return,
                },
            };
            let ended = if http2 {
                let connection =
                    over_http2(&options).serve_connection(TokioIo::new(stream), service);
                watcher.watch(connection).await
            } else {
                let guarded =
                    HeadGuard::new(stream, options.max_header_bytes, options.header_timeout);
                let guarded = TokioIo::new(guarded);
                let connection = over_http1(&options).serve_connection(guarded, service);
                watcher.watch(connection).await
            };
            if let Err(error) = ended {
                tracing::debug!(error = %error, "a connection ended early");
            }
            drop(slot);
        });
    }
    stopping.cancel();
    drop(listener);
    let finished = graceful.shutdown();
    let mut finished = std::pin::pin!(finished);
    if tokio::time::timeout(options.grace, finished.as_mut()).await.is_err() {
        options.end.cancel();
        // The errors still have to go out.
        drop(tokio::time::timeout(Duration::from_secs(2), finished).await);
    }
    Ok(())
}

fn over_http1(options: &ServeOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .max_buf_size(options.max_header_bytes.max(8192))
        .max_headers(options.max_headers)
        // The head itself is timed by the guard: to hyper waiting for one and reading it are the same.
        .header_read_timeout(options.idle_timeout.max(options.header_timeout));
    builder
}

fn over_http2(options: &ServeOptions) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .adaptive_window(true);
    builder
}

/// Whether a connection begins as HTTP/2 does. What it says is looked at and left in the socket: reading it here would cost a
/// second buffer for as long as the connection lasts.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        if seen == 0 || start[..seen] != HTTP2_PREFACE[..seen] {
            return Ok(false);
        }
        if seen == start.len() {
            return Ok(true);
        }
        // A few bytes of the preface alone: the rest is on its way.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn is_one_connections_matter(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// A tower service as hyper calls it.
#[derive(Clone)]
struct Handle<S>(S);

impl<S, B> hyper::service::Service<Request<Incoming>> for Handle<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Ready {
            service: self.0.clone(),
            state: State::Waiting { request: Some(RequestBody::of(request)) },
        }
    }
}

pin_project_lite::pin_project! {
    /// Waits until the service is ready, then for its answer.
    struct Ready<S> where S: Service<Request<RequestBody>> {
        service: S,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Waiting { request: Option<Request<RequestBody>> },
        Asked { #[pin] future: F },
    }
}

impl<S> Future for Ready<S>
where
    S: Service<Request<RequestBody>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProjection::Asked { future } => return future.poll(cx),
                StateProjection::Waiting { request } => {
                    std::task::ready!(this.service.poll_ready(cx))?;
                    let Some(request) = request.take() else { return std::task::Poll::Pending };
                    this.service.call(request)
                }
            };
            this.state.set(State::Asked { future });
        }
    }
}
