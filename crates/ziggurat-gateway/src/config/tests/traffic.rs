//! Where calls go, what is done when one fails, what is limited and what is answered twice.

use std::time::Duration;

use super::{clean, clean_in, env, errors, errors_in, text, warnings};
use crate::config::{
    CacheMode, CacheScope, CachedCalls, Disconnect, FallbackRule, Reference, RouterSettings,
    Settings, Strategy,
};

fn names(references: &[Reference]) -> Vec<&str> {
    references.iter().map(|reference| reference.name.as_str()).collect()
}

fn rules(rules: Option<&Vec<FallbackRule>>) -> Vec<(&str, Vec<&str>)> {
    let rules = rules.into_iter().flatten();
    rules.map(|rule| (rule.of.name.as_str(), names(&rule.models))).collect()
}

#[test]
fn router_settings_are_read() {
    let config = clean(
        "router_settings:
  routing_strategy: latency-based-routing
  routing_strategy_args: {ttl: 60}
  num_retries: 3
  retry_after: 0
  retry_policy: {RateLimitErrorRetries: 4, DefaultRetries: 1}
  model_group_retry_policy: {gpt: {TimeoutErrorRetries: 0}}
  timeout: 30
  stream_timeout: 10
  allowed_fails: 2
  allowed_fails_policy: {InternalServerErrorAllowedFails: 5}
  cooldown_time: 7.5
  disable_cooldowns: false
  fallbacks: [{gpt: [claude, gemini]}, {'*': other}]
  default_fallbacks: [last]
  context_window_fallbacks: [{gpt: [long]}]
  content_policy_fallbacks: [{gpt: [lax]}]
  max_fallbacks: 2
  model_group_alias: {gpt-4: gpt, secret: {model: gpt-4, hidden: true}}
  enable_pre_call_checks: true
  optional_pre_call_checks: [session_affinity, deployment_affinity, enforce_model_rate_limits]
  deployment_affinity_ttl_seconds: 60
  enable_tag_filtering: true
  tag_filtering_match_any: false
  enable_health_check_routing: true
  default_max_parallel_requests: 9
  redis_host: cache
  redis_port: 6380
  redis_password: 1234
  redis_db: 1
",
    );
    let router = &config.router;
    assert_eq!(router.strategy, Strategy::Latency);
    assert_eq!(router.strategy_args.ttl, Some(Duration::from_secs(60)));
    assert_eq!(config.retries(None), 3);
    assert_eq!(router.retry_after, Some(Duration::ZERO));
    let policy = router.retry_policy.unwrap();
    assert_eq!((policy.rate_limit, policy.default, policy.timeout), (Some(4), Some(1), None));
    let (model, policy) = &router.model_group_retry_policy[0];
    assert_eq!((model.name.as_str(), policy.timeout), ("gpt", Some(0)));
    assert_eq!(router.timeout, Some(Duration::from_secs(30)));
    assert_eq!(router.stream_timeout, Some(Duration::from_secs(10)));
    assert_eq!(router.allowed_fails, Some(2));
    assert_eq!(router.allowed_fails_policy.unwrap().internal_server, Some(5));
    assert_eq!(router.cooldown_time, Some(Duration::from_millis(7500)));
    let fallbacks = config.fallbacks();
    let general = rules(fallbacks.general.as_ref());
    assert_eq!(general, [("gpt", vec!["claude", "gemini"]), ("*", vec!["other"])]);
    assert_eq!(names(fallbacks.default.as_ref().unwrap()), ["last"]);
    assert_eq!(rules(fallbacks.context_window.as_ref()), [("gpt", vec!["long"])]);
    assert_eq!(rules(fallbacks.content_policy.as_ref()), [("gpt", vec!["lax"])]);
    assert_eq!(router.max_fallbacks, Some(2));
    assert_eq!(router.resolve("secret"), "gpt");
    assert_eq!(router.resolve("gpt"), "gpt");
    assert!(router.aliases[1].hidden && !router.aliases[0].hidden);
    assert!(router.pre_call_checks && router.tag_filtering && router.health_check_routing);
    assert!(router.optional_checks.session_affinity && router.optional_checks.deployment_affinity);
    assert_eq!(router.affinity_ttl, Some(Duration::from_secs(60)));
    assert_eq!(router.tags_match_any, Some(false));
    assert_eq!(router.default_max_parallel_requests.map(std::num::NonZero::get), Some(9));
    let address = config.redis().unwrap().address().unwrap();
    assert_eq!(address.expose(), "redis://:1234@cache:6380/1");
    assert_eq!(clean("{}").router, RouterSettings::default());
}

