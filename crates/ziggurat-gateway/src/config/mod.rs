//! The configuration file: LiteLLM's `config.yaml`, and a section of our own.
//!
//! [`load`] reads a file, the files it includes and the environment variables it refers to, and
//! gives a [`Config`] with warnings, or a [`Report`] of *everything* that is wrong. Every problem
//! has file, line, column and the path of its key, and none repeats a value, so that none can show
//! a secret:
//!
//! ```text
//! config.yaml:7:16: model_list[0].litellm_params.timeout: expected a number of seconds, found a sequence
//! config.yaml:9:16: model_list[0].litellm_params.api_key: the environment variable `OPENAI_API_KEY` is not set
//! config.yaml:12:3: router_settings.routing_groups is not supported yet and is ignored
//! config.yaml:20:1: litelm_settings: unknown key, did you mean `litellm_settings`?
//! ```
//!
//! # Rules
//!
//! - **Errors**: YAML that cannot be read, duplicate keys, unknown tags, a second document; values
//!   missing, of the wrong type or out of range; variables that are not set; files that cannot be
//!   included. **Warnings**: keys that LiteLLM knows and that have no effect yet (one for each key,
//!   one for each section of which nothing has an effect), and keys that nobody knows. Top-level
//!   keys that begin with `x-` are left alone: they are a place for anchors.
//! - A key whose value is null is as good as absent.
//! - Scalars are PyYAML's, as LiteLLM reads them: `yes` and `off` are booleans. Text that reads as
//!   a number or boolean is one where one is expected. Text is never made of anything else: a
//!   version such as `1.10` needs quotes. Anchors, aliases and merge keys (`<<`) work.
//! - `os.environ/NAME`, as the whole of a string, stands for the variable `NAME`, which is looked
//!   up in `environment_variables` first, then in the environment. A value in
//!   `environment_variables` may itself be such a reference, to the environment. An `include` is
//!   read before there are any, so that one in it refers to the environment.
//! - `include` lists files, relative to the file that names them. The lists of models are joined;
//!   sections are merged key by key, the including file winning.
//! - A file has at most 16 MiB and 64 levels, and at most two million nodes with its aliases
//!   written out; a configuration has at most 100 files.
//!
//! # `model_list[]`
//!
//! | key | value | default |
//! | --- | --- | --- |
//! | `model_name` | the name callers use; `*` stands for any text | required |
//! | `litellm_params.model` | `provider/model`, a model, or a pattern with `*` | required |
//! | `….custom_llm_provider` | the provider's prefix | from `model` |
//! | `….api_base`, `….base_url` | a URL | the provider's |
//! | `….api_key` | a secret; an empty one is none | the provider's own variable |
//! | `….api_version`, `….organization` | text | none |
//! | `….timeout` (or `….request_timeout`), `….stream_timeout` | seconds, above 0 | see [`Config::timeouts`] |
//! | `….num_retries`, else `….max_retries` | 0 to 100 | see [`Config::retries`] |
//! | `….headers`, `….extra_headers` | a mapping; the second wins; values are secrets | none |
//! | `….extra_body` | a mapping of JSON | none |
//! | `….drop_params` | a boolean | see [`Config::loss_policy`] |
//! | `….additional_drop_params`, `….allowed_openai_params` | a list of names | none |
//! | `….mock_response` | text | none |
//! | `….rpm`, `….tpm`, `….itpm`, `….otpm` | requests, tokens, input tokens, output tokens in a minute | none |
//! | `….rpd`, `….tpd` | requests, tokens in a day | none |
//! | `….cooldown_time` | seconds; 0 for never | see [`Config::cooldown`] |
//! | `….region_name` | text | none |
//! | `….aws_region_name` | text | `region_name`, then AWS_REGION_NAME, AWS_REGION, AWS_DEFAULT_REGION |
//! | `….aws_access_key_id`, `….aws_secret_access_key`, `….aws_session_token`, `….aws_profile_name` | text | AWS's own chain of credentials |
//! | `….aws_role_name`, `….aws_session_name`, `….aws_external_id`, `….aws_web_identity_token` | text | none |
//! | `….vertex_project`, `….vertex_location` | text | those of the credentials, of VERTEXAI_PROJECT and VERTEXAI_LOCATION; `us-central1` |
//! | `….vertex_credentials` | JSON, or a path | GOOGLE_APPLICATION_CREDENTIALS, what `gcloud` leaves, the machine's own account |
//! | `….azure_ad_token` | text | AZURE_AD_TOKEN |
//! | `….tenant_id`, `….client_id`, `….client_secret` | text | AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET |
//! | `….aws_bedrock_runtime_endpoint`, `….aws_sts_endpoint` | URL | that of the region |
//! | `….weight` | a number, 0 or above | none |
//! | `….order` | an integer | none |
//! | `….tags` | a list of texts | none |
//! | `….max_parallel_requests` | calls in flight, above 0 | `router_settings`', `general_settings`' |
//! | `….temperature`, `….max_tokens`, any request parameter | JSON; known ones are checked | none |
//! | `….input_cost_per_token`, other prices | dollars per unit | the catalogue's |
//! | `model_info.id` | text, unique | derived |
//! | `….mode` | `chat`, `embedding`, … | the catalogue's |
//! | `….base_model` | a model of the catalogue | `model` |
//! | `….max_tokens`, `….max_output_tokens` | tokens | the catalogue's |
//! | `….max_input_tokens` | tokens; for `enable_pre_call_checks` | unknown |
//! | `….input_cost_per_token`, other prices | dollars per unit | the catalogue's |
//! | `….supports_*` | booleans | the catalogue's |
//! | `….allowed_fails`, `….allowed_fails_policy` | as in `router_settings` | the router's |
//!
//! # `router_settings`
//!
//! | key | value | default |
//! | --- | --- | --- |
//! | `routing_strategy` | one of [`Strategy`]'s names | `simple-shuffle` |
//! | `routing_strategy_args.ttl` | seconds, above 0: how fast latencies are forgotten | 30 |
//! | `num_retries` | 0 to 100 | see [`Config::retries`] |
//! | `retry_after` | seconds | 0 |
//! | `retry_policy` | a mapping of `RateLimitErrorRetries` and its like ([`ErrorCounts`]) to 0 to 100 | `num_retries` |
//! | `model_group_retry_policy` | a mapping from models to such mappings | `retry_policy` |
//! | `timeout`, `stream_timeout` | seconds, above 0 | see [`Config::timeouts`] |
//! | `allowed_fails` | failures in a minute | LiteLLM's rules |
//! | `allowed_fails_policy` | a mapping of `RateLimitErrorAllowedFails` and its like to numbers | `allowed_fails` |
//! | `cooldown_time` | seconds; 0 for never | 5 |
//! | `disable_cooldowns` | a boolean | `false` |
//! | `fallbacks`, `context_window_fallbacks`, `content_policy_fallbacks` | a list of mappings from one model to a list of models; `'*'` is any model | `litellm_settings`' |
//! | `default_fallbacks` | a list of models | `litellm_settings`' |
//! | `max_fallbacks` | 0 to 100 | 5 |
//! | `model_group_alias` | a mapping from names to a model, or to `{model, hidden}` | none |
//! | `enable_pre_call_checks` | a boolean | `false` |
//! | `optional_pre_call_checks` | a list of `session_affinity`, `deployment_affinity`, `enforce_model_rate_limits` (which always hold) | none |
//! | `deployment_affinity_ttl_seconds` | seconds, above 0 | 3600 |
//! | `enable_tag_filtering` | a boolean | `false` |
//! | `tag_filtering_match_any` | a boolean | `true` |
//! | `enable_health_check_routing` | a boolean | `false` |
//! | `default_max_parallel_requests` | calls in flight to a deployment, above 0 | `general_settings`' |
//! | `redis_url`, or `redis_host`, `redis_port`, `redis_username`, `redis_password`, `redis_db`, `redis_ssl` | a server | see [`Config::redis`] |
//! | `default_litellm_params` | a mapping: what `litellm_params` leave out | none |
//!
//! # `litellm_settings`
//!
//! | key | value | default |
//! | --- | --- | --- |
//! | `drop_params` | a boolean | see [`Config::loss_policy`] |
//! | `request_timeout` | seconds, above 0 | see [`Config::timeouts`] |
//! | `json_logs`, `set_verbose` | booleans | `false` |
//! | `num_retries` | 0 to 100 | see [`Config::retries`] |
//! | `allowed_fails` | failures in a minute | see `router_settings` |
//! | `fallbacks` and the three others | as in `router_settings`, which win | none |
//! | `cache` | a boolean | `false` |
//! | `model_cost_map_url` | a URL, or a file, with models and prices in LiteLLM's schema | the built-in catalogue |
//! | `cache_params.type` | `local`, `redis` | `redis` where a server is named, else `local` |
//! | `cache_params.url`, or `host`, `port`, `username`, `password`, `db`, `ssl` | a server | the variables `REDIS_URL`, `REDIS_HOST`, … |
//! | `cache_params.ttl` | seconds, above 0 | 600 |
//! | `cache_params.namespace` | text | none |
//! | `cache_params.mode` | `default_on`, `default_off` | `default_on` |
//! | `cache_params.supported_call_types` | a list of `completion`, `acompletion`, `anthropic_messages`, … | all |
//!
//! # `general_settings`
//!
//! | key | value | default |
//! | --- | --- | --- |
//! | `master_key` | a secret | the variable `LITELLM_MASTER_KEY` |
//! | `max_request_size_mb`, `max_response_size_mb` | units of 1024 × 1024 bytes, above 0 | see `limits`; none |
//! | `completion_model` | the model of every call | the caller's |
//! | `forward_client_headers_to_llm_api`, `infer_model_from_keys` | booleans | `false` |
//! | `max_parallel_requests` | calls in flight to a deployment, above 0 | none |
//! | `global_max_parallel_requests` | calls in flight, above 0 | none |
//! | `background_health_checks` | a boolean | `false` |
//! | `health_check_interval` | seconds, above 0 | 300 |
//! | `fail_closed_rate_limit_enforcement` | a boolean | `false` |
//! | `enforced_params` | a list of members that every body must have; `metadata.name` for one inside | none |
//! | `enforce_user_param` | a boolean | `false` |
//! | `cancel_on_disconnect` | a boolean | see [`Config::disconnect`] |
//! | `coordination_redis` | a mapping with `url`, or `host`, `port`, `username`, `password`, `db`, `ssl` | see [`Config::redis`] |
//!
//! # `ziggurat`
//!
//! Durations are seconds, or text with a unit: `500ms`, `1.5s`, `5m`, `1h`, `2d`. Sizes are bytes,
//! or text with a unit: `64KiB`, `1.5MiB`, `10MB` (of a million bytes), `1GiB`.
//!
//! | key | value | default |
//! | --- | --- | --- |
//! | `limits.max_body_bytes` | size | `max_request_size_mb`, else `64MiB` |
//! | `limits.max_header_bytes` | size, at least `8KiB` | `64KiB` |
//! | `limits.max_event_bytes` | size | `16MiB` |
//! | `limits.header_read_timeout` | duration, above 0 | `30s` |
//! | `limits.body_read_timeout` | duration, above 0 | `2m` |
//! | `limits.idle_timeout` | duration, above 0 | `75s` |
//! | `admission.max_calls` | calls in flight, above 0 | `4096` |
//! | `admission.max_bytes` | size | `1GiB` |
//! | `admission.retry_after` | duration | `1s` |
//! | `timeouts.connect` | duration, above 0 | `5s` |
//! | `timeouts.first_content` | duration, above 0 | `10m` |
//! | `timeouts.idle` | duration, above 0 | `5m` |
//! | `timeouts.attempt` | duration, above 0 | `1h` |
//! | `timeouts.call` | duration, above 0 | `2h` |
//! | `keepalive_after` | duration, above 0 | never |
//! | `shutdown_grace` | duration | `30s` |
//! | `headers.litellm` | boolean | `true` |
//! | `loss_policy` | `default`, `refuse`, `allow` | see [`Config::loss_policy`] |
//! | `http2_shards` | 1 to 64 | HTTP/1.1 |
//! | `rate_limits.global` | a [`Quota`]: of all calls together | none |
//! | `rate_limits.key`, `.user`, `.team`, `.organization`, `.model`, `.key_and_model` | a [`Quota`]: of each of them | none |
//! | `rate_limits.models` | a mapping from models to a [`Quota`] | `rate_limits.model` |
//! | `retry.budget_ratio` | retries for each call of a deployment, 0 to 100 | 0.2 |
//! | `retry.budget_floor` | retries a second besides | 10 |
//! | `retry.backoff_base`, `retry.backoff_cap` | durations | `500ms`, `8s` |
//! | `retry.retry_after_cap` | duration | `60s` |
//! | `peek.until_tokens` | pieces of a stream, above 0 | 1 |
//! | `peek.until_elapsed` | duration, above 0 | none |
//! | `cache.max_bytes` | size | `256MiB` |
//! | `cache.max_entry_bytes` | size | `4MiB` |
//! | `cache.scope` | `key`, `team`, `organization`, `global` | `key` |
//! | `cache.single_flight` | boolean | `true` |
//! | `cache.memory_ttl` | duration, above 0 | what Redis holds is not kept in memory |
//! | `conversations.enabled` | boolean: whether what callers of OpenAI Responses say is kept, so that they can go on from it | `true` |
//! | `conversations.path` | the file in which it is kept; SQLite's | in memory |
//! | `conversations.max_bytes` | size, at least `1MiB` | `64MiB`, in a file `1GiB` |
//! | `conversations.keep` | duration, above 0 | `30d` |
//! | `disconnect` | `cut`, `drain`, `{drain: {tokens, time}}`, or a mapping of `default` and `models` to such | `cut` |
//! | `media.fetch` | boolean: whether pictures and documents that a request names by their address are fetched for providers that take only their bytes | `true` |
//! | `media.max_bytes` | size: of all that one call names | `20MiB` |
//! | `media.timeout` | duration, above 0: of one address | `30s` |
//! | `media.allow_networks` | networks (`10.1.0.0/16`) or addresses that are asked though they are not on the public internet | none |
//! | `media.allow_private` | boolean: whether all are | `false` |
//! | `health_checks.timeout` | duration, above 0 | `60s` |
//! | `health_checks.concurrency` | checks under way, above 0 | `4` |
//! | `reload.watch` | duration, above 0; `off` | `2s` |
//! | `redis.prefix` | a string, not empty: what every key in Redis begins with; instances that share have the same | `ziggurat:` |
//! | `redis.timeout` | duration, above 0: how long an answer of Redis is waited for | `250ms` |
//! | `redis.connect_timeout` | duration, above 0 | `1s` |
//! | `redis.lease` | duration, a second at least: how long the parallel calls of an instance that died count as running | `30s` |
//!
//! A [`Quota`] is a mapping of `requests_per_minute` (or `rpm`), `tokens_per_minute` (`tpm`),
//! `input_tokens_per_minute` (`itpm`), `output_tokens_per_minute` (`otpm`), `requests_per_day` (`rpd`),
//! `tokens_per_day` (`tpd`) and `parallel` (`max_parallel_requests`) to numbers above 0.

