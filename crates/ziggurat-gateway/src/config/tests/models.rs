//! `model_list`.

use std::time::Duration;

use serde_json::json;

use super::{clean, clean_in, env, errors, errors_in, text, warnings, with_params};
use crate::config::{Config, DeploymentConfig, LossPolicy};

fn deployment(params: &str) -> DeploymentConfig {
    let mut config = clean(&with_params(params));
    assert_eq!(config.deployments.len(), 1);
    config.deployments.remove(0)
}

#[test]
fn every_setting_of_a_deployment_is_read() {
    let deployment = deployment(
        "custom_llm_provider: openai
api_base: https://api.example/v1
api_key: sk-1
api_version: 2024-10-21
organization: org-1
timeout: 1.5
stream_timeout: 30
max_retries: 2
headers: {X-One: a, x-two: b}
extra_headers: {x-TWO: c, x-three: 3}
extra_body: {a: {b: [1, null]}}
drop_params: yes
additional_drop_params: [n, seed]
allowed_openai_params: [tools]
mock_response: hi
rpm: 10
tpm: 1_000
weight: 0.5
order: 2
tags: [a, b]
max_parallel_requests: 4
itpm: 11
otpm: 12
rpd: 13
tpd: 14
cooldown_time: 0
region_name: eu-west-1",
    );
    assert_eq!(deployment.model_name, "m");
    assert_eq!(deployment.model, "openai/m");
    assert_eq!(deployment.provider.as_deref(), Some("openai"));
    assert_eq!(deployment.api_base.as_deref(), Some("https://api.example/v1"));
    assert_eq!(deployment.api_key.as_ref().map(|key| key.expose()), Some("sk-1"));
    assert_eq!(deployment.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(deployment.organization.as_deref(), Some("org-1"));
    assert_eq!(deployment.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(deployment.stream_timeout, Some(Duration::from_secs(30)));
    assert_eq!(deployment.num_retries, Some(2));
    assert_eq!((deployment.itpm, deployment.otpm), (Some(11), Some(12)));
    assert_eq!((deployment.rpd, deployment.tpd), (Some(13), Some(14)));
    assert_eq!(deployment.cooldown_time, Some(Duration::ZERO));
    assert_eq!(deployment.region.as_deref(), Some("eu-west-1"));
    let headers: Vec<_> =
        deployment.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("x-one", "a"), ("x-two", "c"), ("x-three", "3")]);
    assert_eq!(deployment.extra_body.get("a"), Some(&json!({"b": [1, null]})));
    assert_eq!(deployment.drop_params, Some(true));
    assert_eq!(deployment.additional_drop_params, ["n", "seed"]);
    assert_eq!(deployment.allowed_openai_params, ["tools"]);
    assert_eq!(deployment.mock_response.as_deref(), Some("hi"));
    assert_eq!((deployment.rpm, deployment.tpm), (Some(10), Some(1000)));
    assert_eq!(deployment.weight, Some(0.5));
    assert_eq!(deployment.order, Some(2));
    assert_eq!(deployment.tags, ["a", "b"]);
    assert_eq!(deployment.max_parallel_requests.map(std::num::NonZero::get), Some(4));
    assert!(deployment.defaults.is_empty());
    assert_eq!(deployment.path, "model_list[0]");
    assert_eq!(deployment.place.to_string(), "config.yaml:4:14");
}

