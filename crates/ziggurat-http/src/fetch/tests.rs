use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use ziggurat_core::{
    Answer, Call, CallHead, Content, Dialect, Error, ErrorKind, Operation, Payload, RawJson, Reply,
    Source, Str,
};
use ziggurat_dialects::{CONVERSE, OLLAMA, OPENAI};
use ziggurat_testkit::{After, FakeProvider, Script};

use super::{FetchLayer, Fetcher};
use crate::Deployment;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest of a picture";

fn deployment(dialect: Dialect) -> Deployment {
    Deployment::new("there", dialect, "http://127.0.0.1:1".parse().unwrap()).model("m")
}

/// A fetcher for tests, whose servers are on this machine.
fn fetcher() -> Fetcher {
    Fetcher::new().allow_network("127.0.0.1".parse().unwrap())
}

fn call(id: &str, images: &[&str]) -> Call {
    let mut parts = vec![json!({"type": "text", "text": "What is it?"})];
    parts.extend(images.iter().map(|url| json!({"type": "image_url", "image_url": {"url": url}})));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": parts}]});
    let payload = Payload::wire(OPENAI, Operation::Chat, Bytes::from(body.to_string())).unwrap();
    let id = Str::from(id);
    let uri = "/v1/chat/completions".parse().unwrap();
    let head = CallHead::new(Method::POST, uri, HeaderMap::new(), Some(OPENAI), id.clone(), id);
    Call::new(Arc::new(head), "m", false, payload)
}

/// Sends a call through the layer, and gives the call as it arrives.
async fn through(layer: &FetchLayer, call: Call) -> Result<Call, Error> {
    let seen: Arc<Mutex<Option<Call>>> = Arc::default();
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |call: Call| {
            *seen.lock().unwrap() = Some(call);
            async { Ok::<_, Error>(Reply::answer(Answer::Chat(Box::default()))) }
        })
    };
    layer.layer(inner).oneshot(call).await?;
    let call = seen.lock().unwrap().take();
    Ok(call.unwrap())
}

fn images(call: &Call) -> Vec<Source> {
    let chat = call.payload().chat().unwrap();
    let parts = chat.messages.iter().flat_map(|message| &message.parts);
    let image = |content: &Content| match content {
        Content::Image { source, .. } => Some(source.clone()),
        _ => None,
    };
    parts.filter_map(|part| image(&part.content)).collect()
}

fn png() -> Source {
    Source::Base64 { media_type: "image/png".into(), data: STANDARD.encode(PNG).into() }
}

fn picture() -> Script {
    Script::reply(200, &[("content-type", "image/jpeg; q=1")], PNG)
}

#[tokio::test]
async fn a_picture_stands_in_the_request_of_who_takes_its_bytes_alone() {
    let server = FakeProvider::bare().spawn().await;
    for dialect in [OLLAMA, CONVERSE] {
        server.script(picture());
        let layer = FetchLayer::new(fetcher(), deployment(dialect));
        let address = format!("{}/a.png?token=secret", server.url());
        let asked = call(&format!("of {dialect}"), &[&address]);
        let got = through(&layer, asked.clone()).await.unwrap();
        assert_eq!(images(&got), [png()], "{dialect}");
        let seen = server.last_request();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/a.png"));
        assert_eq!(seen.header("authorization"), None);
        // What is tried again asks nobody again.
        let before = server.request_count();
        assert_eq!(images(&through(&layer, asked).await.unwrap()), [png()]);
        assert_eq!(server.request_count(), before);
    }
}

