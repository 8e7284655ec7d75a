//! What those who run the gateway ask it, at LiteLLM's paths and with its JSON.
//!
//! | path | answer |
//! | --- | --- |
//! | `POST /config/reload` | the configuration is [read again](crate::reload): what is different, or what is wrong |
//! | `GET /cache/ping` | whether the cache is there, and what it holds |
//! | `POST /cache/delete` | forgets the answers under `{"keys": […]}`, which are what the header `x-litellm-cache-key` tells |
//! | `POST /cache/flushall` | forgets all answers |
//! | `GET /health` | [how the deployments are](super::endpoints) |
//! | `GET /router/settings` | how calls are routed, tried again and handed on |
//!
//! They want the master key, where there is one: behind [`auth`](super::auth), and asked again here, for a caller that it knows may
//! be somebody else. Without a cache the paths are there, too, and say that there is none.

use std::sync::{Arc, Weak};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use serde_json::{Map, Value, json};
use tower_layer::Layer;
use ziggurat_core::{Caller, Error, ErrorKind};
use ziggurat_http::refuse;
use ziggurat_layers::cache::{Caches, Key};
use ziggurat_layers::route::Watch;
use ziggurat_store::redis::SharedCoolDowns;

use super::aside::{self, Aside, json_response};
use super::auth::MASTER;
use super::{endpoints, reload};
use crate::config::{Config, FallbackRule, Reference};
use crate::registries::Registries;
use crate::reload::Reload;

const PING: &str = "/cache/ping";
const DELETE: &str = "/cache/delete";
const FLUSH: &str = "/cache/flushall";
const HEALTH: &str = endpoints::PATH;
const ROUTER: &str = "/router/settings";

/// The longest list of keys to forget, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// Makes an [`Admin`].
#[derive(Clone, Debug)]
pub struct AdminLayer {
    state: Arc<Known>,
}

/// Answers questions of those who run the gateway, and hands on everything else.
pub type Admin<S> = Aside<S>;

#[derive(Clone, Debug)]
struct Known {
    config: Arc<Config>,
    registries: Registries,
    reload: Option<Weak<Reload>>,
    caches: Option<Arc<Caches>>,
    /// Shared as long as the gateway is served.
    _sharing: Option<Arc<SharedCoolDowns>>,
    /// The same of health checks.
    _watch: Option<Arc<Watch>>,
}

// === impl AdminLayer ===

impl AdminLayer {
    /// Answers for a gateway of this configuration, with these books, and these answers in its cache.
    #[must_use]
    pub fn new(config: Arc<Config>, registries: Registries, caches: Option<Arc<Caches>>) -> Self {
        let known =
            Known { config, registries, caches, reload: None, _sharing: None, _watch: None };
        Self { state: Arc::new(known) }
    }

    /// Answers for a gateway that shares cool-downs, which lasts as long as it is asked.
    pub(crate) fn sharing(self, cool_downs: Option<Arc<SharedCoolDowns>>) -> Self {
        let state = Known { _sharing: cool_downs, ..Known::clone(&self.state) };
        Self { state: Arc::new(state) }
    }

    /// Answers for a gateway that checks its deployments, which lasts as long as it is asked.
    pub(crate) fn watching(self, watch: Option<Watch>) -> Self {
        let state = Known { _watch: watch.map(Arc::new), ..Known::clone(&self.state) };
        Self { state: Arc::new(state) }
    }

    /// Answers for a gateway whose configuration can be read again.
    pub(crate) fn reloading(self, reload: Weak<Reload>) -> Self {
        let state = Known { reload: Some(reload), ..Known::clone(&self.state) };
        Self { state: Arc::new(state) }
    }
}

impl<S> Layer<S> for AdminLayer {
    type Service = Admin<S>;

    fn layer(&self, inner: S) -> Admin<S> {
        Aside::new(inner, router(Arc::clone(&self.state)), serves)
    }
}

fn serves(path: &str) -> bool {
    [PING, DELETE, FLUSH, HEALTH, ROUTER, reload::PATH].contains(&path)
}

fn router(state: Arc<Known>) -> Router {
    Router::new()
        .route(PING, get(ping).fallback(only_get))
        .route(HEALTH, get(health).fallback(only_get))
        .route(ROUTER, get(router_settings).fallback(only_get))
        .route(reload::PATH, post(reload_configuration).fallback(reload::only_post))
        .route(DELETE, post(delete).fallback(only_post))
        .route(FLUSH, post(flush).fallback(only_post))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard))
        .with_state(state)
}

/// Lets in the master, and everybody where there is none.
async fn guard(
    State(known): State<Arc<Known>>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let caller = request.extensions().get::<Caller>();
    let is_master = caller.is_some_and(|caller| caller.key() == Some(MASTER));
    if known.config.general.master_key.is_some() && !is_master {
        let message = "this path is for the master key only";
        let error = Error::new(ErrorKind::Permission, message);
        return refuse(request.uri(), request.headers(), &error).map(Body::new);
    }
    let time = known.config.ziggurat.limits.body_read_timeout;
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    // A body that never comes holds nobody up.
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let error = Error::new(ErrorKind::RequestTimeout, "the body did not come in time");
            refuse(&uri, &headers, &error).map(Body::new)
        }
    }
}

