//! The gateway on a loopback port, between two fake providers and a client.

use std::io;
use std::net::SocketAddr;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use ziggurat::prelude::*;
use ziggurat::{Body, Str};
use ziggurat_testkit::{FakeProvider, Script};

struct Gateway {
    anthropic: FakeProvider,
    openai: FakeProvider,
    address: SocketAddr,
    client: Transport,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Gateway {
    async fn start() -> Self {
        let anthropic = FakeProvider::anthropic().spawn().await;
        let openai = FakeProvider::openai().spawn().await;
        let claude = Deployment::new("claude", ANTHROPIC, anthropic.base_url().parse().unwrap())
            .key(Secret::new("sk-ant-fake"))
            .model("claude-sonnet-4-6");
        let gpt = Deployment::new("gpt", OPENAI, openai.base_url().parse().unwrap())
            .key(Secret::new("sk-fake"))
            .model("gpt-4.1");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let models = [("sonnet", claude), ("gpt", gpt)];
        let serving = tokio::spawn(crate::app(listener, models, stopped));
        Self { anthropic, openai, address, client: Transport::new(), stop, serving }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.client.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, String) {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01");
        let body = Str::from(body.to_string()).into_bytes();
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn json(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let (status, body) = self.post(path, body).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

fn hello(model: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]})
}

fn streamed(model: &str) -> Value {
    let mut body = hello(model);
    body["stream"] = true.into();
    body
}

#[tokio::test]
async fn either_vendors_clients_may_ask_for_either_model() {
    let gateway = Gateway::start().await;
    for model in ["sonnet", "gpt"] {
        let (status, answer) = gateway.json("/v1/chat/completions", hello(model)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["choices"][0]["message"]["content"], "You said: Hello!");

        let (status, answer) = gateway.json("/v1/messages", hello(model)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["content"][0]["text"], "You said: Hello!");

        let (_, answer) = gateway.post("/v1/chat/completions", streamed(model)).await;
        assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
        let (_, answer) = gateway.post("/v1/messages", streamed(model)).await;
        assert!(answer.contains("event: message_stop"), "{answer}");
    }
    assert_eq!(gateway.anthropic.last_request().json()["model"], "claude-sonnet-4-6");
    assert_eq!(gateway.anthropic.request_count(), 4);
    assert_eq!(gateway.openai.last_request().json()["model"], "gpt-4.1");
    assert_eq!(gateway.openai.request_count(), 4);
}

#[tokio::test]
async fn a_provider_that_fails_in_its_first_event_is_an_error_with_a_status() {
    let gateway = Gateway::start().await;
    gateway.anthropic.script(Script::behave().error_event_after(1));
    let (status, answer) = gateway.json("/v1/chat/completions", streamed("sonnet")).await;
    assert!(status.is_server_error(), "{status}");
    assert!(answer["error"]["message"].is_string(), "{answer}");
}

#[tokio::test]
async fn models_are_listed_and_what_is_not_there_is_said_to_be_missing() {
    let gateway = Gateway::start().await;
    let get = |path: &str| {
        Request::get(format!("http://{}{path}", gateway.address)).body(Body::empty()).unwrap()
    };
    let (status, list) = gateway.send(get("/v1/models")).await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(status, StatusCode::OK);
    let names = [&list["data"][0]["id"], &list["data"][1]["id"]];
    assert_eq!(names, ["gpt", "sonnet"]);
    assert_eq!(gateway.send(get("/v1/models/gpt")).await.0, StatusCode::OK);

    let (status, answer) = gateway.json("/v1/chat/completions", hello("opus")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(answer["error"]["message"], "there is no model `opus`");
}

#[tokio::test]
async fn a_server_that_is_stopped_comes_to_its_end() {
    let gateway = Gateway::start().await;
    gateway.json("/v1/chat/completions", hello("gpt")).await;
    gateway.stop.send(()).unwrap();
    gateway.serving.await.unwrap().unwrap();
}