mod aws;
mod cache;
mod cloud;
mod counts;
mod deployment;
mod env;
mod fallbacks;
mod fields;
mod include;
mod known;
mod node;
mod own;
mod params;
mod problem;
mod quantity;
mod read;
mod redis;
mod router;
mod scalar;
mod settings;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::aws::AwsConfig;
pub use self::cache::{CacheMode, CacheSettings, CachedCalls};
pub use self::cloud::{EntraConfig, GoogleConfig};
pub use self::counts::ErrorCounts;
pub use self::deployment::{DeploymentConfig, ModelInfo};
pub use self::env::{Environment, Overlay, ProcessEnvironment, Variables};
pub use self::fallbacks::{FallbackRule, Fallbacks, Reference};
pub use self::own::{
    Admission, CacheScope, ConversationSettings, Disconnect, DisconnectSettings, Headers,
    HealthCheckSettings, Limits, MediaSettings, OwnCacheSettings, OwnRedisSettings, PeekSettings,
    Quota, RateLimitSettings, ReloadSettings, RetrySettings, Settings, Timeouts,
};
pub use self::params::Parameters;
pub use self::problem::{Place, Problem, ProblemKind, Report};
pub use self::redis::RedisSettings;
pub use self::router::{Alias, OptionalChecks, RouterSettings, Strategy, StrategyArgs};
pub use self::settings::{GeneralSettings, LitellmSettings};
pub use ziggurat_core::{LossPolicy, Secret};