#[tokio::test]
async fn what_is_taken_by_its_address_is_not_fetched() {
    let server = FakeProvider::bare().spawn().await;
    let address = format!("{}/a.png", server.url());
    for dialect in [OPENAI, ziggurat_dialects::ANTHROPIC] {
        let layer = FetchLayer::new(fetcher(), deployment(dialect));
        let got = through(&layer, call("a", &[&address])).await.unwrap();
        assert_eq!(images(&got), [Source::Url(address.as_str().into())], "{dialect}");
    }
    let layer = FetchLayer::new(fetcher(), deployment(CONVERSE));
    let got = through(&layer, call("a", &["s3://bucket/a.png"])).await.unwrap();
    assert_eq!(images(&got), [Source::Url("s3://bucket/a.png".into())]);
    let off = FetchLayer::maybe(None, deployment(OLLAMA));
    let got = through(&off, call("a", &[&address])).await.unwrap();
    assert_eq!(images(&got).len(), 1);
    assert_eq!(server.request_count(), 0);
}

#[tokio::test]
async fn what_is_configured_is_not_lost_with_the_bytes() {
    let server = FakeProvider::bare().spawn().await;
    server.script(picture());
    let mut deployment = deployment(OLLAMA);
    deployment.defaults = vec![("temperature".into(), RawJson::parse(Str::from("0.25")).unwrap())];
    let layer = FetchLayer::new(fetcher(), deployment);
    let address = format!("{}/a.png", server.url());
    let got = through(&layer, call("a", &[&address])).await.unwrap();
    assert_eq!(got.payload().chat().unwrap().sampling.temperature, Some(0.25));
}

#[tokio::test]
async fn several_are_fetched_at_once_and_each_once() {
    let server = FakeProvider::bare().spawn().await;
    for _ in 0..8 {
        server.script(picture().delay_head(Duration::from_millis(50)));
    }
    let layer = FetchLayer::new(fetcher(), deployment(OLLAMA));
    let mut addresses: Vec<String> =
        (0..8).map(|number| format!("{}/{number}.png", server.url())).collect();
    addresses.push(addresses[0].clone());
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let got = through(&layer, call("a", &addresses)).await.unwrap();
    assert_eq!(images(&got), vec![png(); 9]);
    assert_eq!(server.request_count(), 8);
    let many: Vec<String> = (0..33).map(|number| format!("{}/{number}", server.url())).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = through(&layer, call("b", &many)).await.unwrap_err();
    assert!(error.message().contains("32 are the most"), "{error:?}");
}

/// What a caller is told of an address that cannot be had.
async fn told(layer: &FetchLayer, address: &str) -> String {
    let error = through(layer, call(address, &[address])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.code(), Some("invalid_image_url"));
    error.message().to_owned()
}

#[tokio::test]
async fn nobody_is_asked_whom_the_caller_could_not_ask() {
    let server = FakeProvider::bare().spawn().await;
    let port = server.url().rsplit_once(':').unwrap().1.to_owned();
    let layer = FetchLayer::new(Fetcher::new(), deployment(OLLAMA));
    for host in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"]
    {
        let told = told(&layer, &format!("http://{host}:{port}/a.png")).await;
        assert!(told.ends_with("it is not on the public internet"), "{told}");
    }
    // Addresses of IPv4 that no parser of ours takes for one are names, which the resolver makes the same of as others do.
    for host in ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"] {
        let told = told(&layer, &format!("http://{host}:{port}/a.png")).await;
        assert!(told.contains("cannot be had"), "{told}");
    }
    assert_eq!(server.request_count(), 0);
    for (address, expected) in [
        (format!("http://user:pass@127.0.0.1:{port}/a"), "credentials"),
        ("http:///a".to_owned(), "it is no address"),
    ] {
        let told = told(&layer, &address).await;
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("pass@") || expected == "credentials", "{told}");
    }
}

