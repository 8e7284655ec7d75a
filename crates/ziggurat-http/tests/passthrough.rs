//! Calls that leave in the dialect they came in: bytes in are bytes out, and streams tell the truth.

mod support;

use std::time::Duration;

use http_body_util::BodyExt;
use support::{Answer, Gateway, HELLO_STREAMED, Ledger, openai, post, stack};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Body, End, ErrorKind};
use ziggurat_dialects::OPENAI;
use ziggurat_http::{FrontDoorLayer, TranslateLayer, Transport};
use ziggurat_testkit::{After, FakeProvider, Script};

fn event(content: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4.1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

fn answer_events() -> Vec<String> {
    let mut events: Vec<String> = ["Hel", "lo ", "wörld", " and more"].map(event).to_vec();
    events.push(event("").replace("\"finish_reason\":null", "\"finish_reason\":\"stop\""));
    events.push("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4.1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}\n\n".into());
    events.push("data: [DONE]\n\n".into());
    events
}

#[tokio::test]
async fn a_parameter_invented_today_reaches_the_provider_untouched() {
    let provider = FakeProvider::bare().spawn().await;
    let body =
        r#"{"id":"chatcmpl-9","object":"chat.completion","choices":[],"new_member" : [1, 2]}"#;
    provider.always(Script::reply(200, &[("content-type", "application/json")], body));
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let sent = r#"{ "model" : "asked", "x_new" : {"deep": [1.50, 12345678901234567890]}, "messages":[{"role":"user","content":"h\u00e9"}] }"#;
    let answer = gateway.post("/v1/chat/completions", sent).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), body);
    let received = provider.last_request();
    assert_eq!(received.body, sent.replace("\"asked\"", "\"gpt-4.1\"").as_bytes());
    assert_eq!(received.header("authorization"), Some("Bearer sk-provider"));
    assert_eq!(received.path, "/chat/completions");
}

