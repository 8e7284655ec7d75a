//! A configuration such as people have.

use super::{env, lines, text};
use crate::config::{RedisSettings, parse};

const CONFIG: &str = r#"# The gateway of the data team.
environment_variables:
  AZURE_API_VERSION: "2024-10-21"
  REDIS_HOST: redis.internal

x-defaults: &defaults
  timeout: 120
  stream_timeout: 30
  max_retries: 0

model_list:
  # One group, two regions.
  - model_name: gpt-4o
    litellm_params:
      <<: *defaults
      model: azure/gpt-4o-eu
      api_base: https://data-eu.openai.azure.com/
      api_key: os.environ/AZURE_EU_KEY
      api_version: os.environ/AZURE_API_VERSION
      rpm: 600
      tpm: 100000
      tags: ["eu", "default"]
    model_info:
      id: azure-eu
      base_model: azure/gpt-4o-2024-08-06
      mode: chat
  - model_name: gpt-4o
    litellm_params:
      <<: *defaults
      model: openai/gpt-4o
      api_key: "os.environ/OPENAI_API_KEY"
      organization: org-data
      order: 2
      temperature: 0.2
      extra_headers:
        X-Team: data
        X-Trace-Key: os.environ/TRACE_KEY

  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
      max_tokens: 8192
      thinking: { type: enabled, budget_tokens: 4096 }
    model_info:
      input_cost_per_token: 3e-06
      output_cost_per_token: 0.000015
      supports_vision: true

  - model_name: local
    litellm_params:
      model: ollama_chat/llama3.1
      api_base: http://localhost:11434
      keep_alive: 10m

  - model_name: "gemini/*"
    litellm_params:
      model: "gemini/*"
      api_key: os.environ/GEMINI_API_KEY

  - model_name: canned
    litellm_params: { model: openai/any, mock_response: "Hello." }

litellm_settings:
  drop_params: True
  request_timeout: 600
  num_retries: 2
  json_logs: true
  success_callback: ["langfuse"]
  cache: false

router_settings:
  routing_strategy: simple-shuffle
  redis_host: os.environ/REDIS_HOST
  fallbacks: [{ "gpt-4o": ["claude"] }]

general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: os.environ/DATABASE_URL
  max_request_size_mb: 32
  store_model_in_db: true

ziggurat:
  timeouts: { connect: 2s, idle: 45s }
  keepalive_after: 15s
"#;

#[test]
fn a_configuration_such_as_people_have_is_read() {
    let env = env([
        ("AZURE_EU_KEY", "az-1"),
        ("OPENAI_API_KEY", "sk-1"),
        ("TRACE_KEY", "tr-1"),
        ("ANTHROPIC_API_KEY", "sk-ant-1"),
        ("GEMINI_API_KEY", "AI-1"),
        ("LITELLM_MASTER_KEY", "sk-master"),
    ]);
    let (config, warnings) =
        parse(CONFIG.as_bytes(), "config.yaml", &env).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(
        lines(&warnings),
        text(&[
            "config.yaml:69:3: litellm_settings.success_callback is not supported yet and is ignored",
            "config.yaml:79:3: general_settings.database_url is not supported yet and is ignored",
            "config.yaml:81:3: general_settings.store_model_in_db is not supported yet and is ignored",
        ])
    );
    let names: Vec<_> = config.deployments.iter().map(|d| d.model_name.as_str()).collect();
    assert_eq!(names, ["gpt-4o", "gpt-4o", "claude", "local", "gemini/*", "canned"]);
    let eu = &config.deployments[0];
    assert_eq!(eu.id, "azure-eu");
    assert_eq!(eu.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(config.timeouts(eu, true).idle.as_secs(), 30);
    assert_eq!(config.timeouts(eu, true).connect.as_secs(), 2);
    assert_eq!(config.timeouts(eu, false).attempt.as_secs(), 120);
    let claude = &config.deployments[2];
    assert_eq!(claude.info.prices.get("input_cost_per_token"), Some(&3e-6));
    assert_eq!(claude.defaults.len(), 2);
    assert_eq!(config.ziggurat.limits.max_body_bytes, 32 << 20);
    assert_eq!(config.retries(None), 2);
    assert_eq!(config.retries(Some(eu)), 0);
    let redis = config.redis().and_then(RedisSettings::address);
    assert_eq!(redis.as_ref().map(|url| url.expose()), Some("redis://redis.internal:6379"));
    assert_eq!(config.fallbacks().general.map_or(0, |rules| rules.len()), 1);
    assert_eq!(config.litellm.cache, None);
}

#[test]
fn nothing_secret_is_printed() {
    let env = env([
        ("AZURE_EU_KEY", "hidden-1"),
        ("OPENAI_API_KEY", "hidden-2"),
        ("TRACE_KEY", "hidden-3"),
        ("ANTHROPIC_API_KEY", "hidden-4"),
        ("GEMINI_API_KEY", "hidden-5"),
        ("LITELLM_MASTER_KEY", "hidden-6"),
    ]);
    let yaml = CONFIG
        .replace("thinking: {", "metadata: { key: os.environ/OPENAI_API_KEY }\n      thinking: {")
        .replace("  REDIS_HOST:", "  PRIVATE: hidden-7\n  REDIS_HOST:");
    let (config, _) = parse(yaml.as_bytes(), "config.yaml", &env).expect("is usable");
    let printed = format!("{config:?} {config:#?}");
    assert!(printed.contains("[redacted]") && !printed.contains("hidden"), "{printed}");
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let report = parse(CONFIG.as_bytes(), "config.yaml", &env([])).expect_err("has no keys");
    let variables: Vec<_> = report
        .errors
        .iter()
        .map(|error| error.message.split('`').nth(1).expect("names a variable"))
        .collect();
    assert_eq!(
        variables,
        [
            "AZURE_EU_KEY",
            "OPENAI_API_KEY",
            "TRACE_KEY",
            "ANTHROPIC_API_KEY",
            "GEMINI_API_KEY",
            "LITELLM_MASTER_KEY"
        ]
    );
    assert_eq!(report.warnings.len(), 3);
    let shown = report.to_string();
    assert!(shown.starts_with(
        "error: config.yaml:18:16: model_list[0].litellm_params.api_key: the environment variable \
         `AZURE_EU_KEY` is not set\nerror: "
    ));
    assert!(shown.ends_with("store_model_in_db is not supported yet and is ignored"));
}

pub(super) const REALISTIC: &str = CONFIG;
