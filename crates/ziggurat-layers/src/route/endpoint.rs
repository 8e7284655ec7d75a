//! One deployment.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ziggurat_core::{Price, Str};

use super::AllowedFails;
use super::needs::Ability;

/// One deployment: a service, and what is to be known about it when one is chosen.
///
/// ```
/// use ziggurat_core::CallService;
/// use ziggurat_layers::route::Endpoint;
///
/// fn deployment(service: impl CallService) -> Endpoint<impl CallService> {
///     Endpoint::new("azure-west", service).model("gpt-4.1").weight(2.0).rpm(600).max_parallel(100)
/// }
/// ```
#[derive(Clone)]
pub struct Endpoint<S> {
    pub(super) id: Str,
    pub(super) service: S,
    pub(super) settings: Arc<Settings>,
}

/// What is set for one deployment. All of it may be left out.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The model that calls carry from here on; `None` leaves the one they came with.
    pub model: Option<Str>,
    /// What its tokens cost.
    pub price: Option<Price>,
    /// Its share of the calls, in any unit.
    pub weight: Option<f64>,
    /// Requests in a minute.
    pub rpm: Option<u64>,
    /// Tokens in a minute.
    pub tpm: Option<u64>,
    /// Calls in flight.
    pub max_parallel: Option<u32>,
    /// Only the deployments of the lowest order that has any left are chosen from; `None` comes last.
    pub order: Option<i64>,
    /// Tags.
    pub tags: Vec<Str>,
    /// The longest prompt, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Where it is, as the provider calls it: `eu-west-1`, `us`.
    pub region: Option<Str>,
    /// What it is known not to do.
    pub lacks: Vec<Ability>,
    /// How long it cools down. It wins over the answer's `Retry-After`; zero is never.
    pub cooldown_time: Option<Duration>,
    /// [`CoolDown::allowed_fails`](super::CoolDown::allowed_fails) for this one.
    pub allowed_fails: Option<u32>,
    /// [`CoolDown::policy`](super::CoolDown::policy) for this one.
    pub allowed_fails_policy: Option<AllowedFails>,
}

impl<S> Endpoint<S> {
    /// A deployment by this name. Names are unique in a table; a name that stays over a reload keeps its health.
    pub fn new(id: impl Into<Str>, service: S) -> Self {
        Self { id: id.into(), service, settings: Arc::default() }
    }

    /// With all of this set.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Arc::new(settings);
        self
    }

    /// The model that calls carry from here on.
    #[must_use]
    pub fn model(self, model: impl Into<Str>) -> Self {
        self.with(|settings| settings.model = Some(model.into()))
    }

    /// What its tokens cost.
    #[must_use]
    pub fn price(self, price: Price) -> Self {
        self.with(|settings| settings.price = Some(price))
    }

    /// Its share of the calls.
    #[must_use]
    pub fn weight(self, weight: f64) -> Self {
        self.with(|settings| settings.weight = Some(weight))
    }

    /// Requests in a minute.
    #[must_use]
    pub fn rpm(self, requests: u64) -> Self {
        self.with(|settings| settings.rpm = Some(requests))
    }

    /// Tokens in a minute.
    #[must_use]
    pub fn tpm(self, tokens: u64) -> Self {
        self.with(|settings| settings.tpm = Some(tokens))
    }

    /// Calls in flight.
    #[must_use]
    pub fn max_parallel(self, calls: u32) -> Self {
        self.with(|settings| settings.max_parallel = Some(calls))
    }

    /// Only the deployments of the lowest order that has any left are chosen from.
    #[must_use]
    pub fn order(self, order: i64) -> Self {
        self.with(|settings| settings.order = Some(order))
    }

    /// With this tag added.
    #[must_use]
    pub fn tag(self, tag: impl Into<Str>) -> Self {
        self.with(|settings| settings.tags.push(tag.into()))
    }

    /// The longest prompt, in tokens.
    #[must_use]
    pub fn max_input_tokens(self, tokens: u64) -> Self {
        self.with(|settings| settings.max_input_tokens = Some(tokens))
    }

    /// Where it is.
    #[must_use]
    pub fn region(self, region: impl Into<Str>) -> Self {
        self.with(|settings| settings.region = Some(region.into()))
    }

    /// What it is known not to do.
    #[must_use]
    pub fn lacks(self, ability: Ability) -> Self {
        self.with(|settings| settings.lacks.push(ability))
    }

    /// How long it cools down.
    #[must_use]
    pub fn cooldown_time(self, time: Duration) -> Self {
        self.with(|settings| settings.cooldown_time = Some(time))
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &Str {
        &self.id
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.service
    }

    /// What is set for it.
    #[must_use]
    pub fn set(&self) -> &Settings {
        &self.settings
    }
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
