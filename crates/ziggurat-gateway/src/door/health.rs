//! Whether the gateway is there: for load balancers, orchestrators and the curious.
//!
//! These paths are answered before a key is asked for and before admission, so that a full gateway
//! is not taken for a dead one:
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /health/liveliness`, `/health/liveness` | `"I'm alive!"`, as LiteLLM says |
//! | `GET /health/readiness` | a JSON object; 503 once shutting down has begun |
//! | `GET /` | what this is |

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as HttpBody;
use http_body_util::Either;
use pin_project_lite::pin_project;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{BoxError, Error, ErrorKind};
use ziggurat_http::refuse;

const LIVE: [&str; 2] = ["/health/liveliness", "/health/liveness"];
const READY: &str = "/health/readiness";
const ROOT: &str = "/";

/// Makes a [`Health`].
#[derive(Clone, Debug)]
pub struct HealthLayer {
    stopping: CancellationToken,
}

/// Answers questions about health, and hands on everything else.
#[derive(Clone, Debug)]
pub struct Health<S> {
    inner: S,
    router: Router,
}

/// The paths of the [module](self), as a router of their own.
pub fn router(stopping: CancellationToken) -> Router {
    let alive = || async { json_response(StatusCode::OK, &json!("I'm alive!")) };
    Router::new()
        .route(LIVE[0], get(alive))
        .route(LIVE[1], get(alive))
        .route(READY, get(readiness))
        .route(ROOT, get(root))
        .method_not_allowed_fallback(wrong_method)
        .with_state(stopping)
}

impl HealthLayer {
    /// Says that the gateway is ready until `stopping` is cancelled.
    #[must_use]
    pub fn new(stopping: CancellationToken) -> Self {
        Self { stopping }
    }
}

impl<S> Layer<S> for HealthLayer {
    type Service = Health<S>;

    fn layer(&self, inner: S) -> Health<S> {
        Health { inner, router: router(self.stopping.clone()) }
    }
}

// === impl Health ===

impl<S, B, RB> Service<Request<B>> for Health<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = Infallible>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Either<Body, RB>>;
    type Error = Infallible;
    type Future = HealthFuture<<Router as Service<Request<B>>>::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The router is always ready.
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        if path == ROOT || path == READY || LIVE.contains(&path) {
            HealthFuture { asked: Asked::Health { future: self.router.call(request) } }
        } else {
            HealthFuture { asked: Asked::Behind { future: self.inner.call(request) } }
        }
    }
}

pin_project! {
    /// The answer to come.
    pub struct HealthFuture<H, F> {
        #[pin]
        asked: Asked<H, F>,
    }
}

pin_project! {
    #[project = AskedProjection]
    enum Asked<H, F> {
        // It was a question about health.
        Health {
            #[pin]
            future: H,
        },
        // It was anything else.
        Behind {
            #[pin]
            future: F,
        },
    }
}

impl<H, F, B> Future for HealthFuture<H, F>
where
    H: Future<Output = Result<Response<Body>, Infallible>>,
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Either<Body, B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project().asked.project() {
            AskedProjection::Health { future } => ready!(future.poll(cx))?.map(Either::Left),
            AskedProjection::Behind { future } => ready!(future.poll(cx))?.map(Either::Right),
        }))
    }
}

// === the answers ===

async fn readiness(State(stopping): State<CancellationToken>) -> Response<Body> {
    let (status, word) = if stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
    } else {
        (StatusCode::OK, "healthy")
    };
    // LiteLLM's keys; there is neither a database nor a cache to be connected to.
    let body = json!({
        "status": word,
        "db": "Not connected",
        "cache": null,
        "version": env!("CARGO_PKG_VERSION"),
    });
    json_response(status, &body)
}

async fn root() -> Response<Body> {
    let text = concat!(
        "Ziggurat ",
        env!("CARGO_PKG_VERSION"),
        ", an LLM gateway\n\nPOST /v1/chat/completions\nPOST /v1/messages\nGET  /v1/models\n\
         GET  /health/readiness\n",
    );
    response(StatusCode::OK, "text/plain; charset=utf-8", text)
}

async fn wrong_method(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let message = format!("this path takes GET, HEAD, not {method}");
    let error = Error::new(ErrorKind::MethodNotAllowed, message);
    let mut response = refuse(&uri, &headers, &error).map(Body::new);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    response(status, "application/json", body.to_string())
}

fn response(
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn ask(stopping: &CancellationToken, method: Method, path: &str) -> (u16, String) {
        let inner = tower::service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(Response::builder().status(418).body(Body::empty()).unwrap())
        });
        let mut service = HealthLayer::new(stopping.clone()).layer(inner);
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = service.call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_says_that_it_is_there_in_litellms_words() {
        let token = CancellationToken::new();
        for path in ["/health/liveliness", "/health/liveness"] {
            assert_eq!(ask(&token, Method::GET, path).await, (200, r#""I'm alive!""#.to_owned()));
        }
        let (status, body) = ask(&token, Method::GET, "/health/readiness").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["status"].as_str()), (200, Some("healthy")));
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    }

    #[tokio::test]
    async fn it_is_not_ready_while_it_stops() {
        let token = CancellationToken::new();
        token.cancel();
        let (status, body) = ask(&token, Method::GET, "/health/readiness").await;
        assert_eq!(status, 503);
        assert!(body.contains("shutting down"), "{body}");
        assert_eq!(ask(&token, Method::GET, "/health/liveness").await.0, 200);
    }

    #[tokio::test]
    async fn the_root_tells_what_this_is() {
        let token = CancellationToken::new();
        let (status, body) = ask(&token, Method::GET, "/").await;
        assert_eq!(status, 200);
        assert!(body.starts_with("Ziggurat "), "{body}");
        assert_eq!(ask(&token, Method::HEAD, "/").await, (200, String::new()));
    }

    #[tokio::test]
    async fn other_paths_are_not_its_business() {
        let token = CancellationToken::new();
        for path in ["/v1/models", "/health", "//", "/health/liveness/x"] {
            assert_eq!(ask(&token, Method::GET, path).await.0, 418, "{path}");
        }
        let (status, body) = ask(&token, Method::POST, "/health/liveness").await;
        assert_eq!(status, 405);
        assert!(body.contains("GET, HEAD"), "{body}");
    }
}
