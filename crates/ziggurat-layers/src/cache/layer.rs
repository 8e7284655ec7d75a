use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;
use ziggurat_core::{Ambient, Call, Dialect, Str};

use super::policy::Settings;
use super::{Cache, CacheControl, CacheScope, Caches};

/// Answers equal calls with what is known already. See the [module](super).
#[derive(Clone)]
pub struct CacheLayer {
    caches: Arc<Caches>,
    settings: Settings,
}

/// What all clones of a service share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) caches: Arc<Caches>,
    pub(super) settings: Settings,
}

impl CacheLayer {
    /// A layer over this state, on for all callers: an answer is kept for ten minutes, for the key that asked.
    #[must_use]
    pub fn new(caches: Arc<Caches>) -> Self {
        Self { caches, settings: Settings::default() }
    }

    /// Caches only calls that ask for it (`use-cache`).
    #[must_use]
    pub fn only_when_asked(mut self) -> Self {
        self.settings.on = false;
        self
    }

    /// Who shares answers.
    #[must_use]
    pub fn scope(mut self, scope: CacheScope) -> Self {
        self.settings.scope = scope;
        self
    }

    /// Keeps apart what this tells apart, beside the scope: a region, a path, a tenant of one's own.
    #[must_use]
    pub fn partition(mut self, by: impl Fn(&Call) -> Option<Str> + Send + Sync + 'static) -> Self {
        self.settings.partition = Some(Arc::new(by));
        self
    }

    /// The namespace of calls that name none.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<Str>) -> Self {
        self.settings.namespace = Some(namespace.into());
        self
    }

    /// How long an answer is kept, unless its call says otherwise.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// The largest answer that is kept, in bytes.
    #[must_use]
    pub fn max_entry(mut self, bytes: usize) -> Self {
        self.settings.max_entry = bytes;
        self
    }

    /// How far the fastest of those who share a flight may be ahead of the slowest once the answer is too large to be kept, in
    /// bytes.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Self {
        self.settings.window = bytes;
        self
    }

    /// Whether equal calls at one time are made once.
    #[must_use]
    pub fn single_flight(mut self, on: bool) -> Self {
        self.settings.single_flight = on;
        self
    }

    /// What callers may say about caching. Everything else they say is not heard.
    #[must_use]
    pub fn allow(mut self, controls: impl IntoIterator<Item = CacheControl>) -> Self {
        self.settings.allow(controls);
        self
    }

    /// The dialects that entries in a shared store may be in; the asker's own is known.
    #[must_use]
    pub fn dialects(mut self, dialects: impl IntoIterator<Item = Dialect>) -> Self {
        self.settings.dialects = dialects.into_iter().collect();
        self
    }

    /// Where wall time comes from.
    #[must_use]
    pub fn ambient(mut self, ambient: impl Ambient) -> Self {
        self.settings.ambient = Arc::new(ambient);
        self
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        let shared = Shared { caches: Arc::clone(&self.caches), settings: self.settings.clone() };
        Cache::new(inner, Arc::new(shared))
    }
}

impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("settings", &self.settings).finish_non_exhaustive()
    }
}
