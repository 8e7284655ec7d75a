//! A run of `compare` from its start to its file: two bare proxies, as the gateway is not this crate's.

#![cfg(target_os = "linux")]

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;

fn compare(args: &[&str]) -> (Output, Value) {
    let dir = tempfile::tempdir().expect("a directory for the file");
    let json = dir.path().join("compare.json");
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--smoke", "--no-pin", "--json"])
        .arg(&json)
        .args(args)
        .output()
        .expect("compare is built with its test");
    let written = fs::read(&json).expect("compare writes its file, whatever came of the run");
    (output, serde_json::from_slice(&written).expect("the file is JSON"))
}

#[test]
fn every_scenario_runs_and_every_answer_is_complete() {
    let (output, json) = compare(&["--against-itself"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    let scenarios = json["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 13, "{printed}");
    for scenario in scenarios {
        let summary = scenario["summary"].as_array().unwrap();
        assert!(!summary.is_empty(), "{scenario}");
        let cost = &summary[0]["bare"]["median"];
        assert!(cost.as_f64().unwrap() > 0.0, "{scenario}");
    }
}

#[test]
fn a_gateway_that_does_not_start_is_a_failure_that_says_so() {
    let (output, json) = compare(&["--gateway", "/bin/false", "--only", "whole-2k"]);
    assert!(!output.status.success());
    let failure = json["scenarios"][0]["failure"].as_str().unwrap();
    assert!(failure.contains("gateway ended with"), "{failure}");
}
