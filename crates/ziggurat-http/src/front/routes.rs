//! Which path is which call.

use http::{HeaderMap, Method};

use ziggurat_core::{Dialect, Operation, Str};
use ziggurat_dialects::{ANTHROPIC, OPENAI};

/// What a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The dialect in which the caller speaks and is answered.
    pub dialect: Dialect,
    /// What is asked for.
    pub operation: Operation,
    /// The model, where the path names it.
    pub model: Option<Str>,
}

/// Which paths are model calls: those of the vendors, with and without `/v1`.
///
/// | path | dialect |
/// | --- | --- |
/// | `POST /v1/chat/completions`, `/openai/deployments/{model}/chat/completions`, `/engines/{model}/chat/completions` | OpenAI Chat |
/// | `POST /v1/messages`, `/v1/messages/count_tokens` | Anthropic Messages |
/// | `GET /v1/models`, `/v1/models/{id}` | Anthropic with the header `anthropic-version`, else OpenAI |
#[derive(Clone, Copy, Debug, Default)]
pub struct Routes(());

/// The header by which Google's clients tell what they are.
const GEMINI_CLIENT: &str = "x-goog-api-client";

/// Whether a path is one of Gemini's calls, which has the verb at its end: `/v1/models/gemini-2.5-flash:generateContent`.
fn is_gemini(path: &str) -> bool {
    let verb = path.rsplit_once(':').map_or("", |(_, verb)| verb);
    path.contains("/models/")
        && (["generateContent", "streamGenerateContent", "countTokens", "predict"].contains(&verb)
            || verb.ends_with("embedContent")
            || verb.ends_with("EmbedContents"))
}

/// What helps somebody who asked for a path that is not served.
pub(super) fn hint(path: &str, headers: &HeaderMap) -> &'static str {
    let path = path.strip_suffix('/').unwrap_or(path);
    if is_gemini(path) || headers.contains_key(GEMINI_CLIENT) {
        "Gemini's API is not served, use OpenAI's at /v1/chat/completions or Anthropic's at /v1/messages"
    } else if path.starts_with("/v1/v1/") {
        "the client adds /v1 itself, leave it out of its base URL"
    } else if path.ends_with("/responses") {
        "OpenAI's Responses API is not served, use /v1/chat/completions"
    } else {
        "models are called at /v1/chat/completions and /v1/messages"
    }
}

/// What was found.
pub(super) enum Found {
    Route(Route),
    /// The path is one of ours, but takes another method.
    Method {
        dialect: Dialect,
        allow: &'static str,
    },
    Nothing,
}

impl Routes {
    /// What a request asks for, if it is a model call.
    #[must_use]
    pub fn route(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Route> {
        match self.find(method, path, headers) {
            Found::Route(route) => Some(route),
            _ => None,
        }
    }

    /// The dialect in which to answer a request, whatever it asks for.
    #[must_use]
    pub fn dialect(&self, path: &str, headers: &HeaderMap) -> Dialect {
        if path.contains("/messages") || headers.contains_key("anthropic-version") {
            ANTHROPIC
        } else {
            OPENAI
        }
    }

    pub(super) fn find(&self, method: &Method, path: &str, headers: &HeaderMap) -> Found {
        let dialect = self.dialect(path, headers);
        let Some((operation, model)) = Self::operation(path) else { return Found::Nothing };
        // Gemini's list of models has the same path and another shape: its clients would read ours as empty.
        if operation == Operation::Models && headers.contains_key(GEMINI_CLIENT) {
            return Found::Nothing;
        }
        let (fits, allow) = match operation {
            Operation::Models => (method == Method::GET || method == Method::HEAD, "GET, HEAD"),
            _ => (method == Method::POST, "POST"),
        };
        if !fits {
            return Found::Method { dialect, allow };
        }
        let dialect = match operation {
            Operation::Chat if path.ends_with("/chat/completions") => OPENAI,
            _ => dialect,
        };
        Found::Route(Route { dialect, operation, model })
    }

    fn operation(path: &str) -> Option<(Operation, Option<Str>)> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let bare = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        match bare {
            "/chat/completions" => return Some((Operation::Chat, None)),
            "/messages" => return Some((Operation::Chat, None)),
            "/messages/count_tokens" => return Some((Operation::CountTokens, None)),
            "/models" => return Some((Operation::Models, None)),
            _ => {}
        }
        if let Some(model) = bare.strip_prefix("/models/").filter(|_| !is_gemini(path)) {
            return Some((Operation::Models, Some(unescape(model)?)));
        }
        let rest = path
            .strip_prefix("/openai/deployments/")
            .or_else(|| path.strip_prefix("/engines/"))
            .or_else(|| path.strip_prefix("/v1/engines/"))?;
        let model = rest.strip_suffix("/chat/completions")?;
        Some((Operation::Chat, Some(unescape(model)?)))
    }
}

/// A model's name from a path: it may hold slashes, plain or as `%2F`, but nothing that walks about (`..`, control characters).
fn unescape(name: &str) -> Option<Str> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let (hex, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(first);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    let fine = !name.is_empty()
        && name.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
        && !name.contains(|c: char| c.is_control() || matches!(c, '?' | '#' | '\\'));
    fine.then(|| Str::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &Method, path: &str) -> Option<(String, Operation, Option<String>)> {
        let route = Routes::default().route(method, path, &HeaderMap::new())?;
        Some((
            route.dialect.name().to_owned(),
            route.operation,
            route.model.map(|model| model.to_string()),
        ))
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
        let route = Routes::default().route(&Method::GET, "/v1/models", &headers).unwrap();
        assert_eq!(route.dialect, ANTHROPIC);
    }

    #[test]
    fn gemini_is_told_that_it_is_not_served() {
        let path = "/v1/models/gemini-2.5-flash:generateContent";
        let mut headers = HeaderMap::new();
        for method in [Method::POST, Method::GET] {
            // A 405 sent callers looking for another method.
            assert!(matches!(Routes::default().find(&method, path, &headers), Found::Nothing));
        }
        assert!(hint(path, &headers).starts_with("Gemini's API"));
        assert!(find(&Method::GET, "/v1/models/llama3:8b").is_some());
        headers.insert(GEMINI_CLIENT, http::HeaderValue::from_static("google-genai-sdk/3"));
        assert_eq!(Routes::default().route(&Method::GET, "/v1/models", &headers), None);
        assert!(hint("/v1/models", &headers).starts_with("Gemini's API"));
    }

    #[test]
    fn a_wrong_base_url_is_recognised() {
        let headers = HeaderMap::new();
        assert!(hint("/v1/v1/messages", &headers).contains("base URL"));
        assert!(hint("/v1/responses", &headers).contains("Responses"));
        assert!(hint("/chat", &headers).contains("/v1/chat/completions"));
    }

    #[test]
    fn a_wrong_method_is_not_an_unknown_path() {
        let found = Routes::default().find(&Method::GET, "/v1/messages", &HeaderMap::new());
        assert!(matches!(found, Found::Method { allow: "POST", .. }));
    }
}
