//! What outlives a configuration: the books that the layers keep.
//!
//! When the configuration is read again the stack is built anew, around the same books: no deployment forgets that it is ill, no
//! caller gets their limits afresh, and nothing that was cached is lost. Calls in flight keep the stack that they began with, and
//! write into the same books.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ziggurat_layers::rate_limit::Limiter;
use ziggurat_layers::retry::RetryBudgets;
use ziggurat_store::redis::{BadSettings, LimitStore, Redis, Settings};

use crate::config::RedisSettings;

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
    /// What callers have used of their limits.
    pub limiter: Limiter,
    servers: Arc<Mutex<HashMap<String, Shared>>>,
}

/// A Redis server, and what instances share through it. Clones share one connection.
#[derive(Clone)]
#[non_exhaustive]
pub struct Shared {
    /// The connection.
    pub redis: Redis,
    /// What the callers of all instances have used of their limits.
    pub limits: Arc<LimitStore>,
}

// === impl Registries ===

impl Registries {
    /// Books in which nothing is written yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The server of these settings, to which there is one connection however often it is asked for. It is made when it is used.
    ///
    /// # Errors
    ///
    /// When no connection can ever be made with these settings.
    pub fn redis(&self, settings: &RedisSettings) -> Result<Shared, BadSettings> {
        let address = settings.address().ok_or(BadSettings::Host)?;
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(address.expose()) {
            return Ok(known.clone());
        }
        let redis = connect(settings)?;
        let limits = Arc::new(LimitStore::new(redis.clone()));
        let shared = Shared { redis, limits };
        servers.insert(address.expose().to_owned(), shared.clone());
        Ok(shared)
    }

    /// Waits, for a while, until other instances know what was used here. For an orderly end.
    pub async fn flush(&self, time: Duration) {
        let servers: Vec<Shared> = {
            let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.values().cloned().collect()
        };
        for shared in servers {
            shared.limits.flush(time).await;
        }
    }
}

fn connect(settings: &RedisSettings) -> Result<Redis, BadSettings> {
    let address = settings.address().ok_or(BadSettings::Host)?;
    Redis::connect(Settings::from_url(address.expose())?)
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the address, which may have a password in it.
        self.redis.fmt(f)
    }
}
