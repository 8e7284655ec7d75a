use ziggurat_dialects::ANTHROPIC;

use super::table::SURFACES;
use super::*;

/// The dialect, what is asked for and the model.
fn find(method: &Method, path: &str) -> Option<(String, Operation, Option<String>)> {
    let uri = path.parse().ok()?;
    let route = Routes::default().route(method, &uri, &HeaderMap::new())?;
    Some((
        route.dialect.name().to_owned(),
        route.operation,
        route.model.map(|model| model.to_string()),
    ))
}

/// What the table of one dialect has at a path: the model, and who says whether the answer is streamed.
fn listed(name: &str, operation: Operation, path: &str) -> Option<(Option<Str>, Streaming)> {
    let surface = SURFACES.iter().find(|surface| surface.name == name).unwrap();
    surface.paths.iter().filter(|found| found.operation == operation).find_map(|found| {
        let span = found.find(path)?;
        Some((span.map(|span| unescape(&path[span]).unwrap()), found.streaming))
    })
}

#[test]
fn every_vendors_paths_say_what_they_ask_for() {
    use Operation::{Chat, CountTokens, Models};
    use Streaming::{Always, Asked, Default, Never};
    let vertex = "/v1/projects/p/locations/global/publishers/google/models/gemini-3-pro";
    let vertex = |verb: &str| format!("{vertex}:{verb}");
    for (name, operation, path, model, streaming) in [
        ("openai", Chat, "/openai/v1/chat/completions", None, Asked),
        ("openai", Chat, "/openai/deployments/d/chat/completions", Some("d"), Asked),
        ("openai", Chat, "/v1/engines/e/chat/completions", Some("e"), Asked),
        ("completions", Chat, "/v1/completions", None, Asked),
        ("completions", Chat, "/openai/deployments/d/completions", Some("d"), Asked),
        ("responses", Chat, "/v1/responses", None, Asked),
        ("responses", Chat, "/responses", None, Asked),
        ("responses", Chat, "/openai/v1/responses", None, Asked),
        ("responses", CountTokens, "/v1/responses/input_tokens", None, Never),
        ("anthropic", Chat, "/messages", None, Asked),
        ("gemini", Chat, "/v1beta/models/g-2.5:generateContent", Some("g-2.5"), Never),
        ("gemini", Chat, "/v1beta/models/g:streamGenerateContent", Some("g"), Always),
        ("gemini", Chat, "/v1/models/o/llama3:8b:generateContent", Some("o/llama3:8b"), Never),
        ("gemini", CountTokens, "/v1beta/models/g:countTokens", Some("g"), Never),
        ("gemini", Models, "/v1beta/models", None, Never),
        ("gemini", Models, "/v1beta/models/g", Some("g"), Never),
        ("gemini", Chat, &vertex("generateContent"), Some("gemini-3-pro"), Never),
        ("gemini", Chat, &vertex("streamGenerateContent"), Some("gemini-3-pro"), Always),
        ("gemini", CountTokens, &vertex("countTokens"), Some("gemini-3-pro"), Never),
        ("gemini", Chat, "/v1/publishers/google/models/g:generateContent", Some("g"), Never),
        ("converse", Chat, "/model/a.claude-v1%3A0/converse", Some("a.claude-v1:0"), Never),
        ("converse", Chat, "/model/arn%3Aaws%3Ax%2Fy/converse-stream", Some("arn:aws:x/y"), Always),
        ("converse", CountTokens, "/model/m/count-tokens", Some("m"), Never),
        ("cohere", Chat, "/v2/chat", None, Asked),
        ("ollama", Chat, "/api/chat", None, Default),
        ("ollama", Models, "/api/tags", None, Never),
        ("ollama", Models, "/api/show", None, Never),
    ] {
        let model = model.map(Str::from);
        assert_eq!(listed(name, operation, path), Some((model, streaming)), "{name} {path}");
    }
}

#[test]
fn what_is_spoken_is_found_by_its_path_alone() {
    for (name, path) in [
        ("openai", "/v1/chat/completions"),
        ("completions", "/v1/completions"),
        ("completions", "/engines/m/completions"),
        ("openai", "/engines/m/chat/completions"),
        ("openai", "/openai/deployments/m/chat/completions"),
        ("anthropic", "/v1/messages"),
        ("responses", "/v1/responses"),
        ("gemini", "/v1beta/models/g:generateContent"),
        ("converse", "/model/m/converse"),
        ("cohere", "/v2/chat"),
        ("ollama", "/api/chat"),
    ] {
        // A dialect that is not built in is not served, nor taken for another.
        let expected = ziggurat_dialects::named(name).map(|_| name.to_owned());
        let found = find(&Method::POST, path).map(|(dialect, ..)| dialect);
        assert_eq!(found, expected, "{path}");
        let refused = Routes::default().dialect(path, &HeaderMap::new());
        assert_eq!(refused.name(), expected.as_deref().unwrap_or("openai"));
    }
}

