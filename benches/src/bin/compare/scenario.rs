//! What is measured, and how a turn of each scenario goes.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::{
    readings::{Metric, Readings, Side},
    server::{Field, Server},
};
use ziggurat_benches::{
    answer::Dialect,
    load::{Load, Report, Until, hold_streams},
    process::{self, Process},
    prompt::{Prompt, Request},
    script::Script,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Callers of the scenarios that measure capacity.
const CALLERS: usize = 64;
/// Callers with a large image: memory, not connections, is scarce then.
const VISION_CALLERS: usize = 8;
/// Callers whose paced streams are looked through for late tokens.
const PACED_CALLERS: usize = 8;

/// The short and the long stream; their difference is the cost of the events alone.
const FEW: u32 = 10;
const MANY: u32 = 210;
/// Between two events of a stream whose events come one by one.
const PACE: Duration = Duration::from_millis(1);
/// Events and pace of a stream that is looked through for late tokens.
const WATCHED: Script = Script::paced(8, Duration::from_millis(2));
/// Streams opened at the same time, on the way to all of them.
const OPENED_AT_ONCE: usize = 64;
/// What a server gets to come to rest before its memory is read.
const REST: Duration = Duration::from_millis(300);

/// One question about the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// 2 KiB prompts, answers at once
    #[value(name = "whole-2k")]
    Whole2k,
    /// 64 KiB prompts, answers at once
    #[value(name = "whole-64k")]
    Whole64k,
    /// 10 MiB images, answers at once
    #[value(name = "whole-10m")]
    Whole10m,
    /// Streams whose events come one by one
    Stream,
    /// Streams as fast as they are read
    Burst,
    /// OpenAI to another dialect, streams as fast as they are read
    TranslateBurst,
    /// OpenAI to another dialect, answers at once
    TranslateWhole,
    /// OpenAI to another dialect, streams whose events come one by one
    TranslateStream,
    /// A single caller, answers at once
    Latency,
    /// A single caller's first token, and tokens that come late
    FirstToken,
    /// The same, OpenAI to another dialect
    TranslateFirstToken,
    /// Memory at rest and of an open stream
    Memory,
    /// From the start of the process to the first answer
    Start,
}

/// Whom a translated call is for, by the model's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Anthropic Messages
    Claude,
    /// OpenAI Responses
    Responses,
    /// Gemini's generateContent
    Gemini,
    /// Bedrock's Converse
    Converse,
    /// Cohere's v2 chat
    Cohere,
    /// Ollama's /api/chat
    Ollama,
}

impl Scenario {
    fn translates(self) -> bool {
        matches!(
            self,
            Self::TranslateWhole
                | Self::TranslateStream
                | Self::TranslateBurst
                | Self::TranslateFirstToken
        )
    }

    /// Whether every turn wants a server that has done nothing yet.
    pub(crate) fn starts_its_own_servers(self) -> bool {
        matches!(self, Self::Memory | Self::Start)
    }
}

/// How long and how much to measure.
pub(crate) struct Measure<'a> {
    field: &'a Field,
    key: &'a str,
    warm_up: Duration,
    turn: Duration,
    streams: usize,
    unique: bool,
    target: Target,
}

/// A run of callers and what it cost the server.
struct Measured {
    report: Report,
    /// CPU time of the server.
    cpu: Duration,
    /// Cores that were busy with something else, on average.
    others: f64,
}

impl<'a> Measure<'a> {
    pub(crate) fn new(field: &'a Field, key: &'a str, turn: Duration, streams: usize) -> Self {
        let warm_up = (turn / 4).min(Duration::from_millis(500));
        Self { field, key, warm_up, turn, streams, unique: false, target: Target::Claude }
    }

    /// Translates for this one.
    pub(crate) fn to(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// The model asked for: the upstream speaks OpenAI's format for one and another for the others.
    pub(crate) fn model(&self, scenario: Scenario) -> &'static str {
        if !scenario.translates() {
            return "gpt-4o";
        }
        match self.target {
            Target::Claude => "claude",
            Target::Responses => "responses",
            Target::Gemini => "gemini",
            Target::Converse => "converse",
            Target::Cohere => "cohere",
            Target::Ollama => "ollama",
        }
    }

