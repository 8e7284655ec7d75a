//! The tower: every layer of the gateway, and why it stands where it stands.
//!
//! `provider` builds what stands around one provider, `calls` what stands around all of them,
//! and `http` what stands around calls. Outermost first, as `ServiceBuilder` reads.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::util::{Either, option_layer};
use ziggurat_core::Credentials;
use ziggurat_http::{
    Admission, AdmissionLayer, Authorize, AuthorizeLayer, Deployment, Fetch, FetchLayer, Fetcher,
    FrontDoor, FrontDoorLayer, Translate, TranslateLayer, Transport,
};
use ziggurat_layers::cache::Caches;
use ziggurat_layers::route::Route;
use ziggurat_layers::{
    Access, Cache, Conversation, ConversationLayer, Fallback, Peek, RateLimit, Retry, Split,
    SplitLayer, Timeout, TimeoutLayer,
};
use ziggurat_store::redis::BadSettings;
use ziggurat_store::sqlite::Conversations;

use crate::config::{Config, Timeouts};
use crate::door::admin::{Admin, AdminLayer};
use crate::door::auth::{Authenticate, AuthenticateLayer};
use crate::door::cors::{Cors, CorsLayer};
use crate::door::health::{Health, HealthLayer};
use crate::door::limits::{Limits, LimitsLayer};
use crate::extras::{Extras, ExtrasLayer};
use crate::models::{Catalogue, Models, ModelsLayer};
use crate::names::{Names, NamesLayer};
use crate::observe::{Line, Observe, ObserveLayer};
use crate::policies;
use crate::registries::Registries;
use crate::upstream::Upstream;

/// What stands around one provider.
pub type Stack = Fetch<Peek<Timeout<Split<Translate<Authorize<Transport>>>>>>;
/// What answers calls.
pub type Calls = Observe<Extras<Access<Models<Remembered<Names<Cached<Limited<Tried>>>>>>>>;
/// With a memory of conversations, where there is one.
pub type Remembered<S> = Either<Conversation<S>, S>;
/// With a cache, where there is one.
pub type Cached<S> = Either<Cache<S>, S>;
/// With limits, where there are any.
pub type Limited<S> = Either<RateLimit<S>, S>;
/// What is tried more than once.
pub type Tried = Fallback<Retry<Route<Upstream>>>;
/// The whole gateway: `http::Request` in, `http::Response` out, never an error.
pub type App = Limits<Cors<Health<Authenticate<Admin<Admission<FrontDoor<Calls>>>>>>>;

/// What tells the gateway that its end has come.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Ending {
    /// Cancelled when shutting down begins: no new calls are wanted.
    pub stopping: CancellationToken,
    /// Cancelled when the grace is over: calls that still run are ended with an error.
    pub end: CancellationToken,
}

/// The tower around one provider.
pub(crate) fn provider(
    deployment: Arc<Deployment>,
    credentials: Option<Arc<dyn Credentials>>,
    config: &Config,
    timeouts: &Timeouts,
    fetcher: Option<Fetcher>,
    transport: Transport,
) -> Stack {
    let clocks = TimeoutLayer::new()
        .first_content(timeouts.first_content)
        .idle(timeouts.idle)
        .attempt(timeouts.attempt);
    ServiceBuilder::new()
        // Above the clocks: what somebody else's server takes for a picture is not the provider's time.
        .layer(FetchLayer::maybe(fetcher, Arc::clone(&deployment)))
        // A provider that fails in its first event has failed: the caller gets the status of an error, not a 200.
        .layer(policies::peek(config))
        // Next to the provider, so that a time that runs out is the provider's failure, like any other.
        .layer(clocks)
        // Below the clocks, which run for the whole; each part is a request of its own.
        .layer(SplitLayer::maybe(deployment.most_inputs()))
        // From here on it is this provider's dialect, address and key.
        .layer(TranslateLayer::new(deployment))
        // Nothing changes any more: what is signed is what is sent.
        .layer(AuthorizeLayer::maybe(credentials))
        .service(transport)
}

