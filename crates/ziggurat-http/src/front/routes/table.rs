//! Where each dialect is spoken.

use std::sync::LazyLock;

use http::HeaderMap;

use ziggurat_core::{Dialect, StoredAction};

use super::path::{Path, Verb};

/// A model of Google's on Vertex, without what is asked of it.
macro_rules! vertex {
    () => {
        "/{version}/projects/{}/locations/{}/publishers/google/models/{model}"
    };
}

/// The paths of one dialect, and how its clients are known where the path does not say whose it is.
pub(super) struct Surface {
    /// The dialect's name.
    pub(super) name: &'static str,
    pub(super) paths: &'static [Path],
    /// Whether headers say that a client of this dialect asks.
    pub(super) sends: fn(&HeaderMap) -> bool,
    /// Whether a path, one that is not served included, can only be of this dialect.
    pub(super) owns: fn(&str) -> bool,
}

/// A dialect that is spoken.
pub(super) struct Spoken {
    pub(super) dialect: Dialect,
    pub(super) surface: &'static Surface,
}

/// The dialects that are spoken, the most frequent first.
pub(super) fn spoken() -> &'static [Spoken] {
    static SPOKEN: LazyLock<Vec<Spoken>> = LazyLock::new(|| {
        let spoken = |surface: &'static Surface| {
            let dialect = ziggurat_dialects::named(surface.name)?;
            Some(Spoken { dialect, surface })
        };
        SURFACES.iter().filter_map(spoken).collect()
    });
    &SPOKEN
}

