//! The vendors' clients from npm, run by Node's own test runner.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{
    apt,
    shell::{Run, which},
    suites,
    workspace::Workspace,
};

/// The step: the whole suite.
pub(crate) fn all(workspace: &Workspace) -> Result<Option<String>> {
    if which("node").is_none() || which("npm").is_none() {
        apt::install(&["nodejs", "npm"]).context("no node and npm, which the suite runs by")?;
    }
    suites::programs(workspace, &["ziggurat", "fake-provider"])?;
    install(workspace)?;
    let tests = Run::new("node").args(["--test"]).dir(&workspace.path("npm-tests"));
    suites::with_programs(tests, workspace).ok()?;
    Ok(None)
}

/// Installs what `npm-tests/package.json` pins; nothing is asked of the network when that is there.
fn install(workspace: &Workspace) -> Result<()> {
    let dir = workspace.path("npm-tests");
    let wanted = fs::read_to_string(dir.join("package.json")).context("no package.json")?;
    let stamp = dir.join("node_modules/.ziggurat-stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    Run::new("npm")
        // A lock file would hold the addresses of whatever registry this machine has.
        .args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"])
        .dir(&dir)
        .ok()?;
    // Last, so that an installation that was broken off is not taken for a whole one.
    fs::write(stamp, wanted)?;
    Ok(())
}
