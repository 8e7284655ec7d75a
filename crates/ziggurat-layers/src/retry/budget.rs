//! How many retries there may be, whatever happens.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ziggurat_core::{Instant, Str};

/// Retries are counted over so many seconds.
const SECONDS: usize = 10;
/// So many deployments are told apart unless more are asked for.
const MOST: usize = 10_000;

/// How many retries one deployment may cause: a share of its calls, and a few besides.
///
/// In ten seconds there are never more retries than `percent` of the first attempts of those ten seconds, and `per_second` times
/// ten.
///
/// ```
/// use ziggurat_layers::retry::RetryBudget;
///
/// assert_eq!(RetryBudget::default(), RetryBudget::percent(20).per_second(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    percent: u32,
    per_second: u32,
    limited: bool,
}

impl RetryBudget {
    /// A share of the calls, in percent, and nothing besides.
    #[must_use]
    pub fn percent(percent: u32) -> Self {
        Self { percent, per_second: 0, limited: true }
    }

    /// So many a second besides, so that a deployment with few calls has retries, too.
    #[must_use]
    pub fn per_second(mut self, retries: u32) -> Self {
        self.per_second = retries;
        self
    }

    /// As many as policies allow. With this, a provider that is down has three times the load it had.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { percent: 0, per_second: 0, limited: false }
    }

    pub(super) fn is_limited(self) -> bool {
        self.limited
    }

    /// How many retries so many first attempts allow.
    fn allows(self, firsts: u64) -> u64 {
        let share = firsts.saturating_mul(u64::from(self.percent)) / 100;
        share.saturating_add(u64::from(self.per_second) * SECONDS as u64)
    }
}

impl Default for RetryBudget {
    /// A fifth of the calls, and ten a second.
    fn default() -> Self {
        Self::percent(20).per_second(10)
    }
}

/// What was tried and tried again of late, by deployment. It outlives the layers that use it: hand the same to the stack that
/// replaces them.
///
/// The number of deployments that are told apart is bounded; past the bound those that had no calls lately make room, and if all
/// had, the new ones share one budget.
#[derive(Clone)]
pub struct RetryBudgets(Arc<Registry>);

struct Registry {
    most: usize,
    windows: RwLock<HashMap<Str, Mutex<Window>>>,
    rest: Mutex<Window>,
}

impl RetryBudgets {
    /// Nothing was tried yet.
    #[must_use]
    pub fn new() -> Self {
        Self::at_most(MOST)
    }

    /// Nothing was tried yet, and so many deployments are told apart; 10,000 unless told.
    #[must_use]
    pub fn at_most(deployments: usize) -> Self {
        let windows = RwLock::default();
        Self(Arc::new(Registry { most: deployments, windows, rest: Mutex::default() }))
    }

    /// How many deployments are told apart now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.windows.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing was tried yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A first attempt was made at this deployment. It counts from `at`, or from the latest second that is known.
    pub(super) fn deposit(&self, deployment: &str, at: Instant) {
        self.with(deployment, at, Window::deposit);
    }

    /// Whether the budget of this deployment allows one more retry, which is then taken from it.
    pub(super) fn withdraw(&self, deployment: &str, budget: RetryBudget) -> bool {
        !budget.is_limited()
            || self.with(deployment, Instant::now(), |window| window.withdraw(budget))
    }

    fn with<T>(&self, deployment: &str, now: Instant, change: impl FnOnce(&mut Window) -> T) -> T {
        let windows = self.0.windows.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get(deployment) {
            return change(lock(window).at(now));
        }
        drop(windows);
        let mut windows = self.0.windows.write().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= self.0.most && !windows.contains_key(deployment) {
            windows.retain(|_, window| !lock(window).at(now).is_empty());
        }
        if windows.len() >= self.0.most && !windows.contains_key(deployment) {
            drop(windows);
            return change(lock(&self.0.rest).at(now));
        }
        change(lock(windows.entry(Str::from(deployment)).or_default()).at(now))
    }
}

