//! A gateway, ready to serve: what is configured, made into a tower.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use ziggurat_core::{Ambient, System};
use ziggurat_http::ServeOptions;

use crate::checks;
use crate::config::{Config, Environment, Problem, Report};
use crate::deployments::{self, Fault, Maker, Shared};
use crate::door::admin::AdminLayer;
use crate::door::limits;
use crate::models::{Catalogue, Listed};
use crate::notes;
use crate::registries::Registries;
use crate::reload::Reload;
use crate::stack::{self, App, Calls, Ending};

/// A gateway that serves what a configuration says.
///
/// ```
/// use std::collections::HashMap;
/// use ziggurat_gateway::{Ending, Gateway, config};
///
/// let text = b"model_list: [{model_name: m, litellm_params: {model: mock/echo}}]";
/// let env = HashMap::new();
/// let (config, _) = config::parse(text, "config.yaml", &env).unwrap();
/// let (gateway, warnings) = Gateway::new(config, &env).unwrap();
/// assert!(warnings.is_empty());
/// // A tower service from http::Request to http::Response.
/// let app = gateway.app(&Ending::default());
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct Gateway {
    config: Arc<Config>,
    catalogue: Catalogue,
    registries: Registries,
    calls: Calls,
    admin: AdminLayer,
}

impl Gateway {
    /// Makes deployments of what is configured. `env` holds the providers' customary variables.
    /// Gives warnings along with the gateway.
    ///
    /// # Errors
    ///
    /// Returns all that is wrong, when anything is.
    pub fn new(config: Config, env: &dyn Environment) -> Result<(Self, Vec<Problem>), Report> {
        Self::with(config, env, &Registries::new())
    }

    /// The same around books that there are already: those of the gateway that this one follows.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new). The books are then as they were.
    pub fn with(
        config: Config,
        env: &dyn Environment,
        registries: &Registries,
    ) -> Result<(Self, Vec<Problem>), Report> {
        let (shared, unpriced) = Shared::new(&config, env, registries);
        let mut report = Report::default();
        report.warnings.extend(unpriced);
        let mut makers = Vec::new();
        for entry in &config.deployments {
            match Maker::new(entry, &shared) {
                Ok((maker, warnings)) => {
                    makers.push(maker);
                    report.warnings.extend(warnings);
                }
                Err(Fault::Unsupported(problem)) => report.warnings.push(problem),
                Err(Fault::Wrong(problem)) => report.errors.push(problem),
            }
        }
        let created = System.unix_time().as_secs();
        let catalogue = deployments::catalogue(&config, makers, registries, created);
        report.warnings.extend(notes::of(&config, catalogue.table()));
        notes::sort(&config, &mut report.errors);
        notes::sort(&config, &mut report.warnings);
        if !report.errors.is_empty() {
            return Err(report);
        }
        let registries = registries.clone();
        let conversations = match registries.conversations(&config) {
            Ok(conversations) => conversations,
            Err(error) => {
                report.errors.push(config.problem("ziggurat.conversations", error.to_string()));
                return Err(report);
            }
        };
        let made = registries.caches(&config).and_then(|caches| {
            let calls = stack::calls(
                &config,
                &registries,
                caches.clone(),
                conversations,
                catalogue.clone(),
            )?;
            Ok((calls, caches))
        });
        let (calls, caches) = match made {
            Ok(made) => made,
            Err(bad) => {
                report.errors.push(config.problem("redis", bad.to_string()));
                return Err(report);
            }
        };
        let ids: HashSet<&str> = config.deployments.iter().map(|entry| &*entry.id).collect();
        registries.retain(shared.transport_options(), |id| ids.contains(id));
        registries.keep(&config, caches.as_ref());
        let config = Arc::new(config);
        let admin = AdminLayer::new(Arc::clone(&config), registries.clone(), caches);
        let gateway = Self { config, catalogue, registries, calls, admin };
        Ok((gateway, report.warnings))
    }

    /// The gateway as an http service. All that are made count what is in flight together.
    ///
    /// Where there is a Redis, cool-downs are shared from here on, and where health checks are configured they begin, until the
    /// service and its clones are dropped: to be called within a runtime of tokio.
    #[must_use]
    pub fn app(&self, ending: &Ending) -> App {
        self.app_with(self.admin.clone(), ending)
    }

    /// The gateway as an http service by which its configuration can be read again.
    pub(crate) fn app_under(&self, ending: &Ending, reload: Weak<Reload>) -> App {
        self.app_with(self.admin.clone().reloading(reload), ending)
    }

    fn app_with(&self, admin: AdminLayer, ending: &Ending) -> App {
        let (config, registries) = (&self.config, &self.registries);
        let admin = admin.sharing(registries.share(config)).watching(checks::start(
            config,
            self.catalogue.table(),
            registries,
        ));
        stack::http(config, registries, admin, self.calls.clone(), ending)
    }

    /// The bounds of the server that serves it.
    #[must_use]
    pub fn serve_options(&self, ending: &Ending) -> ServeOptions {
        let own = &self.config.ziggurat;
        let mut options = ServeOptions::default();
        options.max_header_bytes = limits::hard(own.limits.max_header_bytes);
        options.header_timeout = own.limits.header_read_timeout;
        options.idle_timeout = own.limits.idle_timeout;
        options.grace = own.shutdown_grace;
        options.end = ending.end.clone();
        options
    }

    /// What is served, in the order of the configuration.
    pub fn listed(&self) -> impl Iterator<Item = &Listed> {
        self.catalogue.listed()
    }

    /// The books that its layers keep.
    #[must_use]
    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    pub(crate) fn shared_config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    /// What is configured.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
