//! What a configuration asks for that is read and has no effect yet, or that will surprise.

use ziggurat_layers::route::Table;

use crate::config::{Config, DeploymentConfig, Problem, Reference, Strategy};
use crate::upstream::Upstream;

/// Everything there is to say about a configuration that can be used.
pub(crate) fn of(config: &Config, table: &Table<Upstream>) -> Vec<Problem> {
    let mut notes = Vec::new();
    for entry in &config.deployments {
        notes.extend(unsupported(entry).into_iter().map(|key| entry.unsupported(key)));
        if entry.info.mode.as_deref().is_some_and(|mode| !matches!(mode, "chat" | "responses")) {
            notes.push(entry.problem("only chat is served yet, whatever the mode of the model"));
        }
    }
    notes.extend(alone(config));
    notes.extend(unserved(config, table));
    notes
}

fn unsupported(entry: &DeploymentConfig) -> Vec<&'static str> {
    [("api_version", entry.api_version.is_some())]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect()
}

/// Settings that need others.
fn alone(config: &Config) -> Vec<Problem> {
    let router = &config.router;
    let checks = router.optional_checks;
    [
        (
            router.health_check_routing && !config.general.background_health_checks,
            "enable_health_check_routing",
            "general_settings.background_health_checks",
        ),
        (
            router.strategy_args.ttl.is_some() && router.strategy != Strategy::Latency,
            "routing_strategy_args.ttl",
            "routing_strategy: latency-based-routing",
        ),
        (
            router.affinity_ttl.is_some()
                && !checks.session_affinity
                && !checks.deployment_affinity,
            "deployment_affinity_ttl_seconds",
            "session_affinity or deployment_affinity among optional_pre_call_checks",
        ),
        (
            router.tags_match_any.is_some() && !router.tag_filtering,
            "tag_filtering_match_any",
            "enable_tag_filtering",
        ),
    ]
    .into_iter()
    .filter(|(given, ..)| *given)
    .map(|(_, key, needed)| {
        config.problem(&format!("router_settings.{key}"), format!("has no effect without {needed}"))
    })
    .collect()
}

/// References to models that nobody serves.
fn unserved(config: &Config, table: &Table<Upstream>) -> Vec<Problem> {
    let mut notes = Vec::new();
    let mut check = |reference: &Reference| {
        if !is_served(table, &reference.name) {
            let name: String = reference.name.chars().take(80).collect();
            let message = format!("there is no model, pattern or alias of the name `{name}`");
            notes.push(reference.problem(message));
        }
    };
    let fallbacks = config.fallbacks();
    for rule in fallbacks.rules() {
        if rule.of.name != "*" {
            check(&rule.of);
        }
        rule.models.iter().for_each(&mut check);
    }
    fallbacks.default.iter().flatten().for_each(&mut check);
    config.router.aliases.iter().for_each(|alias| check(&alias.model));
    config.router.model_group_retry_policy.iter().for_each(|(model, _)| check(model));
    config.ziggurat.disconnect.models.iter().for_each(|(model, _)| check(model));
    config.ziggurat.rate_limits.models.iter().for_each(|(model, _)| check(model));
    notes
}

/// Whether this names something. That a pattern fits is enough: what is behind it is found out when it is asked.
fn is_served(table: &Table<Upstream>, name: &str) -> bool {
    let fits = |name: &str| !matches!(table.find(name), Ok(None));
    // A provider's prefix may be left out of what a rule is for, or stand there although no name has it.
    fits(name) || name.split_once('/').is_some_and(|(_, bare)| fits(bare))
}

/// Puts problems into the order of the files and their lines.
pub(crate) fn sort(config: &Config, problems: &mut [Problem]) {
    let rank = |problem: &Problem| {
        config.files.iter().position(|file| file.display().to_string() == *problem.file)
    };
    problems.sort_by_key(|problem| (rank(problem), problem.line, problem.column));
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config;
    use crate::deployments::{Maker, Shared, catalogue};
    use crate::registries::Registries;

    fn notes(text: &str) -> Vec<String> {
        let (config, _) =
            config::parse(text.as_bytes(), "config.yaml", &HashMap::new()).expect("is right");
        let (env, registries) = (HashMap::new(), Registries::new());
        let (shared, _) = Shared::new(&config, &env, &registries);
        let makers = config.deployments.iter().map(|entry| Maker::new(entry, &shared).unwrap().0);
        let catalogue = catalogue(&config, makers.collect(), &registries, 0);
        let mut notes = of(&config, catalogue.table());
        sort(&config, &mut notes);
        notes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_model_that_nobody_serves_is_told_where_it_is_named() {
        let text = "model_list:
  - {model_name: a, litellm_params: {model: mock/echo}}
  - {model_name: mock/*, litellm_params: {model: mock/*}}
router_settings:
  fallbacks:
    - a: [b, mock/x, alias]
    - '*': [a]
    - nobody: [a]
  context_window_fallbacks: [{a: [larger]}]
  default_fallbacks: [last]
  model_group_alias: {alias: a, dangling: nowhere}
  model_group_retry_policy: {other: {}}
ziggurat:
  disconnect: {models: {gone: drain}}
  rate_limits: {models: {away: {rpm: 1}}}
";
        let told = notes(text);
        let expected: Vec<String> = [
            ("6:11", "router_settings.fallbacks[0].a[0]", "b"),
            ("8:7", "router_settings.fallbacks[2]", "nobody"),
            ("9:35", "router_settings.context_window_fallbacks[0].a[0]", "larger"),
            ("10:23", "router_settings.default_fallbacks[0]", "last"),
            ("11:43", "router_settings.model_group_alias.dangling", "nowhere"),
            ("12:30", "router_settings.model_group_retry_policy.other", "other"),
            ("14:25", "ziggurat.disconnect.models.gone", "gone"),
            ("15:26", "ziggurat.rate_limits.models.away", "away"),
        ]
        .iter()
        .map(|(place, path, name)| {
            format!(
                "config.yaml:{place}: {path}: there is no model, pattern or alias of the name `{name}`"
            )
        })
        .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_setting_that_does_nothing_by_itself_is_told() {
        let told = notes(
            "router_settings:
  enable_health_check_routing: true
  routing_strategy_args: {ttl: 5}
  deployment_affinity_ttl_seconds: 5
  tag_filtering_match_any: true
",
        );
        let keys = [
            "enable_health_check_routing",
            "routing_strategy_args.ttl",
            "deployment_affinity_ttl_seconds",
            "tag_filtering_match_any",
        ];
        assert_eq!(told.len(), keys.len(), "{told:?}");
        for (told, key) in told.iter().zip(keys) {
            assert!(told.contains(key) && told.contains("has no effect without"), "{told}");
        }
        let with_others = "general_settings: {background_health_checks: true}
router_settings:
  enable_health_check_routing: true
  routing_strategy: latency-based-routing
  routing_strategy_args: {ttl: 5}
  optional_pre_call_checks: [session_affinity]
  deployment_affinity_ttl_seconds: 5
  enable_tag_filtering: true
  tag_filtering_match_any: true
";
        assert!(notes(with_others).is_empty());
    }
}
