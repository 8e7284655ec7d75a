//! A short run of `soak`: every call accounted for, over failing providers.

#![cfg(target_os = "linux")]

use std::{path::Path, process::Command};

/// The gateway is another crate's program: it is there when the whole workspace was built, else it is built here.
fn gateway() -> std::path::PathBuf {
    let gateway = Path::new(env!("CARGO_BIN_EXE_soak")).with_file_name("ziggurat");
    if !gateway.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "ziggurat-gateway", "--bin", "ziggurat"])
            .status();
        assert!(built.expect("cargo runs").success());
    }
    gateway
}

#[test]
fn every_call_over_failing_providers_is_accounted_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--smoke", "--gateway"])
        .arg(gateway())
        .output()
        .expect("soak is built with its test");
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{said}");
    assert!(printed.contains("every call is accounted for"), "{printed}");
    for line in ["| complete |", "| an error in the stream |", "| the caller left |"] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
}

#[test]
fn a_gateway_that_does_not_start_is_a_failure_that_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--smoke", "--gateway", "/bin/false"])
        .output()
        .expect("soak is built with its test");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the gateway ended with"), "{said}");
}
