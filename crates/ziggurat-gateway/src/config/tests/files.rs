//! Files and the files they include.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{env, lines, text};
use crate::config::{Config, Problem, Report, load};

/// A folder of files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("has a folder")).expect("creates a folder");
        fs::write(path, content).expect("writes a file");
    }
    folder
}

fn load_in(folder: &TempDir) -> Result<(Config, Vec<Problem>), Report> {
    load(&folder.path().join("config.yaml"), &env([("FILE", "b.yaml")]))
}

/// The errors of the files of a folder, whose name is left out.
fn errors(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let report = load_in(&folder).expect_err("has errors");
    assert!(report.warnings.is_empty(), "{report}");
    shorten(&folder, &report.errors)
}

fn shorten(folder: &TempDir, problems: &[Problem]) -> String {
    lines(problems).replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn included_files_add_their_models_and_their_settings_beneath() {
    let folder = folder(&[
        (
            "config.yaml",
            "include: [sub/a.yaml, os.environ/FILE]
model_list:
  - {model_name: main, litellm_params: {model: m}}
litellm_settings: {drop_params: true}
ziggurat: {limits: {max_body_bytes: 1}}
",
        ),
        (
            "sub/a.yaml",
            "include: [c.yaml]
model_list:
  - {model_name: a, litellm_params: {model: m}}
litellm_settings: {drop_params: false, request_timeout: 5}
ziggurat: {limits: {max_body_bytes: 2, max_event_bytes: 2}}
",
        ),
        ("sub/c.yaml", "model_list:\n  - {model_name: c, litellm_params: {model: m}}\n"),
        ("b.yaml", "litellm_settings: {request_timeout: 6, json_logs: true}\n"),
    ]);
    let (config, warnings) = load_in(&folder).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{}", lines(&warnings));
    let names: Vec<_> = config.deployments.iter().map(|d| d.model_name.as_str()).collect();
    assert_eq!(names, ["main", "a", "c"]);
    assert_eq!(config.litellm.drop_params, Some(true));
    assert_eq!(config.litellm.request_timeout.map(|t| t.as_secs()), Some(5));
    assert!(config.litellm.json_logs);
    assert_eq!(config.ziggurat.limits.max_body_bytes, 1);
    assert_eq!(config.ziggurat.limits.max_event_bytes, 2);
    let files: Vec<_> =
        config.files.iter().map(|file| file.strip_prefix(folder.path()).expect("inside")).collect();
    assert_eq!(files, ["config.yaml", "sub/a.yaml", "sub/c.yaml", "b.yaml"].map(Path::new));
}

#[test]
fn a_problem_names_its_own_file() {
    assert_eq!(
        errors(&[
            ("config.yaml", "include: [a.yaml]\nmodel_list: [1]\n"),
            ("a.yaml", "model_list: [2]\nlitellm_settings: {json_logs: 3}\n"),
        ]),
        text(&[
            "config.yaml:2:14: model_list[0]: expected a mapping, found an integer",
            "a.yaml:1:14: model_list[0]: expected a mapping, found an integer",
            "a.yaml:2:31: litellm_settings.json_logs: expected a boolean, found an integer",
        ])
    );
}

#[test]
fn files_that_cannot_be_included_are_errors_where_they_are_named() {
    assert_eq!(
        errors(&[
            (
                "config.yaml",
                "include:\n  - missing.yaml\n  - a.yaml\n  - broken.yaml\n  - 7\n  - .\n"
            ),
            ("a.yaml", "include: [b.yaml]\n"),
            ("b.yaml", "include: [a.yaml, config.yaml]\n"),
            ("broken.yaml", "a: [1\n"),
        ]),
        text(&[
            "config.yaml:2:5: include[0]: cannot read missing.yaml: No such file or directory (os error 2)",
            "config.yaml:5:5: include[3]: expected a string, found an integer (put it in quotes if it is meant as text)",
            "config.yaml:6:5: include[4]: cannot read .: Is a directory (os error 21)",
            "b.yaml:1:11: include[0]: a.yaml includes itself",
            "b.yaml:1:19: include[1]: config.yaml includes itself",
            "broken.yaml:2:1: while parsing a flow sequence, expected ',' or ']'",
        ])
    );
    assert_eq!(
        errors(&[("config.yaml", "include: a.yaml\n")]),
        "config.yaml:1:10: include: expected a sequence of file names, found a string"
    );
    assert_eq!(errors(&[]), "config.yaml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_file_that_is_included_twice_is_read_once() {
    let folder = folder(&[
        ("config.yaml", "include: [a.yaml, ./a.yaml]\n"),
        ("a.yaml", "model_list:\n  - {model_name: a, litellm_params: {model: m}}\n"),
    ]);
    let (config, warnings) = load_in(&folder).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config.deployments.len(), 1);
    assert_eq!(
        shorten(&folder, &warnings),
        "config.yaml:1:19: include[1]: ./a.yaml is included already and is not read again"
    );
}

#[test]
fn the_number_of_files_is_bounded() {
    let names: Vec<_> = (0..150).map(|number| format!("{number}.yaml")).collect();
    let main = format!("include: [{}]\n", names.join(", "));
    let mut files = vec![("config.yaml", main.as_str())];
    files.extend(names.iter().map(|name| (name.as_str(), "{}")));
    let errors = errors(&files);
    assert!(errors.ends_with("include[99]: more than 100 files"), "{errors}");
    assert_eq!(errors.lines().count(), 1);
}

#[test]
fn a_text_can_include_nothing() {
    assert_eq!(
        super::errors("include: [a.yaml]\n"),
        "config.yaml:1:11: include[0]: only a file can include others"
    );
}