#[test]
fn what_is_wrong_with_router_settings_is_told_at_its_place() {
    assert_eq!(
        errors(
            "router_settings:
  routing_strategy: fastest
  num_retries: many
  retry_policy: {RateLimitErrorRetries: -1}
  fallbacks: {gpt: [claude]}
  context_window_fallbacks: [{a: [b], c: [d]}, gpt, {}]
  content_policy_fallbacks: [{a: {b: c}}]
  default_fallbacks: [1]
  model_group_alias: {a: b, b: {model: c}, c: a, d: d, e: {hidden: true}, f: a}
  tag_filtering_match_any: some
  redis_port: 0
  redis_url: http://x
  default_litellm_params: 1
"
        ),
        text(&[
            "config.yaml:2:21: router_settings.routing_strategy: expected one of `simple-shuffle`, `least-busy`, `latency-based-routing`, `usage-based-routing`, `usage-based-routing-v2`, `cost-based-routing`",
            "config.yaml:3:16: router_settings.num_retries: expected an integer from 0 to 100, found a string",
            "config.yaml:4:41: router_settings.retry_policy.RateLimitErrorRetries: expected an integer from 0 to 100, found one out of range",
            "config.yaml:5:14: router_settings.fallbacks: expected a sequence of mappings from one model to its fallbacks, found a mapping",
            "config.yaml:6:30: router_settings.context_window_fallbacks[0]: expected a mapping from one model to a sequence of its fallbacks, found 2 keys",
            "config.yaml:6:48: router_settings.context_window_fallbacks[1]: expected a mapping from one model to a sequence of its fallbacks, found a string",
            "config.yaml:6:53: router_settings.context_window_fallbacks[2]: expected a mapping from one model to a sequence of its fallbacks, found 0 keys",
            "config.yaml:7:34: router_settings.content_policy_fallbacks[0].a: expected a sequence of models, found a mapping",
            "config.yaml:8:23: router_settings.default_fallbacks[0]: expected a string, found an integer (put it in quotes if it is meant as text)",
            "config.yaml:9:26: router_settings.model_group_alias.a: this alias leads back to itself",
            "config.yaml:9:40: router_settings.model_group_alias.b.model: this alias leads back to itself",
            "config.yaml:9:47: router_settings.model_group_alias.c: this alias leads back to itself",
            "config.yaml:9:53: router_settings.model_group_alias.d: this alias leads back to itself",
            "config.yaml:9:59: router_settings.model_group_alias.e.model: missing; expected a string",
            "config.yaml:10:28: router_settings.tag_filtering_match_any: expected a boolean, found a string",
            "config.yaml:11:15: router_settings.redis_port: expected a port, from 1 to 65535, found one out of range",
            "config.yaml:12:14: router_settings.redis_url: expected a URL that begins with redis:// or rediss://",
            "config.yaml:13:27: router_settings.default_litellm_params: expected a mapping, found an integer",
        ])
    );
}

#[test]
fn what_has_no_effect_in_router_settings_is_told() {
    assert_eq!(
        warnings(
            "router_settings:
  routing_strategy_args: {max_latency_list_size: 10, latency: 1}
  optional_pre_call_checks: [prompt_caching, sesion_affinity]
  retry_policy: {RateLimitRetries: 1}
litellm_settings:
  disable_cooldowns: true
"
        ),
        text(&[
            "config.yaml:2:27: router_settings.routing_strategy_args.max_latency_list_size is not supported yet and is ignored",
            "config.yaml:2:54: router_settings.routing_strategy_args.latency: unknown key",
            "config.yaml:3:30: router_settings.optional_pre_call_checks[0] is not supported yet and is ignored",
            "config.yaml:3:46: router_settings.optional_pre_call_checks[1]: unknown check, did you mean `session_affinity`?",
            "config.yaml:4:18: router_settings.retry_policy.RateLimitRetries: unknown key",
            "config.yaml:6:3: litellm_settings.disable_cooldowns: unknown key here, it belongs under `router_settings`",
        ])
    );
}

