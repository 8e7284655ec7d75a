use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::{Ambient, Call, Str, System};

use super::estimate::{Characters, Estimator, UnboundedOutput};
use super::shared::{Outage, SharedLimits};
use super::{Limiter, RateLimit, Rules};

/// Limits requests, tokens and parallel calls. See the [module](super).
#[derive(Clone)]
pub struct RateLimitLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limiter: Limiter,
    pub(super) rules: Arc<dyn Rules>,
    pub(super) estimator: Arc<dyn Estimator>,
    pub(super) unbounded: UnboundedOutput,
    pub(super) shared: Option<Arc<dyn SharedLimits>>,
    pub(super) group: Option<Arc<Group>>,
    pub(super) outage: Outage,
    pub(super) ambient: Arc<dyn Ambient>,
}

type Group = dyn Fn(&Call) -> Option<Str> + Send + Sync;

impl RateLimitLayer {
    /// A layer that counts with this limiter, by these rules.
    pub fn new(limiter: Limiter, rules: impl Rules) -> Self {
        let settings = Settings {
            limiter,
            rules: Arc::new(rules),
            estimator: Arc::new(Characters::new()),
            unbounded: UnboundedOutput::default(),
            shared: None,
            group: None,
            outage: Outage::Local(100),
            ambient: Arc::new(System),
        };
        Self { settings: Arc::new(settings) }
    }

    /// Estimates what a call may take in another way; by [its characters](Characters) unless told.
    #[must_use]
    pub fn estimator(self, estimator: impl Estimator) -> Self {
        self.set(|settings| settings.estimator = Arc::new(estimator))
    }

    /// How much output is reserved for a call that sets no bound; 256 tokens unless told.
    #[must_use]
    pub fn unbounded_output(self, output: UnboundedOutput) -> Self {
        self.set(|settings| settings.unbounded = output)
    }

    /// Shares the limits with other gateways. Unless told, each counts for itself.
    #[must_use]
    pub fn shared(self, shared: Arc<dyn SharedLimits>) -> Self {
        self.set(|settings| settings.shared = Some(shared))
    }

    /// What happens while the shared limits do not answer; each gateway keeps the whole limits by itself unless told.
    #[must_use]
    pub fn outage(self, outage: Outage) -> Self {
        self.set(|settings| settings.outage = outage)
    }

    /// Splits the shared limits: calls of one group share them, and a store of several nodes may keep each group on another.
    /// Limits of everybody are then limits of each group. Unless told, there is one group.
    #[must_use]
    pub fn group(self, group: impl Fn(&Call) -> Option<Str> + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.group = Some(Arc::new(group)))
    }

    /// Takes chance from elsewhere: it names leases of shared limits.
    #[must_use]
    pub fn ambient(self, ambient: Arc<dyn Ambient>) -> Self {
        self.set(|settings| settings.ambient = ambient)
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").field("settings", &self.settings).finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limiter", &self.limiter)
            .field("unbounded", &self.unbounded)
            .field("shared", &self.shared.is_some())
            .field("outage", &self.outage)
            .finish_non_exhaustive()
    }
}
