//! Pictures behind addresses, for providers that take only their bytes.

use serde_json::{Value, json};
use ziggurat_testkit::{FakeProvider, Script};

use crate::client::Ask;
use crate::world::run;

fn settings(provider: &FakeProvider, media: &str) -> String {
    format!(
        "model_list: [{{model_name: llava, litellm_params: {{model: ollama/llava, api_base: '{}', temperature: 0.5}}}}]
ziggurat: {{media: {media}}}\n",
        provider.url()
    )
}

fn answer() -> Script {
    Script::json(&json!({"model": "llava", "created_at": "2026-01-01T00:00:00Z", "done": true,
        "done_reason": "stop", "message": {"role": "assistant", "content": "A dot."},
        "prompt_eval_count": 5, "eval_count": 2}))
}

fn asked(address: &str) -> Value {
    json!({"model": "llava", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": address}}]}]})
}

#[tokio::test]
async fn a_picture_is_fetched_where_its_network_is_allowed() {
    let (provider, server) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    let gateway = run(&settings(&provider, "{allow_networks: [127.0.0.1]}")).await;
    server.script(Script::reply(
        200,
        &[("content-type", "image/png")],
        &b"\x89PNG\r\n\x1a\n...."[..],
    ));
    provider.script(answer());
    let address = format!("{}/a.png", server.url());
    let got = Ask::json("/v1/chat/completions", &asked(&address)).send(gateway.address).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let sent = provider.last_request().json();
    assert_eq!(sent["messages"][0]["images"], json!(["iVBORw0KGgouLi4u"]));
    // What is configured goes along.
    assert_eq!(sent["options"]["temperature"], 0.5);
}

#[tokio::test]
async fn a_picture_on_a_private_network_is_not() {
    let (provider, server) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    for (media, code, told) in [
        ("{}", "invalid_image_url", "it is not on the public internet"),
        ("{fetch: false}", "unsupported_parameter", "must be in the request itself"),
    ] {
        let gateway = run(&settings(&provider, media)).await;
        let address = format!("{}/a.png", server.url());
        let got = Ask::json("/v1/chat/completions", &asked(&address)).send(gateway.address).await;
        assert_eq!(got.status, 400, "{}", got.text());
        let error = &got.json()["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    }
    assert_eq!((provider.request_count(), server.request_count()), (0, 0));
}
