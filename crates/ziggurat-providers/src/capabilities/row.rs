//! One row of the table: for which models, and what is set.

use serde::Deserialize;

use ziggurat_core::{Capabilities, Effort};

use super::{BadTable, Fault};
use crate::pattern::Pattern;

/// What is set for the models that fit one pattern.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pattern: Pattern,
    /// For whom it holds; for all when empty.
    providers: Vec<String>,
    set: Fields,
    efforts: Option<Vec<Effort>>,
}

impl Row {
    pub(super) fn holds_for(&self, provider: &str, names: &[&str]) -> bool {
        (self.providers.is_empty() || self.providers.iter().any(|known| known == provider))
            && names.iter().any(|name| self.pattern.matches(name))
    }

    pub(super) fn set(&self, capabilities: &mut Capabilities) {
        macro_rules! set {
            ($($field:ident)*) => {
                $(if let Some(value) = self.set.$field { capabilities.$field = value; })*
            };
        }
        set! {
            sampling temperature_with_top_p prefill thinking_budget thinking_adaptive thinking_off
            thinking_between_tools reasoning_model reasoning forced_tools mid_system
            structured_output stop cache_marks penalties output_with_tools signed_calls
        }
        macro_rules! bound {
            ($($field:ident)*) => {
                $(if self.set.$field.is_some() { capabilities.$field = self.set.$field; })*
            };
        }
        bound! { least_budget most_budget max_output }
        if let Some(efforts) = &self.efforts {
            capabilities.efforts.clone_from(efforts);
        }
    }

    #[cfg(test)]
    pub(super) fn providers(&self) -> &[String] {
        &self.providers
    }

    /// What decides the order: the pattern, then whether it is for some providers only.
    pub(super) fn weight(&self) -> (usize, bool) {
        (self.pattern.weight(), !self.providers.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    models: Vec<String>,
    #[serde(default)]
    providers: Vec<String>,
    set: Fields,
}

/// The members of [`Capabilities`], each of which may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    sampling: Option<bool>,
    temperature_with_top_p: Option<bool>,
    prefill: Option<bool>,
    thinking_budget: Option<bool>,
    thinking_adaptive: Option<bool>,
    thinking_off: Option<bool>,
    thinking_between_tools: Option<bool>,
    reasoning_model: Option<bool>,
    reasoning: Option<bool>,
    efforts: Option<Vec<String>>,
    forced_tools: Option<bool>,
    mid_system: Option<bool>,
    structured_output: Option<bool>,
    stop: Option<bool>,
    cache_marks: Option<bool>,
    least_budget: Option<u64>,
    most_budget: Option<u64>,
    penalties: Option<bool>,
    output_with_tools: Option<bool>,
    signed_calls: Option<bool>,
    max_output: Option<u64>,
}

/// Reads rows and brings them into the order in which they count; rows of one weight stay as written.
pub(super) fn read(json: &str) -> Result<Vec<Row>, BadTable> {
    let entries: Vec<Entry> =
        serde_json::from_str(json).map_err(|error| BadTable(Fault::Json(error)))?;
    let mut rows = Vec::new();
    for Entry { models, providers, mut set } in entries {
        let efforts = set.efforts.take().map(read_efforts).transpose()?;
        for model in models {
            let Some(pattern) = Pattern::parse(&model) else {
                return Err(BadTable(Fault::Pattern(model)));
            };
            let (providers, set, efforts) = (providers.clone(), set.clone(), efforts.clone());
            rows.push(Row { pattern, providers, set, efforts });
        }
    }
    rows.sort_by_key(Row::weight);
    Ok(rows)
}

fn read_efforts(words: Vec<String>) -> Result<Vec<Effort>, BadTable> {
    let read = |word: String| Effort::parse(&word).ok_or(BadTable(Fault::Effort(word)));
    words.into_iter().map(read).collect()
}
