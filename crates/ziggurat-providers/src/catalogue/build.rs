//! Catalogues from lists of models.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Catalogue, Model, canonical};

/// Makes a [`Catalogue`] of models that are added one by one.
///
/// ```
/// use ziggurat_providers::{Catalogue, CatalogueBuilder, Model};
///
/// let mut builder = CatalogueBuilder::new();
/// builder.add(Model::new("openai", "my-own", "chat"));
/// let catalogue = builder.over_builtin();
/// assert!(catalogue.is_listed("openai", "my-own") && catalogue.is_listed("openai", "gpt-4o"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct CatalogueBuilder {
    /// By provider and name; whether the name was written with its provider.
    models: BTreeMap<String, BTreeMap<String, (bool, Model)>>,
}

impl CatalogueBuilder {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a model whose name may have its provider before it, as lists of prices have it. Of two that come to the same the one that was
    /// written with its provider stays, else the first. Gives whether the name can stand in a catalogue.
    pub fn add(&mut self, mut model: Model) -> bool {
        let provider = canonical(&model.provider).to_owned();
        let after = |prefix: &str| {
            let rest = model.name.strip_prefix(prefix)?.strip_prefix('/')?;
            Some(rest.to_owned())
        };
        let rest = after(&model.provider).or_else(|| after(&provider));
        let named = rest.is_some();
        model.name = rest.unwrap_or(model.name);
        let sound = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control());
        if !sound(&model.name) || !sound(&provider) {
            return false;
        }
        model.provider.clone_from(&provider);
        let of_provider = self.models.entry(provider).or_default();
        let kept = of_provider.get(&model.name).is_some_and(|(known, _)| *known || !named);
        if !kept {
            of_provider.insert(model.name.clone(), (named, model));
        }
        true
    }

    /// How many models there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.models.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// The catalogue's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (provider, models) in &self.models {
            text.push('\t');
            text.push_str(provider);
            text.push('\n');
            for (_, model) in models.values() {
                model.write(&mut text);
                text.push('\n');
            }
        }
        text
    }

    /// A catalogue of these models, and of the built-in ones that it does not have.
    #[must_use]
    pub fn over_builtin(&self) -> Catalogue {
        Catalogue::over(Cow::Owned(self.text()), Some(Catalogue::builtin()))
    }
}
