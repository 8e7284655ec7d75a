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

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;

use super::aside::{self, Aside, json_response, response};

const LIVE: [&str; 2] = ["/health/liveliness", "/health/liveness"];
const READY: &str = "/health/readiness";
const ROOT: &str = "/";

/// Makes a [`Health`].
#[derive(Clone, Debug)]
pub struct HealthLayer {
    stopping: CancellationToken,
}

/// Answers questions about health, and hands on everything else.
pub type Health<S> = Aside<S>;

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
        Aside::new(inner, router(self.stopping.clone()), serves)
    }
}

fn serves(path: &str) -> bool {
    path == ROOT || path == READY || LIVE.contains(&path)
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
    aside::wrong_method(&method, &uri, &headers, "GET, HEAD")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Request;
    use http_body_util::BodyExt;
    use tower_service::Service;

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
