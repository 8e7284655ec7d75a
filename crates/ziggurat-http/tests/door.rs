//! The front door: bad input, slow clients, clocks, and the end of the program.
// Helpers outside of test functions: they fail a test by panicking, too.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use support::{Answer, Gateway, HELLO, HELLO_STREAMED, Ledger, anthropic, openai, post, stack};
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Body, End, ErrorKind, Instant};
use ziggurat_http::{AdmissionLayer, FrontDoorLayer, ServeOptions};
use ziggurat_testkit::{FakeProvider, Script};

#[tokio::test]
async fn bad_bodies_get_a_400_that_says_what_is_wrong() {
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let deep = format!(r#"{{"model":"m","messages":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    for (body, word) in [
        (&b""[..], "empty"),
        (b"{\"model\":\"m\",\"messages\":[", "ends in the middle"),
        (b"[1,2]", "JSON object"),
        (b"hello", "JSON object"),
        (b"{\"model\":5,\"messages\":[]}", "`model`"),
        (b"{\"messages\":[]}", "`model` is missing"),
        (b"{\"model\":\"\",\"messages\":[]}", "`model`"),
        (b"{\"model\":\"m\",\"stream\":\"yes\"}", "`stream`"),
        (b"{\"model\":\"a\",\"model\":\"b\"}", "twice"),
        (b"{\"model\":\"\xff\"}", "UTF-8"),
        (deep.as_bytes(), "too deeply"),
    ] {
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let answer = gateway.post(path, Bytes::copy_from_slice(body)).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            let error = answer.json();
            let message = error["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(word), "{path}: {message}");
            assert_eq!(error["error"]["type"], "invalid_request_error");
            assert_eq!(error["type"] == "error", path == "/v1/messages", "{error}");
        }
    }
    assert_eq!(provider.request_count(), 0);
}

#[tokio::test]
async fn wrong_paths_and_methods_are_told_apart() {
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let answer = gateway.post("/v1/nowhere", "{}").await;
    assert_eq!(answer.status, 404);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("/v1/nowhere"));
    let mut request = post("/v1/messages", "");
    *request.method_mut() = http::Method::GET;
    let answer = Answer::of(gateway.send(request).await).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), "POST");
    assert_eq!(answer.json()["type"], "error");
}

#[tokio::test]
async fn a_body_past_the_limit_is_a_413_announced_or_not() {
    let provider = FakeProvider::openai().spawn().await;
    let layer = FrontDoorLayer::new().max_body(10_000);
    let gateway = Gateway::with(stack(openai(&provider)), layer).await;
    let large = vec![b' '; 20_000];
    let answer = gateway.post("/v1/chat/completions", large.clone()).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    let request = post("/v1/chat/completions", "")
        .map(|_| Body::stream(http_body_util::StreamBody::new(tokio_stream(large))));
    let answer = Answer::of(gateway.send(request).await).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
}

/// Reads as much as an answer with a length has.
fn read_answer(stream: &mut std::net::TcpStream) -> String {
    let mut answer = Vec::new();
    loop {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).unwrap();
        answer.extend_from_slice(&some[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            head.lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .is_some_and(|length| length.parse() == Ok(body.len()))
        });
        if whole || read == 0 {
            return text;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_leaves_the_connection_to_the_next_request() {
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let address = gateway.address;
    let talk = move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let large = 300_000;
        for round in 0..3 {
            // The refusal is there before the body is. The connection was closed then, and clients that had just chosen it for
            // their next request were told of a server that hung up.
            let head =
                format!("POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: {large}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let answer = read_answer(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 404"), "{round}: {answer}");
            stream.write_all(&vec![b'x'; large]).unwrap();
        }
        stream.write_all(b"GET /v1/messages HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        read_answer(&mut stream)
    };
    let answer = tokio::task::spawn_blocking(talk).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

fn tokio_stream(
    bytes: Vec<u8>,
) -> impl futures_core::Stream<Item = Result<http_body::Frame<Bytes>, std::io::Error>> + Send {
    let mut chunks: Vec<Bytes> = bytes.chunks(1000).map(Bytes::copy_from_slice).collect();
    Chunks(std::mem::take(&mut chunks))
}

struct Chunks(Vec<Bytes>);

impl futures_core::Stream for Chunks {
    type Item = Result<http_body::Frame<Bytes>, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop().map(|chunk| Ok(http_body::Frame::data(chunk))))
    }
}

/// Sends bytes as they are and reads until the connection ends.
fn raw(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is no matter.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_half_sent_requests_get_a_408_and_large_heads_a_431() {
    let provider = FakeProvider::openai().spawn().await;
    let mut options = ServeOptions::default();
    options.header_timeout = Duration::from_millis(200);
    options.max_header_bytes = 8192;
    let layer = FrontDoorLayer::new().body_timeout(Duration::from_millis(200));
    let gateway =
        Gateway::serve(stack(openai(&provider)), layer, options, std::future::pending()).await;
    let address = gateway.address;
    let ask = move |bytes: Vec<u8>| tokio::task::spawn_blocking(move || raw(address, &bytes));

    let half_body =
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"model\"";
    let answer = ask(half_body.to_vec()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"error\""), "{answer}");

    let half_head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n";
    let answer = ask(half_head.to_vec()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"error\""), "{answer}");

    let large = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-big: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let answer = ask(large.into_bytes()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(answer.contains("request_headers_too_large"), "{answer}");

    let answer = ask(b"what is this\r\n\r\n".to_vec()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\"error\""), "{answer}");
}

