//! Which path is which call.

mod path;
mod table;

use std::ops::Range;

use http::{HeaderMap, Method, Uri};

use ziggurat_core::{Dialect, Operation, StoredAction, Str};
use ziggurat_dialects::OPENAI;

pub(crate) use self::path::escape;
use self::path::{Path, Verb, unescape};
use self::table::{Spoken, has_verb, is_gemini, spoken};

/// What a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The dialect in which the caller speaks and is answered.
    pub dialect: Dialect,
    /// What is asked for.
    pub operation: Operation,
    /// The model, or the answer that was kept, where the path names it.
    pub model: Option<Str>,
    /// Whether the answer is streamed.
    pub streaming: Streaming,
    /// Whether a stream is one JSON array, element by element, and no sequence of events.
    pub array: bool,
    /// Whether there is a body.
    pub(super) posts: bool,
    /// What is asked of an answer that was kept.
    pub(super) stored: Option<StoredAction>,
    /// Whether it is read at once, since it does not go on as it came.
    pub(super) rewritten: bool,
}

/// Who says whether an answer is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Streaming {
    /// The body's `stream`; it is not streamed where the body says nothing.
    Asked,
    /// The body's `stream`; it is streamed where the body says nothing.
    Default,
    /// The path: it is streamed.
    Always,
    /// The path: it is not streamed.
    Never,
}

/// Which paths are model calls: those of the vendors.
///
/// | path | dialect |
/// | --- | --- |
/// | `POST /v1/chat/completions`, `/openai/v1/chat/completions`, `/openai/deployments/{model}/chat/completions`, `/engines/{model}/chat/completions` | OpenAI Chat |
/// | `POST /v1/completions`, `/openai/v1/completions`, `/openai/deployments/{model}/completions`, `/engines/{model}/completions` | OpenAI's legacy Completions |
/// | `POST /v1/embeddings`, `/openai/v1/embeddings`, `/openai/deployments/{model}/embeddings`, `/engines/{model}/embeddings` | OpenAI |
/// | `POST /v1/rerank`, `/v1/moderations`, `/utils/token_counter` | OpenAI, and who speaks like it |
/// | `POST /v1/responses`, `/v1/responses/input_tokens`, `/openai/v1/responses`, `/openai/responses` | OpenAI Responses |
/// | `GET` and `DELETE /v1/responses/{id}`, `POST /v1/responses/{id}/cancel`, `GET /v1/responses/{id}/input_items` | OpenAI Responses, where a layer keeps answers |
/// | `POST /v1/messages`, `/v1/messages/count_tokens`, both also below `/anthropic` | Anthropic Messages |
/// | `POST /v1beta/models/{model}:generateContent`, `:streamGenerateContent`, `:countTokens`, `:embedContent`, `:batchEmbedContents`; `GET /v1beta/models` | Gemini |
/// | `POST /v1/projects/{project}/locations/{location}/publishers/google/models/{model}:…`, `/v1/publishers/google/models/{model}:…` | Gemini |
/// | `POST /model/{model}/converse`, `/model/{model}/converse-stream`, `/model/{model}/count-tokens` | Bedrock Converse |
/// | `POST /v2/chat`, `/v2/embed`, `/v2/rerank` | Cohere |
/// | `POST /api/chat`, `/api/embed`, `/api/embeddings`, `/api/show`; `GET /api/tags` | Ollama |
/// | `GET /v1/models`, `/v1/models/{id}` | that of the client, as its headers tell (`anthropic-version`, `x-goog-api-key`), else OpenAI |
///
/// The `/v1` of OpenAI's and Anthropic's may be left out; Gemini's version may be any. Served are the dialects that
/// [`ziggurat_dialects::all`] lists.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routes(());

/// What helps somebody who asked for a path that is not served.
pub(super) fn hint(path: &str, headers: &HeaderMap) -> &'static str {
    let path = without_slash(path);
    let is_spoken = |name| spoken().iter().any(|spoken| spoken.dialect.name() == name);
    if !is_spoken("gemini") && (is_gemini(path) || headers.contains_key("x-goog-api-client")) {
        "Gemini's API is not served, use OpenAI's at /v1/chat/completions or Anthropic's at /v1/messages"
    } else if path.starts_with("/v1/v1/") {
        "the client adds /v1 itself, leave it out of its base URL"
    } else if path.starts_with("/v1beta/v1") || path.starts_with("/v1/v1beta") {
        "the client adds the version itself, leave it out of its base URL"
    } else if path.ends_with("/responses/compact") {
        "conversations are not made smaller here, send what is to be left out no more"
    } else if !is_spoken("responses") && path.ends_with("/responses") {
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
        allow: String,
    },
    Nothing,
}