    /// Sends no request twice.
    pub(crate) fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// As little as shows that everything works.
    pub(crate) fn smoke(field: &'a Field, key: &'a str) -> Self {
        Self::new(field, key, Duration::from_millis(300), 50)
    }

    /// One turn of one server.
    pub(crate) async fn turn(
        &self,
        scenario: Scenario,
        side: Side,
        server: Option<&Server>,
    ) -> Result<Readings> {
        let model = self.model(scenario);
        match (scenario, server) {
            (Scenario::Memory, _) => self.memory(side, model).await,
            (Scenario::Start, _) => self.start(side, model).await,
            (_, None) => anyhow::bail!("no server was started"),
            (Scenario::Whole2k | Scenario::TranslateWhole, Some(server)) => {
                self.calls(server, model, 2 * KIB, CALLERS).await
            }
            (Scenario::Whole64k, Some(server)) => {
                self.calls(server, model, 64 * KIB, CALLERS).await
            }
            (Scenario::Whole10m, Some(server)) => {
                self.calls(server, model, 10 * MIB, VISION_CALLERS).await
            }
            (Scenario::Latency, Some(server)) => self.calls(server, model, 2 * KIB, 1).await,
            (Scenario::Stream | Scenario::TranslateStream, Some(server)) => {
                self.streams(server, model, PACE).await
            }
            (Scenario::Burst | Scenario::TranslateBurst, Some(server)) => {
                self.streams(server, model, Duration::ZERO).await
            }
            (Scenario::FirstToken | Scenario::TranslateFirstToken, Some(server)) => {
                self.first_token(server, model).await
            }
        }
    }

    async fn calls(
        &self,
        server: &Server,
        model: &str,
        size: usize,
        callers: usize,
    ) -> Result<Readings> {
        let measured = self.load(server, self.request(model, size, None), callers).await?;
        let mut readings = Readings::default();
        readings.set(Metric::CpuPerRequest, measured.cpu_per_answer()? * 1e6);
        readings.set(Metric::PerSecond, measured.report.per_second);
        if let Some(total) = measured.report.total {
            readings.set(Metric::P50, total.p50);
            readings.set(Metric::P99, total.p99);
        }
        readings.set_background(&measured);
        Ok(readings)
    }

    async fn streams(&self, server: &Server, model: &str, pace: Duration) -> Result<Readings> {
        let few = self.request(model, 2 * KIB, Some(Script::paced(FEW, pace)));
        let few = self.load(server, few, CALLERS).await?;
        let many = self.request(model, 2 * KIB, Some(Script::paced(MANY, pace)));
        let many = self.load(server, many, CALLERS).await?;
        let extra = many.cpu_per_answer()? - few.cpu_per_answer()?;
        let mut readings = Readings::default();
        readings.set(Metric::CpuPerChunk, extra / f64::from(MANY - FEW) * 1e9);
        readings.set(Metric::CpuPerShortStream, few.cpu_per_answer()? * 1e6);
        readings.set(Metric::CpuPerLongStream, many.cpu_per_answer()? * 1e6);
        readings.set(Metric::ChunksPerSecond, many.report.per_second * f64::from(MANY));
        readings.set_background(&few);
        readings.set_background(&many);
        Ok(readings)
    }

    /// The first token of streams that do not wait, by one caller; then late tokens among streams that
    /// do, where a server that leaves Nagle's algorithm on would sit out delayed acknowledgements.
    async fn first_token(&self, server: &Server, model: &str) -> Result<Readings> {
        let prompt = self.request(model, 2 * KIB, Some(Script::paced(4, Duration::ZERO)));
        let measured = self.load(server, prompt, 1).await?;
        let mut readings = Readings::default();
        if let Some(first) = measured.report.first_word {
            readings.set(Metric::FirstTokenP50, first.p50);
            readings.set(Metric::FirstTokenP99, first.p99);
        }
        readings.set_background(&measured);

        let watched = self.request(model, 2 * KIB, Some(WATCHED));
        let watched = self.load(server, watched, PACED_CALLERS).await?;
        let report = &watched.report;
        readings.set(Metric::LateTokens, report.first_word_histogram.late_share() * 100.0);
        readings.set(Metric::LateGaps, report.longest_gap_histogram.late_share() * 100.0);
        readings.add_histogram("first token", &report.first_word_histogram);
        readings.add_histogram("longest gap", &report.longest_gap_histogram);
        readings.set_background(&watched);
        Ok(readings)
    }

