use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::{Call, Error, FallbackTarget, Operation};

use super::{Fallback, FallbackPolicy};
use crate::forbidden::forbidden;

type Permit = Arc<dyn Fn(&Call) -> Result<(), Error> + Send + Sync>;

/// Asks another model when one fails. See the [module](super).
#[derive(Clone)]
pub struct FallbackLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
pub(super) struct Settings {
    policy: FallbackPolicy,
    pub(super) most: u32,
    pub(super) permit: Permit,
}

impl FallbackLayer {
    /// A layer that follows this policy.
    #[must_use]
    pub fn new(policy: FallbackPolicy) -> Self {
        let permit = Arc::new(|call: &Call| match call.caller().may_use(call.model()) {
            true => Ok(()),
            false => Err(forbidden(call.model())),
        });
        Self { settings: Arc::new(Settings { policy, most: 5, permit }) }
    }

    /// Bounds how many other models are asked for one call, whoever lists them; 5 unless told, 0 is none.
    #[must_use]
    pub fn max_fallbacks(mut self, models: u32) -> Self {
        Arc::make_mut(&mut self.settings).most = models;
        self
    }

    /// Asks this before each other model, with the call as it would be sent; unless told, whether the
    /// [caller may use](ziggurat_core::Caller::may_use) the model. To be
    /// [`AccessLayer::check`](crate::access::AccessLayer::check) where there is one above.
    #[must_use]
    pub fn permit(
        mut self,
        permit: impl Fn(&Call) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.settings).permit = Arc::new(permit);
        self
    }
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Fallback<S> {
        Fallback::new(inner, Arc::clone(&self.settings))
    }
}

impl Settings {
    /// Whether another model may ever be asked for this call.
    pub(super) fn concerns(&self, call: &Call) -> bool {
        let controls = call.controls();
        let listed = controls.fallbacks.as_ref().is_some_and(|listed| !listed.is_empty());
        // Another model counts tokens differently, and has nothing to say of the list.
        let elsewhere = !matches!(call.operation(), Operation::CountTokens | Operation::Models);
        elsewhere
            && self.most > 0
            && !controls.disable_fallbacks
            && (listed || !self.policy.is_empty())
    }

    /// What to ask when the call itself failed: what the caller lists, then what the policy does.
    pub(super) fn first(&self, call: &Call, error: &Error) -> Vec<FallbackTarget> {
        let listed = call.controls().fallbacks.as_deref().unwrap_or_default();
        [listed, self.policy.targets(call.model(), error)].concat()
    }

    /// What to ask when a model failed that was asked instead.
    pub(super) fn next(&self, model: &str, error: &Error) -> Vec<FallbackTarget> {
        self.policy.targets(model, error).to_vec()
    }
}

impl fmt::Debug for FallbackLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("policy", &self.policy)
            .field("max_fallbacks", &self.most)
            .finish_non_exhaustive()
    }
}
