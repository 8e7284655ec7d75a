//! From a model's name to its provider.

use std::fmt;

use ziggurat_core::Str;

use crate::catalogue::Catalogue;
use crate::pattern;
use crate::provider::{Provider, Providers, Unsupported};

/// Who serves a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resolved<'a> {
    /// Who serves it.
    pub provider: Provider,
    /// Its name there.
    pub model: &'a str,
}

/// Finds the provider of a model among those that are built in; see [`Providers::resolve`].
///
/// # Errors
///
/// As there.
pub fn resolve(model: &str) -> Result<Resolved<'_>, UnknownModel> {
    Providers::builtin().resolve(model)
}

impl Providers {
    /// Finds the provider of a model by LiteLLM's rules: what stands before the first slash is the provider's prefix, letter by
    /// letter, and the rest, further slashes included, its name for the model. A name without a prefix is looked up among those
    /// that everybody knows (`gpt-…`, `o3`, `claude-…`).
    ///
    /// ```
    /// # fn main() -> Result<(), ziggurat_providers::UnknownModel> {
    /// use ziggurat_providers::resolve;
    ///
    /// let found = resolve("openrouter/openai/gpt-4o")?;
    /// assert_eq!((found.provider.prefix(), found.model), ("openrouter", "openai/gpt-4o"));
    /// assert_eq!(resolve("claude-opus-4-8")?.provider.prefix(), "anthropic");
    ///
    /// let error = resolve("replicate/meta/llama-3").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "provider `replicate` is known, but its own dialect is not supported yet",
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the provider is not known, or known and not supported, or the model is not named. The error's text says what to
    /// write instead where that can be guessed.
    pub fn resolve<'a>(&self, model: &'a str) -> Result<Resolved<'a>, UnknownModel> {
        let named = model.split_once('/');
        if let Some((prefix, rest)) = named {
            if let Some(provider) = self.get(prefix) {
                return match rest {
                    "" => Err(UnknownModel::new(Why::NoModel(prefix.into()))),
                    model => Ok(Resolved { provider: provider.clone(), model }),
                };
            }
            if let Some(row) = self.unsupported().iter().find(|row| row.prefix == prefix) {
                return Err(UnknownModel::unsupported(row));
            }
        }
        let known = |names: &[Str]| names.iter().any(|name| pattern::matches(name, model));
        let all = self.as_slice();
        if let Some(provider) = all.iter().find(|provider| known(provider.names())) {
            return Ok(Resolved { provider: provider.clone(), model });
        }
        if let Some(row) = self.unsupported().iter().find(|row| known(&row.names)) {
            return Err(UnknownModel::unsupported(row));
        }
        Err(UnknownModel::new(match named {
            Some((prefix, rest)) => Why::NoProvider(prefix.into(), self.near_prefix(prefix, rest)),
            None if self.get(model).is_some() => Why::OnlyProvider(model.into()),
            None => Why::NoPrefix(model.into(), self.near_model(model)),
        }))
    }

    fn near_prefix(&self, prefix: &str, rest: &str) -> Option<String> {
        if prefix.eq_ignore_ascii_case("together") {
            return Some(format!("together_ai/{rest}"));
        }
        let known = self.as_slice().iter().map(Provider::prefix);
        let unsupported = self.unsupported().iter().map(|row| row.prefix.as_str());
        let near = nearest(prefix, known.chain(unsupported))?;
        Some(format!("{near}/{rest}"))
    }

    fn near_model(&self, model: &str) -> Option<String> {
        let catalogue = Catalogue::builtin();
        let sellers = self.as_slice().iter().filter(|row| catalogue.is_listed(row.prefix(), model));
        // Who makes it rather than a reseller, where that can be seen: `deepseek/deepseek-v4-pro`.
        let seller = sellers.min_by_key(|row| !model.starts_with(row.prefix()));
        if let Some(seller) = seller {
            return Some(format!("{}/{model}", seller.prefix()));
        }
        let known = ["openai", "anthropic"].into_iter().flat_map(|of| catalogue.names(of));
        nearest(model, known).map(str::to_owned)
    }
}

/// Nobody is known to serve a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel(Box<Why>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// The provider is known, and what it needs is not there.
    Unsupported(Str, Str),
    /// `openai/`
    NoModel(String),
    /// `openai`
    OnlyProvider(String),
    /// `opnai/gpt-4o`
    NoProvider(String, Option<String>),
    /// `gtp-4o`
    NoPrefix(String, Option<String>),
}

impl UnknownModel {
    fn new(why: Why) -> Self {
        Self(Box::new(why))
    }

    fn unsupported(row: &Unsupported) -> Self {
        Self::new(Why::Unsupported(row.prefix.clone(), row.needs.clone()))
    }