#[test]
fn model_info_is_read() {
    let config = clean(
        "model_list:
  - model_name: m
    litellm_params: {model: azure/m, input_cost_per_token: 3e-6, request_timeout: 9}
    model_info:
      id: 7
      mode: chat
      base_model: gpt-4o
      max_tokens: 10
      max_input_tokens: '20'
      max_output_tokens: 30.0
      input_cost_per_token: 1
      cache_read_input_token_cost_above_200k_tokens_batches: 0.0000005
      supports_vision: true
      supports_reasoning: null
",
    );
    let deployment = &config.deployments[0];
    let info = &deployment.info;
    assert_eq!(deployment.id, "7");
    assert_eq!(deployment.timeout, Some(Duration::from_secs(9)));
    assert_eq!(info.mode.as_deref(), Some("chat"));
    assert_eq!(info.base_model.as_deref(), Some("gpt-4o"));
    assert_eq!((info.max_tokens, info.max_input_tokens), (Some(10), Some(20)));
    assert_eq!(info.max_output_tokens, Some(30));
    let prices: Vec<_> = info.prices.iter().map(|(name, price)| (name.as_str(), *price)).collect();
    assert_eq!(
        prices,
        [
            ("cache_read_input_token_cost_above_200k_tokens_batches", 5e-7),
            ("input_cost_per_token", 3e-6),
        ],
        "litellm_params win"
    );
    assert_eq!(info.supports.iter().collect::<Vec<_>>(), [(&"vision".to_owned(), &true)]);
}

#[test]
fn other_parameters_are_defaults_of_the_request_in_their_order() {
    let deployment = deployment(
        "temperature: 0.2
max_tokens: '100'
stop: [a, b]
seed: null
thinking: {type: enabled, budget_tokens: 1024}
reasoning_effort: low
top_p: 1",
    );
    let defaults: Vec<_> = deployment.defaults.iter().collect();
    assert_eq!(
        defaults,
        [
            ("temperature", &json!(0.2)),
            ("max_tokens", &json!(100)),
            ("stop", &json!(["a", "b"])),
            ("thinking", &json!({"type": "enabled", "budget_tokens": 1024})),
            ("reasoning_effort", &json!("low")),
            ("top_p", &json!(1)),
        ]
    );
}

#[test]
fn a_known_parameter_of_the_wrong_type_is_an_error() {
    assert_eq!(
        errors(&with_params(
            "temperature: hot\nmax_tokens: 1.5\nstop: 3\ntools: {}\nmetadata: x\nuser: 12\nstore: 1\n\
             tool_choice: []\ntop_p: .nan\nextra_body: [1]"
        )),
        text(&[
            "config.yaml:5:20: model_list[0].litellm_params.temperature: expected a number, found a string",
            "config.yaml:6:19: model_list[0].litellm_params.max_tokens: expected an integer, found a number",
            "config.yaml:7:13: model_list[0].litellm_params.stop: expected a string or a sequence, found an integer",
            "config.yaml:8:14: model_list[0].litellm_params.tools: expected a sequence, found a mapping",
            "config.yaml:9:17: model_list[0].litellm_params.metadata: expected a mapping, found a string",
            "config.yaml:10:13: model_list[0].litellm_params.user: expected a string, found an integer \
             (put it in quotes if it is meant as text)",
            "config.yaml:11:14: model_list[0].litellm_params.store: expected a boolean, found an integer",
            "config.yaml:12:20: model_list[0].litellm_params.tool_choice: expected a string or a mapping, found a sequence",
            "config.yaml:13:14: model_list[0].litellm_params.top_p: expected a number that JSON can hold, found one out of range",
            "config.yaml:14:19: model_list[0].litellm_params.extra_body: expected a mapping, found a sequence",
        ])
    );
}

#[test]
fn an_unknown_parameter_is_a_default_with_a_warning() {
    let yaml = with_params("tempratur: 1\nfoo: {bar: 1}\nbaz: null");
    let (config, problems) = super::read(&yaml).expect("is usable");
    assert_eq!(
        super::lines(&problems),
        text(&[
            "config.yaml:5:7: model_list[0].litellm_params.tempratur: unknown parameter, did you mean \
             `temperature`? It is sent to the provider as it is",
            "config.yaml:6:7: model_list[0].litellm_params.foo: unknown parameter; it is sent to the \
             provider as it is",
            "config.yaml:7:7: model_list[0].litellm_params.baz: unknown parameter; it is sent to the \
             provider as it is",
        ])
    );
    let defaults: Vec<_> = config.deployments[0].defaults.iter().collect();
    assert_eq!(defaults, [("tempratur", &json!(1)), ("foo", &json!({"bar": 1}))]);
}

