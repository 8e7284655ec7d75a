use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::{Call, Error, Operation, Str};

use super::Access;
use super::rules::Parameters;
use crate::forbidden::forbidden;

type Rule = Arc<dyn Fn(&Call) -> Result<(), Error> + Send + Sync>;

/// Asks whether a caller may use a model, and these parameters. See the [module](super).
///
/// Cloning copies nothing: one of these may decide at several places.
#[derive(Clone, Default)]
pub struct AccessLayer {
    rules: Arc<Rules>,
}

#[derive(Clone, Default)]
struct Rules {
    parameters: Parameters,
    further: Vec<Rule>,
}

impl AccessLayer {
    /// A layer that asks for the model only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows these parameters, with those of other calls to this method, and no others. Without `model`, `messages`, `system`,
    /// `stream` and `stream_options` there is no conversation: these are always allowed.
    #[must_use]
    pub fn allow<I: IntoIterator<Item: Into<Str>>>(self, names: I) -> Self {
        self.with(|rules| rules.parameters.allow(names.into_iter().map(Into::into)))
    }

    /// Forbids these parameters, in whatever case they are written.
    #[must_use]
    pub fn deny<I: IntoIterator<Item: Into<Str>>>(self, names: I) -> Self {
        self.with(|rules| rules.parameters.deny(names.into_iter().map(Into::into)))
    }

    /// Requires these parameters, not null: `user`, which is `metadata.user_id` for Anthropic's callers, or a path into an object
    /// such as `metadata.team`.
    #[must_use]
    pub fn require<I: IntoIterator<Item: Into<Str>>>(self, names: I) -> Self {
        self.with(|rules| rules.parameters.require(names.into_iter().map(Into::into)))
    }

    /// Adds a question of any kind. It runs once for each call, and again for each model that a fallback turns to.
    #[must_use]
    pub fn rule(self, rule: impl Fn(&Call) -> Result<(), Error> + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.further.push(Arc::new(rule)))
    }

    /// Whether this call is permitted.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub fn check(&self, call: &Call) -> Result<(), Error> {
        if matches!(call.operation(), Operation::Models | Operation::Stored) {
            return Ok(());
        }
        if !call.caller().may_use(call.model()) {
            return Err(forbidden(call.model()));
        }
        self.rules.parameters.check(call)?;
        self.rules.further.iter().try_for_each(|rule| rule(call))
    }

    fn with(mut self, set: impl FnOnce(&mut Rules)) -> Self {
        set(Arc::make_mut(&mut self.rules));
        self
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access::new(inner, self.clone())
    }
}

impl fmt::Debug for AccessLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLayer")
            .field("parameters", &self.rules.parameters)
            .field("rules", &self.rules.further.len())
            .finish()
    }
}
