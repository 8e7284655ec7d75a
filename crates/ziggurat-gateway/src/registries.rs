//! What outlives a configuration: the books that the layers keep.
//!
//! When the configuration is read again the stack is built anew, around the same books: no deployment forgets that it is ill, no
//! caller gets their limits afresh, and nothing that was cached is lost. Calls in flight keep the stack that they began with, and
//! write into the same books. What belongs to one deployment is kept under its id, and forgotten when no configuration names it
//! any more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use ziggurat_http::transport::TransportOptions;
use ziggurat_http::{Drains, InFlight, Transport};
use ziggurat_layers::cache::Caches;
use ziggurat_layers::rate_limit::Limiter;
use ziggurat_layers::retry::RetryBudgets;
use ziggurat_layers::route::Registry;
use ziggurat_providers::Catalogue;
use ziggurat_store::redis::{
    BadSettings, CacheStore, LimitStore, Redis, Settings, SharedCoolDowns,
};
use ziggurat_store::sqlite::{Bounds, Conversations, OpenError};

use crate::checks::Checks;
use crate::config::{
    Config, ConversationSettings, OwnCacheSettings, OwnRedisSettings, Problem, RedisSettings,
};
use crate::prices;

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
    /// How each deployment is: cool-downs, calls in flight, latency, what is used of its limits.
    pub health: Registry,
    /// How often each deployment's calls were tried again.
    pub retry_budgets: RetryBudgets,
    /// What checks of deployments have found.
    pub checks: Checks,
    /// What callers have used of their limits.
    pub limiter: Limiter,
    /// Calls, and bytes of their bodies, that admission counts.
    pub in_flight: InFlight,
    /// Calls that go on without their client.
    pub drains: Drains,
    servers: Arc<Mutex<HashMap<Server, Shared>>>,
    sharing: Arc<Mutex<Option<Sharing>>>,
    transports: Arc<Mutex<HashMap<TransportOptions, Transport>>>,
    cache: Arc<Mutex<Option<Kept>>>,
    conversations: Arc<Mutex<Option<Remembered>>>,
    catalogue: Arc<Mutex<Option<Arc<Catalogue>>>>,
}

/// Conversations that are kept, and what was configured of them: when that changes, they are others.
type Remembered = (ConversationSettings, Arc<Conversations>);

/// Answers that are kept, and what was configured of them: when that changes, they are others.
#[derive(Debug)]
struct Kept {
    own: OwnCacheSettings,
    redis: Option<(RedisSettings, OwnRedisSettings)>,
    caches: Arc<Caches>,
}

impl Kept {
    /// Whether a configuration keeps the same.
    fn is_of(&self, config: &Config) -> bool {
        let own = &config.ziggurat.cache;
        self.redis == cache_server(config)
            && (self.own.max_bytes, self.own.memory_ttl) == (own.max_bytes, own.memory_ttl)
    }
}

/// An address, with whatever secrets are in it, and how the server is used that is there.
#[derive(PartialEq, Eq, Hash)]
struct Server(String, OwnRedisSettings);

/// With whom cool-downs are shared, as long as a gateway is served that does.
#[derive(Debug)]
struct Sharing {
    server: Server,
    cool_downs: Weak<SharedCoolDowns>,
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
    pub fn redis(
        &self,
        settings: &RedisSettings,
        own: &OwnRedisSettings,
    ) -> Result<Shared, BadSettings> {
        let server = Server::new(settings, own).ok_or(BadSettings::Host)?;
        let mut servers = lock(&self.servers);
        if let Some(known) = servers.get(&server) {
            return Ok(known.clone());
        }
        let redis = connect(settings, own)?;
        let limits = Arc::new(LimitStore::new(redis.clone()).lease(own.lease));
        let shared = Shared { redis, limits };
        servers.insert(server, shared.clone());
        Ok(shared)
    }

    /// Shares the cool-downs of deployments with other instances, where there is a Redis: as long as what is returned is held.
    /// Configurations with one server share through one.
    pub(crate) fn share(&self, config: &Config) -> Option<Arc<SharedCoolDowns>> {
        let settings = config.redis().filter(|_| !config.router.disable_cooldowns)?;
        let own = &config.ziggurat.redis;
        let server = Server::new(settings, own)?;
        let mut sharing = lock(&self.sharing);
        let known = sharing.as_ref().filter(|sharing| sharing.server == server);
        if let Some(known) = known.and_then(|sharing| sharing.cool_downs.upgrade()) {
            return Some(known);
        }
        if Handle::try_current().is_err() {
            tracing::warn!("cool-downs are not shared by a gateway that is made outside of tokio");
            return None;
        }
        let redis = self.redis(settings, own).ok()?.redis;
        let cool_downs = Arc::new(SharedCoolDowns::start(&redis, &self.health));
        *sharing = Some(Sharing { server, cool_downs: Arc::downgrade(&cool_downs) });
        Some(cool_downs)
    }

