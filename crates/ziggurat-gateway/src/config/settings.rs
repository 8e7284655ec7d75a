//! `litellm_settings` and `general_settings`: the parts of them that have an effect.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Secret;
use super::known;
use super::node::Node;
use super::problem::Place;
use super::quantity;
use super::read::{At, Reader};

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
}

/// `general_settings`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
}

impl LitellmSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let settings = Self {
            drop_params: fields.read("drop_params", Reader::boolean),
            request_timeout: fields.read("request_timeout", Reader::seconds),
            json_logs: fields.read("json_logs", Reader::boolean).unwrap_or_default(),
            set_verbose: fields.read("set_verbose", Reader::boolean).unwrap_or_default(),
        };
        fields.finish(known::LITELLM, known::section_of);
        Some(settings)
    }
}

impl GeneralSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
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
        };
        fields.unsupported_if(|key| known::GENERAL_FAMILIES.iter().any(|f| key.starts_with(f)));
        fields.finish(known::GENERAL, known::section_of);
        Some(settings)
    }
}

/// `router_settings` has no effect yet; each of its keys is told.
pub(super) fn router(reader: &mut Reader<'_>, at: &At<'_>) -> Option<()> {
    reader.fields(at)?.finish(known::ROUTER, known::section_of);
    Some(())
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