#[tokio::test]
async fn the_deadline_holds_before_and_within_the_answer() {
    let provider = FakeProvider::openai().spawn().await;
    let layer = FrontDoorLayer::new().deadline(Duration::from_millis(300));
    let ledger = Ledger::default();
    let gateway = Gateway::with(ledger.over(stack(openai(&provider))), layer.clone()).await;
    provider.script(Script::never_answer());
    let answer = gateway.post("/v1/chat/completions", HELLO).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(
        matches!(ledger.end().await, End::Failure(error) if error.kind() == ErrorKind::Timeout)
    );

    let ledger = Ledger::default();
    let gateway = Gateway::with(ledger.over(stack(openai(&provider))), layer).await;
    provider.script(Script::behave().stall_after(3));
    let answer = gateway.post("/v1/chat/completions", HELLO_STREAMED).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("deadline"), "{}", answer.text());
    assert!(!answer.text().contains("[DONE]"));
    assert!(
        matches!(ledger.end().await, End::Failure(error) if error.kind() == ErrorKind::Timeout)
    );
}

#[tokio::test]
async fn keepalives_go_out_while_a_model_thinks_and_then_failures_are_in_the_stream() {
    let openai_provider = FakeProvider::openai().spawn().await;
    let claude_provider = FakeProvider::anthropic().spawn().await;
    let layer = FrontDoorLayer::new().keepalive_after(Duration::from_millis(50));
    let gateway = Gateway::with(stack(openai(&openai_provider)), layer.clone()).await;
    openai_provider.script(Script::behave().delay_head(Duration::from_millis(400)));
    let answer = gateway.post("/v1/chat/completions", HELLO_STREAMED).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with(':'), "{}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());

    openai_provider.script(Script::error(500).delay_head(Duration::from_millis(200)));
    let answer = gateway.post("/v1/chat/completions", HELLO_STREAMED).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with(':'));
    assert!(answer.text().contains("\"error\""), "{}", answer.text());

    let gateway = Gateway::with(stack(anthropic(&claude_provider)), layer).await;
    claude_provider.script(Script::behave().delay_head(Duration::from_millis(200)));
    let body = HELLO_STREAMED.replace("\"stream\"", "\"max_tokens\":100,\"stream\"");
    let answer = gateway.post("/v1/messages", body).await;
    assert!(answer.text().starts_with("event: ping"), "{}", answer.text());
    assert!(answer.text().contains("message_stop"));
}

