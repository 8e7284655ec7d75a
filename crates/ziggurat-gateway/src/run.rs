//! The program: from its command line to its end.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use ziggurat_core::Instant;

use crate::banner::banner;
use crate::check::{check, summary};
use crate::cli::{Cli, Command, Serve};
use crate::config::{Problem, ProcessEnvironment, Report};
use crate::gateway::Gateway;
use crate::registries::Registries;
use crate::reload::{self, Reload};
use crate::shutdown::Signals;
use crate::stack::Ending;
use crate::{commands, logs, source};

/// How long what was used may take to reach the other instances, at the end.
const FLUSH: Duration = Duration::from_secs(1);
const LOOPBACK: &str = "127.0.0.1";
/// How long calls may take to end once they are told to.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Check { file }) => {
            check(file, &ProcessEnvironment, &mut io::stdout().lock()).map_err(|e| e.to_string())
        }
        Some(Command::Models(asked)) => commands::models::models(asked, &mut stdout()),
        Some(Command::Cost(asked)) => commands::cost::cost(asked, &mut stdout()),
        None => serve(&cli.serve).map(|()| true),
    };
    logs::flush();
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

/// Tables are written in one piece.
fn stdout() -> impl Write {
    io::BufWriter::new(io::stdout().lock())
}

fn complain(why: &str) {
    // Where not even this can be said there is nobody to be told.
    let _ = writeln!(io::stderr(), "ziggurat: {why}");
}

fn serve(serve: &Serve) -> Result<(), String> {
    let env = ProcessEnvironment;
    let described = |report: crate::config::Report| format!("{}\n{report}", summary(&report));
    let (config, mut warnings) = source::read(serve, &env).map_err(described)?;
    let rust_log = std::env::var("RUST_LOG").ok();
    let (filter, complaint) = logs::Filter::choose(serve, rust_log.as_deref(), &config);
    let json = logs::is_json(serve, &config);
    logs::begin(filter, json).map_err(|error| error.to_string())?;
    let registries = Registries::new();
    let (gateway, more) = Gateway::with(config, &env, &registries).map_err(described)?;
    warnings.extend(more);
    for complaint in complaint.into_iter().chain(warnings.iter().map(ToString::to_string)) {
        tracing::warn!("{complaint}");
    }
    let host = host(serve);
    runtime(serve)
        .and_then(|runtime| runtime.block_on(run(gateway, serve, &host)))
        .map_err(|error| format!("cannot serve on {host}:{}: {error}", serve.port))
}

/// Where to listen. The variable `HOST` is LiteLLM's; some shells and build tools put the machine's
/// name, or its kind, into it, which is no place to listen.
fn host(serve: &Serve) -> String {
    let of_environment = || {
        let host = std::env::var("HOST").ok().filter(|host| !host.is_empty())?;
        if host == "localhost" || host.parse::<IpAddr>().is_ok() {
            return Some(host);
        }
        tracing::warn!("the variable HOST holds no address and is ignored");
        None
    };
    serve.host.clone().or_else(of_environment).unwrap_or_else(|| LOOPBACK.to_owned())
}

fn runtime(serve: &Serve) -> io::Result<tokio::runtime::Runtime> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match serve.workers.map_or_else(cores, usize::from) {
        1 => tokio::runtime::Builder::new_current_thread(),
        workers => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    builder.enable_all().build()
}

async fn run(gateway: Gateway, serve: &Serve, host: &str) -> io::Result<()> {
    // Before anybody can know that we are here.
    let signals = Signals::listen()?;
    #[cfg(unix)]
    let hangups = reload::Hangups::listen()?;
    let listener = TcpListener::bind((host, serve.port)).await?;
    let address = listener.local_addr()?;
    if gateway.config().general.master_key.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            "there is no master key: whoever reaches {address} can spend your providers' money"
        );
    }
    {
        let mut out = io::stdout().lock();
        // Nobody may be there to read it.
        let _ = out.write_all(banner(&gateway, address).as_bytes()).and_then(|()| out.flush());
    }
    let ending = Ending::default();
    let options = gateway.serve_options(&ending);
    let registries = gateway.registries().clone();
    let reload = {
        let (serve, registries) = (serve.clone(), registries.clone());
        Reload::new(gateway, &ending, move || read_again(&serve, &registries))
    };
    let mut tasks = JoinSet::new();
    #[cfg(unix)]
    tasks.spawn(hangups.obey(Arc::clone(&reload)));
    tasks.spawn(reload::watch::watch(Arc::clone(&reload)));
    let (grace, began) = (options.grace, OnceLock::new());
    let stop = async {
        signals.stop(&ending).await;
        began.get_or_init(Instant::now);
    };
    ziggurat_http::serve(listener, reload.live(), options, stop).await?;
    drop(tasks);
    // Calls whose clients have left have what is left of the grace, like those of the others.
    let left = grace.saturating_sub(began.get().map_or(grace, Instant::elapsed));
    if tokio::time::timeout(left, registries.drains.idle()).await.is_err() {
        ending.end.cancel();
        drop(tokio::time::timeout(LAST_WORDS, registries.drains.idle()).await);
    }
    registries.flush(FLUSH).await;
    tracing::info!("stopped");
    Ok(())
}

fn read_again(serve: &Serve, registries: &Registries) -> Result<(Gateway, Vec<Problem>), Report> {
    let env = ProcessEnvironment;
    let (config, mut warnings) = source::read(serve, &env)?;
    match Gateway::with(config, &env, registries) {
        Ok((gateway, more)) => {
            warnings.extend(more);
            Ok((gateway, warnings))
        }
        Err(mut report) => {
            warnings.append(&mut report.warnings);
            report.warnings = warnings;
            Err(report)
        }
    }
}