use self::deployment::Ids;
pub(crate) use self::include::contents_of;
use self::include::{Contents, Documents};
use self::node::{Kind, Node};
use self::problem::Problems;
use self::read::{At, Reader};

/// A configuration, checked.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// `model_list`, in the order of the files.
    pub deployments: Vec<DeploymentConfig>,
    /// `litellm_settings`.
    pub litellm: LitellmSettings,
    /// `general_settings`.
    pub general: GeneralSettings,
    /// `router_settings`.
    pub router: RouterSettings,
    /// `ziggurat`.
    pub ziggurat: Settings,
    /// `environment_variables`.
    pub variables: Variables,
    /// The files that were read, the first one first; for watching them.
    pub files: Vec<PathBuf>,
    /// What stood in them.
    pub(crate) contents: Contents,
}

/// Reads a configuration file, with the files it includes.
///
/// Blocks while it reads. Gives warnings along with the configuration.
///
/// # Errors
///
/// Returns all that is wrong, when anything is.
pub fn load(path: &Path, env: &dyn Environment) -> Result<(Config, Vec<Problem>), Report> {
    let (documents, problems) = include::read(path, env, Problems::default());
    config(&documents, env, problems)
}

/// Reads a configuration that is one text, called `name` in what is reported. It can include
/// nothing.
///
/// # Errors
///
/// Returns all that is wrong, when anything is.
pub fn parse(
    text: &[u8],
    name: &str,
    env: &dyn Environment,
) -> Result<(Config, Vec<Problem>), Report> {
    let (documents, problems) = include::read_text(text, name, env, Problems::default());
    config(&documents, env, problems)
}

