//! From the configuration to the layers' settings.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ziggurat_core::{Call, ErrorKind};
use ziggurat_http::{Disconnect, Fetcher};
use ziggurat_layers::cache::{CacheScope as Scope, Caches};
use ziggurat_layers::fallback::FallbackPolicy;
use ziggurat_layers::rate_limit::{By, LimitRules, Limits, Outage};
use ziggurat_layers::retry::{RetryBudget, RetryPolicy};
use ziggurat_layers::route::{CoolDown, Rules, Strategy, TagMatch};
use ziggurat_layers::{
    AccessLayer, CacheLayer, FallbackLayer, PeekLayer, RateLimitLayer, RetryLayer,
};
use ziggurat_store::redis::BadSettings;

use crate::config::{self, CacheMode, CacheScope, Config, ErrorCounts, Quota, Reference};
use crate::deployments::allowed_fails;
use crate::registries::Registries;

/// What becomes of a call whose caller has left.
#[must_use]
pub fn disconnect(config: &Config, call: &Call) -> Disconnect {
    let config::Disconnect::Drain { tokens, time } = config.disconnect(call.model()) else {
        return Disconnect::Cut;
    };
    let drain = tokens.map_or(Disconnect::drain(), |most| Disconnect::drain().at_most_tokens(most));
    time.map_or(drain, |most| drain.at_most_time(most))
}

/// What is asked of every call before anything is done for it.
#[must_use]
pub fn access(config: &Config) -> AccessLayer {
    let general = &config.general;
    let user = general.enforce_user_param.then_some("user");
    let required = general.enforced_params.iter().map(String::as_str).chain(user);
    AccessLayer::new().require(required)
}

/// What is answered twice; nothing when nothing is kept.
#[must_use]
pub fn cache(config: &Config, caches: Option<Arc<Caches>>) -> Option<CacheLayer> {
    let (settings, caches) = (config.litellm.cache.as_ref()?, caches?);
    let own = &config.ziggurat.cache;
    let mut layer = CacheLayer::new(caches)
        .scope(match own.scope {
            CacheScope::Key => Scope::Key,
            CacheScope::Team => Scope::Team,
            CacheScope::Organization => Scope::Organization,
            CacheScope::Global => Scope::Global,
        })
        .max_entry(usize::try_from(own.max_entry_bytes).unwrap_or(usize::MAX))
        .single_flight(own.single_flight)
        .dialects(ziggurat_dialects::all().iter().copied());
    if let CacheMode::Off = settings.mode {
        layer = layer.only_when_asked();
    }
    if let Some(ttl) = settings.ttl {
        layer = layer.ttl(ttl);
    }
    if let Some(namespace) = &settings.namespace {
        layer = layer.namespace(namespace.as_str());
    }
    Some(layer)
}

/// How much callers may ask for; nothing when nothing is limited.
///
/// # Errors
///
/// When no connection can be made with the settings of Redis.
pub fn rate_limit(
    config: &Config,
    registries: &Registries,
) -> Result<Option<RateLimitLayer>, BadSettings> {
    let own = &config.ziggurat.rate_limits;
    if own.is_empty() {
        return Ok(None);
    }
    let mut rules = LimitRules::new();
    for (by, quota) in [
        (By::All, own.global),
        (By::Key, own.key),
        (By::User, own.user),
        (By::Team, own.team),
        (By::Organization, own.organization),
        (By::Model, own.model),
        (By::KeyModel, own.key_and_model),
    ] {
        if let Some(quota) = quota {
            rules = rules.each(by, limits(&quota));
        }
    }
    for (model, quota) in &own.models {
        rules = rules.one(By::Model, config.router.resolve(&model.name), limits(quota));
    }
    shared(RateLimitLayer::new(registries.limiter.clone(), rules), config, registries).map(Some)
}

/// With limits that are those of all instances, where they share them.
pub(crate) fn shared(
    layer: RateLimitLayer,
    config: &Config,
    registries: &Registries,
) -> Result<RateLimitLayer, BadSettings> {
    let Some(settings) = config.redis() else { return Ok(layer) };
    let shared = registries.redis(settings, &config.ziggurat.redis)?;
    let outage =
        if config.general.fail_closed_rate_limits { Outage::Refuse } else { Outage::Local(100) };
    Ok(layer.shared(shared.limits).outage(outage))
}

fn limits(quota: &Quota) -> Limits {
    type Set = fn(Limits, u64) -> Limits;
    let mut limits = Limits::new();
    let set: [(_, Set); 7] = [
        (quota.requests_per_minute, Limits::rpm),
        (quota.tokens_per_minute, Limits::tpm),
        (quota.input_tokens_per_minute, Limits::itpm),
        (quota.output_tokens_per_minute, Limits::otpm),
        (quota.requests_per_day, Limits::rpd),
        (quota.tokens_per_day, Limits::tpd),
        (quota.parallel, Limits::max_parallel),
    ];
    for (number, set) in set {
        if let Some(number) = number {
            limits = set(limits, number.get());
        }
    }
    limits
}

