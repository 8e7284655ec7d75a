//! One run that says what the gateway costs beside a bare proxy.
//!
//! Starts the upstream, the bare proxy and the gateway, the two under test on a core of their own, and
//! lets them take turns: round by round and scenario by scenario, so that whatever else the machine
//! does meets both. Prints a table and writes every number as JSON.

mod readings;
mod report;
mod scenario;
mod server;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum as _};

use self::{
    readings::{Outcome, Round, Side},
    scenario::{Measure, Scenario, Target},
    server::Field,
};
use ziggurat_benches::process;

/// Compares the gateway with a bare proxy.
#[derive(Debug, Parser)]
struct Args {
    /// The gateway's binary; `ziggurat` beside this one when not given.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Compare the bare proxy with itself: what comes out is the noise of this machine.
    #[arg(long, conflicts_with_all = ["gateway", "config"])]
    against_itself: bool,
    /// The gateway's configuration, with `UPSTREAM` where `http://127.0.0.1:PORT` belongs. It must know
    /// `gpt-4o` as an OpenAI model, `claude` as an Anthropic one, and what `--to` names.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Compare with the gateway itself under this configuration, in place of the bare proxy: what do the
    /// layers cost that `--config` has and this one leaves out?
    #[arg(long, conflicts_with = "against_itself")]
    baseline: Option<PathBuf>,
    /// What the scenarios that translate go to.
    #[arg(long, value_enum, default_value_t = Target::Claude)]
    to: Target,
    /// Send no request twice, so that no cache answers one.
    #[arg(long)]
    unique: bool,
    /// The caller's key, for a configuration that asks for one.
    #[arg(long, default_value = "sk-x")]
    key: String,
    /// Only these scenarios.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Turns of each server in each scenario. Many short ones are steadier than a few long ones.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a turn, in seconds.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// One short round of everything: does it run at all, and is every answer complete?
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    smoke: bool,
    /// Streams held open to weigh one.
    #[arg(long, default_value_t = 2000)]
    streams: usize,
    /// Runtime of the bare proxy: `multi` or `current`.
    #[arg(long, default_value = "multi")]
    runtime: String,
    /// The core of the servers under test.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the upstream and the callers.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Leave it to the system which core runs what.
    #[arg(long)]
    no_pin: bool,
    /// Where the numbers go; `compare.json` beside this binary when not given.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    process::raise_file_limit()?;
    let alone = std::thread::available_parallelism()?.get() < 2;
    let pin = !(args.no_pin || alone);
    if pin {
        process::pin(args.load_core)?;
    } else {
        say("note: nothing is pinned; callers and servers share cores")?;
    }
    let server_core = pin.then_some(args.server_core);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(args, server_core))
}

async fn run(args: Args, server_core: Option<usize>) -> Result<ExitCode> {
    let field = Field::open(&args, server_core).await?;
    let measure = if args.smoke {
        Measure::smoke(&field, &args.key)
    } else {
        let turn = Duration::try_from_secs_f64(args.seconds)?;
        Measure::new(&field, &args.key, turn, args.streams)
    };
    let measure = measure.to(args.to);
    let measure = if args.unique { measure.unique() } else { measure };
    let rounds = if args.smoke { 1 } else { args.rounds };
    let scenarios =
        if args.only.is_empty() { Scenario::value_variants() } else { args.only.as_slice() };

    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let outcome = match one_scenario(*scenario, &field, &measure, rounds).await {
            Ok(rounds) => Outcome::of(*scenario, rounds),
            Err(error) => Outcome::failed(*scenario, format!("{error:#}")),
        };
        report::print(&outcome, &mut io::stdout().lock())?;
        outcomes.push(outcome);
    }

    let path = match args.json {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("compare.json"),
    };
    report::write_json(&outcomes, &field, &path).with_context(|| path.display().to_string())?;
    say(&format!("\nEvery number: {}", path.display()))?;
    let complete = outcomes.iter().all(Outcome::is_complete);
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rounds of a scenario. Which server goes first changes with every round.
async fn one_scenario(
    scenario: Scenario,
    field: &Field,
    measure: &Measure<'_>,
    rounds: u32,
) -> Result<Vec<Round>> {
    let mut servers = Vec::new();
    if !scenario.starts_its_own_servers() {
        for side in Side::BOTH {
            servers.push(field.start(side, measure.model(scenario)).await?);
        }
    }
    let mut done = Vec::new();
    for round in 0..rounds {
        let mut readings = Round::default();
        let mut order = Side::BOTH;
        order.rotate_left(round as usize % 2);
        for side in order {
            let server = servers.iter().find(|server| server.side() == side);
            *readings.of_mut(side) = measure
                .turn(scenario, side, server)
                .await
                .with_context(|| format!("{}, round {round}", side.name()))?;
        }
        done.push(readings);
    }
    Ok(done)
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
