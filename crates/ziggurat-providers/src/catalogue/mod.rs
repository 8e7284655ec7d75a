//! Models: how long their prompts may be, what they take, what they cost.

mod build;
mod entry;
mod price_map;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

pub use build::CatalogueBuilder;
pub use entry::{ABILITIES, Model};
pub use price_map::{BadPriceMap, PriceMap, set_rate};

use ziggurat_core::Price;

use crate::model::spellings;

/// What is known of models, as text in which is looked up without reading all of it: starting costs nothing, and a look-up reads some
/// twelve lines.
///
/// ```
/// use ziggurat_core::{Meter, NanoDollars};
/// use ziggurat_providers::Catalogue;
///
/// let model = Catalogue::builtin().find("anthropic", "claude-opus-4-8").unwrap();
/// assert_eq!(model.price.rate(Meter::Output), Some(NanoDollars(25_000_000_000)));
/// assert!(model.can("tools"));
/// ```
///
/// The text has a line for each model, sorted, below a line with a tab and the provider; [`Model`] says what stands in it. A provider has the name that
/// users write before the slash.
pub struct Catalogue {
    text: Cow<'static, str>,
    /// Sorted by the provider.
    sections: Vec<Section>,
    under: Option<&'static Catalogue>,
}

/// Where the lines of one provider are.
struct Section {
    provider: Range<usize>,
    lines: Range<usize>,
}

impl Catalogue {
    /// The one that is compiled in, as of November 2026.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Catalogue> = OnceLock::new();
        BUILTIN
            .get_or_init(|| Self::over(Cow::Borrowed(include_str!("../../data/models.txt")), None))
    }

    fn over(text: Cow<'static, str>, under: Option<&'static Self>) -> Self {
        let mut sections: Vec<Section> = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let end = at + line.len();
            if line.starts_with('\t') {
                let provider = at + 1..at + line.trim_end().len();
                sections.push(Section { provider, lines: end..end });
            } else if let Some(section) = sections.last_mut() {
                section.lines.end = end;
            }
            at = end;
        }
        Self { text, sections, under }
    }

    /// What is known of a model of this provider. A snapshot, a tuned model, or a region's copy that is not listed itself is taken for
    /// what it was made of.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str) -> Option<Model> {
        let provider = canonical(provider);
        spellings(provider, model).find_map(|name| self.listed(provider, name))
    }

    /// Whether the provider is known to serve a model by just this name.
    #[must_use]
    pub fn is_listed(&self, provider: &str, model: &str) -> bool {
        let provider = canonical(provider);
        self.layers().any(|layer| layer.line(provider, model).is_some())
    }

    /// The providers that have models here, sorted.
    #[must_use]
    pub fn providers(&self) -> Vec<&str> {
        let all = self.layers().flat_map(|layer| {
            layer.sections.iter().map(move |section| &layer.text[section.provider.clone()])
        });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The names of this provider's models, sorted.
    #[must_use]
    pub fn names(&self, provider: &str) -> Vec<&str> {
        let provider = canonical(provider);
        let lines = self.layers().flat_map(|layer| layer.lines(provider).lines());
        let mut names: Vec<_> = lines.map(name_of).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The model by just this name.
    fn listed(&self, provider: &str, model: &str) -> Option<Model> {
        let line = self.layers().find_map(|layer| layer.line(provider, model))?;
        Some(Model::read(provider, line))
    }

    fn layers(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.under)
    }

    fn lines(&self, provider: &str) -> &str {
        let name = |section: &Section| &self.text[section.provider.clone()];
        let found = self.sections.binary_search_by(|section| name(section).cmp(provider));
        found.map_or("", |at| &self.text[self.sections[at].lines.clone()])
    }

    /// Halves the provider's lines until one is left.
    fn line(&self, provider: &str, model: &str) -> Option<&str> {
        let mut lines = self.lines(provider);
        while !lines.is_empty() {
            let middle =
                lines.as_bytes()[..lines.len() / 2].iter().rposition(|byte| *byte == b'\n');
            let (before, rest) = lines.split_at(middle.map_or(0, |at| at + 1));
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            match name_of(line).cmp(model) {
                std::cmp::Ordering::Equal => return Some(line),
                std::cmp::Ordering::Less => lines = after,
                std::cmp::Ordering::Greater => lines = before,
            }
        }
        None
    }
}

/// The list price of a model by the built-in [`Catalogue`]; `None` when it is not known, which is not free.
///
/// ```
/// use ziggurat_core::{Meter, NanoDollars};
///
/// let price = ziggurat_providers::price("anthropic", "claude-opus-4-8").unwrap();
/// assert_eq!(price.rate(Meter::Output), Some(NanoDollars(25_000_000_000)));
/// assert_eq!(ziggurat_providers::price("hosted_vllm", "my-model"), None);
/// ```
#[must_use]
pub fn price(provider: &str, model: &str) -> Option<Price> {
    Catalogue::builtin().find(provider, model).map(|model| model.price).filter(|p| !p.is_unknown())
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

fn name_of(line: &str) -> &str {
    line.split('\t').next().unwrap_or(line)
}

/// The provider whose models they are, of those that have several prefixes or, in lists of prices, several names.
pub(crate) fn canonical(provider: &str) -> &str {
    if provider.starts_with("vertex_ai-") {
        return "vertex_ai";
    }
    match provider {
        "vertex_ai_beta" => "vertex_ai",
        "bedrock_converse" => "bedrock",
        "cohere_chat" => "cohere",
        "ollama_chat" => "ollama",
        "azure_text" => "azure",
        "text-completion-openai" => "openai",
        "text-completion-codestral" => "codestral",
        "text-completion-inception" => "inception",
        "fireworks_ai-embedding-models" => "fireworks_ai",
        other => other,
    }
}
