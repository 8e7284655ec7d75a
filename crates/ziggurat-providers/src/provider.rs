//! The providers' names, addresses and keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::Deserialize;

use ziggurat_core::{Dialect, Secret};

/// A provider that speaks a dialect of ours: a row of data.
#[derive(Debug)]
pub struct Provider(Row<'static>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    prefix: &'a str,
    name: &'a str,
    #[serde(deserialize_with = "dialect")]
    dialect: Dialect,
    base_url: Option<&'a str>,
    #[serde(borrow, default)]
    fill: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(borrow, default)]
    base_env: Vec<&'a str>,
    #[serde(borrow, default)]
    key_env: Vec<&'a str>,
    #[serde(borrow, default)]
    names: Vec<&'a str>,
}

fn dialect<'de, D: serde::Deserializer<'de>>(name: D) -> Result<Dialect, D::Error> {
    let name = <&str>::deserialize(name)?;
    ziggurat_dialects::named(name)
        .ok_or_else(|| serde::de::Error::custom(format!("there is no dialect `{name}`")))
}

/// A provider whose name is known and that cannot be called yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unsupported<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) needs: &'a str,
    #[serde(borrow, default)]
    pub(crate) names: Vec<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    providers: Vec<Row<'a>>,
    #[serde(borrow)]
    unsupported: Vec<Unsupported<'a>>,
}

/// Both lists are in the order of their prefixes.
struct Tables {
    providers: Vec<Provider>,
    unsupported: Vec<Unsupported<'static>>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let file: File<'_> = serde_json::from_str(include_str!("../data/providers.json"))
            .expect("the file was read like this by the tests");
        let providers = file.providers.into_iter().map(Provider).collect();
        Tables { providers, unsupported: file.unsupported }
    })
}

/// All providers that can be called, in the order of their prefixes.
pub fn providers() -> &'static [Provider] {
    &tables().providers
}

/// The provider with this prefix, letter by letter.
///
/// ```
/// let provider = ziggurat_providers::provider("anthropic").unwrap();
/// assert_eq!(provider.name(), "Anthropic");
/// assert!(ziggurat_providers::provider("Anthropic").is_none());
/// ```
#[must_use]
pub fn provider(prefix: &str) -> Option<&'static Provider> {
    let providers = providers();
    let at = providers.binary_search_by(|provider| provider.prefix().cmp(prefix)).ok()?;
    providers.get(at)
}

pub(crate) fn unsupported() -> &'static [Unsupported<'static>] {
    &tables().unsupported
}

impl Provider {
    /// What stands before the slash in `provider/model`.
    #[must_use]
    pub fn prefix(&self) -> &'static str {
        self.0.prefix
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The dialect that it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The name of its dialect: `openai`, `anthropic`.
    #[must_use]
    pub fn dialect_name(&self) -> &'static str {
        self.0.dialect.name()
    }

    /// The address below which its endpoints lie, as published. `None` where everybody runs their own (`hosted_vllm`).
    ///
    /// It may have gaps such as `{account_id}`; [`address`](Self::address) fills them.
    #[must_use]
    pub fn base_url(&self) -> Option<&'static str> {
        self.0.base_url
    }

    /// The environment variables that give another address, the first that is set wins.
    #[must_use]
    pub fn base_names(&self) -> &[&'static str] {
        &self.0.base_env
    }

    /// The environment variables that hold the key, the first that is set wins. Empty where none is needed.
    #[must_use]
    pub fn key_names(&self) -> &[&'static str] {
        &self.0.key_env
    }

    /// The key from the environment that `variable` looks up. A variable that is set to nothing counts as not set.
    ///
    /// ```
    /// let groq = ziggurat_providers::provider("groq").unwrap();
    /// let key = groq.key(|name| (name == "GROQ_API_KEY").then(|| "gsk-1".to_owned()));
    /// assert_eq!(key.unwrap().expose(), "gsk-1");
    /// ```
    #[must_use]
    pub fn key(&self, variable: impl Fn(&str) -> Option<String>) -> Option<Secret> {
        first(&self.0.key_env, &variable).map(Secret::new)
    }

    /// The address to call when the configuration gives none: from the environment, or the published one with its gaps
    /// filled from there.
    ///
    /// # Errors
    ///
    /// When there is no published address, or a gap cannot be filled.
    ///
    /// ```
    /// let cloudflare = ziggurat_providers::provider("cloudflare").unwrap();
    /// let env = |name: &str| (name == "CLOUDFLARE_ACCOUNT_ID").then(|| "a1".to_owned());
    /// assert_eq!(
    ///     cloudflare.address(env).unwrap(),
    ///     "https://api.cloudflare.com/client/v4/accounts/a1/ai/v1",
    /// );
    /// assert!(cloudflare.address(|_| None).is_err());
    /// ```
    pub fn address(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Cow<'static, str>, NoAddress> {
        if let Some(address) = first(&self.0.base_env, &variable) {
            return Ok(Cow::Owned(address));
        }
        let missing =
            |names: &[&'static str]| NoAddress { prefix: self.0.prefix, names: names.to_vec() };
        let published = self.0.base_url.ok_or_else(|| missing(&self.0.base_env))?;
        let mut address = Cow::Borrowed(published);
        for (gap, names) in &self.0.fill {
            let value = first(names, &variable).ok_or_else(|| missing(names))?;
            address = Cow::Owned(address.replace(&format!("{{{gap}}}"), &value));
        }
        Ok(address)
    }

    /// Patterns of the models that are known by their bare names.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.0.names
    }
}