#[tokio::test]
async fn neither_the_callers_credentials_nor_its_cookies_travel() {
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let mut request =
        post("/v1/chat/completions", support::HELLO.replace(",\"x_new_today\":{\"a\":1}", ""));
    for (name, value) in [
        ("authorization", "Bearer sk-caller"),
        ("x-api-key", "sk-caller"),
        ("cookie", "session=1"),
        ("accept-encoding", "gzip"),
        ("openai-organization", "org-1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = Answer::of(gateway.send(request).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = provider.last_request();
    assert!(!format!("{:?}", received.headers).contains("sk-caller"));
    assert_eq!(received.header("cookie"), None);
    assert_eq!(received.header("accept-encoding"), None);
    assert_eq!(received.header("openai-organization"), Some("org-1"));
    assert!(received.header("traceparent").is_some());
}

#[tokio::test]
async fn a_stream_comes_back_as_the_bytes_it_was_however_it_was_chopped() {
    let provider = FakeProvider::bare().spawn().await;
    let sent = answer_events();
    let body = HELLO_STREAMED
        .replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    for pieces in [1, 2, 3, 7, 64, 4096] {
        let ledger = Ledger::default();
        let gateway = Gateway::over(ledger.over(stack(openai(&provider)))).await;
        provider.script(Script::sse(sent.clone()).split_every(pieces));
        let answer = gateway.post("/v1/chat/completions", body.clone()).await;
        assert_eq!(answer.text(), sent.concat(), "pieces of {pieces}");
        let outcome = ledger.outcome().await;
        assert!(outcome.is_success());
        assert_eq!(outcome.tokens(), 12);
    }
}

#[tokio::test]
async fn a_usage_event_that_only_we_asked_for_is_withheld_and_booked() {
    let provider = FakeProvider::bare().spawn().await;
    let mut sent = answer_events();
    let ledger = Ledger::default();
    let gateway = Gateway::over(ledger.over(stack(openai(&provider)))).await;
    provider.script(Script::sse(sent.clone()));
    let answer = gateway.post("/v1/chat/completions", HELLO_STREAMED).await;
    sent.remove(5);
    assert_eq!(answer.text(), sent.concat());
    assert_eq!(ledger.outcome().await.tokens(), 12);
    let asked = provider.last_request().json();
    assert_eq!(asked["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn a_cut_stream_is_an_error_and_never_a_clean_end() {
    let provider = FakeProvider::bare().spawn().await;
    for script in [
        Script::sse(answer_events()).cut_after(After::Events(2)),
        Script::sse(answer_events()).cut_after(After::Bytes(300)),
        Script::sse(answer_events()).reset_after(After::Events(2)),
    ] {
        let ledger = Ledger::default();
        let gateway = Gateway::over(ledger.over(stack(openai(&provider)))).await;
        provider.script(script);
        let answer = gateway.post("/v1/chat/completions", HELLO_STREAMED).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("[DONE]"), "{}", answer.text());
        let last = answer.text().trim_end().rsplit("\n\n").next().unwrap();
        let last: serde_json::Value =
            serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(last["error"]["type"], "server_error");
        match ledger.end().await {
            End::Failure(error) => assert_eq!(error.kind(), ErrorKind::BadUpstream),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_provider_streaming_or_not() {
    let provider = FakeProvider::bare().spawn().await;
    let ledger = Ledger::default();
    let gateway = Gateway::over(ledger.over(stack(openai(&provider)))).await;
    provider.script(Script::sse(answer_events()).stall_after(2));
    let mut response = gateway.stream("/v1/chat/completions", HELLO_STREAMED).await;
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert!(first.is_data());
    drop(response);
    tokio::time::timeout(Duration::from_secs(5), provider.wait_disconnect()).await.unwrap();
    assert!(matches!(ledger.end().await, End::Cancelled));

    let ledger = Ledger::default();
    let gateway = Gateway::over(ledger.over(stack(openai(&provider)))).await;
    let before = provider.disconnects();
    let count = provider.request_count();
    provider.script(Script::never_answer());
    let asking = tokio::spawn(async move {
        gateway.post("/v1/chat/completions", support::HELLO).await;
    });
    provider.wait_requests(count + 1).await;
    asking.abort();
    let left = async {
        while provider.disconnects() == before {
            provider.wait_disconnect().await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), left).await.unwrap();
    assert!(matches!(ledger.end().await, End::Cancelled));
}

#[tokio::test]
async fn a_client_that_leaves_right_after_the_terminator_is_a_success() {
    let provider = FakeProvider::bare().spawn().await;
    let ledger = Ledger::default();
    let gateway = Gateway::over(ledger.over(stack(openai(&provider)))).await;
    provider.script(Script::sse(answer_events()).split_at([300, 600]));
    let mut response = gateway.stream("/v1/chat/completions", HELLO_STREAMED).await;
    let mut read = Vec::new();
    while !read.ends_with(b"[DONE]\n\n") {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    drop(response);
    assert!(ledger.outcome().await.is_success());
}

#[tokio::test]
async fn whole_answers_are_settled_with_and_without_a_length() {
    let provider = FakeProvider::bare().spawn().await;
    let body = r#"{"id":"c","object":"chat.completion","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
    let json = [("content-type", "application/json")];
    for script in [Script::reply(200, &json, body), Script::reply(200, &json, body).until_close()] {
        let ledger = Ledger::default();
        let gateway = Gateway::over(ledger.over(stack(openai(&provider)))).await;
        provider.script(script);
        let answer = gateway.post("/v1/chat/completions", support::HELLO).await;
        assert_eq!(answer.text(), body);
        assert_eq!(answer.header("content-length"), body.len().to_string());
        let outcome = ledger.outcome().await;
        assert!(outcome.is_success());
        assert_eq!(outcome.tokens(), 7);
    }
}

#[tokio::test]
async fn the_connection_serves_again_after_a_stream() {
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    for _ in 0..5 {
        let answer = gateway.post("/v1/chat/completions", HELLO_STREAMED).await;
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    assert_eq!(provider.connections(), 1);
}

#[tokio::test]
async fn errors_of_the_provider_come_as_the_bytes_it_sent() {
    let provider = FakeProvider::bare().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let said = r#"{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded","new":1}}"#;
    provider.script(Script::reply(
        429,
        &[("content-type", "application/json"), ("retry-after", "7"), ("x-request-id", "req_up")],
        said,
    ));
    let answer = gateway.post("/v1/chat/completions", support::HELLO).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.text(), said);
    assert_eq!(answer.header("retry-after"), "7");
    assert_eq!(answer.header("x-ziggurat-provider-request-id"), "req_up");
    assert_eq!(answer.header("x-ziggurat-deployment"), "gpt");

    // Our own credential is no matter of the caller's.
    provider.script(Script::reply(401, &[("content-type", "application/json")], r#"{"error":{"message":"Incorrect API key provided: sk-prov","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#));
    let answer = gateway.post("/v1/chat/completions", support::HELLO).await;
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains("sk-prov"));
}

#[tokio::test]
async fn providers_that_cannot_be_used_are_a_bad_gateway() {
    let provider = FakeProvider::bare().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let json = [("content-type", "application/json")];
    let whole = r#"{"id":"c","choices":[]}"#;
    for (name, script) in [
        ("html", Script::html_error(502)),
        ("html with 200", Script::reply(200, &[("content-type", "text/html")], "<html>hi</html>")),
        ("too short", Script::reply(200, &json, whole).lie_length(4000)),
        ("cut short", Script::reply(200, &json, whole).lie_length(10)),
        ("no http", Script::raw("what?\r\n\r\n")),
        ("reset", Script::reply(200, &json, whole).reset_after(After::Bytes(3))),
        ("empty", Script::reply(200, &json, "")),
        (
            "error in a 200",
            Script::reply(
                200,
                &json,
                r#"{"error":{"message":"no","type":"server_error","code":502}}"#,
            ),
        ),
    ] {
        provider.script(script);
        let answer = gateway.post("/v1/chat/completions", support::HELLO).await;
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        let error = answer.json();
        assert!(error["error"]["message"].is_string(), "{name}: {error}");
    }
    drop(provider);
    let answer = gateway.post("/v1/chat/completions", support::HELLO).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[tokio::test]
async fn with_both_ends_a_layer_goes_into_a_plain_proxy() {
    let provider = FakeProvider::bare().spawn().await;
    provider.always(Script::reply(
        200,
        &[("content-type", "application/json")],
        r#"{"id":"c","choices":[]}"#,
    ));
    let proxy = TranslateLayer::same().layer(Transport::new());
    let mut service = FrontDoorLayer::new().layer(proxy);
    let mut request = post("/v1/chat/completions", support::HELLO);
    *request.uri_mut() =
        format!("{}/v1/chat/completions?api-version=1", provider.url()).parse().unwrap();
    request.headers_mut().insert("authorization", "Bearer sk-own".parse().unwrap());
    request.headers_mut().insert("x-custom", "kept".parse().unwrap());
    let response = service.call(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response.into_body().collect().await.unwrap());
    let received = provider.last_request();
    assert_eq!(received.header("authorization"), Some("Bearer sk-own"));
    assert_eq!(received.header("x-custom"), Some("kept"));
    assert_eq!(received.body, support::HELLO.as_bytes());
}

#[tokio::test]
async fn an_edit_is_a_chain_of_slices_and_a_large_body_is_never_parsed() {
    let image = "iVBORw0KGgo".repeat(1 << 18);
    let body = format!(
        r#"{{"model":"asked","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
    );
    let sent = std::sync::Arc::new(std::sync::Mutex::new(None));
    let seen = sent.clone();
    let transport = Fn(move |request: http::Request<Body>| {
        *seen.lock().unwrap() = Some(request.into_body());
        http::Response::new(Body::from(bytes::Bytes::from_static(br#"{"id":"c","choices":[]}"#)))
    });
    let deployment = ziggurat_http::Deployment::new(
        "gpt",
        OPENAI,
        "https://api.example.test/v1".parse().unwrap(),
    )
    .model("gpt-4.1");
    let mut service = FrontDoorLayer::new().layer(TranslateLayer::new(deployment).layer(transport));
    let body = bytes::Bytes::from(body);
    let range = body.as_ptr_range();
    let response = service.call(post("/v1/chat/completions", body.clone())).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut out = sent.lock().unwrap().take().unwrap();
    let mut shared = 0;
    while let Some(frame) = out.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        if range.contains(&data.as_ptr()) {
            shared += data.len();
        }
    }
    assert!(shared > body.len() - 64, "{shared} of {}", body.len());
}

/// A function as a transport.
#[derive(Clone)]
struct Fn<F>(F);

impl<F> Service<http::Request<Body>> for Fn<F>
where
    F: FnMut(http::Request<Body>) -> http::Response<Body>,
{
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        std::future::ready(Ok((self.0)(request)))
    }
}
