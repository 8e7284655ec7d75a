//! Where the configuration comes from: a file, a model on the command line, or the environment.
//!
//! A model on the command line, and the providers whose keys are in the environment, are written
//! down as the configuration that they stand for, so that one reader, with its checks and messages,
//! serves all three.

use serde_json::{Map, Value, json};
use ziggurat_providers::{Provider, providers};

use crate::cli::Serve;
use crate::config::{self, Config, Environment, Problem, Report};
use crate::mock;

/// The name under which what stands on the command line is reported.
const COMMAND_LINE: &str = "command line";
/// The name under which what follows from the environment is reported.
const ENVIRONMENT: &str = "environment";

/// Reads the configuration that the command line asks for.
///
/// Blocks while it reads files.
///
/// # Errors
///
/// Returns all that is wrong, when anything is.
pub fn read(serve: &Serve, env: &dyn Environment) -> Result<(Config, Vec<Problem>), Report> {
    let (mut config, problems) = match (&serve.config, &serve.model) {
        (Some(file), _) => config::load(file, env)?,
        (None, Some(model)) => parse(COMMAND_LINE, &one_model(serve, model), env)?,
        (None, None) => parse(ENVIRONMENT, &everything(env), env)?,
    };
    if config.general.infer_model_from_keys {
        infer(&mut config, env)?;
    }
    if serve.drop_params {
        config.litellm.drop_params = Some(true);
    }
    if let Some(seconds) = serve.request_timeout {
        // Longer than any clock goes is without end, which the limit of the attempt still bounds.
        config.litellm.request_timeout = std::time::Duration::try_from_secs_f64(seconds).ok();
    }
    Ok((config, problems))
}

/// Offers the models of every provider whose key is in the environment, besides those of the file.
fn infer(config: &mut Config, env: &dyn Environment) -> Result<(), Report> {
    let overlay = config.variables.over(env);
    let list: Vec<Value> = reachable(&overlay)
        .into_iter()
        .map(wildcard)
        .filter(|entry| {
            !config.deployments.iter().any(|known| known.model_name == entry["model_name"])
        })
        .collect();
    let (inferred, _) = parse(ENVIRONMENT, &json!({ "model_list": list }), &overlay)?;
    config.deployments.extend(inferred.deployments);
    Ok(())
}

fn parse(
    name: &str,
    document: &Value,
    env: &dyn Environment,
) -> Result<(Config, Vec<Problem>), Report> {
    // JSON is YAML.
    config::parse(document.to_string().as_bytes(), name, env)
}

/// One model, whatever callers ask for.
fn one_model(serve: &Serve, model: &str) -> Value {
    let mut params = Map::new();
    params.insert("model".to_owned(), model.into());
    for (name, value) in [
        ("api_base", serve.api_base.as_ref().map(|base| Value::from(base.as_str()))),
        ("api_version", serve.api_version.as_ref().map(|version| Value::from(version.as_str()))),
        ("temperature", serve.temperature.map(Value::from)),
        ("max_tokens", serve.max_tokens.map(Value::from)),
    ] {
        params.extend(value.map(|value| (name.to_owned(), value)));
    }
    let name = serve.alias.as_deref().unwrap_or(model);
    json!({
        "model_list": [
            { "model_name": name, "litellm_params": params, "model_info": { "id": name } },
            { "model_name": "*", "litellm_params": params, "model_info": { "id": format!("{name} (any)") } },
        ]
    })
}

/// The mock models, and every provider that can be reached.
fn everything(env: &dyn Environment) -> Value {
    let mock = format!("{}/*", mock::PROVIDER);
    let mut list = vec![entry(&mock, mock::PROVIDER)];
    list.extend(reachable(env).into_iter().map(wildcard));
    if list.len() > 1 {
        // Bare names that everybody knows: `gpt-4o`, `claude-…`.
        list.push(entry("*", "any"));
    }
    json!({ "model_list": list })
}

fn wildcard(provider: &Provider) -> Value {
    entry(&format!("{}/*", provider.prefix()), provider.prefix())
}

fn entry(name: &str, id: &str) -> Value {
    json!({ "model_name": name, "litellm_params": { "model": name }, "model_info": { "id": id } })
}

