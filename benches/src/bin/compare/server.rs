//! The servers of a run: the upstream behind, the bare proxy and the gateway in front of it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{Args, readings::Side};
use ziggurat_benches::{
    answer::Dialect,
    load::Caller,
    process::{Process, free_address},
    prompt::{Prompt, Request},
};

/// Longest time from a server's start to its first answer.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Between two attempts to get the first answer.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// What a server printed last, shown when it fails.
const LOG_SHOWN: usize = 2000;

/// The models of every scenario, in the format the gateway reads.
const CONFIG: &str = include_str!("../../../configs/plain.yaml");

/// Everything that stays for the whole run.
pub(crate) struct Field {
    upstream: Server,
    bare: PathBuf,
    /// `None` when the bare proxy stands in for it.
    gateway: Option<PathBuf>,
    config: String,
    /// The gateway's configuration where it is its own baseline.
    baseline: Option<String>,
    runtime: String,
    key: String,
    core: Option<usize>,
    /// Configuration and logs; servers run in it, so that files of theirs vanish with it.
    dir: TempDir,
}

/// A server that answers.
pub(crate) struct Server {
    side: Side,
    process: Process,
    address: SocketAddr,
    log: PathBuf,
    started: Instant,
}

impl Field {
    /// Finds the binaries and starts the upstream.
    pub(crate) async fn open(args: &Args, core: Option<usize>) -> Result<Self> {
        let gateway = match (&args.gateway, args.against_itself) {
            (_, true) => None,
            (Some(path), false) => {
                Some(path.canonicalize().with_context(|| path.display().to_string())?)
            }
            (None, false) => Some(sibling("ziggurat")?),
        };
        let read =
            |path: &PathBuf| fs::read_to_string(path).with_context(|| path.display().to_string());
        let config = match &args.config {
            Some(path) => read(path)?,
            None => CONFIG.to_owned(),
        };
        let baseline = args.baseline.as_ref().map(read).transpose()?;
        let dir = tempfile::tempdir()?;
        let address = free_address()?;
        let mut command = Command::new(sibling("fake-upstream")?);
        command.args(["--port", &address.port().to_string()]);
        // It stays on the core of the callers, as does everything started without one.
        let mut upstream = Server::spawn(Side::Bare, command, None, address, dir.path())?;
        upstream.ready(&first_request("gpt-4o", &args.key)).await.context("the upstream")?;
        Ok(Self {
            upstream,
            bare: sibling("bare-proxy")?,
            gateway,
            config: config.replace("UPSTREAM", &format!("http://{address}")),
            baseline: baseline.map(|text| text.replace("UPSTREAM", &format!("http://{address}"))),
            runtime: args.runtime.clone(),
            key: args.key.clone(),
            core,
            dir,
        })
    }

    /// Starts a server and waits until it has answered a request for `model`.
    pub(crate) async fn start(&self, side: Side, model: &str) -> Result<Server> {
        let mut server = self.spawn(side)?;
        server.ready(&first_request(model, &self.key)).await?;
        Ok(server)
    }

    fn spawn(&self, side: Side) -> Result<Server> {
        let address = free_address()?;
        let port = address.port().to_string();
        let (name, config) = match (side, &self.baseline) {
            (Side::Bare, Some(baseline)) => ("baseline.yaml", Some(baseline)),
            (Side::Bare, None) => ("", None),
            (Side::Gateway, _) => ("config.yaml", Some(&self.config)),
        };
        let command = match (config, &self.gateway) {
            (Some(text), Some(gateway)) => {
                let config = self.dir.path().join(name);
                fs::write(&config, text)?;
                let mut command = Command::new(gateway);
                command.arg("--config").arg(config).args(["--port", &port]);
                command
            }
            (None, _) | (_, None) => {
                let mut command = Command::new(&self.bare);
                let upstream = format!("http://{}", self.upstream.address);
                command.args(["--upstream", &upstream, "--port", &port]);
                command.args(["--runtime", &self.runtime]);
                command
            }
        };
        Server::spawn(side, command, self.core, address, self.dir.path())
    }

    /// CPU time of the upstream so far.
    pub(crate) fn upstream_cpu(&self) -> Result<Duration> {
        self.upstream.process.cpu_time()
    }

    /// What stands on the gateway's side.
    pub(crate) fn gateway_name(&self) -> String {
        self.gateway.as_ref().map_or("bare-proxy".to_owned(), |path| path.display().to_string())
    }

    /// The core of the servers under test.
    pub(crate) fn core(&self) -> Option<usize> {
        self.core
    }
}

impl Server {
    fn spawn(
        side: Side,
        mut command: Command,
        core: Option<usize>,
        address: SocketAddr,
        dir: &Path,
    ) -> Result<Self> {
        let log = dir.join(format!("{}.log", address.port()));
        command.current_dir(dir);
        for variable in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(variable).env_remove(variable.to_uppercase());
        }
        let started = Instant::now();
        let process = Process::spawn(command, core, &fs::File::create(&log)?)?;
        Ok(Self { side, process, address, log, started })
    }

    /// Asks until the first answer.
    async fn ready(&mut self, request: &Request) -> Result<()> {
        loop {
            let Err(fault) = Caller::new(self.address).exchange(request).await else {
                return Ok(());
            };
            if let Some(status) = self.process.ended()? {
                bail!("{} ended with {status}\n{}", self.side.name(), self.log_end());
            }
            ensure!(
                self.started.elapsed() < READY_WITHIN,
                "{} gave no answer: {fault}\n{}",
                self.side.name(),
                self.log_end()
            );
            sleep(ASK_EVERY).await;
        }
    }

    fn log_end(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_SHOWN)..]).into_owned()
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// When the process was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }
}

fn first_request(model: &str, key: &str) -> Request {
    let prompt = Prompt {
        dialect: Dialect::Openai,
        model: model.to_owned(),
        size: 0,
        stream: None,
        key: key.to_owned(),
    };
    prompt.request("localhost")
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
