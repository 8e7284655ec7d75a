//! Load on one server, by hand: `load --server 127.0.0.1:4000 --callers 64 --size 2048 --seconds 5`.
//!
//! Prints a report in JSON; fails when an answer was not complete.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::Parser;

use ziggurat_benches::{
    answer::Dialect,
    load::{Load, Until},
    prompt::Prompt,
    script::Script,
};

/// Callers that keep their connections busy and check every answer.
#[derive(Debug, Parser)]
struct Args {
    /// Address of the server.
    #[arg(long)]
    server: SocketAddr,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// Wire format of the requests.
    #[arg(long, value_enum, default_value = "openai")]
    dialect: Dialect,
    /// The model asked for.
    #[arg(long, default_value = "gpt-4o")]
    model: String,
    /// The caller's key.
    #[arg(long, default_value = "sk-x")]
    key: String,
    /// Size of a request's body in bytes; from 1 MiB on it is an image.
    #[arg(long, default_value_t = 2048)]
    size: usize,
    /// Ask for a stream of so many events.
    #[arg(long)]
    chunks: Option<u32>,
    /// Microseconds between the events of a stream.
    #[arg(long, default_value_t = 0, requires = "chunks")]
    delay_us: u64,
    /// Events that the upstream writes at once.
    #[arg(long, default_value_t = 1, requires = "chunks")]
    per_write: u32,
    /// How long to send.
    #[arg(long, default_value_t = 5.0, conflicts_with = "requests")]
    seconds: f64,
    /// Send so many requests by each caller, however long it takes.
    #[arg(long)]
    requests: Option<u64>,
    /// Send no request twice, so that no cache answers one.
    #[arg(long)]
    unique: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let (delay, per_write) = (Duration::from_micros(args.delay_us), args.per_write);
    let prompt = Prompt {
        dialect: args.dialect,
        model: args.model,
        size: args.size,
        stream: args.chunks.map(|chunks| Script { per_write, ..Script::paced(chunks, delay) }),
        key: args.key,
    };
    let request = prompt.request(&args.server.to_string());
    let until = match args.requests {
        Some(requests) => Until::Requests(requests),
        None => Until::Elapsed(Duration::try_from_secs_f64(args.seconds)?),
    };
    let mut load = Load::new(args.server, request, args.callers);
    if args.unique {
        load = load.unique();
    }
    let report = load.run(until).await?;
    serde_json::to_writer_pretty(io::stdout(), &report)?;
    writeln!(io::stdout())?;
    ensure!(report.failed() == 0, "{} answers were not complete", report.failed());
    Ok(())
}
