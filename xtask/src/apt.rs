//! What the tests need of Debian, installed when it is missing.

use anyhow::{Result, bail};

use crate::shell::{Run, which};

/// Sees to the server that tests of shared state start for themselves.
///
/// # Errors
///
/// It is missing and cannot be installed from here.
pub(crate) fn redis_server() -> Result<()> {
    if which("redis-server").is_none() {
        install(&["redis-server"])?;
    }
    Ok(())
}

/// Installs Debian packages, when we may: on a machine with `apt-get`, as root or by a `sudo` that asks nothing.
///
/// # Errors
///
/// We may not, or it failed.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    let id = Run::new("id").args(["-u"]).probe();
    let root = id.is_some_and(|id| id.trim() == "0");
    let sudo = !root && Run::new("sudo").args(["-n", "true"]).probe().is_some();
    if which("apt-get").is_none() || !(root || sudo) {
        bail!("install it first (on Debian: apt-get install {list})");
    }
    println!("{list} is missing and this is Debian: installing it");
    apt_get(sudo, &["update", "-qq"]).ok()?;
    apt_get(sudo, &["install", "-qq", "-y", "--no-install-recommends"]).args(packages).ok()
}

fn apt_get(sudo: bool, args: &[&str]) -> Run {
    let run = if sudo { Run::new("sudo").args(["-n", "env"]) } else { Run::new("env") };
    // Given on the line, as sudo passes no environment on.
    run.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args)
}
