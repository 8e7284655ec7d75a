//! The health of all deployments, by their ids.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use ziggurat_core::{Ambient, Instant, Str, System};

use super::clock::Clock;
use super::health::{Cause, Gate, Health};
use super::session::Sessions;

/// What is known of deployments, by their ids: cool-downs, calls in flight, use of limits, latency, sessions.
///
/// It outlives the [`Table`](super::Table)s that are made with it: a deployment that keeps its id keeps its health. Cheap to
/// clone; clones share everything.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_core::Instant;
/// use ziggurat_layers::route::{Cause, Registry};
///
/// let registry = Registry::new();
/// // What this instance learns is told to others …
/// let _subscription = registry.subscribe(|cooled| {
///     println!("{} rests for {:?}", cooled.deployment, cooled.time);
/// });
/// // … and what others learn is told to it. Deployments that nobody routes to are not known.
/// assert!(!registry.cool("a", Instant::now() + Duration::from_secs(5), Cause::RateLimit));
/// ```
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    known: Arc<RwLock<HashMap<Str, Arc<Health>>>>,
}

/// What the healths of one registry share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) ambient: Arc<dyn Ambient>,
    pub(super) sessions: Sessions,
    subscribers: Mutex<Vec<(u64, Subscriber)>>,
    subscribed: AtomicU64,
}

type Subscriber = Arc<dyn Fn(&Cooled) + Send + Sync>;

/// A deployment begins to cool down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cooled {
    /// Its id.
    pub deployment: Str,
    /// For how long.
    pub time: Duration,
    /// Why.
    pub cause: Cause,
}

/// Dropping it ends the subscription.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription {
    shared: Weak<Shared>,
    number: u64,
}

/// How a deployment is, for people and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthState {
    /// Its id.
    pub id: Str,
    /// Whether it is asked.
    pub condition: Condition,
    /// Calls in flight.
    pub in_flight: u32,
    /// Until when it cools down, or did.
    pub cool_until: Option<Instant>,
    /// Why.
    pub cause: Option<Cause>,
    /// How long whole answers take, of late.
    pub latency: Option<Duration>,
    /// How long streams take until their first content, of late.
    pub first_content: Option<Duration>,
    /// Requests in the last minute.
    pub requests: u64,
    /// Tokens in the last minute, about.
    pub tokens: u64,
    /// Calls of the last minute that failed by the deployment's fault.
    pub failures: u64,
}

/// Whether a deployment is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// It is.
    Well,
    /// It is not, for a while.
    Cooling,
    /// Its cool-down is over, and one call at a time may try it.
    HalfOpen,
    /// It is not, since a check found it ill.
    Ill,
}

impl Registry {
    /// An empty registry, with the machine's own randomness.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Arc::new(System))
    }

    /// An empty registry, with this randomness.
    #[must_use]
    pub fn with(ambient: Arc<dyn Ambient>) -> Self {
        let sessions = Sessions::new(ambient.random());
        let shared = Shared {
            clock: Clock::new(),
            ambient,
            sessions,
            subscribers: Mutex::default(),
            subscribed: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), known: Arc::default() }
    }

    /// Calls `told` whenever a deployment begins to cool down by what happened here. It is called where a call is settled:
    /// it does not wait and does not block. A panic in it is caught.
    pub fn subscribe(&self, told: impl Fn(&Cooled) + Send + Sync + 'static) -> Subscription {
        let number = self.shared.subscribed.fetch_add(1, Ordering::Relaxed);
        self.shared.subscribers().push((number, Arc::new(told)));
        Subscription { shared: Arc::downgrade(&self.shared), number }
    }

    /// Cools a deployment down until then, unless it cools for longer already: what another instance learnt. Subscribers are
    /// not told. `false` when the deployment is not known, or nothing changed.
    pub fn cool(&self, deployment: &str, until: Instant, cause: Cause) -> bool {
        if until <= Instant::now() {
            return false;
        }
        let until = self.shared.clock.at(until);
        self.get(deployment).is_some_and(|health| health.cool(until, cause))
    }

    /// Ends a deployment's cool-down: somebody knows that it is well. `false` when it is not known.
    pub fn warm(&self, deployment: &str) -> bool {
        self.get(deployment).map(|health| health.warm()).is_some()
    }

    /// How a deployment is.
    #[must_use]
    pub fn state(&self, deployment: &str) -> Option<HealthState> {
        Some(self.describe(&*self.get(deployment)?))
    }

    /// How all deployments are, by their ids.
    #[must_use]
    pub fn states(&self) -> Vec<HealthState> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut states: Vec<HealthState> = known.values().map(|one| self.describe(one)).collect();
        drop(known);
        states.sort_by(|a, b| a.id.cmp(&b.id));
        states
    }

    /// Forgets the deployments that no table and no call needs any more. For after a reload.
    pub fn forget_unused(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, health| Arc::strong_count(health) > 1);
    }

    /// The health of this deployment, which is well when it was not known.
    pub(super) fn health(&self, id: &Str) -> Arc<Health> {
        if let Some(known) = self.get(id) {
            return known;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Only sessions use the number, and they check what it leads to.
        let number = u16::try_from(known.len() % usize::from(u16::MAX)).unwrap_or_default();
        let new = || Arc::new(Health::new(id.clone(), number, Arc::clone(&self.shared)));
        Arc::clone(known.entry(id.clone()).or_insert_with(new))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn get(&self, id: &str) -> Option<Arc<Health>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn describe(&self, health: &Health) -> HealthState {
        let instant = Instant::now();
        let now = self.shared.clock.at(instant);
        let gate = health.gate(now);
        let condition = match gate {
            Gate::Shut(until) if until > now => Condition::Cooling,
            Gate::Shut(_) | Gate::HalfOpen(_) => Condition::HalfOpen,
            Gate::Open if health.is_ill(now) => Condition::Ill,
            Gate::Open => Condition::Well,
        };
        let cool_until = match gate {
            Gate::Open => None,
            Gate::Shut(until) => Some(until),
            Gate::HalfOpen(word) => Some(word >> 1),
        };
        let at = |then: u64| {
            let ahead = Duration::from_nanos(then.saturating_sub(now));
            let ago = Duration::from_nanos(now.saturating_sub(then));
            instant.checked_add(ahead)?.checked_sub(ago)
        };
        let latency = |streamed| health.latency(streamed).last().map(Duration::from_nanos);
        HealthState {
            id: health.id.clone(),
            condition,
            in_flight: health.in_flight(),
            cool_until: cool_until.and_then(at),
            cause: cool_until.map(|_| health.cause()),
            latency: latency(false),
            first_content: latency(true),
            requests: health.begun.count(now),
            tokens: health.spent(now),
            failures: health.failed.count(now),
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn tell(&self, cooled: &Cooled) {
        // Nobody's code runs under the lock.
        let subscribers: Vec<Subscriber> =
            self.subscribers().iter().map(|(_, told)| Arc::clone(told)).collect();
        for told in subscribers {
            drop(catch_unwind(AssertUnwindSafe(|| told(cooled))));
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<(u64, Subscriber)>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Subscription ===

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut subscribers = shared.subscribers();
        let at = subscribers.iter().position(|(number, _)| *number == self.number);
        let gone = at.map(|at| subscribers.swap_remove(at));
        drop(subscribers);
        drop(gone);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("number", &self.number).finish_non_exhaustive()
    }
}

#[expect(dead_code, reason = "a compile-time check")]
fn is_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Registry>();
    check::<Subscription>();
}
