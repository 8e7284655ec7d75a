//! Embeddings: one address for all providers' vectors.

use serde_json::{Value, json};
use ziggurat_testkit::{FakeProvider, Script};

use crate::client::{Answer, Ask};
use crate::world::{Running, run};

const OPENAI: &str = "/v1/embeddings";

/// A gateway over one provider that answers in its own way, whatever it is asked.
async fn over(model: &str, answers: impl IntoIterator<Item = Value>) -> (Running, FakeProvider) {
    let provider = FakeProvider::bare().spawn().await;
    for answer in answers {
        provider.script(Script::json(&answer));
    }
    let settings = format!(
        "model_list: [{{model_name: vectors, litellm_params: {{model: '{model}', api_base: '{}', \
         api_key: sk-upstream}}, model_info: {{id: here, input_cost_per_token: 0.001}}}}]",
        provider.base_url()
    );
    (run(&settings).await, provider)
}

async fn ask(world: &Running, path: &str, body: &Value) -> Answer {
    Ask::json(path, body).send(world.address).await
}

fn list(vectors: &[&[f64]]) -> Value {
    let item = |(index, vector): (usize, &&[f64])| json!({"object": "embedding", "index": index, "embedding": vector});
    let data: Vec<Value> = vectors.iter().enumerate().map(item).collect();
    let usage = json!({"prompt_tokens": 3, "total_tokens": 3});
    json!({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage})
}

#[tokio::test]
async fn openais_own_pass_as_they_came() {
    let answer = list(&[&[0.5, 1.5]]);
    let (world, provider) = over("openai/text-embedding-3-small", [answer.clone()]).await;
    let body =
        json!({"model": "vectors", "input": "hello", "encoding_format": "float", "new_member": 1});
    let got = ask(&world, OPENAI, &body).await;
    assert_eq!((got.status, got.json()), (200, answer), "{}", got.text());
    let sent = provider.last_request();
    assert_eq!(sent.path, "/v1/embeddings");
    assert_eq!(sent.header("authorization"), Some("Bearer sk-upstream"));
    assert_eq!(
        sent.json(),
        json!({"model": "text-embedding-3-small", "input": "hello", "encoding_format": "float", "new_member": 1})
    );
    // Three tokens at a tenth of a cent.
    assert_eq!(got.header("x-litellm-response-cost"), Some("0.003000000"));
}

#[tokio::test]
async fn azures_clients_and_azures_deployments() {
    let (world, provider) = over("azure/ada", [list(&[&[1.0]]), list(&[&[1.0]])]).await;
    let path = "/openai/deployments/vectors/embeddings?api-version=2024-10-21";
    let got = ask(&world, path, &json!({"input": ["a"]})).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let sent = provider.last_request();
    assert_eq!(sent.path, "/openai/deployments/ada/embeddings");
    assert!(sent.query.as_deref().unwrap_or_default().starts_with("api-version="));
    assert_eq!(
        (sent.header("api-key"), sent.json()),
        (Some("sk-upstream"), json!({"input": ["a"]}))
    );
}

