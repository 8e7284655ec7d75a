//! The sections beside `model_list`.

use std::time::Duration;

use super::{clean, clean_in, env, errors, errors_in, text, warnings};
use crate::config::{Environment, LossPolicy, Settings};

#[test]
fn litellm_and_general_settings_are_read() {
    let config = clean(
        "litellm_settings:
  drop_params: true
  request_timeout: 600
  json_logs: on
  set_verbose: 'False'
general_settings:
  master_key: sk-1234
  max_request_size_mb: 1.5
  max_response_size_mb: 2
  completion_model: gpt
  forward_client_headers_to_llm_api: true
  infer_model_from_keys: true
  max_parallel_requests: 10
  global_max_parallel_requests: 100
",
    );
    assert_eq!(config.litellm.drop_params, Some(true));
    assert_eq!(config.litellm.request_timeout, Some(Duration::from_secs(600)));
    assert!(config.litellm.json_logs);
    assert!(!config.litellm.set_verbose, "the text `False` is no truth");
    let general = &config.general;
    assert_eq!(general.master_key.as_ref().map(|key| key.expose()), Some("sk-1234"));
    assert_eq!(general.max_request_bytes, Some(3 << 19));
    assert_eq!(general.max_response_bytes, Some(2 << 20));
    assert_eq!(general.completion_model.as_deref(), Some("gpt"));
    assert!(general.forward_client_headers && general.infer_model_from_keys);
    assert_eq!(general.max_parallel_requests.map(std::num::NonZero::get), Some(10));
    assert_eq!(general.global_max_parallel_requests.map(std::num::NonZero::get), Some(100));
    assert_eq!(config.ziggurat.limits.max_body_bytes, 3 << 19);
}

#[test]
fn our_own_settings_are_read() {
    let config = clean(
        "general_settings: {max_request_size_mb: 1}
ziggurat:
  limits:
    max_body_bytes: 1MiB
    max_header_bytes: 16384
    max_event_bytes: 10MB
    header_read_timeout: 1
    body_read_timeout: 2s
    idle_timeout: 500ms
  admission: {max_calls: 7, max_bytes: 2GiB, retry_after: 0}
  timeouts: {first_content: 1m, idle: 2, attempt: 3.5, call: 1h, connect: 250ms}
  keepalive_after: 15s
  shutdown_grace: 0
  headers: {litellm: false}
  loss_policy: refuse
  http2_shards: 4
",
    );
    let settings = config.ziggurat;
    assert_eq!(settings.limits.max_body_bytes, 1 << 20, "wins over max_request_size_mb");
    assert_eq!(settings.limits.max_header_bytes, 16384);
    assert_eq!(settings.limits.max_event_bytes, 10_000_000);
    assert_eq!(settings.limits.header_read_timeout, Duration::from_secs(1));
    assert_eq!(settings.limits.body_read_timeout, Duration::from_secs(2));
    assert_eq!(settings.limits.idle_timeout, Duration::from_millis(500));
    assert_eq!(settings.admission.max_calls.get(), 7);
    assert_eq!(settings.admission.max_bytes, 2 << 30);
    assert_eq!(settings.admission.retry_after, Duration::ZERO);
    assert_eq!(settings.timeouts.first_content, Duration::from_secs(60));
    assert_eq!(settings.timeouts.idle, Duration::from_secs(2));
    assert_eq!(settings.timeouts.attempt, Duration::from_millis(3500));
    assert_eq!(settings.timeouts.call, Duration::from_secs(3600));
    assert_eq!(settings.timeouts.connect, Duration::from_millis(250));
    assert_eq!(settings.keepalive_after, Some(Duration::from_secs(15)));
    assert_eq!(settings.shutdown_grace, Duration::ZERO);
    assert!(!settings.headers.litellm);
    assert_eq!(settings.loss_policy, Some(LossPolicy::Refuse));
    assert_eq!(settings.http2_shards.map(std::num::NonZero::get), Some(4));
}

