use std::collections::HashSet;

use ziggurat_dialects::{ANTHROPIC, OPENAI};

use super::*;
use crate::Catalogue;

#[test]
fn prefixes_are_unique_and_in_order() {
    let unsupported = Providers::builtin().unsupported();
    let prefixes: Vec<_> = providers().iter().map(Provider::prefix).collect();
    assert!(prefixes.is_sorted() && unsupported.is_sorted_by_key(|row| row.prefix.as_str()));
    let mut seen = HashSet::new();
    for prefix in prefixes.into_iter().chain(unsupported.iter().map(|row| row.prefix.as_str())) {
        assert!(seen.insert(prefix), "{prefix} is there twice");
        assert!(!prefix.contains('/') && !prefix.is_empty());
    }
}

#[test]
fn addresses_are_https_but_for_this_machine() {
    for provider in providers() {
        let Ok(address) = provider.address(|name| {
            let is_base = provider.base_names().iter().any(|base| base == name);
            (!is_base).then(|| "a1".to_owned())
        }) else {
            assert_eq!(provider.base_url(), None, "{}", provider.prefix());
            continue;
        };
        let uri: http::Uri = address.parse().unwrap();
        let local = matches!(uri.host(), Some("localhost" | "127.0.0.1"));
        let scheme = if local { "http" } else { "https" };
        assert_eq!(uri.scheme_str(), Some(scheme), "{address}");
        assert!(uri.query().is_none() && !address.ends_with('/'), "{address}");
        assert!(!address.contains(['{', '}']), "{address}");
    }
}

/// Or calls would be made that nobody is billed for.
#[test]
fn how_a_model_is_called_does_not_change_what_it_costs() {
    let catalogue = Catalogue::builtin();
    let mut found = 0;
    for provider in providers() {
        let prefix = provider.prefix();
        for strip in provider.0.also.iter().map(|also| &also.strip).filter(|s| !s.is_empty()) {
            for name in catalogue.names(prefix) {
                let routed = format!("{strip}{name}");
                assert_eq!(
                    catalogue.find(prefix, &routed),
                    catalogue.find(prefix, name),
                    "{routed}"
                );
                found += 1;
            }
        }
    }
    assert!(found > 100, "{found}");
    assert!(crate::price("openai", "responses/gpt-4o").is_some());
    assert!(crate::price("azure", "responses/gpt-4o-2024-08-06").is_some());
}

#[test]
fn variables_are_names_of_variables() {
    for provider in providers() {
        // What an entry of a configuration says fills gaps, too.
        let of_entries = ["api_version", "vertex_project", "vertex_location"];
        for name in provider.variables().filter(|name| !of_entries.contains(&name.as_str())) {
            let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            assert!(!name.is_empty() && name.chars().all(fits), "{name}");
        }
        assert!(!provider.name().is_empty());
    }
}

#[test]
fn rows_are_sound() {
    for provider in providers() {
        assert_eq!(provider.0.fault(), None);
        for names in provider.0.fill.values() {
            assert!(!names.is_empty(), "{}", provider.prefix());
        }
    }
}

#[test]
fn the_configuration_adds_providers_and_replaces_them() {
    let rows = r#"[
        {"prefix": "groq", "dialect": "anthropic", "base_url": "http://h:1"},
        {"prefix": "lab", "dialect": "openai", "base_url": "https://{zone}.lab.example/v1",
         "fill": {"zone": ["LAB_ZONE", "=eu"]}, "names": ["lab-*"], "auth": "x-lab-key: {key}",
         "headers": {"x-zone": "{zone}"}, "query": {"v": "{zone}-2"},
         "paths": {"chat": "/{zone}/m/{model}"}, "quirks": {"drop": ["user"]},
         "also": [{"models": ["claude-*"], "dialect": "anthropic", "below": "/a"}]}
    ]"#;
    let all = Providers::builtin().with(rows).unwrap();
    assert_eq!(all.as_slice().len(), providers().len() + 1);
    assert_eq!(all.get("groq").unwrap().dialect(), ANTHROPIC);
    let lab = all.resolve("lab-1").unwrap().provider;
    assert_eq!((lab.name(), lab.prefix()), ("lab", "lab"));
    let place = lab.place("m", None, |_| None).unwrap();
    assert_eq!(place.address, "https://eu.lab.example/v1");
    assert_eq!(place.variant.paths.chat.unwrap(), "/eu/m/{model}");
    assert_eq!(place.variant.query, [("v".into(), "eu-2".into())]);
    assert_eq!(place.variant.headers[0].1, "eu");
    assert!(place.variant.key.is_some() && !place.variant.quirks.is_empty());
    let env = |name: &str| (name == "LAB_ZONE").then(|| "us".to_owned());
    let claude = lab.place("claude-x", Some("http://h:1/"), env).unwrap();
    assert_eq!((claude.address.as_str(), claude.variant.dialect), ("http://h:1/a", ANTHROPIC));
    assert!(claude.variant.key.is_none() && claude.variant.quirks.is_empty());
}

