//! All providers, by their prefixes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use ziggurat_core::Str;

use super::Provider;
use super::row::{File, Row, Unsupported};

/// Providers by their prefixes: those that are built in, and rows of one's own over them.
///
/// A provider is a row of data:
///
/// ```json
/// {
///   "prefix": "my-lab", "name": "My Lab", "dialect": "openai",
///   "base_url": "https://{region}.lab.example/v1", "fill": {"region": ["LAB_REGION", "=eu"]},
///   "base_env": ["LAB_API_BASE"], "key_env": ["LAB_API_KEY"], "names": ["lab-*"],
///   "auth": "x-lab-key: {key}", "headers": {"x-lab-client": "ziggurat"}, "query": {"api-version": "2026-01-01"},
///   "paths": {"chat": "/models/{model}/chat", "models": "/models"},
///   "quirks": {"max_tokens_name": "max_tokens", "drop": ["logit_bias"]},
///   "also": [{"models": ["claude-*"], "dialect": "anthropic", "below": "/anthropic"}]
/// }
/// ```
///
/// Only `prefix` and `dialect` have to be there. `names` are patterns of models that are known without the prefix. Gaps in the
/// address, the paths, the headers and the query are filled by `fill`: the first variable that is set, or what stands behind an
/// equals sign. What is not said of `auth` and `paths` is the dialect's; quirks are those of [`Quirks`](ziggurat_dialects::Quirks).
/// `also` says of some models that they are spoken with in another way.
///
/// ```
/// use ziggurat_providers::Providers;
///
/// let providers = Providers::builtin().with(
///     r#"[{"prefix": "my-lab", "dialect": "openai", "base_url": "http://10.0.0.7:8000/v1",
///          "quirks": {"max_tokens_name": "max_tokens", "no_stream_usage": true}}]"#,
/// )?;
/// let found = providers.resolve("my-lab/llama").unwrap();
/// assert_eq!((found.provider.prefix(), found.model), ("my-lab", "llama"));
/// assert!(providers.resolve("groq/llama-3.3-70b").is_ok());
/// # Ok::<(), ziggurat_providers::BadProviders>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Providers {
    /// In the order of their prefixes.
    rows: Vec<Provider>,
    unsupported: Arc<[Unsupported]>,
}

impl Providers {
    /// Those that are compiled in.
    #[must_use]
    pub fn builtin() -> &'static Self {
        builtin()
    }

    /// These and further ones: a list of [rows](Self). One with a prefix that is there already
    /// takes its place.
    ///
    /// # Errors
    ///
    /// When the JSON is malformed, or names a dialect or a quirk that does not exist.
    pub fn with(&self, json: &str) -> Result<Self, BadProviders> {
        let rows: Vec<Row> =
            serde_json::from_str(json).map_err(|why| BadProviders(why.to_string()))?;
        let mut all: BTreeMap<Str, Provider> =
            self.rows.iter().map(|known| (known.0.prefix.clone(), known.clone())).collect();
        for row in rows {
            if let Some(fault) = row.fault() {
                return Err(BadProviders(fault));
            }
            all.insert(row.prefix.clone(), Provider(Arc::new(row)));
        }
        Ok(Self { rows: all.into_values().collect(), unsupported: Arc::clone(&self.unsupported) })
    }

    /// The provider with this prefix, letter by letter.
    #[must_use]
    pub fn get(&self, prefix: &str) -> Option<&Provider> {
        let at = self.rows.binary_search_by(|known| known.prefix().cmp(prefix)).ok()?;
        self.rows.get(at)
    }

    /// All of them, in the order of their prefixes.
    #[must_use]
    pub fn as_slice(&self) -> &[Provider] {
        &self.rows
    }

    pub(crate) fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }
}

fn builtin() -> &'static Providers {
    static BUILTIN: OnceLock<Providers> = OnceLock::new();
    BUILTIN.get_or_init(|| {
        let file: File = serde_json::from_str(include_str!("../../data/providers.json"))
            .expect("the file was read like this by the tests");
        let rows = file.providers.into_iter().map(|row| Provider(Arc::new(row))).collect();
        Providers { rows, unsupported: file.unsupported.into() }
    })
}

impl Default for Providers {
    fn default() -> Self {
        Self::builtin().clone()
    }
}

/// A text is no list of providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProviders(String);

impl fmt::Display for BadProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a list of providers: {}", self.0)
    }
}

impl std::error::Error for BadProviders {}
