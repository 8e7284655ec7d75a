//! A `reqwest::Client` as the transport.
// Helpers outside of test functions: they fail a test by panicking, too.
#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "reqwest", feature = "transport", feature = "serve"))]

mod support;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use support::{Answer, Gateway, HELLO_STREAMED, openai};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Body, BoxError};
use ziggurat_http::{TranslateLayer, transport::ReqwestTransport};
use ziggurat_testkit::FakeProvider;

fn transport() -> ReqwestTransport {
    // Several tests may try in one process; the first one installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap().into()
}

#[tokio::test]
async fn whole_answers_and_streams_come_through_a_client_of_reqwest() {
    let provider = FakeProvider::openai().spawn().await;
    let stack = TranslateLayer::new(openai(&provider)).layer(transport());
    let gateway = Gateway::over(stack).await;
    let whole = gateway
        .post(
            "/v1/chat/completions",
            r#"{"model":"asked","messages":[{"role":"user","content":"Hello!"}]}"#,
        )
        .await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "You said: Hello!");
    let request = provider.last_request();
    assert_eq!(request.header("authorization"), Some("Bearer sk-provider"));
    assert_eq!(request.header("content-length"), Some(&*request.body.len().to_string()));
    let streamed = Answer::of(gateway.stream("/v1/chat/completions", HELLO_STREAMED).await).await;
    assert!(streamed.text().ends_with("data: [DONE]\n\n"), "{}", streamed.text());
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_an_error() {
    let request = Request::get("http://127.0.0.1:1/").body(Body::empty()).unwrap();
    transport().call(request).await.unwrap_err();
}

/// A body that comes in two pieces.
struct Pieces(Vec<&'static str>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        let piece =
            self.0.pop().map(|piece| http_body::Frame::data(Bytes::from_static(piece.as_bytes())));
        Poll::Ready(piece.map(Ok))
    }
}

#[tokio::test]
async fn a_body_that_is_a_stream_is_sent_as_it_comes() {
    let provider = FakeProvider::openai().spawn().await;
    let body = [r#""messages":[{"role":"user","content":"Hi"}]}"#, r#"{"model":"gpt-4.1","#];
    let request = Request::post(format!("{}/chat/completions", provider.base_url()))
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-provider")
        .body(Body::stream(Pieces(body.to_vec())))
        .unwrap();
    let answer = transport().call(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&answer).contains("You said: Hi"));
    assert_eq!(provider.last_request().header("content-length"), None);
}
