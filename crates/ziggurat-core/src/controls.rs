//! What a caller tells the layers.

use std::time::Duration;

use crate::{RawJson, Str};

/// What a caller tells the layers about one call, beside the dialect's own parameters: how often to try, where else, and what a
/// cache may do. Nothing of it reaches a provider.
///
/// ```
/// use ziggurat_core::{Call, FallbackTarget};
///
/// let mut call = Call::chat("gpt").user("Hello!");
/// call.controls_mut().retries = Some(0);
/// call.controls_mut().fallbacks = Some(vec![FallbackTarget::new("claude")]);
/// assert_eq!(call.controls().retries, Some(0));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Controls {
    /// How many times a failed attempt is repeated at most (`num_retries`, `x-litellm-num-retries`).
    pub retries: Option<u32>,
    /// Which models are asked instead when this one fails (`fallbacks`); they stand before the configured ones.
    pub fallbacks: Option<Vec<FallbackTarget>>,
    /// Whether no other model may be asked (`disable_fallbacks`).
    pub disable_fallbacks: bool,
    /// What a cache may do.
    pub cache: CacheControls,
    /// By which deployments may be chosen (`tags`, `metadata.tags`, `x-litellm-tags`).
    pub tags: Vec<Str>,
    /// What keeps the calls of one conversation together (`x-litellm-session-id`).
    pub session: Option<Str>,
    /// Where the call may be answered, `eu` or `us` or a region's own name (`allowed_model_region`).
    pub region: Option<Str>,
}

/// A model to ask instead of another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FallbackTarget {
    /// The model, by the name callers use.
    pub model: Str,
    /// Top-level parameters to set for it.
    pub params: Vec<(Str, RawJson)>,
}

/// What a cache may do with one call. LiteLLM's `cache` member; HTTP `Cache-Control` (RFC 9111, section 5.2.1).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CacheControls {
    /// Do not answer from the cache; the answer may be stored (`no-cache`).
    pub no_cache: bool,
    /// Do not store the answer; one that is stored may be used (`no-store`).
    pub no_store: bool,
    /// How long the answer stays fresh (`ttl`).
    pub ttl: Option<Duration>,
    /// How old a stored answer may be (`s-maxage`, `s-max-age`, `max-age`).
    pub max_age: Option<Duration>,
    /// Entries of another namespace are not seen.
    pub namespace: Option<Str>,
    /// Use the cache even where it is off unless asked for (`use-cache`).
    pub use_cache: Option<bool>,
}

impl Controls {
    /// A caller who says nothing.
    pub(crate) const NONE: &Self = &Self {
        retries: None,
        fallbacks: None,
        disable_fallbacks: false,
        cache: CacheControls {
            no_cache: false,
            no_store: false,
            ttl: None,
            max_age: None,
            namespace: None,
            use_cache: None,
        },
        tags: Vec::new(),
        session: None,
        region: None,
    };
}

impl FallbackTarget {
    /// This model, asked the same.
    pub fn new(model: impl Into<Str>) -> Self {
        Self { model: model.into(), params: Vec::new() }
    }

    /// With this top-level parameter set.
    #[must_use]
    pub fn param(mut self, name: impl Into<Str>, value: RawJson) -> Self {
        self.params.push((name.into(), value));
        self
    }
}

impl From<Str> for FallbackTarget {
    fn from(model: Str) -> Self {
        Self::new(model)
    }
}

impl From<String> for FallbackTarget {
    fn from(model: String) -> Self {
        Self::new(model)
    }
}

impl From<&str> for FallbackTarget {
    fn from(model: &str) -> Self {
        Self::new(model)
    }
}
