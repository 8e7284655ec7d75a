//! The gateway in front of providers that fail, for a long while.
//!
//! A thousand callers keep a stream open each, over several deployments of four models, with retries,
//! fallbacks, limits and a cache. One answer in twenty breaks off in the middle, one request in ten is
//! refused. Every call must end in one of four ways for its caller: complete, with an error in its
//! stream, with a status, or because the caller left; and as the gateway's own log says. Memory must be
//! flat once it is warm. Ends with status 1 when any of that is not so.

mod caller;
mod ledger;
mod memory;
mod upstream;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use self::{
    caller::{Asked, End, Plan},
    ledger::Log,
    memory::{Samples, Trend},
    upstream::{Done, Rates},
};
use ziggurat_benches::{
    answer::Dialect,
    process::{self, Process},
};

/// Longest time from the gateway's start to its banner.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long what callers left behind may take to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Descriptors that a process needs beside its streams.
const SPARE_FILES: u64 = 512;
/// More complaints than these are counted.
const SHOWN: usize = 20;

/// Runs the gateway over failing providers.
#[derive(Debug, Parser)]
struct Args {
    /// The gateway's binary; `ziggurat` beside this one when not given.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// The gateway's configuration, with `OPENAI_1` to `OPENAI_4`, `ANTHROPIC_1` and `ANTHROPIC_2` where
    /// `http://127.0.0.1:PORT` belongs. It must know the models `chat`, `claude`, `lone` and `tight`, and
    /// write its log as JSON.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How long memory must be flat, in minutes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How long new calls are made before that, in minutes. What is in use is the same after half a minute; what the allocator keeps
    /// beside it grows until some 50,000 calls have left their gaps.
    #[arg(long, default_value_t = 10.0)]
    warm_minutes: f64,
    /// Streams that are open at once.
    #[arg(long, default_value_t = 1000)]
    streams: u32,
    /// Words of the longest answer.
    #[arg(long, default_value_t = 60)]
    words: u32,
    /// Milliseconds between two words.
    #[arg(long, default_value_t = 250)]
    delay_ms: u64,
    /// Requests that a provider refuses with a 429, in hundredths.
    #[arg(long, default_value_t = 10)]
    throttled: u32,
    /// Answers that break off, in hundredths.
    #[arg(long, default_value_t = 5)]
    broken: u32,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A quarter of a minute with few streams: does it all hold at all?
    #[arg(long, conflicts_with_all = ["minutes", "warm_minutes", "streams", "words", "delay_ms"])]
    smoke: bool,
    /// Keep the gateway's log here.
    #[arg(long)]
    log: Option<PathBuf>,
}

/// Everything is on: several deployments, retries, fallbacks, limits, a cache that is soon full.
const CONFIG: &str = "\
model_list:
  - {model_name: chat, litellm_params: {model: openai/gpt-4o, api_base: OPENAI_1/v1, api_key: k}, model_info: {id: chat-1}}
  - {model_name: chat, litellm_params: {model: openai/gpt-4o, api_base: OPENAI_2/v1, api_key: k}, model_info: {id: chat-2}}
  - {model_name: chat, litellm_params: {model: openai/gpt-4o, api_base: OPENAI_3/v1, api_key: k}, model_info: {id: chat-3}}
  - {model_name: claude, litellm_params: {model: anthropic/claude-sonnet-4-5, api_base: ANTHROPIC_1, api_key: k}, model_info: {id: claude-1}}
  - {model_name: claude, litellm_params: {model: anthropic/claude-sonnet-4-5, api_base: ANTHROPIC_2, api_key: k}, model_info: {id: claude-2}}
  - {model_name: lone, litellm_params: {model: openai/gpt-4o, api_base: OPENAI_4/v1, api_key: k}, model_info: {id: lone}}
  - {model_name: tight, litellm_params: {model: openai/gpt-4o, api_base: OPENAI_4/v1, api_key: k}, model_info: {id: tight}}
router_settings:
  routing_strategy: simple-shuffle
  num_retries: 2
  allowed_fails: 50
  cooldown_time: 1
  fallbacks: [{chat: [claude]}, {claude: [chat]}]
litellm_settings:
  json_logs: true
  cache: true
  cache_params: {type: local, ttl: 20}