#[test]
fn an_unknown_credential_is_not_sent() {
    let (config, problems) = super::read(&with_params("acme_api_key: sk-acme")).expect("is usable");
    assert_eq!(
        super::lines(&problems),
        "config.yaml:5:7: model_list[0].litellm_params.acme_api_key: unknown parameter; its name is \
         that of a credential, so it is not sent to the provider"
    );
    assert!(config.deployments[0].defaults.is_empty());
}

#[test]
fn a_parameter_that_is_not_supported_yet_is_told_once_and_not_sent() {
    let yaml = with_params("mock_delay: eu\nazure_password: os.environ/NONE\nstream: true");
    let (config, problems) = super::read(&yaml).expect("is usable");
    assert_eq!(
        super::lines(&problems),
        text(&[
            "config.yaml:5:7: model_list[0].litellm_params.mock_delay is not supported yet and is ignored",
            "config.yaml:6:7: model_list[0].litellm_params.azure_password is not supported yet and is ignored",
            "config.yaml:7:7: model_list[0].litellm_params.stream is not supported yet and is ignored",
        ])
    );
    assert!(config.deployments[0].defaults.is_empty());
}

#[test]
fn a_setting_of_the_wrong_type_is_an_error_at_its_value() {
    assert_eq!(
        errors(&with_params(
            "timeout: [1]\nstream_timeout: 0\nmax_retries: -1\nrpm: many\nweight: -1\norder: 1.5\n\
             tags: a\nmax_parallel_requests: 0\nmock_response: {a: b}\ndrop_params: maybe\n\
             api_version: 2024\norganization: ''\nadditional_drop_params: [a, 1]\ntpm: 99999999999999999999\n\
             api_base: localhost:11434"
        )),
        text(&[
            "config.yaml:5:16: model_list[0].litellm_params.timeout: expected a number of seconds, found a sequence",
            "config.yaml:6:23: model_list[0].litellm_params.stream_timeout: expected a time above 0 and at most 365 days, found one out of range",
            "config.yaml:7:20: model_list[0].litellm_params.max_retries: expected an integer from 0 to 100, found one out of range",
            "config.yaml:8:12: model_list[0].litellm_params.rpm: expected an integer, 0 or above, found a string",
            "config.yaml:9:15: model_list[0].litellm_params.weight: expected a number, 0 or above, found one out of range",
            "config.yaml:10:14: model_list[0].litellm_params.order: expected an integer, found a number",
            "config.yaml:11:13: model_list[0].litellm_params.tags: expected a sequence of strings, found a string",
            "config.yaml:12:30: model_list[0].litellm_params.max_parallel_requests: expected an integer above 0, found one out of range",
            "config.yaml:13:22: model_list[0].litellm_params.mock_response: expected a string, found a mapping",
            "config.yaml:14:20: model_list[0].litellm_params.drop_params: expected a boolean, found a string",
            "config.yaml:15:20: model_list[0].litellm_params.api_version: expected a string, found an integer (put it in quotes if it is meant as text)",
            "config.yaml:16:21: model_list[0].litellm_params.organization: expected a string, found an empty one",
            "config.yaml:17:35: model_list[0].litellm_params.additional_drop_params[1]: expected a string, found an integer (put it in quotes if it is meant as text)",
            "config.yaml:18:12: model_list[0].litellm_params.tpm: expected an integer, 0 or above, found one out of range",
            "config.yaml:19:17: model_list[0].litellm_params.api_base: expected a URL that begins with https:// or http://",
        ])
    );
}