// === impl Config ===

impl Config {
    /// What becomes of a parameter that a deployment's model cannot take: its own `drop_params`,
    /// else `ziggurat.loss_policy`, else `litellm_settings.drop_params`. `drop_params: true` allows
    /// every loss and `false`, written out, refuses every loss.
    #[must_use]
    pub fn loss_policy(&self, deployment: &DeploymentConfig) -> LossPolicy {
        let policy = |drop| if drop { LossPolicy::Allow } else { LossPolicy::Refuse };
        deployment
            .drop_params
            .map(policy)
            .or(self.ziggurat.loss_policy)
            .or(self.litellm.drop_params.map(policy))
            .unwrap_or_default()
    }

    /// Something that is wrong with the configuration as a whole.
    #[must_use]
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        let file = self.files.first().map_or(Path::new("config"), PathBuf::as_path);
        Problem::new(ProblemKind::Value, &Place::whole(file), path, message)
    }

    /// How often a failed call is tried again at most: the deployment's `num_retries`, else the
    /// router's, else `litellm_settings.num_retries`, else twice.
    #[must_use]
    pub fn retries(&self, deployment: Option<&DeploymentConfig>) -> u32 {
        deployment
            .and_then(|deployment| deployment.num_retries)
            .or(self.router.num_retries)
            .or(self.litellm.num_retries)
            .unwrap_or(2)
    }

    /// The fallbacks: of each sort the router's, else `litellm_settings`'.
    #[must_use]
    pub fn fallbacks(&self) -> Fallbacks {
        self.router.fallbacks.or(&self.litellm.fallbacks)
    }

    /// How long a deployment is left alone after it failed, where nobody says for how long: its own
    /// `cooldown_time`, else the router's, else 5 seconds. Nothing, when it is not to be left alone.
    #[must_use]
    pub fn cooldown(&self, deployment: &DeploymentConfig) -> Option<Duration> {
        if self.router.disable_cooldowns {
            return None;
        }
        let time = deployment.cooldown_time.or(self.router.cooldown_time);
        Some(time.unwrap_or(Duration::from_secs(5))).filter(|time| !time.is_zero())
    }

    /// The server through which instances share limits and cool-downs:
    /// `general_settings.coordination_redis`, else the router's, else the cache's.
    #[must_use]
    pub fn redis(&self) -> Option<&RedisSettings> {
        let cache = || self.litellm.cache.as_ref()?.redis.as_ref();
        self.general.coordination_redis.as_ref().or(self.router.redis.as_ref()).or_else(cache)
    }

    /// Whether any call may go on when its caller has left.
    #[must_use]
    pub fn drains(&self) -> bool {
        let said = &self.ziggurat.disconnect;
        let mut all = said.models.iter().map(|(_, policy)| *policy).chain([self.disconnect("")]);
        all.any(|policy| policy != Disconnect::Cut)
    }

    /// What becomes of a call whose caller has left: what `ziggurat.disconnect` says of the model it
    /// asked for. `cancel_on_disconnect: false`, written out, means `drain` where nothing is said.
    #[must_use]
    pub fn disconnect(&self, model: &str) -> Disconnect {
        let said = &self.ziggurat.disconnect;
        if *said == DisconnectSettings::default()
            && self.general.cancel_on_disconnect == Some(false)
        {
            return Disconnect::Drain { tokens: None, time: None };
        }
        said.of(model)
    }

    /// The clocks of a call to a deployment.
    ///
    /// LiteLLM's `timeout` (the deployment's, else `litellm_settings.request_timeout`, else the
    /// router's) bounds the whole of a reply that is not streamed. Of a streamed one,
    /// `stream_timeout` (the deployment's, else the router's), else `timeout`, bounds every wait: for
    /// the first content, and between two frames. Where none is given, and for the rest,
    /// `ziggurat.timeouts` hold.
    #[must_use]
    pub fn timeouts(&self, deployment: &DeploymentConfig, streamed: bool) -> Timeouts {
        let mut timeouts = self.ziggurat.timeouts.clone();
        let router = &self.router;
        let whole = deployment.timeout.or(self.litellm.request_timeout).or(router.timeout);
        if streamed {
            if let Some(wait) = deployment.stream_timeout.or(router.stream_timeout).or(whole) {
                timeouts.first_content = wait;
                timeouts.idle = wait;
            }
        } else if let Some(whole) = whole {
            timeouts.first_content = whole;
            timeouts.attempt = whole;
        }
        timeouts
    }
}

