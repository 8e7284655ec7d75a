//! What is written to Redis, and what is made of what is read there.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use redis::Script;
use ziggurat_core::{Instant, Str};
use ziggurat_layers::route::{Cause, Registry};

/// Entries that are read at most: more deployments than that do not cool down together.
pub(super) const MOST: usize = 10_000;
/// No entry cools a deployment for longer, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes one entry and tells who listens. KEYS: the listing. ARGV: the entry, for how many milliseconds, the channel.
///
/// The time is the server's own, so that the clocks of gateways do not matter. The key ends with its last entry.
pub(super) static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if known and tonumber(known) >= ends then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last[2]))
redis.call('PUBLISH', ARGV[3], string.format('%.0f %.0f ', ends, ARGV[2]) .. ARGV[1])
return 1",
    )
});

/// Reads all entries, each as it is told to who listens. KEYS: the listing. ARGV: how many at most.
pub(super) static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf',
  'WITHSCORES', 'LIMIT', 0, ARGV[1])
local told = {}
for at = 1, #found, 2 do
  told[#told + 1] = string.format('%.0f %.0f ', found[at + 1], found[at + 1] - now) .. found[at]
end
return told",
    )
});

/// One deployment's cool-down by one gateway. Written `cause gateway deployment`.
pub(super) fn entry(cause: Cause, gateway: u64, deployment: &str) -> String {
    format!("{} {gateway:016x} {deployment}", cause.name())
}

/// What other gateways said, each thing acted upon once.
#[derive(Debug)]
pub(super) struct Heard {
    registry: Registry,
    gateway: u64,
    /// When each entry ends, by the server's clock. Those that are over are forgotten with the next reading.
    known: Mutex<HashMap<Str, u64>>,
}

impl Heard {
    pub(super) fn new(registry: Registry, gateway: u64) -> Self {
        Self { registry, gateway, known: Mutex::default() }
    }

    /// Acts upon one thing said.
    pub(super) fn hear(&self, told: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Between two readings only: the next forgets.
        if known.len() < MOST {
            self.act(told, &mut known, None);
        }
    }

    /// Acts upon everything that is said now.
    pub(super) fn hear_all(&self, told: &[String]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashMap::with_capacity(told.len());
        for told in told {
            self.act(told, &mut now, Some(&*known));
        }
        *known = now;
    }

    fn act(
        &self,
        told: &str,
        known: &mut HashMap<Str, u64>,
        before: Option<&HashMap<Str, u64>>,
    ) -> Option<()> {
        let mut words = told.splitn(3, ' ');
        let ends: u64 = words.next()?.parse().ok()?;
        let left: u64 = words.next()?.parse().ok()?;
        let entry = words.next()?;
        let mut words = entry.splitn(3, ' ');
        let cause = cause(words.next()?);
        let gateway = u64::from_str_radix(words.next()?, 16).ok()?;
        let deployment = words.next()?;
        if gateway == self.gateway {
            return None;
        }
        // One that this gateway does not serve may be served after a reload.
        self.registry.state(deployment)?;
        let heard = before.unwrap_or(known).get(entry).is_some_and(|end| *end >= ends);
        known.insert(Str::from(entry), ends);
        // A deployment that was found to be well since is not cooled anew by what is known already.
        if !heard {
            let left = Duration::from_millis(left).min(LONGEST);
            self.registry.cool(deployment, Instant::now() + left, cause);
        }
        Some(())
    }
}

/// A gateway of another version may know more causes.
fn cause(name: &str) -> Cause {
    let known = [Cause::RateLimit, Cause::Credential, Cause::Missing];
    known.into_iter().find(|cause| cause.name() == name).unwrap_or(Cause::Fault)
}