#[test]
fn what_is_missing_is_told_at_the_mapping_that_lacks_it() {
    assert_eq!(
        errors(
            "model_list:
  - litellm_params: {api_key: k}
  - model_name: a
  - model_name:
    litellm_params:
  - 7
"
        ),
        text(&[
            "config.yaml:2:5: model_list[0].model_name: missing; expected a string",
            "config.yaml:2:21: model_list[0].litellm_params.model: missing; expected a string",
            "config.yaml:3:5: model_list[1].litellm_params: missing; expected a mapping",
            "config.yaml:4:5: model_list[2].model_name: missing; expected a string",
            "config.yaml:4:5: model_list[2].litellm_params: missing; expected a mapping",
            "config.yaml:6:5: model_list[3]: expected a mapping, found an integer",
        ])
    );
}

#[test]
fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
    assert_eq!(
        warnings(
            "model_list:
  - model_name: m
    litellm_params: {model: m}
    api_key: k
    mode: chat
    modelname: x
    model_info: {api_base: x, mode: chatt, suports_vision: true, max_input_token: 1, team_id: t}
"
        ),
        text(&[
            "config.yaml:4:5: model_list[0].api_key: unknown key here, it belongs under `litellm_params`",
            "config.yaml:5:5: model_list[0].mode: unknown key here, it belongs under `model_info`",
            "config.yaml:6:5: model_list[0].modelname: unknown key, did you mean `model_name`?",
            "config.yaml:7:18: model_list[0].model_info.api_base: unknown key here, it belongs under `litellm_params`",
            "config.yaml:7:37: model_list[0].model_info.mode: unknown mode, did you mean `chat`?",
            "config.yaml:7:44: model_list[0].model_info.suports_vision: unknown key",
            "config.yaml:7:66: model_list[0].model_info.max_input_token: unknown key, did you mean `max_input_tokens`?",
            "config.yaml:7:86: model_list[0].model_info.team_id is not supported yet and is ignored",
        ])
    );
}

#[test]
fn wildcards_are_read_and_a_lone_one_is_an_error() {
    let config = clean(
        "model_list:
  - {model_name: 'openai/*', litellm_params: {model: 'openai/*'}}
  - {model_name: '*', litellm_params: {model: '*'}}
  - {model_name: 'claude-*', litellm_params: {model: anthropic/claude-3}}
",
    );
    assert!(config.deployments.iter().all(DeploymentConfig::is_wildcard));
    assert_eq!(
        errors("model_list:\n  - {model_name: m, litellm_params: {model: 'openai/*'}}\n"),
        "config.yaml:2:45: model_list[0].litellm_params.model: a model with `*` needs a model_name \
         with `*`, from which it takes its name"
    );
}

#[test]
fn ids_are_unique_and_stay_when_other_settings_change() {
    let list = |rpm: u32| {
        format!(
            "model_list:
  - {{model_name: m, litellm_params: {{model: openai/m, api_key: sk-a, rpm: {rpm}}}}}
  - {{model_name: m, litellm_params: {{model: openai/m, api_key: sk-b}}}}
  - {{model_name: m, litellm_params: {{model: azure/m}}}}
  - {{model_name: m, litellm_params: {{model: azure/m}}, model_info: {{id: mine}}}}
"
        )
    };
    let ids = |config: Config| config.deployments.into_iter().map(|d| d.id).collect::<Vec<_>>();
    let before = ids(clean(&list(1)));
    assert_eq!(before, ids(clean(&list(2))));
    assert_eq!(before[0].len(), 32);
    assert_eq!(before[1], format!("{}-2", before[0]));
    assert_ne!(before[2], before[0]);
    assert_eq!(before[3], "mine");
}

#[test]
fn an_id_that_is_given_twice_is_an_error() {
    assert_eq!(
        errors(
            "model_list:
  - {model_name: m, litellm_params: {model: m}, model_info: {id: one}}
  - {model_name: m, litellm_params: {model: m}, model_info: {id: one}}
"
        ),
        "config.yaml:3:66: model_list[1].model_info.id: the id is given already at config.yaml:2:66"
    );
}

