//! The providers' names, addresses and keys.

mod azure;
mod place;
mod registry;
mod row;
#[cfg(test)]
mod tests;
mod vertex;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ziggurat_core::{Dialect, Secret, Str};

use self::row::{Also, Row};
use crate::pattern;

pub use place::Place;
pub use registry::{BadProviders, Providers};
pub(crate) use row::Unsupported;

/// A provider that speaks a dialect of ours: a row of data. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider(Arc<Row>);

/// All providers that are built in, in the order of their prefixes.
pub fn providers() -> &'static [Provider] {
    Providers::builtin().as_slice()
}

/// The built-in provider with this prefix, letter by letter.
///
/// ```
/// let provider = ziggurat_providers::provider("anthropic").unwrap();
/// assert_eq!(provider.name(), "Anthropic");
/// assert!(ziggurat_providers::provider("Anthropic").is_none());
/// ```
#[must_use]
pub fn provider(prefix: &str) -> Option<&'static Provider> {
    Providers::builtin().get(prefix)
}

impl Provider {
    /// What stands before the slash in `provider/model`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.0.name.is_empty() { &self.0.prefix } else { &self.0.name }
    }

    /// The dialect that it speaks, about most of its models.
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
    pub fn base_url(&self) -> Option<&str> {
        self.0.base_url.as_deref()
    }

    /// The environment variables that give another address, the first that is set wins.
    #[must_use]
    pub fn base_names(&self) -> &[Str] {
        &self.0.base_env
    }

    /// The environment variables that hold the key, the first that is set wins. Empty where none is needed.
    #[must_use]
    pub fn key_names(&self) -> &[Str] {
        &self.0.key_env
    }

    /// Every variable that is looked up: keys, addresses and what fills gaps.
    pub fn variables(&self) -> impl Iterator<Item = &Str> {
        let fills = self.0.fill.values().flatten().filter(|name| !name.starts_with('='));
        self.0.key_env.iter().chain(&self.0.base_env).chain(fills)
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
    ) -> Result<Cow<'_, str>, NoAddress> {
        if let Some(address) = first(&self.0.base_env, &variable) {
            return Ok(Cow::Owned(address));
        }
        let published = self.0.base_url.as_deref();
        let published = published.ok_or_else(|| self.missing(&self.0.base_env))?;
        self.filled(published, &variable)
    }

    /// Patterns of the models that are known by their bare names.
    pub(crate) fn names(&self) -> &[Str] {
        &self.0.names
    }

    /// How this model is spoken with, where that is not as with most.
    fn also(&self, model: &str) -> Option<&Also> {
        let fits = |also: &&Also| also.models.iter().any(|name| pattern::matches(name, model));
        self.0.also.iter().find(fits)
    }

    /// A text with its gaps filled, but for the model's name, which is another for each call.
    fn filled<'a>(
        &self,
        text: &'a str,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Cow<'a, str>, NoAddress> {
        let mut text = Cow::Borrowed(text);
        for (gap, names) in &self.0.fill {
            let gap = format!("{{{gap}}}");
            if text.contains(&gap) {
                let value = first(names, variable).ok_or_else(|| self.missing(names))?;
                text = Cow::Owned(text.replace(&gap, &value));
            }
        }
        Ok(text)
    }

    fn missing(&self, names: &[Str]) -> NoAddress {
        NoAddress { prefix: self.0.prefix.clone(), names: names.to_vec() }
    }
}

/// The first of these variables that is set, or what stands behind an equals sign.
fn first(names: &[Str], variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let value = |name: &Str| match name.strip_prefix('=') {
        Some(value) => Some(value.to_owned()),
        None => variable(name).filter(|value| !value.is_empty()),
    };
    names.iter().find_map(value)
}

/// A provider's address is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAddress {
    prefix: Str,
    names: Vec<Str>,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "provider `{}` needs an address: set `api_base`", self.prefix)?;
        self.names.iter().try_for_each(|name| write!(f, " or {name}"))
    }
}

impl std::error::Error for NoAddress {}
