//! Clients of every dialect: paths, media types, lists of models, and errors in their own words.

use serde_json::{Value, json};

use crate::client::{Answer, Ask};
use crate::world::World;

async fn ask(world: &World, ask: Ask) -> Answer {
    ask.send(world.address()).await
}

#[tokio::test]
async fn ollamas_clients_are_streamed_to_unless_they_say_no() {
    let world = World::plain().await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    for model in ["gpt", "claude"] {
        let body = json!({"model": model, "messages": messages});
        let streamed = ask(&world, Ask::json("/api/chat", &body)).await;
        assert_eq!(streamed.status, 200, "{}", streamed.text());
        assert_eq!(streamed.header("content-type"), Some("application/x-ndjson"));
        let text = streamed.text();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() > 1, "{text}");
        assert_eq!(lines.last().unwrap()["done"], true);
        let said: String =
            lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
        assert!(said.starts_with("You said:"), "{text}");

        let body = json!({"model": model, "messages": messages, "stream": false});
        let whole = ask(&world, Ask::json("/api/chat", &body)).await;
        assert_eq!(whole.header("content-type"), Some("application/json"));
        assert_eq!(whole.json()["message"]["content"], said);
    }
    let sent = world.openai.requests();
    assert_eq!(sent.first().unwrap().json()["stream"], true);
}

