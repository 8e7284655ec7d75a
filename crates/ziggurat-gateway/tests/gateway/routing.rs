//! Several deployments of one model: which of them is asked, and what becomes of those that fail.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use ziggurat_gateway::{Ending, Gateway, Registries, config};
use ziggurat_testkit::{FakeProvider, Script};

use crate::calls::{chat, messages, streamed};
use crate::client::{Answer, Ask, Connection};
use crate::world::{Running, run, serve};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// No wait of a retry is as short as this.
const AT_ONCE: Duration = Duration::from_millis(400);

/// One of the deployments of the model `gpt`: its id, its parameters (`, name: value`), its `model_info`.
struct One<'a>(&'a str, &'a FakeProvider, &'a str, &'a str);

fn text(deployments: &[One<'_>], rest: &str) -> String {
    let entry = |One(id, provider, params, info): &One<'_>| {
        format!(
            "- {{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', api_key: k{params}}}, \
             model_info: {{id: {id}{info}}}}}\n",
            provider.base_url()
        )
    };
    format!("model_list:\n{}{rest}\n", deployments.iter().map(entry).collect::<String>())
}

/// Two deployments, `a` and `b`, with these parameters.
async fn pair(params: [&str; 2], rest: &str) -> (Running, FakeProvider, FakeProvider) {
    let (a, b) = (FakeProvider::openai().spawn().await, FakeProvider::openai().spawn().await);
    let text = text(&[One("a", &a, params[0], ""), One("b", &b, params[1], "")], rest);
    (run(&text).await, a, b)
}

async fn ask(gateway: &Running, body: &Value) -> Answer {
    Ask::json(CHAT, body).send(gateway.address).await
}

