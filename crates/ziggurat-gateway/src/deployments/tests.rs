use ziggurat_core::{Meter, NanoDollars, ServiceTier};

use super::*;
use crate::config;

fn makers(text: &str, env: &[(&str, &str)]) -> Vec<Result<(Maker, Vec<String>), String>> {
    let env: HashMap<String, String> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env).unwrap();
    let (shared, _) = Shared::new(&config, &env, &Registries::new());
    let made = |entry| match Maker::new(entry, &shared) {
        Ok((maker, warnings)) => Ok((maker, warnings.iter().map(ToString::to_string).collect())),
        Err(Fault::Wrong(problem)) => Err(format!("wrong: {problem}")),
        Err(Fault::Unsupported(problem)) => Err(format!("unsupported: {problem}")),
    };
    config.deployments.iter().map(made).collect()
}

/// The deployment behind the only entry.
fn deployment(params: &str, rest: &str, env: &[(&str, &str)]) -> Deployment {
    let text = format!("model_list: [{{model_name: m, litellm_params: {{{params}}}{rest}}}]");
    let (maker, warnings) = makers(&text, env).remove(0).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let found = ziggurat_providers::resolve(&maker.entry.model).unwrap();
    maker.deployment(&found.provider, found.model).unwrap().0
}

fn complaint(params: &str, env: &[(&str, &str)]) -> String {
    let text = format!("model_list: [{{model_name: m, litellm_params: {{{params}}}}}]");
    match makers(&text, env).remove(0) {
        Ok((_, warnings)) => warnings.join("\n"),
        Err(error) => error,
    }
}

const KEY: &[(&str, &str)] = &[("OPENAI_API_KEY", "sk-env"), ("ANTHROPIC_API_KEY", "sk-env")];

#[test]
fn what_is_configured_reaches_the_deployment() {
    let made = deployment(
        "model: openai/gpt-4o, api_base: 'http://h:1', api_key: sk-own, organization: org, \
         temperature: 0.5, extra_body: {a: {b: 1}}, headers: {X-Extra: e}, drop_params: true, \
         additional_drop_params: [seed], allowed_openai_params: [top_k]",
        ", model_info: {id: my-id, max_output_tokens: 99, supports_reasoning: false}",
        &[],
    );
    assert_eq!(made.id, "my-id");
    assert_eq!(made.dialect, OPENAI);
    assert_eq!(made.model.as_deref(), Some("gpt-4o"));
    assert_eq!(made.loss_policy, ziggurat_core::LossPolicy::Allow);
    assert_eq!(made.defaults[0].0, "temperature");
    assert_eq!(made.defaults[0].1.get(), "0.5");
    assert_eq!(made.extra_body[0].1.get(), r#"{"b":1}"#);
    assert_eq!((made.dropped.len(), made.allowed.len()), (1, 1));
    assert_eq!(made.headers()["openai-organization"], "org");
    assert_eq!(made.headers()["x-extra"], "e");
    assert_eq!(made.capabilities.max_output, Some(99));
    assert!(!made.capabilities.reasoning);
    assert!(!format!("{made:?}").contains("sk-own"));
}

#[test]
fn prices_come_from_the_catalogue_and_the_file_wins() {
    let plain = deployment("model: openai/gpt-4o-mini", "", KEY).price.unwrap();
    assert_eq!(plain.rate(Meter::Input), Some(NanoDollars(150_000_000)));
    let given = deployment(
        "model: openai/gpt-4o-mini, input_cost_per_token: 0.000001",
        ", model_info: {cache_read_input_token_cost: 5e-7, output_cost_per_token_flex: 1.25e-07}",
        KEY,
    );
    let given = given.price.unwrap();
    let flex = given.rate_for(Meter::Output, 1, Some(ServiceTier::Flex));
    assert_eq!(flex, Some((Meter::Output, NanoDollars(125_000_000))));
    assert_eq!(given.rate(Meter::Input), Some(NanoDollars(1_000_000_000)));
    assert_eq!(given.rate(Meter::CacheRead), Some(NanoDollars(500_000_000)));
    assert_eq!(given.rate(Meter::Output), plain.rate(Meter::Output));
    let based =
        deployment("model: openai/my-tuned", ", model_info: {base_model: gpt-4o-mini}", KEY);
    assert_eq!(based.price, Some(plain));
    assert_eq!(deployment("model: openai/unheard-of", "", KEY).price, None);
}

#[test]
fn a_missing_key_is_said_where_one_is_needed() {
    let expected = "config.yaml:1:54: model_list[0].litellm_params.model: there is no key for \
                    OpenAI: set `api_key` or OPENAI_API_KEY";
    assert_eq!(complaint("model: openai/gpt-4o", &[]), expected);
    assert_eq!(complaint("model: openai/gpt-4o", KEY), "");
    assert_eq!(complaint("model: openai/gpt-4o, api_key: k", &[]), "");
    assert_eq!(complaint("model: openai/m, api_base: 'http://localhost:1'", &[]), "");
    assert_eq!(complaint("model: openai/m, mock_response: hi", &[]), "");
    assert_eq!(complaint("model: mock/echo", &[]), "");
}

#[test]
fn a_model_that_nobody_serves_is_an_error_and_one_that_we_cannot_serve_yet_a_warning() {
    let wrong = complaint("model: opnai/gpt-4o", &[]);
    assert!(
        wrong.starts_with("wrong: config.yaml:1:54: model_list[0].litellm_params.model: "),
        "{wrong}"
    );
    assert!(wrong.contains("did you mean `openai/gpt-4o`?"), "{wrong}");
    let unsupported = complaint("model: sagemaker/jumpstart", &[]);
    assert!(unsupported.starts_with("unsupported: "), "{unsupported}");
    assert!(unsupported.ends_with("this model is not served"), "{unsupported}");
}

#[test]
fn the_provider_may_stand_apart_from_the_model() {
    for params in [
        "model: x, custom_llm_provider: anthropic",
        "model: anthropic/x, custom_llm_provider: anthropic",
    ] {
        let text = format!("model_list: [{{model_name: m, litellm_params: {{{params}}}}}]");
        let (maker, _) = makers(&text, KEY).remove(0).unwrap();
        let endpoint = maker.fixed.unwrap();
        assert_eq!(endpoint.set().model.as_deref(), Some("x"));
        assert!(endpoint.service().counts());
    }
}

#[test]
fn an_address_that_is_none_is_an_error() {
    let env = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "not a url")];
    let wrong = complaint("model: openai/gpt-4o", &env);
    assert!(wrong.contains("the provider's address is no URL"), "{wrong}");
    let wrong = complaint("model: hosted_vllm/m", &[]);
    assert!(wrong.contains("set `api_base` or HOSTED_VLLM_API_BASE"), "{wrong}");
    let text = "model_list: [{model_name: 'v/*', litellm_params: {model: 'hosted_vllm/*'}}]";
    assert!(makers(text, &[]).remove(0).is_err());
}

