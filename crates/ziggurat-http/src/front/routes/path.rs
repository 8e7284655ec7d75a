//! Paths with gaps, and what is asked for at them.

use std::ops::Range;

use http::Method;

use ziggurat_core::{Operation, StoredAction, Str};

use super::Streaming;

/// A path at which a dialect is spoken.
///
/// In its pattern `{model}` is a model's name, which may have slashes of its own; `{id}` the id of something else; `{version}` is `v1`, `v1beta` and the like;
/// `{}` is any one segment; and `(/v1)` at its beginning may be left out.
#[derive(Debug)]
pub(super) struct Path {
    pattern: &'static str,
    pub(super) operation: Operation,
    pub(super) streaming: Streaming,
    /// How it is asked for.
    pub(super) verb: Verb,
    /// What is asked of an answer that was kept.
    pub(super) stored: Option<StoredAction>,
    /// What the query has to have, else a stream is one JSON array.
    pub(super) events_if: Option<&'static str>,
    /// Whether what comes here does not go on as it came.
    pub(super) rewritten: bool,
}

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Post,
    Get,
    Delete,
}

impl Verb {
    /// As it stands in `Allow`.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET, HEAD",
            Self::Delete => "DELETE",
        }
    }
}

impl Path {
    const fn new(pattern: &'static str, operation: Operation, streaming: Streaming) -> Self {
        Self {
            pattern,
            operation,
            streaming,
            verb: Verb::Post,
            stored: None,
            events_if: None,
            rewritten: false,
        }
    }

    /// A conversation whose body says whether it is streamed; it is not where the body says nothing.
    pub(super) const fn chat(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Chat, Streaming::Asked)
    }

    /// A conversation that is streamed unless its body says that it is not.
    pub(super) const fn streaming(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Chat, Streaming::Default)
    }

    /// A conversation that is answered in one piece.
    pub(super) const fn whole(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Chat, Streaming::Never)
    }

    /// A conversation that is streamed.
    pub(super) const fn streamed(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Chat, Streaming::Always)
    }

    /// A count of tokens.
    pub(super) const fn count(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::CountTokens, Streaming::Never)
    }

    /// Texts to turn into vectors.
    pub(super) const fn embed(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Embeddings, Streaming::Never)
    }

    /// Documents to put in order.
    pub(super) const fn rerank(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Rerank, Streaming::Never)
    }

    /// A text to look at.
    pub(super) const fn moderation(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Moderation, Streaming::Never)
    }

    /// A form that providers have another of: calls leave in that one.
    pub(super) const fn rewritten(mut self) -> Self {
        self.rewritten = true;
        self
    }

    /// A list of models, or one of them.
    pub(super) const fn models(pattern: &'static str) -> Self {
        Self { verb: Verb::Get, ..Self::new(pattern, Operation::Models, Streaming::Never) }
    }

    /// Something about an answer that was kept.
    pub(super) const fn stored(verb: Verb, pattern: &'static str, action: StoredAction) -> Self {
        let path = Self::new(pattern, Operation::Stored, Streaming::Never);
        Self { verb, stored: Some(action), ..path }
    }

    /// One model, named in a body.
    pub(super) const fn model(pattern: &'static str) -> Self {
        Self::new(pattern, Operation::Models, Streaming::Never)
    }

    /// Streams as one JSON array unless the query has this.
    pub(super) const fn events_if(mut self, query: &'static str) -> Self {
        self.events_if = Some(query);
        self
    }

    /// Where the model's name stands in a path, if the path is this one.
    pub(super) fn find(&self, path: &str) -> Option<Option<Range<usize>>> {
        match self.pattern.strip_prefix("(/v1)") {
            None => find(self.pattern, path, 0),
            Some(rest) => {
                let versioned = path.strip_prefix("/v1").filter(|bare| bare.starts_with('/'));
                let found = versioned.and_then(|bare| find(rest, bare, path.len() - bare.len()));
                found.or_else(|| find(rest, path, 0))
            }
        }
    }

    /// Whether this is how it is asked for.
    pub(super) fn takes(&self, method: &Method) -> bool {
        match self.verb {
            Verb::Post => method == Method::POST,
            Verb::Get => method == Method::GET || method == Method::HEAD,
            Verb::Delete => method == Method::DELETE,
        }
    }
}