#[tokio::test]
async fn openais_clients_read_geminis_vectors() {
    let answer = json!({"embeddings": [{"values": [0.25, 1.0]}, {"values": [-2.5, 0.5]}]});
    let (world, provider) = over("gemini/gemini-embedding-001", [answer]).await;
    // What the vendor's client asks for when nobody says anything.
    let body =
        json!({"model": "vectors", "input": ["abcd", "abcdefgh"], "encoding_format": "base64"});
    let got = ask(&world, OPENAI, &body).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let read = got.json();
    assert_eq!(read["data"][0]["embedding"], "AACAPgAAgD8=");
    // Google does not count them: it is an estimate.
    assert_eq!(read["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    assert_eq!(got.header("x-litellm-response-cost"), Some("0.003000000"));
    let sent = provider.last_request();
    assert_eq!(sent.path, "/v1beta/models/gemini-embedding-001:batchEmbedContents");
    assert_eq!(sent.json()["requests"][1]["content"]["parts"][0]["text"], "abcdefgh");
}

#[tokio::test]
async fn geminis_clients_ask_for_one_or_for_many() {
    let (world, provider) =
        over("openai/text-embedding-3-small", [list(&[&[1.0]]), list(&[&[1.0], &[2.0]])]).await;
    let one = json!({"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8});
    let got = ask(&world, "/v1beta/models/vectors:embedContent", &one).await;
    assert_eq!(
        got.json(),
        json!({"embedding": {"values": [1.0]}, "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}),
        "{}",
        got.text()
    );
    assert_eq!(
        provider.last_request().json(),
        json!({"model": "text-embedding-3-small", "input": ["a"], "dimensions": 8})
    );
    let part = json!({"model": "models/vectors", "content": {"parts": [{"text": "a"}]}});
    let many = json!({"requests": [part, part]});
    let got = ask(&world, "/v1beta/models/vectors:batchEmbedContents", &many).await;
    assert_eq!(got.json()["embeddings"][1]["values"], json!([2.0]), "{}", got.text());
}

#[tokio::test]
async fn more_texts_than_a_provider_takes_are_asked_in_parts() {
    let answer = |from: usize, count: usize| {
        let vectors: Vec<Value> = (from..from + count).map(|number| json!([number])).collect();
        json!({"id": "e", "response_type": "embeddings_by_type", "embeddings": {"float": vectors},
            "texts": [], "meta": {"billed_units": {"input_tokens": count}}})
    };
    let (world, provider) =
        over("cohere/embed-v4.0", [answer(0, 96), answer(96, 96), answer(192, 8)]).await;
    let texts: Vec<String> = (0..200).map(|number| format!("text {number}")).collect();
    let got = ask(&world, OPENAI, &json!({"model": "vectors", "input": texts})).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let read = got.json();
    let data = read["data"].as_array().unwrap();
    assert_eq!((data.len(), provider.request_count()), (200, 3));
    let mut sizes: Vec<usize> = provider
        .requests()
        .iter()
        .map(|sent| sent.json()["texts"].as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [8, 96, 96]);
    assert_eq!(data[199]["index"], 199);
    assert_eq!(read["usage"]["total_tokens"], 200);
    assert_eq!(got.header("x-litellm-response-cost"), Some("0.200000000"));
}

#[tokio::test]
async fn the_mock_has_vectors_that_need_no_provider() {
    let gateway =
        run("model_list: [{model_name: 'mock/*', litellm_params: {model: 'mock/*'}}]").await;
    let body = json!({"model": "mock/echo", "input": ["a", "b", "a"], "dimensions": 16});
    let read = ask(&gateway, OPENAI, &body).await.json();
    let vector = |index: usize| read["data"][index]["embedding"].as_array().unwrap().clone();
    assert_eq!((vector(0).len(), vector(0) == vector(2)), (16, true));
    assert_ne!(vector(0), vector(1));
    let length: f64 = vector(0).iter().map(|number| number.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-3, "{length}");
    let body = json!({"model": "mock/echo", "query": "q", "documents": ["a"]});
    let ranked = ask(&gateway, "/v1/rerank", &body).await.text();
    assert!(ranked.contains("the mock provider has no such operation: rerank"));
}

#[tokio::test]
async fn each_vendors_client_is_told_in_its_own_words() {
    let (world, _provider) = over("anthropic/claude-sonnet-4-5", []).await;
    let refused = ask(&world, OPENAI, &json!({"model": "vectors", "input": "a"})).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    let refused = ask(&world, "/v2/embed", &json!({"model": "vectors", "texts": ["a"]})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.json()["message"].is_string());
    let refused = ask(&world, "/api/embed", &json!({"model": "vectors", "input": "a"})).await;
    assert!(refused.json()["error"].is_string(), "{}", refused.text());
    for (path, body, param) in [
        (OPENAI, json!({"model": "vectors"}), Some("input")),
        (OPENAI, json!({"input": "a"}), Some("model")),
        (OPENAI, json!({"model": "nobody", "input": "a"}), None),
    ] {
        let refused = ask(&world, path, &body).await;
        assert!(matches!(refused.status, 400 | 404), "{}", refused.text());
        if let Some(param) = param {
            assert_eq!(refused.json()["error"]["param"], param);
        }
    }
}