/// The providers whose key is in the environment, and those without a key whose address is. Of
/// several names for the same provider the shortest.
pub(crate) fn reachable(env: &dyn Environment) -> Vec<&'static Provider> {
    let is_set = |name: &str| env.var(name).ok().filter(|value| !value.is_empty());
    let mut found: Vec<&'static Provider> = Vec::new();
    for provider in providers() {
        let has_key = provider.key(is_set).is_some();
        let has_address = provider.base_names().iter().any(|name| is_set(name).is_some());
        let keyless = provider.key_names().is_empty() && has_address;
        let Ok(address) = provider.address(is_set) else { continue };
        // Models that converse stand under their own provider's name.
        let converses = provider.dialect_name() != "completions";
        if !converses || (!has_key && !keyless) {
            continue;
        }
        let same = |other: &&&'static Provider| {
            other.dialect_name() == provider.dialect_name()
                && other.key_names() == provider.key_names()
                && other.address(is_set).is_ok_and(|other| other == address)
        };
        match found.iter().position(|other| same(&other)) {
            Some(at) if found[at].prefix().len() > provider.prefix().len() => found[at] = provider,
            Some(_) => {}
            None => found.push(provider),
        }
    }
    found.sort_by_key(|provider| provider.prefix());
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn env<const N: usize>(variables: [(&str, &str); N]) -> HashMap<String, String> {
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn names(config: &Config) -> Vec<&str> {
        config.deployments.iter().map(|deployment| deployment.model_name.as_str()).collect()
    }

    #[test]
    fn nothing_set_serves_the_mock() {
        let (config, problems) = read(&Serve::default(), &env([])).unwrap();
        assert!(problems.is_empty());
        assert_eq!(names(&config), ["mock/*"]);
    }

    #[test]
    fn every_provider_whose_key_is_set_is_served() {
        let env = env([
            ("OPENAI_API_KEY", "sk-1"),
            ("ANTHROPIC_API_KEY", "sk-2"),
            ("GROQ_API_KEY", ""),
            ("LITELLM_MASTER_KEY", "sk-3"),
        ]);
        let (config, _) = read(&Serve::default(), &env).unwrap();
        assert_eq!(names(&config), ["mock/*", "anthropic/*", "openai/*", "*"]);
        assert_eq!(config.general.master_key.as_ref().map(|key| key.expose()), Some("sk-3"));
        assert_eq!(config.deployments[1].id, "anthropic");
    }

    #[test]
    fn a_model_on_the_command_line_answers_every_call() {
        let serve = Serve {
            model: Some("gpt-4o".to_owned()),
            alias: Some("fast".to_owned()),
            api_base: Some("http://localhost:1/v1".to_owned()),
            temperature: Some(0.5),
            max_tokens: Some(10),
            drop_params: true,
            request_timeout: Some(30.0),
            ..Serve::default()
        };
        let (config, problems) = read(&serve, &env([])).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(names(&config), ["fast", "*"]);
        for deployment in &config.deployments {
            assert_eq!(deployment.model, "gpt-4o");
            assert_eq!(deployment.api_base.as_deref(), Some("http://localhost:1/v1"));
            assert_eq!(deployment.defaults.get("temperature"), Some(&json!(0.5)));
            assert_eq!(deployment.defaults.get("max_tokens"), Some(&json!(10)));
        }
        assert_eq!(config.litellm.drop_params, Some(true));
        assert_eq!(config.litellm.request_timeout.map(|t| t.as_secs()), Some(30));
    }

    #[test]
    fn what_is_wrong_on_the_command_line_is_said_like_anything_else() {
        let serve = Serve {
            model: Some("gpt-4o".to_owned()),
            api_base: Some("nowhere".to_owned()),
            ..Serve::default()
        };
        let report = read(&serve, &env([])).unwrap_err().to_string();
        assert!(report.contains("command line:1:"), "{report}");
        assert!(report.contains("model_list[0].litellm_params.api_base"), "{report}");
    }

    #[test]
    fn a_file_may_ask_for_the_environments_providers_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "model_list:\n  - model_name: openai/*\n    litellm_params: {model: openai/*}\n\
                    general_settings: {infer_model_from_keys: true}\n\
                    environment_variables: {GROQ_API_KEY: g}\n";
        std::fs::write(file.path(), text).unwrap();
        let serve = Serve { config: Some(file.path().to_owned()), ..Serve::default() };
        let (config, _) = read(&serve, &env([("OPENAI_API_KEY", "sk-1")])).unwrap();
        assert_eq!(names(&config), ["openai/*", "groq/*"]);
    }
}
