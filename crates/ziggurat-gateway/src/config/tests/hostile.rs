//! Files that nobody would write.

use proptest::prelude::*;

use super::realistic::REALISTIC;
use super::{env, read};
use crate::config::parse;

/// Pieces that mean something to YAML or to us.
const PIECES: &[&str] = &[
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "<<",
    "!",
    "!!int ",
    "|",
    ">",
    "|2-\n",
    "\"",
    "'",
    "#",
    "?",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "%TAG ! x\n",
    "\t",
    "\\",
    "\u{feff}",
    "\u{85}",
    "é",
    "\0",
    "os.environ/",
    "os.environ/A",
    "1e999",
    "-1",
    "null",
    "true",
    "0x",
    "model_list",
    "litellm_params",
    "include",
    "timeout",
    "~",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes, "config.yaml", &env([]));
    }

    #[test]
    fn no_pieces_make_it_panic(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..64)) {
        let _ = read(&pieces.concat());
    }

    #[test]
    fn no_change_of_a_configuration_makes_it_panic(
        cuts in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..20, proptest::sample::select(PIECES)),
            1..6,
        )
    ) {
        let mut text: Vec<char> = REALISTIC.chars().collect();
        for (at, length, piece) in cuts {
            let start = at.index(text.len());
            let end = text.len().min(start + length);
            text.splice(start..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(report) = parse(text.as_bytes(), "config.yaml", &env([])) {
            // Sorted by line, and each in one line.
            let lines: Vec<_> = report.errors.iter().map(|error| error.line).collect();
            prop_assert!(lines.is_sorted());
            for error in &report.errors {
                prop_assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }

    /// Whatever stands where a secret belongs, and wherever, is never shown.
    #[test]
    fn no_problem_and_no_debug_shows_a_secret(
        shape in 0_usize..8,
        place in proptest::sample::select(&[
            "model_list: [{model_name: m, litellm_params: {model: m, api_key: @}}]",
            "model_list: [{model_name: m, litellm_params: {model: m, headers: {a: @}}}]",
            "model_list: [{model_name: m, litellm_params: {model: m, extra_headers: {a: @}}}]",
            "model_list: [{model_name: m, litellm_params: {model: m, aws_secret_access_key: @}}]",
            "model_list: [{model_name: m, litellm_params: {model: m, some_api_key: @}}]",
            "model_list: [{model_name: m, litellm_params: {model: m, extra_body: {k: @}}}]",
            "general_settings: {master_key: @}",
            "general_settings: {database_url: @}",
            "environment_variables: {KEY: @}",
            "api_key: @",
        ][..]),
    ) {
        let value = ["hidden", "'hid den'", "[hidden]", "{k: hidden}", "\"hidden\\n\"", "os.environ/KEY",
            "os.environ/hidden-", "!!int hidden"][shape];
        let text = place.replace('@', value);
        let env = env([("KEY", "hidden value")]);
        let shown = match parse(text.as_bytes(), "config.yaml", &env) {
            Ok((config, warnings)) => format!("{config:?} {warnings:?}"),
            Err(report) => format!("{report} {report:?}"),
        };
        prop_assert!(!shown.contains("hid"), "{text}: {shown}");
    }
}
