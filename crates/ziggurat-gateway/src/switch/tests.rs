use std::collections::HashMap;

use ziggurat_core::{
    Call, Caller, End, Guard, Message, Payload, ReplyBody, Role, Settlement, TokenCount,
};

use super::*;
use crate::config;
use crate::deployments::{Maker, Shared};
use crate::registries::Registries;

fn switch(text: &str) -> Switch {
    let env = HashMap::from([("GROQ_API_KEY".to_owned(), "k".to_owned())]);
    let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env).unwrap();
    let shared = Shared::new(&config, &env, &Registries::new());
    let makers =
        config.deployments.iter().map(|entry| Maker::new(entry, &shared).unwrap().0).collect();
    let only = config.general.completion_model.as_deref();
    Switch::new(Arc::new(Table::new(makers, only, 7)))
}

/// Deployments that say their own names.
fn saying(names: &[(&str, &str)]) -> String {
    let entry = |(name, says): &(&str, &str)| {
        format!(
            "- {{model_name: '{name}', litellm_params: {{model: openai/x, mock_response: {says}}}}}\n"
        )
    };
    format!("model_list:\n{}", names.iter().map(entry).collect::<String>())
}

async fn ask(switch: &Switch, call: Call) -> Result<Reply, Error> {
    switch.clone().call(call).await
}

async fn said(switch: &Switch, model: &str) -> Result<String, Error> {
    let mut reply = ask(switch, Call::chat(model).user("hi")).await?;
    match reply.take_body() {
        ReplyBody::Answer(Answer::Chat(reply)) => Ok(reply.text()),
        other => panic!("{other:?}"),
    }
}

fn models(asked: Option<&str>) -> Call {
    let payload = Payload::typed(Typed::Models(asked.map(Into::into)));
    Call::new(Arc::clone(Call::chat("").head()), "", false, payload)
}

#[tokio::test]
async fn a_name_wins_over_patterns_and_the_specific_over_the_general() {
    let switch = switch(&saying(&[
        ("*", "any"),
        ("openai/*", "openai"),
        ("openai/gpt-*", "gpt"),
        ("openai/gpt-4o", "exact"),
    ]));
    for (model, expected) in [
        ("openai/gpt-4o", "exact"),
        ("openai/gpt-5", "gpt"),
        ("openai/o3", "openai"),
        ("claude", "any"),
    ] {
        assert_eq!(said(&switch, model).await.unwrap(), expected, "{model}");
    }
}

#[tokio::test]
async fn what_a_star_stands_for_is_sent() {
    let switch = switch("model_list: [{model_name: 'test/*', litellm_params: {model: 'mock/*'}}]");
    assert_eq!(said(&switch, "test/echo").await.unwrap(), "hi");
    assert!(said(&switch, "test/other").await.unwrap().contains("mock answer"));
}

#[tokio::test]
async fn an_unknown_model_is_a_404_that_names_it_and_what_there_is() {
    let names: Vec<String> = (0..7).map(|n| format!("m{n}")).collect();
    let names: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let error = said(&switch(&saying(&names)), "gpt\u{7}-4o").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.code(), Some("model_not_found"));
    let expected = "there is no model `gpt-4o…`; there is `m0`, `m1`, `m2`, `m3`, `m4` and 2 more";
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn a_name_that_walks_about_is_no_model() {
    let switch = switch(&saying(&[("*", "any")]));
    for name in ["a/../b", "..", "a//b", "/a", "a b", "a?b", "a#b", "a%2e", "a\\b", "a\n", ""] {
        assert!(said(&switch, name).await.is_err(), "{name:?}");
    }
    assert!(said(&switch, &"x".repeat(257)).await.is_err());
    for name in ["ft:gpt-4o:org::id", "accounts/fireworks/models/k", "claude@20250101", "a.b"] {
        assert!(said(&switch, name).await.is_ok(), "{name:?}");
    }
}

#[tokio::test]
async fn deployments_of_one_name_take_turns() {
    let switch = switch(&saying(&[("m", "a"), ("m", "b"), ("m", "c")]));
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(said(&switch, "m").await.unwrap());
    }
    assert_eq!(answers, ["a", "b", "c", "a", "b", "c"]);
}

fn held(model: &str) -> (Call, Guard) {
    let guard = Settlement::open();
    let mut call = Call::chat(model).user("hi");
    call.set_scope(guard.scope());
    (call, guard)
}

#[tokio::test]
async fn a_deployment_that_is_full_is_passed_over_until_all_are() {
    let text = "model_list:\n\
        - {model_name: m, litellm_params: {model: mock/a, max_parallel_requests: 1}}\n\
        - {model_name: m, litellm_params: {model: mock/b, max_parallel_requests: 1}}\n";
    let switch = switch(text);
    let (first, one) = held("m");
    let (second, two) = held("m");
    let a = ask(&switch, first).await.unwrap().head().model.clone();
    let b = ask(&switch, second).await.unwrap().head().model.clone();
    assert_eq!((a.as_deref(), b.as_deref()), (Some("a"), Some("b")));
    let (third, guard) = held("m");
    let error = ask(&switch, third).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::RateLimit, Some("max_parallel_requests")));
    assert!(error.retry_after().is_some());
    drop(guard);
    two.close(End::Success);
    let (fourth, _guard) = held("m");
    assert_eq!(ask(&switch, fourth).await.unwrap().head().model.as_deref(), Some("b"));
    drop(one);
}