// === Bedrock ===

/// The only entry's region and address, and whether its requests are signed.
fn bedrock(params: &str, env: &[(&str, &str)]) -> (String, String, bool) {
    let text = format!("model_list: [{{model_name: m, litellm_params: {{{params}}}}}]");
    let (maker, warnings) = makers(&text, env).remove(0).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let found = ziggurat_providers::resolve(&maker.entry.model).unwrap();
    let (deployment, credentials) = maker.deployment(&found.provider, found.model).unwrap();
    let around = maker.region();
    let place = bedrock::Place::of(&maker.entry, found.model, around.as_deref()).unwrap();
    assert_eq!(deployment.model.as_deref(), Some(place.model));
    (place.region, place.address, credentials.is_some())
}

#[test]
fn bedrocks_models_are_in_the_region_that_is_named_and_asked_for_with_a_signature() {
    let plain = "https://bedrock-runtime.eu-west-1.amazonaws.com";
    let arn = "bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-x";
    for (params, env) in [
        ("model: bedrock/anthropic.claude-x, aws_region_name: eu-west-1".to_owned(), &[][..]),
        ("model: bedrock/anthropic.claude-x, region_name: eu-west-1".to_owned(), &[]),
        ("model: bedrock/anthropic.claude-x".to_owned(), &[("AWS_REGION", "eu-west-1")]),
        ("model: bedrock/eu-west-1/anthropic.claude-x".to_owned(), &[("AWS_REGION", "us-east-1")]),
        ("model: bedrock/converse/anthropic.claude-x, aws_region_name: eu-west-1".to_owned(), &[]),
        (format!("model: '{arn}', aws_region_name: us-east-1"), &[]),
    ] {
        let expected = ("eu-west-1".to_owned(), plain.to_owned(), true);
        assert_eq!(bedrock(&params, env), expected, "{params}");
    }
    let own = "model: bedrock/m, aws_region_name: eu-west-1, \
               aws_bedrock_runtime_endpoint: 'http://127.0.0.1:9/'";
    let (region, address, signed) = bedrock(own, &[]);
    assert_eq!((&*region, &*address, signed), ("eu-west-1", "http://127.0.0.1:9", true));
}

#[test]
fn a_key_of_bedrocks_own_is_sent_and_nothing_signed() {
    let token = [("AWS_BEARER_TOKEN_BEDROCK", "ABSK"), ("AWS_REGION", "us-east-1")];
    assert!(!bedrock("model: bedrock/m", &token).2);
    assert!(!bedrock("model: bedrock/m, api_key: ABSK, aws_region_name: us-east-1", &[]).2);
}

#[test]
fn what_is_missing_for_bedrock_is_said() {
    let said = complaint("model: bedrock/m", &[]);
    assert!(
        said.ends_with(
            "the region of Bedrock is not known: set `aws_region_name` or AWS_REGION_NAME or \
             AWS_REGION or AWS_DEFAULT_REGION"
        ),
        "{said}"
    );
    let half = "model: bedrock/m, aws_region_name: us-east-1, aws_access_key_id: AKID";
    assert!(complaint(half, &[]).ends_with("`aws_access_key_id` needs `aws_secret_access_key`"));
    let token = "model: bedrock/m, aws_region_name: us-east-1, aws_web_identity_token: eyJ";
    assert!(complaint(token, &[]).contains("needs `aws_role_name`"));
}
