//! Running other programs, visibly.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// A command whose line is printed before it runs, without standard input, so that nothing waits
/// for an answer that will not come.
pub(crate) struct Run {
    command: Command,
    quiet: bool,
}

impl Run {
    /// `program` with no arguments yet.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { command, quiet: false }
    }

    /// The cargo that runs this program, so that a toolchain chosen with `+` stays chosen.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Does not print the command's line.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs it with its output on ours.
    ///
    /// # Errors
    ///
    /// It could not be started, or did not succeed.
    pub(crate) fn ok(mut self) -> Result<()> {
        self.announce();
        let line = self.line();
        let status = self.command.status().with_context(|| format!("cannot start `{line}`"))?;
        if !status.success() {
            bail!("`{line}`: {status}");
        }
        Ok(())
    }

    /// Runs it and returns what it printed; its errors go to ours.
    ///
    /// # Errors
    ///
    /// It could not be started, did not succeed, or did not print UTF-8.
    pub(crate) fn output(mut self) -> Result<String> {
        self.announce();
        let line = self.line();
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{line}`"))?;
        if !output.status.success() {
            bail!("`{line}`: {}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
    }

    /// Runs it and keeps what it printed to itself, unless it fails. Returns its standard error.
    ///
    /// # Errors
    ///
    /// It could not be started, or did not succeed.
    pub(crate) fn hushed(mut self) -> Result<String> {
        self.announce();
        let line = self.line();
        let output = self.command.output().with_context(|| format!("cannot start `{line}`"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            println!("{}{said}", String::from_utf8_lossy(&output.stdout));
            bail!("`{line}`: {}", output.status);
        }
        Ok(said)
    }

    /// Runs it in silence: what it printed, or `None` when it is missing or fails.
    pub(crate) fn probe(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn announce(&self) {
        if !self.quiet {
            println!("$ {}", self.line());
        }
    }

    fn line(&self) -> String {
        let mut words: Vec<_> =
            self.command.get_envs().filter_map(|(k, v)| Some(assignment(k, v?))).collect();
        words.push(show(Path::new(self.command.get_program()).file_name().unwrap_or_default()));
        words.extend(self.command.get_args().map(show));
        words.join(" ")
    }
}

/// Where `program` is in `PATH`.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

fn assignment(name: &OsStr, value: &OsStr) -> String {
    format!("{}={}", name.to_string_lossy(), show(value))
}

fn show(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_line_can_be_pasted_into_a_shell() {
        let run =
            Run::new("/usr/bin/cargo").args(["doc", "a b", "it's"]).env("FLAGS", "-D warnings");
        assert_eq!(run.line(), r"FLAGS='-D warnings' cargo doc 'a b' 'it'\''s'");
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_fails_is_an_error_and_one_that_is_missing_too() {
        assert!(Run::new("true").quiet().ok().is_ok());
        assert!(Run::new("false").quiet().ok().is_err());
        assert!(Run::new("no-such-program").quiet().ok().is_err());
        assert_eq!(Run::new("echo").args(["hi"]).quiet().output().unwrap(), "hi\n");
        assert!(Run::new("false").probe().is_none());
        assert_eq!(Run::new("sh").args(["-c", "echo hi >&2"]).quiet().hushed().unwrap(), "hi\n");
    }
}
