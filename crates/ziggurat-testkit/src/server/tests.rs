use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{After, FakeProvider, Script};

const ASK: &str = "POST /v1/x?a=b HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nX-Key: k\r\n\r\nhi";

/// Waits for what must come soon; a test that hangs says where.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("soon")
}

/// Opens a connection and sends this.
async fn send(provider: &FakeProvider, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads to the end, good or bad.
async fn read_all(stream: &mut TcpStream) -> (String, std::io::Result<()>) {
    let mut bytes = Vec::new();
    let end = soon(stream.read_to_end(&mut bytes)).await;
    (String::from_utf8(bytes).unwrap(), end.map(drop))
}

/// Reads until the text ends with this.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut bytes = [0; 1];
        let read = soon(stream.read(&mut bytes)).await.unwrap();
        assert_eq!(read, 1, "the connection ended after {text:?}");
        text.push(char::from(bytes[0]));
    }
    text
}

/// The whole exchange on a connection of its own.
async fn ask(provider: &FakeProvider, script: Script) -> (String, std::io::Result<()>) {
    provider.script(script);
    let request = ASK.replace("host: h", "host: h\r\nconnection: close");
    read_all(&mut send(provider, &request).await).await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

/// The sizes of the chunks of a chunked body.
fn chunks(answer: &str) -> Vec<usize> {
    let mut rest = body(answer);
    let mut sizes = Vec::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        sizes.push(size);
        rest = more.get(size + 2..).unwrap_or_default();
    }
    sizes
}

fn three() -> Script {
    Script::sse(["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"])
}

#[tokio::test]
async fn a_reply_arrives_as_scripted_and_the_connection_lives_on() {
    let provider = FakeProvider::bare().spawn().await;
    provider.script(Script::reply(418, &[("x-a", "1")], "short"));
    provider.script(Script::json(&json!({"ok": true})));
    let mut stream = send(&provider, ASK).await;
    let answer = read_until(&mut stream, "short").await;
    assert!(answer.starts_with("HTTP/1.1 418 I'm a teapot\r\ncontent-length: 5\r\n"), "{answer}");
    assert!(answer.contains("x-a: 1\r\n") && !answer.contains("connection"), "{answer}");
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "{\"ok\":true}").await;
    assert!(answer.contains("content-type: application/json"), "{answer}");
    assert_eq!((provider.connections(), provider.request_count(), provider.queued()), (1, 2, 0));
}

#[tokio::test]
async fn requests_are_recorded() {
    let provider = FakeProvider::bare().always(Script::reply(200, &[], "")).spawn().await;
    let mut stream = send(&provider, ASK).await;
    read_until(&mut stream, "\r\n\r\n").await;
    let chunked = "PUT /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n1\r\nd\r\n0\r\ntrailer: 1\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    soon(provider.wait_requests(2)).await;
    let [first, second] = &provider.requests()[..] else { panic!("two requests") };
    assert_eq!((first.method.as_str(), &*first.path), ("POST", "/v1/x"));
    assert_eq!((first.query.as_deref(), first.header("x-key")), (Some("a=b"), Some("k")));
    assert_eq!((&first.body[..], first.connection), (&b"hi"[..], 1));
    assert_eq!(&second.body[..], b"abcd");
    assert_eq!(provider.last_request().path, "/c");
}

#[tokio::test]
async fn old_requests_are_forgotten_but_counted() {
    let provider = FakeProvider::bare().keep_requests(1).spawn().await;
    for _ in 0..3 {
        let _ = ask(&provider, Script::reply(200, &[], "")).await;
    }
    assert_eq!((provider.requests().len(), provider.request_count()), (1, 3));
}

#[tokio::test]
async fn requests_are_shown_and_forgotten_over_http() {
    let provider = FakeProvider::bare().spawn().await;
    let _ = ask(&provider, Script::reply(200, &[], "")).await;
    let get = "GET /__requests HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let (answer, _) = read_all(&mut send(&provider, get).await).await;
    let shown: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(shown[0]["headers"]["x-key"], "k");
    assert_eq!((&shown[0]["path"], &shown[0]["body"]), (&json!("/v1/x"), &json!("hi")));
    let delete = get.replace("GET", "DELETE");
    let _ = read_all(&mut send(&provider, &delete).await).await;
    assert!(provider.requests().is_empty());
    assert_eq!(provider.request_count(), 1, "the control requests are not counted");
}

#[tokio::test]
async fn scripts_go_before_the_standing_order_and_that_before_the_vendor() {
    let provider = FakeProvider::bare().script(Script::reply(201, &[], "")).spawn().await;
    provider.always(Script::reply(202, &[], ""));
    let request = ASK.replace("host: h", "host: h\r\nconnection: close");
    for expected in ["201", "202", "202"] {
        let (answer, _) = read_all(&mut send(&provider, &request).await).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
    }
    provider.always(None);
    let (answer, _) = read_all(&mut send(&provider, &request).await).await;
    assert!(answer.contains("no script was queued for POST /v1/x"), "{answer}");
}