/// The tower around all deployments. One of them is chosen innermost, each with a tower of its own ([`provider`]).
///
/// # Errors
///
/// When no connection can be made with the settings of Redis.
pub(crate) fn calls(
    config: &Config,
    registries: &Registries,
    caches: Option<Arc<Caches>>,
    conversations: Option<Arc<Conversations>>,
    catalogue: Catalogue,
) -> Result<Calls, BadSettings> {
    let access = policies::access(config);
    let cache = policies::cache(config, caches);
    let limits = policies::rate_limit(config, registries)?;
    Ok(ServiceBuilder::new()
        // Outermost, so that it sees everything, also what the others refuse.
        .layer(ObserveLayer::new())
        // Above whatever looks into bodies: from here on they hold nothing that is not the dialect's.
        .layer(ExtrasLayer::new().caching(config.litellm.cache.as_ref()))
        // Above all that answers, counts or holds something for a call.
        .layer(access.clone())
        // Below what refuses, above all that is for calls to a model: a list of models asks nobody.
        .layer(ModelsLayer::new(catalogue.clone()))
        // Above all that looks at a conversation, which is all there from here on; by the caller's name for the model.
        .layer(option_layer(conversations.map(|store| {
            ConversationLayer::new(ziggurat_dialects::RESPONSES, store).observe_background(Line::of)
        })))
        // Below the question whether a caller may use a name, above all that knows a model by its own.
        .layer(NamesLayer::new(config))
        // Above all that counts: a hit costs nothing.
        .layer(option_layer(cache))
        // Above all that tries: a call counts once, however often it is tried.
        .layer(option_layer(limits))
        // Another model is asked when trying the first again did not help.
        .layer(policies::fallback(config, access))
        // Above the choice of a deployment, so that each attempt is routed afresh.
        .layer(policies::retry(config, registries))
        // Innermost, since what is below differs from deployment to deployment.
        .service(Route::new(Arc::clone(catalogue.table()))))
}

/// The tower around calls: the gateway as an http service.
pub(crate) fn http(
    config: &Arc<Config>,
    registries: &Registries,
    admin: AdminLayer,
    calls: Calls,
    ending: &Ending,
) -> App {
    let own = &config.ziggurat;
    let master_key = config.general.master_key.as_ref();
    let global = config.general.global_max_parallel_requests;
    let most = global.map_or(own.admission.max_calls, |global| global.min(own.admission.max_calls));
    let mut door = FrontDoorLayer::new()
        .max_body(own.limits.max_body_bytes)
        .body_timeout(own.limits.body_read_timeout)
        .deadline(own.timeouts.call)
        .litellm_headers(own.headers.litellm)
        .drains(registries.drains.clone())
        .shutdown(ending.end.clone());
    if let Some(silence) = own.keepalive_after {
        door = door.keepalive_after(silence);
    }
    if config.drains() {
        let config = Arc::clone(config);
        door = door.disconnect(move |call| policies::disconnect(&config, call));
    }
    ServiceBuilder::new()
        // First, since everything else looks at the head.
        .layer(LimitsLayer::new(own.limits.max_header_bytes))
        // Before the key is asked for: browsers ask without one whether they may send it.
        .layer(CorsLayer::new(master_key.is_some()))
        // Before the key and admission: those who look after the gateway have no key, and full is not dead.
        .layer(HealthLayer::new(ending.stopping.clone()))
        // Before admission, so that strangers take no places.
        .layer(AuthenticateLayer::new(master_key))
        // Behind the key, and before admission: whoever runs the gateway is not turned away because it is full.
        .layer(admin)
        // Before a body is read, so that memory is bounded whatever comes.
        .layer(
            AdmissionLayer::new()
                .calls(u64::from(most.get()))
                .bytes(own.admission.max_bytes)
                .sharing(&registries.in_flight)
                .retry_after(own.admission.retry_after),
        )
        // Here a request becomes a call.
        .layer(door)
        .service(calls)
}