/// The sections that have an effect, as they stand in the documents.
#[derive(Default)]
struct Sections<'n> {
    model_lists: Vec<At<'n>>,
    environment: Vec<At<'n>>,
    litellm: Vec<At<'n>>,
    general: Vec<At<'n>>,
    router: Vec<At<'n>>,
    ziggurat: Vec<At<'n>>,
}

fn config(
    documents: &Documents,
    env: &dyn Environment,
    problems: Problems,
) -> Result<(Config, Vec<Problem>), Report> {
    let mut reader = Reader::new(env, problems);
    let sections = Sections::of(&documents.roots, &mut reader);
    // These refer to the environment; everything else refers to them first.
    let variables = section(&mut reader, &sections.environment, variables).unwrap_or_default();
    let overlay = variables.over(env);
    let mut reader = Reader::new(&overlay, reader.problems);

    let deployments = deployments(&mut reader, &sections.model_lists, &sections.router);
    let litellm = section(&mut reader, &sections.litellm, LitellmSettings::read);
    let general = section(&mut reader, &sections.general, GeneralSettings::read);
    let mut general = general.unwrap_or_default();
    if let (None, Some(root)) = (&general.master_key, documents.roots.first()) {
        general.master_key = settings::master_key_of_environment(&mut reader, root);
    }
    let usual = usual(&general);
    let ziggurat = section(&mut reader, &sections.ziggurat, |reader, at| {
        Settings::read(reader, at, usual.clone())
    });
    let router = section(&mut reader, &sections.router, RouterSettings::read);

    let fatal = reader.problems.is_fatal();
    let report = reader.problems.into_report();
    if fatal {
        return Err(report);
    }
    let config = Config {
        deployments,
        litellm: litellm.unwrap_or_default(),
        general,
        router: router.unwrap_or_default(),
        ziggurat: ziggurat.unwrap_or(usual),
        variables,
        files: documents.files.clone(),
        contents: documents.contents.clone(),
    };
    Ok((config, report.warnings))
}

