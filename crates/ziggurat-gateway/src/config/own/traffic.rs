//! `ziggurat.retry`, `peek`, `cache`, `health_checks` and `reload`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::node::Kind;
use crate::config::read::{At, Reader};

/// `ziggurat.retry`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetrySettings {
    /// `budget_ratio`: how many retries a deployment is owed for each call that it is asked.
    pub budget_ratio: f64,
    /// `budget_floor`: how many retries a second it is owed besides.
    pub budget_floor: u32,
    /// `backoff_base`: the first wait; each further one is twice as long, at most.
    pub backoff_base: Duration,
    /// `backoff_cap`: the longest of those waits.
    pub backoff_cap: Duration,
    /// `retry_after_cap`: the longest `Retry-After` that is waited for.
    pub retry_after_cap: Duration,
}

/// `ziggurat.peek`: the window in which a stream is held back although content has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeekSettings {
    /// `until_tokens`: until there are so many pieces.
    pub until_tokens: Option<NonZeroU32>,
    /// `until_elapsed`: until so much time has passed.
    pub until_elapsed: Option<Duration>,
}

/// `ziggurat.cache`: of the cache that `litellm_settings.cache` switches on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnCacheSettings {
    /// `max_bytes`: the most that memory holds.
    pub max_bytes: u64,
    /// `max_entry_bytes`: a larger answer is not stored.
    pub max_entry_bytes: u64,
    /// `scope`: who shares answers.
    pub scope: CacheScope,
    /// `single_flight`: identical calls at the same time are one.
    pub single_flight: bool,
    /// `memory_ttl`: for so long an answer that Redis holds is kept in memory, too; not at all, when absent.
    pub memory_ttl: Option<Duration>,
}

/// Who shares answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheScope {
    /// `key`: the calls of one key.
    #[default]
    Key,
    /// `team`: the keys of one team.
    Team,
    /// `organization`: the keys of one organisation.
    Organization,
    /// `global`: everybody.
    Global,
}

/// `ziggurat.health_checks`: of the checks that `general_settings.background_health_checks` switches on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheckSettings {
    /// `timeout`: how long a check may take.
    pub timeout: Duration,
    /// `concurrency`: how many may be under way.
    pub concurrency: NonZeroU32,
}

/// `ziggurat.reload`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadSettings {
    /// `watch`: how often the files of the configuration are looked at; never, when absent.
    pub watch: Option<Duration>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            // Finagle's: one retry for five calls, and ten a second for those who call seldom.
            budget_ratio: 0.2,
            budget_floor: 10,
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(8),
            retry_after_cap: Duration::from_secs(60),
        }
    }
}

impl Default for OwnCacheSettings {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_entry_bytes: 4 << 20,
            scope: CacheScope::default(),
            single_flight: true,
            memory_ttl: None,
        }
    }
}

impl Default for HealthCheckSettings {
    fn default() -> Self {
        const FOUR: NonZeroU32 = match NonZeroU32::new(4) {
            Some(four) => four,
            None => NonZeroU32::MIN,
        };
        Self { timeout: Duration::from_secs(60), concurrency: FOUR }
    }
}

impl Default for ReloadSettings {
    fn default() -> Self {
        Self { watch: Some(Duration::from_secs(2)) }
    }
}

const SCOPES: &[(&str, CacheScope)] = &[
    ("key", CacheScope::Key),
    ("team", CacheScope::Team),
    ("organization", CacheScope::Organization),
    ("global", CacheScope::Global),
];

impl RetrySettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let settings = Self {
            budget_ratio: fields.read("budget_ratio", ratio).unwrap_or(usual.budget_ratio),
            budget_floor: fields
                .read("budget_floor", |reader, at| {
                    reader.whole(at, 0..=1_000_000, "an integer from 0 to 1000000")
                })
                .unwrap_or(usual.budget_floor),
            backoff_base: fields
                .read("backoff_base", Reader::duration)
                .unwrap_or(usual.backoff_base),
            backoff_cap: fields.read("backoff_cap", Reader::duration).unwrap_or(usual.backoff_cap),
            retry_after_cap: fields
                .read("retry_after_cap", Reader::duration)
                .unwrap_or(usual.retry_after_cap),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}

fn ratio(reader: &mut Reader<'_>, at: &At<'_>) -> Option<f64> {
    let ratio = reader.amount(at)?;
    if ratio > 100.0 {
        reader.error(at, "expected a number from 0 to 100, found one out of range");
        return None;
    }
    Some(ratio)
}

impl PeekSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let settings = Self {
            until_tokens: fields.read("until_tokens", Reader::positive_count),
            until_elapsed: fields.read("until_elapsed", Reader::timeout),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}

impl OwnCacheSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let settings = Self {
            max_bytes: fields
                .read("max_bytes", |reader, at| reader.size(at, 1))
                .unwrap_or(usual.max_bytes),
            max_entry_bytes: fields
                .read("max_entry_bytes", |reader, at| reader.size(at, 1))
                .unwrap_or(usual.max_entry_bytes),
            scope: fields.read("scope", |reader, at| reader.choice(at, SCOPES)).unwrap_or_default(),
            single_flight: fields
                .read("single_flight", Reader::boolean)
                .unwrap_or(usual.single_flight),
            memory_ttl: fields.read("memory_ttl", Reader::timeout),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}

impl HealthCheckSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let settings = Self {
            timeout: fields.read("timeout", Reader::timeout).unwrap_or(usual.timeout),
            concurrency: fields
                .read("concurrency", Reader::positive_count)
                .unwrap_or(usual.concurrency),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}

impl ReloadSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let mut settings = Self::default();
        if let Some(at) = fields.get("watch") {
            settings.watch = match at.node.kind() {
                // `off`, and `on`, which is the usual.
                Kind::Bool(on) => settings.watch.filter(|_| *on),
                _ => fields.reader().timeout(&at),
            };
        }
        fields.finish(&[], |_| None);
        Some(settings)
    }
}
