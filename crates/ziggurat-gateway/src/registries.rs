//! What outlives a configuration: the books that the layers keep.
//!
//! When the configuration is read again the stack is built anew, around the same books: no deployment forgets that it is ill, no
//! caller gets their limits afresh, and nothing that was cached is lost. Calls in flight keep the stack that they began with, and
//! write into the same books.

use ziggurat_layers::retry::RetryBudgets;

/// The books of a gateway. Clones share them.
///
/// ```
/// use std::collections::HashMap;
/// use ziggurat_gateway::{Gateway, Registries, config};
///
/// let env = HashMap::new();
/// let registries = Registries::new();
/// for text in ["model_list: []", "router_settings: {num_retries: 3}"] {
///     let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env).unwrap();
///     let (gateway, _) = Gateway::with(config, &env, &registries).unwrap();
///     # let _ = gateway;
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Registries {
    /// How often each deployment's calls were tried again.
    pub retry_budgets: RetryBudgets,
}

impl Registries {
    /// Books in which nothing is written yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
