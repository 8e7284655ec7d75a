use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;
use ziggurat_core::{Ambient, Call, Error, Instant, Str, System};

use super::models::Models;
use super::policy::{Hope, hope};
use super::{Retry, RetryBudget, RetryBudgets, RetryPolicy};

/// Tries a call that failed again. See the [module](super).
#[derive(Clone, Debug)]
pub struct RetryLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    retries: u32,
    most: u32,
    least_wait: Duration,
    base: Duration,
    cap: Duration,
    max_wait: Duration,
    max_wait_for_us: Duration,
    least_time: Duration,
    policy: Option<RetryPolicy>,
    models: Models,
    budget: RetryBudget,
    pub(super) budgets: RetryBudgets,
    ambient: Arc<dyn Ambient>,
}

impl Default for RetryLayer {
    fn default() -> Self {
        let settings = Settings {
            retries: 2,
            most: 10,
            least_wait: Duration::ZERO,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            max_wait: Duration::from_secs(60),
            max_wait_for_us: Duration::from_secs(1),
            least_time: Duration::ZERO,
            policy: None,
            models: Models::default(),
            budget: RetryBudget::default(),
            budgets: RetryBudgets::new(),
            ambient: Arc::new(System),
        };
        Self { settings: Arc::new(settings) }
    }
}

impl RetryLayer {
    /// A layer that tries twice again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tries so many times again at most; 2 unless told. A caller may ask for another number
    /// ([`Controls::retries`](ziggurat_core::Controls::retries)), a policy may name one for some kinds.
    #[must_use]
    pub fn retries(self, retries: u32) -> Self {
        self.with(|settings| settings.retries = retries)
    }

    /// Bounds what a caller may ask for; 10 unless told.
    #[must_use]
    pub fn most(self, retries: u32) -> Self {
        self.with(|settings| settings.most = retries)
    }

    /// Waits before the first retry for a random time up to `base`, before each further one up to twice as long as before, but
    /// never for longer than `cap`; 0.5 s and 8 s unless told.
    #[must_use]
    pub fn backoff(self, base: Duration, cap: Duration) -> Self {
        self.with(|settings| (settings.base, settings.cap) = (base, cap))
    }

    /// Waits at least so long where nobody says how long; 0 unless told. Not where a sibling is free.
    #[must_use]
    pub fn least_wait(self, wait: Duration) -> Self {
        self.with(|settings| settings.least_wait = wait)
    }

    /// Waits for as long as a provider asks for, up to this; one that asks for more is not tried again. 60 s unless told.
    #[must_use]
    pub fn max_wait(self, wait: Duration) -> Self {
        self.with(|settings| settings.max_wait = wait)
    }

    /// The same for a refusal of the gateway's own: a deployment that has as many calls as it may have, one that cools down. 1 s
    /// unless told, because a fallback may be waiting for its turn.
    #[must_use]
    pub fn max_wait_for_refusals(self, wait: Duration) -> Self {
        self.with(|settings| settings.max_wait_for_us = wait)
    }

    /// Begins no attempt that has less time than this until the call's deadline; 0 unless told.
    #[must_use]
    pub fn least_time(self, time: Duration) -> Self {
        self.with(|settings| settings.least_time = time)
    }

    /// Sets numbers for some kinds of failures.
    #[must_use]
    pub fn policy(self, policy: RetryPolicy) -> Self {
        self.with(|settings| settings.policy = Some(policy))
    }

    /// The same for one model, or for those whose names fit a pattern (`openai/*`), instead of the policy for all.
    #[must_use]
    pub fn model_policy(self, model: impl Into<Str>, policy: RetryPolicy) -> Self {
        self.with(|settings| settings.models.entry(model.into()).policy = Some(policy))
    }

    /// Sets the number of retries for one model, or for those whose names fit a pattern (`openai/*`), instead of the number for
    /// all.
    #[must_use]
    pub fn model_retries(self, model: impl Into<Str>, retries: u32) -> Self {
        self.with(|settings| {
            settings.models.entry(model.into()).retries = Some(retries);
        })
    }

    /// Bounds the retries that one deployment may cause; a fifth of its calls and ten a second unless told.
    #[must_use]
    pub fn budget(self, budget: RetryBudget) -> Self {
        self.with(|settings| settings.budget = budget)
    }

    /// Counts in books that outlive this layer; in its own unless told.
    #[must_use]
    pub fn budgets(self, budgets: RetryBudgets) -> Self {
        self.with(|settings| settings.budgets = budgets)
    }

    /// Takes chance from here; the machine's own unless told.
    #[must_use]
    pub fn ambient(self, ambient: Arc<dyn Ambient>) -> Self {
        self.with(|settings| settings.ambient = ambient)
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::clone(&self.settings))
    }
}

impl Settings {
    /// Takes note of a first attempt.
    pub(super) fn attempted(&self, deployment: Option<&str>, call: &Call, at: Instant) {
        if self.budget.is_limited() {
            self.budgets.deposit(deployment.unwrap_or_else(|| call.model()), at);
        }
    }

    /// How long to wait before the call is tried again after this error; `None` when it is not.
    pub(super) fn wait(&self, call: &Call, error: &Error, retries: u32) -> Option<Duration> {
        if retries >= self.allowed(call, error)? {
            return None;
        }
        let wait = self.backoff_after(error, retries)?;
        if let Some(deadline) = call.deadline() {
            let needed = wait.saturating_add(self.least_time);
            if deadline.saturating_duration_since(Instant::now()) <= needed {
                return None;
            }
        }
        // Last, so that nothing is taken for a retry that does not come.
        let from = error.deployment().unwrap_or_else(|| call.model());
        self.budgets.withdraw(from, self.budget).then_some(wait)
    }

    /// How many retries a call may have that fails like this.
    fn allowed(&self, call: &Call, error: &Error) -> Option<u32> {
        let asked = call.controls().retries.map(|retries| retries.min(self.most));
        if asked == Some(0) || error.is_cancelled() {
            return None;
        }
        let model = self.models.get(call.model());
        let policy = model.and_then(|model| model.policy.as_ref()).or(self.policy.as_ref());
        if let Some(named) = policy.and_then(|policy| policy.retries(error.kind())) {
            return Some(named);
        }
        let helps = match hope(error) {
            Hope::Anywhere => true,
            Hope::None => false,
            Hope::Elsewhere => error.elsewhere(),
            Hope::Later => error.elsewhere() || error.retry_after().is_some(),
        };
        let others = policy.and_then(RetryPolicy::others);
        let models = model.and_then(|model| model.retries);
        helps.then(|| others.or(asked).or(models).unwrap_or(self.retries))
    }

    /// Not at all where a sibling is free; as long as we are told to; else for a random time that may be twice as long each time.
    fn backoff_after(&self, error: &Error, retries: u32) -> Option<Duration> {
        if error.elsewhere() {
            return Some(Duration::ZERO);
        }
        let Some(told) = error.retry_after() else {
            let factor = 1u32.checked_shl(retries).unwrap_or(u32::MAX);
            let wait = self.up_to(self.base.saturating_mul(factor).min(self.cap));
            return Some(wait.max(self.least_wait));
        };
        let most = match hope(error) {
            Hope::Later => self.max_wait_for_us,
            _ => self.max_wait,
        };
        // A little later, each by its own chance: all who were refused were told the same.
        (told <= most).then(|| told + self.up_to(self.base.min(self.cap)))
    }

    /// A random time up to this.
    fn up_to(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let nanos = (u128::from(self.ambient.random()) * (u128::from(most) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(most))
    }
}
