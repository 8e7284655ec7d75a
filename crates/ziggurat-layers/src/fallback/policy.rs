//! Which models are asked instead, and after which failures.

use std::collections::HashMap;

use ziggurat_core::{Error, ErrorKind, FallbackTarget, Origin, Str};

/// The name that stands for every model without a list of its own.
const ANY: &str = "*";

/// Which models are asked instead of one that fails.
///
/// ```
/// use ziggurat_core::{Error, ErrorKind};
/// use ziggurat_layers::fallback::FallbackPolicy;
///
/// let policy = FallbackPolicy::new()
///     .on("gpt", ["claude", "gemini"])
///     .on_context_length("gpt", ["gpt-long"])
///     .otherwise(["mistral"]);
/// let busy = Error::new(ErrorKind::Overloaded, "busy");
/// let long = Error::new(ErrorKind::ContextLength, "too long");
/// let names = |model, error| -> Vec<_> {
///     policy.targets(model, error).iter().map(|target| target.model.to_string()).collect()
/// };
/// assert_eq!(names("gpt", &busy), ["claude", "gemini"]);
/// assert_eq!(names("gpt", &long), ["gpt-long"]);
/// assert_eq!(names("llama", &busy), ["mistral"]);
/// // There are lists for prompts that are too long, and this model has none.
/// assert!(names("llama", &long).is_empty());
/// ```
///
/// A model finds its list by its name; else by its name without the provider's prefix (`openai/gpt` finds `gpt`); else by a list
/// that is named with a prefix (`gpt` finds `openai/gpt`); else it has the list named `*`.
#[derive(Clone, Debug, Default)]
pub struct FallbackPolicy {
    any: Lists,
    context_length: Option<Lists>,
    content_policy: Option<Lists>,
}

impl FallbackPolicy {
    /// A policy without lists: only callers' own fallbacks are followed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks these models, in this order, when `model` fails. LiteLLM's `fallbacks`.
    #[must_use]
    pub fn on<I: IntoIterator<Item: Into<FallbackTarget>>>(
        mut self,
        model: impl Into<Str>,
        targets: I,
    ) -> Self {
        self.any.insert(model.into(), targets);
        self
    }

    /// Asks these when a model fails that has no list of its own. LiteLLM's `default_fallbacks`, and its entry `*`.
    #[must_use]
    pub fn otherwise<I: IntoIterator<Item: Into<FallbackTarget>>>(self, targets: I) -> Self {
        self.on(ANY, targets)
    }

    /// Asks these when the prompt is too long for `model`. LiteLLM's `context_window_fallbacks`: as soon as there is one such list,
    /// the general ones are not for prompts that are too long.
    #[must_use]
    pub fn on_context_length<I: IntoIterator<Item: Into<FallbackTarget>>>(
        mut self,
        model: impl Into<Str>,
        targets: I,
    ) -> Self {
        self.context_length.get_or_insert_default().insert(model.into(), targets);
        self
    }

    /// Asks these when the provider of `model` forbids the content. LiteLLM's `content_policy_fallbacks`: as soon as there is one
    /// such list, the general ones are not for content that is forbidden.
    #[must_use]
    pub fn on_content_policy<I: IntoIterator<Item: Into<FallbackTarget>>>(
        mut self,
        model: impl Into<Str>,
        targets: I,
    ) -> Self {
        self.content_policy.get_or_insert_default().insert(model.into(), targets);
        self
    }

    /// Which models to ask when `model` failed with `error`.
    #[must_use]
    pub fn targets(&self, model: &str, error: &Error) -> &[FallbackTarget] {
        let own = match error.kind() {
            ErrorKind::ContextLength => self.context_length.as_ref(),
            ErrorKind::ContentPolicy => self.content_policy.as_ref(),
            _ => None,
        };
        own.unwrap_or(&self.any).find(model)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.context_length.is_none() && self.content_policy.is_none()
    }
}

/// Lists by model.
#[derive(Clone, Debug, Default)]
struct Lists {
    named: HashMap<Str, Vec<FallbackTarget>>,
    /// Names with a prefix, by what is behind it.
    prefixed: HashMap<Str, Str>,
}

impl Lists {
    fn insert<I: IntoIterator<Item: Into<FallbackTarget>>>(&mut self, model: Str, targets: I) {
        if let Some((_, bare)) = model.split_once('/') {
            self.prefixed.entry(model.slice_ref(bare)).or_insert_with(|| model.clone());
        }
        self.named.insert(model, targets.into_iter().map(Into::into).collect());
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    fn find(&self, model: &str) -> &[FallbackTarget] {
        let bare = || model.split_once('/').and_then(|(_, bare)| self.named.get(bare));
        let prefixed = || self.prefixed.get(model).and_then(|name| self.named.get(name));
        let found = self.named.get(model).or_else(bare).or_else(prefixed);
        found.or_else(|| self.named.get(ANY)).map_or(&[], Vec::as_slice)
    }
}

/// Whether another model may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hope {
    /// None would.
    None,
    /// Perhaps: one says that the request is wrong, and it takes a second to be sure.
    Doubt,
    /// Another might.
    Some,
}

/// What an error's kind and origin say. The text says nothing here.
pub(super) fn hope(error: &Error) -> Hope {
    match (error.kind(), error.origin()) {
        (ErrorKind::Cancelled, _) => Hope::None,
        // What one model cannot take another may.
        (
            ErrorKind::ContextLength
            | ErrorKind::ContentPolicy
            | ErrorKind::Unsupported
            | ErrorKind::NotFound,
            _,
        ) => Hope::Some,
        (_, Origin::Caller) => Hope::None,
        (ErrorKind::InvalidRequest, _) => Hope::Doubt,
        _ => Hope::Some,
    }
}