impl Default for RetryBudgets {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RetryBudgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudgets").field("deployments", &self.len()).finish_non_exhaustive()
    }
}

fn lock(window: &Mutex<Window>) -> MutexGuard<'_, Window> {
    // Only numbers change under it.
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// First attempts and retries of the last ten seconds, second by second.
#[derive(Default)]
struct Window {
    seconds: [(u64, u64); SECONDS],
    firsts: u64,
    retries: u64,
    /// When the newest second began, and which it is.
    newest: Option<(Instant, usize)>,
}

impl Window {
    /// Forgets what is older than ten seconds.
    fn at(&mut self, now: Instant) -> &mut Self {
        let (begun, place) = *self.newest.get_or_insert((now, 0));
        let passed = now.saturating_duration_since(begun).as_secs();
        if passed > 0 {
            let mut place = place;
            for _ in 0..passed.min(SECONDS as u64) {
                place = (place + 1) % SECONDS;
                let (firsts, retries) = std::mem::take(&mut self.seconds[place]);
                self.firsts -= firsts;
                self.retries -= retries;
            }
            self.newest = Some((begun + std::time::Duration::from_secs(passed), place));
        }
        self
    }

    fn is_empty(&self) -> bool {
        self.firsts == 0 && self.retries == 0
    }

    fn second(&mut self) -> &mut (u64, u64) {
        let place = self.newest.map_or(0, |(_, place)| place);
        &mut self.seconds[place]
    }

    fn deposit(&mut self) {
        self.second().0 += 1;
        self.firsts += 1;
    }

    fn withdraw(&mut self, budget: RetryBudget) -> bool {
        let allowed = self.retries < budget.allows(self.firsts);
        if allowed {
            self.second().1 += 1;
            self.retries += 1;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_share_of_the_calls_and_some_besides() {
        let (budgets, budget) = (RetryBudgets::new(), RetryBudget::percent(20).per_second(1));
        let mut retries = 0;
        while budgets.withdraw("a", budget) {
            retries += 1;
        }
        assert_eq!(retries, 10);
        (0..9).for_each(|_| budgets.deposit("a", Instant::now()));
        assert!(budgets.withdraw("a", budget) && !budgets.withdraw("a", budget));
        assert!(budgets.withdraw("b", budget), "each deployment has its own");
        assert!(budgets.withdraw("a", RetryBudget::unlimited()));
    }

    #[tokio::test(start_paused = true)]
    async fn both_are_forgotten_after_ten_seconds() {
        let (budgets, budget) = (RetryBudgets::new(), RetryBudget::percent(100));
        budgets.deposit("a", Instant::now());
        advance(9 * SECOND).await;
        assert!(budgets.withdraw("a", budget) && !budgets.withdraw("a", budget));
        budgets.deposit("a", Instant::now());
        advance(9 * SECOND).await;
        // The first deposit is gone, the retry it allowed is not.
        assert!(!budgets.withdraw("a", budget));
        advance(SECOND).await;
        assert!(!budgets.withdraw("a", budget), "and now both are gone");
        budgets.deposit("a", Instant::now());
        assert!(budgets.withdraw("a", budget));
        advance(1000 * SECOND).await;
        assert!(!budgets.withdraw("a", budget));
        budgets.deposit("a", Instant::now());
        assert!(budgets.withdraw("a", budget));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_deployments_is_bounded() {
        let (budgets, budget) = (RetryBudgets::at_most(2), RetryBudget::percent(100));
        for name in ["a", "b", "c", "d"] {
            budgets.deposit(name, Instant::now());
        }
        assert_eq!(budgets.len(), 2);
        // What does not fit shares a budget of its own.
        assert!(budgets.withdraw("e", budget) && budgets.withdraw("d", budget));
        assert!(!budgets.withdraw("c", budget));
        assert!(budgets.withdraw("a", budget));
        advance(20 * SECOND).await;
        budgets.deposit("c", Instant::now());
        assert_eq!(budgets.len(), 1, "the idle made room");
        assert!(budgets.withdraw("c", budget));
    }
}