// === the configuration ===

async fn reload_configuration(
    State(known): State<Arc<Known>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    reload::reload(known.reload.clone(), uri, headers).await
}

// === the cache ===

async fn ping(State(known): State<Arc<Known>>) -> Response<Body> {
    let Some(caches) = &known.caches else { return failed("cache_ping_error", NONE) };
    if let Err(error) = caches.ping().await {
        return failed("cache_ping_error", &error.to_string());
    }
    let stats = caches.stats();
    let redis = known.config.litellm.cache.as_ref().is_some_and(|cache| cache.redis.is_some());
    let body = json!({
        "status": "healthy",
        "cache_type": if redis { "redis" } else { "local" },
        "ping_response": true,
        "hits": stats.hits,
        "shared": stats.shared,
        "misses": stats.misses,
        "stored": stats.stored,
        "store_failures": stats.store_failures,
        "entries_in_memory": stats.entries,
        "bytes_in_memory": stats.bytes,
    });
    json_response(StatusCode::OK, &body)
}

async fn delete(State(known): State<Arc<Known>>, body: Bytes) -> Response<Body> {
    let Some(caches) = &known.caches else { return failed("cache_error", NONE) };
    let keys = match keys(&body) {
        Ok(keys) => keys,
        Err(wrong) => return error(StatusCode::BAD_REQUEST, "invalid_request_error", wrong),
    };
    match caches.delete(&keys).await {
        Ok(deleted) => {
            json_response(StatusCode::OK, &json!({ "status": "success", "deleted": deleted }))
        }
        Err(error) => failed("cache_error", &error.to_string()),
    }
}

async fn flush(State(known): State<Arc<Known>>) -> Response<Body> {
    let Some(caches) = &known.caches else { return failed("cache_error", NONE) };
    match caches.clear().await {
        Ok(()) => json_response(StatusCode::OK, &json!({ "status": "success" })),
        Err(error) => failed("cache_error", &error.to_string()),
    }
}

const NONE: &str = "there is no cache: `litellm_settings.cache` is not true";

/// The keys in `{"keys": […]}`.
fn keys(body: &[u8]) -> Result<Vec<Key>, &'static str> {
    const WHAT: &str = "the body must be an object with `keys`, a list of cache keys of 64 \
                        hexadecimal digits each";
    let body: Value = serde_json::from_slice(body).map_err(|_| WHAT)?;
    let keys = body.get("keys").and_then(Value::as_array).ok_or(WHAT)?;
    let key = |key: &Value| key.as_str().and_then(|key| key.parse().ok()).ok_or(WHAT);
    keys.iter().map(key).collect()
}

// === the deployments ===

async fn health(State(known): State<Arc<Known>>, uri: Uri) -> Response<Body> {
    endpoints::answer(&known.config, &known.registries, &uri)
}

// === the router ===

async fn router_settings(State(known): State<Arc<Known>>) -> Response<Body> {
    let current = current(&known.config);
    let fields: Vec<Value> = current
        .iter()
        .map(|(name, value)| json!({ "field_name": name, "field_value": value }))
        .collect();
    json_response(StatusCode::OK, &json!({ "fields": fields, "current_values": current }))
}

fn current(config: &Config) -> Map<String, Value> {
    let router = &config.router;
    let lists = config.fallbacks();
    let aliases = router.aliases.iter().map(|alias| {
        let value = json!({ "model": alias.model.name, "hidden": alias.hidden });
        (alias.name.clone(), value)
    });
    let mut current = Map::new();
    for (name, value) in [
        ("routing_strategy", json!(router.strategy.name())),
        ("num_retries", json!(config.retries(None))),
        ("max_fallbacks", json!(router.max_fallbacks.unwrap_or(5))),
        ("timeout", json!(router.timeout.map(|time| time.as_secs_f64()))),
        ("stream_timeout", json!(router.stream_timeout.map(|time| time.as_secs_f64()))),
        ("allowed_fails", json!(router.allowed_fails.or(config.litellm.allowed_fails))),
        ("cooldown_time", json!(router.cooldown_time.map(|time| time.as_secs_f64()))),
        ("disable_cooldowns", json!(router.disable_cooldowns)),
        ("fallbacks", rules(lists.general.as_deref())),
        ("default_fallbacks", json!(lists.default.as_deref().map(names))),
        ("context_window_fallbacks", rules(lists.context_window.as_deref())),
        ("content_policy_fallbacks", rules(lists.content_policy.as_deref())),
        ("model_group_alias", Value::Object(aliases.collect())),
        ("enable_pre_call_checks", json!(router.pre_call_checks)),
        ("enable_tag_filtering", json!(router.tag_filtering)),
        ("tag_filtering_match_any", json!(router.tags_match_any.unwrap_or(true))),
    ] {
        current.insert(name.to_owned(), value);
    }
    current
}

fn names(references: &[Reference]) -> Vec<&str> {
    references.iter().map(|reference| reference.name.as_str()).collect()
}

