//! `cargo deny`: licences, sources, bans, advisories.

use std::path::PathBuf;

use anyhow::Result;

use crate::{shell::Run, workspace::Workspace};

/// Pinned, so that a new release's new lints arrive as a change and not as a surprise.
const VERSION: &str = "0.20.2";

pub(crate) fn check(workspace: &Workspace) -> Result<Option<String>> {
    let deny = tool(workspace)?;
    let local = ["check", "bans", "licenses", "sources"];
    // Fetching is tried by itself first: a database out of reach must not read like an advisory,
    // nor an advisory like a database out of reach.
    println!("fetching the advisory database");
    if Run::new(&deny).args(["fetch", "db"]).dir(&workspace.root).probe().is_some() {
        Run::new(&deny).args(local).args(["advisories"]).dir(&workspace.root).ok()?;
        return Ok(None);
    }
    println!(
        "ADVISORIES ARE SKIPPED: the advisory database could not be fetched.\n\
         Bans, licences and sources are checked all the same."
    );
    Run::new(&deny).args(local).dir(&workspace.root).ok()?;
    Ok(Some("advisories SKIPPED: the database could not be fetched".to_owned()))
}

/// The pinned cargo-deny: from `PATH`, from `.tools`, or installed there.
fn tool(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.path(".tools");
    let own = root.join("bin/cargo-deny").with_extension(std::env::consts::EXE_EXTENSION);
    for path in [PathBuf::from("cargo-deny"), own.clone()] {
        let version = Run::new(&path).args(["--version"]).probe();
        if version.is_some_and(|text| text.trim().ends_with(VERSION)) {
            return Ok(path);
        }
    }
    println!("cargo-deny {VERSION} is missing: installing it into {}", root.display());
    // Unoptimised: it looks at a few hundred crates once, and builds in half the time.
    Run::cargo()
        .args(["install", "cargo-deny", "--version", VERSION, "--locked", "--debug", "--force"])
        .args(["--root".as_ref(), root.as_os_str()])
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_TARGET_DIR", workspace.target.join("tools"))
        .ok()?;
    Ok(own)
}
