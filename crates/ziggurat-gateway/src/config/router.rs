//! `router_settings`: which deployment answers, and what is done when one fails.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

use super::counts::{self, ErrorCounts};
use super::fallbacks::{Fallbacks, Reference};
use super::known;
use super::node::Kind;
use super::problem::{Problem, ProblemKind};
use super::read::{At, Reader};
use super::redis::{self, RedisSettings};

/// The section `router_settings`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RouterSettings {
    /// `routing_strategy`.
    pub strategy: Strategy,
    /// `routing_strategy_args`.
    pub strategy_args: StrategyArgs,
    /// `num_retries`; see [`Config::retries`](super::Config::retries).
    pub num_retries: Option<u32>,
    /// `retry_after`: the least there is to wait before a lone deployment is asked again.
    pub retry_after: Option<Duration>,
    /// `retry_policy`: retries by the class of the error, over every other number.
    pub retry_policy: Option<ErrorCounts>,
    /// `model_group_retry_policy`: the same for one model.
    pub model_group_retry_policy: Vec<(Reference, ErrorCounts)>,
    /// `timeout`; see [`Config::timeouts`](super::Config::timeouts).
    pub timeout: Option<Duration>,
    /// `stream_timeout`; see [`Config::timeouts`](super::Config::timeouts).
    pub stream_timeout: Option<Duration>,
    /// `allowed_fails`: failures in a minute that a deployment is forgiven.
    pub allowed_fails: Option<u32>,
    /// `allowed_fails_policy`: the same by the class of the error.
    pub allowed_fails_policy: Option<ErrorCounts>,
    /// `cooldown_time`: how long a deployment is left alone; zero for never.
    pub cooldown_time: Option<Duration>,
    /// `disable_cooldowns`.
    pub disable_cooldowns: bool,
    /// `fallbacks` and their like; see [`Config::fallbacks`](super::Config::fallbacks).
    pub fallbacks: Fallbacks,
    /// `max_fallbacks`: how many other models one call may be handed to.
    pub max_fallbacks: Option<u32>,
    /// `model_group_alias`: other names of models; no alias leads to itself.
    pub aliases: Vec<Alias>,
    /// `enable_pre_call_checks`: pass over deployments that the call does not fit.
    pub pre_call_checks: bool,
    /// `optional_pre_call_checks`.
    pub optional_checks: OptionalChecks,
    /// `deployment_affinity_ttl_seconds`: how long a choice is remembered; an hour when absent.
    pub affinity_ttl: Option<Duration>,
    /// `enable_tag_filtering`: choose by the tags of the call.
    pub tag_filtering: bool,
    /// `tag_filtering_match_any`: one tag in common is enough, which is the default.
    pub tags_match_any: Option<bool>,
    /// `enable_health_check_routing`: pass over deployments that failed their last check.
    pub health_check_routing: bool,
    /// `default_max_parallel_requests`: calls in flight to a deployment that sets no number of its own.
    pub default_max_parallel_requests: Option<NonZeroU32>,
    /// `redis_host` and its like.
    pub redis: Option<RedisSettings>,
}

/// `routing_strategy`, by LiteLLM's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// `simple-shuffle`: by chance, by weight.
    #[default]
    Shuffle,
    /// `least-busy`: the fewest calls in flight.
    LeastBusy,
    /// `latency-based-routing`: the quickest.
    Latency,
    /// `usage-based-routing`, `usage-based-routing-v2`: the least used.
    Usage,
    /// `cost-based-routing`: the cheapest.
    Cost,
}

/// `routing_strategy_args`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StrategyArgs {
    /// `ttl`, of latencies: how fast what was measured is forgotten.
    pub ttl: Option<Duration>,
}

/// `optional_pre_call_checks`: those that have an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionalChecks {
    /// `session_affinity`: the calls of a session stay with one deployment.
    pub session_affinity: bool,
    /// `deployment_affinity`: the calls of a key stay with one deployment.
    pub deployment_affinity: bool,
}

/// Another name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alias {
    /// The other name.
    pub name: String,
    /// The model.
    pub model: Reference,
    /// `hidden`: it is in no list of models.
    pub hidden: bool,
}

const STRATEGIES: &[(&str, Strategy)] = &[
    ("simple-shuffle", Strategy::Shuffle),
    ("least-busy", Strategy::LeastBusy),
    ("latency-based-routing", Strategy::Latency),
    ("usage-based-routing", Strategy::Usage),
    ("usage-based-routing-v2", Strategy::Usage),
    ("cost-based-routing", Strategy::Cost),
];

/// Of `routing_strategy_args`, and without effect.
const STRATEGY_ARGS: &[&str] = &[
    "lowest_latency_buffer",
    "max_latency_list_size",
    "ttft_percentile",
    "rpm",
    "tpm",
    "routing_strategy_weight",
    "low",
    "med",
    "high",
];

/// Of `optional_pre_call_checks`, and without effect.
const CHECKS: &[&str] = &[
    "prompt_caching",
    "router_budget_limiting",
    "responses_api_deployment_check",
    "forward_client_headers_by_model_group",
    "encrypted_content_affinity",
];

impl Strategy {
    /// LiteLLM's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        STRATEGIES.iter().find(|(_, strategy)| *strategy == self).map_or("", |(name, _)| name)
    }
}

// === impl RouterSettings ===

