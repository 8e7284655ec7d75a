//! A provider as a row of data.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;

use ziggurat_core::{Dialect, Str};
use ziggurat_dialects::{KeyHeader, Paths, Quirks};

/// What is written of a provider; see the [module](super) for what it means.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) prefix: Str,
    #[serde(default)]
    pub(super) name: Str,
    #[serde(deserialize_with = "dialect")]
    pub(super) dialect: Dialect,
    pub(super) base_url: Option<Str>,
    #[serde(default)]
    pub(super) fill: BTreeMap<Str, Vec<Str>>,
    #[serde(default)]
    pub(super) base_env: Vec<Str>,
    #[serde(default)]
    pub(super) key_env: Vec<Str>,
    #[serde(default)]
    pub(super) names: Vec<Str>,
    #[serde(default)]
    pub(super) rules: Option<Rules>,
    #[serde(default, deserialize_with = "key")]
    pub(super) auth: Option<KeyHeader>,
    #[serde(default)]
    pub(super) paths: Paths,
    #[serde(default)]
    pub(super) query: BTreeMap<Str, Str>,
    #[serde(default)]
    pub(super) headers: BTreeMap<Str, Str>,
    /// Members of every body.
    #[serde(default)]
    pub(super) body: BTreeMap<Str, Value>,
    #[serde(default)]
    pub(super) quirks: Quirks,
    #[serde(default)]
    pub(super) also: Vec<Also>,
}

/// How some of a provider's models are spoken with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Also {
    pub(super) models: Vec<Str>,
    /// What stands before the model's name and is no part of it: `responses/`.
    #[serde(default)]
    pub(super) strip: Str,
    #[serde(deserialize_with = "dialect")]
    pub(super) dialect: Dialect,
    /// Where it is below the provider's address.
    #[serde(default)]
    pub(super) below: Str,
    #[serde(default, deserialize_with = "key")]
    pub(super) auth: Option<KeyHeader>,
    #[serde(default)]
    pub(super) paths: Paths,
    #[serde(default)]
    pub(super) query: BTreeMap<Str, Str>,
    #[serde(default)]
    pub(super) headers: BTreeMap<Str, Str>,
    /// Members of every body.
    #[serde(default)]
    pub(super) body: BTreeMap<Str, Value>,
    #[serde(default)]
    pub(super) quirks: Quirks,
}

/// Addresses that follow rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rules {
    Azure,
    AzureAi,
    Vertex,
}

/// A provider whose name is known and that cannot be called yet.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unsupported {
    pub(crate) prefix: Str,
    pub(crate) needs: Str,
    #[serde(default)]
    pub(crate) names: Vec<Str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) providers: Vec<Row>,
    #[serde(default)]
    pub(super) unsupported: Vec<Unsupported>,
}

fn dialect<'de, D: serde::Deserializer<'de>>(name: D) -> Result<Dialect, D::Error> {
    let name = Str::deserialize(name)?;
    ziggurat_dialects::named(&name)
        .ok_or_else(|| D::Error::custom(format!("there is no dialect `{name}`")))
}

fn key<'de, D: serde::Deserializer<'de>>(header: D) -> Result<Option<KeyHeader>, D::Error> {
    Str::deserialize(header)?.parse().map(Some).map_err(D::Error::custom)
}

impl Row {
    /// What is wrong with it, beyond its form.
    pub(super) fn fault(&self) -> Option<String> {
        let prefix = &self.prefix;
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '*');
        if prefix.is_empty() || prefix.contains(bad) {
            return Some(format!("`{prefix}` is no prefix"));
        }
        let of_all = self.also.iter().map(|also| &also.headers);
        let mut headers = std::iter::once(&self.headers).chain(of_all).flatten();
        let illegal = |name: &str, value: &str| {
            HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err()
        };
        let (name, _) = headers.find(|(name, value)| illegal(name, value))?;
        Some(format!("the header `{name}` of `{prefix}` is not a legal one"))
    }
}