/// One more dialect is one more of these.
pub(super) static SURFACES: [Surface; 8] = [
    Surface {
        name: "openai",
        paths: &[
            Path::chat("(/v1)/chat/completions"),
            Path::chat("/openai/v1/chat/completions"),
            Path::chat("/openai/deployments/{model}/chat/completions"),
            Path::chat("(/v1)/engines/{model}/chat/completions"),
            Path::embed("(/v1)/embeddings"),
            Path::embed("/openai/v1/embeddings"),
            Path::embed("/openai/deployments/{model}/embeddings"),
            Path::embed("(/v1)/engines/{model}/embeddings"),
            Path::rerank("(/v1)/rerank"),
            Path::moderation("(/v1)/moderations"),
            Path::count("/utils/token_counter"),
            Path::models("(/v1)/models"),
            Path::models("(/v1)/models/{model}"),
            Path::models("/openai/v1/models"),
            Path::models("/openai/v1/models/{model}"),
            Path::models("/openai/models"),
            Path::models("/openai/models/{model}"),
        ],
        sends: |_| false,
        owns: |_| false,
    },
    Surface {
        name: "completions",
        paths: &[
            Path::chat("(/v1)/completions"),
            Path::chat("/openai/v1/completions"),
            Path::chat("/openai/deployments/{model}/completions"),
            Path::chat("(/v1)/engines/{model}/completions"),
        ],
        sends: |_| false,
        owns: |_| false,
    },
    Surface {
        name: "anthropic",
        paths: &[
            Path::chat("(/v1)/messages"),
            Path::count("(/v1)/messages/count_tokens"),
            Path::chat("/anthropic/v1/messages"),
            Path::count("/anthropic/v1/messages/count_tokens"),
            Path::models("(/v1)/models"),
            Path::models("(/v1)/models/{model}"),
            Path::models("/anthropic/v1/models"),
            Path::models("/anthropic/v1/models/{model}"),
        ],
        sends: |headers| headers.contains_key("anthropic-version"),
        owns: |path| path.contains("/messages") || path.starts_with("/anthropic/"),
    },
    Surface {
        name: "responses",
        paths: &[
            Path::chat("(/v1)/responses"),
            Path::count("(/v1)/responses/input_tokens"),
            Path::chat("/openai/v1/responses"),
            Path::count("/openai/v1/responses/input_tokens"),
            Path::chat("/openai/responses"),
            Path::count("/openai/responses/input_tokens"),
            Path::chat("/openai/deployments/{model}/responses"),
            Path::stored(Verb::Get, "(/v1)/responses/{id}", StoredAction::Retrieve),
            Path::stored(Verb::Delete, "(/v1)/responses/{id}", StoredAction::Delete),
            Path::stored(Verb::Post, "(/v1)/responses/{id}/cancel", StoredAction::Cancel),
            Path::stored(Verb::Get, "(/v1)/responses/{id}/input_items", StoredAction::InputItems),
            Path::stored(Verb::Get, "/openai/v1/responses/{id}", StoredAction::Retrieve),
            Path::stored(Verb::Delete, "/openai/v1/responses/{id}", StoredAction::Delete),
            Path::stored(Verb::Post, "/openai/v1/responses/{id}/cancel", StoredAction::Cancel),
            Path::stored(
                Verb::Get,
                "/openai/v1/responses/{id}/input_items",
                StoredAction::InputItems,
            ),
        ],
        sends: |_| false,
        owns: |path| path.contains("/responses"),
    },
    Surface {
        name: "gemini",
        paths: &[
            Path::whole("/{version}/models/{model}:generateContent"),
            Path::streamed("/{version}/models/{model}:streamGenerateContent").events_if("alt=sse"),
            Path::count("/{version}/models/{model}:countTokens"),
            // Each content names the model, by the caller's name for it.
            Path::embed("/{version}/models/{model}:batchEmbedContents").rewritten(),
            Path::embed("/{version}/models/{model}:embedContent").rewritten(),
            Path::whole(concat!(vertex!(), ":generateContent")),
            Path::streamed(concat!(vertex!(), ":streamGenerateContent")).events_if("alt=sse"),
            Path::count(concat!(vertex!(), ":countTokens")),
            Path::whole("/{version}/publishers/google/models/{model}:generateContent"),
            Path::streamed("/{version}/publishers/google/models/{model}:streamGenerateContent")
                .events_if("alt=sse"),
            Path::count("/{version}/publishers/google/models/{model}:countTokens"),
            Path::models("/v1beta/models"),
            Path::models("/v1beta/models/{model}"),
            Path::models("(/v1)/models"),
            Path::models("(/v1)/models/{model}"),
        ],
        sends: |headers| {
            headers.contains_key("x-goog-api-client") || headers.contains_key("x-goog-api-key")
        },
        owns: is_gemini,
    },
    Surface {
        name: "converse",
        paths: &[
            Path::whole("/model/{model}/converse"),
            Path::streamed("/model/{model}/converse-stream"),
            Path::count("/model/{model}/count-tokens"),
        ],
        sends: |_| false,
        owns: |path| path.starts_with("/model/"),
    },
    Surface {
        name: "cohere",
        paths: &[
            Path::chat("/v2/chat"),
            Path::embed("/v2/embed"),
            Path::rerank("/v2/rerank"),
            Path::models("(/v1)/models"),
            Path::models("(/v1)/models/{model}"),
        ],
        sends: |headers| headers.get("x-fern-sdk-name").is_some_and(|name| name == "cohere"),
        owns: |path| path.starts_with("/v2/"),
    },
    Surface {
        name: "ollama",
        paths: &[
            Path::streaming("/api/chat"),
            Path::embed("/api/embed"),
            Path::embed("/api/embeddings").rewritten(),
            Path::models("/api/tags"),
            Path::model("/api/show"),
        ],
        sends: |_| false,
        owns: |path| path.starts_with("/api/"),
    },
];

/// Whether a path is one of Gemini's calls, which has the verb at its end: `/v1/models/gemini-2.5-flash:generateContent`.
pub(super) fn is_gemini(path: &str) -> bool {
    has_verb(path) || path.starts_with("/v1beta/") || path.starts_with("/v1beta1/")
}

/// Whether a path ends in one of Gemini's verbs, so that it cannot be the name of a model.
pub(super) fn has_verb(path: &str) -> bool {
    let verb = path.rsplit_once(':').map_or("", |(_, verb)| verb);
    path.contains("/models/")
        && (["generateContent", "streamGenerateContent", "countTokens", "predict"].contains(&verb)
            || verb.ends_with("embedContent")
            || verb.ends_with("EmbedContents"))
}
