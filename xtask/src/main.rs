//! Every check by one command.
//!
//! - `cargo xtask test`: all Rust tests with all features, doc tests, the vendors' SDKs for
//!   Python and JavaScript against the built gateway, and the gateway over a real model server, setting up what they need.
//! - `cargo xtask ci`: that, and everything else a change must pass.
//! - `cargo xtask sdk -k stream`: the SDK suite alone; what follows goes to pytest.
//! - `cargo xtask npm`: the suite of npm clients alone.
//! - `cargo xtask model`: a real model server, with a tiny model, behind the gateway.
//! - `cargo xtask catalogue models.json`: makes the file of models and prices that is compiled in.
//!
//! `--list` names the steps, `--only fmt,clippy` runs some of them. The first step that fails ends
//! the run with its name and a non-zero exit code.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a command line tool that talks to a terminal and measures real time"
)]

use std::process::ExitCode;

use anyhow::{Result, bail};

mod apt;
mod catalogue;
mod checks;
mod deny;
mod fuzz;
mod npm;
mod plan;
mod sdk;
mod shell;
mod suites;
mod workspace;

use plan::{Step, Tally};
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask <test | ci> [--list] [--only STEP,STEP…] [--skip STEP,STEP…]
       cargo xtask sdk [PYTEST ARGUMENT…]
       cargo xtask npm
       cargo xtask model
       cargo xtask catalogue MODELS.JSON";

/// What `cargo xtask test` runs.
const TEST: &[Step] = &[
    Step { name: "test", title: "Rust tests, all features", run: suites::rust },
    Step { name: "doctest", title: "examples in the documentation", run: suites::doc },
    Step { name: "sdk", title: "the vendors' Python SDKs against the gateway", run: sdk::all },
    Step { name: "npm", title: "the vendors' npm clients against the gateway", run: npm::all },
    Step { name: "model", title: "a real model server behind the gateway", run: sdk::model_server },
];

/// What `cargo xtask ci` runs, cheap refusals first. `TEST` stands in the middle of it.
const BEFORE: &[Step] = &[
    Step { name: "fmt", title: "formatting", run: checks::fmt },
    Step { name: "clippy", title: "lints, warnings are errors", run: checks::clippy },
];
const AFTER: &[Step] = &[
    Step { name: "bench", title: "benches, each once and untimed", run: suites::bench },
    Step { name: "doc", title: "documentation, warnings are errors", run: checks::doc },
    Step { name: "features", title: "each crate alone, each feature alone", run: checks::features },
    Step { name: "msrv", title: "the declared oldest compiler", run: checks::msrv },
    Step { name: "fuzz", title: "fuzz targets, briefly", run: fuzz::smoke },
    Step { name: "deny", title: "licences, sources, bans, advisories", run: deny::check },
];

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else { bail!("{USAGE}") };
    let steps: Vec<Step> = match command.as_str() {
        "test" => TEST.to_vec(),
        "ci" => [BEFORE, TEST, AFTER].concat(),
        "npm" => return npm::all(&Workspace::load()?).map(drop),
        "model" => return sdk::model_server(&Workspace::load()?).map(drop),
        "sdk" => return sdk::run(&Workspace::load()?, rest).map(drop),
        "catalogue" => return catalogue::build(&Workspace::load()?, rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}\n\n{}", plan::list(&[BEFORE, TEST, AFTER].concat()));
            return Ok(());
        }
        other => bail!("no command {other:?}\n{USAGE}"),
    };
    let Some(steps) = plan::select(steps, rest)? else { return Ok(()) };
    plan::run(&Workspace::load()?, &steps, &mut Tally::default())
}