/// Our own settings where nothing is said of them.
fn usual(general: &GeneralSettings) -> Settings {
    let mut settings = Settings::default();
    if let Some(most) = general.max_request_bytes {
        settings.limits.max_body_bytes = most;
    }
    settings
}

impl<'n> Sections<'n> {
    fn of(roots: &'n [Node], reader: &mut Reader<'_>) -> Self {
        let mut sections = Self::default();
        for node in roots {
            let at = At { node, path: String::new() };
            let Some(mut fields) = reader.fields(&at) else { continue };
            // Read already, with the files.
            let _ = fields.get("include");
            sections.model_lists.extend(fields.get("model_list"));
            sections.environment.extend(fields.get("environment_variables"));
            sections.litellm.extend(fields.get("litellm_settings"));
            sections.general.extend(fields.get("general_settings"));
            sections.router.extend(fields.get("router_settings"));
            sections.ziggurat.extend(fields.get("ziggurat"));
            fields.skip_extensions();
            fields.finish(known::TOP_LEVEL, known::section_of);
        }
        sections
    }
}

/// Reads a section out of all the places where parts of it stand.
fn section<'e, T>(
    reader: &mut Reader<'e>,
    parts: &[At<'_>],
    read: impl FnOnce(&mut Reader<'e>, &At<'_>) -> Option<T>,
) -> Option<T> {
    let mut mappings = Vec::new();
    for part in parts {
        match part.node.kind() {
            Kind::Mapping(_) => mappings.push(part.node.clone()),
            _ => {
                let _: Option<()> = reader.mismatch(part, "a mapping");
            }
        }
    }
    let merged = include::merge(&mappings)?;
    read(reader, &At { node: &merged, path: parts.first()?.path.clone() })
}