#[test]
fn base_url_is_another_name_for_api_base() {
    let base = deployment("base_url: http://localhost:11434").api_base;
    assert_eq!(base.as_deref(), Some("http://localhost:11434"));
    assert_eq!(
        errors(&with_params("api_base: http://a\nbase_url: http://b")),
        "config.yaml:6:17: model_list[0].litellm_params.base_url: another name for `api_base`, which \
         is given too"
    );
}

#[test]
fn headers_that_cannot_be_sent_are_errors() {
    assert_eq!(
        errors(&with_params(
            "headers: {'a b': c, Content-Length: '1', x: [], y: \"line\\nbreak\", z: no}\nextra_headers: x"
        )),
        text(&[
            "config.yaml:5:24: model_list[0].litellm_params.headers[\"a b\"]: the key is no name of a header",
            "config.yaml:5:43: model_list[0].litellm_params.headers.Content-Length: the connection sets this header itself",
            "config.yaml:5:51: model_list[0].litellm_params.headers.x: expected a string, found a sequence",
            "config.yaml:5:58: model_list[0].litellm_params.headers.y: the value has line breaks or other characters that no header has",
            "config.yaml:5:76: model_list[0].litellm_params.headers.z: expected a string, found a boolean (put it in quotes if it is meant as text)",
            "config.yaml:6:22: model_list[0].litellm_params.extra_headers: expected a mapping of headers, found a string",
        ])
    );
}

#[test]
fn references_are_followed_in_every_position() {
    let env = env([
        ("NAME", "gpt"),
        ("BASE", "https://api.example"),
        ("KEY", "sk-env"),
        ("SECONDS", "2.5"),
        ("DROP", "True"),
        ("RPM", " 60 "),
        ("WHO", "me"),
    ]);
    let config = clean_in(
        "model_list:
  - model_name: os.environ/NAME
    litellm_params:
      model: openai/gpt
      api_base: os.environ/BASE
      api_key: os.environ/KEY
      timeout: os.environ/SECONDS
      drop_params: os.environ/DROP
      rpm: os.environ/RPM
      temperature: os.environ/SECONDS
      metadata: {who: [os.environ/WHO]}
      tags: [os.environ/WHO]
      extra_headers: {x-key: os.environ/KEY}
",
        &env,
    );
    let deployment = &config.deployments[0];
    assert_eq!(deployment.model_name, "gpt");
    assert_eq!(deployment.api_base.as_deref(), Some("https://api.example"));
    assert_eq!(deployment.api_key.as_ref().map(|key| key.expose()), Some("sk-env"));
    assert_eq!(deployment.timeout, Some(Duration::from_millis(2500)));
    assert_eq!(deployment.drop_params, Some(true));
    assert_eq!(deployment.rpm, Some(60));
    assert_eq!(deployment.defaults.get("temperature"), Some(&json!(2.5)));
    assert_eq!(deployment.defaults.get("metadata"), Some(&json!({"who": ["me"]})));
    assert_eq!(deployment.tags, ["me"]);
    assert_eq!(deployment.headers[0].1.expose(), "sk-env");
}