#[test]
fn what_a_deployment_leaves_out_may_stand_in_one_place() {
    let config = clean(
        "model_list:
  - {model_name: a, litellm_params: {model: mock/a, timeout: 5}}
  - {model_name: b, litellm_params: {model: mock/b}}
router_settings:
  default_litellm_params: {timeout: 9, temperature: 0.5, num_retries: 1}
",
    );
    let timeout = |at: usize| config.deployments[at].timeout.map(|timeout| timeout.as_secs());
    assert_eq!((timeout(0), timeout(1)), (Some(5), Some(9)));
    assert_eq!(config.deployments[0].defaults.get("temperature"), Some(&serde_json::json!(0.5)));
    assert_eq!(config.retries(config.deployments.first()), 1);
}

#[test]
fn the_nearer_setting_wins() {
    let config = clean(
        "litellm_settings:
  num_retries: 4
  request_timeout: 40
  fallbacks: [{a: [b]}]
  default_fallbacks: [c]
router_settings:
  timeout: 50
  stream_timeout: 20
  cooldown_time: 6
  fallbacks: [{a: [d]}]
general_settings:
  coordination_redis: {host: shared}
model_list:
  - {model_name: a, litellm_params: {model: mock/a, stream_timeout: 3, cooldown_time: 0}}
  - {model_name: b, litellm_params: {model: mock/b}}
",
    );
    assert_eq!(config.retries(None), 4);
    assert_eq!(clean("{}").retries(None), 2);
    let fallbacks = config.fallbacks();
    assert_eq!(rules(fallbacks.general.as_ref()), [("a", vec!["d"])]);
    assert_eq!(names(fallbacks.default.as_ref().unwrap()), ["c"]);
    let [a, b] = config.deployments.as_slice() else { panic!("two") };
    assert_eq!(config.cooldown(a), None);
    assert_eq!(config.cooldown(b), Some(Duration::from_secs(6)));
    assert_eq!(config.timeouts(a, true).idle, Duration::from_secs(3));
    assert_eq!(config.timeouts(b, true).idle, Duration::from_secs(20));
    assert_eq!(config.timeouts(b, false).attempt, Duration::from_secs(40));
    assert_eq!(config.redis().unwrap().address().unwrap().expose(), "redis://shared:6379");
}

#[test]
fn the_cache_is_read() {
    let cache = |text: &str| clean(text).litellm.cache;
    assert_eq!(cache("{}"), None);
    assert_eq!(cache("litellm_settings: {cache: false, cache_params: {ttl: 5}}"), None);
    let plain = cache("litellm_settings: {cache: true}").unwrap();
    assert_eq!((plain.redis, plain.ttl, plain.mode), (None, None, CacheMode::On));
    let full = cache(
        "litellm_settings:
  cache: true
  cache_params:
    type: redis
    host: h
    password: p
    ssl: true
    ttl: 600
    namespace: n
    mode: default_off
    supported_call_types: [acompletion, completion, anthropic_messages]
",
    )
    .unwrap();
    assert_eq!(full.redis.as_ref().unwrap().address().unwrap().expose(), "rediss://:p@h:6379");
    assert_eq!(full.ttl, Some(Duration::from_secs(600)));
    assert_eq!(full.namespace.as_deref(), Some("n"));
    assert_eq!(full.mode, CacheMode::Off);
    assert!(full.serves(CachedCalls::Chat) && full.serves(CachedCalls::Messages));
    assert!(!full.serves(CachedCalls::Embedding) && plain.calls.is_none());

    let inside = env([("REDIS_HOST", "from-env"), ("REDIS_PORT", "7")]);
    for text in [
        "litellm_settings: {cache: true}",
        "litellm_settings: {cache: true, cache_params: {type: redis}}",
        "litellm_settings: {cache: true, cache_params: {ttl: 5}}",
    ] {
        let cache = clean_in(text, &inside).litellm.cache.unwrap();
        assert_eq!(cache.redis.unwrap().address().unwrap().expose(), "redis://from-env:7");
    }
    let local = "litellm_settings: {cache: true, cache_params: {type: local}}";
    assert_eq!(clean_in(local, &inside).litellm.cache.unwrap().redis, None);
}

