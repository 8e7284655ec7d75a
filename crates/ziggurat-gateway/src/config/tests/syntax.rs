//! YAML: what is read, what is refused, and where it says that the fault is.

use super::{clean, env, errors, lines, read, text, with_params};
use crate::config::parse;

#[test]
fn a_syntax_error_has_its_line_and_column() {
    assert_eq!(
        errors("model_list:\n  - model_name: \"gpt\n"),
        "config.yaml:2:17: while scanning a quoted scalar, found unexpected end of stream"
    );
}

#[test]
fn a_duplicate_key_is_an_error_and_the_rest_is_still_read() {
    assert_eq!(
        errors(&with_params("timeout: 1\nrpm: []\ntimeout: 2")),
        text(&[
            "config.yaml:6:12: model_list[0].litellm_params.rpm: expected an integer, 0 or above, \
             found a sequence",
            "config.yaml:7:7: model_list[0].litellm_params.timeout: this key is given already at \
             line 5",
        ])
    );
}

#[test]
fn an_empty_file_is_an_error() {
    for (file, place) in [("", "config.yaml: "), ("# nothing\n", "config.yaml: ")] {
        assert_eq!(
            errors(file),
            format!("{place}expected a mapping at the top level, found nothing")
        );
    }
    assert_eq!(
        errors("- a\n"),
        "config.yaml:1:1: expected a mapping at the top level, found a sequence"
    );
}

#[test]
fn a_second_document_is_an_error() {
    assert_eq!(
        errors("a: 1\n---\nb: 2\n"),
        "config.yaml:2:1: expected one document, found a second"
    );
}

#[test]
fn a_tag_that_is_not_known_is_an_error() {
    assert_eq!(errors("model_list: !env KEYS\n"), "config.yaml:1:13: this tag is not known");
    assert_eq!(
        errors("model_list: !!int many\n"),
        "config.yaml:1:13: the value is not what its tag says"
    );
}

#[test]
fn tags_of_yaml_itself_are_followed() {
    let config = clean(&with_params("api_version: !!str 2024\nuser: ! 7\nseed: !!int \"7\""));
    let deployment = &config.deployments[0];
    assert_eq!(deployment.api_version.as_deref(), Some("2024"));
    assert_eq!(deployment.defaults.get("user"), Some(&"7".into()));
    assert_eq!(deployment.defaults.get("seed"), Some(&7.into()));
}

#[test]
fn a_key_that_is_no_text_is_an_error() {
    assert_eq!(errors("? [a, b]\n: c\n"), "config.yaml:1:3: a key must be plain text");
    assert_eq!(errors("{a: 1}: c\n"), "config.yaml:1:1: a key must be plain text");
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let config = clean(
        "
x-common: &common
  api_base: https://one.example
  timeout: 5
x-more: &more
  timeout: 7
  rpm: 3
model_list:
  - model_name: a
    litellm_params:
      <<: *common
      model: openai/a
      timeout: 9
  - model_name: b
    litellm_params:
      model: &name openai/b
      <<: [*common, *more]
  - model_name: c
    litellm_params:
      model: *name
",
    );
    let [a, b, c] = &config.deployments[..] else { panic!("three deployments") };
    assert_eq!(a.api_base.as_deref(), Some("https://one.example"));
    assert_eq!(a.timeout.map(|t| t.as_secs()), Some(9), "what is written wins over what is merged");
    assert_eq!(b.timeout.map(|t| t.as_secs()), Some(5), "the first that is merged wins");
    assert_eq!(b.rpm, Some(3));
    assert_eq!(c.model, "openai/b");
}

#[test]
fn only_mappings_can_be_merged() {
    assert_eq!(
        errors("x-a: &a [1]\nmodel_list:\n  <<: *a\n"),
        "config.yaml:1:10: expected a mapping to merge, found an integer"
    );
    // In quotes it is a key like any other.
    assert_eq!(super::warnings("\"<<\": 1\n"), "config.yaml:1:1: [\"<<\"]: unknown key");
}

#[test]
fn block_scalars_and_quotes_are_text() {
    let config =
        clean(&with_params("mock_response: |\n  two\n  lines\nuser: '7'\nsuffix: >-\n  a\n  b"));
    let deployment = &config.deployments[0];
    assert_eq!(deployment.mock_response.as_deref(), Some("two\nlines\n"));
    assert_eq!(deployment.defaults.get("user"), Some(&"7".into()));
    assert_eq!(deployment.defaults.get("suffix"), Some(&"a b".into()));
}

#[test]
fn text_that_is_not_utf8_is_an_error_with_its_place() {
    let report = parse(b"a: 1\nb: \xff\n", "config.yaml", &env([])).expect_err("no text");
    assert_eq!(lines(&report.errors), "config.yaml:2:4: not valid UTF-8");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let config =
        clean("\u{feff}model_list:\r\n  - model_name: m\r\n    litellm_params: {model: m}\r\n");
    assert_eq!(config.deployments[0].model_name, "m");
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        errors("general_settings: {completion_model: \"é\", max_parallel_requests: x}\n"),
        "config.yaml:1:66: general_settings.max_parallel_requests: expected an integer above 0, \
         found a string"
    );
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| format!("x-a: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&deep(63)).is_ok());
    assert_eq!(errors(&deep(64)), "config.yaml:1:69: nested more than 64 deep");
    // Aliases do not get around it.
    let mut ladder = "x-0: &a0 [[[[]]]]\n".to_owned();
    for step in 1..40 {
        ladder += &format!("x-{step}: &a{step} [[[*a{}]]]\n", step - 1);
    }
    assert_eq!(errors(&ladder), "config.yaml:21:15: nested more than 64 deep");
}

#[test]
fn aliases_cannot_make_a_small_file_large() {
    let mut bomb = "x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for step in 1..30 {
        let alias = format!("*a{}", step - 1);
        bomb += &format!("x-{step}: &a{step} [{}]\n", vec![alias; 10].join(", "));
    }
    let fault = "the document is too large with its aliases written out";
    assert_eq!(errors(&bomb), format!("config.yaml:7:11: {fault}"));

    // Nor merge keys, nor long texts and keys.
    let mut merges = "x-0: &a0 {a: 1}\n".to_owned();
    for step in 1..40 {
        let last = step - 1;
        merges += &format!("x-{step}: &a{step} {{k{step}: [*a{last}, *a{last}], <<: *a{last}}}\n");
    }
    assert!(errors(&merges).ends_with(fault));
    let long = "y".repeat(1 << 20);
    for first in [format!("x-0: &a {long}\n"), format!("x-0: &a {{? {long} : 1}}\n")] {
        assert!(
            errors(&format!("{first}x-1: [{}]\n", vec!["*a"; 1000].join(","))).ends_with(fault)
        );
    }
}

#[test]
fn an_alias_inside_what_it_names_is_an_error() {
    assert_eq!(
        errors("x-a: &a [*a]\n"),
        "config.yaml:1:10: an alias cannot stand inside what it names"
    );
}

#[test]
fn a_file_that_is_too_large_is_an_error() {
    assert_eq!(errors(&" ".repeat((16 << 20) + 1)), "config.yaml: larger than 16 MiB");
}

#[test]
fn a_flood_of_problems_is_cut() {
    let flood: String = (0..3000).map(|number| format!("what{number}: 1\n")).collect();
    let (_, warnings) = read(&flood).expect("has only warnings");
    assert_eq!(warnings.len(), 1001);
    assert_eq!(warnings[1000].to_string(), "config.yaml: 2000 more like these are not shown");
}
