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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::config;

    fn settings(params: &str, info: &str, rest: &str) -> Settings {
        let text = format!(
            "model_list: [{{model_name: m, litellm_params: {{model: mock/x{params}}}, model_info: {{id: d{info}}}}}]\n{rest}"
        );
        let (config, _) = config::parse(text.as_bytes(), "test", &HashMap::new()).unwrap();
        of(&config, &config.deployments[0], "x".into(), None)
    }

    #[test]
    fn what_an_entry_says_is_what_is_chosen_by() {
        let params = ", rpm: 5, tpm: 6, weight: 2.5, order: 3, tags: [t], max_parallel_requests: 7, \
                      cooldown_time: 8, region_name: eu-west-1";
        let info = ", max_input_tokens: 9, supports_vision: false, supports_pdf_input: true, \
                    supports_function_calling: false, allowed_fails: 10, \
                    allowed_fails_policy: {TimeoutErrorAllowedFails: 11}";
        let settings = settings(params, info, "");
        assert_eq!((settings.rpm, settings.tpm, settings.order), (Some(5), Some(6), Some(3)));
        assert_eq!((settings.weight, settings.max_parallel), (Some(2.5), Some(7)));
        assert_eq!(settings.tags, ["t"]);
        assert_eq!(settings.cooldown_time, Some(Duration::from_secs(8)));
        assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
        assert_eq!(settings.max_input_tokens, Some(9));
        assert_eq!(settings.lacks, [Ability::Vision, Ability::Tools]);
        assert_eq!(settings.allowed_fails, Some(10));
        assert_eq!(settings.allowed_fails_policy.unwrap().timeout, Some(11));
    }

    #[test]
    fn places_are_the_entrys_the_routers_or_the_gateways() {
        let general = "general_settings: {max_parallel_requests: 1}\n";
        let router = "router_settings: {default_max_parallel_requests: 2}\n";
        let both = format!("{general}{router}");
        let own = ", max_parallel_requests: 3";
        for (params, rest, expected) in [
            ("", "", None),
            ("", general, Some(1)),
            ("", both.as_str(), Some(2)),
            (own, both.as_str(), Some(3)),
        ] {
            assert_eq!(settings(params, "", rest).max_parallel, expected, "{params} {rest}");
        }
    }
}
