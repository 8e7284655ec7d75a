//! Which steps run, and the account of how they went.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// One check.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What the heading says.
    pub(crate) title: &'static str,
    /// Does it. A note tells what the summary should not hide, such as a part that was left out.
    pub(crate) run: fn(&Workspace) -> Result<Option<String>>,
}

/// How the steps so far went.
#[derive(Default)]
pub(crate) struct Tally {
    lines: Vec<(&'static str, Duration, String)>,
}

/// Applies `--list`, `--only` and `--skip`. `None`: the steps were listed and nothing shall run.
///
/// # Errors
///
/// An unknown option, an unknown step, or a selection of nothing.
pub(crate) fn select(mut steps: Vec<Step>, args: &[String]) -> Result<Option<Vec<Step>>> {
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (arg, None),
        };
        match flag {
            "--list" => {
                print!("{}", list(&steps));
                return Ok(None);
            }
            "--only" | "--skip" => {
                let value = inline.or_else(|| args.next());
                let names: Vec<_> = value
                    .with_context(|| format!("{flag} needs the names of steps"))?
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .collect();
                if let Some(name) = names.iter().find(|n| !steps.iter().any(|s| s.name == **n)) {
                    bail!("{flag}: no step {name:?}; there are:\n{}", list(&steps));
                }
                steps.retain(|step| names.contains(&step.name) == (flag == "--only"));
            }
            other => bail!("no option {other:?}\n{}", crate::USAGE),
        }
    }
    if steps.is_empty() {
        bail!("no step is left to run");
    }
    Ok(Some(steps))
}

/// One line per step.
pub(crate) fn list(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |mut text, step| {
        _ = writeln!(text, "{:10} {}", step.name, step.title);
        text
    })
}

/// Runs the steps in order and stops at the first that fails.
///
/// # Errors
///
/// What the failing step said.
pub(crate) fn run(workspace: &Workspace, steps: &[Step], tally: &mut Tally) -> Result<()> {
    let begun = Instant::now();
    for (index, step) in steps.iter().enumerate() {
        println!("\n=== [{}/{}] {}: {}", index + 1, steps.len(), step.name, step.title);
        let start = Instant::now();
        let done = (step.run)(workspace);
        let took = start.elapsed();
        let verdict = match &done {
            Ok(None) => "ok".to_owned(),
            Ok(Some(note)) => format!("ok ({note})"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("--- {}: {verdict}, {}", step.name, seconds(took));
        tally.lines.push((step.name, took, verdict));
        if let Err(error) = done {
            print!("\n{}", tally.summary(begun.elapsed()));
            for left in &steps[index + 1..] {
                println!("{:10} {:>8}  not run", left.name, "");
            }
            return Err(error.context(format!(
                "step `{0}` failed; again with `cargo xtask ci --only {0}`",
                step.name
            )));
        }
    }
    print!("\n{}", tally.summary(begun.elapsed()));
    Ok(())
}

impl Tally {
    fn summary(&self, total: Duration) -> String {
        let mut text = String::from("=== summary\n");
        for (name, took, verdict) in &self.lines {
            _ = writeln!(text, "{name:10} {:>8}  {verdict}", seconds(*took));
        }
        _ = writeln!(text, "{:10} {:>8}", "total", seconds(total));
        text
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        ["fmt", "clippy", "test"]
            .map(|name| Step { name, title: "a check", run: |_| Ok(None) })
            .to_vec()
    }

    fn chosen(args: &[&str]) -> Result<Vec<&'static str>> {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        Ok(select(steps(), &args)?.unwrap_or_default().iter().map(|step| step.name).collect())
    }

    #[test]
    fn only_and_skip_keep_the_order_of_the_plan() {
        assert_eq!(chosen(&[]).unwrap(), ["fmt", "clippy", "test"]);
        assert_eq!(chosen(&["--only", "test,fmt"]).unwrap(), ["fmt", "test"]);
        assert_eq!(chosen(&["--skip=clippy"]).unwrap(), ["fmt", "test"]);
    }

    #[test]
    fn a_misspelt_step_is_an_error_and_never_an_empty_success() {
        assert!(chosen(&["--only", "fmtt"]).is_err());
        assert!(chosen(&["--only"]).is_err());
        assert!(chosen(&["--skip", "fmt,clippy,test"]).is_err());
        assert!(chosen(&["--onyl", "fmt"]).is_err());
    }
}
