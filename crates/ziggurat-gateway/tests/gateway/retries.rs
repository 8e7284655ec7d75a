//! Calls that fail, and are tried again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use ziggurat_testkit::{After, Script};

use crate::calls::{chat, messages, streamed};
use crate::client::{Answer, Ask};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// Waits are short, so that nothing here takes long.
const QUICK: &str = "ziggurat: {retry: {backoff_base: 1ms, backoff_cap: 5ms}}";

async fn ask(world: &World, path: &str, body: &Value) -> Answer {
    Ask::json(path, body).send(world.address()).await
}

async fn patient() -> World {
    World::params(", num_retries: 2", QUICK).await
}

#[tokio::test]
async fn what_failed_is_tried_again_in_every_dialect() {
    let world = patient().await;
    for (path, body) in [
        (CHAT, chat("gpt", "hi")),
        (CHAT, streamed(chat("gpt", "hi"))),
        (MESSAGES, messages("gpt", "hi")),
        (MESSAGES, streamed(messages("gpt", "hi"))),
    ] {
        world.openai.script(Script::error(500));
        world.openai.script(Script::html_error(502));
        let answer = ask(&world, path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-ziggurat-attempts"), Some("3"));
        assert_eq!(answer.header("x-litellm-attempted-retries"), Some("2"));
        assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("0"));
        let text = answer.text();
        assert!(text.contains("hi") && !text.contains("error"), "{text}");
    }
}

#[tokio::test]
async fn an_overload_inside_a_200_is_tried_again() {
    let world = patient().await;
    for (path, body) in [(CHAT, chat("gpt", "hi")), (MESSAGES, messages("gpt", "hi"))] {
        world.openai.script(Script::behave().error_event_after(0));
        let answer = ask(&world, path, &streamed(body)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.spoken(), "You said: hi");
        assert_eq!(answer.header("x-ziggurat-attempts"), Some("2"));
    }
    for script in [Script::sse(["data: [DONE]\n\n"]), Script::behave().reset_after(After::Bytes(0))]
    {
        world.openai.script(script);
        let answer = ask(&world, CHAT, &streamed(chat("gpt", "hi"))).await;
        assert_eq!(answer.spoken(), "You said: hi");
        assert_eq!(answer.header("x-ziggurat-attempts"), Some("2"));
    }
}

#[tokio::test]
async fn what_was_said_is_never_said_twice() {
    let world = patient().await;
    let text = "one two three four five six";
    for (path, body) in [(CHAT, chat("gpt", text)), (MESSAGES, messages("gpt", text))] {
        let asked = world.openai.requests().len();
        world.openai.script(Script::behave().cut_after(After::Events(4)));
        let answer = ask(&world, path, &streamed(body)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(r#""error""#), "{}", answer.text());
        assert_eq!(answer.spoken().matches("You said").count(), 1, "{}", answer.text());
        assert_eq!(world.openai.requests().len() - asked, 1);
    }
}

#[tokio::test]
async fn the_first_error_is_the_answer_when_nothing_helps() {
    let world = patient().await;
    world.openai.script(Script::html_error(502));
    world.openai.always(Script::error(500));
    let answer = ask(&world, CHAT, &chat("gpt", "hi")).await;
    answer.openai_error(502);
    assert_eq!(answer.header("x-ziggurat-attempts"), Some("3"));
    assert_eq!(answer.header("x-litellm-attempted-retries"), Some("2"));
}

#[tokio::test]
async fn a_callers_mistake_is_not_repeated() {
    let world = patient().await;
    world.openai.always(Script::error(400));
    let answer = ask(&world, CHAT, &chat("gpt", "hi")).await;
    answer.openai_error(400);
    assert_eq!(world.openai.requests().len(), 1);
}

#[tokio::test]
async fn callers_say_how_often() {
    let world = patient().await;
    world.openai.always(Script::error(500));
    let asked = |world: &World| world.openai.requests().len();
    let mut body = chat("gpt", "hi");
    for retries in [0, 1, 4] {
        let before = asked(&world);
        body["num_retries"] = json!(retries);
        let answer = ask(&world, CHAT, &body).await;
        answer.openai_error(500);
        assert_eq!(asked(&world) - before, retries + 1);
        assert!(answer.header("x-ziggurat-losses").is_none());
    }
    let before = asked(&world);
    let header = Ask::json(MESSAGES, &messages("gpt", "hi")).header("x-litellm-num-retries", "0");
    header.send(world.address()).await.anthropic_error(500);
    assert_eq!(asked(&world) - before, 1);
    body["num_retries"] = json!("often");
    assert!(ask(&world, CHAT, &body).await.openai_error(400).contains("`num_retries`"));
}

#[tokio::test]
async fn retry_after_is_waited_for_within_reason() {
    let world = patient().await;
    let throttled = |wait: &str| Script::reply(429, &[("retry-after", wait)], "{}");
    world.openai.script(throttled("1"));
    let began = Instant::now();
    let answer = ask(&world, CHAT, &chat("gpt", "hi")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(began.elapsed() >= Duration::from_secs(1));
    // An hour is not.
    world.openai.script(throttled("3600"));
    let answer = ask(&world, CHAT, &chat("gpt", "hi")).await;
    answer.openai_error(429);
    assert_eq!(answer.header("retry-after"), Some("3600"));
}

#[tokio::test]
async fn a_policy_counts_by_the_kind_of_error() {
    let rest = format!(
        "{QUICK}\nrouter_settings: {{retry_policy: {{InternalServerErrorRetries: 0, \
         BadGatewayErrorRetries: 4}}}}"
    );
    let world = World::params(", num_retries: 2", &rest).await;
    for (status, times) in [(500, 1), (502, 5), (409, 3)] {
        let before = world.openai.requests().len();
        world.openai.always(Script::reply(status, &[], "{}"));
        ask(&world, CHAT, &chat("gpt", "hi")).await.openai_error(status);
        assert_eq!(world.openai.requests().len() - before, times, "{status}");
    }
}

#[tokio::test]
async fn what_must_be_said_is_asked_for() {
    let rest = "general_settings: {enforce_user_param: true, enforced_params: [metadata.team]}";
    let world = World::with(rest).await;
    let refused = ask(&world, CHAT, &chat("gpt", "hi")).await.openai_error(400);
    assert!(refused.contains("user") || refused.contains("metadata"), "{refused}");
    let mut body = chat("gpt", "hi");
    body["user"] = json!("u");
    body["metadata"] = json!({"team": "t"});
    assert_eq!(ask(&world, CHAT, &body).await.status, 200);
}

#[tokio::test]
async fn an_alias_is_its_model() {
    let rest =
        "router_settings: {model_group_alias: {other: gpt, third: {model: other, hidden: true}}}";
    let world = World::with(rest).await;
    for model in ["other", "third"] {
        let answer = ask(&world, CHAT, &chat(model, "hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-ziggurat-deployment"), Some("at-openai"));
    }
}
