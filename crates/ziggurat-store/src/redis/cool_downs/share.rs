use std::fmt;

use tokio::{sync::mpsc, task::AbortHandle};
use ziggurat_layers::route::{Registry, Subscription};

use super::task;
use crate::redis::Redis;

/// Cool-downs that wait to be written. More at once are not told: others find out by themselves.
const QUEUE: usize = 1024;

/// Shares the cool-downs of one registry with those of other gateways, until it is dropped.
///
/// A cool-down that begins here is written to Redis; one that began elsewhere begins here. Others learn of it at once, through
/// a channel, or within a second, by reading, where the channel is down. Who comes later reads what still cools.
///
/// Only the beginning is shared: a deployment that is found to be well by one gateway is tried by the others when its time is over.
///
/// # Redis
///
/// One sorted set, `{prefix}cooldowns`, with an entry of some eighty bytes for each deployment that cools; it ends with the
/// last of them. One channel, `{prefix}cooldowns:told`. One script a second to read, one for each cool-down that begins. Time is
/// the server's.
///
/// While Redis is away every gateway keeps to what it knows. What began meanwhile, and is not over, is written when Redis is
/// back.
#[must_use = "dropping it ends the sharing"]
pub struct SharedCoolDowns {
    _subscription: Subscription,
    tasks: [AbortHandle; 2],
}

impl SharedCoolDowns {
    /// Begins.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of tokio.
    pub fn start(redis: &Redis, registry: &Registry) -> Self {
        let gateway = redis.ambient().random();
        let (send, receive) = mpsc::channel(QUEUE);
        let subscription = registry.subscribe(move |cooled| {
            if send.try_send(task::Begun::now(cooled)).is_err() {
                tracing::debug!(deployment = %cooled.deployment, "a cool-down is not shared");
            }
        });
        let tasks = task::spawn(redis, registry, gateway, receive);
        Self { _subscription: subscription, tasks }
    }
}

impl Drop for SharedCoolDowns {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for SharedCoolDowns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCoolDowns").finish_non_exhaustive()
    }
}
