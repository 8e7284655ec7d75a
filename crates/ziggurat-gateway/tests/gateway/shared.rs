//! What gateways share through Redis.

use serde_json::json;
use ziggurat_testkit::FakeProvider;
use ziggurat_testkit::redis::PrivateRedis;

use crate::calls::{chat, messages};
use crate::client::Ask;
use crate::world::{Running, run};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

async fn two(openai: &FakeProvider, rest: &str) -> [Running; 2] {
    let text = format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', \
         api_key: k}}}}]\n{rest}\n",
        openai.base_url()
    );
    [run(&text).await, run(&text).await]
}

#[tokio::test]
async fn what_one_answered_the_other_answers_again() {
    let redis = PrivateRedis::start();
    let openai = FakeProvider::openai().spawn().await;
    let rest = format!(
        "litellm_settings: {{cache: true, cache_params: {{type: redis, url: '{}', namespace: n}}}}",
        redis.url()
    );
    let [one, other] = two(&openai, &rest).await;
    let mut body = chat("gpt", "hi");
    body["max_tokens"] = json!(100);
    let first = Ask::json(CHAT, &body).send(one.address).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let mut again = Ask::json(MESSAGES, &messages("gpt", "hi")).send(other.address).await;
    // It is kept off the answer's path.
    for _ in 0..50 {
        if again.header("x-ziggurat-cached").is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        again = Ask::json(MESSAGES, &messages("gpt", "hi")).send(other.address).await;
    }
    assert_eq!(again.header("x-ziggurat-cached"), Some("true"));
    assert_eq!(again.json()["content"][0]["text"], "You said: hi");
    let ping = Ask::get("/cache/ping").send(other.address).await;
    assert_eq!(ping.json()["cache_type"], "redis");
    assert_eq!(Ask::post("/cache/flushall", "").send(one.address).await.status, 200);
    let asked = openai.requests().len();
    Ask::json(CHAT, &body).send(other.address).await;
    assert_eq!(openai.requests().len(), asked + 1, "it was forgotten everywhere");

    drop(redis);
    let answer = Ask::json(CHAT, &chat("gpt", "other")).send(one.address).await;
    assert_eq!(answer.status, 200, "a cache that is away is a miss");
    let ping = Ask::get("/cache/ping").send(other.address).await;
    assert_eq!((ping.status, &ping.json()["error"]["type"]), (503, &json!("cache_ping_error")));
}

#[tokio::test]
async fn limits_are_counted_together() {
    let redis = PrivateRedis::start();
    let openai = FakeProvider::openai().spawn().await;
    let rest = format!(
        "general_settings: {{coordination_redis: {{url: '{}'}}, fail_closed_rate_limit_enforcement: true}}
ziggurat: {{rate_limits: {{model: {{rpm: 3}}}}}}",
        redis.url()
    );
    let gateways = two(&openai, &rest).await;
    let mut statuses = Vec::new();
    for at in 0..6 {
        let gateway = &gateways[at % 2];
        statuses.push(Ask::json(CHAT, &chat("gpt", "hi")).send(gateway.address).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429]);
    drop(redis);
    let refused = Ask::json(CHAT, &chat("gpt", "hi")).send(gateways[0].address).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn limits_of_a_deployment_are_counted_together() {
    let redis = PrivateRedis::start();
    let (first, second) =
        (FakeProvider::openai().spawn().await, FakeProvider::openai().spawn().await);
    let text = format!(
        "model_list:
- {{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', api_key: k, order: 1, rpm: 4}}}}
- {{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', api_key: k, order: 2}}}}
router_settings: {{redis_url: '{}'}}
",
        first.base_url(),
        second.base_url(),
        redis.url()
    );
    let gateways = [run(&text).await, run(&text).await];
    for at in 0..12 {
        let answer = Ask::json(CHAT, &chat("gpt", "hi")).send(gateways[at % 2].address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // Each for itself would have let four go there. In a second or two one comes back at most.
    assert!((4..=5).contains(&first.request_count()), "{}", first.request_count());
}
