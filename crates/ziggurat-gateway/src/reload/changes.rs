//! What is different about another configuration.

use std::collections::HashMap;
use std::fmt;

use crate::config::{Config, DeploymentConfig, Place};

/// More ids than these are counted in a line of the log.
const MOST: usize = 10;

/// What is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// The ids of the deployments that are new.
    pub added: Vec<String>,
    /// Of those that are gone.
    pub removed: Vec<String>,
    /// Of those that are different.
    pub changed: Vec<String>,
    /// How many are as they were.
    pub kept: usize,
    /// The keys of what has changed since the process was started, and takes a restart.
    pub restart: Vec<&'static str>,
}

impl Changes {
    /// What is different after `before`. `started` is what the process was started with.
    #[must_use]
    pub fn between(before: &Config, after: &Config, started: &Config) -> Self {
        let by_id = |config: &Config| -> HashMap<String, DeploymentConfig> {
            config.deployments.iter().map(|entry| (entry.id.clone(), bare(entry))).collect()
        };
        let old = by_id(before);
        let mut changes = Self { restart: restart(started, after), ..Self::default() };
        for entry in &after.deployments {
            match old.get(&entry.id) {
                None => changes.added.push(entry.id.clone()),
                Some(other) if *other == bare(entry) => changes.kept += 1,
                Some(_) => changes.changed.push(entry.id.clone()),
            }
        }
        let new = by_id(after);
        let gone = before.deployments.iter().map(|entry| &entry.id);
        changes.removed = gone.filter(|id| !new.contains_key(*id)).cloned().collect();
        changes
    }
}

/// An entry wherever it stands.
fn bare(entry: &DeploymentConfig) -> DeploymentConfig {
    let mut entry = entry.clone();
    entry.path.clear();
    entry.place = Place { file: "".into(), line: 0, column: 0 };
    entry
}

/// What the listener and the log were made of.
fn restart(started: &Config, after: &Config) -> Vec<&'static str> {
    let (old, new) = (&started.ziggurat, &after.ziggurat);
    [
        ("litellm_settings.json_logs", started.litellm.json_logs != after.litellm.json_logs),
        ("litellm_settings.set_verbose", started.litellm.set_verbose != after.litellm.set_verbose),
        (
            "ziggurat.limits.max_header_bytes",
            old.limits.max_header_bytes != new.limits.max_header_bytes,
        ),
        (
            "ziggurat.limits.header_read_timeout",
            old.limits.header_read_timeout != new.limits.header_read_timeout,
        ),
        ("ziggurat.limits.idle_timeout", old.limits.idle_timeout != new.limits.idle_timeout),
        ("ziggurat.shutdown_grace", old.shutdown_grace != new.shutdown_grace),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}

/// `2 deployments added (a, b), 1 changed (c), 14 as before`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of its deployments ")?;
        for (word, ids) in
            [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)]
        {
            if ids.is_empty() {
                continue;
            }
            write!(f, "{} {word} (", ids.len())?;
            for (at, id) in ids.iter().take(MOST).enumerate() {
                write!(f, "{}{id}", if at > 0 { ", " } else { "" })?;
            }
            f.write_str(if ids.len() > MOST { ", …), " } else { "), " })?;
        }
        write!(f, "{} as before", self.kept)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config;

    fn config(text: &str) -> Config {
        config::parse(text.as_bytes(), "config.yaml", &HashMap::new()).unwrap().0
    }

    fn entry(id: &str, model: &str) -> String {
        format!(
            "- {{model_name: m, litellm_params: {{model: {model}}}, model_info: {{id: {id}}}}}\n"
        )
    }

    #[test]
    fn deployments_are_told_apart_by_their_ids_wherever_they_stand() {
        let before = config(&format!(
            "model_list:\n{}{}{}",
            entry("a", "mock/x"),
            entry("b", "mock/x"),
            entry("c", "mock/x")
        ));
        let after = config(&format!(
            "# Another line.\nmodel_list:\n{}{}{}",
            entry("d", "mock/x"),
            entry("c", "mock/x"),
            entry("b", "mock/y")
        ));
        let changes = Changes::between(&before, &after, &before);
        assert_eq!(
            changes.to_string(),
            "of its deployments 1 added (d), 1 removed (a), 1 changed (b), 1 as before"
        );
        let nothing = Changes::between(&before, &before, &before);
        assert_eq!(nothing.to_string(), "of its deployments 3 as before");
    }

    #[test]
    fn what_takes_a_restart_is_named_as_long_as_it_differs_from_the_start() {
        let started = config("{}");
        let after = config(
            "{litellm_settings: {json_logs: true}, ziggurat: {shutdown_grace: 1s, limits: {idle_timeout: 1s}}}",
        );
        let keys = [
            "litellm_settings.json_logs",
            "ziggurat.limits.idle_timeout",
            "ziggurat.shutdown_grace",
        ];
        assert_eq!(Changes::between(&started, &after, &started).restart, keys);
        assert_eq!(Changes::between(&after, &after, &started).restart, keys);
        assert!(Changes::between(&after, &started, &started).restart.is_empty());
    }

    #[test]
    fn a_long_list_is_cut_short() {
        let changes =
            Changes { added: (0..12).map(|at| at.to_string()).collect(), ..Changes::default() };
        assert!(changes.to_string().contains("12 added (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …), "));
    }
}
