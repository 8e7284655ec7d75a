//! Providers that misbehave in every way there is.

use std::time::Duration;

use serde_json::Value;
use ziggurat_testkit::{After, Script};

use crate::calls::{chat, messages, streamed};
use crate::client::{Answer, Ask};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

async fn ask(world: &World, path: &str, body: &Value) -> Answer {
    Ask::json(path, body).send(world.address()).await
}

/// Sends a whole call to OpenAI in both dialects, with this script for each; the messages.
async fn whole(world: &World, script: &Script, status: u16) -> [String; 2] {
    world.openai.always(script.clone());
    let openai = ask(world, CHAT, &chat("gpt", "hi")).await;
    assert_eq!(openai.header("x-ziggurat-deployment"), Some("at-openai"));
    let anthropic = ask(world, MESSAGES, &messages("gpt", "hi")).await;
    [openai.openai_error(status), anthropic.anthropic_error(theirs(status))]
}

/// The same, streamed, where the answer fails before it begins.
async fn never_begun(world: &World, script: &Script, status: u16) -> [String; 2] {
    world.openai.always(script.clone());
    let openai = ask(world, CHAT, &streamed(chat("gpt", "hi"))).await.openai_error(status);
    let anthropic = ask(world, MESSAGES, &streamed(messages("gpt", "hi"))).await;
    [openai, anthropic.anthropic_error(theirs(status))]
}

/// Anthropic has a status of its own for an overload.
fn theirs(status: u16) -> u16 {
    if status == 503 { 529 } else { status }
}

