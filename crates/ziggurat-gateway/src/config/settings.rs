//! `litellm_settings` and `general_settings`: the parts of them that have an effect.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Secret;
use super::cache::CacheSettings;
use super::counts;
use super::fallbacks::Fallbacks;
use super::known;
use super::node::Node;
use super::problem::Place;
use super::quantity;
use super::read::{At, Reader};
use super::redis::RedisSettings;

/// `litellm_settings`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LitellmSettings {
    /// `drop_params`; see [`Config::loss_policy`](super::Config::loss_policy).
    pub drop_params: Option<bool>,
    /// `request_timeout`; see [`Config::timeouts`](super::Config::timeouts).
    pub request_timeout: Option<Duration>,
    /// `json_logs`: write the log as JSON, a line for each record.
    pub json_logs: bool,
    /// `set_verbose`: log what is of interest when looking for a mistake.
    pub set_verbose: bool,
    /// `num_retries`; see [`Config::retries`](super::Config::retries).
    pub num_retries: Option<u32>,
    /// `allowed_fails`, where `router_settings` has none.
    pub allowed_fails: Option<u32>,
    /// `fallbacks` and their like; see [`Config::fallbacks`](super::Config::fallbacks).
    pub fallbacks: Fallbacks,
    /// `model_cost_map_url`: a URL or a file with models and prices in LiteLLM's schema, over the built-in ones.
    pub model_cost_map_url: Option<String>,
    /// `cache` and `cache_params`; nothing is cached, when absent.
    pub cache: Option<CacheSettings>,
}

/// `general_settings`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GeneralSettings {
    /// `master_key`, or the variable `LITELLM_MASTER_KEY`: the key that may do everything.
    pub master_key: Option<Secret>,
    /// `max_request_size_mb`, in bytes (its megabytes are of 1024 × 1024 bytes).
    pub max_request_bytes: Option<u64>,
    /// `max_response_size_mb`, in bytes.
    pub max_response_bytes: Option<u64>,
    /// `completion_model`: the model of every call, whatever the caller asks for.
    pub completion_model: Option<String>,
    /// `forward_client_headers_to_llm_api`: send the caller's `x-…` and `anthropic-beta` headers on.
    pub forward_client_headers: bool,
    /// `infer_model_from_keys`: offer the models of every provider whose key is in the environment.
    pub infer_model_from_keys: bool,
    /// `max_parallel_requests`: calls in flight to one deployment that sets no number of its own.
    pub max_parallel_requests: Option<NonZeroU32>,
    /// `global_max_parallel_requests`: calls in flight altogether.
    pub global_max_parallel_requests: Option<NonZeroU32>,
    /// `background_health_checks`: ask the deployments from time to time whether they are well.
    pub background_health_checks: bool,
    /// `health_check_interval`: how often.
    pub health_check_interval: Duration,
    /// `fail_closed_rate_limit_enforcement`: refuse calls while shared limits cannot be asked.
    pub fail_closed_rate_limits: bool,
    /// `enforced_params`: what every call must say; `metadata.name` for a member of `metadata`.
    pub enforced_params: Vec<String>,
    /// `enforce_user_param`: every call must name its user.
    pub enforce_user_param: bool,
    /// `cancel_on_disconnect`; written out as `false` it lets calls go on whose callers have left.
    pub cancel_on_disconnect: Option<bool>,
    /// `coordination_redis`: the server that instances share limits and cool-downs through.
    pub coordination_redis: Option<RedisSettings>,
}

impl Default for GeneralSettings {
    fn default() -> Self {
        Self {
            master_key: None,
            max_request_bytes: None,
            max_response_bytes: None,
            completion_model: None,
            forward_client_headers: false,
            infer_model_from_keys: false,
            max_parallel_requests: None,
            global_max_parallel_requests: None,
            background_health_checks: false,
            health_check_interval: Duration::from_secs(300),
            fail_closed_rate_limits: false,
            enforced_params: Vec::new(),
            enforce_user_param: false,
            cancel_on_disconnect: None,
            coordination_redis: None,
        }
    }
}

impl LitellmSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let settings = Self {
            drop_params: fields.read("drop_params", Reader::boolean),
            request_timeout: fields.read("request_timeout", Reader::seconds),
            json_logs: fields.read("json_logs", Reader::boolean).unwrap_or_default(),
            set_verbose: fields.read("set_verbose", Reader::boolean).unwrap_or_default(),
            num_retries: fields.read("num_retries", counts::times),
            allowed_fails: fields.read("allowed_fails", counts::fails),
            fallbacks: Fallbacks::read(&mut fields),
            model_cost_map_url: fields.read("model_cost_map_url", Reader::word),
            cache: CacheSettings::read_switched(&mut fields),
        };
        fields.finish(known::LITELLM, known::section_of);
        Some(settings)
    }
}

impl GeneralSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let settings = Self {
            master_key: fields.read("master_key", Reader::secret),
            max_request_bytes: fields.read("max_request_size_mb", megabytes),
            max_response_bytes: fields.read("max_response_size_mb", megabytes),
            completion_model: fields.read("completion_model", Reader::word),
            forward_client_headers: fields
                .read("forward_client_headers_to_llm_api", Reader::boolean)
                .unwrap_or_default(),
            infer_model_from_keys: fields
                .read("infer_model_from_keys", Reader::boolean)
                .unwrap_or_default(),
            max_parallel_requests: fields.read("max_parallel_requests", Reader::positive_count),
            global_max_parallel_requests: fields
                .read("global_max_parallel_requests", Reader::positive_count),
            background_health_checks: fields
                .read("background_health_checks", Reader::boolean)
                .unwrap_or_default(),
            health_check_interval: fields
                .read("health_check_interval", Reader::seconds)
                .unwrap_or(usual.health_check_interval),
            fail_closed_rate_limits: fields
                .read("fail_closed_rate_limit_enforcement", Reader::boolean)
                .unwrap_or_default(),
            enforced_params: fields.read("enforced_params", Reader::words).unwrap_or_default(),
            enforce_user_param: fields
                .read("enforce_user_param", Reader::boolean)
                .unwrap_or_default(),
            cancel_on_disconnect: fields.read("cancel_on_disconnect", Reader::boolean),
            coordination_redis: fields.read("coordination_redis", RedisSettings::read_alone),
        };
        fields.unsupported_if(|key| known::GENERAL_FAMILIES.iter().any(|f| key.starts_with(f)));
        fields.finish(known::GENERAL, known::section_of);
        Some(settings)
    }
}

fn megabytes(reader: &mut Reader<'_>, at: &At<'_>) -> Option<u64> {
    let number = reader.amount(at)?;
    let bytes = quantity::bytes(number * f64::from(1 << 20)).filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        reader.error(at, "expected a number of megabytes above 0, found one out of range");
    }
    bytes
}

/// The master key that LiteLLM takes from the environment when the file has none.
pub(super) fn master_key_of_environment(reader: &mut Reader<'_>, root: &Node) -> Option<Secret> {
    // An empty variable is how people unset one.
    if reader.variable_is_empty(MASTER_KEY) {
        return None;
    }
    let place = Place { line: 0, column: 0, ..root.place().clone() };
    let node = Node::reference(place, MASTER_KEY);
    reader.secret(&At { node: &node, path: "general_settings.master_key".to_owned() })
}

const MASTER_KEY: &str = "LITELLM_MASTER_KEY";
