//! Where a model is, and how it is spoken with.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use serde_json::Value;
use ziggurat_core::{Dialect, Operation, RawJson, Str};
use ziggurat_dialects::{Paths, Variant};

use super::row::Rules;
use super::{NoAddress, Provider, azure, vertex};

/// Where a model is, and how it is spoken with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Place {
    /// The address below which its endpoints lie.
    pub address: String,
    /// The dialect as it is spoken there.
    pub variant: Variant,
    /// The model's name there.
    pub model: Str,
}

impl Provider {
    /// Where a model of this provider's is. `base` is an address that somebody configured, in any of the forms in which people
    /// write it; `variable` looks up what fills gaps, and the address where `base` says nothing.
    ///
    /// ```
    /// let azure = ziggurat_providers::provider("azure").unwrap();
    /// let place = azure.place("my-gpt", Some("https://me.openai.azure.com/"), |_| None)?;
    /// assert_eq!(place.address, "https://me.openai.azure.com");
    /// assert_eq!(place.variant.paths.chat.unwrap(), "/openai/deployments/{model}/chat/completions");
    /// # Ok::<(), ziggurat_providers::NoAddress>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no address, or a gap cannot be filled.
    pub fn place(
        &self,
        model: &str,
        base: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Place, NoAddress> {
        let row = &*self.0;
        let also = self.also(model);
        let mut variant = match also {
            None => self.variant(row.dialect, &row.paths, &row.query, &row.headers, &variable)?,
            Some(also) => {
                self.variant(also.dialect, &also.paths, &also.query, &also.headers, &variable)?
            }
        };
        let body = also.map_or(&row.body, |also| &also.body);
        let member = |(name, value): (&Str, &Value)| Some((name.clone(), RawJson::of(value).ok()?));
        variant.body = body.iter().filter_map(member).collect();
        match also {
            None => {
                variant.key.clone_from(&row.auth);
                variant.quirks = Arc::new(row.quirks.clone());
            }
            Some(also) => {
                variant.key.clone_from(&also.auth);
                variant.quirks = Arc::new(also.quirks.clone());
            }
        }
        // What names its own place below an address needs no root there.
        let below = also.map_or("", |also| also.below.as_str());
        let completed = |base: &str| match below {
            "" => completed(base, &variant),
            _ => base.trim_end_matches('/').to_owned(),
        };
        let mut address = match base {
            Some(base) => completed(base),
            None => match self.address(&variable)? {
                Cow::Borrowed(published) => published.to_owned(),
                Cow::Owned(other) => completed(&other),
            },
        };
        match (row.rules, also) {
            (Some(Rules::Azure), None) => azure::openai(&mut address, &mut variant),
            (Some(Rules::AzureAi), None) => azure::foundry(&mut address, &mut variant),
            (Some(Rules::Vertex), _) => vertex::address(&mut address),
            _ => {}
        }
        let mut name = model;
        if let Some(also) = also {
            if !address.ends_with(also.below.as_str()) {
                address.push_str(&also.below);
            }
            name = model.strip_prefix(also.strip.as_str()).unwrap_or(model);
        }
        Ok(Place { address, variant, model: name.into() })
    }

    fn variant(
        &self,
        dialect: Dialect,
        paths: &Paths,
        query: &BTreeMap<Str, Str>,
        headers: &BTreeMap<Str, Str>,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Variant, NoAddress> {
        let mut variant = Variant::of(dialect);
        let path = |path: &Option<Str>| -> Result<Option<Str>, NoAddress> {
            let filled = |path: &Str| Ok(Str::from(self.filled(path, variable)?.into_owned()));
            path.as_ref().map(filled).transpose()
        };
        variant.paths.chat = path(&paths.chat)?;
        variant.paths.stream = path(&paths.stream)?;
        variant.paths.count = path(&paths.count)?;
        variant.paths.embeddings = path(&paths.embeddings)?;
        variant.paths.rerank = path(&paths.rerank)?;
        variant.paths.models = path(&paths.models)?;
        for (name, value) in query {
            let value = self.filled(value, variable)?.into_owned();
            variant.query.push((name.clone(), value.into()));
        }
        for (name, value) in headers {
            let value = self.filled(value, variable)?;
            // What is no header was refused when the row was read; what fills a gap may still be none.
            let header = HeaderName::try_from(name.as_str()).ok();
            let value = HeaderValue::try_from(value.as_ref()).ok();
            variant.headers.extend(header.zip(value));
        }
        Ok(variant)
    }
}

/// An address as people write it, with what they leave out and without what they write too much.
fn completed(base: &str, variant: &Variant) -> String {
    let base = base.trim_end_matches('/');
    let own = variant.dialect.path(Operation::Chat, "", false);
    let base = base.strip_suffix(own.as_ref()).unwrap_or(base);
    if let Some(chat) = &variant.paths.chat {
        return base.strip_suffix(chat.as_str()).unwrap_or(base).to_owned();
    }
    let path = base.split_once("://").map_or(base, |(_, rest)| rest);
    // A server's bare address: what speaks this dialect speaks it below its root.
    if path.contains(['/', '?']) {
        base.to_owned()
    } else {
        format!("{base}{}", variant.dialect.root())
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_dialects::{ANTHROPIC, OPENAI};

    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_their_version() {
        for (base, dialect, expected) in [
            ("http://h:1", OPENAI, "http://h:1/v1"),
            ("http://h:1/", OPENAI, "http://h:1/v1"),
            ("http://h:1/v1", OPENAI, "http://h:1/v1"),
            ("http://h:1/v1/", OPENAI, "http://h:1/v1"),
            ("http://h:1/api/v4", OPENAI, "http://h:1/api/v4"),
            ("http://h:1/v1/chat/completions", OPENAI, "http://h:1/v1"),
            ("http://h:1", ANTHROPIC, "http://h:1"),
            ("http://h:1/v1/", ANTHROPIC, "http://h:1/v1"),
            ("http://h:1/proxy/v1/messages", ANTHROPIC, "http://h:1/proxy"),
        ] {
            assert_eq!(completed(base, &Variant::of(dialect)), expected, "{base}");
        }
    }
}
