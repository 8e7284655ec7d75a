//! OpenAI's legacy Completions, in front and behind.

use serde_json::json;
use ziggurat_testkit::{FakeProvider, Script};

use crate::client::Ask;
use crate::world::run;

#[tokio::test]
async fn a_model_of_its_own_is_asked_as_the_caller_asks() {
    let provider = FakeProvider::bare().spawn().await;
    let answer = json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "davinci-002",
        "choices": [{"text": " upon a time", "index": 0, "logprobs": null, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}});
    for model in ["text-completion-openai/davinci-002", "openai/completions/davinci-002"] {
        let gateway = run(&format!(
            "model_list: [{{model_name: old, litellm_params: {{model: {model}, api_base: '{}', api_key: k}}}}]",
            provider.base_url()
        ))
        .await;
        // Several prompts, and tokens, are its own affair.
        for prompt in [json!("Once"), json!(["a", "b"]), json!([1, 2])] {
            provider.script(Script::json(&answer));
            let asked = json!({"model": "old", "prompt": prompt, "suffix": "end", "echo": true,
                "max_completion_tokens": 7});
            let got = Ask::json("/v1/completions", &asked).send(gateway.address).await;
            assert_eq!((got.status, got.json()), (200, answer.clone()), "{}", got.text());
            let sent = provider.last_request();
            assert_eq!(sent.path, "/v1/completions");
            let mut expected = asked.clone();
            expected["model"] = json!("davinci-002");
            assert_eq!(sent.json(), expected);
        }
        // Callers of other dialects converse with it.
        provider.script(Script::json(&answer));
        let asked = json!({"model": "old", "max_tokens": 9,
            "messages": [{"role": "user", "content": "Once"}]});
        let got = Ask::json("/v1/messages", &asked).send(gateway.address).await;
        assert_eq!(got.json()["content"][0]["text"], " upon a time", "{}", got.text());
        assert_eq!(got.json()["stop_reason"], "max_tokens");
        assert_eq!(provider.last_request().json()["prompt"], "Once");
    }
}

#[tokio::test]
async fn a_model_that_converses_continues_a_prompt() {
    let provider = FakeProvider::anthropic().spawn().await;
    let gateway = run(&format!(
        "model_list: [{{model_name: claude, litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: '{}', api_key: k}}}}]",
        provider.url()
    ))
    .await;
    let asked = json!({"model": "claude", "prompt": "Hello", "echo": true});
    for path in ["/v1/completions", "/completions", "/engines/claude/completions"] {
        let got = Ask::json(path, &asked).send(gateway.address).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(got.json()["choices"][0]["text"], "HelloYou said: Hello", "{}", got.text());
        assert_eq!(got.json()["object"], "text_completion");
    }
    let several = json!({"model": "claude", "prompt": ["a", "b"]});
    let got = Ask::json("/v1/completions", &several).send(gateway.address).await;
    assert_eq!((got.status, &got.json()["error"]["param"]), (400, &json!("prompt")));
    let nothing =
        Ask::json("/v1/completions", &json!({"model": "claude"})).send(gateway.address).await;
    assert_eq!(nothing.json()["error"]["code"], "missing_required_parameter");
    let unread = Ask::post("/v1/completions", "{").send(gateway.address).await;
    assert_eq!(unread.json()["error"]["type"], "invalid_request_error");
}
