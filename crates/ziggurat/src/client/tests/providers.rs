//! Where models are found, and clients over fake providers.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use tower_service::Service;
use ziggurat_core::{Body, BoxError, Call, ErrorKind, Origin, Secret};
use ziggurat_testkit::FakeProvider;

use crate::client::{Client, Providers};

#[test]
fn what_is_missing_is_said_before_anything_is_sent() {
    let providers = Providers::from_env().variables(|_| None);
    let error = providers.deployment("anthropic/claude-sonnet-4").unwrap_err();
    assert_eq!((error.kind(), error.origin()), (ErrorKind::Authentication, Origin::Gateway));
    assert!(error.message().contains("set ANTHROPIC_API_KEY"), "{error}");
    let error = providers.deployment("opnai/gpt-4.1").unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::NotFound, Some("model")));
    assert!(error.message().contains("did you mean `openai/gpt-4.1`?"), "{error}");
    assert!(providers.deployment("hosted_vllm/x").is_err(), "it has no address of its own");
    assert!(Providers::from_env().key("opnai", Secret::new("k")).is_err());
}

#[test]
fn a_model_is_looked_up_once_and_again_when_something_was_given() {
    let variable = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-env".to_owned());
    let providers = Providers::from_env().variables(variable);
    let found = providers.deployment("gpt-4.1").unwrap();
    assert!(found.price.is_some() && found.model.as_deref() == Some("gpt-4.1"));
    let twin = providers.clone();
    let moved = providers.base_url("openai", Uri::from_static("http://[::1]/v1")).unwrap();
    assert!(Arc::ptr_eq(&found, &twin.deployment("gpt-4.1").unwrap()));
    assert!(!Arc::ptr_eq(&found, &moved.deployment("gpt-4.1").unwrap()));
}

/// A transport that may be called once each time it was made ready.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
}

/// A clone of a service that is ready need not be.
impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        let body = Bytes::from_static(
            br#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#,
        );
        ready(Ok(Response::new(body.into())))
    }
}

#[tokio::test]
async fn the_transport_that_was_made_ready_is_the_one_that_is_called() {
    let providers = Providers::over(Strict::default()).key("openai", Secret::new("k")).unwrap();
    let client = Client::new(providers);
    for _ in 0..2 {
        let answer = client.ask(Call::chat("openai/gpt-4.1").user("Hi")).await.unwrap();
        assert_eq!(answer.text(), "ok");
    }
}

async fn at(provider: &FakeProvider, prefix: &str) -> Client {
    let base = provider.base_url().parse().unwrap();
    let providers = Providers::from_env().variables(|_| None);
    let providers = providers.key(prefix, Secret::new("sk-fake")).unwrap();
    Client::new(providers.base_url(prefix, base).unwrap())
}

#[tokio::test]
async fn a_model_is_asked_at_its_own_provider_in_its_own_dialect() {
    for (provider, prefix, model) in [
        (FakeProvider::openai().spawn().await, "openai", "gpt-4.1"),
        (FakeProvider::anthropic().spawn().await, "anthropic", "claude-sonnet-4-5"),
    ] {
        let client = at(&provider, prefix).await;
        let call = Call::chat(format!("{prefix}/{model}")).system("Be brief.").user("Hello there!");
        let answer = client.ask(call.clone()).await.unwrap();
        assert_eq!(answer.text(), "You said: Hello there!");
        assert_eq!(answer.head.deployment.as_deref(), Some(&*format!("{prefix}/{model}")));
        assert!(answer.usage.unwrap().total_input() > 0);
        assert_eq!(provider.last_request().json()["model"], model);

        let mut stream = client.stream(call.clone()).await.unwrap();
        let mut texts = Vec::new();
        while let Some(text) = stream.next_text().await.unwrap() {
            texts.push(text.to_string());
        }
        assert!(texts.len() > 1, "it came in pieces");
        assert_eq!(texts.concat(), "You said: Hello there!");
        assert_eq!(stream.usage().unwrap().total(), answer.usage.unwrap().total());

        let collected = client.ask(call.streamed()).await.unwrap();
        assert_eq!(collected.choices, answer.choices);
    }
}

#[tokio::test]
async fn a_providers_refusal_keeps_what_the_provider_said() {
    let provider = FakeProvider::openai().spawn().await;
    let client = at(&provider, "openai").await;
    let call = Call::chat("openai/gpt-4.1").user("[error:429:3]");
    let error = client.ask(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(error.deployment(), Some("openai/gpt-4.1"));
}
