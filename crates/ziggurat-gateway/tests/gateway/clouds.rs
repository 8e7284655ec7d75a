//! Models in clouds that take tokens: Google's Vertex, and Azure behind Microsoft Entra.

use serde_json::{Value, json};
use ziggurat_testkit::{FakeProvider, Script};

use crate::client::Ask;
use crate::world::run;

const CHAT: &str = "/v1/chat/completions";
/// The key of a service account that nobody has.
const PEM: &str = include_str!("../../../ziggurat-providers/src/oauth/test-key.pem");

fn chat() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20})
}

fn granted() -> Script {
    Script::json(
        &json!({"access_token": "ya29.secret", "expires_in": 3599, "token_type": "Bearer"}),
    )
}

fn gemini() -> Script {
    Script::json(&json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello!"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": "gemini-2.5-flash", "responseId": "r",
    }))
}

fn claude() -> Script {
    Script::json(&json!({
        "id": "msg_vrtx_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }))
}

fn openai() -> Script {
    Script::json(&json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "llama",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }))
}

/// One model of Vertex's, asked for by a service account whose tokens come from `tokens`.
fn vertex(model: &str, provider: &FakeProvider, tokens: &FakeProvider) -> String {
    let account = json!({
        "type": "service_account", "project_id": "p-1", "private_key_id": "k1", "private_key": PEM,
        "client_email": "me@p-1.iam.gserviceaccount.com", "token_uri": format!("{}/token", tokens.url()),
    });
    let entry = json!({"model_list": [{"model_name": "m", "litellm_params": {
        "model": format!("vertex_ai/{model}"), "api_base": provider.url(), "num_retries": 0,
        "vertex_location": "europe-west1", "vertex_credentials": account.to_string(),
    }}]});
    // JSON is YAML.
    entry.to_string()
}

#[tokio::test]
async fn vertex_is_asked_with_a_token_that_is_fetched_once() {
    let (provider, tokens) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    let gateway = run(&vertex("gemini-2.5-flash", &provider, &tokens)).await;
    tokens.script(granted());
    for _ in 0..3 {
        provider.script(gemini());
        let got = Ask::json(CHAT, &chat()).send(gateway.address).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(got.json()["choices"][0]["message"]["content"], "Hello!");
    }
    assert_eq!(tokens.request_count(), 1);
    let asked = tokens.last_request();
    let form = String::from_utf8_lossy(&asked.body).into_owned();
    assert!(
        form.starts_with(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey"
        ),
        "{form}"
    );
    let sent = provider.last_request();
    assert_eq!(
        sent.path,
        "/v1/projects/p-1/locations/europe-west1/publishers/google/models/gemini-2.5-flash:generateContent"
    );
    assert_eq!(sent.header("authorization"), Some("Bearer ya29.secret"));
    assert_eq!(sent.header("x-goog-api-key"), None);
}

#[tokio::test]
async fn claude_on_vertex_is_named_in_the_path_and_not_in_the_body() {
    let (provider, tokens) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    let gateway = run(&vertex("claude-sonnet-4-5@20250929", &provider, &tokens)).await;
    tokens.script(granted());
    let place = "/v1/projects/p-1/locations/europe-west1/publishers/anthropic/models/claude-sonnet-4-5@20250929";
    // Another dialect, and its own.
    for path in [CHAT, "/v1/messages"] {
        provider.script(claude());
        let got = Ask::json(path, &chat()).send(gateway.address).await;
        assert_eq!(got.status, 200, "{}", got.text());
        let sent = provider.last_request();
        assert_eq!(sent.path, format!("{place}:rawPredict"));
        let body = sent.json();
        assert_eq!(
            (&body["anthropic_version"], body.get("model")),
            (&json!("vertex-2023-10-16"), None)
        );
        assert_eq!(sent.header("authorization"), Some("Bearer ya29.secret"));
        assert_eq!(sent.header("x-api-key"), None);
    }
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_vrtx_1", "type": "message", "role": "assistant",
            "model": "claude", "content": [], "stop_reason": null, "usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    provider.script(Script::sse(events.iter().map(event)));
    let mut body = chat();
    body["stream"] = json!(true);
    let got = Ask::json(CHAT, &body).send(gateway.address).await;
    assert!(
        got.text().contains("Hello!") && got.text().ends_with("data: [DONE]\n\n"),
        "{}",
        got.text()
    );
    assert_eq!(provider.last_request().path, format!("{place}:streamRawPredict"));
    // Tokens are counted at another path, which does not name the model.
    for path in ["/v1/messages/count_tokens", "/utils/token_counter"] {
        provider.script(Script::json(&json!({"input_tokens": 42})));
        let counted = Ask::json(path, &chat()).send(gateway.address).await;
        assert!(counted.text().contains("42"), "{}", counted.text());
        let sent = provider.last_request();
        let (folder, _) = place.rsplit_once('/').unwrap();
        assert_eq!(sent.path, format!("{folder}/count-tokens:rawPredict"));
        assert_eq!(sent.json()["model"], "claude-sonnet-4-5@20250929");
    }
}

#[tokio::test]
async fn vectors_on_vertex_are_predictions() {
    let (provider, tokens) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    tokens.script(granted());
    let made = |values: Value| json!({"embeddings": {"values": values, "statistics": {"token_count": 2, "truncated": false}}});
    // The newer family takes one text a request: two are asked for in two.
    for (model, requests) in [("text-embedding-005", 1), ("gemini-embedding-001", 2)] {
        let gateway = run(&vertex(model, &provider, &tokens)).await;
        tokens.script(granted());
        let before = provider.request_count();
        for _ in 0..requests {
            let predictions: Vec<Value> =
                (0..2 / requests).map(|number| made(json!([number, 1]))).collect();
            provider.script(Script::json(&json!({"predictions": predictions})));
        }
        let asked = json!({"model": "m", "input": ["a", "b"], "dimensions": 2,
            "encoding_format": "float"});
        let got = Ask::json("/v1/embeddings", &asked).send(gateway.address).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(got.json()["data"].as_array().unwrap().len(), 2);
        assert_eq!(got.json()["usage"]["prompt_tokens"], 4);
        assert_eq!(provider.request_count() - before, requests);
        let sent = provider.last_request();
        assert_eq!(
            sent.path,
            format!(
                "/v1/projects/p-1/locations/europe-west1/publishers/google/models/{model}:predict"
            )
        );
        assert_eq!(sent.json()["parameters"], json!({"outputDimensionality": 2}));
        assert_eq!(sent.json()["instances"].as_array().unwrap().len() as u64, 2 / requests);
    }
}

#[tokio::test]
async fn open_models_on_vertex_speak_like_openai() {
    let (provider, tokens) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    let gateway =
        run(&vertex("meta/llama-4-maverick-17b-128e-instruct-maas", &provider, &tokens)).await;
    tokens.script(granted());
    provider.script(openai());
    let got = Ask::json(CHAT, &chat()).send(gateway.address).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let sent = provider.last_request();
    assert_eq!(
        sent.path,
        "/v1/projects/p-1/locations/europe-west1/endpoints/openapi/chat/completions"
    );
    assert_eq!(sent.json()["model"], "meta/llama-4-maverick-17b-128e-instruct-maas");
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_an_error_of_ours_and_tells_no_secret() {
    let (provider, tokens) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    let gateway = run(&vertex("gemini-2.5-flash", &provider, &tokens)).await;
    tokens.script(Script::reply(
        400,
        &[("content-type", "application/json")],
        r#"{"error":"invalid_grant"}"#,
    ));
    let refused = Ask::json(CHAT, &chat()).send(gateway.address).await;
    assert!(refused.status >= 500, "{}", refused.text());
    let text = refused.text();
    assert!(!text.contains("PRIVATE") && !text.contains("eyJ"), "{text}");
    assert_eq!(provider.request_count(), 0);
    // The next call asks anew.
    tokens.script(granted());
    provider.script(gemini());
    let got = Ask::json(CHAT, &chat()).send(gateway.address).await;
    assert_eq!(got.status, 200, "{}", got.text());
}

#[tokio::test]
async fn azure_takes_entras_tokens_and_given_ones() {
    let (provider, tokens) =
        (FakeProvider::bare().spawn().await, FakeProvider::bare().spawn().await);
    let entry = |params: Value| {
        let mut all = json!({"model": "azure/gpt", "api_base": provider.url(), "num_retries": 0});
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        json!({
            "model_list": [{"model_name": "m", "litellm_params": all}],
            "environment_variables": {"AZURE_AUTHORITY_HOST": tokens.url()},
        })
        .to_string()
    };
    let gateway =
        run(&entry(json!({"tenant_id": "t-1", "client_id": "c-1", "client_secret": "s-1"}))).await;
    tokens.script(Script::json(&json!({"access_token": "entra", "expires_in": 3599})));
    for _ in 0..2 {
        provider.script(openai());
        let got = Ask::json(CHAT, &chat()).send(gateway.address).await;
        assert_eq!(got.status, 200, "{}", got.text());
        let sent = provider.last_request();
        assert_eq!(sent.path, "/openai/deployments/gpt/chat/completions");
        assert_eq!(
            (sent.header("authorization"), sent.header("api-key")),
            (Some("Bearer entra"), None)
        );
    }
    assert_eq!(
        (tokens.request_count(), tokens.last_request().path.as_str()),
        (1, "/t-1/oauth2/v2.0/token")
    );
    let form = String::from_utf8_lossy(&tokens.last_request().body).into_owned();
    assert!(
        form.contains("client_secret=s-1")
            && form.contains("scope=https%3A%2F%2Fcognitiveservices"),
        "{form}"
    );

    let gateway = run(&entry(json!({"azure_ad_token": "given"}))).await;
    provider.script(openai());
    let got = Ask::json(CHAT, &chat()).send(gateway.address).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(provider.last_request().header("authorization"), Some("Bearer given"));
}

#[test]
fn half_a_login_is_told_when_the_gateway_starts() {
    use std::collections::HashMap;

    use ziggurat_gateway::{Gateway, config};

    let env: HashMap<String, String> = HashMap::new();
    for (params, told) in [
        (
            "model: azure/gpt, api_base: 'http://127.0.0.1:1', tenant_id: t",
            "`tenant_id`, `client_id` and `client_secret` go together",
        ),
        (
            "model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_credentials: /no/such/file",
            "`vertex_credentials` names cannot be read",
        ),
        (
            "model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_credentials: '{}'",
            "no JSON file of Google's",
        ),
        ("model: vertex_ai/gemini-2.5-pro", "vertex_project"),
    ] {
        let text = format!("model_list: [{{model_name: m, litellm_params: {{{params}}}}}]");
        let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env).unwrap();
        let Err(report) = Gateway::new(config, &env) else { panic!("{params}: it starts") };
        assert!(report.to_string().contains(told), "{report}");
    }
}
