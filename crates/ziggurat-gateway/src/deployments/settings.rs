//! What of an entry a choice among deployments looks at.

use ziggurat_core::{Price, Str};
use ziggurat_layers::RateLimitLayer;
use ziggurat_layers::rate_limit::{LimitRules, Limits};
use ziggurat_layers::route::{Ability, AllowedFails, Settings};
use ziggurat_store::redis::BadSettings;

use crate::config::{Config, DeploymentConfig, ErrorCounts};
use crate::policies;
use crate::registries::Registries;

/// What of LiteLLM's `supports_…` says that a model does not take something.
const ABILITIES: [(&str, Ability); 6] = [
    ("vision", Ability::Vision),
    ("audio_input", Ability::Audio),
    ("video_input", Ability::Video),
    ("pdf_input", Ability::Documents),
    ("function_calling", Ability::Tools),
    ("response_schema", Ability::Schema),
];

/// The settings of this entry's deployment, which serves this model at this price.
pub(super) fn of(
    config: &Config,
    entry: &DeploymentConfig,
    model: Str,
    price: Option<Price>,
) -> Settings {
    let (router, general, info) = (&config.router, &config.general, &entry.info);
    let usual = router.default_max_parallel_requests.or(general.max_parallel_requests);
    let lacks = |(name, ability): &(&str, Ability)| {
        (info.supports.get(*name) == Some(&false)).then_some(*ability)
    };
    let mut settings = Settings::default();
    settings.model = Some(model);
    settings.price = price;
    settings.weight = entry.weight;
    settings.rpm = entry.rpm;
    settings.tpm = entry.tpm;
    settings.max_parallel = entry.max_parallel_requests.or(usual).map(std::num::NonZero::get);
    settings.order = entry.order;
    settings.tags = entry.tags.iter().map(|tag| tag.as_str().into()).collect();
    settings.max_input_tokens = info.max_input_tokens;
    settings.region = entry.region.as_deref().map(Str::from);
    settings.lacks = ABILITIES.iter().filter_map(lacks).collect();
    settings.cooldown_time = entry.cooldown_time;
    settings.allowed_fails = info.allowed_fails;
    settings.allowed_fails_policy = info.allowed_fails_policy.as_ref().map(allowed_fails);
    settings
}

/// LiteLLM's classes of errors are our kinds.
pub(crate) fn allowed_fails(counts: &ErrorCounts) -> AllowedFails {
    let mut allowed = AllowedFails::default();
    allowed.authentication = counts.authentication;
    allowed.timeout = counts.timeout;
    allowed.rate_limit = counts.rate_limit;
    allowed.internal_server = counts.internal_server;
    allowed.service_unavailable = counts.service_unavailable;
    allowed.bad_gateway = counts.bad_gateway;
    allowed.not_found = counts.not_found;
    allowed
}

/// The limits of an entry's deployment that a choice does not keep; where instances share their limits, all of them.
///
/// # Errors
///
/// When no connection can be made with the settings of Redis.
pub(super) fn limits(
    config: &Config,
    entry: &DeploymentConfig,
    registries: &Registries,
) -> Result<Option<RateLimitLayer>, BadSettings> {
    type Set = fn(Limits, u64) -> Limits;
    let shared = config.redis().is_some();
    // The choice keeps these two for this instance.
    let here = |limit: Option<u64>| limit.filter(|_| shared);
    let set: [(_, Set); 6] = [
        (here(entry.rpm), Limits::rpm),
        (here(entry.tpm), Limits::tpm),
        (entry.itpm, Limits::itpm),
        (entry.otpm, Limits::otpm),
        (entry.rpd, Limits::rpd),
        (entry.tpd, Limits::tpd),
    ];
    let mut limits = Limits::new();
    for (number, set) in set {
        if let Some(number) = number {
            limits = set(limits, number);
        }
    }
    if limits.is_empty() {
        return Ok(None);
    }
    let rules = LimitRules::new().fixed("deployment", entry.id.as_str(), limits);
    policies::shared(RateLimitLayer::new(registries.limiter.clone(), rules), config, registries)
        .map(Some)
}