fn first(names: &[&str], variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()))
}

/// A provider's address is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAddress {
    prefix: &'static str,
    names: Vec<&'static str>,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "provider `{}` needs an address: set `api_base`", self.prefix)?;
        self.names.iter().try_for_each(|name| write!(f, " or {name}"))
    }
}

impl std::error::Error for NoAddress {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ziggurat_dialects::{ANTHROPIC, OPENAI};

    use super::*;

    #[test]
    fn prefixes_are_unique_and_in_order() {
        let prefixes: Vec<_> = providers().iter().map(Provider::prefix).collect();
        assert!(prefixes.is_sorted() && unsupported().is_sorted_by_key(|row| row.prefix));
        let mut seen = HashSet::new();
        for prefix in prefixes.into_iter().chain(unsupported().iter().map(|row| row.prefix)) {
            assert!(seen.insert(prefix), "{prefix} is there twice");
            assert!(!prefix.contains('/') && !prefix.is_empty());
        }
    }

    #[test]
    fn addresses_are_https_but_for_this_machine() {
        for provider in providers() {
            let Ok(address) = provider
                .address(|name| (!provider.base_names().contains(&name)).then(|| "a1".to_owned()))
            else {
                assert_eq!(provider.base_url(), None, "{}", provider.prefix());
                continue;
            };
            let uri: http::Uri = address.parse().unwrap();
            let local = matches!(uri.host(), Some("localhost" | "127.0.0.1"));
            let scheme = if local { "http" } else { "https" };
            assert_eq!(uri.scheme_str(), Some(scheme), "{address}");
            assert!(uri.query().is_none() && !address.ends_with('/'), "{address}");
            assert!(!address.contains(['{', '}']), "{address}");
        }
    }

    #[test]
    fn variables_are_names_of_variables() {
        for provider in providers() {
            let fills = provider.0.fill.values().flatten();
            let all = provider.key_names().iter().chain(provider.base_names()).chain(fills);
            for name in all {
                let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                assert!(!name.is_empty() && name.chars().all(fits), "{name}");
            }
            assert!(!provider.name().is_empty());
        }
    }

    #[test]
    fn a_dialect_is_the_one_that_is_named() {
        assert_eq!(provider("anthropic").unwrap().dialect(), ANTHROPIC);
        let others = providers().iter().filter(|provider| provider.prefix() != "anthropic");
        assert!(others.into_iter().all(|provider| provider.dialect() == OPENAI));
        let row = r#"{"prefix": "x", "name": "X", "dialect": "latin"}"#;
        let error = serde_json::from_str::<Row<'_>>(row).unwrap_err().to_string();
        assert!(error.contains("no dialect `latin`"), "{error}");
    }

    #[test]
    fn the_environment_may_move_a_provider_and_alternates_hold_its_key() {
        let openai = provider("openai").unwrap();
        let env = |name: &str| match name {
            "OPENAI_BASE_URL" => Some(String::new()),
            "OPENAI_API_BASE" => Some("http://localhost:1/v1".to_owned()),
            _ => None,
        };
        assert_eq!(openai.address(env).unwrap(), "http://localhost:1/v1");
        assert_eq!(openai.address(|_| None).unwrap(), "https://api.openai.com/v1");
        assert!(openai.key(env).is_none());

        let together = provider("together_ai").unwrap();
        let key = together.key(|name| (name == "TOGETHER_API_KEY").then(|| "k".to_owned()));
        assert_eq!(key.unwrap().expose(), "k");
    }

    #[test]
    fn a_missing_address_says_what_to_set() {
        let error = provider("hosted_vllm").unwrap().address(|_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "provider `hosted_vllm` needs an address: set `api_base` or HOSTED_VLLM_API_BASE"
        );
        let error = provider("bedrock_mantle").unwrap().address(|_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "provider `bedrock_mantle` needs an address: set `api_base` or AWS_REGION_NAME or AWS_REGION"
        );
    }
}