#[tokio::test]
async fn a_stream_is_one_chunk_per_event() {
    let provider = FakeProvider::bare().spawn().await;
    let (answer, end) = ask(&provider, three()).await;
    end.unwrap();
    assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/event-stream"), "{answer}");
    assert_eq!(chunks(&answer), [9, 9, 9, 0]);
    assert_eq!(provider.disconnects(), 0);
    assert_eq!(provider.bytes_sent(), 27);
}

#[tokio::test]
async fn a_body_is_split_where_the_script_says() {
    let provider = FakeProvider::bare().spawn().await;
    let (answer, _) = ask(&provider, three().split_every(4)).await;
    assert_eq!(chunks(&answer), [4, 4, 4, 4, 4, 4, 3, 0]);
    let (answer, _) = ask(&provider, three().split_at([20, 1, 99])).await;
    assert_eq!(chunks(&answer), [1, 19, 7, 0]);
    let (answer, _) = ask(&provider, three().split_at([])).await;
    assert_eq!(chunks(&answer), [27, 0]);
    let (answer, _) = ask(&provider, Script::reply(200, &[], "whole").split_every(1)).await;
    assert_eq!(body(&answer), "whole");
}

#[tokio::test(start_paused = true)]
async fn delays_pass_before_the_head_and_between_the_pieces() {
    let provider = FakeProvider::bare().spawn().await;
    let second = Duration::from_secs(1);
    let script = three().delay_head(second * 60).delay_between(second);
    provider.script(script);
    provider.script(three().drip(second));
    let start = tokio::time::Instant::now();
    // Without `soon`: its clock would run ahead with the delays.
    let request = ASK.replace("host: h", "host: h\r\nconnection: close");
    for at_least in [62, 62 + 26] {
        let mut stream = send(&provider, &request).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert!(start.elapsed() >= second * at_least, "{:?}", start.elapsed());
    }
    assert!(start.elapsed() < second * 100);
}