#[test]
fn what_is_no_provider_is_refused_with_a_reason() {
    for (rows, why) in [
        ("{}", "expected a sequence"),
        (r#"[{"prefix": "x"}]"#, "missing field `dialect`"),
        (r#"[{"prefix": "a/b", "dialect": "openai"}]"#, "no prefix"),
        (r#"[{"prefix": "x", "dialect": "latin"}]"#, "no dialect `latin`"),
        (r#"[{"prefix": "x", "dialect": "openai", "url": ""}]"#, "unknown field `url`"),
        (r#"[{"prefix": "x", "dialect": "openai", "auth": "k"}]"#, "`name: {key}`"),
        (r#"[{"prefix": "x", "dialect": "openai", "quirks": {"a": 1}}]"#, "unknown field `a`"),
        (r#"[{"prefix": "x", "dialect": "openai", "headers": {"a b": ""}}]"#, "header `a b`"),
    ] {
        let error = Providers::builtin().with(rows).unwrap_err().to_string();
        assert!(error.contains(why), "{rows}: {error}");
    }
}

#[test]
fn azure_is_where_its_address_and_version_say() {
    let azure = provider("azure").unwrap();
    let place = |base: &str, version: Option<&str>| {
        let env = |name: &str| version.filter(|_| name == "api_version").map(str::to_owned);
        let place = azure.place("d", Some(base), env).unwrap();
        let path = place.variant.paths.chat.map_or_else(String::new, |path| path.to_string());
        let query = place.variant.query.iter().map(|(name, value)| format!("{name}={value}"));
        (place.address, path, query.collect::<Vec<_>>().join("&"))
    };
    let deployment = "/openai/deployments/{model}/chat/completions";
    for (base, version, address, path, query) in [
        ("https://r/", Some("2024-10-21"), "https://r", deployment, "api-version=2024-10-21"),
        ("https://r", None, "https://r", deployment, "api-version=2025-02-01-preview"),
        ("https://r/openai", Some("1"), "https://r", deployment, "api-version=1"),
        ("https://r/openai/v1/", Some("2024-10-21"), "https://r/openai/v1", "", ""),
        ("https://r/openai/v1/chat/completions", None, "https://r/openai/v1", "", ""),
        ("https://r", Some("v1"), "https://r/openai/v1", "", ""),
        ("https://r", Some("preview"), "https://r/openai/v1", "", "api-version=preview"),
        (
            "https://r/openai/deployments/x/chat/completions",
            Some("1"),
            "https://r/openai/deployments/x",
            "/chat/completions",
            "api-version=1",
        ),
    ] {
        let expected = (address.to_owned(), path.to_owned(), query.to_owned());
        assert_eq!(place(base, version), expected, "{base} {version:?}");
    }
}

#[test]
fn azures_other_models_are_where_their_address_says() {
    let foundry = provider("azure_ai").unwrap();
    let place = |model: &str, base: &str| foundry.place(model, Some(base), |_| None).unwrap();
    for base in [
        "https://r.services.ai.azure.com",
        "https://r.services.ai.azure.com/models",
        "https://r.services.ai.azure.com/models/chat/completions",
    ] {
        let place = place("grok", base);
        assert_eq!(place.address, "https://r.services.ai.azure.com");
        assert_eq!(place.variant.paths.chat.unwrap(), "/models/chat/completions");
        assert_eq!(place.variant.query.len(), 1);
    }
    let claude = place("claude-sonnet-5", "https://r.services.ai.azure.com");
    assert_eq!(claude.address, "https://r.services.ai.azure.com/anthropic");
    assert_eq!(claude.variant.dialect, ANTHROPIC);
    let serverless = place("m", "https://m.eastus.models.ai.azure.com");
    assert_eq!(serverless.address, "https://m.eastus.models.ai.azure.com/v1");
    assert!(serverless.variant.query.is_empty() && serverless.variant.paths.chat.is_none());
    let openai = place("d", "https://r.openai.azure.com");
    assert_eq!(openai.variant.paths.chat.unwrap(), "/openai/deployments/{model}/chat/completions");
}

#[test]
fn a_dialect_is_the_one_that_is_named() {
    assert_eq!(provider("anthropic").unwrap().dialect(), ANTHROPIC);
    assert_eq!(provider("groq").unwrap().dialect(), OPENAI);
    let row = r#"{"prefix": "x", "name": "X", "dialect": "latin"}"#;
    let error = serde_json::from_str::<Row>(row).unwrap_err().to_string();
    assert!(error.contains("no dialect `latin`"), "{error}");
}

#[test]
fn the_environment_may_move_a_provider_and_alternates_hold_its_key() {
    let openai = provider("openai").unwrap();
    let env = |name: &str| match name {
        "OPENAI_BASE_URL" => Some(String::new()),
        "OPENAI_API_BASE" => Some("http://localhost:1/v1".to_owned()),
        _ => None,
    };
    assert_eq!(openai.address(env).unwrap(), "http://localhost:1/v1");
    assert_eq!(openai.address(|_| None).unwrap(), "https://api.openai.com/v1");
    assert!(openai.key(env).is_none());

    let together = provider("together_ai").unwrap();
    let key = together.key(|name| (name == "TOGETHER_API_KEY").then(|| "k".to_owned()));
    assert_eq!(key.unwrap().expose(), "k");
}

#[test]
fn a_missing_address_says_what_to_set() {
    let error = provider("hosted_vllm").unwrap().address(|_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "provider `hosted_vllm` needs an address: set `api_base` or HOSTED_VLLM_API_BASE"
    );
    let error = provider("bedrock_mantle").unwrap().address(|_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "provider `bedrock_mantle` needs an address: set `api_base` or AWS_REGION_NAME or AWS_REGION"
    );
}
