//! A gateway of two layers on a loopback port, and a client for it.
// Not every test uses all of it, and helpers fail a test by panicking.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Body, Call, CallService, End, Error, Outcome, Reply, Secret, Settle, Ticket};
use ziggurat_dialects::{ANTHROPIC, OPENAI};
use ziggurat_http::{
    Deployment, FrontDoorLayer, ServeOptions, Translate, TranslateLayer, Transport, serve,
    transport::TransportBody,
};
use ziggurat_testkit::FakeProvider;

/// The deployment at a fake OpenAI.
pub fn openai(provider: &FakeProvider) -> Deployment {
    Deployment::new("gpt", OPENAI, provider.base_url().parse().unwrap())
        .key(Secret::new("sk-provider"))
        .model("gpt-4.1")
}

/// The deployment at a fake Anthropic.
pub fn anthropic(provider: &FakeProvider) -> Deployment {
    Deployment::new("claude", ANTHROPIC, provider.base_url().parse().unwrap())
        .key(Secret::new("sk-ant-provider"))
        .model("claude-sonnet-4-5")
}

/// Translate over the default transport.
pub fn stack(deployment: Deployment) -> Translate<Transport> {
    TranslateLayer::new(deployment).layer(Transport::new())
}

/// Writes down how calls end.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Book>);

#[derive(Debug, Default)]
struct Book(Mutex<Vec<Outcome>>, tokio::sync::Notify);

impl Settle for Book {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        self.0.lock().unwrap().push(outcome.clone());
        self.1.notify_waiters();
    }
}

impl Ledger {
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.0.0.lock().unwrap().clone()
    }

    /// The one outcome, once it is there.
    pub async fn outcome(&self) -> Outcome {
        let waiting = async {
            loop {
                let told = self.0.1.notified();
                if let [outcome] = &self.outcomes()[..] {
                    return outcome.clone();
                }
                told.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the call is settled")
    }

    pub async fn end(&self) -> End {
        self.outcome().await.end
    }

    pub fn over<S>(&self, inner: S) -> Noting<S> {
        Noting { inner, ledger: self.clone() }
    }
}

/// A layer that registers for the end of every call.
#[derive(Clone, Debug)]
pub struct Noting<S> {
    inner: S,
    ledger: Ledger,
}

impl<S: CallService> Service<Call> for Noting<S> {
    type Response = Reply;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> S::Future {
        call.register(self.ledger.0.clone(), Ticket::default()).unwrap();
        self.inner.call(call)
    }
}

/// A gateway that listens for as long as this value lives.
pub struct Gateway {
    pub address: std::net::SocketAddr,
    client: Transport,
    serving: AbortHandle,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Gateway {
    pub async fn over(service: impl CallService) -> Self {
        Self::with(service, FrontDoorLayer::new()).await
    }

    pub async fn with(service: impl CallService, layer: FrontDoorLayer) -> Self {
        Self::serve(service, layer, ServeOptions::default(), std::future::pending()).await
    }

    pub async fn serve(
        service: impl CallService,
        layer: FrontDoorLayer,
        options: ServeOptions,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = layer.layer(service);
        let serving = tokio::spawn(serve(listener, service, options, stop)).abort_handle();
        Self { address, client: Transport::new(), serving }
    }

    pub async fn send(&self, request: Request<Body>) -> Response<TransportBody> {
        let (mut parts, body) = request.into_parts();
        let uri = format!("http://{}{}", self.address, parts.uri);
        parts.uri = uri.parse().unwrap();
        self.client.clone().call(Request::from_parts(parts, body)).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        Answer::of(self.send(post(path, body)).await).await
    }

    pub async fn stream(&self, path: &str, body: impl Into<Bytes>) -> Response<TransportBody> {
        self.send(post(path, body)).await
    }
}

pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .header("anthropic-version", if path.contains("messages") { "2023-06-01" } else { "" })
        .body(Body::from(body.into()))
        .map(|mut request| {
            if !path.contains("messages") {
                request.headers_mut().remove("anthropic-version");
            }
            request
        })
        .unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub const HELLO: &str =
    r#"{"model":"asked","messages":[{"role":"user","content":"Hello!"}],"x_new_today":{"a":1}}"#;
pub const HELLO_STREAMED: &str = r#"{"model":"asked","stream":true,"messages":[{"role":"user","content":"Hello there, how are you?"}]}"#;