#[tokio::test]
async fn ollamas_clients_see_models_and_errors_in_their_own_words() {
    let world = World::plain().await;
    let list = ask(&world, Ask::get("/api/tags")).await.json();
    let names: Vec<_> =
        list["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["gpt", "claude", "mock/*"]);
    let shown = ask(&world, Ask::json("/api/show", &json!({"model": "gpt"}))).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    for (path, body, status) in [
        ("/api/chat", json!({"model": "nobody", "messages": []}), 404),
        ("/api/chat", json!({"messages": []}), 400),
        ("/api/show", json!({"model": "nobody"}), 404),
        ("/api/pull", json!({"model": "gpt"}), 404),
    ] {
        let refused = ask(&world, Ask::json(path, &body)).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.text());
        assert!(refused.json()["error"].is_string(), "{path}: {}", refused.text());
    }
}

#[tokio::test]
async fn azures_clients_name_the_model_in_the_path() {
    let world = World::plain().await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for model in ["gpt", "claude"] {
        let path = format!("/openai/deployments/{model}/chat/completions?api-version=2024-10-21");
        let answer = ask(&world, Ask::json(&path, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.json()["choices"][0]["message"]["content"].is_string());
    }
    // The model that is configured goes on, whatever the path called it.
    assert_eq!(world.openai.last_request().json()["model"], "gpt-4o");
    let body = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
    let answer = ask(&world, Ask::json("/openai/v1/chat/completions", &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A prompt in Gemini's words.
fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

fn gemini_text(chunk: &Value) -> &str {
    chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn geminis_clients_say_in_the_path_what_they_want() {
    let world = World::plain().await;
    for model in ["gpt", "claude"] {
        let path = |verb: &str| format!("/v1beta/models/{model}:{verb}");
        let whole = ask(&world, Ask::json(&path("generateContent"), &contents())).await;
        assert_eq!(whole.status, 200, "{}", whole.text());
        let said = gemini_text(&whole.json()).to_owned();
        assert!(said.starts_with("You said:"), "{}", whole.text());

        let events =
            ask(&world, Ask::json(&path("streamGenerateContent?alt=sse"), &contents())).await;
        assert_eq!(events.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let chunks: Vec<Value> =
            events.data().iter().map(|data| serde_json::from_str(data).unwrap()).collect();
        assert!(chunks.len() > 1);
        assert_eq!(chunks.iter().map(gemini_text).collect::<String>(), said);

        let array = ask(&world, Ask::json(&path("streamGenerateContent"), &contents())).await;
        assert_eq!(array.header("content-type"), Some("application/json"));
        let chunks: Vec<Value> = serde_json::from_slice(&array.body).unwrap();
        assert_eq!(chunks.iter().map(gemini_text).collect::<String>(), said);

        let count = ask(&world, Ask::json(&path("countTokens"), &contents())).await;
        assert!(count.json()["totalTokens"].as_u64().unwrap() > 0, "{}", count.text());
    }
    let vertex = "/v1/projects/p/locations/global/publishers/google/models/gpt:generateContent";
    let answer = ask(&world, Ask::json(vertex, &contents())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn geminis_clients_see_models_keys_and_errors_as_googles() {
    let world = World::with("general_settings: {master_key: sk-m}").await;
    let list = Ask::get("/v1beta/models?key=sk-m");
    let list = ask(&world, list).await.json();
    assert_eq!(list["models"][0]["name"], "models/gpt", "{list}");
    // Its own list has OpenAI's path, too.
    let by_header = ask(&world, Ask::get("/v1/models").header("x-goog-api-key", "sk-m")).await;
    assert_eq!(by_header.json()["models"][0]["name"], "models/gpt");
    for (ask_for, status, word) in [
        (Ask::get("/v1beta/models?key=sk-wrong"), 401, "UNAUTHENTICATED"),
        (Ask::json("/v1beta/models/x:generateContent?key=sk-m", &contents()), 404, "NOT_FOUND"),
        (Ask::get("/v1beta/nothing").header("x-goog-api-key", "sk-m"), 404, "NOT_FOUND"),
    ] {
        let refused = ask(&world, ask_for).await;
        assert_eq!(refused.status, status, "{}", refused.text());
        assert_eq!(refused.json()["error"]["status"], word, "{}", refused.text());
        assert!(!refused.text().contains("sk-"), "{}", refused.text());
    }
    let chat = "/v1beta/models/gpt:generateContent?key=sk-m";
    assert_eq!(ask(&world, Ask::json(chat, &contents())).await.status, 200);
    let sent = world.openai.last_request();
    assert_eq!(
        (sent.query, sent.headers["authorization"].as_bytes()),
        (None, &b"Bearer sk-openai"[..])
    );
}

#[tokio::test]
async fn converses_clients_get_frames_and_their_own_errors() {
    let world = World::plain().await;
    let body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    for model in ["gpt", "cl%61ude"] {
        let whole = ask(&world, Ask::json(&format!("/model/{model}/converse"), &body)).await;
        assert_eq!(whole.status, 200, "{}", whole.text());
        let said = whole.json()["output"]["message"]["content"][0]["text"].clone();
        assert!(said.as_str().unwrap().starts_with("You said:"), "{}", whole.text());
        let path = format!("/model/{model}/converse-stream");
        let streamed = ask(&world, Ask::json(&path, &body)).await;
        assert_eq!(streamed.header("content-type"), Some("application/vnd.amazon.eventstream"));
        let text = String::from_utf8_lossy(&streamed.body);
        assert!(text.contains("contentBlockDelta") && text.contains("messageStop"), "{text}");
    }
    let refused = ask(&world, Ask::json("/model/nobody/converse", &body)).await;
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert_eq!(refused.header("x-amzn-errortype"), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn coheres_clients_are_answered_in_their_words() {
    let world = World::plain().await;
    for model in ["gpt", "claude"] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let whole = ask(&world, Ask::json("/v2/chat", &body)).await;
        let said = whole.json()["message"]["content"][0]["text"].clone();
        assert!(said.as_str().unwrap().starts_with("You said:"), "{}", whole.text());
        let mut body = body;
        body["stream"] = json!(true);
        let streamed = ask(&world, Ask::json("/v2/chat", &body)).await;
        let text = streamed.text();
        assert!(text.contains("content-delta") && text.contains("message-end"), "{text}");
    }
    let refused = ask(&world, Ask::json("/v2/nothing", &json!({}))).await;
    assert_eq!((refused.status, refused.json()["message"].is_string()), (404, true));
}

#[tokio::test]
async fn a_cached_answer_is_shared_by_clients_who_name_the_model_in_the_path() {
    let world = World::with("litellm_settings: {cache: true, cache_params: {type: local}}").await;
    let path = "/v1beta/models/gpt:generateContent";
    for cached in [None, Some("true")] {
        let answer = ask(&world, Ask::json(path, &contents())).await;
        assert_eq!(answer.header("x-ziggurat-cached"), cached, "{}", answer.text());
    }
    // Another model is another answer, and so is a stream of it.
    let other = ask(&world, Ask::json("/v1beta/models/claude:generateContent", &contents())).await;
    assert_eq!(other.header("x-ziggurat-cached"), None);
    let stream = "/v1beta/models/gpt:streamGenerateContent?alt=sse";
    for cached in [None, Some("true")] {
        let answer = ask(&world, Ask::json(stream, &contents())).await;
        assert_eq!(answer.header("x-ziggurat-cached"), cached, "{}", answer.text());
        assert!(answer.data().len() > 1);
    }
}
