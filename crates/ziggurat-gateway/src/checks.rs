//! Active health checks: deployments are asked from time to time whether they are well.
//!
//! `general_settings.background_health_checks` switches them on. Each deployment of a model of the sort that chats is asked for one
//! token, as LiteLLM does it; those of patterns are not, since nobody knows for which model. What was found is told by `GET
//! /health`; with `router_settings.enable_health_check_routing` a deployment that is ill gets no calls.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use tower::ServiceExt;
use ziggurat_core::{Ambient, Call, Error, ErrorKind, Str, System};
use ziggurat_layers::route::{Blame, Endpoint, HealthChecks, Table, Watch};

use crate::config::{Config, DeploymentConfig};
use crate::registries::Registries;
use crate::upstream::Upstream;

/// What checks have found, by deployment. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Checks(Arc<Mutex<HashMap<Str, Checked>>>);

/// What the last check of a deployment has found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checked {
    /// When, since 1970.
    pub at: Duration,
    /// What was wrong, if something was.
    pub error: Option<Error>,
}

impl Checks {
    /// What the last check of this deployment has found.
    #[must_use]
    pub fn of(&self, deployment: &str) -> Option<Checked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(deployment).cloned()
    }

    fn write(&self, deployment: Str, error: Option<Error>) {
        let checked = Checked { at: System.unix_time(), error };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(deployment, checked);
    }

    /// Forgets deployments that are not served any more.
    pub(crate) fn retain(&self, mut serves: impl FnMut(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| serves(id));
    }
}

/// Begins to check, if that is wanted. It goes on until what is given back is dropped.
pub(crate) fn start(
    config: &Config,
    table: &Arc<Table<Upstream>>,
    registries: &Registries,
) -> Option<Watch> {
    if !config.general.background_health_checks {
        return None;
    }
    if Handle::try_current().is_err() {
        tracing::warn!("there is no runtime yet: health checks do not begin");
        return None;
    }
    let own = &config.ziggurat.health_checks;
    // Ours is the clock that counts, since it is written down what was found.
    let (time, slack) = (own.timeout, Duration::from_secs(1));
    let checks = HealthChecks::new()
        .interval(config.general.health_check_interval)
        .timeout(time.saturating_add(slack))
        .concurrency(usize::try_from(own.concurrency.get()).unwrap_or(usize::MAX));
    let routes = config.router.health_check_routing;
    let chats = |entry: &&DeploymentConfig| {
        let mode = entry.info.mode.as_deref();
        mode.is_none_or(|mode| matches!(mode, "chat" | "responses"))
    };
    let asked = config.deployments.iter().filter(chats).map(|entry| Str::from(entry.id.as_str()));
    let asked: HashSet<Str> = asked.collect();
    let book = registries.checks.clone();
    Some(checks.start(table, move |endpoint| {
        let book = asked.contains(endpoint.id()).then(|| book.clone());
        async move {
            let Some(book) = book else { return Ok(()) };
            let found = timeout(time, ask(&endpoint)).await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Timeout, "the check was not answered in time"))
            });
            book.write(endpoint.id().clone(), found.as_ref().err().cloned());
            if routes { found } else { Ok(()) }
        }
    }))
}

/// Asks for one token. Whoever says that there is something wrong with the question is there to say so.
async fn ask(endpoint: &Endpoint<Upstream>) -> Result<(), Error> {
    let model = endpoint.set().model.clone().unwrap_or_default();
    let call = Call::chat(model).user("Hi").max_output_tokens(1);
    let Err(error) = endpoint.service().clone().oneshot(call).await else { return Ok(()) };
    let error = error.with_deployment(endpoint.id().clone());
    match Blame::of(&error) {
        Blame::Nobody => Ok(()),
        _ => Err(error),
    }
}
