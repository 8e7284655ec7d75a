//! What a configuration asks for that is read and has no effect yet, or that will surprise.

use std::collections::HashMap;

use crate::config::{Config, DeploymentConfig, Problem};

/// Everything there is to say about a configuration that can be used.
pub(crate) fn of(config: &Config) -> Vec<Problem> {
    let mut notes = Vec::new();
    let mut groups: HashMap<&str, u32> = HashMap::new();
    for entry in &config.deployments {
        notes.extend(unsupported(entry).into_iter().map(|key| entry.unsupported(key)));
        let earlier = groups.entry(&entry.model_name).or_default();
        *earlier += 1;
        // Once for each group.
        if *earlier == 2 {
            let message = format!(
                "several deployments have the name `{}`: they take turns, whatever their weights \
                 and limits",
                entry.model_name
            );
            notes.push(entry.problem(message));
        }
        if entry.info.mode.as_deref().is_some_and(|mode| !matches!(mode, "chat" | "responses")) {
            notes.push(entry.problem("only chat is served yet, whatever the mode of the model"));
        }
    }
    notes
}

fn unsupported(entry: &DeploymentConfig) -> Vec<&'static str> {
    [
        ("api_version", entry.api_version.is_some()),
        ("max_retries", entry.max_retries.is_some()),
        ("rpm", entry.rpm.is_some()),
        ("tpm", entry.tpm.is_some()),
        ("weight", entry.weight.is_some()),
        ("order", entry.order.is_some()),
        ("tags", !entry.tags.is_empty()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect()
}

/// Puts problems into the order of the files and their lines.
pub(crate) fn sort(config: &Config, problems: &mut [Problem]) {
    let rank = |problem: &Problem| {
        config.files.iter().position(|file| file.display().to_string() == *problem.file)
    };
    problems.sort_by_key(|problem| (rank(problem), problem.line, problem.column));
}
