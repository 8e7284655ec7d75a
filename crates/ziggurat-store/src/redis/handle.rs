use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{Cmd, FromRedisValue, RedisResult, ScriptInvocation};
use tokio::{task::JoinHandle, time::timeout};
use ziggurat_core::{Ambient, Instant, Str, System};

use super::{
    connection::{Connection, Listening, Maker, Node},
    error::{Error, ErrorKind},
    keeper::{Link, Shared},
    settings::{BadSettings, Settings},
};

/// A Redis, to be cloned: all clones share one connection.
///
/// It closes when the last clone is dropped.
#[derive(Clone)]
pub struct Redis(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Redis {
    /// A handle on the Redis that the settings describe. Nothing is sent before it is used.
    ///
    /// # Errors
    ///
    /// No connection can ever be made with these settings.
    pub fn connect(settings: Settings) -> Result<Self, BadSettings> {
        Self::with_ambient(settings, Arc::new(System))
    }

    /// The same, with randomness of one's own for the waits between attempts to connect.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn with_ambient(
        settings: Settings,
        ambient: Arc<dyn Ambient>,
    ) -> Result<Self, BadSettings> {
        let maker = Maker::new(&settings)?;
        let shared = Arc::new(Shared::new(settings, maker, ambient));
        Ok(Self(Arc::new(Handle { shared, keeper: Mutex::new(None) })))
    }

    /// Asks whether it is there: how long the answer took.
    ///
    /// # Errors
    ///
    /// It is not.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let asked = Instant::now();
        self.run::<String>(&redis::cmd("PING")).await?;
        Ok(asked.elapsed())
    }

    /// Whether a command would be sent now. False before the first command, too.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(&*self.0.shared.link.borrow(), Link::Up(..))
    }

    /// Waits for another connection than this one: its number.
    pub(crate) async fn another(&self, known: Option<u64>) -> u64 {
        let mut link = self.0.shared.link.subscribe();
        let other = |link: &Link| matches!(link, Link::Up(_, number) if Some(*number) != known);
        if let Ok(link) = link.wait_for(other).await
            && let Link::Up(_, number) = &*link
        {
            return *number;
        }
        // The sender is ours, so that this is never reached.
        std::future::pending().await
    }

    /// What every key begins with.
    #[must_use]
    pub fn prefix(&self) -> &Str {
        &self.0.shared.settings.prefix
    }

    #[cfg(test)]
    pub(super) fn connections_made(&self) -> u64 {
        self.0.shared.made.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Sends one command.
    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let ask = |mut connection| async move { command.query_async(&mut connection).await };
        self.ask(self.0.shared.settings.timeout, ask).await
    }

    /// Every server that holds keys: one, unless it is a cluster.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, Error> {
        let ask = |mut connection: Connection| async move { connection.nodes().await };
        self.ask(self.0.shared.settings.timeout, ask).await
    }

    /// Sends one command to one of them.
    pub(crate) async fn run_at<T: FromRedisValue>(
        &self,
        node: &Node,
        command: &Cmd,
    ) -> Result<T, Error> {
        let ask = |mut connection: Connection| async move { connection.at(node, command).await };
        self.ask(self.0.shared.settings.timeout, ask).await
    }

    /// Runs a script by its hash, in one round trip; one more where the server does not know it yet.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        let ask = |mut connection| async move { script.invoke_async(&mut connection).await };
        self.ask(self.0.shared.settings.timeout, ask).await
    }

    /// Listens to a channel, by a connection of its own.
    pub(crate) async fn listen(&self, channel: &str) -> Result<Listening, Error> {
        let shared = &self.0.shared;
        match timeout(shared.settings.connect_timeout, shared.maker.listen(channel)).await {
            Ok(listening) => listening.map_err(|error| Error::of(ErrorKind::Broken, &error)),
            Err(_) => Err(Error::new(ErrorKind::Slow)),
        }
    }

    pub(crate) fn ambient(&self) -> &dyn Ambient {
        &*self.0.shared.ambient
    }

    async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        timeout: Duration,
        ask: impl FnOnce(Connection) -> F,
    ) -> Result<T, Error> {
        let shared = &self.0.shared;
        let deadline = Instant::now() + timeout;
        let (connection, number) = self.connection(deadline).await?;
        let answer = tokio::time::timeout_at(deadline, ask(connection)).await;
        shared.judge(number, answer)
    }

    /// The connection, waited for only while it is being made for the first time.
    async fn connection(&self, deadline: Instant) -> Result<(Connection, u64), Error> {
        let shared = &self.0.shared;
        match &*shared.link.borrow() {
            Link::Up(connection, number) => return Ok((connection.clone(), *number)),
            Link::Down => {
                self.keep();
                return Err(Error::new(ErrorKind::Away));
            }
            Link::Connecting => self.keep(),
        }
        let mut link = shared.link.subscribe();
        let known = link.wait_for(|link| !matches!(link, Link::Connecting));
        if let Ok(known) = tokio::time::timeout_at(deadline, known).await {
            return match known.as_deref() {
                Ok(Link::Up(connection, number)) => Ok((connection.clone(), *number)),
                _ => Err(Error::new(ErrorKind::Away)),
            };
        }
        // One call has waited; no other shall.
        shared.give_up();
        Err(Error::new(ErrorKind::Away))
    }

    /// Sees to it that somebody keeps the connection. The first command does, as only it is sure to be inside a runtime; and a
    /// later one, where that runtime is gone.
    fn keep(&self) {
        let mut keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.as_ref().is_none_or(JoinHandle::is_finished) {
            *keeper = Some(tokio::spawn(self.0.shared.clone().keep()));
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&format_args!("{}", self.0.shared.settings)).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = keeper {
            keeper.abort();
        }
    }
}