#[tokio::test]
async fn shutting_down_finishes_streams_within_the_grace_and_then_ends_them_with_an_error() {
    let provider = FakeProvider::openai().spawn().await;
    for (stalls, done) in [(false, true), (true, false)] {
        let end = CancellationToken::new();
        let stop = CancellationToken::new();
        let mut options = ServeOptions::default();
        options.grace = Duration::from_millis(700);
        options.end = end.clone();
        let layer = FrontDoorLayer::new().shutdown(end);
        let stopped = stop.clone();
        let gateway = Gateway::serve(stack(openai(&provider)), layer, options, async move {
            stopped.cancelled().await;
        })
        .await;
        let script = Script::behave().delay_between(Duration::from_millis(20));
        provider.script(if stalls { script.stall_after(3) } else { script });
        let mut response = gateway.stream("/v1/chat/completions", HELLO_STREAMED).await;
        let first = response.body_mut().frame().await.unwrap().unwrap();
        stop.cancel();
        let rest = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&rest).into_owned();
        assert!(first.is_data());
        assert_eq!(text.ends_with("data: [DONE]\n\n"), done, "{text}");
        assert_eq!(text.contains("shutting down"), !done, "{text}");
        let refused = tokio::net::TcpStream::connect(gateway.address).await;
        assert!(refused.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamed_frames_do_not_wait_for_acknowledgements() {
    // With Nagle's algorithm on either side, frames that come 2 ms apart are held back for up to 40 ms.
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    provider.always(Script::behave().delay_between(Duration::from_millis(2)));
    let long = "word ".repeat(60);
    let body = HELLO_STREAMED.replace("Hello there, how are you?", &long);
    let mut gaps = Vec::new();
    for _ in 0..3 {
        let mut response = gateway.stream("/v1/chat/completions", body.clone()).await;
        let mut last = Instant::now();
        while let Some(frame) = response.body_mut().frame().await {
            drop(frame.unwrap());
            gaps.push(last.elapsed());
            last = Instant::now();
        }
    }
    assert!(gaps.len() > 100, "frames come one by one: {}", gaps.len());
    gaps.sort();
    // A busy machine delays some; a plateau would delay nearly all.
    let most = gaps[gaps.len() * 3 / 4];
    assert!(most < Duration::from_millis(30), "{most:?}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_at_once_and_what_was_taken_comes_back() {
    let provider = FakeProvider::openai().spawn().await;
    let door = FrontDoorLayer::new().layer(stack(openai(&provider)));
    let mut service = AdmissionLayer::new()
        .calls(2)
        .bytes(1_000_000)
        .retry_after(Duration::from_secs(3))
        .layer(door);
    let large = "x".repeat(900_000);
    let body = HELLO.replace("Hello!", &large).replace(",\"x_new_today\":{\"a\":1}", "");
    let first = service.call(post("/v1/chat/completions", body.clone())).await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(service.in_flight().0, 1);
    let second = service.call(post("/v1/messages", body.clone())).await.unwrap();
    assert_eq!(second.status(), 503);
    assert_eq!(second.headers()["retry-after"], "3");
    let second = Answer::of(second).await;
    assert_eq!(second.json()["error"]["type"], "overloaded_error");
    drop(first);
    assert_eq!(service.in_flight(), (0, 0));
    let again = service.call(post("/v1/chat/completions", body)).await.unwrap();
    assert_eq!(again.status(), 200);
    drop(Answer::of(again).await);
    assert_eq!(service.in_flight(), (0, 0));
}

#[tokio::test]
async fn every_answer_is_named() {
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let mut request = post("/v1/chat/completions", HELLO.replace(",\"x_new_today\":{\"a\":1}", ""));
    request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
    let answer = Answer::of(gateway.send(request).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-request-id"), "mine-1");
    assert_eq!(answer.header("x-ziggurat-call-id").len(), 32);
    assert_eq!(answer.header("x-ziggurat-call-id"), answer.header("x-litellm-call-id"));
    assert_eq!(answer.header("x-ziggurat-deployment"), "gpt");
    assert_eq!(answer.header("x-ziggurat-model"), "asked");
    assert_eq!(answer.header("x-ziggurat-attempts"), "1");
    assert!(answer.header("x-ziggurat-duration-ms").parse::<f64>().unwrap() > 0.0);
    assert!(answer.header("x-ziggurat-overhead-ms").parse::<f64>().unwrap() >= 0.0);
    assert!(!answer.header("x-ziggurat-provider-request-id").is_empty());
    assert!(!answer.header("x-ratelimit-remaining-requests").is_empty());
    assert_eq!(answer.header("request-id"), "");
}

#[tokio::test]
async fn anthropics_clients_find_the_requests_name_where_they_look_for_it() {
    let hello = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    for (path, status) in [("/v1/messages", 200), ("/v1/messages/nowhere", 404)] {
        let answer = gateway.post(path, hello).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("request-id"), answer.header("x-request-id"), "{path}");
    }
    let provider = FakeProvider::anthropic().spawn().await;
    let gateway = Gateway::over(stack(anthropic(&provider))).await;
    let answer = gateway.post("/v1/messages", hello).await;
    assert!(answer.header("request-id").starts_with("req_"), "the provider's own name for it");
}

/// What it took was taken, whatever came of it.
#[tokio::test]
async fn an_answer_that_cannot_be_read_is_an_error_and_its_tokens_are_booked() {
    let provider = FakeProvider::bare().spawn().await;
    let answer = |content: &str, usage: &str| {
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{content}],"stop_reason":"end_turn"{usage}}}"#
        )
    };
    let usage = r#","usage":{"input_tokens":7,"output_tokens":5}"#;
    let text = r#"{"type":"text","text":"Hi"}"#;
    let error =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#.to_owned();
    for (body, status, tokens) in [
        (answer(text, usage), 200, 12),
        (answer(r#"{"type":"text"}"#, usage), 502, 12),
        (answer(r#"{"type":"text"}"#, ""), 502, 0),
        (answer(text, usage).replace("]", ""), 502, 0),
        (error, 503, 0),
    ] {
        let ledger = Ledger::default();
        let gateway = Gateway::over(ledger.over(stack(anthropic(&provider)))).await;
        provider.always(Script::reply(200, &[("content-type", "application/json")], body.clone()));
        let hello = r#"{"model":"asked","messages":[{"role":"user","content":"Hello!"}]}"#;
        let answer = gateway.post("/v1/chat/completions", hello).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let outcome = ledger.outcome().await;
        assert_eq!((outcome.tokens(), outcome.is_success()), (tokens, status == 200), "{body}");
    }
}

#[tokio::test]
async fn http2_is_spoken_as_well() {
    let provider = FakeProvider::openai().spawn().await;
    let gateway = Gateway::over(stack(openai(&provider))).await;
    let mut options = ziggurat_http::transport::TransportOptions::default();
    options.http2_shards = 3;
    let mut client = ziggurat_http::Transport::with(&options);
    let (mut parts, body) = post("/v1/chat/completions", HELLO_STREAMED).into_parts();
    parts.uri = format!("http://{}{}", gateway.address, parts.uri).parse().unwrap();
    let response = client.call(http::Request::from_parts(parts, body)).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert!(Answer::of(response).await.text().ends_with("data: [DONE]\n\n"));
}