    async fn memory(&self, side: Side, model: &str) -> Result<Readings> {
        let server = self.field.start(side, model).await?;
        sleep(REST).await;
        let process = server.process();
        let idle = process.resident()?;
        let files = process.open_files()?;
        let request = Arc::new(self.request(model, 2 * KIB, Some(Script::held())));
        let held = hold_streams(server.address(), &request, self.streams, OPENED_AT_ONCE).await?;
        sleep(REST).await;
        let full = process.resident()?;
        let open = process.open_files()?.saturating_sub(files);
        ensure!(open >= self.streams, "{open} connections for {} open streams", self.streams);
        drop(held);
        sleep(REST).await;
        let mut readings = Readings::default();
        readings.set(Metric::IdleResident, idle as f64 / MIB as f64);
        let each = (full as f64 - idle as f64) / self.streams as f64;
        readings.set(Metric::ResidentPerStream, each / KIB as f64);
        let left = process.open_files()?.saturating_sub(files);
        readings.set(Metric::LeftOpen, left as f64);
        Ok(readings)
    }

    async fn start(&self, side: Side, model: &str) -> Result<Readings> {
        let server = self.field.start(side, model).await?;
        let mut readings = Readings::default();
        readings.set(Metric::FirstAnswer, server.started().elapsed().as_secs_f64() * 1e3);
        readings.set(Metric::CpuToFirstAnswer, server.process().cpu_time()?.as_secs_f64() * 1e3);
        Ok(readings)
    }

    /// Warms up, then measures. Every request that is counted begins and ends between the readings.
    async fn load(&self, server: &Server, request: Request, callers: usize) -> Result<Measured> {
        let mut load = Load::new(server.address(), request, callers);
        if self.unique {
            load = load.unique();
        }
        load.run(Until::Elapsed(self.warm_up)).await?;
        let before = self.snapshot(server.process())?;
        let report = load.run(Until::Elapsed(self.turn)).await?;
        let after = self.snapshot(server.process())?;
        let cpu = after.server - before.server;
        let ours = cpu + (after.rest - before.rest);
        let others = (after.machine - before.machine).saturating_sub(ours);
        let elapsed = after.at - before.at;
        Ok(Measured { report, cpu, others: others.as_secs_f64() / elapsed.as_secs_f64() })
    }

    fn request(&self, model: &str, size: usize, stream: Option<Script>) -> Request {
        let (model, key) = (model.to_owned(), self.key.to_owned());
        Prompt { dialect: Dialect::Openai, model, size, stream, key }.request("localhost")
    }

    fn snapshot(&self, server: &Process) -> Result<Snapshot> {
        Ok(Snapshot {
            at: Instant::now(),
            server: server.cpu_time()?,
            rest: self.field.upstream_cpu()? + process::own_cpu_time()?,
            machine: process::machine_busy()?,
        })
    }
}

/// CPU time used up to a moment.
struct Snapshot {
    at: Instant,
    server: Duration,
    /// By the upstream and by ourselves.
    rest: Duration,
    machine: Duration,
}

impl Measured {
    /// CPU seconds of the server for each complete answer.
    fn cpu_per_answer(&self) -> Result<f64> {
        let answered = Some(self.report.answered).filter(|answered| *answered > 0);
        let faults = || format!("no answer was complete: {:?}", self.report.faults);
        Ok(self.cpu.as_secs_f64() / answered.with_context(faults)? as f64)
    }
}

impl Readings {
    /// What tells how far the rest can be trusted: the worst of all runs of a turn.
    fn set_background(&mut self, measured: &Measured) {
        let busy = measured.cpu.as_secs_f64() / measured.report.seconds * 100.0;
        self.set(Metric::ServerBusy, busy);
        self.raise(Metric::Others, measured.others);
        self.add_faults(&measured.report.faults);
    }
}