#[test]
fn what_is_left_out_has_the_documented_defaults() {
    for file in ["{}", "ziggurat:", "ziggurat: {limits: {}, admission: , timeouts: {idle: ~}}"] {
        let config = clean(file);
        assert_eq!(config.ziggurat, Settings::default());
        assert!(config.deployments.is_empty());
        assert!(config.general.master_key.is_none());
    }
    let settings = Settings::default();
    assert_eq!(settings.limits.max_body_bytes, 64 << 20);
    assert_eq!(settings.limits.max_header_bytes, 64 << 10);
    assert_eq!(settings.limits.max_event_bytes, 16 << 20);
    assert_eq!(settings.limits.header_read_timeout, Duration::from_secs(30));
    assert_eq!(settings.limits.body_read_timeout, Duration::from_secs(120));
    assert_eq!(settings.limits.idle_timeout, Duration::from_secs(75));
    assert_eq!(settings.admission.max_calls.get(), 4096);
    assert_eq!(settings.admission.max_bytes, 1 << 30);
    assert_eq!(settings.admission.retry_after, Duration::from_secs(1));
    assert_eq!(settings.timeouts.connect, Duration::from_secs(5));
    assert_eq!(settings.timeouts.first_content, Duration::from_secs(600));
    assert_eq!(settings.timeouts.idle, Duration::from_secs(300));
    assert_eq!(settings.timeouts.attempt, Duration::from_secs(3600));
    assert_eq!(settings.timeouts.call, Duration::from_secs(7200));
    assert_eq!(settings.shutdown_grace, Duration::from_secs(30));
    assert!(settings.headers.litellm);
    assert_eq!(settings.keepalive_after, None);
    assert_eq!(settings.loss_policy, None);
    assert_eq!(settings.http2_shards, None);
}

#[test]
fn our_own_settings_of_the_wrong_type_are_errors() {
    assert_eq!(
        errors(
            "ziggurat:
  limits: {max_body_bytes: 10 elephants, max_header_bytes: 4KiB, idle_timeout: 0}
  admission: {max_calls: 0, retry_after: -1s}
  timeouts: {idle: soon, call: 400d}
  keepalive_after: 0
  shutdown_grace: -1
  headers: [litellm]
  loss_policy: maybe
  http2_shards: 65
"
        ),
        text(&[
            "config.yaml:2:28: ziggurat.limits.max_body_bytes: expected a size (bytes, or text such as 64KiB, 10MB), found a string",
            "config.yaml:2:60: ziggurat.limits.max_header_bytes: expected a size of at least 8192 bytes, found one out of range",
            "config.yaml:2:80: ziggurat.limits.idle_timeout: expected a time above 0 and at most 365 days, found one out of range",
            "config.yaml:3:26: ziggurat.admission.max_calls: expected an integer above 0, found one out of range",
            "config.yaml:3:42: ziggurat.admission.retry_after: expected a duration (seconds, or text such as 500ms, 2s, 5m, 1h), found a string",
            "config.yaml:4:20: ziggurat.timeouts.idle: expected a duration (seconds, or text such as 500ms, 2s, 5m, 1h), found a string",
            "config.yaml:4:32: ziggurat.timeouts.call: expected a duration (seconds, or text such as 500ms, 2s, 5m, 1h), found a string",
            "config.yaml:5:20: ziggurat.keepalive_after: expected a time above 0 and at most 365 days, found one out of range",
            "config.yaml:6:19: ziggurat.shutdown_grace: expected a duration from 0 to 365 days, found one out of range",
            "config.yaml:7:12: ziggurat.headers: expected a mapping, found a sequence",
            "config.yaml:8:16: ziggurat.loss_policy: expected one of `default`, `refuse`, `allow`",
            "config.yaml:9:17: ziggurat.http2_shards: expected an integer from 1 to 64, found one out of range",
        ])
    );
}

#[test]
fn sections_of_the_wrong_type_are_errors() {
    assert_eq!(
        errors(
            "model_list: {a: 1}
litellm_settings: [drop_params]
general_settings: x
router_settings: 1
environment_variables: [A]
ziggurat: on
"
        ),
        text(&[
            "config.yaml:1:13: model_list: expected a sequence of models, found a mapping",
            "config.yaml:2:19: litellm_settings: expected a mapping, found a sequence",
            "config.yaml:3:19: general_settings: expected a mapping, found a string",
            "config.yaml:4:18: router_settings: expected a mapping, found an integer",
            "config.yaml:5:24: environment_variables: expected a mapping, found a sequence",
            "config.yaml:6:11: ziggurat: expected a mapping, found a boolean",
        ])
    );
}

#[test]
fn what_is_not_supported_yet_is_told_once_for_each_key() {
    assert_eq!(
        warnings(
            "router_settings:
  routing_groups: []
  weights: {}
  routing_stategy: x
litellm_settings:
  modify_params: true
  callbacks: [otel]
  drop_param: true
  database_url: x
general_settings:
  database_url: os.environ/DATABASE_URL
  mcp_whatever: 1
  alerting: [slack]
  masterkey: sk-secret
guardrails:
  - {guardrail_name: a, litellm_params: {api_key: os.environ/NONE}}
mcp_servers: {a: {}}
"
        ),
        text(&[
            "config.yaml:2:3: router_settings.routing_groups is not supported yet and is ignored",
            "config.yaml:3:3: router_settings.weights is not supported yet and is ignored",
            "config.yaml:4:3: router_settings.routing_stategy: unknown key, did you mean `routing_strategy`?",
            "config.yaml:6:3: litellm_settings.modify_params is not supported yet and is ignored",
            "config.yaml:7:3: litellm_settings.callbacks is not supported yet and is ignored",
            "config.yaml:8:3: litellm_settings.drop_param: unknown key, did you mean `drop_params`?",
            "config.yaml:9:3: litellm_settings.database_url: unknown key here, it belongs under `general_settings`",
            "config.yaml:11:3: general_settings.database_url is not supported yet and is ignored",
            "config.yaml:12:3: general_settings.mcp_whatever is not supported yet and is ignored",
            "config.yaml:13:3: general_settings.alerting is not supported yet and is ignored",
            "config.yaml:14:3: general_settings.masterkey: unknown key, did you mean `master_key`?",
            "config.yaml:15:1: guardrails is not supported yet and is ignored",
            "config.yaml:17:1: mcp_servers is not supported yet and is ignored",
        ])
    );
}

