//! Which models are asked when one fails.

use super::fields::Fields;
use super::node::Kind;
use super::problem::{Place, Problem, ProblemKind};
use super::read::{At, Reader};

/// The fallbacks of `router_settings`, or of `litellm_settings`; see
/// [`Config::fallbacks`](super::Config::fallbacks).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fallbacks {
    /// `fallbacks`: after any failure.
    pub general: Option<Vec<FallbackRule>>,
    /// `default_fallbacks`: for models that `fallbacks` does not name.
    pub default: Option<Vec<Reference>>,
    /// `context_window_fallbacks`: for prompts that are too long.
    pub context_window: Option<Vec<FallbackRule>>,
    /// `content_policy_fallbacks`: for prompts and answers that a provider refuses.
    pub content_policy: Option<Vec<FallbackRule>>,
}

/// One model's fallbacks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackRule {
    /// Of which model; `*` is any.
    pub of: Reference,
    /// Which are asked instead, in this order.
    pub models: Vec<Reference>,
}

/// The name of a model, where somebody refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// The name, as callers use it.
    pub name: String,
    /// The path of the key, such as `router_settings.fallbacks[0]`.
    pub path: String,
    /// Where it stands.
    pub place: Place,
}

// === impl Fallbacks ===

impl Fallbacks {
    /// Reads the four keys out of a section.
    pub(super) fn read(fields: &mut Fields<'_, '_, '_>) -> Self {
        Self {
            general: fields.read("fallbacks", rules),
            default: fields.read("default_fallbacks", references),
            context_window: fields.read("context_window_fallbacks", rules),
            content_policy: fields.read("content_policy_fallbacks", rules),
        }
    }

    /// These, and where they say nothing, the others.
    pub(super) fn or(&self, other: &Self) -> Self {
        let rules = |ours: &Option<Vec<_>>, theirs: &Option<Vec<_>>| {
            ours.as_ref().or(theirs.as_ref()).cloned()
        };
        Self {
            general: rules(&self.general, &other.general),
            default: self.default.as_ref().or(other.default.as_ref()).cloned(),
            context_window: rules(&self.context_window, &other.context_window),
            content_policy: rules(&self.content_policy, &other.content_policy),
        }
    }

    /// All rules.
    pub fn rules(&self) -> impl Iterator<Item = &FallbackRule> {
        let Self { general, default: _, context_window, content_policy } = self;
        [general, context_window, content_policy].into_iter().flatten().flatten()
    }
}

// === impl Reference ===

impl Reference {
    pub(super) fn new(name: impl Into<String>, path: impl Into<String>, place: &Place) -> Self {
        Self { name: name.into(), path: path.into(), place: place.clone() }
    }

    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let name = reader.word(at)?;
        Some(Self::new(name, at.path.clone(), at.node.place()))
    }

    /// That something about the model is not as its author may expect.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::Unknown, &self.place, self.path.clone(), message)
    }
}

/// Reads `[{model: [other, …]}, …]`.
fn rules(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<FallbackRule>> {
    const WHAT: &str = "a sequence of mappings from one model to its fallbacks";
    let items = reader.items(at, WHAT)?;
    // Read to the end, so that every problem is found.
    let rules: Vec<_> = items.iter().map(|item| rule(reader, item)).collect();
    rules.into_iter().collect()
}

fn rule(reader: &mut Reader<'_>, at: &At<'_>) -> Option<FallbackRule> {
    const WHAT: &str = "a mapping from one model to a sequence of its fallbacks";
    let entries = reader.entries(at, WHAT)?;
    let [(key, models)] = entries.as_slice() else {
        reader.error(at, format!("expected {WHAT}, found {} keys", entries.len()));
        return None;
    };
    Some(FallbackRule {
        of: Reference::new(&*key.text, at.path.clone(), &key.place),
        models: references(reader, models)?,
    })
}

/// Reads a sequence of models; one alone may stand for itself.
fn references(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<Reference>> {
    if matches!(at.node.kind(), Kind::Text) {
        return Reference::read(reader, at).map(|one| vec![one]);
    }
    let items = reader.items(at, "a sequence of models")?;
    let read: Vec<_> = items.iter().map(|item| Reference::read(reader, item)).collect();
    read.into_iter().collect()
}