    /// Whether the provider is known, and only cannot be called yet.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(*self.0, Why::Unsupported(..))
    }

    /// What was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        match &*self.0 {
            Why::NoProvider(_, near) | Why::NoPrefix(_, near) => near.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for UnknownModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Why::Unsupported(prefix, needs) => {
                write!(f, "provider `{prefix}` is known, but {needs} is not supported yet")
            }
            Why::NoModel(prefix) => write!(f, "`{prefix}/` names no model"),
            Why::OnlyProvider(name) => {
                write!(f, "`{name}` is a provider, its model is missing: write `{name}/model`")
            }
            Why::NoProvider(prefix, None) => write!(f, "there is no provider `{prefix}`"),
            Why::NoProvider(prefix, Some(near)) => {
                write!(f, "there is no provider `{prefix}`, did you mean `{near}`?")
            }
            Why::NoPrefix(name, None) => {
                write!(f, "nobody is known to serve `{name}`: write it as `provider/model`")
            }
            Why::NoPrefix(name, Some(near)) => {
                write!(f, "nobody is known to serve `{name}`, did you mean `{near}`?")
            }
        }
    }
}

impl std::error::Error for UnknownModel {}

/// How alike two names must be for a typing error, of 1.
const ALIKE: f64 = 0.75;
/// Longer names are no typing errors, and comparing takes time in the product of the lengths.
const LONGEST: usize = 100;

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&name, other);
    known
        .map(|other| (likeness(other), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        // Among equals the first in the alphabet, whatever the table's order.
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(model: &str) -> (String, &str) {
        let resolved = resolve(model).unwrap();
        (resolved.provider.prefix().to_owned(), resolved.model)
    }

    fn text(model: &str) -> String {
        resolve(model).unwrap_err().to_string()
    }

    #[test]
    fn what_stands_before_the_first_slash_is_the_provider() {
        assert_eq!(found("openai/gpt-4o"), ("openai".into(), "gpt-4o"));
        assert_eq!(found("anthropic/claude-opus-4-8"), ("anthropic".into(), "claude-opus-4-8"));
        assert_eq!(
            found("fireworks_ai/accounts/fireworks/models/kimi-k3"),
            ("fireworks_ai".into(), "accounts/fireworks/models/kimi-k3")
        );
        assert_eq!(
            found("openrouter/anthropic/claude-opus-4.8"),
            ("openrouter".into(), "anthropic/claude-opus-4.8")
        );
        assert_eq!(found("openai/*"), ("openai".into(), "*"));
        assert_eq!(found("nano-gpt/x"), ("nano-gpt".into(), "x"));
    }

    #[test]
    fn well_known_models_need_no_provider() {
        for model in [
            "gpt-4o",
            "gpt-5.6-terra",
            "chatgpt-4o-latest",
            "o1",
            "o1-pro",
            "o3-mini",
            "o4-mini",
            "ft:gpt-4o-mini-2024-07-18:org::id",
            "text-embedding-3-small",
        ] {
            assert_eq!(found(model), ("openai".into(), model));
        }
        assert_eq!(found("claude-haiku-5-5"), ("anthropic".into(), "claude-haiku-5-5"));
        // Not OpenAI's, whatever it begins with.
        assert!(resolve("o2-sensor").is_err() && resolve("o10").is_err());
    }

    #[test]
    fn a_provider_that_cannot_be_called_yet_is_said_to_be_known() {
        for model in ["sagemaker/x", "watsonx/ibm/granite"] {
            let error = resolve(model).unwrap_err();
            assert!(error.is_unsupported(), "{error}");
        }
        assert_eq!(
            text("replicate/meta/llama-3"),
            "provider `replicate` is known, but its own dialect is not supported yet"
        );
    }

    #[test]
    fn a_typing_error_is_answered_with_what_was_meant() {
        assert_eq!(
            text("opnai/gpt-4o"),
            "there is no provider `opnai`, did you mean `openai/gpt-4o`?"
        );
        assert_eq!(
            text("Anthropic/x"),
            "there is no provider `Anthropic`, did you mean `anthropic/x`?"
        );
        assert_eq!(
            text("together/a/b"),
            "there is no provider `together`, did you mean `together_ai/a/b`?"
        );
        assert_eq!(text("gtp-4o"), "nobody is known to serve `gtp-4o`, did you mean `gpt-4o`?");
        assert_eq!(
            text("deepseek-v4-pro"),
            "nobody is known to serve `deepseek-v4-pro`, did you mean `deepseek/deepseek-v4-pro`?"
        );
        assert_eq!(resolve("opnai/x").unwrap_err().suggestion(), Some("openai/x"));
    }

    #[test]
    fn what_cannot_be_guessed_is_said_plainly() {
        assert_eq!(text("openai/"), "`openai/` names no model");
        assert_eq!(text("groq"), "`groq` is a provider, its model is missing: write `groq/model`");
        assert_eq!(text("qqqqqqqq/x"), "there is no provider `qqqqqqqq`");
        assert_eq!(text("*"), "nobody is known to serve `*`: write it as `provider/model`");
        assert_eq!(text(""), "nobody is known to serve ``: write it as `provider/model`");
        assert!(resolve(&"x".repeat(1 << 20)).unwrap_err().suggestion().is_none());
    }
}