/// The same, where the answer breaks after it has begun: it ends with an error, and with no invented finish.
async fn broken(world: &World, script: &Script) {
    world.openai.always(script.clone());
    let text = "one two three four five six";
    let openai = ask(world, CHAT, &streamed(chat("gpt", text))).await;
    assert_eq!(openai.status, 200);
    assert!(openai.spoken().starts_with("You said:"), "{}", openai.text());
    let data = openai.data();
    let failure = data.iter().rfind(|data| *data != "[DONE]").unwrap();
    let failure: Value = serde_json::from_str(failure).unwrap();
    assert!(failure["error"]["message"].is_string(), "{}", openai.text());
    assert!(!openai.text().contains(r#""finish_reason":"stop""#), "{}", openai.text());

    let anthropic = ask(world, MESSAGES, &streamed(messages("gpt", text))).await;
    assert_eq!(anthropic.status, 200);
    let failure: Value = serde_json::from_str(anthropic.data().last().unwrap()).unwrap();
    assert_eq!(failure["type"], "error", "{}", anthropic.text());
    assert!(!anthropic.text().contains("message_stop"), "{}", anthropic.text());
}

#[tokio::test]
async fn the_vendors_own_errors_keep_their_meaning() {
    let world = World::plain().await;
    for (status, seen) in [(400, 400), (404, 404), (429, 429), (500, 500), (503, 503), (401, 502)] {
        whole(&world, &Script::error(status), seen).await;
        never_begun(&world, &Script::error(status), seen).await;
    }
}

#[tokio::test]
async fn an_error_of_the_same_dialect_comes_as_it_was_said() {
    let world = World::plain().await;
    let body = r#"{"error":{"message":"m","type":"t","param":"p","code":"c","more":1}}"#;
    let script =
        Script::reply(418, &[("content-type", "application/json"), ("x-request-id", "r")], body);
    world.openai.always(script);
    let answer = ask(&world, CHAT, &chat("gpt", "hi")).await;
    assert_eq!((answer.status, answer.text().as_str()), (418, body));
    assert_eq!(answer.header("x-ziggurat-provider-request-id"), Some("r"));
    assert_eq!(answer.header("x-ziggurat-provider-status"), Some("418"));
}

#[tokio::test]
async fn an_overload_stays_visible_to_anthropics_clients() {
    let world = World::plain().await;
    world.anthropic.always(Script::error(529));
    let answer = ask(&world, MESSAGES, &messages("claude", "hi")).await;
    answer.anthropic_error(529);
    assert_eq!(answer.json()["error"]["type"], "overloaded_error");
    ask(&world, CHAT, &chat("claude", "hi")).await.openai_error(503);
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let world = World::plain().await;
    let text = "[error:429:9]";
    for (path, body) in [(CHAT, chat("gpt", text)), (MESSAGES, messages("gpt", text))] {
        let answer = ask(&world, path, &body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("9")));
    }
}

#[tokio::test]
async fn a_page_of_html_is_no_answer() {
    let world = World::plain().await;
    let html = Script::reply(200, &[("content-type", "text/html")], "<html>welcome</html>");
    whole(&world, &html, 502).await;
    never_begun(&world, &html, 502).await;
    for status in [502, 503] {
        let [openai, _] = whole(&world, &Script::html_error(status), status).await;
        assert!(!openai.contains("<html>"), "{openai}");
        never_begun(&world, &Script::html_error(status), status).await;
    }
}

#[tokio::test]
async fn json_that_is_cut_or_of_another_kind_is_no_answer() {
    let world = World::plain().await;
    let json = [("content-type", "application/json")];
    for body in
        ["", "{", r#"{"id":"x","choices":[{"index":0"#, "null", "[]", r#"{"hello":"world"}"#]
    {
        whole(&world, &Script::reply(200, &json, body), 502).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_a_502() {
    let world = World::plain().await;
    for script in [
        Script::raw(""),
        Script::raw("HTTP/1.1 200 OK\r\ncontent-le"),
        Script::raw("this is no http\r\n\r\n"),
        Script::behave().reset_after(After::Bytes(0)),
    ] {
        whole(&world, &script, 502).await;
        never_begun(&world, &script, 502).await;
    }
}

#[tokio::test]
async fn a_body_that_is_shorter_than_it_claims_is_a_502() {
    let world = World::plain().await;
    whole(&world, &Script::behave().lie_length(100_000), 502).await;
    whole(&world, &Script::behave().cut_after(After::Bytes(20)), 502).await;
    whole(&world, &Script::behave().reset_after(After::Bytes(20)), 502).await;
    whole(&world, &Script::behave().lie_length(20), 502).await;
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_502() {
    let text = "model_list: [{model_name: gpt, litellm_params: {model: openai/gpt-4o, \
                api_base: 'http://127.0.0.1:1/v1', api_key: k}, model_info: {id: d}}]";
    let gateway = crate::world::run(text).await;
    let answer = Ask::json(CHAT, &chat("gpt", "hi")).send(gateway.address).await;
    assert!(answer.openai_error(502).contains("could not be reached"));
    assert_eq!(answer.header("x-ziggurat-deployment"), Some("d"));
}

#[tokio::test]
async fn a_provider_that_never_answers_is_a_504() {
    let world = World::params(", timeout: 0.3", "").await;
    whole(&world, &Script::never_answer(), 504).await;
    never_begun(&world, &Script::never_answer(), 504).await;
    for _ in 0..4 {
        world.openai.wait_disconnect().await;
    }
    world.openai.always(Script::behave().delay_head(Duration::from_secs(60)));
    ask(&world, CHAT, &chat("gpt", "hi")).await.openai_error(504);
}

#[tokio::test]
async fn a_callers_own_timeout_is_a_504_too() {
    let world = World::plain().await;
    world.openai.always(Script::never_answer());
    let mut body = chat("gpt", "hi");
    body["timeout"] = serde_json::json!(0.2);
    ask(&world, CHAT, &body).await.openai_error(504);
    let ask = Ask::json(CHAT, &chat("gpt", "hi")).header("x-litellm-timeout", "0.2");
    ask.send(world.address()).await.openai_error(504);
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_with_an_error() {
    let world = World::params(", stream_timeout: 0.3", "").await;
    broken(&world, &Script::behave().stall_after(4)).await;
    // Before any content it is an error like any other.
    never_begun(&world, &Script::behave().stall_after(0), 504).await;
    never_begun(&world, &Script::sse([": ping\n\n"]).stall_after(1), 504).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error() {
    let world = World::plain().await;
    broken(&world, &Script::behave().cut_after(After::Events(4))).await;
    broken(&world, &Script::behave().reset_after(After::Events(4))).await;
    broken(&world, &Script::behave().until_close().cut_after(After::Events(4))).await;
}

#[tokio::test]
async fn an_error_event_in_a_stream_is_passed_on() {
    let world = World::plain().await;
    broken(&world, &Script::behave().error_event_after(4)).await;
    // Before any content it is the answer's status.
    let [message, _] = never_begun(&world, &Script::behave().error_event_after(0), 500).await;
    assert!(!message.is_empty());
}

#[tokio::test]
async fn an_empty_stream_is_a_502() {
    let world = World::plain().await;
    let none: [&str; 0] = [];
    never_begun(&world, &Script::sse(none), 502).await;
    never_begun(&world, &Script::sse(["data: [DONE]\n\n"]), 502).await;
}

#[tokio::test]
async fn an_event_without_end_is_bounded() {
    let world = World::with("ziggurat: {limits: {max_event_bytes: 10KB}}").await;
    let endless = format!("data: {}", "x".repeat(100_000));
    never_begun(&world, &Script::sse([endless]), 502).await;
}

#[tokio::test]
async fn an_answer_without_end_is_bounded() {
    let world = World::with("general_settings: {max_response_size_mb: 0.01}").await;
    let json = [("content-type", "application/json")];
    let endless = format!(r#"{{"id":"{}"}}"#, "x".repeat(100_000));
    whole(&world, &Script::reply(200, &json, endless), 502).await;
}

#[tokio::test]
async fn a_stream_is_the_same_however_it_is_chopped() {
    let world = World::plain().await;
    let text = "häpp🎉 one two three";
    for script in [
        Script::behave().split_every(1),
        Script::behave().split_every(7),
        Script::behave().until_close(),
    ] {
        world.openai.always(script);
        for (path, body) in [(CHAT, chat("gpt", text)), (MESSAGES, messages("gpt", text))] {
            let answer = ask(&world, path, &streamed(body)).await;
            assert_eq!(answer.spoken(), format!("You said: {text}"));
            assert!(answer.complete);
        }
    }
}

#[tokio::test]
async fn silence_is_filled_with_keep_alives_where_that_is_wanted() {
    let world = World::with("ziggurat: {keepalive_after: 50ms}").await;
    world.openai.always(Script::behave().delay_head(Duration::from_millis(400)));
    let openai = ask(&world, CHAT, &streamed(chat("gpt", "hi"))).await;
    assert_eq!((openai.status, openai.spoken().as_str()), (200, "You said: hi"));
    assert!(openai.text().starts_with(':'), "{}", openai.text());
    let anthropic = ask(&world, MESSAGES, &streamed(messages("gpt", "hi"))).await;
    assert!(anthropic.text().contains("event: ping"), "{}", anthropic.text());
    assert_eq!(anthropic.spoken(), "You said: hi");
    // Once it has begun, a failure is told in the stream.
    let slow = Script::error(500).delay_head(Duration::from_millis(200));
    world.openai.always(slow);
    let failed = ask(&world, CHAT, &streamed(chat("gpt", "hi"))).await;
    assert_eq!(failed.status, 200);
    assert!(failed.text().contains(r#""error""#), "{}", failed.text());
}