    /// What is known of models: the list that is configured, else the built-in one. A list that cannot be read now is the one that was read
    /// before. Blocks.
    pub(crate) fn catalogue(&self, config: &Config) -> (Option<Arc<Catalogue>>, Vec<Problem>) {
        let (read, problems) = prices::read(config);
        let mut kept = lock(&self.catalogue);
        if read.is_some() || config.litellm.model_cost_map_url.is_none() {
            *kept = read;
        }
        (kept.clone(), problems)
    }

    /// The transport with these options, and its open connections.
    pub(crate) fn transport(&self, options: &TransportOptions) -> Transport {
        let mut transports = lock(&self.transports);
        if let Some(transport) = transports.get(options) {
            return transport.clone();
        }
        let transport = Transport::with(options);
        transports.insert(options.clone(), transport.clone());
        transport
    }

    /// Forgets what belongs to deployments that are not served any more, and transports with other options. To be called when
    /// a configuration is known to be good: a bad one changes nothing.
    pub(crate) fn retain(&self, options: &TransportOptions, serves: impl FnMut(&str) -> bool) {
        lock(&self.transports).retain(|other, _| other == options);
        self.checks.retain(serves);
        self.health.forget_unused();
    }

    /// The answers that are kept, as far as any are: those of the configuration before, unless this one keeps others.
    ///
    /// # Errors
    ///
    /// When no connection can ever be made with the settings of Redis.
    pub(crate) fn caches(&self, config: &Config) -> Result<Option<Arc<Caches>>, BadSettings> {
        let Some(settings) = &config.litellm.cache else { return Ok(None) };
        let own = &config.ziggurat.cache;
        if let Some(kept) = &*lock(&self.cache)
            && kept.is_of(config)
        {
            return Ok(Some(Arc::clone(&kept.caches)));
        }
        let mut caches = Caches::new();
        if let Some(redis) = &settings.redis {
            // A connection of its own: answers are large, and limits do not wait behind them.
            caches =
                caches.store(Arc::new(CacheStore::new(connect(redis, &config.ziggurat.redis)?)));
        }
        match (own.memory_ttl, &settings.redis) {
            (Some(ttl), Some(_)) => caches = caches.local(own.max_bytes).local_ttl(ttl),
            (None, Some(_)) => {}
            (_, None) => caches = caches.local(own.max_bytes),
        }
        Ok(Some(Arc::new(caches)))
    }

    /// Conversations that are kept: the same as long as what is configured of them is the same.
    ///
    /// # Errors
    ///
    /// When the file cannot be used.
    pub(crate) fn conversations(
        &self,
        config: &Config,
    ) -> Result<Option<Arc<Conversations>>, OpenError> {
        let settings = &config.ziggurat.conversations;
        if !settings.enabled {
            return Ok(None);
        }
        let mut kept = lock(&self.conversations);
        if let Some((_, conversations)) = kept.as_ref().filter(|(known, _)| known == settings) {
            return Ok(Some(Arc::clone(conversations)));
        }
        let bounds = Bounds::default().max_bytes(settings.max_bytes).keep(settings.keep);
        let conversations = Arc::new(match &settings.path {
            Some(path) => Conversations::open(path, bounds)?,
            None => Conversations::in_memory(bounds),
        });
        *kept = Some((settings.clone(), Arc::clone(&conversations)));
        Ok(Some(conversations))
    }

    /// Keeps these answers for the configurations to come, and the connection to the server of this one; those to others close
    /// with the last call that uses them. To be called when the configuration is known to be good.
    pub(crate) fn keep(&self, config: &Config, caches: Option<&Arc<Caches>>) {
        let own = &config.ziggurat.redis;
        let server = config.redis().and_then(|settings| Server::new(settings, own));
        lock(&self.servers).retain(|other, _| Some(other) == server.as_ref());
        *lock(&self.cache) = caches.map(|caches| Kept {
            own: config.ziggurat.cache.clone(),
            redis: cache_server(config),
            caches: Arc::clone(caches),
        });
    }

    /// Waits, for a while, until other instances know what was used here. For an orderly end.
    pub async fn flush(&self, time: Duration) {
        let servers: Vec<Shared> = {
            let servers = lock(&self.servers);
            servers.values().cloned().collect()
        };
        for shared in servers {
            shared.limits.flush(time).await;
        }
    }
}

/// Where answers are kept that instances share, and how it is used.
fn cache_server(config: &Config) -> Option<(RedisSettings, OwnRedisSettings)> {
    let redis = config.litellm.cache.as_ref()?.redis.clone()?;
    Some((redis, config.ziggurat.redis.clone()))
}

