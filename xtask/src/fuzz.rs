//! Fuzz targets, briefly: some thousand runs each, from the committed corpus.
//!
//! The runs are the same every time, so that a check fails for what was changed and not for what was drawn. `FUZZ_SECONDS=60`
//! hunts for so long in each target instead, and never twice the same way.
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

/// Of each target.
const RUNS: usize = 3000;

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
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let bound = match &seconds {
        Some(seconds) => vec![format!("-max_total_time={seconds}")],
        None => vec!["-seed=1".to_owned(), format!("-runs={RUNS}")],
    };
    for target in &targets {
        hunt(workspace, &host, target, &bound)?;
    }
    let each = seconds.map_or_else(|| format!("{RUNS} runs"), |seconds| format!("{seconds} s"));
    Ok(Some(format!("{} targets, {each} each", targets.len())))
}

fn hunt(workspace: &Workspace, host: &str, target: &str, bound: &[String]) -> Result<()> {
    let scratch = workspace.target.join("fuzz-corpus").join(target);
    let artifacts = workspace.path("fuzz/artifacts").join(target);
    // What an earlier hunt found interesting would change which inputs these runs try.
    if scratch.exists() {
        fs::remove_dir_all(&scratch)
            .with_context(|| format!("cannot clear {}", scratch.display()))?;
    }
    for dir in [&scratch, &artifacts] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let said = Run::new(workspace.target.join(host).join("debug").join(target))
        .args([&scratch, &workspace.path("fuzz/corpus").join(target)])
        .args([format!("-artifact_prefix={}/", artifacts.display())])
        .args(bound)
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
