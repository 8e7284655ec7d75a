//! What models can do.

mod row;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use ziggurat_core::Capabilities;

use self::row::Row;
use crate::model::bare;

/// What a model of this provider can do, by the built-in [`Table`].
///
/// ```
/// let capabilities = ziggurat_providers::capabilities("openai", "gpt-5.1");
/// assert!(capabilities.reasoning_model && !capabilities.sampling);
/// ```
#[must_use]
pub fn capabilities(provider: &str, model: &str) -> Arc<Capabilities> {
    Table::builtin().capabilities(provider, model)
}

/// How many answers a table remembers. Names can come from callers (`openai/*`), so there is a bound.
const REMEMBERED: usize = 1024;

/// What models can do: patterns of names, and for each the capabilities that differ from what is assumed of an unknown model.
///
/// All patterns that match count, the more specific (with more given characters) over the less. They are matched against
/// the model's name as given and against its own name alone, so that `claude-opus-4-1*` fits
/// `us.anthropic.claude-opus-4-1-20250805-v1:0`, `claude-opus-4.1@default` and `anthropic/claude-opus-4.1` too.
///
/// The built-in rows hold what vendors publish of their models, wherever these are served; rows with `providers` hold there
/// only.
pub struct Table {
    /// In the order in which they count: the last has the last word.
    rows: Vec<Row>,
    remembered: RwLock<Remembered>,
}

/// Answers by provider, then model: looked up without putting the two names together.
#[derive(Default)]
struct Remembered {
    by_provider: HashMap<Box<str>, HashMap<Box<str>, Arc<Capabilities>>>,
    count: usize,
}

impl Table {
    /// The table that is compiled in.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::new(builtin_rows()))
    }

    /// This table with further rows, which win over all that were there however specific those are.
    ///
    /// ```
    /// use ziggurat_providers::Table;
    ///
    /// let table = Table::builtin().with_overrides(
    ///     r#"[{"models": ["my-model*"], "providers": ["hosted_vllm"],
    ///          "set": {"structured_output": false, "efforts": ["low", "high"], "max_output": 8192}}]"#,
    /// )?;
    /// assert_eq!(table.capabilities("hosted_vllm", "my-model-2").max_output, Some(8192));
    /// # Ok::<(), ziggurat_providers::BadTable>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the JSON is malformed, names a capability that does not exist, or has a pattern that nothing matches.
    pub fn with_overrides(&self, json: &str) -> Result<Self, BadTable> {
        let mut rows = self.rows.clone();
        rows.extend(row::read(json)?);
        Ok(Self::new(rows))
    }

    /// What a model can do. `provider` is a provider's prefix, or the name of a dialect where there is no such provider.
    #[must_use]
    pub fn capabilities(&self, provider: &str, model: &str) -> Arc<Capabilities> {
        if let Some(known) = self.recall(provider, model) {
            return known;
        }
        let capabilities = Arc::new(self.work_out(provider, model));
        self.remember(provider, model, &capabilities);
        capabilities
    }

    fn new(rows: Vec<Row>) -> Self {
        Self { rows, remembered: RwLock::default() }
    }

    fn work_out(&self, provider: &str, model: &str) -> Capabilities {
        let bare = bare(model);
        let mut capabilities = Capabilities::default();
        for row in &self.rows {
            if row.holds_for(provider, &[model, &bare]) {
                row.set(&mut capabilities);
            }
        }
        capabilities
    }

    fn recall(&self, provider: &str, model: &str) -> Option<Arc<Capabilities>> {
        let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
        remembered.by_provider.get(provider)?.get(model).cloned()
    }

    fn remember(&self, provider: &str, model: &str, capabilities: &Arc<Capabilities>) {
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.count >= REMEMBERED {
            *remembered = Remembered::default();
        }
        let models = remembered.by_provider.entry(provider.into()).or_default();
        if models.insert(model.into(), capabilities.clone()).is_none() {
            remembered.count += 1;
        }
    }
}

fn builtin_rows() -> Vec<Row> {
    row::read(include_str!("../../data/capabilities.json"))
        .expect("the file was read like this by the tests")
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// A table of capabilities cannot be read.
#[derive(Debug)]
pub struct BadTable(Fault);

#[derive(Debug)]
enum Fault {
    Json(serde_json::Error),
    Pattern(String),
    Effort(String),
}

impl fmt::Display for BadTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Json(_) => f.write_str("not a table of capabilities"),
            Fault::Pattern(pattern) => write!(f, "no model matches the pattern {pattern:?}"),
            Fault::Effort(word) => write!(f, "there is no effort {word:?}"),
        }
    }
}

impl std::error::Error for BadTable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Fault::Json(error) => Some(error),
            Fault::Pattern(_) | Fault::Effort(_) => None,
        }
    }
}
