//! Conversations that are kept for callers of OpenAI Responses.

use std::net::SocketAddr;

use serde_json::{Value, json};
use ziggurat_testkit::FakeProvider;

use crate::binary::{Process, file};
use crate::client::{Ask, Connection};
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

#[tokio::test]
async fn an_answer_in_the_background_is_written_though_its_caller_leaves() {
    let provider = FakeProvider::anthropic().spawn().await;
    let gateway = run(&settings(&provider, "{}")).await;
    let get = async |path: String| Ask::get(&path).send(gateway.address).await;
    for stream in [false, true] {
        let text = if stream { "[slow:20] one two three four" } else { "[slow:200] one" };
        let body = json!({"model": "claude", "input": text, "background": true, "stream": stream});
        let id = if stream {
            // It hangs up after the first words.
            let mut left = Connection::ask(gateway.address, &Ask::json(RESPONSES, &body)).await;
            let head = left.until("event: response.in_progress").await;
            drop(left);
            let data = head.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(event["type"], "response.created");
            event["response"]["id"].clone()
        } else {
            let queued = ask(gateway.address, body).await;
            assert_eq!(queued["status"], "queued");
            queued["id"].clone()
        };
        let path = format!("{RESPONSES}/{}", id.as_str().unwrap());
        let mut told = get(path.clone()).await.json();
        assert_eq!(told["status"], "in_progress", "{told}");
        while told["status"] == "in_progress" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            told = get(path.clone()).await.json();
        }
        assert_eq!((&told["status"], &told["id"]), (&json!("completed"), &id), "{told}");
        assert!(told["usage"]["total_tokens"].as_u64().unwrap() > 0, "{told}");
        if stream {
            let again = get(format!("{path}?stream=true&starting_after=1")).await.text();
            assert!(again.starts_with("event: response.output_item.added\n"), "{again}");
            assert!(again.contains("event: response.completed\n"), "{again}");
        }
        let next = json!({"model": "claude", "input": "two", "previous_response_id": id});
        ask(gateway.address, next).await;
        assert_eq!(messages(&provider), 3);
    }

    let body = json!({"model": "claude", "input": "[slow:60000] one", "background": true});
    let queued = ask(gateway.address, body).await;
    let path = format!("{RESPONSES}/{}", queued["id"].as_str().unwrap());
    let cancelled = Ask::new("POST", &format!("{path}/cancel")).send(gateway.address).await;
    assert_eq!(cancelled.json()["status"], "cancelled", "{}", cancelled.text());
    assert_eq!(get(path).await.json()["status"], "cancelled");
    let body = json!({"model": "claude", "input": "[error:401] one", "background": true});
    let queued = ask(gateway.address, body).await;
    let path = format!("{RESPONSES}/{}", queued["id"].as_str().unwrap());
    let mut told = queued;
    while matches!(told["status"].as_str(), Some("queued" | "in_progress")) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        told = get(path.clone()).await.json();
    }
    assert_eq!(
        (&told["status"], &told["error"]["code"]),
        (&json!("failed"), &json!("server_error"))
    );
    let body = json!({"model": "claude", "input": "one", "background": true, "store": false});
    let refused = Ask::json(RESPONSES, &body).send(gateway.address).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("store")));
}