fn variables(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Variables> {
    let mut variables = Variables::default();
    for (key, value) in reader.entries(at, "a mapping")? {
        if let Some(value) = reader.variable(&value) {
            variables.set(key.text.to_string(), value);
        }
    }
    Some(variables)
}

fn deployments(
    reader: &mut Reader<'_>,
    lists: &[At<'_>],
    router: &[At<'_>],
) -> Vec<DeploymentConfig> {
    let usual = default_params(reader, router);
    let mut ids = Ids::default();
    let mut deployments = Vec::new();
    for list in lists {
        for at in reader.items(list, "a sequence of models").unwrap_or_default() {
            deployments.extend(DeploymentConfig::read(reader, &at, usual.as_ref(), &mut ids));
        }
    }
    DeploymentConfig::name_all(&mut deployments, &mut ids);
    deployments
}

/// `router_settings.default_litellm_params`: what a deployment's `litellm_params` leave out.
fn default_params(reader: &mut Reader<'_>, router: &[At<'_>]) -> Option<Node> {
    let mut mappings = Vec::new();
    for section in router {
        let Kind::Mapping(entries) = section.node.kind() else { continue };
        for entry in entries.iter().filter(|entry| &*entry.key.text == "default_litellm_params") {
            let path = node::join(&section.path, &entry.key.text);
            match entry.value.kind() {
                Kind::Mapping(_) => mappings.push(entry.value.clone()),
                Kind::Null => {}
                _ => {
                    let at = At { node: &entry.value, path };
                    let _: Option<()> = reader.mismatch(&at, "a mapping");
                }
            }
        }
    }
    include::merge(&mappings)
}