#[test]
fn a_cache_that_is_not_there_is_an_error() {
    assert_eq!(
        errors_in(
            "litellm_settings:
  cache: true
  cache_params: {type: s3, ttl: 0, mode: sometimes, supported_call_types: [chat]}
",
            &env([])
        ),
        text(&[
            "config.yaml:3:24: litellm_settings.cache_params.type: this type of cache is not supported: `local` and `redis` are",
            "config.yaml:3:33: litellm_settings.cache_params.ttl: expected a time above 0 and at most 365 days, found one out of range",
            "config.yaml:3:42: litellm_settings.cache_params.mode: expected one of `default_on`, `default_off`",
            "config.yaml:3:76: litellm_settings.cache_params.supported_call_types[0]: expected one of `completion`, `acompletion`, `anthropic_messages`, `responses`, `aresponses`, `text_completion`, `atext_completion`, `embedding`, `aembedding`, `transcription`, `atranscription`, `rerank`, `arerank`",
        ])
    );
    assert_eq!(
        errors("litellm_settings: {cache: true, cache_params: {type: redis}}\n"),
        "config.yaml:1:47: litellm_settings.cache_params: a cache of type `redis` needs a `host` or a \
         `url`, or the variable `REDIS_HOST` or `REDIS_URL`"
    );
    assert_eq!(
        errors("general_settings: {coordination_redis: {port: 1}}\n"),
        "config.yaml:1:40: general_settings.coordination_redis: expected the `host` or the `url` of a \
         Redis server"
    );
}

#[test]
fn our_own_settings_of_traffic_are_read() {
    let config = clean(
        "general_settings:
  background_health_checks: true
  health_check_interval: 60
  fail_closed_rate_limit_enforcement: true
  enforced_params: [user, metadata.name]
  enforce_user_param: true
ziggurat:
  rate_limits:
    key: {requests_per_minute: 60, tokens_per_minute: 1000, parallel: 4}
    team: {rpm: 10, tpm: 20, itpm: 30, otpm: 40, rpd: 50, tpd: 60, max_parallel_requests: 7}
    models: {gpt: {rpm: 1}}
  retry: {budget_ratio: 0.1, budget_floor: 1, backoff_base: 100ms, backoff_cap: 2s, retry_after_cap: 5s}
  peek: {until_tokens: 5, until_elapsed: 200ms}
  cache: {max_bytes: 1GiB, max_entry_bytes: 1MiB, scope: team, single_flight: false, memory_ttl: 5s}
  conversations: {path: kept.db, max_bytes: 2MiB, keep: 2d}
  disconnect: {default: drain, models: {gpt: cut, long: {drain: {tokens: 100, time: 30s}}}}
  media: {max_bytes: 1MiB, timeout: 5s, allow_networks: [10.1.0.0/16, 'fd12::/16']}
  health_checks: {timeout: 5s, concurrency: 2}
  reload: {watch: off}
  redis: {prefix: 'eu:', timeout: 100ms, connect_timeout: 2s, lease: 5s}
",
    );
    assert!(config.general.background_health_checks && config.general.fail_closed_rate_limits);
    assert_eq!(config.general.health_check_interval, Duration::from_secs(60));
    assert_eq!(config.general.enforced_params, ["user", "metadata.name"]);
    assert!(config.general.enforce_user_param);
    let own = &config.ziggurat;
    let number = |n: Option<std::num::NonZeroU64>| n.map(std::num::NonZero::get);
    let key = own.rate_limits.key.unwrap();
    assert_eq!(number(key.requests_per_minute), Some(60));
    assert_eq!(number(key.tokens_per_minute), Some(1000));
    assert_eq!(number(key.parallel), Some(4));
    let team = own.rate_limits.team.unwrap();
    assert_eq!(number(team.requests_per_minute), Some(10));
    assert_eq!(number(team.input_tokens_per_minute), Some(30));
    assert_eq!(number(team.output_tokens_per_minute), Some(40));
    assert_eq!((number(team.requests_per_day), number(team.tokens_per_day)), (Some(50), Some(60)));
    assert_eq!(number(team.parallel), Some(7));
    assert_eq!(own.rate_limits.models[0].0.name, "gpt");
    assert_eq!((own.retry.budget_ratio, own.retry.budget_floor), (0.1, 1));
    assert_eq!(own.retry.backoff_base, Duration::from_millis(100));
    assert_eq!(own.peek.until_tokens.map(std::num::NonZero::get), Some(5));
    assert_eq!(own.peek.until_elapsed, Some(Duration::from_millis(200)));
    assert_eq!((own.cache.max_bytes, own.cache.scope), (1 << 30, CacheScope::Team));
    assert!(!own.cache.single_flight);
    assert_eq!(own.cache.memory_ttl, Some(Duration::from_secs(5)));
    assert!(own.media.fetch && !own.media.allow_private);
    assert_eq!((own.media.max_bytes, own.media.allow_networks.len()), (1 << 20, 2));
    let kept = &own.conversations;
    assert_eq!(kept.path.as_deref(), Some(std::path::Path::new("kept.db")));
    assert_eq!((kept.enabled, kept.max_bytes), (true, 2 << 20));
    assert_eq!(kept.keep, Duration::from_secs(2 * 24 * 60 * 60));
    assert_eq!(config.disconnect("gpt"), Disconnect::Cut);
    let bounded = Disconnect::Drain { tokens: Some(100), time: Some(Duration::from_secs(30)) };
    assert_eq!(config.disconnect("long"), bounded);
    assert_eq!(config.disconnect("other"), Disconnect::Drain { tokens: None, time: None });
    assert_eq!(own.health_checks.concurrency.get(), 2);
    assert_eq!(own.reload.watch, None);
    assert_eq!((&*own.redis.prefix, own.redis.lease), ("eu:", Duration::from_secs(5)));
    assert_eq!(own.redis.timeout, Duration::from_millis(100));
    assert_eq!(own.redis.connect_timeout, Duration::from_secs(2));
    assert_eq!(clean("ziggurat: {reload: {watch: on}}").ziggurat, Settings::default());
}