impl Routes {
    /// What a request asks for, if it is a model call.
    #[must_use]
    pub fn route(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Route> {
        match self.find(method, uri, headers) {
            Found::Route(route) => Some(route),
            _ => None,
        }
    }

    /// The dialect in which to answer a request, whatever it asks for.
    #[must_use]
    pub fn dialect(&self, path: &str, headers: &HeaderMap) -> Dialect {
        let path = without_slash(path);
        if let Some((dialect, ..)) = locate(path, headers) {
            return dialect;
        }
        let of = |is: &dyn Fn(&Spoken) -> bool| spoken().iter().find(|spoken| is(spoken));
        of(&|spoken| (spoken.surface.owns)(path))
            .or_else(|| of(&|spoken| (spoken.surface.sends)(headers)))
            .map_or(OPENAI, |spoken| spoken.dialect)
    }

    pub(super) fn find(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Found {
        let path = without_slash(uri.path());
        let mut others: Vec<(Dialect, &'static str)> = Vec::new();
        let mut fitting = None;
        each(path, headers, &mut |dialect, found, span| {
            let fits = found.takes(method);
            match fits {
                true => fitting = Some((dialect, found, span)),
                false => others.push((dialect, found.verb.allow())),
            }
            fits
        });
        let Some((dialect, found, span)) = fitting else {
            let Some((dialect, _)) = others.first().copied() else { return Found::Nothing };
            let mut allow: Vec<&str> = others.iter().map(|(_, allow)| *allow).collect();
            allow.dedup();
            return Found::Method { dialect, allow: allow.join(", ") };
        };
        let model = match span.map(|span| unescape(&path[span])) {
            None => None,
            Some(Some(model)) => Some(model),
            Some(None) => return Found::Nothing,
        };
        let array = found.events_if.is_some_and(|needed| {
            !uri.query().unwrap_or_default().split('&').any(|pair| pair == needed)
        });
        Found::Route(Route {
            dialect,
            operation: found.operation,
            model,
            streaming: found.streaming,
            array,
            posts: found.verb == Verb::Post && found.stored.is_none(),
            stored: found.stored,
            rewritten: found.rewritten,
        })
    }

    /// The same address for another model, where the path names it and names another.
    pub(crate) fn turned(&self, uri: &Uri, headers: &HeaderMap, model: &str) -> Option<Uri> {
        let path = without_slash(uri.path());
        let (_, _, span) = locate(path, headers)?;
        let span = span?;
        if unescape(&path[span.clone()])? == *model {
            return None;
        }
        let (before, after) = (&uri.path()[..span.start], &uri.path()[span.end..]);
        let mut turned = format!("{before}{}{after}", escape(model));
        if let Some(query) = uri.query() {
            turned.push('?');
            turned.push_str(query);
        }
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(turned.parse().ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Whose path it is, and where in it a name stands.
fn locate(
    path: &str,
    headers: &HeaderMap,
) -> Option<(Dialect, &'static Path, Option<Range<usize>>)> {
    let mut first = None;
    each(path, headers, &mut |dialect, found, span| {
        first = Some((dialect, found, span));
        true
    });
    first
}

/// Goes through all that a path may be, the likeliest first, until one is taken.
fn each(
    path: &str,
    headers: &HeaderMap,
    take: &mut dyn FnMut(Dialect, &'static Path, Option<Range<usize>>) -> bool,
) {
    // What several dialects have at one path (lists of models) is answered in the asker's.
    let asker = || spoken().iter().filter(|spoken| (spoken.surface.sends)(headers));
    // Gemini's list has OpenAI's path and another shape: its clients would read OpenAI's as empty.
    let foreign = headers.contains_key("x-goog-api-client") && asker().next().is_none();
    for spoken in asker().chain(spoken()) {
        for found in spoken.surface.paths {
            let is_models = found.operation == Operation::Models;
            if is_models && (foreign || has_verb(path)) {
                continue;
            }
            if let Some(span) = found.find(path)
                && take(spoken.dialect, found, span)
            {
                return;
            }
        }
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests;
