//! `ziggurat check FILE`: everything that is wrong with a configuration.

use std::io::{self, Write};
use std::path::Path;

use crate::config::{self, Environment, Problem, Report};
use crate::gateway::Gateway;

/// Writes what is wrong with a file, a line each, and a last line that sums up; whether nothing is.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn check(file: &Path, env: &dyn Environment, out: &mut dyn Write) -> io::Result<bool> {
    match examine(file, env) {
        Ok((deployments, warnings)) => {
            let report = Report { errors: Vec::new(), warnings };
            if !report.warnings.is_empty() {
                writeln!(out, "{report}")?;
            }
            write!(out, "ok: {}", counted(deployments, "deployment"))?;
            match report.warnings.len() {
                0 => writeln!(out)?,
                warnings => writeln!(out, ", {}", counted(warnings, "warning"))?,
            }
            Ok(true)
        }
        Err(report) => {
            writeln!(out, "{report}")?;
            writeln!(out, "{}", summary(&report))?;
            Ok(false)
        }
    }
}

/// How much is wrong.
pub(crate) fn summary(report: &Report) -> String {
    let errors = counted(report.errors.len(), "error");
    match report.warnings.len() {
        0 => errors,
        warnings => format!("{errors}, {}", counted(warnings, "warning")),
    }
}

fn examine(file: &Path, env: &dyn Environment) -> Result<(usize, Vec<Problem>), Report> {
    let (config, mut warnings) = config::load(file, env)?;
    let gateway = Gateway::new(config, env);
    let (gateway, more) = match gateway {
        Ok(made) => made,
        Err(mut report) => {
            warnings.append(&mut report.warnings);
            report.warnings = warnings;
            return Err(report);
        }
    };
    warnings.extend(more);
    crate::notes::sort(gateway.config(), &mut warnings);
    Ok((gateway.listed().map(|listed| listed.deployments).sum(), warnings))
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
