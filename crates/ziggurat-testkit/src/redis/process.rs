use std::{
    fs::File,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::wire::Connection;

/// The authority that vouches for [`PrivateRedis::with_tls`], in PEM. It has vouched for nobody else, and its key is gone.
pub const AUTHORITY: &str = include_str!("tls/ca.pem");
const SERVER: &str = include_str!("tls/server.pem");
const SERVER_KEY: &str = include_str!("tls/server.key");

/// Ports that the system gives to nobody by itself. One from its range could be taken as the source port of some connection
/// while the server is down, and a client that knocks at it could even be connected to itself.
const PORTS: std::ops::Range<u16> = 16_384..32_768;
/// How often another port is tried when one is taken.
const TRIES: usize = 64;
/// How long a server may take to answer, or to find its port free again.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(5);

/// A Redis server on a loopback port that nobody else uses. Ends when dropped.
#[derive(Debug)]
pub struct PrivateRedis {
    running: Option<Running>,
    port: u16,
    /// Where it speaks TLS.
    tls_port: Option<u16>,
    password: Option<String>,
    /// Further words on its command line.
    options: Vec<String>,
    directory: TempDir,
}

/// The server, and a shell that ends it when this process is gone without having said so.
#[derive(Debug)]
struct Running {
    server: Child,
    watch: Child,
}

impl PrivateRedis {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// When there is no `redis-server`, saying how to install it, or when it does not come up.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::with(None, &[], false)
    }

    /// Starts a server that asks for this password.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    #[track_caller]
    pub fn with_password(password: &str) -> Self {
        Self::with(Some(password), &[], false)
    }

    /// Starts a server that is a Redis Cluster by itself: all slots are its own, and a command whose keys are in several slots
    /// is refused.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    #[track_caller]
    pub fn cluster() -> Self {
        let redis = Self::with(None, &["--cluster-enabled", "yes"], false);
        redis.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        for _ in 0..steps() {
            let info = redis.command(&["CLUSTER", "INFO"]);
            if info.as_str().is_some_and(|info| info.contains("cluster_state:ok")) {
                return redis;
            }
            pause();
        }
        panic!("the cluster did not form: {}", redis.log());
    }

    /// Starts a server that speaks TLS too, on a [port](Self::tls_port) of its own, with a certificate for `localhost` and
    /// `127.0.0.1` by [`AUTHORITY`](super::AUTHORITY).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    #[track_caller]
    pub fn with_tls() -> Self {
        Self::with(None, &["--tls-auth-clients", "no"], true)
    }

    #[track_caller]
    fn with(password: Option<&str>, options: &[&str], tls: bool) -> Self {
        let directory = TempDir::with_prefix("ziggurat-redis-").expect("a temporary directory");
        let mut options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        if tls {
            for (option, text) in [("cert", SERVER), ("key", SERVER_KEY), ("ca-cert", AUTHORITY)] {
                let path = directory.path().join(option);
                std::fs::write(&path, text).expect("a file in a directory of our own");
                options.extend([format!("--tls-{option}-file"), path.display().to_string()]);
            }
        }
        let password = password.map(str::to_owned);
        let mut redis =
            Self { running: None, port: 0, tls_port: None, password, options, directory };
        for _ in 0..TRIES {
            redis.port = fastrand::u16(PORTS);
            redis.tls_port = tls.then(|| fastrand::u16(PORTS));
            if TcpListener::bind((Ipv4Addr::LOCALHOST, redis.port)).is_ok() && redis.launch() {
                return redis;
            }
        }
        panic!("redis-server did not start on any of {TRIES} ports: {}", redis.log());
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port it listens on, the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port it speaks TLS on, if it does.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// What a client is pointed at: `redis://127.0.0.1:PORT`, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        let user = self.password.as_ref().map(|password| format!(":{password}@"));
        format!("redis://{}{}", user.unwrap_or_default(), self.address())
    }

    /// Ends it as `kill -9` does. Nothing is written, connections are reset, the port is closed. Does nothing when it is down.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again on the same port, empty; kills it before if it runs.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..steps() {
            if self.launch() {
                return;
            }
            pause();
        }
        panic!("redis-server did not start again on port {}: {}", self.port, self.log());
    }

    /// Stops it in its tracks (`SIGSTOP`): connections stay open and are accepted, nothing is answered.
    ///
    /// # Panics
    ///
    /// When it is down.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`pause`](Self::pause). What was asked meanwhile is answered.
    ///
    /// # Panics
    ///
    /// When it is down.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends one command on a connection of its own: the answer, strings as text, lists as arrays, nothing as null.
    ///
    /// # Panics
    ///
    /// When the server is down, answers with an error, or does not answer.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Value {
        let answer =
            Connection::open(self.address(), self.password.as_deref(), Duration::from_secs(5))
                .and_then(|mut connection| connection.ask(words));
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("the server runs");
        signal::kill(running.pid(), signal).expect("a process of ours takes signals");
    }

    /// Whether the server came up and it is ours that answers. False when its port is taken.
    #[track_caller]
    fn launch(&mut self) -> bool {
        let mut running = Running::spawn(self);
        for _ in 0..steps() {
            // Asked before it is looked whether it ended: an answer after that is no stranger's.
            let answers = self.process_id() == Some(running.server.id());
            if running.server.try_wait().expect("a child can be asked").is_some() {
                return false;
            }
            if answers {
                self.running = Some(running);
                return true;
            }
            pause();
        }
        false
    }

    /// The process that answers on our port, when one does.
    fn process_id(&self) -> Option<u32> {
        let patience = Duration::from_millis(500);
        let mut connection =
            Connection::open(self.address(), self.password.as_deref(), patience).ok()?;
        let info = connection.ask(&["INFO", "server"]).ok()?;
        let line = info.as_str()?.lines().find_map(|line| line.strip_prefix("process_id:"))?;
        line.trim().parse().ok()
    }

    /// What the system does when this process is killed: closes what it had open.
    #[cfg(test)]
    pub(super) fn owner_dies(&mut self) {
        let mut running = self.running.take().expect("the server runs");
        running.watch.stdin.take();
        running.server.wait().expect("the server ends");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Running {
    #[track_caller]
    fn spawn(redis: &PrivateRedis) -> Self {
        let (directory, port) = (redis.directory.path(), redis.port.to_string());
        let log = File::create(directory.join("log")).expect("a file in a directory of our own");
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &port, "--daemonize", "no"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(directory)
            .args(redis.password.iter().flat_map(|password| ["--requirepass", password]))
            .args(
                redis.tls_port.iter().flat_map(|port| ["--tls-port".to_owned(), port.to_string()]),
            )
            .args(&redis.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        let server = command.spawn().unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!(
                "this test needs redis-server, which is not in PATH: apt-get install redis-server"
            ),
            _ => panic!("cannot start redis-server: {error}"),
        });
        // Its input ends when this process does, however it ends.
        let watch = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$1\"", "watch", &server.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        Self { server, watch }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.server.id().try_into().expect("process ids fit"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The watch first: the server's id is somebody else's once it is waited for. Neither can fail for a child of ours that
        // was not waited for, and a drop has nobody to tell.
        for child in [&mut self.watch, &mut self.server] {
            drop(child.kill().and_then(|()| child.wait()));
        }
    }
}

fn steps() -> u128 {
    PATIENCE.as_millis() / STEP.as_millis()
}

#[expect(clippy::disallowed_methods, reason = "another process's start takes real time")]
fn pause() {
    std::thread::sleep(STEP);
}