ziggurat:
  timeouts: {first_content: 20s, idle: 4s}
  cache: {max_bytes: 16MiB}
  disconnect: {models: {claude: {drain: {tokens: 20, time: 5s}}}}
  rate_limits:
    key: {parallel: 100000, tpm: 1000000000}
    models: {tight: {rpm: 300, parallel: 40}}
";

fn main() -> Result<ExitCode> {
    let mut args = Args::parse();
    if args.smoke {
        (args.minutes, args.warm_minutes) = (0.15, 0.05);
        (args.streams, args.words, args.delay_ms) = (100, 20, 50);
    }
    let most = process::raise_file_limit()?;
    // The callers and the providers are in one process.
    let fits = u32::try_from(most.saturating_sub(SPARE_FILES) / 3).unwrap_or(u32::MAX);
    if args.streams > fits {
        say(&format!(
            "note: only {most} files may be open: {fits} streams instead of {}",
            args.streams
        ))?;
        args.streams = fits;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&args))
}

async fn run(args: &Args) -> Result<ExitCode> {
    let done = Arc::new(Done::default());
    let config = configure(args, &done).await?;
    let dir = tempfile::tempdir()?;
    let log = args.log.clone().unwrap_or_else(|| dir.path().join("gateway.log"));
    let mut gateway = Gateway::start(args, &config, dir.path(), &log).await?;
    // The cache is full, every connection has been made, the allocator has what it likes to keep.
    let warm = Duration::try_from_secs_f64(args.warm_minutes * 60.0)?;
    let length = warm + Duration::try_from_secs_f64(args.minutes * 60.0)?;
    say(&format!(
        "{} streams for {} s, warm after {} s, {} % of requests refused, {} % of answers broken, seed {}",
        args.streams,
        length.as_secs(),
        warm.as_secs(),
        args.throttled,
        args.broken,
        args.seed
    ))?;

    let plan = Plan {
        gateway: gateway.address,
        words: args.words.max(4),
        delay: Duration::from_millis(args.delay_ms),
        numbers: Arc::default(),
        over: Arc::new(AtomicBool::new(false)),
        open: Arc::new(AtomicU64::new(0)),
    };
    let mut callers = JoinSet::new();
    for number in 0..args.streams {
        callers.spawn(caller::call(plan.clone(), args.seed << 32 | u64::from(number)));
    }
    let (samples, open) = watch(&mut gateway, &plan, &done, (warm, length)).await?;
    plan.over.store(true, Ordering::Relaxed);
    let mut calls = Vec::new();
    while let Some(ends) = callers.join_next().await {
        calls.extend(ends?);
    }
    let left_open = settle(&done).await;
    let files = gateway.process.open_files()?;
    let cpu = gateway.process.cpu_time()?;
    let ended_well = gateway.stop().await?;
    let log = Log::read(&log)?;

    let findings = Findings {
        sent: plan.numbers.load(Ordering::Relaxed),
        calls,
        log,
        trend: samples.trend(warm),
        open,
        left_open,
        files,
        cpu,
        ended_well,
        smoke: args.smoke,
    };
    findings.print(&done)?;
    let complaints = findings.complaints(&done);
    for complaint in complaints.iter().take(SHOWN) {
        say(&format!("WRONG: {complaint}"))?;
    }
    if complaints.len() > SHOWN {
        say(&format!("WRONG: and {} more", complaints.len() - SHOWN))?;
    }
    if complaints.is_empty() {
        say("every call is accounted for")?;
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the providers, and writes them into the configuration.
async fn configure(args: &Args, done: &Arc<Done>) -> Result<String> {
    let mut config = match &args.config {
        Some(path) => fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => CONFIG.to_owned(),
    };
    let rates = Rates { throttled: args.throttled, broken: args.broken };
    for (number, (name, dialect)) in [
        ("OPENAI_1", Dialect::Openai),
        ("OPENAI_2", Dialect::Openai),
        ("OPENAI_3", Dialect::Openai),
        ("OPENAI_4", Dialect::Openai),
        ("ANTHROPIC_1", Dialect::Anthropic),
        ("ANTHROPIC_2", Dialect::Anthropic),
    ]
    .into_iter()
    .enumerate()
    {
        let address = upstream::serve(dialect, rates, args.seed << 8 | number as u64, done).await?;
        config = config.replace(name, &format!("http://{address}"));
    }
    Ok(config)
}

/// Watches until the end: memory, and how many streams were open at least and at most from the warm-up on.
async fn watch(
    gateway: &mut Gateway,
    plan: &Plan,
    done: &Done,
    (warm, length): (Duration, Duration),
) -> Result<(Samples, (u64, u64))> {
    let start = Instant::now();
    let mut samples = Samples::default();
    let mut open = (u64::MAX, 0);
    let mut told = Duration::ZERO;
    while start.elapsed() < length {
        sleep(Duration::from_millis(500)).await;
        if let Some(status) = gateway.process.ended()? {
            bail!("the gateway ended with {status}\n{}", gateway.log_end());
        }
        let resident = gateway.process.resident()?;
        samples.push(start.elapsed(), resident);
        let now = plan.open.load(Ordering::Relaxed);
        if start.elapsed() > warm {
            open = (open.0.min(now), open.1.max(now));
        }
        if start.elapsed() - told >= Duration::from_secs(30) {
            told = start.elapsed();
            say(&format!(
                "{:>5} s  {now:>5} open  {:>8} calls  {:>6.1} MiB  {:>5} upstream",
                told.as_secs(),
                plan.numbers.load(Ordering::Relaxed),
                mebibytes(resident as f64),
                done.open.load(Ordering::Relaxed),
            ))?;
        }
    }
    Ok((samples, open))
}

/// Waits until no provider answers any more; how many still do.
async fn settle(done: &Done) -> u64 {
    let start = Instant::now();
    loop {
        let open = done.open.load(Ordering::Relaxed);
        if open == 0 || start.elapsed() > SETTLED_WITHIN {
            return open;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The gateway in a process of its own.
struct Gateway {
    process: Process,
    address: SocketAddr,
    log: PathBuf,
}

impl Gateway {
    async fn start(args: &Args, config: &str, dir: &Path, log: &Path) -> Result<Self> {
        let binary = match &args.gateway {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            None => sibling("ziggurat")?,
        };
        let file = dir.join("config.yaml");
        fs::write(&file, config)?;
        let mut command = Command::new(binary);
        command.arg("--config").arg(file).args(["--port", "0"]).current_dir(dir);
        for variable in ["http_proxy", "https_proxy", "all_proxy", "RUST_LOG"] {
            command.env_remove(variable).env_remove(variable.to_uppercase());
        }
        let process = Process::spawn(command, None, &fs::File::create(log)?)?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self { process, address, log: log.to_owned() };
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(log)?;
            let line = text.lines().find_map(|line| line.split_once("listens on http://"));
            if let Some((_, address)) = line {
                gateway.address = address.trim().parse()?;
                return Ok(gateway);
            }
            if let Some(status) = gateway.process.ended()? {
                bail!("the gateway ended with {status}\n{}", gateway.log_end());
            }
            ensure!(start.elapsed() < READY_WITHIN, "no banner\n{}", gateway.log_end());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it ends in good order when it is asked to.
    async fn stop(&mut self) -> Result<bool> {
        self.process.terminate()?;
        let start = Instant::now();
        while start.elapsed() < SETTLED_WITHIN {
            if let Some(status) = self.process.ended()? {
                return Ok(status.success());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(false)
    }

    fn log_end(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }
}

/// What came of it.
struct Findings {
    sent: u64,
    calls: Vec<(Asked, End)>,
    log: Log,
    trend: Option<Trend>,
    open: (u64, u64),
    left_open: u64,
    files: usize,
    cpu: Duration,
    ended_well: bool,
    smoke: bool,
}

impl Findings {
    fn print(&self, done: &Done) -> Result<()> {
        let mut ends: BTreeMap<String, u64> = BTreeMap::new();
        for (_, end) in &self.calls {
            let name = match end {
                End::Complete => "complete".to_owned(),
                End::Told => "an error in the stream".to_owned(),
                End::Refused(status) => format!("refused with {status}"),
                End::Left => "the caller left".to_owned(),
                End::Wrong(_) => "WRONG".to_owned(),
            };
            *ends.entry(name).or_default() += 1;
        }
        say("\n| callers saw | calls | % |\n| --- | ---: | ---: |")?;
        let percent = |count: u64| 100.0 * count as f64 / self.sent.max(1) as f64;
        for (name, count) in &ends {
            say(&format!("| {name} | {count} | {:.2} |", percent(*count)))?;
        }
        say(&format!("| all | {} | sent: {} |", self.calls.len(), self.sent))?;
        say("\n| the gateway wrote | |\n| --- | ---: |")?;
        for (name, count) in &self.log.ends {
            say(&format!("| calls that ended in {name} | {count} |"))?;
        }
        for (name, count) in &self.log.kinds {
            say(&format!("| failures: {name} | {count} |"))?;
        }
        let Log { calls, attempts, fallbacks, cached, .. } = &self.log;
        say(&format!("| calls, in all | {calls} |\n| attempts | {attempts} |"))?;
        say(&format!("| fallbacks | {fallbacks} |\n| from the cache | {cached} |"))?;
        say("\n| providers did | |\n| --- | ---: |")?;
        for (name, counter) in [
            ("requests", &done.requests),
            ("refused with 429", &done.throttled),
            ("broke off before any text", &done.broken_early),
            ("broke off within the text", &done.broken_late),
            ("complete", &done.complete),
            ("left by the gateway", &done.left),
        ] {
            say(&format!("| {name} | {} |", counter.load(Ordering::Relaxed)))?;
        }
        say("\n| the process | |\n| --- | ---: |")?;
        let (least, most) = self.open;
        say(&format!("| calls open at once, warm | {least} to {most} |"))?;
        if let Some(trend) = &self.trend {
            let (mean, most) = (mebibytes(trend.mean), mebibytes(trend.most as f64));
            say(&format!("| memory, warm: mean | {mean:.1} MiB |\n| most | {most:.1} MiB |"))?;
            say(&format!("| growth to the end | {:+.2} MiB |", mebibytes(trend.growth)))?;
        }
        say(&format!("| files open at the end | {} |", self.files))?;
        let each = self.cpu.as_secs_f64() * 1e6 / self.sent.max(1) as f64;
        say(&format!("| CPU | {:.1} s, {each:.0} µs a call |\n", self.cpu.as_secs_f64()))
    }

    /// All that is not as it must be.
    fn complaints(&self, done: &Done) -> Vec<String> {
        let mut complaints: Vec<String> = self
            .calls
            .iter()
            .filter_map(|(asked, end)| match end {
                End::Wrong(why) => Some(format!("call {} to {}: {why}", asked.number, asked.model)),
                _ => None,
            })
            .collect();
        if self.calls.len() as u64 != self.sent {
            complaints.push(format!("{} calls of {} came to an end", self.calls.len(), self.sent));
        }
        complaints.extend(self.log.compare(&self.calls));
        // An attempt that a caller or a limit cut short need not have reached anybody; none reached anybody unbooked.
        let requests = done.requests.load(Ordering::Relaxed);
        let short = |(_, end): &&(Asked, End)| matches!(end, End::Left | End::Refused(_));
        let short = self.calls.iter().filter(short).count() as u64;
        if requests > self.log.attempts || self.log.attempts - requests > short {
            complaints.push(format!(
                "{} attempts are booked, {requests} requests came",
                self.log.attempts
            ));
        }
        if self.log.dropped {
            complaints.push("the gateway dropped lines of its log".to_owned());
        }
        for (end, name) in [(End::Complete, "complete"), (End::Told, "told of a failure")] {
            if !self.calls.iter().any(|(_, other)| *other == end) {
                complaints.push(format!("no call was {name}: this run shows nothing"));
            }
        }
        if self.left_open > 0 {
            complaints
                .push(format!("providers still answered {} calls at the end", self.left_open));
        }
        if !self.ended_well {
            complaints.push("the gateway did not end in good order".to_owned());
        }
        // A short run has no time to be warm.
        if let Some(trend) = self.trend.filter(|trend| !self.smoke && !trend.is_flat()) {
            complaints.push(format!("memory grew by {:.1} MiB", mebibytes(trend.growth)));
        }
        complaints
    }
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// A binary built beside this one.
fn sibling(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.exists(),
        "{} is missing: build it with `cargo build --release -p ziggurat-benches -p ziggurat-gateway`",
        path.display()
    );
    Ok(path)
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
