use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ziggurat_core::{Call, Caller, ErrorKind, Message, Payload, ReplyBody, Role, TokenCount};
use ziggurat_layers::route::Route;

use super::*;
use crate::config;
use crate::deployments::{Maker, Shared, catalogue};
use crate::registries::Registries;
use crate::upstream::Upstream;

type Served = Models<Route<Upstream>>;

fn served(text: &str) -> Served {
    let env = HashMap::from([("GROQ_API_KEY".to_owned(), "k".to_owned())]);
    let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env).unwrap();
    let registries = Registries::new();
    let (shared, _) = Shared::new(&config, &env, &registries);
    let makers = config.deployments.iter().map(|entry| Maker::new(entry, &shared).unwrap().0);
    let catalogue = catalogue(&config, makers.collect(), &registries, 7);
    let route = Route::new(Arc::clone(catalogue.table()));
    ModelsLayer::new(catalogue).layer(route)
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

async fn ask(served: &Served, call: Call) -> Result<Reply, Error> {
    served.clone().call(call).await
}

async fn said(served: &Served, model: &str) -> Result<String, Error> {
    let mut reply = ask(served, Call::chat(model).user("hi")).await?;
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
    let served = served(&saying(&[
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
        assert_eq!(said(&served, model).await.unwrap(), expected, "{model}");
    }
}

#[tokio::test]
async fn what_a_star_stands_for_is_sent() {
    let served = served("model_list: [{model_name: 'test/*', litellm_params: {model: 'mock/*'}}]");
    assert_eq!(said(&served, "test/echo").await.unwrap(), "hi");
    assert!(said(&served, "test/other").await.unwrap().contains("mock answer"));
}

#[tokio::test]
async fn an_unknown_model_is_a_404_that_names_it_and_what_there_is() {
    let names: Vec<String> = (0..7).map(|n| format!("m{n}")).collect();
    let names: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let error = said(&served(&saying(&names)), "gpt\u{7}-4o").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.code(), Some("model_not_found"));
    let expected = "there is no model `gpt-4o…`; there is `m0`, `m1`, `m2`, `m3`, `m4` and 2 more";
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn a_name_that_walks_about_is_no_model() {
    let served = served(&saying(&[("*", "any")]));
    for name in ["a/../b", "..", "a//b", "/a", "a b", "a?b", "a#b", "a%2e", "a\\b", "a\n", ""] {
        assert!(said(&served, name).await.is_err(), "{name:?}");
    }
    assert!(said(&served, &"x".repeat(257)).await.is_err());
    for name in ["ft:gpt-4o:org::id", "accounts/fireworks/models/k", "claude@20250101", "a.b"] {
        assert!(said(&served, name).await.is_ok(), "{name:?}");
    }
}

#[tokio::test]
async fn deployments_of_one_name_share_its_calls() {
    let served = served(&saying(&[("m", "a"), ("m", "b"), ("m", "c")]));
    let mut answers = HashSet::new();
    // That one of them is passed over all the time has a chance of one in ten to the seventeenth.
    for _ in 0..100 {
        answers.insert(said(&served, "m").await.unwrap());
    }
    assert_eq!(answers.len(), 3);
}

#[tokio::test]
async fn a_deployment_is_known_by_its_id_and_a_model_by_its_aliases() {
    let text = "model_list:
- {model_name: m, litellm_params: {model: openai/x, mock_response: one}, model_info: {id: first}}
- {model_name: m, litellm_params: {model: openai/x, mock_response: two}, model_info: {id: second}}
router_settings:
  model_group_alias: {shown: m, hidden: {model: shown, hidden: true}, dangling: nowhere}
";
    let served = served(text);
    for _ in 0..20 {
        assert_eq!(said(&served, "second").await.unwrap(), "two");
    }
    for alias in ["shown", "hidden"] {
        assert!(said(&served, alias).await.is_ok(), "{alias}");
    }
    let ReplyBody::Answer(Answer::Models(list)) =
        ask(&served, models(None)).await.unwrap().take_body()
    else {
        panic!("a list");
    };
    let list: Vec<_> = list.iter().map(|m| (m.id.as_str(), m.owned_by.as_str())).collect();
    assert_eq!(list, [("m", "mock"), ("shown", "mock")]);
}

#[tokio::test]
async fn who_may_not_use_a_model_does_not_see_it() {
    let served = served(&saying(&[("open", "x"), ("closed", "x")]));
    let caller = Caller::new("k").models(["open"]);
    let mut list = models(None);
    list.set_caller(caller.clone());
    let ReplyBody::Answer(Answer::Models(seen)) = ask(&served, list).await.unwrap().take_body()
    else {
        panic!("a list");
    };
    assert_eq!(seen.len(), 1);
    let mut one = models(Some("closed"));
    one.set_caller(caller);
    assert_eq!(ask(&served, one).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_list_has_names_and_patterns_in_the_order_of_the_file() {
    let text = "model_list:\n\
        - {model_name: z, litellm_params: {model: groq/x}}\n\
        - {model_name: 'groq/*', litellm_params: {model: 'groq/*'}}\n\
        - {model_name: z, litellm_params: {model: mock/x}}\n";
    let served = served(text);
    let ReplyBody::Answer(Answer::Models(list)) =
        ask(&served, models(None)).await.unwrap().take_body()
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
    let served = served(text);
    for name in ["groq/x", "groq/*"] {
        let mut reply = ask(&served, models(Some(name))).await.unwrap();
        let ReplyBody::Answer(Answer::Model(model)) = reply.take_body() else { panic!("a model") };
        assert_eq!(model.id, name);
    }
    // Nobody is known to serve the first, and the second's provider has no key.
    for name in ["nonsense", "gpt-4o"] {
        let error = ask(&served, models(Some(name))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
    }
}

#[tokio::test]
async fn an_open_model_says_why_nobody_serves_it() {
    let served = served("model_list: [{model_name: '*', litellm_params: {model: '*'}}]");
    for (model, why) in [
        ("gtp-4o", "did you mean `gpt-4o`?"),
        ("gpt-4o", "there is no key for OpenAI: set `api_key` or OPENAI_API_KEY"),
        ("sagemaker/x", "not supported yet"),
    ] {
        let error = said(&served, model).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_count_is_not_asked_to() {
    let text = "model_list:\n\
        - {model_name: m, litellm_params: {model: groq/llama-3, api_base: 'http://127.0.0.1:9'}}\n";
    let served = served(text);
    let mut chat = ziggurat_core::Chat::new();
    chat.messages.push(Message::text(Role::User, "12345678"));
    let payload = Payload::typed(Typed::CountTokens(Arc::new(chat)));
    let call = Call::new(Arc::clone(Call::chat("m").head()), "m", false, payload);
    let mut reply = ask(&served, call).await.unwrap();
    assert_eq!(reply.head().headers[&crate::estimate::ESTIMATED], "true");
    let ReplyBody::Answer(Answer::TokenCount(count)) = reply.take_body() else { panic!("a count") };
    assert_eq!(count, TokenCount { input_tokens: 4 + 4, estimated: true });
}