/// Which models are asked when one fails. `access` is asked for each of them, too.
#[must_use]
pub fn fallback(config: &Config, access: AccessLayer) -> FallbackLayer {
    let router = &config.router;
    // A model has its list under its own name, whatever it is called there.
    let name = |reference: &Reference| router.resolve(&reference.name).to_owned();
    let names = |references: &[Reference]| references.iter().map(name).collect::<Vec<_>>();
    let lists = config.fallbacks();
    let mut policy = FallbackPolicy::new();
    if let Some(models) = &lists.default {
        policy = policy.otherwise(names(models));
    }
    for rule in lists.general.iter().flatten() {
        policy = policy.on(name(&rule.of), names(&rule.models));
    }
    for rule in lists.context_window.iter().flatten() {
        policy = policy.on_context_length(name(&rule.of), names(&rule.models));
    }
    for rule in lists.content_policy.iter().flatten() {
        policy = policy.on_content_policy(name(&rule.of), names(&rule.models));
    }
    let layer = FallbackLayer::new(policy).permit(move |call| access.check(call));
    match router.max_fallbacks {
        Some(most) => layer.max_fallbacks(most),
        None => layer,
    }
}

/// How what failed is tried again.
#[must_use]
pub fn retry(config: &Config, registries: &Registries) -> RetryLayer {
    let own = &config.ziggurat.retry;
    let router = &config.router;
    let mut layer = RetryLayer::new()
        .retries(config.retries(None))
        .most(MOST_RETRIES)
        .backoff(own.backoff_base, own.backoff_cap)
        .least_wait(router.retry_after.unwrap_or(Duration::ZERO))
        .max_wait(own.retry_after_cap)
        .budget(budget(own.budget_ratio, own.budget_floor))
        .budgets(registries.retry_budgets.clone());
    if let Some(counts) = &router.retry_policy {
        layer = layer.policy(retry_policy(counts));
    }
    for (model, counts) in &router.model_group_retry_policy {
        layer = layer.model_policy(router.resolve(&model.name), retry_policy(counts));
    }
    // The deployments of one model are tried in turn: the most patient of them says how often.
    let mut models: HashMap<&str, u32> = HashMap::new();
    for entry in &config.deployments {
        if let Some(retries) = entry.num_retries {
            let most = models.entry(&entry.model_name).or_default();
            *most = retries.max(*most);
        }
    }
    for (model, retries) in models {
        layer = layer.model_retries(model, retries);
    }
    layer
}

/// More retries than this nobody can ask for in a call.
const MOST_RETRIES: u32 = 10;

fn budget(ratio: f64, floor: u32) -> RetryBudget {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the configuration allows 0 to 100"
    )]
    let percent = (ratio * 100.0).round() as u32;
    RetryBudget::percent(percent).per_second(floor)
}

/// LiteLLM's classes of errors are our kinds.
fn retry_policy(counts: &ErrorCounts) -> RetryPolicy {
    let named = [
        ("BadRequestErrorRetries", counts.bad_request),
        ("AuthenticationErrorRetries", counts.authentication),
        ("TimeoutErrorRetries", counts.timeout),
        ("RateLimitErrorRetries", counts.rate_limit),
        ("ContentPolicyViolationErrorRetries", counts.content_policy),
        ("InternalServerErrorRetries", counts.internal_server),
        ("ServiceUnavailableErrorRetries", counts.service_unavailable),
        ("NotFoundErrorRetries", counts.not_found),
        ("DefaultRetries", counts.default),
    ];
    let mut policy = RetryPolicy::new();
    for (name, retries) in named {
        if let Some(retries) = retries {
            policy = policy.clone().litellm(name, retries).unwrap_or(policy);
        }
    }
    match counts.bad_gateway {
        Some(retries) => policy.on([ErrorKind::BadUpstream], retries),
        None => policy,
    }
}

/// Which of the deployments of a model is asked.
#[must_use]
pub fn route(config: &Config) -> Rules {
    let router = &config.router;
    let latency = || match router.strategy_args.ttl {
        Some(decay) => Strategy::Latency { decay },
        None => Strategy::latency(),
    };
    let mut rules = Rules::new().strategy(match router.strategy {
        config::Strategy::Shuffle => Strategy::Shuffle,
        config::Strategy::LeastBusy => Strategy::LeastBusy,
        config::Strategy::Latency => latency(),
        config::Strategy::Usage => Strategy::Usage,
        config::Strategy::Cost => Strategy::Cost,
    });
    if router.pre_call_checks {
        rules = rules.pre_call_checks();
    }
    if router.tag_filtering {
        let any = router.tags_match_any.unwrap_or(true);
        rules = rules.tags(if any { TagMatch::Any } else { TagMatch::All });
    }
    let time = router.affinity_ttl.unwrap_or(AFFINITY);
    if router.optional_checks.session_affinity {
        rules = rules.session_affinity(time);
    }
    if router.optional_checks.deployment_affinity {
        rules = rules.caller_affinity(time);
    }
    rules.cool_down(cool_down(config))
}

