//! Models that are asked when another fails, whatever dialect either of them speaks.

use serde_json::{Value, json};
use ziggurat_testkit::{After, FakeProvider, Script};

use crate::calls::{chat, messages, streamed};
use crate::client::{Answer, Ask};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// Each model is the other's fallback.
const BOTH: &str = "router_settings: {fallbacks: [{gpt: [claude]}, {claude: [gpt]}]}";

async fn ask(world: &World, path: &str, body: &Value) -> Answer {
    Ask::json(path, body).send(world.address()).await
}

/// The four ways to ask for a model.
fn ways(model: &str, text: &str) -> [(&'static str, Value); 4] {
    [
        (CHAT, chat(model, text)),
        (CHAT, streamed(chat(model, text))),
        (MESSAGES, messages(model, text)),
        (MESSAGES, streamed(messages(model, text))),
    ]
}

fn providers(world: &World) -> [(&'static str, &FakeProvider, &'static str); 2] {
    [("gpt", &world.openai, "claude"), ("claude", &world.anthropic, "gpt")]
}

#[track_caller]
fn said(answer: &Answer, body: &Value) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if body["stream"] == true {
        return answer.spoken();
    }
    let body = answer.json();
    let text =
        body["choices"][0]["message"]["content"].as_str().or(body["content"][0]["text"].as_str());
    text.expect("a text").to_owned()
}

#[tokio::test]
async fn another_model_takes_over_across_dialects() {
    let world = World::with(BOTH).await;
    for (model, failing, other) in providers(&world) {
        for script in [Script::error(500), Script::error(429), Script::error(401)] {
            failing.always(script);
            for (path, body) in ways(model, "one two") {
                let answer = ask(&world, path, &body).await;
                assert_eq!(said(&answer, &body), "You said: one two");
                assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("1"));
                assert_eq!(answer.header("x-litellm-attempted-retries"), Some("0"));
                assert_eq!(answer.header("x-ziggurat-attempts"), Some("2"));
                assert_eq!(answer.header("x-litellm-model-group"), Some(other));
            }
        }
        failing.always(None);
    }
}

#[tokio::test]
async fn an_overload_inside_a_200_is_no_answer() {
    let world = World::with(BOTH).await;
    for (model, failing, _) in providers(&world) {
        failing.always(Script::behave().error_event_after(0));
        for (path, body) in ways(model, "hi").into_iter().filter(|(_, body)| body["stream"] == true)
        {
            let answer = ask(&world, path, &body).await;
            assert_eq!(said(&answer, &body), "You said: hi");
            assert!(!answer.text().contains(r#""error""#), "{}", answer.text());
            assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("1"));
        }
        failing.always(None);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_not_begun_anew() {
    let world = World::with(BOTH).await;
    world.openai.always(Script::behave().cut_after(After::Events(4)));
    for (path, body) in ways("gpt", "one two three four five six") {
        if body["stream"] != true {
            continue;
        }
        let answer = ask(&world, path, &body).await;
        assert_eq!(answer.status, 200);
        let data = answer.data();
        let failure = data.iter().rfind(|data| *data != "[DONE]").unwrap();
        let failure: Value = serde_json::from_str(failure).unwrap();
        assert!(failure["error"]["message"].is_string(), "{}", answer.text());
        assert!(answer.spoken().starts_with("You said:"));
    }
    assert!(world.anthropic.requests().is_empty());
}

#[tokio::test]
async fn the_first_error_is_the_answer_when_all_fail() {
    let world = World::with(BOTH).await;
    world.openai.always(Script::error(503));
    world.anthropic.always(Script::error(500));
    let openai = ask(&world, CHAT, &chat("gpt", "hi")).await;
    openai.openai_error(503);
    assert_eq!(openai.header("x-ziggurat-deployment"), Some("at-openai"));
    assert_eq!(openai.header("x-ziggurat-attempts"), Some("2"));
    ask(&world, MESSAGES, &messages("claude", "hi")).await.anthropic_error(500);
    ask(&world, MESSAGES, &streamed(messages("gpt", "hi"))).await.anthropic_error(529);
    // Round and round they would go.
    assert_eq!(world.openai.requests().len(), 3);
    assert_eq!(world.anthropic.requests().len(), 3);
}

#[tokio::test]
async fn callers_name_models_of_their_own() {
    let world = World::plain().await;
    world.openai.always(Script::error(500));
    let mut body = chat("gpt", "hi");
    body["fallbacks"] = json!(["nobody", {"model": "claude", "max_tokens": 7}]);
    let answer = ask(&world, CHAT, &body).await;
    assert_eq!(said(&answer, &body), "You said: hi");
    assert_eq!(world.anthropic.last_request().json()["max_tokens"], 7);
    assert!(answer.header("x-ziggurat-losses").is_none());
    body["fallbacks"] = json!("claude");
    assert!(ask(&world, CHAT, &body).await.openai_error(400).contains("fallbacks"));
    body["fallbacks"] = json!([{"model": "claude", "api_key": "sk-mine"}]);
    assert!(ask(&world, CHAT, &body).await.openai_error(400).contains("api_key"));
}

#[tokio::test]
async fn callers_may_want_no_other_model() {
    let world = World::with(BOTH).await;
    world.openai.always(Script::error(500));
    for (path, mut body) in ways("gpt", "hi") {
        body["disable_fallbacks"] = json!(true);
        let answer = ask(&world, path, &body).await;
        assert_eq!(answer.status, 500, "{}", answer.text());
    }
    assert!(world.anthropic.requests().is_empty());
}

#[tokio::test]
async fn a_default_serves_whoever_has_none_of_their_own() {
    let rest = "litellm_settings: {default_fallbacks: [mock/echo]}
router_settings: {model_group_alias: {other: gpt}}";
    let world = World::with(rest).await;
    world.openai.always(Script::error(500));
    world.anthropic.always(Script::error(500));
    for model in ["gpt", "claude", "other"] {
        let body = chat(model, "echoed");
        let answer = ask(&world, CHAT, &body).await;
        assert_eq!(said(&answer, &body), "echoed");
        assert_eq!(answer.header("x-litellm-model-group"), Some("mock/echo"));
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_where_it_fits() {
    let rest = "router_settings: {context_window_fallbacks: [{gpt: [claude]}], \
                fallbacks: [{gpt: [mock/echo]}], content_policy_fallbacks: [{gpt: [claude]}]}";
    let world = World::with(rest).await;
    let refusal = |code: &str| {
        let body = json!({"error": {
            "message": "no", "type": "invalid_request_error", "param": "messages", "code": code
        }});
        Script::reply(400, &[("content-type", "application/json")], body.to_string())
    };
    for code in ["context_length_exceeded", "content_filter"] {
        world.openai.always(refusal(code));
        let body = chat("gpt", "hi");
        let answer = ask(&world, CHAT, &body).await;
        assert_eq!(said(&answer, &body), "You said: hi", "{code}");
        assert_eq!(answer.header("x-litellm-model-group"), Some("claude"), "{code}");
    }
}

#[tokio::test]
async fn there_is_an_end_to_it() {
    let rest = "router_settings: {max_fallbacks: 1, fallbacks: [{gpt: [claude, mock/echo]}]}";
    let world = World::with(rest).await;
    world.openai.always(Script::error(500));
    world.anthropic.always(Script::error(500));
    ask(&world, CHAT, &chat("gpt", "hi")).await.openai_error(500);
    assert_eq!(world.anthropic.requests().len(), 1);
}
