//! The promises of the configuration reader.

mod files;
mod hostile;
mod models;
mod realistic;
mod sections;
mod syntax;
mod traffic;

use std::collections::HashMap;

use super::{Config, Environment, Problem, Report, parse};

/// An environment of a few variables.
fn env<const N: usize>(variables: [(&str, &str); N]) -> HashMap<String, String> {
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Reads a text in an empty environment.
fn read(text: &str) -> Result<(Config, Vec<Problem>), Report> {
    parse(text.as_bytes(), "config.yaml", &env([]))
}

/// Reads a text that is right in every way.
fn clean(text: &str) -> Config {
    clean_in(text, &env([]))
}

fn clean_in(text: &str, env: &dyn Environment) -> Config {
    let (config, warnings) =
        parse(text.as_bytes(), "config.yaml", env).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{}", lines(&warnings));
    config
}

/// The errors of a text that has no warnings.
fn errors(text: &str) -> String {
    errors_in(text, &env([]))
}

fn errors_in(text: &str, env: &dyn Environment) -> String {
    let report = parse(text.as_bytes(), "config.yaml", env).expect_err("has errors");
    assert!(report.warnings.is_empty(), "{report}");
    lines(&report.errors)
}

/// The warnings of a text that has no errors.
fn warnings(text: &str) -> String {
    let (_, warnings) = read(text).unwrap_or_else(|report| panic!("{report}"));
    lines(&warnings)
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A deployment with a few parameters; those begin at line 5, column 7.
fn with_params(params: &str) -> String {
    let params: String = params.lines().map(|line| format!("      {line}\n")).collect();
    format!("model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/m\n{params}")
}

/// Text whose lines stand on their own in the source.
fn text(lines: &[&str]) -> String {
    lines.join("\n")
}

#[test]
fn everything_public_is_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Config>();
    check::<Report>();
}