#[tokio::test]
async fn who_may_not_use_a_model_is_told_so_and_does_not_see_it() {
    let switch = switch(&saying(&[("open", "x"), ("closed", "x")]));
    let caller = Caller::new("k").models(["open"]);
    let mut call = Call::chat("closed").user("hi");
    call.set_caller(caller.clone());
    assert_eq!(ask(&switch, call).await.unwrap_err().kind(), ErrorKind::Permission);
    let mut list = models(None);
    list.set_caller(caller.clone());
    let ReplyBody::Answer(Answer::Models(seen)) = ask(&switch, list).await.unwrap().take_body()
    else {
        panic!("a list");
    };
    assert_eq!(seen.len(), 1);
    let mut one = models(Some("closed"));
    one.set_caller(caller);
    assert_eq!(ask(&switch, one).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_list_has_names_and_patterns_in_the_order_of_the_file() {
    let text = "model_list:\n\
        - {model_name: z, litellm_params: {model: groq/x}}\n\
        - {model_name: 'groq/*', litellm_params: {model: 'groq/*'}}\n\
        - {model_name: z, litellm_params: {model: mock/x}}\n";
    let switch = switch(text);
    let ReplyBody::Answer(Answer::Models(list)) =
        ask(&switch, models(None)).await.unwrap().take_body()
    else {
        panic!("a list");
    };
    let list: Vec<_> =
        list.iter().map(|m| (m.id.as_str(), m.owned_by.as_str(), m.created)).collect();
    assert_eq!(list, [("z", "groq", 7), ("groq/*", "groq", 7)]);
}

#[tokio::test]
async fn one_model_is_known_if_somebody_serves_it() {
    let text = "model_list:\n\
        - {model_name: 'groq/*', litellm_params: {model: 'groq/*'}}\n\
        - {model_name: '*', litellm_params: {model: '*'}}\n";
    let switch = switch(text);
    for name in ["groq/x", "groq/*"] {
        let mut reply = ask(&switch, models(Some(name))).await.unwrap();
        let ReplyBody::Answer(Answer::Model(model)) = reply.take_body() else { panic!("a model") };
        assert_eq!(model.id, name);
    }
    // Nobody is known to serve the first, and the second's provider has no key.
    for name in ["nonsense", "gpt-4o"] {
        let error = ask(&switch, models(Some(name))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
    }
}

#[tokio::test]
async fn an_open_model_says_why_nobody_serves_it() {
    let switch = switch("model_list: [{model_name: '*', litellm_params: {model: '*'}}]");
    for (model, why) in [
        ("gtp-4o", "did you mean `gpt-4o`?"),
        ("gpt-4o", "there is no key for OpenAI: set `api_key` or OPENAI_API_KEY"),
        ("gemini/x", "not supported yet"),
    ] {
        let error = said(&switch, model).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains(why), "{error}");
    }
}

#[tokio::test]
async fn models_of_callers_choice_do_not_fill_the_memory() {
    let switch = switch("model_list: [{model_name: '*', litellm_params: {model: 'mock/*'}}]");
    for n in 0..2000 {
        said(&switch, &format!("m{n}")).await.unwrap();
    }
    assert_eq!(switch.table.kept(), 512);
}

#[tokio::test]
async fn the_configured_model_answers_whatever_is_asked_for() {
    let text = format!(
        "{}general_settings: {{completion_model: only}}\n",
        saying(&[("only", "only"), ("other", "other")])
    );
    let switch = switch(&text);
    for model in ["other", "unheard-of"] {
        assert_eq!(said(&switch, model).await.unwrap(), "only");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_count_is_not_asked_to() {
    let text = "model_list:\n\
        - {model_name: m, litellm_params: {model: openai/gpt-4o, api_base: 'http://127.0.0.1:9'}}\n";
    let switch = switch(text);
    let mut chat = ziggurat_core::Chat::new();
    chat.messages.push(Message::text(Role::User, "12345678"));
    let payload = Payload::typed(Typed::CountTokens(Arc::new(chat)));
    let call = Call::new(Arc::clone(Call::chat("m").head()), "m", false, payload);
    let mut reply = ask(&switch, call).await.unwrap();
    assert_eq!(reply.head().headers[&crate::estimate::ESTIMATED], "true");
    let ReplyBody::Answer(Answer::TokenCount(count)) = reply.take_body() else { panic!("a count") };
    assert_eq!(count, TokenCount { input_tokens: 6, estimated: true });
}
