//! Calls that go well: both dialects in, both dialects out, whole and streamed.

use serde_json::{Value, json};

use crate::client::{Answer, Ask};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

pub(crate) fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn messages(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

async fn openai(world: &World, body: &Value) -> Answer {
    Ask::json(CHAT, body).send(world.address()).await
}

async fn anthropic(world: &World, body: &Value) -> Answer {
    Ask::json(MESSAGES, body).header("anthropic-version", "2023-06-01").send(world.address()).await
}

#[tokio::test]
async fn every_client_reaches_every_provider_whole() {
    let world = World::plain().await;
    for (model, said) in [("gpt", "You said: hi"), ("claude", "You said: hi"), ("mock/echo", "hi")]
    {
        let answer = openai(&world, &chat(model, "hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["choices"][0]["message"]["content"], said, "{body}");
        assert!(body["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{body}");
        assert!(answer.header("content-length").is_some() && answer.complete);

        let answer = anthropic(&world, &messages(model, "hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["content"][0]["text"], said, "{body}");
        assert_eq!(body["stop_reason"], "end_turn");
        assert!(body["usage"]["input_tokens"].as_u64().unwrap() > 0, "{body}");
    }
}

#[tokio::test]
async fn every_client_reaches_every_provider_streamed() {
    let world = World::plain().await;
    let text = "one two three";
    for (model, said) in [
        ("gpt", "You said: one two three"),
        ("claude", "You said: one two three"),
        ("mock/echo", "one two three"),
    ] {
        let mut body = streamed(chat(model, text));
        body["stream_options"] = json!({"include_usage": true});
        let answer = openai(&world, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert!(answer.complete);
        assert_eq!(answer.spoken(), said, "{}", answer.text());
        let data = answer.data();
        assert_eq!(data.last().map(String::as_str), Some("[DONE]"));
        let usage: Value = serde_json::from_str(&data[data.len() - 2]).unwrap();
        assert!(usage["usage"]["completion_tokens"].as_u64().unwrap() > 0, "{usage}");

        let answer = anthropic(&world, &streamed(messages(model, text))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.spoken(), said, "{}", answer.text());
        let last: Value = serde_json::from_str(answer.data().last().unwrap()).unwrap();
        assert_eq!(last["type"], "message_stop");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_a_body() {
    let world = World::plain().await;
    let answer = Ask::json(CHAT, &chat("gpt", "hi")).chunked().send(world.address()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "You said: hi");
}

#[tokio::test]
async fn providers_get_their_own_key_and_nothing_that_is_not_theirs() {
    let world = World::plain().await;
    let mut body = chat("gpt", "hi");
    body["tags"] = json!(["t"]);
    body["no-log"] = json!(true);
    body["metadata"] = json!({"a": "b"});
    body["store"] = json!(true);
    let answer = Ask::json(CHAT, &body)
        .header("authorization", "Bearer sk-callers")
        .header("cookie", "c=1")
        .header("x-forwarded-for", "10.0.0.1")
        .send(world.address())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-ziggurat-losses"), Some("no-log=dropped"));
    assert_eq!(answer.header("x-ziggurat-deployment"), Some("at-openai"));
    let sent = world.openai.last_request();
    assert_eq!(sent.header("authorization"), Some("Bearer sk-openai"));
    assert_eq!((sent.header("cookie"), sent.header("x-forwarded-for")), (None, None));
    assert_eq!(sent.json()["model"], "gpt-4o");
    assert!(sent.json().get("tags").is_none());
    assert_eq!(sent.json()["metadata"], json!({"a": "b"}));

    let answer = anthropic(&world, &messages("claude", "hi")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.anthropic.last_request().header("x-api-key"), Some("sk-anthropic"));
}

#[tokio::test]
async fn callers_headers_are_sent_on_where_that_is_configured() {
    for on in [false, true] {
        let rest = format!("general_settings: {{forward_client_headers_to_llm_api: {on}}}");
        let world = World::with(&rest).await;
        for body in [chat("gpt", "hi"), chat("claude", "hi")] {
            let answer = Ask::json(CHAT, &body)
                .header("x-tenant", "acme")
                .header("x-my-api-key", "sk-callers")
                .header("x-api-key", "sk-callers")
                .header("x-forwarded-for", "10.0.0.1")
                .header("x-litellm-tags", "t")
                .header("anthropic-beta", "b-1")
                .send(world.address())
                .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let (openai, anthropic) = (world.openai.last_request(), world.anthropic.last_request());
        let tenant = on.then_some("acme");
        assert_eq!((openai.header("x-tenant"), anthropic.header("x-tenant")), (tenant, tenant));
        assert_eq!(anthropic.header("anthropic-beta"), on.then_some("b-1"));
        assert_eq!(anthropic.header("x-api-key"), Some("sk-anthropic"));
        for name in ["x-my-api-key", "x-forwarded-for", "x-litellm-tags", "anthropic-beta"] {
            assert_eq!(openai.header(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_or_else_estimated() {
    let world = World::plain().await;
    let path = "/v1/messages/count_tokens";
    let body =
        |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "a b"}]});
    let counted = Ask::json(path, &body("claude")).send(world.address()).await;
    assert_eq!(counted.status, 200, "{}", counted.text());
    assert!(counted.json()["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(counted.header("x-ziggurat-estimated"), None);
    assert_eq!(world.anthropic.last_request().path, path);

    // OpenAI's own encoding, where it is compiled in: two tokens, four around the message, three before the answer.
    let exact = cfg!(feature = "tiktoken");
    let of_gpt = if exact { (9, None) } else { (5, Some("true")) };
    for (model, (tokens, estimated)) in [("gpt", of_gpt), ("mock/echo", (5, Some("true")))] {
        let told = Ask::json(path, &body(model)).send(world.address()).await;
        assert_eq!(told.json(), json!({"input_tokens": tokens}));
        assert_eq!(told.header("x-ziggurat-estimated"), estimated);
    }
    assert_eq!(world.openai.request_count(), 0);

    // LiteLLM's path, with a conversation or a bare prompt.
    for (body, asked) in [
        (body("claude"), "claude"),
        (json!({"model": "claude", "prompt": "a b"}), "claude"),
        (json!({"model": "gpt", "prompt": "a b"}), "gpt"),
    ] {
        let told = Ask::json("/utils/token_counter", &body).send(world.address()).await.json();
        assert!(told["total_tokens"].as_u64().unwrap() > 0, "{told}");
        assert_eq!(told["request_model"], asked);
    }
    let refused = Ask::json("/utils/token_counter", &json!({"model": "gpt"}));
    assert_eq!(refused.send(world.address()).await.json()["error"]["param"], "messages");
}

#[tokio::test]
async fn models_are_listed_in_the_askers_dialect() {
    let world = World::plain().await;
    let list = Ask::get("/v1/models").send(world.address()).await.json();
    assert_eq!(list["object"], "list");
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["gpt", "claude", "mock/*"]);
    let theirs = Ask::get("/v1/models").header("anthropic-version", "2023-06-01");
    let list = theirs.send(world.address()).await.json();
    assert_eq!(list["data"][1]["type"], "model");
    assert_eq!(list["last_id"], "mock/*");

    let one = Ask::get("/v1/models/gpt").send(world.address()).await.json();
    assert_eq!(one["id"], "gpt");
    let none = Ask::get("/v1/models/nothing").send(world.address()).await;
    assert!(none.openai_error(404).contains("`nothing`"));
    assert_eq!(none.json()["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn the_model_may_stand_in_the_path() {
    let world = World::plain().await;
    let mut body = chat("ignored", "hi");
    body.as_object_mut().unwrap().remove("model");
    for path in ["/openai/deployments/claude/chat/completions", "/engines/gpt/chat/completions"] {
        let answer = Ask::json(path, &body).send(world.address()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_loss_policy_of_the_callers_holds() {
    let world = World::plain().await;
    let mut body = chat("claude", "hi");
    body["seed"] = json!(7);
    let answer = openai(&world, &body).await;
    assert_eq!(answer.header("x-ziggurat-losses"), Some("seed=dropped"));
    body["drop_params"] = json!(false);
    let answer = openai(&world, &body).await;
    assert!(answer.openai_error(400).contains("`seed`"));
}

#[tokio::test]
async fn health_is_told_to_everyone() {
    let world = World::with("general_settings: {master_key: sk-1234}").await;
    for path in ["/", "/health/liveliness", "/health/liveness", "/health/readiness"] {
        assert_eq!(Ask::get(path).send(world.address()).await.status, 200, "{path}");
    }
    assert_eq!(Ask::new("HEAD", "/").send(world.address()).await.status, 200);
    let preflight = Ask::new("OPTIONS", CHAT)
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization");
    let answer = preflight.send(world.address()).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization"));
}

#[tokio::test]
async fn an_answer_says_what_it_cost_by_the_list_of_prices() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("prices.json");
    // A dollar a token in, two out: nobody can overlook which list it was.
    let prices = json!({"gpt-4o": {
        "litellm_provider": "openai", "input_cost_per_token": 1, "output_cost_per_token": 2,
    }});
    std::fs::write(&list, prices.to_string()).unwrap();
    let rest = format!("litellm_settings: {{model_cost_map_url: '{}'}}", list.display());
    let world = World::with(&rest).await;
    let answer = openai(&world, &chat("gpt", "hi")).await;
    let usage = &answer.json()["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    let (input, output) = (count("prompt_tokens"), count("completion_tokens"));
    let dollars = |amount: u64| format!("{amount}.000000000");
    let header = |name: &str| answer.header(name).map(str::to_owned);
    assert_eq!(header("x-litellm-response-cost"), Some(dollars(input + 2 * output)));
    assert_eq!(header("x-litellm-response-cost-input"), Some(dollars(input)));
    assert_eq!(header("x-litellm-response-cost-output"), Some(dollars(2 * output)));
    assert_eq!(header("x-ziggurat-cost"), Some(dollars(input + 2 * output)));
    // What is not in the list is in the catalogue, and translated answers have their price, too.
    let answer = anthropic(&world, &messages("gpt", "hi")).await;
    assert_eq!(answer.header("x-ziggurat-cost"), Some(&*dollars(input + 2 * output)));
    let answer = openai(&world, &chat("claude", "hi")).await;
    let cost = answer.header("x-ziggurat-cost").unwrap();
    assert!(cost.starts_with("0.000") && cost != "0.000000000", "{cost}");
    // Nobody knows what an echo costs.
    assert_eq!(openai(&world, &chat("mock/echo", "hi")).await.header("x-ziggurat-cost"), None);
}