impl RouterSettings {
    /// Reads the section.
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        // Read already, with the deployments.
        let _ = fields.get("default_litellm_params");
        let settings = Self {
            strategy: fields
                .read("routing_strategy", |reader, at| reader.choice(at, STRATEGIES))
                .unwrap_or_default(),
            strategy_args: fields
                .read("routing_strategy_args", StrategyArgs::read)
                .unwrap_or_default(),
            num_retries: fields.read("num_retries", counts::times),
            retry_after: fields.read("retry_after", Reader::duration),
            retry_policy: fields.read("retry_policy", ErrorCounts::retries),
            model_group_retry_policy: fields
                .read("model_group_retry_policy", group_policies)
                .unwrap_or_default(),
            timeout: fields.read("timeout", Reader::seconds),
            stream_timeout: fields.read("stream_timeout", Reader::seconds),
            allowed_fails: fields.read("allowed_fails", counts::fails),
            allowed_fails_policy: fields.read("allowed_fails_policy", ErrorCounts::allowed_fails),
            cooldown_time: fields.read("cooldown_time", Reader::duration),
            disable_cooldowns: fields
                .read("disable_cooldowns", Reader::boolean)
                .unwrap_or_default(),
            fallbacks: Fallbacks::read(&mut fields),
            max_fallbacks: fields.read("max_fallbacks", counts::times),
            aliases: fields.read("model_group_alias", aliases).unwrap_or_default(),
            pre_call_checks: fields
                .read("enable_pre_call_checks", Reader::boolean)
                .unwrap_or_default(),
            optional_checks: fields
                .read("optional_pre_call_checks", OptionalChecks::read)
                .unwrap_or_default(),
            affinity_ttl: fields.read("deployment_affinity_ttl_seconds", Reader::seconds),
            tag_filtering: fields.read("enable_tag_filtering", Reader::boolean).unwrap_or_default(),
            tags_match_any: fields.read("tag_filtering_match_any", Reader::boolean),
            health_check_routing: fields
                .read("enable_health_check_routing", Reader::boolean)
                .unwrap_or_default(),
            default_max_parallel_requests: fields
                .read("default_max_parallel_requests", Reader::positive_count),
            redis: RedisSettings::read(&mut fields, &redis::PREFIXED),
        };
        fields.finish(known::ROUTER, known::section_of);
        Some(settings)
    }

    /// The model that a name stands for.
    #[must_use]
    pub fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name;
        // No alias leads to itself, so that this ends.
        while let Some(alias) = self.aliases.iter().find(|alias| alias.name == name) {
            name = &alias.model.name;
        }
        name
    }
}

impl StrategyArgs {
    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let args = Self { ttl: fields.read("ttl", Reader::seconds) };
        fields.finish(STRATEGY_ARGS, |_| None);
        Some(args)
    }
}

impl OptionalChecks {
    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut checks = Self::default();
        for item in reader.items(at, "a sequence of checks")? {
            let Some(name) = reader.word(&item) else { continue };
            match name.as_str() {
                "session_affinity" => checks.session_affinity = true,
                "deployment_affinity" => checks.deployment_affinity = true,
                // They always hold.
                "enforce_model_rate_limits" => {}
                name if CHECKS.contains(&name) => {
                    reader.problems.unsupported(item.node.place(), item.path);
                }
                name => {
                    let known =
                        ["session_affinity", "deployment_affinity", "enforce_model_rate_limits"];
                    let names = known.iter().chain(CHECKS).copied();
                    let message = match reader.problems.nearest(name, names) {
                        Some(near) => format!("unknown check, did you mean `{near}`?"),
                        None => "unknown check".to_owned(),
                    };
                    reader.problems.unknown(item.node.place(), item.path, message);
                }
            }
        }
        Some(checks)
    }
}

fn group_policies(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<(Reference, ErrorCounts)>> {
    let mut policies = Vec::new();
    for (key, value) in reader.entries(at, "a mapping from models to policies")? {
        let model = Reference::new(&*key.text, value.path.clone(), &key.place);
        policies.extend(ErrorCounts::retries(reader, &value).map(|counts| (model, counts)));
    }
    Some(policies)
}

fn aliases(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<Alias>> {
    let mut aliases = Vec::new();
    for (key, value) in reader.entries(at, "a mapping from names to models")? {
        let name = key.text.to_string();
        if let Kind::Mapping(_) = value.node.kind() {
            let Some(mut fields) = reader.fields(&value) else { continue };
            let model = fields.require("model", "a string", Reference::read);
            let hidden = fields.read("hidden", Reader::boolean).unwrap_or_default();
            fields.finish(&[], |_| None);
            aliases.extend(model.map(|model| Alias { name, model, hidden }));
        } else if !value.node.is_null() {
            let model = Reference::read(reader, &value);
            aliases.extend(model.map(|model| Alias { name, model, hidden: false }));
        }
    }
    for looped in loops(&aliases) {
        let place = &looped.model.place;
        let message = "this alias leads back to itself";
        let path = looped.model.path.clone();
        reader.problems.error(Problem::new(ProblemKind::Value, place, path, message));
    }
    Some(aliases)
}

/// The aliases that lead back to themselves.
fn loops(aliases: &[Alias]) -> Vec<&Alias> {
    let by_name: HashMap<&str, &Alias> =
        aliases.iter().map(|alias| (alias.name.as_str(), alias)).collect();
    let leads_back = |first: &&Alias| {
        let mut seen = HashSet::new();
        let mut next = Some(*first);
        while let Some(alias) = next {
            if alias.model.name == first.name {
                return true;
            }
            // Another loop, which its own members tell.
            if !seen.insert(alias.name.as_str()) {
                return false;
            }
            next = by_name.get(alias.model.name.as_str()).copied();
        }
        false
    };
    aliases.iter().filter(leads_back).collect()
}