#[tokio::test]
async fn a_redirect_is_checked_as_the_address_was() {
    let server = FakeProvider::bare().spawn().await;
    let layer = FetchLayer::new(fetcher(), deployment(OLLAMA));
    let address = |name: &str| format!("{}/{name}", server.url());
    server.script(Script::reply(302, &[("location", "/b/c.png")], ""));
    server.script(Script::reply(301, &[("location", "d.png")], ""));
    server.script(picture());
    let got = through(&layer, call("a", &[&address("a.png")])).await.unwrap();
    assert_eq!(images(&got), [png()]);
    assert_eq!(server.last_request().path, "/b/d.png");
    for to in ["http://10.0.0.1/", "http://127.0.0.2/", "http://[fd00:ec2::254]/latest"] {
        server.script(Script::reply(302, &[("location", to)], ""));
        let told = told(&layer, &address(to)).await;
        assert!(told.ends_with("it is not on the public internet"), "{told}");
    }
    for to in ["file:///etc/passwd", "ftp://127.0.0.1/"] {
        server.script(Script::reply(302, &[("location", to)], ""));
        assert!(told(&layer, &address(to)).await.ends_with("it answers 302 Found"));
    }
    for _ in 0..6 {
        server.script(Script::reply(302, &[("location", "/again")], ""));
    }
    assert!(told(&layer, &address("again")).await.ends_with("redirects more than 5 times"));
}

#[tokio::test]
async fn what_is_no_picture_is_refused() {
    let server = FakeProvider::bare().spawn().await;
    let layer = FetchLayer::new(
        fetcher().max_bytes(1000).timeout(Duration::from_millis(300)),
        deployment(OLLAMA),
    );
    let large = vec![b'x'; 1001];
    let html = Script::reply(200, &[("content-type", "text/html")], "<html>internal</html>");
    let typed = |body: Vec<u8>| Script::reply(200, &[("content-type", "image/png")], body);
    for (number, (script, expected)) in [
        (Script::reply(404, &[], "no such thing"), "it answers 404 Not Found"),
        (html, "`text/html` is there, and no picture"),
        (typed(large.clone()), "larger than the 1000 bytes"),
        (typed(large).until_close(), "larger than the 1000 bytes"),
        (typed(vec![b'x'; 500]).cut_after(After::Bytes(10)), "it broke off"),
        (Script::never_answer(), "it took longer than 0.3 s"),
    ]
    .into_iter()
    .enumerate()
    {
        server.script(script);
        let told = told(&layer, &format!("{}/{number}?secret", server.url())).await;
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("secret") && !told.contains("internal"), "{told}");
    }
    // Two that are too large together.
    for _ in 0..2 {
        server.script(typed(vec![b'x'; 600]));
    }
    let (one, other) = (format!("{}/one", server.url()), format!("{}/two", server.url()));
    let error = through(&layer, call("two", &[&one, &other])).await.unwrap_err();
    assert!(error.message().contains("larger than 1000 bytes together"), "{error:?}");
    let gone = told(&layer, "http://127.0.0.1:1/a.png").await;
    assert!(gone.ends_with("it cannot be reached"), "{gone}");
}

#[tokio::test]
async fn documents_and_what_results_hold_are_fetched_too() {
    let server = FakeProvider::bare().spawn().await;
    let other = FakeProvider::bare().spawn().await;
    server.script(picture());
    other.script(Script::reply(200, &[("content-type", "application/pdf")], "%PDF-1.7 x"));
    let body: Value = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "image", "source": {"type": "url", "url": format!("{}/a.png", server.url())}}]},
            {"type": "document", "source": {"type": "url", "url": format!("{}/b.pdf", other.url())}}]}]});
    let anthropic = ziggurat_dialects::ANTHROPIC;
    let bytes = Bytes::from(body.to_string());
    let payload = Payload::wire(anthropic, Operation::Chat, bytes).unwrap();
    let asked = Call::new(Arc::clone(call("r", &[]).head()), "m", false, payload);
    let layer = FetchLayer::new(fetcher(), deployment(CONVERSE));
    let got = through(&layer, asked).await.unwrap();
    let chat = got.payload().chat().unwrap();
    let text = format!("{chat:?}");
    assert!(!text.contains("Url("), "{text}");
    assert_eq!((server.request_count(), other.request_count()), (1, 1));
}
