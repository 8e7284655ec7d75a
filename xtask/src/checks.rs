//! What the compiler and its companions say without running anything.

use anyhow::{Result, bail};

use crate::{shell::Run, workspace::Workspace};

pub(crate) fn fmt(_: &Workspace) -> Result<Option<String>> {
    Run::cargo().args(["fmt", "--all", "--check"]).ok()?;
    Ok(None)
}

pub(crate) fn clippy(_: &Workspace) -> Result<Option<String>> {
    Run::cargo()
        .args(["clippy", "--workspace", "--all-targets", "--all-features"])
        .args(["--", "-D", "warnings"])
        .ok()?;
    Ok(None)
}

pub(crate) fn doc(_: &Workspace) -> Result<Option<String>> {
    Run::cargo()
        .args(["doc", "--workspace", "--all-features", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .ok()?;
    Ok(None)
}

/// Each crate by itself — without features, with each of them alone, with its defaults — so that
/// nothing compiles only because a neighbour in the workspace asked for more.
pub(crate) fn features(workspace: &Workspace) -> Result<Option<String>> {
    let mut count = 0;
    for member in &workspace.members {
        let alone = member.features.iter().map(|feature| Some(feature.as_str()));
        for feature in std::iter::once(None).chain(alone) {
            let check = Run::cargo()
                .args(["check", "--quiet", "--package", &member.name, "--no-default-features"])
                .args(feature.iter().flat_map(|name| ["--features", name]));
            check.ok()?;
            count += 1;
        }
        if member.has_default {
            Run::cargo().args(["check", "--quiet", "--package", &member.name]).ok()?;
            count += 1;
        }
    }
    Ok(Some(format!("{count} combinations")))
}

/// Checks the library code with the oldest compiler that the manifests promise, where it is there.
/// Without it the lint `incompatible_msrv` still watches the standard library's API.
pub(crate) fn msrv(workspace: &Workspace) -> Result<Option<String>> {
    let Some(version) = workspace.members.iter().find_map(|m| m.rust_version.as_deref()) else {
        bail!("no member declares a rust-version");
    };
    let Some(rustc) = Run::new("rustup").args(["run", version, "rustc", "--version"]).probe()
    else {
        println!("rustc {version} is not installed: not checked (rustup toolchain add {version})");
        return Ok(Some(format!("SKIPPED: rustc {version} is not installed")));
    };
    println!("{}", rustc.trim());
    // A directory of its own: another compiler's artifacts would push out the main one's.
    Run::new("rustup")
        .args(["run", version, "cargo", "check", "--workspace", "--all-features", "--locked"])
        .env("CARGO_TARGET_DIR", workspace.target.join("msrv"))
        .ok()?;
    Ok(None)
}
