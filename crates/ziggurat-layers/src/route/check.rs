//! Asking deployments from time to time whether they are well.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use ziggurat_core::Error;

use super::clock::nanos;
use super::health::Health;
use super::{Endpoint, Table};

/// Active health checks: a function of yours asks every deployment of a table, on an interval, whether it is well. One that is
/// not gets no calls until a check finds it well, or until checks are missing for two intervals.
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tower::ServiceExt;
/// use ziggurat_core::{Call, CallService};
/// use ziggurat_layers::route::{HealthChecks, Table, Watch};
///
/// fn watch(table: &Arc<Table<impl CallService>>) -> Watch {
///     HealthChecks::new().interval(Duration::from_secs(60)).start(table, |endpoint| async move {
///         let mut call = Call::chat("").user("Are you there?").max_output_tokens(5);
///         if let Some(model) = &endpoint.set().model {
///             call.set_model(model.clone());
///         }
///         endpoint.service().clone().oneshot(call).await.map(drop)
///     })
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthChecks {
    /// From the end of one round to the next; 5 min unless told.
    pub interval: Duration,
    /// For how long a check may take; 30 s unless told.
    pub timeout: Duration,
    /// How many deployments are asked at once; 8 unless told.
    pub concurrency: usize,
}

/// Keeps the checks going. Dropping it ends them, those that are under way included.
#[must_use = "dropping it ends the checks"]
pub struct Watch(AbortHandle);

impl HealthChecks {
    /// Every 5 min, of 30 s at most, eight at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From the end of one round to the next.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// For how long a check may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many deployments are asked at once.
    #[must_use]
    pub fn concurrency(mut self, deployments: usize) -> Self {
        self.concurrency = deployments;
        self
    }

    /// Begins at once, in a task of its own. Deployments of patterns are not asked: nobody knows for which model.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start<S, P, F>(self, table: &Arc<Table<S>>, probe: P) -> Watch
    where
        S: Clone + Send + Sync + 'static,
        P: Fn(Endpoint<S>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let mut seen = HashSet::new();
        let mut deployments: Vec<(Endpoint<S>, Arc<Health>)> = Vec::new();
        for group in table.groups() {
            for (endpoint, lane) in group.endpoints.iter().zip(&group.fleet.lanes) {
                if seen.insert(endpoint.id.clone()) {
                    deployments.push((endpoint.clone(), Arc::clone(&lane.health)));
                }
            }
        }
        Watch(tokio::spawn(self.rounds(deployments, probe)).abort_handle())
    }

    async fn rounds<S, P, F>(self, deployments: Vec<(Endpoint<S>, Arc<Health>)>, probe: P)
    where
        S: Clone,
        P: Fn(Endpoint<S>) -> F,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let Some(shared) = deployments.first().map(|(_, health)| Arc::clone(health.shared()))
        else {
            return;
        };
        loop {
            // Dropped with this task, and all checks with it.
            let mut checks = JoinSet::new();
            for (endpoint, health) in &deployments {
                if checks.len() >= self.concurrency.max(1) {
                    // A check that panicked says nothing of the deployment.
                    drop(checks.join_next().await);
                }
                let (health, check) = (Arc::clone(health), probe(endpoint.clone()));
                checks.spawn(async move {
                    let well = matches!(timeout(self.timeout, check).await, Ok(Ok(())));
                    health.set_ill_until(if well { 0 } else { self.stale_at(&health) });
                });
            }
            while checks.join_next().await.is_some() {}
            // Instances that were started together do not ask together.
            let spread = shared.ambient.random() % (nanos(self.interval) / 10).max(1);
            sleep(self.interval.saturating_add(Duration::from_nanos(spread))).await;
        }
    }

    /// Until when a check holds, if none follows.
    fn stale_at(self, health: &Health) -> u64 {
        let rounds = self.interval.saturating_add(self.timeout).saturating_mul(2);
        health.shared().clock.now().saturating_add(nanos(rounds))
    }
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            timeout: Duration::from_secs(30),
            concurrency: 8,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