/// What stands where an id does, and asks for something else (OpenAI Responses).
const NO_IDS: [&str; 2] = ["compact", "input_tokens"];

/// Compares a path, from `at` on, with a pattern.
fn find(pattern: &str, path: &str, at: usize) -> Option<Option<Range<usize>>> {
    let Some((literal, rest)) = pattern.split_once('{') else {
        return (pattern == path).then_some(None);
    };
    let tail = path.strip_prefix(literal)?;
    let at = at + literal.len();
    let (gap, rest) = rest.split_once('}')?;
    if gap == "model" {
        // The only gap that may hold slashes: what comes after it stands at the end of the path.
        let name = tail.strip_suffix(rest).filter(|name| !name.is_empty())?;
        return Some(Some(at..at + name.len()));
    }
    if gap == "id" {
        let is_id = |id: &&str| !id.is_empty() && !id.contains('/') && !NO_IDS.contains(id);
        let id = tail.strip_suffix(rest).filter(is_id)?;
        return Some(Some(at..at + id.len()));
    }
    let (segment, _) = tail.split_once('/')?;
    if segment.is_empty() || (gap == "version" && !is_version(segment)) {
        return None;
    }
    find(rest, &tail[segment.len()..], at + segment.len())
}

fn is_version(segment: &str) -> bool {
    let number = segment.strip_prefix('v').unwrap_or_default();
    number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A model's name from a path: it may hold slashes, plain or as `%2F`, but nothing that walks about (`..`, control characters).
pub(super) fn unescape(name: &str) -> Option<Str> {
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

/// A model's name as it stands in a path: slashes stay, whatever else is not plain is escaped.
pub(crate) fn escape(name: &str) -> String {
    use std::fmt::Write;

    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(pattern: &'static str, path: &str) -> Option<Option<String>> {
        let found = Path::chat(pattern).find(path)?;
        Some(found.map(|span| path[span].to_owned()))
    }

    #[test]
    fn gaps_are_filled_by_what_may_stand_there() {
        let vertex =
            "/{version}/projects/{}/locations/{}/publishers/google/models/{model}:countTokens";
        let path =
            "/v1beta1/projects/p-1/locations/global/publishers/google/models/g:2:countTokens";
        assert_eq!(model(vertex, path), Some(Some("g:2".into())));
        assert_eq!(model(vertex, &path.replace("p-1", "")), None);
        assert_eq!(model(vertex, &path.replace("v1beta1", "w1")), None);
        assert_eq!(model(vertex, &path.replace(":countTokens", "")), None);
        assert_eq!(model("/m/{model}/x", "/m/a/b/x"), Some(Some("a/b".into())));
        assert_eq!(model("/m/{model}/x", "/m//x"), None);
        assert_eq!(model("/m/{model}/x", "/m/x"), None);
    }

    #[test]
    fn a_version_in_brackets_may_be_left_out() {
        for path in ["/v1/models/a/b", "/models/a/b"] {
            assert_eq!(model("(/v1)/models/{model}", path), Some(Some("a/b".into())), "{path}");
        }
        assert_eq!(model("(/v1)/messages", "/v1/messages"), Some(None));
        assert_eq!(model("(/v1)/messages", "/messages"), Some(None));
        assert_eq!(model("(/v1)/messages", "/v1messages"), None);
        assert_eq!(model("(/v1)/messages", "/v1/v1/messages"), None);
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for name in ["gpt-4.1", "openai/gpt-4o:latest", "a b", "ä?", "50%"] {
            let written = escape(name);
            assert!(written.is_ascii() && !written.contains([' ', '?']), "{written}");
            let read = unescape(&written);
            assert_eq!(read.as_deref(), Some(name).filter(|name| !name.contains('?')));
        }
    }
}
