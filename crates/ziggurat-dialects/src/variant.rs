//! A dialect as one provider speaks it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use ziggurat_core::{Dialect, Error, ErrorKind, Operation, RawJson, Secret, Str};

use crate::Quirks;

/// A dialect as one provider speaks it: what is said is the dialect's, where and how it is said may differ.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Variant {
    /// The dialect.
    pub dialect: Dialect,
    /// How the key is sent; `None` for the dialect's own way.
    pub key: Option<KeyHeader>,
    /// Paths in place of the dialect's.
    pub paths: Paths,
    /// What every address has in its query.
    pub query: Vec<(Str, Str)>,
    /// Headers of every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Members of every body.
    pub body: Vec<(Str, RawJson)>,
    /// What is taken otherwise.
    pub quirks: Arc<Quirks>,
}

impl Variant {
    /// A dialect as it is.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            key: None,
            paths: Paths::default(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            quirks: Arc::default(),
        }
    }
}

impl From<Dialect> for Variant {
    fn from(dialect: Dialect) -> Self {
        Self::of(dialect)
    }
}

/// Paths below a provider's base address. `{model}` stands for the model's name; a body does not name it then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Paths {
    /// Of a conversation.
    pub chat: Option<Str>,
    /// Of a conversation that is streamed, where that is another path.
    pub stream: Option<Str>,
    /// Of a count of tokens.
    pub count: Option<Str>,
    /// Of embeddings.
    pub embeddings: Option<Str>,
    /// Of reranking.
    pub rerank: Option<Str>,
    /// Of a list of models.
    pub models: Option<Str>,
}

impl Paths {
    /// The path of an operation, if it is not the dialect's.
    #[must_use]
    pub fn find(&self, operation: Operation, stream: bool) -> Option<&Str> {
        match operation {
            Operation::Chat if stream => self.stream.as_ref().or(self.chat.as_ref()),
            Operation::Chat => self.chat.as_ref(),
            Operation::CountTokens => self.count.as_ref(),
            Operation::Embeddings => self.embeddings.as_ref(),
            Operation::Rerank => self.rerank.as_ref(),
            Operation::Models => self.models.as_ref(),
            _ => None,
        }
    }
}

/// A header that holds a key: `api-key: {key}`, `authorization: Bearer {key}`.
///
/// ```
/// use ziggurat_dialects::KeyHeader;
///
/// let azure: KeyHeader = "api-key: {key}".parse().unwrap();
/// assert!("api-key".parse::<KeyHeader>().is_err());
/// # drop(azure);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    name: HeaderName,
    before: Str,
}

impl KeyHeader {
    /// The key as a bearer's token.
    #[must_use]
    pub fn bearer() -> Self {
        Self { name: http::header::AUTHORIZATION, before: Str::from_static("Bearer ") }
    }

    /// Adds the header.
    ///
    /// # Errors
    ///
    /// When the key cannot be a header's value.
    pub fn authorize(&self, headers: &mut HeaderMap, key: &Secret) -> Result<(), Error> {
        let value = HeaderValue::try_from(format!("{}{}", self.before, key.expose()));
        let mut value = value.map_err(|_| {
            let message = "the provider's key has characters that a header cannot carry";
            Error::new(ErrorKind::Server, message)
        })?;
        value.set_sensitive(true);
        headers.insert(self.name.clone(), value);
        Ok(())
    }
}

impl FromStr for KeyHeader {
    type Err = NoKeyHeader;

    fn from_str(text: &str) -> Result<Self, NoKeyHeader> {
        let (name, value) = text.split_once(':').ok_or(NoKeyHeader)?;
        let before = value.trim_start().strip_suffix("{key}").ok_or(NoKeyHeader)?;
        let name = HeaderName::from_str(name.trim()).map_err(|_| NoKeyHeader)?;
        HeaderValue::from_str(before).map_err(|_| NoKeyHeader)?;
        Ok(Self { name, before: before.into() })
    }
}

/// A text is no header that holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKeyHeader;

impl fmt::Display for NoKeyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header that holds a key is written as `name: {key}`")
    }
}

impl std::error::Error for NoKeyHeader {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_where_the_provider_looks_for_it_and_is_not_printed() {
        for (header, name, value) in [
            ("api-key: {key}", "api-key", "k"),
            ("Authorization: Bearer {key}", "authorization", "Bearer k"),
            ("authorization:Token {key}", "authorization", "Token k"),
        ] {
            let mut headers = HeaderMap::new();
            let header: KeyHeader = header.parse().unwrap();
            header.authorize(&mut headers, &Secret::new("k")).unwrap();
            assert_eq!(headers[name], value);
            assert!(headers[name].is_sensitive());
            assert!(header.authorize(&mut headers, &Secret::new("k\n")).is_err());
        }
        for wrong in ["", "api-key", "api-key: k", "a b: {key}", "a: \u{1}{key}", "a: {key} b"] {
            assert_eq!(wrong.parse::<KeyHeader>(), Err(NoKeyHeader), "{wrong:?}");
        }
    }

    #[test]
    fn a_stream_has_the_path_of_a_chat_unless_it_has_its_own() {
        let mut paths = Paths { chat: Some(Str::from_static("/c")), ..Paths::default() };
        assert_eq!(paths.find(Operation::Chat, true).unwrap(), "/c");
        paths.stream = Some(Str::from_static("/s"));
        assert_eq!(paths.find(Operation::Chat, true).unwrap(), "/s");
        assert_eq!(paths.find(Operation::Chat, false).unwrap(), "/c");
        assert_eq!(paths.find(Operation::Models, false), None);
    }
}
