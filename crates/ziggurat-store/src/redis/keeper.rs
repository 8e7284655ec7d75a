//! The task that connects, listens for the connection's heart, and connects again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{RedisError, RedisResult};
use tokio::{
    sync::{Notify, watch},
    time::{error::Elapsed, sleep, timeout},
};
use ziggurat_core::{Ambient, Instant};

use super::{
    connection::{Connection, Maker},
    error::{Error, ErrorKind},
    settings::Settings,
};

/// Commands in a row without an answer in time that mean that none will come.
const STRIKES: u32 = 3;
/// How often a connection is asked whether it lives. An idle one that broke is found before a call needs it.
const HEARTBEAT: Duration = Duration::from_secs(1);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A connection that lived so long was a good one: the next is made at once.
const GOOD: Duration = Duration::from_secs(5);

/// What commands and the keeper share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) link: watch::Sender<Link>,
    pub(super) maker: Maker,
    pub(super) ambient: Arc<dyn Ambient>,
    /// A command found the connection broken or silent.
    broken: Notify,
    strikes: AtomicU32,
    /// How many connections there have been.
    pub(super) made: AtomicU64,
}

/// The state of the connection.
pub(super) enum Link {
    /// Being made, for the first time or after one that worked: commands wait.
    Connecting,
    /// Works. The number tells it from the one before.
    Up(Connection, u64),
    /// Could not be made, or is silent: commands fail.
    Down,
}

impl Shared {
    pub(super) fn new(settings: Settings, maker: Maker, ambient: Arc<dyn Ambient>) -> Self {
        Self {
            settings,
            link: watch::Sender::new(Link::Connecting),
            maker,
            ambient,
            broken: Notify::new(),
            strikes: AtomicU32::new(0),
            made: AtomicU64::new(0),
        }
    }

    /// What an answer says about the connection, and to the one who asked.
    pub(super) fn judge<T>(
        &self,
        number: u64,
        answer: Result<RedisResult<T>, Elapsed>,
    ) -> Result<T, Error> {
        match answer {
            Ok(Ok(answer)) => {
                self.strikes.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) if is_broken(&error) => {
                // Where the server died, a new one may be there already: it is waited for once.
                self.lose(number, Link::Connecting);
                Err(Error::of(ErrorKind::Broken, &error))
            }
            Ok(Err(error)) => {
                self.strikes.store(0, Ordering::Relaxed);
                Err(Error::of(ErrorKind::Refused, &error))
            }
            Err(_) => {
                if self.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES {
                    self.lose(number, Link::Down);
                }
                Err(Error::new(ErrorKind::Slow))
            }
        }
    }

    /// Says that a first connection takes too long to be waited for.
    pub(super) fn give_up(&self) {
        self.link.send_if_modified(|link| {
            let connecting = matches!(link, Link::Connecting);
            if connecting {
                *link = Link::Down;
            }
            connecting
        });
    }

    /// Takes connection `number` out of use, unless another is in its place already.
    fn lose(&self, number: u64, now: Link) {
        let lost = self.link.send_if_modified(|link| {
            let same = matches!(link, Link::Up(_, current) if *current == number);
            if same {
                *link = now;
            }
            same
        });
        if lost {
            self.broken.notify_one();
        }
    }

    /// Keeps a connection until it is aborted.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut wait = FIRST_WAIT;
        let mut told = false;
        // What a keeper before this one left behind is of a runtime that is gone.
        self.link.send_if_modified(|link| {
            let stale = matches!(link, Link::Up(..));
            if stale {
                *link = Link::Connecting;
            }
            stale
        });
        loop {
            match self.connect().await {
                Ok(connection) => {
                    if std::mem::take(&mut told) {
                        tracing::info!(redis = %self.settings, "Redis is back");
                    }
                    let number = self.made.fetch_add(1, Ordering::Relaxed);
                    let since = Instant::now();
                    self.strikes.store(0, Ordering::Relaxed);
                    self.link.send_replace(Link::Up(connection.clone(), number));
                    self.watch(connection, number).await;
                    if since.elapsed() >= GOOD {
                        wait = FIRST_WAIT;
                        continue;
                    }
                }
                Err(error) => {
                    self.link.send_replace(Link::Down);
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(redis = %self.settings, %error, "Redis is away");
                    }
                }
            }
            sleep(self.jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// A connection that has answered.
    async fn connect(&self) -> Result<Connection, Error> {
        let answered = async {
            let mut connection = self.maker.connect().await?;
            redis::cmd("PING").query_async::<String>(&mut connection).await?;
            Ok(connection)
        };
        match timeout(self.settings.connect_timeout, answered).await {
            Ok(made) => made.map_err(|error: RedisError| Error::of(ErrorKind::Broken, &error)),
            Err(_) => Err(Error::new(ErrorKind::Slow)),
        }
    }

    /// Returns when connection `number` is out of use.
    async fn watch(&self, mut connection: Connection, number: u64) {
        loop {
            tokio::select! {
                () = self.broken.notified() => {}
                () = sleep(HEARTBEAT) => {
                    let ping = redis::cmd("PING");
                    let beat = ping.query_async::<String>(&mut connection);
                    // Longer than a command, so that a moment's stall does not cost the connection.
                    let now = match timeout(self.settings.connect_timeout, beat).await {
                        Ok(Ok(_)) => continue,
                        Ok(Err(_)) => Link::Connecting,
                        Err(_) => Link::Down,
                    };
                    self.lose(number, now);
                }
            }
            // A note about the connection before this one means nothing.
            if !matches!(&*self.link.borrow(), Link::Up(_, current) if *current == number) {
                return;
            }
        }
    }

    /// Between half of it and all of it, so that gateways do not knock in step.
    fn jittered(&self, wait: Duration) -> Duration {
        let share = (self.ambient.random() >> 40) as u32;
        wait / 2 + (wait / 2) * share.min(1 << 24) / (1 << 24)
    }
}

/// Whether the connection is of no use any more, whatever the command was.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}