fn connect(settings: &RedisSettings, own: &OwnRedisSettings) -> Result<Redis, BadSettings> {
    let address = settings.address().ok_or(BadSettings::Host)?;
    let settings = Settings::from_url(address.expose())?
        .prefix(own.prefix.as_str())
        .timeout(own.timeout)
        .connect_timeout(own.connect_timeout);
    Redis::connect(settings)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redis.fmt(f)
    }
}

// === impl Server ===

impl Server {
    fn new(settings: &RedisSettings, own: &OwnRedisSettings) -> Option<Self> {
        Some(Self(settings.address()?.expose().to_owned(), own.clone()))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the address, which may have a password in it.
        self.1.fmt(f)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_stay_open_as_long_as_their_options_do() {
        let registries = Registries::new();
        let mut options = TransportOptions::default();
        drop(registries.transport(&options));
        drop(registries.transport(&options));
        assert_eq!(lock(&registries.transports).len(), 1);
        options.http2_shards = 3;
        drop(registries.transport(&options));
        assert_eq!(lock(&registries.transports).len(), 2);
        registries.retain(&options, |_| true);
        assert_eq!(lock(&registries.transports).len(), 1);
    }

    const ONE: &str = "router_settings: {redis_host: localhost, redis_password: secret}";
    const OTHER: &str = "router_settings: {redis_host: localhost, redis_password: changed}";

    #[tokio::test]
    async fn connections_to_a_redis_that_is_not_configured_any_more_are_let_go() {
        let registries = Registries::new();
        let env = HashMap::new();
        let serve = |text: &str| {
            let limits = format!("{text}\nziggurat: {{rate_limits: {{key: {{rpm: 5}}}}}}");
            let (config, _) = crate::config::parse(limits.as_bytes(), "test", &env).unwrap();
            crate::Gateway::with(config, &env, &registries).unwrap().0
        };
        let one = serve(ONE);
        let used = Arc::downgrade(&lock(&registries.servers).values().next().unwrap().limits);
        let other = serve(OTHER);
        assert_eq!(lock(&registries.servers).len(), 1);
        assert!(used.upgrade().is_some(), "calls in flight still count there");
        drop(one);
        assert!(used.upgrade().is_none());
        let shown = format!("{registries:?}");
        assert!(!shown.contains("secret") && !shown.contains("changed"), "{shown}");
        drop((other, serve("litellm_settings: {}")));
        assert!(lock(&registries.servers).is_empty());
    }

    #[tokio::test]
    async fn cool_downs_are_shared_as_long_as_a_gateway_is_served_that_does() {
        let registries = Registries::new();
        let share = |text: &str| {
            let env = HashMap::new();
            registries.share(&crate::config::parse(text.as_bytes(), "test", &env).unwrap().0)
        };
        assert!(share("{}").is_none());
        assert!(share(&ONE.replace('{', "{disable_cooldowns: true, ")).is_none());
        let (first, again) = (share(ONE).unwrap(), share(ONE).unwrap());
        assert!(Arc::ptr_eq(&first, &again));
        let other = share(OTHER).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let ended = Arc::downgrade(&first);
        drop((first, again));
        assert!(ended.upgrade().is_none(), "nobody shares there any more");
    }

    #[test]
    fn outside_of_a_runtime_nothing_is_shared_and_nobody_panics() {
        let env = HashMap::new();
        let (config, _) = crate::config::parse(ONE.as_bytes(), "test", &env).unwrap();
        assert!(Registries::new().share(&config).is_none());
    }

    #[test]
    fn what_is_cached_outlives_a_configuration_that_keeps_the_same() {
        let registries = Registries::new();
        let caches = |text: &str| {
            let env = HashMap::new();
            let (config, _) = crate::config::parse(text.as_bytes(), "test", &env).unwrap();
            let caches = registries.caches(&config).unwrap();
            crate::Gateway::with(config, &env, &registries).unwrap();
            (caches, registries.cache.lock().unwrap().as_ref().map(|kept| Arc::clone(&kept.caches)))
        };
        let on = "litellm_settings: {cache: true}";
        let (_, first) = caches(on);
        let first = first.unwrap();
        let (again, _) = caches("litellm_settings: {cache: true, cache_params: {ttl: 5}}");
        assert!(Arc::ptr_eq(&first, &again.unwrap()));
        let (other, _) =
            caches("litellm_settings: {cache: true}\nziggurat: {cache: {max_bytes: 1MiB}}");
        assert!(!Arc::ptr_eq(&first, &other.unwrap()));
        let (none, kept) = caches("{}");
        assert!(none.is_none() && kept.is_none());
    }
}
