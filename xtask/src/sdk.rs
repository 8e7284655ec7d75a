//! Suites in Python, each run by pytest in a virtual environment of its own: the vendors' SDKs, and a real model server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    apt,
    shell::{Run, which},
    suites,
    workspace::Workspace,
};

/// The step: the whole suite.
pub(crate) fn all(workspace: &Workspace) -> Result<Option<String>> {
    run(workspace, &[])
}

/// The step: a model is computed by a server that is built for it.
pub(crate) fn model_server(workspace: &Workspace) -> Result<Option<String>> {
    // The server comes as source.
    if which("c++").is_none() {
        apt::install(&["g++"]).context("no C++ compiler, which the model server is built with")?;
    }
    pytest(workspace, "model-tests", &[])
}

/// Builds the programs, sets up Python, runs pytest with `args`.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<Option<String>> {
    pytest(workspace, "sdk-tests", args)
}

fn pytest(workspace: &Workspace, suite: &str, args: &[String]) -> Result<Option<String>> {
    suites::programs(workspace, &["ziggurat", "fake-provider"])?;
    let python = environment(workspace, suite)?;
    let pytest = Run::new(python)
        .args(["-m", "pytest"])
        .args(args)
        .dir(&workspace.path(suite))
        // No compiled files in the source tree.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    suites::with_programs(pytest, workspace).ok()?;
    Ok(None)
}

/// The interpreter of an environment that holds exactly a suite's `requirements.txt`. Made anew
/// when the requirements or the system's interpreter changed; else nothing is asked of the network.
fn environment(workspace: &Workspace, suite: &str) -> Result<PathBuf> {
    let requirements = workspace.path(format!("{suite}/requirements.txt"));
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let base = interpreter()?;
    let version = Run::new(&base).args(["--version"]).quiet().output()?;
    let stamp = format!("{version}{wanted}");

    let dir = workspace.target.join(format!("{suite}-venv"));
    let stamp_path = dir.join("stamp");
    let python = dir.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp)
        && Run::new(&python).args(["-c", "import pytest"]).probe().is_some()
    {
        println!("{} is up to date", dir.display());
        return Ok(python);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    make_venv(&base, &dir)?;
    Run::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--requirement".as_ref(), requirements.as_os_str()])
        .ok()?;
    // Last, so that an installation that was broken off is not taken for a whole one.
    fs::write(&stamp_path, stamp)?;
    Ok(python)
}

fn interpreter() -> Result<PathBuf> {
    if let Some(found) = which("python3").or_else(|| which("python")) {
        return Ok(found);
    }
    apt::install(&["python3", "python3-venv"]).context("no python3")?;
    which("python3").context("no python3 in PATH")
}

fn make_venv(python: &Path, dir: &Path) -> Result<()> {
    // Debian splits `ensurepip` off: `venv` is there and fails at its last step without it.
    if Run::new(python).args(["-c", "import ensurepip, venv"]).probe().is_none() {
        apt::install(&["python3-venv"]).context("python3 has no venv")?;
    }
    Run::new(python).args(["-m".as_ref(), "venv".as_ref(), dir.as_os_str()]).ok()
}