/// The lists as LiteLLM writes them.
fn rules(rules: Option<&[FallbackRule]>) -> Value {
    let rule = |rule: &FallbackRule| {
        let list = json!(names(&rule.models));
        Value::Object([(rule.of.name.clone(), list)].into_iter().collect())
    };
    Value::Array(rules.unwrap_or_default().iter().map(rule).collect())
}

// === answers ===

fn failed(kind: &str, message: &str) -> Response<Body> {
    error(StatusCode::SERVICE_UNAVAILABLE, kind, message)
}

/// LiteLLM's own kinds of errors are not of any dialect.
fn error(status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    let code = status.as_str();
    let error = json!({ "message": message, "type": kind, "param": null, "code": code });
    json_response(status, &json!({ "error": error }))
}

async fn only_get(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    aside::wrong_method(&method, &uri, &headers, "GET, HEAD")
}

async fn only_post(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    aside::wrong_method(&method, &uri, &headers, "POST")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use tower_service::Service;

    use super::*;
    use crate::config;

    async fn ask(text: &str, caches: bool, request: Request<Body>) -> (u16, Value) {
        let (config, _) = config::parse(text.as_bytes(), "test", &HashMap::new()).unwrap();
        let caches = caches.then(|| Arc::new(Caches::new().local(1 << 20)));
        let inner = tower::service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(Response::builder().status(418).body(Body::empty()).unwrap())
        });
        let mut service = AdminLayer::new(Arc::new(config), Registries::new(), caches).layer(inner);
        let response = service.call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn request(method: &str, path: &str, body: &str) -> Request<Body> {
        Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap()
    }

    #[tokio::test]
    async fn the_cache_is_asked_and_emptied() {
        let (status, body) = ask("{}", true, request("GET", PING, "")).await;
        assert_eq!(
            (status, &body["status"], &body["cache_type"]),
            (200, &json!("healthy"), &json!("local"))
        );
        assert_eq!(ask("{}", true, request("POST", FLUSH, "")).await.1["status"], "success");
        let keys = json!({ "keys": ["00".repeat(32)] }).to_string();
        let (status, body) = ask("{}", true, request("POST", DELETE, &keys)).await;
        assert_eq!((status, &body["deleted"]), (200, &json!(0)));
        for wrong in ["", "{}", r#"{"keys": "a"}"#, r#"{"keys": ["a"]}"#, "[]"] {
            let (status, body) = ask("{}", true, request("POST", DELETE, wrong)).await;
            assert_eq!(status, 400, "{wrong}");
            assert!(body["error"]["message"].as_str().unwrap().contains("`keys`"));
        }
    }

    #[tokio::test]
    async fn without_a_cache_it_says_so() {
        for (method, path) in [("GET", PING), ("POST", DELETE), ("POST", FLUSH)] {
            let (status, body) = ask("{}", false, request(method, path, "{}")).await;
            assert_eq!(status, 503);
            assert!(body["error"]["message"].as_str().unwrap().contains("litellm_settings.cache"));
        }
    }

    #[tokio::test]
    async fn only_the_master_is_let_in() {
        let text = "general_settings: {master_key: sk-1}";
        for (method, path) in [
            ("GET", PING),
            ("POST", DELETE),
            ("POST", FLUSH),
            ("GET", ROUTER),
            ("GET", HEALTH),
            ("POST", reload::PATH),
        ] {
            let mut asked = request(method, path, "{}");
            assert_eq!(ask(text, true, request(method, path, "{}")).await.0, 403);
            asked.extensions_mut().insert(Caller::new("somebody"));
            assert_eq!(ask(text, true, asked).await.0, 403);
        }
        let mut asked = request("GET", PING, "");
        asked.extensions_mut().insert(Caller::new(MASTER));
        assert_eq!(ask(text, true, asked).await.0, 200);
    }

    #[tokio::test]
    async fn the_settings_of_the_router_are_told() {
        let text = "router_settings: {routing_strategy: least-busy, fallbacks: [{a: [b]}]}";
        let (status, body) = ask(text, false, request("GET", ROUTER, "")).await;
        let current = &body["current_values"];
        assert_eq!((status, &current["routing_strategy"]), (200, &json!("least-busy")));
        assert_eq!(current["fallbacks"], json!([{"a": ["b"]}]));
        assert_eq!(current["num_retries"], 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for() {
        struct Never;
        impl http_body::Body for Never {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
                std::task::Poll::Pending
            }
        }
        let body = Body::new(Never);
        let request = Request::builder().method("POST").uri(DELETE).body(body).unwrap();
        assert_eq!(ask("{}", true, request).await.0, 408);
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_not_its_business() {
        for path in ["/v1/models", "/cache", "//cache/ping", "/cache/ping/", "/x/cache/flushall"] {
            assert_eq!(ask("{}", true, request("POST", path, "")).await.0, 418, "{path}");
        }
        assert_eq!(ask("{}", true, request("GET", FLUSH, "")).await.0, 405);
        assert_eq!(ask("{}", true, request("POST", PING, "")).await.0, 405);
    }
}
