//! Conversations that are kept for callers of OpenAI Responses.

use std::net::SocketAddr;

use serde_json::{Value, json};
use ziggurat_testkit::FakeProvider;

use crate::binary::{Process, file};
use crate::client::Ask;
use crate::world::run;

const RESPONSES: &str = "/v1/responses";

fn settings(provider: &FakeProvider, kept: &str) -> String {
    format!(
        "model_list: [{{model_name: claude, litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: '{}', api_key: k}}}}]
ziggurat: {{conversations: {kept}}}\n",
        provider.url()
    )
}

async fn ask(address: SocketAddr, body: Value) -> Value {
    let answer = Ask::json(RESPONSES, &body).send(address).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// How many messages the provider was sent last.
fn messages(provider: &FakeProvider) -> usize {
    provider.last_request().json()["messages"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_conversation_outlives_the_program_in_a_file() {
    let provider = FakeProvider::anthropic().spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.db");
    let settings = settings(&provider, &format!("{{path: '{}', keep: 7d}}", kept.display()));
    let (_directory, path) = file(&settings);
    let process = Process::start(&["--config", &path], &[]).await;
    let first = ask(process.address, json!({"model": "claude", "input": "one"})).await;
    assert_eq!(first["store"], true);
    drop(process);
    let process = Process::start(&["--config", &path], &[]).await;
    let found = Ask::get(&format!("{RESPONSES}/{}", first["id"].as_str().unwrap()))
        .send(process.address)
        .await;
    assert_eq!(found.json(), first, "{}", found.text());
    let body = json!({"model": "claude", "input": "two", "previous_response_id": first["id"]});
    ask(process.address, body).await;
    assert_eq!(messages(&provider), 3);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_before_anything_is_served() {
    let provider = FakeProvider::anthropic().spawn().await;
    let settings = settings(&provider, "{path: /no/such/folder/kept.db}");
    let (config, _) = ziggurat_gateway::config::parse(
        settings.as_bytes(),
        "config.yaml",
        &std::collections::HashMap::<String, String>::new(),
    )
    .unwrap();
    let env = std::collections::HashMap::<String, String>::new();
    let report = ziggurat_gateway::Gateway::new(config, &env).unwrap_err();
    let told = report.to_string();
    assert!(told.contains("ziggurat.conversations"), "{told}");
    assert!(told.contains("/no/such/folder/kept.db"), "{told}");
}

#[tokio::test]
async fn what_is_kept_is_asked_for_at_openais_paths() {
    let provider = FakeProvider::anthropic().spawn().await;
    let gateway = run(&settings(&provider, "{}")).await;
    let first = ask(gateway.address, json!({"model": "claude", "input": "one"})).await;
    let id = first["id"].as_str().unwrap();
    let send =
        async |method: &str, path: String| Ask::new(method, &path).send(gateway.address).await;
    for base in ["/v1/responses", "/responses", "/openai/v1/responses"] {
        let found = send("GET", format!("{base}/{id}")).await;
        assert_eq!((found.status, found.json()), (200, first.clone()), "{base}");
        let items = send("GET", format!("{base}/{id}/input_items")).await;
        assert_eq!(items.json()["data"][0]["content"][0]["text"], "one", "{}", items.text());
    }
    let cancelled = send("POST", format!("{RESPONSES}/{id}/cancel")).await;
    assert_eq!(cancelled.status, 400, "{}", cancelled.text());
    let wrong = send("PUT", format!("{RESPONSES}/{id}")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD, DELETE")));
    let gone = send("DELETE", format!("{RESPONSES}/{id}")).await;
    assert_eq!(gone.json(), json!({"id": id, "object": "response", "deleted": true}));
    let missing = send("GET", format!("{RESPONSES}/{id}")).await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"]["message"], format!("Response with id '{id}' not found."));
    let body = json!({"model": "claude", "input": "two", "previous_response_id": id});
    let refused = Ask::json(RESPONSES, &body).send(gateway.address).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["param"], "previous_response_id");
}

#[tokio::test]
async fn a_stream_is_kept_before_its_caller_has_read_its_end() {
    let provider = FakeProvider::anthropic().spawn().await;
    let gateway = run(&settings(&provider, "{}")).await;
    for _ in 0..20 {
        let body = json!({"model": "claude", "input": "one", "stream": true});
        let streamed = Ask::json(RESPONSES, &body).send(gateway.address).await;
        let text = streamed.text();
        let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
        let event: Value = serde_json::from_str(last.unwrap()).unwrap();
        assert_eq!(event["type"], "response.completed", "{text}");
        let id = event["response"]["id"].clone();
        let body = json!({"model": "claude", "input": "two", "previous_response_id": id});
        ask(gateway.address, body).await;
        assert_eq!(messages(&provider), 3);
    }
    let body = json!({"model": "claude", "input": "[cut] one two three", "stream": true});
    let cut = Ask::json(RESPONSES, &body).send(gateway.address).await.text();
    let first = cut.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: Value = serde_json::from_str(first).unwrap();
    let id = event["response"]["id"].as_str().unwrap();
    let found = Ask::get(&format!("{RESPONSES}/{id}")).send(gateway.address).await;
    assert_eq!(found.status, 404, "{cut}");
}

#[tokio::test]
async fn nothing_is_kept_where_that_is_switched_off() {
    let provider = FakeProvider::anthropic().spawn().await;
    let gateway = run(&settings(&provider, "{enabled: false}")).await;
    let first = ask(gateway.address, json!({"model": "claude", "input": "one"})).await;
    assert_eq!(first["store"], false);
    let id = first["id"].as_str().unwrap();
    let found = Ask::get(&format!("{RESPONSES}/{id}")).send(gateway.address).await;
    assert_eq!(found.status, 404, "{}", found.text());
}
