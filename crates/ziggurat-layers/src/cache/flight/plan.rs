//! What is known of a flight before it begins.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ziggurat_core::{Ask, Call, Dialect, Error, FallbackTarget, Instant, Operation, Reply, Str};

use crate::cache::Key;
use crate::cache::memory::Held;
use crate::cache::policy::Wish;

/// How the flight's answer begins.
pub(in crate::cache) type Asked = Pin<Box<dyn Future<Output = Result<Found, Error>> + Send>>;

/// Where the answer was found.
pub(in crate::cache) enum Found {
    /// A store had it.
    Held(Arc<Held>),
    /// The call was made.
    Reply(Box<Reply>),
}

/// What is known of a flight before it begins.
pub(in crate::cache) struct Plan {
    pub(in crate::cache) key: Key,
    /// The key as callers read it.
    pub(in crate::cache) cache_key: Str,
    /// What the bytes of the first call are called.
    pub(in crate::cache) name: Option<Key>,
    /// Whether it asked for usage at the end of a stream.
    pub(in crate::cache) usage: bool,
    pub(in crate::cache) wish: Wish,
    pub(in crate::cache) terms: Terms,
    pub(in crate::cache) dialect: Option<Dialect>,
    /// Whose call it was.
    pub(in crate::cache) caller: Option<Str>,
    /// What it called the model.
    pub(in crate::cache) model: Str,
    pub(in crate::cache) call_id: Str,
    pub(in crate::cache) flushes: u64,
}

impl Plan {
    /// What the encoder of an answer that is kept has to know.
    pub(super) fn ask(&self, created: Duration) -> Ask {
        let mut ask = Ask::new(Operation::Chat, self.model.clone());
        ask.stream_usage = true;
        ask.created = created.as_secs();
        ask.call_id = self.call_id.clone();
        ask
    }
}

/// What must be equal beside the key, so that calls can share a flight: how hard is tried, and how fresh the answer must be.
#[derive(Clone, Debug)]
pub(in crate::cache) struct Terms {
    deadline: Option<Instant>,
    max_age: Option<Duration>,
    retries: Option<u32>,
    fallbacks: Option<Vec<FallbackTarget>>,
    disable_fallbacks: bool,
    tags: Vec<Str>,
}

impl Terms {
    pub(in crate::cache) fn of(call: &Call, wish: &Wish) -> Self {
        let controls = call.controls();
        Self {
            deadline: call.deadline(),
            max_age: wish.max_age,
            retries: controls.retries,
            fallbacks: controls.fallbacks.clone(),
            disable_fallbacks: controls.disable_fallbacks,
            tags: controls.tags.clone(),
        }
    }
}

impl Terms {
    /// Whether a flight on these terms is as good as one of its own to a call on others.
    pub(super) fn suit(&self, other: &Self) -> bool {
        let Self { deadline, max_age, retries, fallbacks, disable_fallbacks, tags } = self;
        *max_age == other.max_age
            && *retries == other.retries
            && *fallbacks == other.fallbacks
            && *disable_fallbacks == other.disable_fallbacks
            && *tags == other.tags
            && is_late_enough(*deadline, other.deadline)
    }
}

/// A flight is tried no longer than its own deadline: it must have half as long as the call at least.
fn is_late_enough(flights: Option<Instant>, calls: Option<Instant>) -> bool {
    match (flights, calls) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(flights), Some(calls)) if flights >= calls => true,
        (Some(flights), Some(calls)) => {
            let now = Instant::now();
            let left = |until: Instant| until.saturating_duration_since(now);
            left(flights) >= left(calls) / 2
        }
    }
}
