//! Fuzz targets, briefly: a hunt of some seconds each, from the committed corpus.
//!
//! The instrumentation that libFuzzer steers by is a pass of every stable compiler; only the
//! sanitizers want a nightly, and the code under test has no `unsafe` for them to watch. For a
//! real hunt: `cargo +nightly fuzz run TARGET`.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    shell::{Run, which},
    workspace::Workspace,
};

/// For all targets together, so that more targets do not make the check longer.
const SECONDS: usize = 60;

/// What `cargo fuzz` asks of the compiler, without a sanitizer.
const INSTRUMENT: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
     -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";

pub(crate) fn smoke(workspace: &Workspace) -> Result<Option<String>> {
    let member = workspace.member("ziggurat-fuzz").context("the workspace has no ziggurat-fuzz")?;
    let targets: Vec<_> = member.targets("bin").collect();
    if targets.is_empty() || !has_fuzzer_runtime() {
        println!("no C++ compiler to build libFuzzer with: the corpus runs as plain tests");
        Run::cargo().args(["test", "--package", "ziggurat-fuzz", "--all-features"]).ok()?;
        return Ok(Some("corpus as plain tests: no C++ compiler".to_owned()));
    }

    let host = host()?;
    Run::cargo()
        .args(["build", "--package", "ziggurat-fuzz", "--bins", "--target", &host])
        .env("RUSTFLAGS", INSTRUMENT)
        // Fast enough to get somewhere, with overflow checks and debug assertions on.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .ok()?;
    let seconds = (SECONDS / targets.len()).clamp(2, 10);
    for target in &targets {
        hunt(workspace, &host, target, seconds)?;
    }
    Ok(Some(format!("{} targets, {seconds} s each", targets.len())))
}

fn hunt(workspace: &Workspace, host: &str, target: &str, seconds: usize) -> Result<()> {
    let scratch = workspace.target.join("fuzz-corpus").join(target);
    let artifacts = workspace.path("fuzz/artifacts").join(target);
    for dir in [&scratch, &artifacts] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let said = Run::new(workspace.target.join(host).join("debug").join(target))
        .args([&scratch, &workspace.path("fuzz/corpus").join(target)])
        .args([format!("-artifact_prefix={}/", artifacts.display())])
        .args([format!("-max_total_time={seconds}")])
        .args([format!("-dict={}", workspace.path("fuzz/dictionary.txt").display())])
        // One input that takes 5 s is a finding; so is one that needs 1 GiB.
        .args(["-timeout=5", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1"])
        .hushed()
        .with_context(|| format!("{target} found an input, see {}", artifacts.display()))?;
    for line in said.lines().filter(|line| line.contains("number_of_executed_units")) {
        println!("{target}: {line}");
    }
    Ok(())
}

fn has_fuzzer_runtime() -> bool {
    cfg!(unix)
        && std::env::var("CXX").map_or_else(
            |_| ["c++", "g++", "clang++"].iter().any(|name| which(name).is_some()),
            |cxx| Path::new(&cxx).is_file() || which(&cxx).is_some(),
        )
}

fn host() -> Result<String> {
    let text = Run::new("rustc").args(["-vV"]).quiet().output()?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what its host is")?.to_owned())
}