#[tokio::test]
async fn a_stall_holds_until_the_client_leaves() {
    let provider = FakeProvider::bare().script(three().stall_after(2)).spawn().await;
    let mut stream = send(&provider, ASK).await;
    read_until(&mut stream, "data: 2\n\n\r\n").await;
    let silence = timeout(Duration::from_millis(50), stream.read_u8()).await;
    assert!(silence.is_err(), "{silence:?}");
    assert_eq!((provider.open_connections(), provider.disconnects()), (1, 0));
    drop(stream);
    soon(provider.wait_disconnect()).await;
    assert_eq!(provider.disconnects(), 1);
    let get = "GET /__disconnects HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let (answer, _) = read_all(&mut send(&provider, get).await).await;
    assert_eq!(body(&answer), "1");
    soon(async {
        while provider.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_between_answers_is_no_disconnect() {
    let provider = FakeProvider::bare().script(three()).spawn().await;
    let mut stream = send(&provider, ASK).await;
    read_until(&mut stream, "0\r\n\r\n").await;
    drop(stream);
    soon(async {
        while provider.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(provider.disconnects(), 0);
}

#[tokio::test]
async fn a_request_may_never_be_answered() {
    let provider = FakeProvider::bare().script(Script::never_answer()).spawn().await;
    let mut stream = send(&provider, ASK).await;
    let silence = timeout(Duration::from_millis(50), stream.read_u8()).await;
    assert!(silence.is_err(), "{silence:?}");
    drop(stream);
    soon(provider.wait_disconnect()).await;
}

#[tokio::test]
async fn a_cut_ends_the_connection_without_ending_the_body() {
    let provider = FakeProvider::bare().spawn().await;
    let (answer, end) = ask(&provider, three().cut_after(After::Events(2))).await;
    end.unwrap();
    assert_eq!(chunks(&answer), [9, 9]);
    assert!(answer.ends_with("data: 2\n\n\r\n"), "{answer}");
    let (answer, end) = ask(&provider, three().cut_after(After::Bytes(13))).await;
    end.unwrap();
    assert!(answer.ends_with("\r\n9\r\ndata"), "cut inside a chunk of nine: {answer}");
    let (answer, end) = ask(&provider, three().cut_after(After::Events(0))).await;
    end.unwrap();
    assert!(answer.ends_with("\r\n\r\n"), "the head alone: {answer}");
    let reply = Script::reply(200, &[], "whole").cut_after(After::Bytes(3));
    let (answer, _) = ask(&provider, reply).await;
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("who"), "{answer}");
}

#[tokio::test]
async fn a_reset_is_an_error_after_the_bytes_before_it() {
    let provider = FakeProvider::bare().spawn().await;
    let (answer, end) = ask(&provider, three().reset_after(After::Events(2))).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(answer.ends_with("data: 2\n\n\r\n"), "{answer}");
    let (answer, end) = ask(&provider, three().reset_after(After::Bytes(11))).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(answer.ends_with("\r\n9\r\nda"), "{answer}");
}

#[tokio::test]
async fn a_length_may_be_a_lie() {
    let provider = FakeProvider::bare().spawn().await;
    let whole = || Script::reply(200, &[], "whole");
    for (claim, script) in [(99, whole()), (2, whole()), (7, three())] {
        let (answer, end) = ask(&provider, script.lie_length(claim)).await;
        end.unwrap();
        assert!(answer.contains(&format!("content-length: {claim}\r\n")), "{answer}");
        assert!(!answer.contains("chunked"), "{answer}");
        assert!(answer.ends_with("whole") || answer.ends_with("data: 3\n\n"), "{answer}");
    }
    let (answer, _) = ask(&provider, three().until_close()).await;
    assert!(!answer.contains("chunked") && !answer.contains("content-length"), "{answer}");
    assert_eq!(body(&answer), "data: 1\n\ndata: 2\n\ndata: 3\n\n");
}

#[tokio::test]
async fn an_error_may_be_a_page_or_no_http_at_all() {
    let provider = FakeProvider::bare().spawn().await;
    let (answer, _) = ask(&provider, Script::html_error(502)).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/html") && answer.contains("<h1>502"), "{answer}");
    let (answer, _) = ask(&provider, Script::raw("SSH-2.0-x\r\n")).await;
    assert_eq!(answer, "SSH-2.0-x\r\n");
}

#[tokio::test]
async fn an_error_event_is_the_vendors_and_ends_the_stream() {
    let provider = FakeProvider::openai().spawn().await;
    let (answer, _) = ask(&provider, three().error_event_after(1)).await;
    assert!(answer.contains("data: 1\n\n") && !answer.contains("data: 2"), "{answer}");
    assert!(answer.contains("\"type\":\"server_error\"") && answer.ends_with("0\r\n\r\n"));
    assert!(!answer.contains("[DONE]"), "{answer}");
    let provider = FakeProvider::anthropic().spawn().await;
    let (answer, _) = ask(&provider, three().error_event_after(1)).await;
    assert!(answer.contains("event: error\ndata: {\"type\":\"error\""), "{answer}");
    let (answer, _) = ask(&provider, Script::error(529)).await;
    assert!(answer.starts_with("HTTP/1.1 529") && answer.contains("overloaded_error"), "{answer}");
}

#[tokio::test]
async fn a_vendor_can_be_on_a_bad_line() {
    let provider = FakeProvider::openai().spawn().await;
    let text = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer k\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    provider.script(Script::behave().split_every(5).cut_after(After::Bytes(25)));
    let (answer, _) = read_all(&mut send(&provider, &request).await).await;
    assert_eq!(chunks(&answer), [5; 5]);
    let (answer, _) = read_all(&mut send(&provider, &request).await).await;
    assert!(answer.contains("data: [DONE]") && answer.contains(" said:"), "{answer}");
    assert_eq!(provider.base_url(), format!("{}/v1", provider.url()));
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let provider = FakeProvider::bare().spawn().await;
    for request in [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
    ] {
        let (answer, _) = read_all(&mut send(&provider, request).await).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{request:?}: {answer}");
    }
    let request = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 999999999999\r\n\r\n";
    let (answer, _) = read_all(&mut send(&provider, request).await).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(provider.request_count(), 0);
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_continue() {
    let provider = FakeProvider::bare().script(Script::reply(200, &[], "ok")).spawn().await;
    let head = "POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let mut stream = send(&provider, head).await;
    read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"hi").await.unwrap();
    read_until(&mut stream, "ok").await;
    assert_eq!(provider.last_request().body, Bytes::from_static(b"hi"));
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_turn() {
    let provider = FakeProvider::bare().spawn().await;
    provider.script(three());
    provider.script(Script::reply(200, &[], "second"));
    let mut stream = send(&provider, &format!("{ASK}{ASK}")).await;
    let answer = read_until(&mut stream, "second").await;
    assert!(answer.contains("data: 3"), "{answer}");
}

#[tokio::test]
async fn a_dropped_provider_is_gone() {
    let provider = FakeProvider::bare().script(Script::never_answer()).spawn().await;
    let address = provider.address();
    let mut stream = send(&provider, ASK).await;
    soon(provider.wait_requests(1)).await;
    drop(provider);
    let (answer, _) = read_all(&mut stream).await;
    assert_eq!(answer, "");
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_stops_the_provider() {
    let big = vec![b'x'; 1 << 16];
    let script = Script::sse((0..1024).map(|_| big.clone()));
    let provider = FakeProvider::bare().script(script).spawn().await;
    let stream = send(&provider, ASK).await;
    let mut seen = 0;
    // The kernel's buffers keep no clock that could be paused: settled means that nothing was
    // sent for a while. Both ends together hold a few MiB.
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let sent = provider.bytes_sent();
        if sent == seen && sent > 0 {
            break;
        }
        seen = sent;
    }
    assert!(seen < 32 << 20, "{seen}");
    drop(stream);
    soon(provider.wait_disconnect()).await;
}