#[test]
fn unknown_keys_of_our_own_and_at_the_top_are_told() {
    assert_eq!(
        warnings(
            "litelm_settings: {}
master_key: x
nonsense: 1
x-mine: 1
? \"new\\nline and far too long to be shown as a whole, so that it is cut off where it is eighty\"
: 1
ziggurat: {limits: {max_body: 1}, timeout: {}, loss: x}
"
        ),
        text(&[
            "config.yaml:1:1: litelm_settings: unknown key, did you mean `litellm_settings`?",
            "config.yaml:2:1: master_key: unknown key here, it belongs under `general_settings`",
            "config.yaml:3:1: nonsense: unknown key",
            "config.yaml:5:3: [\"new\\nline and far too long to be shown as a whole, so that it is cut off where it\"]: unknown key",
            "config.yaml:7:21: ziggurat.limits.max_body: unknown key",
            "config.yaml:7:35: ziggurat.timeout: unknown key, did you mean `timeouts`?",
            "config.yaml:7:48: ziggurat.loss: unknown key",
        ])
    );
}

#[test]
fn environment_variables_of_the_file_come_first_and_are_not_exported() {
    let outside = env([("A", "outer"), ("B", "b-value"), ("C", "c-value")]);
    let yaml = "environment_variables:
  A: inner
  NUMBER: 010
  FLAG: true
  INDIRECT: os.environ/B
  NOTHING:
model_list:
  - model_name: os.environ/A
    litellm_params:
      model: os.environ/C
      api_key: os.environ/INDIRECT
      user: os.environ/NUMBER
      drop_params: os.environ/FLAG
";
    let config = clean_in(yaml, &outside);
    let deployment = &config.deployments[0];
    assert_eq!(deployment.model_name, "inner");
    assert_eq!(deployment.model, "c-value");
    assert_eq!(deployment.api_key.as_ref().map(|key| key.expose()), Some("b-value"));
    assert_eq!(deployment.defaults.get("user"), Some(&"010".into()), "as it is written");
    assert_eq!(deployment.drop_params, Some(true));
    assert_eq!(std::env::var_os("INDIRECT"), None);

    let overlay = config.variables.over(&outside);
    assert_eq!(overlay.var("A").as_deref(), Ok("inner"));
    assert_eq!(overlay.var("B").as_deref(), Ok("b-value"));
    assert!(overlay.var("NOTHING").is_err());
    assert_eq!(format!("{:?}", config.variables), r#"{"A", "FLAG", "INDIRECT", "NUMBER"}"#);
    assert_eq!(
        errors_in("environment_variables: {A: os.environ/A, B: [1]}\n", &env([])),
        text(&[
            "config.yaml:1:28: environment_variables.A: the environment variable `A` is not set",
            "config.yaml:1:45: environment_variables.B: expected a string, found a sequence",
        ])
    );
}

#[test]
fn the_master_key_may_come_from_the_environment() {
    let key = |file: &str, value: &str| {
        let config = clean_in(file, &env([("LITELLM_MASTER_KEY", value)]));
        config.general.master_key.map(|key| key.expose().to_owned())
    };
    assert_eq!(key("{}", "sk-env").as_deref(), Some("sk-env"));
    assert_eq!(key("general_settings: {}", "sk-env").as_deref(), Some("sk-env"));
    assert_eq!(
        key("general_settings: {master_key: sk-file}", "sk-env").as_deref(),
        Some("sk-file")
    );
    assert_eq!(key("{}", ""), None);
    let file = "environment_variables: {LITELLM_MASTER_KEY: sk-inner}";
    assert_eq!(key(file, "sk-env").as_deref(), Some("sk-inner"));
    assert_eq!(
        errors_in("{}", &env([("LITELLM_MASTER_KEY", "two words")])),
        "config.yaml: general_settings.master_key: the environment variable `LITELLM_MASTER_KEY` has \
         white space or other characters that no credential has"
    );
}