#[test]
fn a_reference_that_leads_nowhere_is_an_error_that_names_it() {
    let env = env([("EMPTY", ""), ("LINE", "sk-1\n"), ("WORD", "soon")]);
    assert_eq!(
        errors_in(
            &with_params(
                "api_key: os.environ/OPENAI_API_KEY\nmetadata: {a: os.environ/MISSING}\n\
                 timeout: os.environ/WORD\nuser: os.environ/sk-not-a-name\norganization: os.environ/EMPTY"
            ),
            &env
        ),
        text(&[
            "config.yaml:5:16: model_list[0].litellm_params.api_key: the environment variable `OPENAI_API_KEY` is not set",
            "config.yaml:6:21: model_list[0].litellm_params.metadata.a: the environment variable `MISSING` is not set",
            "config.yaml:7:16: model_list[0].litellm_params.timeout: expected a number of seconds, found other text in the environment variable `WORD`",
            "config.yaml:8:13: model_list[0].litellm_params.user: `os.environ/` must be followed by the name of a variable",
            "config.yaml:9:21: model_list[0].litellm_params.organization: expected a string, found an empty one",
        ])
    );
    for (key, fault) in [
        ("os.environ/EMPTY", "the environment variable `EMPTY` is empty"),
        (
            "os.environ/LINE",
            "the environment variable `LINE` has white space or other characters that no credential has",
        ),
        ("'two words'", "the value has white space or other characters that no credential has"),
        ("oidc/google/x", "the value refers to a secret store, which is not supported yet"),
    ] {
        assert_eq!(
            errors_in(&with_params(&format!("api_key: {key}")), &env),
            format!("config.yaml:5:16: model_list[0].litellm_params.api_key: {fault}")
        );
    }
}

#[test]
fn a_key_that_is_written_empty_is_none() {
    assert_eq!(deployment("api_key: ''").api_key, None);
    assert_eq!(deployment("headers: {x-empty: ''}").headers[0].1.expose(), "");
    assert_eq!(
        errors("general_settings: {master_key: ''}\n"),
        "config.yaml:1:32: general_settings.master_key: the value is empty"
    );
}

#[test]
fn the_nearest_word_on_losses_holds() {
    let policy = |own: &str, ours: &str, general: &str| {
        let config = clean(&format!(
            "{}litellm_settings: {{drop_params: {general}}}\nziggurat: {{loss_policy: {ours}}}\n",
            with_params(&format!("drop_params: {own}"))
        ));
        config.loss_policy(&config.deployments[0])
    };
    assert_eq!(policy("null", "null", "null"), LossPolicy::Default);
    assert_eq!(policy("null", "null", "true"), LossPolicy::Allow);
    assert_eq!(policy("null", "null", "false"), LossPolicy::Refuse);
    assert_eq!(policy("null", "default", "true"), LossPolicy::Default);
    assert_eq!(policy("null", "allow", "false"), LossPolicy::Allow);
    assert_eq!(policy("false", "allow", "true"), LossPolicy::Refuse);
}

#[test]
fn litellms_timeouts_hold_before_ours() {
    let seconds = |params: &str, rest: &str, streamed: bool| {
        let config = clean(&format!(
            "{}ziggurat: {{timeouts: {{first_content: 1, idle: 2, attempt: 3}}}}\n{rest}",
            with_params(params)
        ));
        let timeouts = config.timeouts(&config.deployments[0], streamed);
        [timeouts.first_content, timeouts.idle, timeouts.attempt].map(|time| time.as_secs())
    };
    let general = "litellm_settings: {request_timeout: 30}\n";
    assert_eq!(seconds("", "", false), [1, 2, 3]);
    assert_eq!(seconds("", "", true), [1, 2, 3]);
    assert_eq!(seconds("", general, false), [30, 2, 30]);
    assert_eq!(seconds("", general, true), [30, 30, 3]);
    assert_eq!(seconds("timeout: 10", general, false), [10, 2, 10]);
    assert_eq!(seconds("timeout: 10", general, true), [10, 10, 3]);
    assert_eq!(seconds("timeout: 10\nstream_timeout: 5", general, true), [5, 5, 3]);
    assert_eq!(seconds("timeout: 10\nstream_timeout: 5", general, false), [10, 2, 10]);
}

#[test]
fn a_deployment_can_report_at_its_place() {
    let problem = deployment("").problem("the provider is not known");
    assert_eq!(
        problem.to_string(),
        "config.yaml:4:14: model_list[0].litellm_params.model: the provider is not known"
    );
}