/// Asks so often; how many calls each deployment has answered.
async fn spread(gateway: &Running, times: usize) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..times {
        let answer = ask(gateway, &chat("gpt", "hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let deployment = answer.header("x-ziggurat-deployment").unwrap().to_owned();
        *counts.entry(deployment).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_sibling_takes_the_call_at_once_and_who_failed_is_left_alone() {
    for script in [Script::reply(429, &[("retry-after", "30")], "{}"), Script::error(401)] {
        for (path, body) in [
            (CHAT, chat("gpt", "hi")),
            (CHAT, streamed(chat("gpt", "hi"))),
            (MESSAGES, messages("gpt", "hi")),
            (MESSAGES, streamed(messages("gpt", "hi"))),
        ] {
            let (gateway, a, b) = pair([", order: 1", ", order: 2"], "").await;
            a.always(script.clone());
            let began = Instant::now();
            let answer = Ask::json(path, &body).send(gateway.address).await;
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("x-ziggurat-deployment"), Some("b"));
            assert_eq!(answer.header("x-ziggurat-attempts"), Some("2"));
            assert_eq!(spread(&gateway, 5).await["b"], 5);
            assert_eq!((a.request_count(), b.request_count()), (1, 6));
        }
    }
}

#[tokio::test]
async fn a_deployment_that_breaks_again_and_again_is_left_alone() {
    let (gateway, a, _b) = pair([", order: 1", ", order: 2"], "").await;
    a.always(Script::error(500));
    let began = Instant::now();
    let counts = spread(&gateway, 20).await;
    assert!(began.elapsed() < AT_ONCE * 20);
    assert_eq!(counts["b"], 20);
    // More than half of at least five calls in a minute.
    assert_eq!(a.request_count(), 5);
}

#[tokio::test]
async fn allowed_fails_count_and_their_policy_wins() {
    let rest = "router_settings: {allowed_fails: 1, allowed_fails_policy: {RateLimitErrorAllowedFails: 3}}";
    for (status, asked) in [(500, 2), (429, 4)] {
        let (gateway, a, _b) = pair([", order: 1", ", order: 2"], rest).await;
        a.always(Script::reply(status, &[], "{}"));
        assert_eq!(spread(&gateway, 10).await["b"], 10);
        assert_eq!(a.request_count(), asked, "{status}");
    }
    let rest = "router_settings: {disable_cooldowns: true}";
    let (gateway, a, _b) = pair([", order: 1", ", order: 2"], rest).await;
    a.always(Script::error(429));
    assert_eq!(spread(&gateway, 7).await["b"], 7);
    assert_eq!(a.request_count(), 7);
}

#[tokio::test]
async fn when_the_cool_down_is_over_it_is_tried_again() {
    let params = [", order: 1, cooldown_time: 0.3", ", order: 2"];
    let (gateway, a, _b) = pair(params, "").await;
    a.script(Script::reply(429, &[("retry-after", "60")], "{}"));
    assert_eq!(spread(&gateway, 3).await["b"], 3);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(spread(&gateway, 3).await["a"], 3);
}

#[tokio::test]
async fn a_callers_mistake_cools_nobody() {
    let (gateway, a, b) = pair([", order: 1", ", order: 2"], "").await;
    for status in [400, 413, 422] {
        a.always(Script::error(status));
        for _ in 0..10 {
            ask(&gateway, &chat("gpt", "hi")).await.openai_error(status);
        }
    }
    assert_eq!((a.request_count(), b.request_count()), (30, 0));
    let health = Ask::get("/health").send(gateway.address).await.json();
    assert_eq!(health["healthy_count"], 2, "{health}");
}

#[tokio::test]
async fn when_all_rest_it_is_said_why_and_when_to_come_back() {
    let rest = "router_settings: {num_retries: 1}";
    let (gateway, a, b) = pair(["", ""], rest).await;
    for provider in [&a, &b] {
        provider.always(Script::reply(429, &[("retry-after", "30")], "{}"));
    }
    ask(&gateway, &chat("gpt", "hi")).await.openai_error(429);
    assert_eq!((a.request_count(), b.request_count()), (1, 1));
    for (path, body) in [(CHAT, chat("gpt", "hi")), (MESSAGES, streamed(messages("gpt", "hi")))] {
        let began = Instant::now();
        let once = Ask::json(path, &body).header("x-litellm-num-retries", "0");
        let answer = once.send(gateway.address).await;
        assert!(began.elapsed() < AT_ONCE);
        let message = match path {
            CHAT => answer.openai_error(429),
            _ => answer.anthropic_error(429),
        };
        assert!(message.contains("`gpt`"), "{message}");
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((25..=30).contains(&after), "{after}");
    }
    assert_eq!((a.request_count(), b.request_count()), (1, 1), "nobody was asked");

    // Where the fault is theirs alone it is a 503.
    let rest = "router_settings: {allowed_fails: 0, cooldown_time: 30, num_retries: 1}";
    let (gateway, a, b) = pair(["", ""], rest).await;
    for provider in [&a, &b] {
        provider.always(Script::error(500));
    }
    ask(&gateway, &chat("gpt", "hi")).await.openai_error(500);
    let once = Ask::json(CHAT, &chat("gpt", "hi")).header("x-litellm-num-retries", "0");
    let answer = once.send(gateway.address).await;
    answer.openai_error(503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!((a.request_count(), b.request_count()), (1, 1));
}

#[tokio::test]
async fn weights_are_shares() {
    let (gateway, _a, _b) = pair([", weight: 9", ", weight: 1"], "").await;
    let counts = spread(&gateway, 200).await;
    // Fewer than 140 of 200 at nine in ten has a chance of less than one in a billion.
    assert!(counts["a"] > 140 && counts["a"] < 200, "{counts:?}");
    let (gateway, _a, _b) = pair([", weight: 1", ", weight: 0"], "").await;
    assert_eq!(spread(&gateway, 30).await["a"], 30);
}

#[tokio::test]
async fn the_cheapest_the_least_busy_and_the_least_used() {
    let cost = "router_settings: {routing_strategy: cost-based-routing}";
    let prices = [
        ", input_cost_per_token: 0.00002, output_cost_per_token: 0.00002",
        ", input_cost_per_token: 0.00001, output_cost_per_token: 0.00001",
    ];
    let (gateway, _a, _b) = pair(prices, cost).await;
    assert_eq!(spread(&gateway, 10).await["b"], 10);

    let busy = "router_settings: {routing_strategy: least-busy}";
    let (gateway, a, b) = pair(["", ""], busy).await;
    let open = Ask::json(CHAT, &streamed(chat("gpt", "[slow:200] one two three four five six")));
    let mut open = Connection::ask(gateway.address, &open).await;
    open.until("data: ").await;
    let (busy, idle) = if a.request_count() == 1 { ("a", "b") } else { ("b", "a") };
    assert_eq!(a.request_count() + b.request_count(), 1);
    let counts = spread(&gateway, 10).await;
    assert_eq!((counts.get(busy), counts[idle]), (None, 10));
    drop(open);

    let used = "router_settings: {routing_strategy: usage-based-routing-v2}";
    let (gateway, _a, _b) = pair([", tpm: 1000000", ", tpm: 1000000"], used).await;
    let counts = spread(&gateway, 20).await;
    assert!(counts["a"] >= 8 && counts["b"] >= 8, "{counts:?}");
}

#[tokio::test]
async fn latency_prefers_who_is_fast() {
    let fast = "router_settings: {routing_strategy: latency-based-routing}";
    let (gateway, a, _b) = pair(["", ""], fast).await;
    a.always(Script::behave().delay_head(Duration::from_millis(60)));
    let counts = spread(&gateway, 30).await;
    assert!(counts["b"] >= 25, "{counts:?}");
}

#[tokio::test]
async fn tags_of_the_body_and_of_the_header_choose() {
    let rest = "router_settings: {enable_tag_filtering: true}";
    let (gateway, _a, _b) = pair([", tags: [free, default]", ", tags: [paid]"], rest).await;
    let deployment = |answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("x-ziggurat-deployment").unwrap().to_owned()
    };
    for _ in 0..5 {
        let mut body = chat("gpt", "hi");
        assert_eq!(deployment(ask(&gateway, &body).await), "a");
        body["metadata"] = json!({"tags": ["paid"]});
        assert_eq!(deployment(ask(&gateway, &body).await), "b");
        let header = Ask::json(MESSAGES, &messages("gpt", "hi")).header("x-litellm-tags", "paid");
        assert_eq!(deployment(header.send(gateway.address).await), "b");
        let header = Ask::json(CHAT, &chat("gpt", "hi")).header("x-litellm-tags", "free, other");
        assert_eq!(deployment(header.send(gateway.address).await), "a");
    }
    let rest = "router_settings: {enable_tag_filtering: true, tag_filtering_match_any: false}";
    let (gateway, _a, _b) = pair([", tags: [x]", ", tags: [x, y]"], rest).await;
    let mut body = chat("gpt", "hi");
    body["tags"] = json!(["x", "y"]);
    for _ in 0..5 {
        assert_eq!(deployment(ask(&gateway, &body).await), "b");
    }
    body["tags"] = json!(["z"]);
    assert!(ask(&gateway, &body).await.openai_error(400).contains('z'));
}

#[tokio::test]
async fn a_conversation_stays_where_it_is() {
    let rest = "router_settings: {optional_pre_call_checks: [session_affinity]}";
    let (gateway, _a, _b) = pair(["", ""], rest).await;
    let mut seen = std::collections::HashSet::new();
    for session in 0..12 {
        let asked = Ask::json(CHAT, &chat("gpt", "hi"))
            .header("x-litellm-session-id", &format!("session-{session}"));
        let first = asked.send(gateway.address).await;
        let first = first.header("x-ziggurat-deployment").unwrap().to_owned();
        for _ in 0..5 {
            let answer = asked.send(gateway.address).await;
            assert_eq!(answer.header("x-ziggurat-deployment"), Some(first.as_str()));
        }
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2, "sessions are spread");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_who_takes_it() {
    let provider = FakeProvider::openai().spawn().await;
    let larger = format!(
        "- {{model_name: larger, litellm_params: {{model: openai/gpt-4o, api_base: '{}', api_key: k}}, \
         model_info: {{id: larger}}}}\n",
        provider.base_url()
    );
    let small = [
        One("small", &provider, "", ", max_input_tokens: 50"),
        One("medium", &provider, "", ", max_input_tokens: 500"),
    ];
    let checked = "router_settings: {enable_pre_call_checks: true";
    let gateway = run(&text(&small, &format!("{larger}{checked}}}"))).await;
    let long = |words: usize| chat("gpt", &"word ".repeat(words));
    for _ in 0..5 {
        let answer = ask(&gateway, &long(200)).await;
        assert_eq!(answer.header("x-ziggurat-deployment"), Some("medium"));
    }
    let before = provider.request_count();
    let refused = ask(&gateway, &long(5000)).await;
    assert!(refused.openai_error(400).contains("500"));
    assert_eq!(refused.json()["error"]["code"], "context_length_exceeded");
    Ask::json(MESSAGES, &messages("gpt", &"word ".repeat(5000)))
        .send(gateway.address)
        .await
        .anthropic_error(400);
    assert_eq!(provider.request_count(), before);

    let rest = format!("{larger}{checked}, context_window_fallbacks: [{{gpt: [larger]}}]}}");
    let gateway = run(&text(&small, &rest)).await;
    let answer = ask(&gateway, &long(5000)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-ziggurat-deployment"), Some("larger"));
}

#[tokio::test]
async fn a_region_holds() {
    let params = [", region_name: us-east-1", ", region_name: eu-west-1"];
    let (gateway, a, _b) = pair(params, "").await;
    let mut body = chat("gpt", "hi");
    body["allowed_model_region"] = json!("eu");
    for _ in 0..10 {
        let answer = ask(&gateway, &body).await;
        assert_eq!(answer.header("x-ziggurat-deployment"), Some("b"), "{}", answer.text());
    }
    assert_eq!(a.request_count(), 0);
    body["allowed_model_region"] = json!("ap-south-1");
    assert!(ask(&gateway, &body).await.openai_error(400).contains("ap-south-1"));
}

#[tokio::test]
async fn limits_of_a_deployment_send_calls_to_its_sibling() {
    for limit in [", rpm: 2", ", rpd: 2", ", otpm: 10"] {
        let params = [format!(", order: 1{limit}"), ", order: 2".to_owned()];
        let (gateway, a, _b) = pair([&params[0], &params[1]], "").await;
        let mut body = chat("gpt", "hi");
        body["max_tokens"] = json!(10);
        for _ in 0..6 {
            let answer = ask(&gateway, &body).await;
            assert_eq!(answer.status, 200, "{limit}: {}", answer.text());
        }
        assert!((1..=3).contains(&a.request_count()), "{limit}: {}", a.request_count());
    }
    let (gateway, a, b) = pair([", rpm: 1", ", rpm: 1"], "").await;
    spread(&gateway, 2).await;
    let refused = ask(&gateway, &chat("gpt", "hi")).await;
    refused.openai_error(429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!((a.request_count(), b.request_count()), (1, 1));
}

#[tokio::test]
async fn a_full_deployment_is_passed_over() {
    let params = [", order: 1, max_parallel_requests: 1", ", order: 2"];
    let (gateway, _a, _b) = pair(params, "").await;
    let open = Ask::json(CHAT, &streamed(chat("gpt", "[slow:200] one two three four five six")));
    let mut open = Connection::ask(gateway.address, &open).await;
    open.until("data: ").await;
    assert_eq!(spread(&gateway, 3).await["b"], 3);
    drop(open);
    // The place is free as soon as the gateway knows that the caller has left.
    for _ in 0..100 {
        if spread(&gateway, 1).await.contains_key("a") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place was never given back");
}

#[tokio::test]
async fn ids_and_patterns_are_names_too() {
    let provider = FakeProvider::openai().spawn().await;
    let rest = format!(
        "- {{model_name: 'any/*', litellm_params: {{model: 'openai/*', api_base: '{}', api_key: k}}, \
         model_info: {{id: any}}}}\n",
        provider.base_url()
    );
    let both = [One("a", &provider, "", ""), One("b", &provider, "", "")];
    let gateway = run(&text(&both, &rest)).await;
    for _ in 0..10 {
        let answer = ask(&gateway, &chat("b", "hi")).await;
        assert_eq!(answer.header("x-ziggurat-deployment"), Some("b"));
    }
    let answer = ask(&gateway, &chat("any/o5", "hi")).await;
    assert_eq!(answer.header("x-ziggurat-deployment"), Some("any"), "{}", answer.text());
    assert_eq!(provider.last_request().json()["model"], "o5");
    // A model that a caller made up does not cool the pattern.
    provider.always(Script::error(404));
    for _ in 0..10 {
        ask(&gateway, &chat("any/nonsense", "hi")).await.openai_error(404);
    }
    provider.always(Script::behave());
    assert_eq!(ask(&gateway, &chat("any/o5", "hi")).await.status, 200);
}

#[tokio::test]
async fn a_reload_forgets_neither_cool_downs_nor_calls_in_flight() {
    let (a, b) = (FakeProvider::openai().spawn().await, FakeProvider::openai().spawn().await);
    let registries = Registries::new();
    let params = ", order: 1, max_parallel_requests: 1";
    let gateway = |rest: &str| {
        let env = HashMap::new();
        let both = [One("a", &a, params, ""), One("b", &b, ", order: 2", "")];
        let (config, _) = config::parse(text(&both, rest).as_bytes(), "config.yaml", &env).unwrap();
        Gateway::with(config, &env, &registries).unwrap().0
    };
    let first = serve(&gateway(""), &Ending::default()).await;
    let open = Ask::json(CHAT, &streamed(chat("gpt", "[slow:100] one two three four five six")));
    let mut open = Connection::ask(first.address, &open).await;
    open.until("data: ").await;
    let second = serve(&gateway("router_settings: {num_retries: 1}"), &Ending::default()).await;
    assert_eq!(spread(&second, 2).await["b"], 2, "the place is taken");
    let answer = open.answer().await;
    assert!(answer.complete && answer.text().contains("[DONE]"));
    a.script(Script::reply(429, &[("retry-after", "30")], "{}"));
    assert_eq!(spread(&second, 1).await["b"], 1);
    let third = serve(&gateway("router_settings: {num_retries: 3}"), &Ending::default()).await;
    assert_eq!(spread(&third, 3).await["b"], 3, "it still cools down");
    assert_eq!(a.request_count(), 2);
}

#[tokio::test]
async fn health_is_told_to_the_master() {
    let rest = "general_settings: {master_key: sk-m}\nrouter_settings: {num_retries: 2}";
    let (gateway, a, _b) = pair([", order: 1", ", order: 2"], rest).await;
    Ask::get("/health").send(gateway.address).await.openai_error(401);
    let with_key = |ask: Ask| ask.header("authorization", "Bearer sk-m");
    let health = async |path: &str| with_key(Ask::get(path)).send(gateway.address).await.json();
    let before = health("/health").await;
    assert_eq!((&before["healthy_count"], &before["unhealthy_count"]), (&json!(2), &json!(0)));
    a.always(Script::reply(429, &[("retry-after", "30")], "{}"));
    let answer = with_key(Ask::json(CHAT, &chat("gpt", "hi"))).send(gateway.address).await;
    assert_eq!(answer.status, 200);
    let after = health("/health").await;
    assert_eq!((&after["healthy_count"], &after["unhealthy_count"]), (&json!(1), &json!(1)));
    let ill = &after["unhealthy_endpoints"][0];
    assert_eq!((&ill["model_id"], &ill["model_name"]), (&json!("a"), &json!("gpt")));
    assert_eq!((&ill["state"], &ill["reason"]), (&json!("cooling"), &json!("rate_limit")));
    let left = ill["cool_down_remaining"].as_f64().unwrap();
    assert!(left > 25.0 && left <= 30.0, "{left}");
    assert_eq!(after["healthy_endpoints"][0]["model_id"], "b");
    assert!(!after.to_string().contains("api_key"), "{after}");
    assert_eq!(health("/health?model=b").await["healthy_count"], 1);
    assert_eq!(health("/health?model=none").await["unhealthy_count"], 0);
}

/// Waits until so many deployments are ill.
async fn ill(gateway: &Running, expected: u64) -> Value {
    for _ in 0..200 {
        let health = Ask::get("/health").send(gateway.address).await.json();
        let checked = |list: &Value| {
            let list = list.as_array().unwrap();
            list.iter().all(|one| one["checked_at"].is_number())
        };
        let all = checked(&health["healthy_endpoints"]) && checked(&health["unhealthy_endpoints"]);
        if all && health["unhealthy_count"] == expected {
            return health;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("there never were {expected} that are ill");
}

#[tokio::test]
async fn checks_find_who_is_ill_and_who_is_well_again() {
    let rest = "general_settings: {background_health_checks: true, health_check_interval: 0.2}\n\
                router_settings: {enable_health_check_routing: true}";
    let (a, b) = (FakeProvider::openai().spawn().await, FakeProvider::openai().spawn().await);
    a.always(Script::error(500));
    let both = [One("a", &a, ", order: 1", ""), One("b", &b, ", order: 2", "")];
    let gateway = run(&text(&both, rest)).await;
    let health = ill(&gateway, 1).await;
    let sick = &health["unhealthy_endpoints"][0];
    assert_eq!((&sick["model_id"], &sick["state"]), (&json!("a"), &json!("ill")), "{health}");
    assert!(sick["error"].is_string());
    assert_eq!(a.last_request().json()["max_tokens"].as_u64().unwrap_or(1), 1);
    assert_eq!(spread(&gateway, 5).await["b"], 5);
    // That a question is refused shows that somebody is there.
    a.always(Script::error(400));
    ill(&gateway, 0).await;
    a.always(Script::behave());
    assert_eq!(spread(&gateway, 5).await["a"], 5);
    let Running { server, .. } = &gateway;
    server.abort();
    drop(gateway);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = a.request_count();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(a.request_count(), asked, "checks end with the gateway");
}

#[tokio::test]
async fn without_their_routing_checks_only_tell() {
    let rest = "general_settings: {background_health_checks: true, health_check_interval: 100}";
    let (a, b) = (FakeProvider::openai().spawn().await, FakeProvider::openai().spawn().await);
    a.script(Script::error(500));
    let both = [One("a", &a, ", order: 1", ""), One("b", &b, ", order: 2", "")];
    let gateway = run(&text(&both, rest)).await;
    ill(&gateway, 1).await;
    assert_eq!(spread(&gateway, 3).await["a"], 3);
}