#[test]
fn what_a_departed_caller_leaves_behind_can_be_said_in_three_ways() {
    let said = |text: &str| clean(text).disconnect("m");
    assert_eq!(said("{}"), Disconnect::Cut);
    assert_eq!(said("ziggurat: {disconnect: cut}"), Disconnect::Cut);
    let endless = Disconnect::Drain { tokens: None, time: None };
    assert_eq!(said("ziggurat: {disconnect: drain}"), endless);
    assert_eq!(said("general_settings: {cancel_on_disconnect: false}"), endless);
    assert_eq!(said("general_settings: {cancel_on_disconnect: true}"), Disconnect::Cut);
    let bounded = Disconnect::Drain { tokens: Some(7), time: None };
    assert_eq!(said("ziggurat: {disconnect: {drain: {tokens: 7}}}"), bounded);
}

#[test]
fn our_own_settings_of_traffic_of_the_wrong_type_are_errors() {
    assert_eq!(
        errors(
            "ziggurat:
  rate_limits: {key: {rpm: 0, requests_per_minute: 5}, team: 7}
  retry: {budget_ratio: 101, backoff_base: soon}
  peek: {until_tokens: 0}
  cache: {scope: everybody}
  disconnect: {drain: {tokens: many}}
  reload: {watch: 0}
  redis: {prefix: '', lease: 500ms, timeout: 0}
"
        ),
        text(&[
            "config.yaml:2:28: ziggurat.rate_limits.key.rpm: another name for `requests_per_minute`, which is given too",
            "config.yaml:2:28: ziggurat.rate_limits.key.rpm: expected an integer above 0, found one out of range",
            "config.yaml:2:62: ziggurat.rate_limits.team: expected a mapping, found an integer",
            "config.yaml:3:25: ziggurat.retry.budget_ratio: expected a number from 0 to 100, found one out of range",
            "config.yaml:3:44: ziggurat.retry.backoff_base: expected a duration (seconds, or text such as 500ms, 2s, 5m, 1h), found a string",
            "config.yaml:4:24: ziggurat.peek.until_tokens: expected an integer above 0, found one out of range",
            "config.yaml:5:18: ziggurat.cache.scope: expected one of `key`, `team`, `organization`, `global`",
            "config.yaml:6:32: ziggurat.disconnect.drain.tokens: expected an integer, 0 or above, found a string",
            "config.yaml:7:19: ziggurat.reload.watch: expected a time above 0 and at most 365 days, found one out of range",
            "config.yaml:8:19: ziggurat.redis.prefix: expected a string, found an empty one",
            "config.yaml:8:30: ziggurat.redis.lease: expected a second at least",
            "config.yaml:8:46: ziggurat.redis.timeout: expected a time above 0 and at most 365 days, found one out of range",
        ])
    );
}
