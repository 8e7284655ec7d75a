//! Rust tests, doc tests, benches.
//!
//! All of them name the whole workspace with all features, so that cargo unifies features one way
//! and every dependency is built once.

use anyhow::{Context as _, Result, bail};

use crate::{apt, shell::Run, workspace::Workspace};

const ALL: [&str; 2] = ["--workspace", "--all-features"];

/// Through nextest when it is installed, else through cargo's own runner.
pub(crate) fn rust(_: &Workspace) -> Result<Option<String>> {
    apt::redis_server().context("no redis-server, which tests of shared state start")?;
    if Run::cargo().args(["nextest", "--version"]).probe().is_some() {
        Run::cargo().args(["nextest", "run"]).args(ALL).args(["--no-fail-fast"]).ok()?;
        return Ok(None);
    }
    Run::cargo()
        .args(["test"])
        .args(ALL)
        .args(["--lib", "--bins", "--tests", "--examples", "--no-fail-fast"])
        .ok()?;
    Ok(Some("by cargo test: nextest is not installed".to_owned()))
}

pub(crate) fn doc(_: &Workspace) -> Result<Option<String>> {
    apt::redis_server().context("no redis-server, which an example starts")?;
    Run::cargo().args(["test"]).args(ALL).args(["--doc"]).ok()?;
    Ok(None)
}

/// Every bench runs once, unoptimised: they compile, start and end. Nothing is timed, because a
/// shared machine's numbers would fail good changes.
pub(crate) fn bench(workspace: &Workspace) -> Result<Option<String>> {
    let mut notes = Vec::new();
    let benches = workspace.members.iter().map(|m| m.targets("bench").count()).sum::<usize>();
    if benches > 0 {
        Run::cargo().args(["test"]).args(ALL).args(["--bench", "*"]).ok()?;
    }
    notes.push(format!("{benches} benches"));
    if workspace.members.iter().any(|member| member.has("bin", "compare")) {
        programs(workspace, &["compare"])?;
        let compare = Run::new(workspace.binary("compare")).args(["--smoke"]);
        with_programs(compare, workspace).ok()?;
        notes.push("compare --smoke".to_owned());
    }
    Ok(Some(notes.join(", ")))
}

/// Builds every program of the workspace, the way the tests were built, and looks for `names`.
///
/// # Errors
///
/// The build failed, or no member has a program of that name.
pub(crate) fn programs(workspace: &Workspace, names: &[&str]) -> Result<()> {
    for name in names {
        if !workspace.members.iter().any(|member| member.has("bin", name)) {
            bail!("no crate of the workspace has a program `{name}`");
        }
    }
    // `--tests` keeps the development dependencies in the unification: the same build as above.
    Run::cargo().args(["build"]).args(ALL).args(["--bins", "--tests"]).ok()?;
    for name in names {
        let path = workspace.binary(name);
        path.try_exists()
            .ok()
            .filter(|exists| *exists)
            .with_context(|| format!("cargo built no {}", path.display()))?;
    }
    Ok(())
}

/// Tells `run` where the gateway and the fake providers are.
pub(crate) fn with_programs(run: Run, workspace: &Workspace) -> Run {
    run.env("ZIGGURAT_BIN", workspace.binary("ziggurat"))
        .env("FAKE_PROVIDER_BIN", workspace.binary("fake-provider"))
}
