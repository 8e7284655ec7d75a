//! Another configuration while the gateway runs.
//!
//! The configuration is read again
//!
//! - when the process gets SIGHUP,
//! - when one of its files changes (`ziggurat.reload.watch`, see [`watch`]),
//! - when `POST /config/reload` is called, with the master key if there is one (see [`door::admin`](crate::door::admin)).
//!
//! From a good one a whole new stack is built, and [`Live`] hands new calls to it. Calls in flight keep the stack that they began
//! in, streams to their last byte; it is dropped with the last of them. What is in flight, open and learnt goes on in
//! [`Registries`](crate::Registries). A bad one changes nothing: what is wrong with it is told, in the log and in the answer, with
//! lines and columns.
//!
//! What the listener and the log were started with cannot change: a warning names what has changed of it and waits for a restart
//! ([`changes`]).

pub mod changes;
mod live;
pub mod watch;

#[cfg(unix)]
mod signal;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use tokio::sync::{Mutex, Notify};

pub use live::Live;
#[cfg(unix)]
pub use signal::Hangups;

use crate::config::{Config, Problem, Report};
use crate::gateway::Gateway;
use crate::stack::Ending;
use changes::Changes;

/// Reads the configuration and makes a gateway of it. Blocks.
type Source = dyn Fn() -> Result<(Gateway, Vec<Problem>), Report> + Send + Sync;

/// A gateway whose configuration can be read again.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use ziggurat_gateway::{Ending, Gateway, Registries, Reload, config};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let registries = Registries::new();
/// let version = AtomicU32::new(0);
/// let source = move || {
///     let version = version.fetch_add(1, Ordering::Relaxed);
///     let text = format!("model_list: [{{model_name: m{version}, litellm_params: {{model: mock/echo}}}}]");
///     let env = HashMap::new();
///     let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env)?;
///     Gateway::with(config, &env, &registries)
/// };
/// let (gateway, _) = source().unwrap();
/// let reload = Reload::new(gateway, &Ending::default(), source);
/// // A service to be served.
/// let live = reload.live();
/// let done = reload.now("somebody asked for it").await.unwrap();
/// assert_eq!((done.changes.added.len(), done.changes.removed.len()), (1, 1));
/// # let _ = live;
/// # }
/// ```
pub struct Reload {
    source: Arc<Source>,
    ending: Ending,
    live: Live,
    /// What the process was started with.
    started: Arc<Config>,
    /// What is served now.
    now: RwLock<Arc<Config>>,
    changed: Notify,
    /// One at a time.
    turn: Mutex<()>,
}

/// A reload that was done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// What is different now.
    pub changes: Changes,
    /// What there is to say about the configuration.
    pub warnings: Vec<Problem>,
}

// === impl Reload ===

impl Reload {
    /// Serves this gateway until `source` gives another.
    pub fn new(
        gateway: Gateway,
        ending: &Ending,
        source: impl Fn() -> Result<(Gateway, Vec<Problem>), Report> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let config = gateway.shared_config();
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            source: Arc::new(source),
            ending: ending.clone(),
            // Weak: what is served does not keep alive what serves it.
            live: Live::new(gateway.app_under(ending, this.clone())),
            started: Arc::clone(&config),
            now: RwLock::new(config),
            changed: Notify::new(),
            turn: Mutex::new(()),
        })
    }

    /// What is to be served.
    #[must_use]
    pub fn live(&self) -> Live {
        self.live.clone()
    }

    /// The configuration that is served now.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the configuration again, and serves it if it is good. `why` is for the log. Of several at once one comes after
    /// the other.
    ///
    /// # Errors
    ///
    /// Returns all that is wrong with the configuration. Nothing has changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, nothing has changed.
    pub async fn now(self: &Arc<Self>, why: &str) -> Result<Reloaded, Report> {
        let done = self.quietly().await;
        tell(why, &done);
        done
    }

    /// Like [`now`](Self::now), without a word in the log.
    async fn quietly(self: &Arc<Self>) -> Result<Reloaded, Report> {
        let _turn = self.turn.lock().await;
        self.read().await.map(|(gateway, warnings)| self.swap(&gateway, warnings))
    }

    async fn read(&self) -> Result<(Gateway, Vec<Problem>), Report> {
        let source = Arc::clone(&self.source);
        // It reads files, and a long list of models takes a while.
        let reading = tokio::task::spawn_blocking(move || source());
        reading.await.unwrap_or_else(|_| Err(Report::default()))
    }

    fn swap(self: &Arc<Self>, gateway: &Gateway, warnings: Vec<Problem>) -> Reloaded {
        let config = gateway.shared_config();
        let before = self.config();
        let changes = Changes::between(&before, &config, &self.started);
        self.live.swap(gateway.app_under(&self.ending, Arc::downgrade(self)));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.changed.notify_waiters();
        Reloaded { changes, warnings }
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").field("live", &self.live).finish_non_exhaustive()
    }
}

/// Writes into the log what became of a reload.
fn tell(why: &str, done: &Result<Reloaded, Report>) {
    match done {
        Ok(done) => {
            for warning in &done.warnings {
                tracing::warn!("{warning}");
            }
            for key in &done.changes.restart {
                tracing::warn!("{key} has changed: that takes a restart");
            }
            tracing::info!(why, "the configuration was read again: {}", done.changes);
        }
        Err(report) => {
            tracing::error!(
                why,
                "the configuration is wrong, and the one before is still served: {report}"
            );
        }
    }
}
