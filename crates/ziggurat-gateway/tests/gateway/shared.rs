//! What gateways share through Redis.

use ziggurat_testkit::FakeProvider;
use ziggurat_testkit::redis::PrivateRedis;

use crate::calls::chat;
use crate::client::Ask;
use crate::world::{Running, run};

const CHAT: &str = "/v1/chat/completions";

async fn two(openai: &FakeProvider, rest: &str) -> [Running; 2] {
    let text = format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', \
         api_key: k}}}}]\n{rest}\n",
        openai.base_url()
    );
    [run(&text).await, run(&text).await]
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
