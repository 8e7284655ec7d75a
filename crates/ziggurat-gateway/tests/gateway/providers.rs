//! Providers that differ from their dialect, and some that the configuration brings.

use serde_json::json;
use ziggurat_testkit::{FakeProvider, Script};

use crate::calls::{chat, messages, streamed};
use crate::client::Ask;
use crate::world::run;

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_deployment_of_azures_is_called_by_its_path() {
    let azure = FakeProvider::bare().spawn().await;
    azure.always(ziggurat_testkit::Script::reply(
        200,
        &[("content-type", "application/json")],
        r#"{"id":"1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,
            "finish_reason":"stop","message":{"role":"assistant","content":"Hi"}}]}"#,
    ));
    let gateway = run(&format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: azure/my-deployment, \
         api_base: '{}/', api_key: k, api_version: 2024-10-21}}}}]",
        azure.url(),
    ))
    .await;
    for (path, body) in [(CHAT, chat("gpt", "hi")), ("/v1/messages", messages("gpt", "hi"))] {
        let answer = Ask::json(path, &body).send(gateway.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = azure.last_request();
        assert_eq!(seen.path, "/openai/deployments/my-deployment/chat/completions");
        assert_eq!(seen.query.as_deref(), Some("api-version=2024-10-21"));
        assert_eq!((seen.header("api-key"), seen.header("authorization")), (Some("k"), None));
        assert_eq!(seen.json().get("model"), None);
    }
}

#[tokio::test]
async fn the_configuration_brings_a_provider_of_its_own() {
    let lab = FakeProvider::openai().spawn().await;
    let gateway = run(&format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: my-lab/gpt-4o, api_key: k}}}}]\n\
         ziggurat:\n  providers:\n  - {{prefix: my-lab, dialect: openai, base_url: '{}', \
         auth: 'x-lab-key: {{key}}', headers: {{authorization: Bearer k}}, \
         quirks: {{max_tokens_name: max_tokens, drop: [user], clamp: {{temperature: [0, 1]}}}}}}",
        lab.base_url(),
    ))
    .await;
    let mut body = chat("gpt", "hi");
    body["user"] = json!("u");
    body["temperature"] = json!(1.5);
    body["max_completion_tokens"] = json!(9);
    for body in [body.clone(), streamed(body)] {
        let answer = Ask::json(CHAT, &body).send(gateway.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // What is changed for a provider's sake is told, though the call leaves in the dialect it came in.
        assert_eq!(answer.header("x-ziggurat-losses"), Some("user=dropped, temperature=clamped"));
        let seen = lab.last_request();
        assert_eq!(seen.header("x-lab-key"), Some("k"));
        let sent = seen.json();
        assert_eq!((&sent["max_tokens"], &sent["temperature"]), (&json!(9), &json!(1.0)));
        assert!(sent.get("user").is_none() && sent.get("max_completion_tokens").is_none());
    }
}

#[test]
fn a_row_that_is_wrong_is_told_with_its_place() {
    let env = std::collections::HashMap::<String, String>::new();
    let text = "ziggurat:\n  providers: [{prefix: x, dialect: latin}]\n";
    let problems = ziggurat_gateway::config::parse(text.as_bytes(), "c.yaml", &env).unwrap_err();
    let problems = problems.to_string();
    assert!(problems.contains("c.yaml:2:14"), "{problems}");
    assert!(problems.contains("there is no dialect `latin`"), "{problems}");
}

/// Servers like llama.cpp's ignored the bound, by the newer name that OpenAI's own models want.
#[tokio::test]
async fn somebody_elses_server_is_told_the_bound_by_its_older_name() {
    let provider = FakeProvider::bare().spawn().await;
    let answer = json!({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    let messages = json!([{"role": "user", "content": "Hi"}]);
    for (model, expected) in [
        ("openai/my-llama", "max_tokens"),
        ("openai/gpt-4.1", "max_completion_tokens"),
        ("openai/o4-mini", "max_completion_tokens"),
    ] {
        let gateway = run(&format!(
            "model_list: [{{model_name: m, litellm_params: {{model: {model}, api_base: '{}', api_key: k}}}}]",
            provider.base_url()
        ))
        .await;
        provider.script(Script::json(&answer));
        let asked = json!({"model": "m", "max_tokens": 7, "messages": messages});
        let got = Ask::json("/v1/messages", &asked).send(gateway.address).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(provider.last_request().json()[expected], 7, "{model}");
    }
}