#[test]
fn a_model_in_a_path_is_replaced_where_it_stands() {
    let turned = |uri: &str, model: &str| {
        let turned = Routes::default().turned(&uri.parse().unwrap(), &HeaderMap::new(), model);
        turned.map(|uri| uri.to_string())
    };
    let azure = "http://h:1/openai/deployments/gpt%2D4o/chat/completions?api-version=1";
    assert_eq!(turned(azure, "gpt-4o"), None);
    assert_eq!(
        turned(azure, "my gpt").as_deref(),
        Some("http://h:1/openai/deployments/my%20gpt/chat/completions?api-version=1")
    );
    assert_eq!(turned("/v1/chat/completions", "m"), None);
    assert_eq!(turned("/elsewhere", "m"), None);
}

#[test]
fn every_surface_is_a_dialects() {
    // A slip in a name would leave a dialect without paths.
    for dialect in ziggurat_dialects::all() {
        assert!(SURFACES.iter().any(|surface| surface.name == dialect.name()), "{dialect}");
    }
}

#[test]
fn paths_are_found_with_and_without_their_version() {
    for path in ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/"] {
        assert_eq!(
            find(&Method::POST, path),
            Some(("openai".into(), Operation::Chat, None)),
            "{path}"
        );
    }
    assert_eq!(
        find(&Method::POST, "/v1/messages/count_tokens"),
        Some(("anthropic".into(), Operation::CountTokens, None))
    );
    assert_eq!(
        find(&Method::POST, "/openai/deployments/gpt%2D4o/chat/completions"),
        Some(("openai".into(), Operation::Chat, Some("gpt-4o".into())))
    );
    assert_eq!(
        find(&Method::GET, "/v1/models/openai/gpt-4.1"),
        Some(("openai".into(), Operation::Models, Some("openai/gpt-4.1".into())))
    );
}

#[test]
fn a_models_name_cannot_walk_about() {
    for name in ["..", "a/../b", "a%2f..%2fb", "%00", "a%0d%0ab", "", "a//b", "%zz", "a?b"] {
        let path = format!("/openai/deployments/{name}/chat/completions");
        assert_eq!(find(&Method::POST, &path), None, "{name}");
    }
}

#[test]
fn models_are_listed_in_the_askers_shape() {
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
    let route =
        Routes::default().route(&Method::GET, &Uri::from_static("/v1/models"), &headers).unwrap();
    assert_eq!(route.dialect, ANTHROPIC);
}

#[test]
fn what_is_not_spoken_is_said_to_be_missing() {
    let path = "/v1/models/gemini-2.5-flash:generateContent";
    let headers = HeaderMap::new();
    assert!(find(&Method::GET, "/v1/models/llama3:8b").is_some());
    // The verb is no part of a model's name.
    assert_eq!(find(&Method::GET, path), None);
    let spoken = ziggurat_dialects::named("gemini").is_some();
    assert_eq!(hint(path, &headers).starts_with("Gemini's API"), !spoken);
    let found = Routes::default().find(&Method::GET, &path.parse().unwrap(), &headers);
    assert_eq!(matches!(found, Found::Method { ref allow, .. } if allow == "POST"), spoken);
    let mut headers = headers;
    headers.insert("x-goog-api-client", http::HeaderValue::from_static("google-genai-sdk/3"));
    let list = Routes::default().route(&Method::GET, &"/v1/models".parse().unwrap(), &headers);
    assert_eq!(list.map(|route| route.dialect.name()), spoken.then_some("gemini"));
}

#[test]
fn a_wrong_base_url_is_recognised() {
    let headers = HeaderMap::new();
    assert!(hint("/v1/v1/messages", &headers).contains("base URL"));
    assert!(hint("/chat", &headers).contains("/v1/chat/completions"));
}

#[test]
fn a_wrong_method_is_not_an_unknown_path() {
    let found =
        Routes::default().find(&Method::GET, &Uri::from_static("/v1/messages"), &HeaderMap::new());
    assert!(matches!(found, Found::Method { ref allow, .. } if allow == "POST"));
}

/// It is asked for by `POST`, at what would be an answer's path.
#[test]
fn what_is_no_id_is_no_answers_path() {
    let found = |method: &Method, path: &'static str| {
        Routes::default().find(method, &Uri::from_static(path), &HeaderMap::new())
    };
    for path in ["/v1/responses/compact", "/responses/compact"] {
        for method in [Method::POST, Method::GET] {
            assert!(matches!(found(&method, path), Found::Nothing), "{method} {path}");
        }
        assert!(hint(path, &HeaderMap::new()).contains("not made smaller"));
    }
    let count = found(&Method::GET, "/v1/responses/input_tokens");
    assert!(matches!(count, Found::Method { ref allow, .. } if allow == "POST"));
}