/// LiteLLM's.
const AFFINITY: Duration = Duration::from_secs(3600);

fn cool_down(config: &Config) -> CoolDown {
    let router = &config.router;
    if router.disable_cooldowns {
        return CoolDown::off();
    }
    let mut cool_down = CoolDown::new();
    if let Some(time) = router.cooldown_time {
        // Whoever wants longer ones does not want them cut.
        let longest = time.max(cool_down.longest);
        cool_down = cool_down.time(time).longest(longest);
    }
    if let Some(fails) = router.allowed_fails.or(config.litellm.allowed_fails) {
        cool_down = cool_down.allowed_fails(fails);
    }
    match &router.allowed_fails_policy {
        Some(counts) => cool_down.policy(allowed_fails(counts)),
        None => cool_down,
    }
}

/// Who fetches what providers take only as bytes, if anybody does.
#[must_use]
pub fn fetcher(config: &Config) -> Option<Fetcher> {
    let settings = &config.ziggurat.media;
    let most = usize::try_from(settings.max_bytes).unwrap_or(usize::MAX);
    let fetcher = Fetcher::new()
        .max_bytes(most)
        .timeout(settings.timeout)
        .allow_private(settings.allow_private);
    let networks = settings.allow_networks.iter().copied();
    settings.fetch.then(|| networks.fold(fetcher, Fetcher::allow_network))
}

/// How long the beginning of a stream is held back.
#[must_use]
pub fn peek(config: &Config) -> PeekLayer {
    let own = &config.ziggurat.peek;
    let mut layer = PeekLayer::new();
    if let Some(tokens) = own.until_tokens {
        layer = layer.until_tokens(u64::from(tokens.get()));
    }
    if let Some(elapsed) = own.until_elapsed {
        layer = layer.until_elapsed(elapsed);
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_errors_has_its_number() {
        let counts = ErrorCounts {
            rate_limit: Some(4),
            bad_gateway: Some(3),
            bad_request: Some(0),
            ..ErrorCounts::default()
        };
        let policy = retry_policy(&counts);
        assert_eq!(policy.retries(ErrorKind::RateLimit), Some(4));
        assert_eq!(policy.retries(ErrorKind::BadUpstream), Some(3));
        assert_eq!(policy.retries(ErrorKind::ContextLength), Some(0));
        assert_eq!(policy.retries(ErrorKind::Server), None);
    }

    fn rules(text: &str) -> Rules {
        let text = format!("router_settings: {{{text}}}");
        let (config, _) = config::parse(text.as_bytes(), "test", &HashMap::new()).unwrap();
        route(&config)
    }

    #[test]
    fn every_strategy_of_litellms_is_one_of_ours() {
        for (name, strategy) in [
            ("simple-shuffle", Strategy::Shuffle),
            ("least-busy", Strategy::LeastBusy),
            ("latency-based-routing", Strategy::latency()),
            ("usage-based-routing", Strategy::Usage),
            ("usage-based-routing-v2", Strategy::Usage),
            ("cost-based-routing", Strategy::Cost),
        ] {
            assert_eq!(rules(&format!("routing_strategy: {name}")).strategy, strategy);
        }
        let decay = Duration::from_secs(60);
        let args = "routing_strategy: latency-based-routing, routing_strategy_args: {ttl: 60}";
        assert_eq!(rules(args).strategy, Strategy::Latency { decay });
    }

    #[test]
    fn what_the_router_is_told_is_what_is_chosen_by() {
        let text = "enable_pre_call_checks: true, enable_tag_filtering: true, \
                    tag_filtering_match_any: false, cooldown_time: 600, allowed_fails: 2, \
                    allowed_fails_policy: {RateLimitErrorAllowedFails: 4}, \
                    optional_pre_call_checks: [session_affinity, deployment_affinity], \
                    deployment_affinity_ttl_seconds: 7";
        let set = rules(text);
        assert!(set.checks);
        assert_eq!(set.tags, Some(TagMatch::All));
        let ttl = Some(Duration::from_secs(7));
        assert_eq!((set.session_affinity, set.caller_affinity), (ttl, ttl));
        assert_eq!(set.cool_down.time, Duration::from_secs(600));
        assert_eq!(set.cool_down.longest, Duration::from_secs(600));
        assert_eq!(set.cool_down.allowed_fails, Some(2));
        assert_eq!(set.cool_down.policy.rate_limit, Some(4));
        assert_eq!(rules(""), Rules::new());
        assert!(!rules("disable_cooldowns: true, cooldown_time: 5").cool_down.enabled);
        let hour = Some(Duration::from_secs(3600));
        let affinity = "optional_pre_call_checks: [session_affinity]";
        assert_eq!(
            (rules(affinity).session_affinity, rules(affinity).caller_affinity),
            (hour, None)
        );
        assert_eq!(rules("enable_tag_filtering: true").tags, Some(TagMatch::Any));
    }
}
