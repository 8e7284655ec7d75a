//! The two tasks: one writes and reads, one listens.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::Receiver,
    task::AbortHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use ziggurat_core::{Instant, Str};
use ziggurat_layers::route::{Cause, Cooled, Registry};

use super::listing::{self, Heard};
use crate::redis::{Error, ErrorKind, Redis, connection::Listening};

/// How often everything is read, and what could not be written is tried again.
const EVERY: Duration = Duration::from_secs(1);
/// How often the channel is asked whether it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A cool-down that began here.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    deployment: Str,
    until: Instant,
    cause: Cause,
}

impl Begun {
    pub(super) fn now(cooled: &Cooled) -> Self {
        Self {
            deployment: cooled.deployment.clone(),
            until: Instant::now() + cooled.time,
            cause: cooled.cause,
        }
    }
}

pub(super) fn spawn(
    redis: &Redis,
    registry: &Registry,
    gateway: u64,
    begun: Receiver<Begun>,
) -> [AbortHandle; 2] {
    let heard = Arc::new(Heard::new(registry.clone(), gateway));
    let channel = format!("{}cooldowns:told", redis.prefix());
    let listener = listen(redis.clone(), channel.clone(), Arc::clone(&heard));
    let book = Book {
        redis: redis.clone(),
        listing: format!("{}cooldowns", redis.prefix()),
        channel,
        gateway,
        heard,
        unwritten: HashMap::new(),
    };
    [tokio::spawn(book.keep(begun)).abort_handle(), tokio::spawn(listener).abort_handle()]
}

/// Writes what begins here, and reads what began elsewhere.
struct Book {
    redis: Redis,
    listing: String,
    channel: String,
    gateway: u64,
    heard: Arc<Heard>,
    /// By deployment, so that it is bounded by their number however long Redis is away.
    unwritten: HashMap<Str, Begun>,
}

impl Book {
    async fn keep(mut self, mut begun: Receiver<Begun>) {
        let mut reading = interval(EVERY);
        reading.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                begun = begun.recv() => {
                    // The subscription is gone, and its owner with it.
                    let Some(begun) = begun else { return };
                    self.unwritten.insert(begun.deployment.clone(), begun);
                    self.write().await;
                }
                _ = reading.tick() => {
                    self.write().await;
                    self.read().await;
                }
            }
        }
    }

    async fn write(&mut self) {
        let now = Instant::now();
        self.unwritten.retain(|_, begun| begun.until > now);
        // Cloned: what could not be written stays, and little cools at once.
        for (deployment, begun) in self.unwritten.clone() {
            match self.write_one(&begun).await {
                Ok(()) => drop(self.unwritten.remove(&deployment)),
                // A refusal would be repeated: a cool-down is not worth that.
                Err(error) if error.kind() == ErrorKind::Refused => {
                    tracing::warn!(%deployment, %error, "a cool-down is not shared");
                    self.unwritten.remove(&deployment);
                }
                Err(_) => return,
            }
        }
    }

    async fn write_one(&self, begun: &Begun) -> Result<(), Error> {
        let left = begun.until.saturating_duration_since(Instant::now());
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut script = listing::WRITE.key(&self.listing);
        script.arg(listing::entry(begun.cause, self.gateway, &begun.deployment));
        script.arg(left).arg(&self.channel);
        self.redis.script(&script).await
    }

    async fn read(&self) {
        let mut script = listing::READ.key(&self.listing);
        script.arg(listing::MOST);
        match self.redis.script::<Vec<String>>(&script).await {
            Ok(told) => self.heard.hear_all(&told),
            Err(error) if error.kind() == ErrorKind::Refused => {
                tracing::warn!(%error, "the cool-downs of others cannot be read");
            }
            // The connection says so itself.
            Err(_) => {}
        }
    }
}

/// Hears at once what is read within a second otherwise. So a channel that is down is no matter, and is tried again each second.
async fn listen(redis: Redis, channel: String, heard: Arc<Heard>) {
    loop {
        match redis.listen(&channel).await {
            Ok(listening) => hear(listening, &heard).await,
            Err(error) => tracing::debug!(%error, "no channel for cool-downs"),
        }
        sleep(EVERY).await;
    }
}

/// Hears what is told, until the connection ends or is silent.
async fn hear(mut listening: Listening, heard: &Heard) {
    loop {
        tokio::select! {
            told = listening.next() => match told {
                Some(told) => heard.hear(&told),
                None => return,
            },
            () = sleep(HEARTBEAT) => {
                if !matches!(timeout(EVERY, listening.ping()).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }
}
