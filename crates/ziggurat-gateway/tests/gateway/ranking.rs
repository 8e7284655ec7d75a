//! Reranking, and the moderation of texts.

use serde_json::{Value, json};
use ziggurat_testkit::{FakeProvider, Script};

use crate::client::{Answer, Ask};
use crate::world::{Running, run};

async fn over(model: &str, answer: Option<Value>) -> (Running, FakeProvider) {
    let provider = FakeProvider::bare().spawn().await;
    if let Some(answer) = answer {
        provider.always(Script::json(&answer));
    }
    let settings = format!(
        "model_list: [{{model_name: ranker, litellm_params: {{model: '{model}', api_base: '{}', \
         api_key: sk-upstream, temperature: 0.5}}}}]",
        provider.url()
    );
    (run(&settings).await, provider)
}

async fn ask(gateway: &Running, path: &str, body: &Value) -> Answer {
    Ask::json(path, body).send(gateway.address).await
}

fn asked() -> Value {
    json!({"model": "ranker", "query": "capital", "documents": ["Paris", {"text": "Ur"}], "top_n": 2})
}

fn results() -> Value {
    json!([{"index": 1, "relevance_score": 0.987_654_321}, {"index": 0, "relevance_score": 1e-7}])
}

/// Provider, its answer, where and what it is asked.
fn providers() -> Vec<(&'static str, Value, &'static str, Value)> {
    let cohere =
        json!({"id": "r-1", "results": results(), "meta": {"billed_units": {"search_units": 1}}});
    let jina = json!({"model": "jina", "results": results(), "usage": {"total_tokens": 15}});
    let voyage = json!({"object": "list", "data": results(), "model": "rerank-2", "usage": {"total_tokens": 15}});
    let bedrock = json!({"results": results()});
    let texts = json!(["Paris", "Ur"]);
    vec![
        (
            "cohere/rerank-v3.5",
            cohere,
            "/v2/rerank",
            json!({"model": "rerank-v3.5", "query": "capital", "documents": texts, "top_n": 2}),
        ),
        (
            "jina_ai/jina-reranker-v2",
            jina,
            "/v1/rerank",
            json!({"model": "jina-reranker-v2", "query": "capital", "documents": texts, "top_n": 2}),
        ),
        (
            "voyage/rerank-2",
            voyage,
            "/v1/rerank",
            json!({"model": "rerank-2", "query": "capital", "documents": texts, "top_k": 2}),
        ),
        (
            "bedrock/us-east-1/cohere.rerank-v3-5:0",
            bedrock,
            "/model/cohere.rerank-v3-5%3A0/invoke",
            json!({"query": "capital", "documents": texts, "top_n": 2, "api_version": 2}),
        ),
    ]
}

#[tokio::test]
async fn every_reranker_is_asked_in_its_own_words() {
    for (model, answer, path, sent) in providers() {
        let (gateway, provider) = over(model, Some(answer)).await;
        // Both of the forms in which clients ask.
        for asks in ["/v1/rerank", "/v2/rerank", "/rerank"] {
            let got = ask(&gateway, asks, &asked()).await;
            assert_eq!(got.status, 200, "{model}: {}", got.text());
            let read = got.json();
            let order = if read["results"].is_array() { &read["results"] } else { &read["data"] };
            assert_eq!(order[0]["index"], 1, "{model}, {asks}");
            assert_eq!(order[0]["relevance_score"], 0.987_654_321);
            assert_eq!(order[1]["relevance_score"], 1e-7);
            let last = provider.last_request();
            assert_eq!(last.path.replace(':', "%3A"), path.replace(':', "%3A"), "{model}");
            let mut body = last.json();
            if body["documents"] == asked()["documents"] {
                // In its own dialect it goes as it came.
                body["documents"] = sent["documents"].clone();
            }
            assert_eq!(body, sent, "{model}, {asks}");
        }
    }
}

#[tokio::test]
async fn what_a_ranking_took_is_told_and_billed() {
    let answer =
        json!({"id": "r-1", "results": results(), "meta": {"billed_units": {"search_units": 1}}});
    let (gateway, _provider) = over("cohere/rerank-v3.5", Some(answer)).await;
    let got = ask(&gateway, "/v1/rerank", &asked()).await;
    assert_eq!(got.json()["meta"]["billed_units"]["search_units"], 1, "{}", got.text());
    assert_eq!(got.header("x-litellm-response-cost"), Some("0.002000000"));
}

#[tokio::test]
async fn what_cannot_be_ranked_is_refused_with_its_name() {
    let (gateway, _provider) = over("cohere/rerank-v3.5", None).await;
    for (body, param) in [
        (json!({"model": "ranker", "documents": ["a"]}), "query"),
        (json!({"model": "ranker", "query": "q", "documents": []}), "documents"),
        (json!({"model": "ranker", "query": "q", "documents": [1]}), "documents.0"),
        (json!({"query": "q", "documents": ["a"]}), "model"),
    ] {
        let refused = ask(&gateway, "/v1/rerank", &body).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["param"]),
            (400, &json!(param)),
            "{}",
            refused.text()
        );
    }
    for model in [
        "anthropic/claude-sonnet-4-5",
        "gemini/gemini-2.5-flash",
        "bedrock/us-east-1/amazon.nova-pro-v1:0",
    ] {
        let (gateway, provider) = over(model, None).await;
        let refused = ask(&gateway, "/v1/rerank", &asked()).await;
        assert_eq!(
            (refused.status, provider.request_count()),
            (400, 0),
            "{model}: {}",
            refused.text()
        );
    }
}

#[tokio::test]
async fn moderation_passes_as_it_came_with_a_model_or_without() {
    let answer =
        json!({"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": false}]});
    let provider = FakeProvider::bare().spawn().await;
    provider.always(Script::json(&answer));
    let gateway = run(&format!(
        "model_list:\n\
         - {{model_name: omni-moderation-latest, litellm_params: {{model: openai/omni-moderation-latest, api_base: '{0}', api_key: k}}}}\n\
         - {{model_name: mod, litellm_params: {{model: mistral/mistral-moderation-latest, api_base: '{0}', api_key: k}}}}\n\
         - {{model_name: claude, litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: '{0}', api_key: k}}}}\n",
        provider.url()
    ))
    .await;
    let body = json!({"input": ["a", "b"], "brand_new": 1});
    let got = ask(&gateway, "/v1/moderations", &body).await;
    assert_eq!(got.json(), answer, "{}", got.text());
    let sent = provider.last_request();
    assert_eq!((sent.path.as_str(), &sent.json()["brand_new"]), ("/v1/moderations", &json!(1)));
    assert_eq!(sent.json()["model"], "omni-moderation-latest");
    let got = ask(&gateway, "/moderations", &json!({"model": "mod", "input": "a"})).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(provider.last_request().json()["model"], "mistral-moderation-latest");
    let refused = ask(&gateway, "/v1/moderations", &json!({"model": "claude", "input": "a"})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}
