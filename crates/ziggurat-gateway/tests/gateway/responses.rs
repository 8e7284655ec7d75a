//! OpenAI Responses behind the gateway.

use serde_json::json;
use ziggurat_testkit::{FakeProvider, Script};

use crate::client::Ask;
use crate::world::run;

#[tokio::test]
async fn a_model_may_be_spoken_with_in_responses() {
    let provider = FakeProvider::bare().spawn().await;
    let answer = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5.2",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hello!", "annotations": []}]}],
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    });
    let settings = |model: &str, base: String| {
        format!(
            "model_list: [{{model_name: gpt, litellm_params: {{model: '{model}', api_base: '{base}', api_key: k}}}}]"
        )
    };
    let chat =
        json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20});
    let messages =
        json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20});
    for (model, base, path, key) in [
        (
            "openai/responses/gpt-5.2",
            provider.base_url(),
            "/v1/responses",
            ("authorization", "Bearer k"),
        ),
        ("azure/responses/gpt-5.2", provider.url(), "/openai/v1/responses", ("api-key", "k")),
    ] {
        let gateway = run(&settings(model, base)).await;
        provider.script(Script::json(&answer));
        let got = Ask::json("/v1/chat/completions", &chat).send(gateway.address).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(got.json()["choices"][0]["message"]["content"], "Hello!");
        assert_eq!(got.json()["usage"]["total_tokens"], 7);
        // How it is called does not change what it costs.
        assert!(got.header("x-ziggurat-cost").is_some(), "{model}");
        let sent = provider.last_request();
        assert_eq!((sent.path.as_str(), sent.header(key.0)), (path, Some(key.1)));
        let body = sent.json();
        assert_eq!((&body["model"], &body["max_output_tokens"]), (&json!("gpt-5.2"), &json!(20)));
        assert!(body["input"].is_array() || body["input"].is_string(), "{body}");

        provider.script(Script::json(&answer));
        let got = Ask::json("/v1/messages", &messages).send(gateway.address).await;
        assert_eq!(got.json()["content"][0]["text"], "Hello!", "{}", got.text());

        // In the same dialect it passes as it came, words of other dialects included.
        provider.script(Script::json(&answer));
        let asked =
            json!({"model": "gpt", "input": "hi", "brand_new": [1], "max_completion_tokens": 9});
        let got = Ask::json("/v1/responses", &asked).send(gateway.address).await;
        assert_eq!(got.json(), answer, "{}", got.text());
        let passed = json!({"model": "gpt-5.2", "input": "hi", "brand_new": [1], "max_completion_tokens": 9});
        assert_eq!(provider.last_request().json(), passed);
    }
}
