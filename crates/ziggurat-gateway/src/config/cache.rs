//! `litellm_settings.cache` and `cache_params`: what is answered twice.

use std::time::Duration;

use super::fields::Fields;
use super::read::{At, Reader};
use super::redis::{self, RedisSettings};

/// What `cache_params` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSettings {
    /// `type`, `host` and their like: the Redis server that holds the answers; in memory, when absent.
    pub redis: Option<RedisSettings>,
    /// `ttl`: how long an answer stays.
    pub ttl: Option<Duration>,
    /// `namespace`: a prefix of the keys.
    pub namespace: Option<String>,
    /// `mode`: whether a call is looked up that does not ask for it.
    pub mode: CacheMode,
    /// `supported_call_types`: the calls that are looked up; all, when absent.
    pub calls: Option<Vec<CachedCalls>>,
}

/// `cache_params.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMode {
    /// `default_on`: every call, unless it says `no-cache`.
    #[default]
    On,
    /// `default_off`: only calls that say `use-cache`.
    Off,
}

/// One of `supported_call_types`, without the `a` of the asynchronous ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CachedCalls {
    /// `completion`: chat in OpenAI's dialect.
    Chat,
    /// `anthropic_messages`: chat in Anthropic's dialect.
    Messages,
    /// `responses`.
    Responses,
    /// `text_completion`.
    Text,
    /// `embedding`.
    Embedding,
    /// `transcription`.
    Transcription,
    /// `rerank`.
    Rerank,
}

/// What `type` may be.
#[derive(Clone, Copy)]
enum Kind {
    Local,
    Redis,
    Unsupported,
}

const KINDS: &[(&str, Kind)] = &[
    ("local", Kind::Local),
    ("redis", Kind::Redis),
    ("redis-semantic", Kind::Unsupported),
    ("valkey-semantic", Kind::Unsupported),
    ("qdrant-semantic", Kind::Unsupported),
    ("s3", Kind::Unsupported),
    ("gcs", Kind::Unsupported),
    ("azure-blob", Kind::Unsupported),
    ("disk", Kind::Unsupported),
];

const CALLS: &[(&str, CachedCalls)] = &[
    ("completion", CachedCalls::Chat),
    ("acompletion", CachedCalls::Chat),
    ("anthropic_messages", CachedCalls::Messages),
    ("responses", CachedCalls::Responses),
    ("aresponses", CachedCalls::Responses),
    ("text_completion", CachedCalls::Text),
    ("atext_completion", CachedCalls::Text),
    ("embedding", CachedCalls::Embedding),
    ("aembedding", CachedCalls::Embedding),
    ("transcription", CachedCalls::Transcription),
    ("atranscription", CachedCalls::Transcription),
    ("rerank", CachedCalls::Rerank),
    ("arerank", CachedCalls::Rerank),
];

/// Of `cache_params`, and without effect.
const UNSUPPORTED: &[&str] = &[
    "similarity_threshold",
    "semantic_similarity_threshold",
    "default_in_memory_ttl",
    "default_in_redis_ttl",
    "default_redis_ttl",
    "disk_cache_dir",
    "max_messages",
    "max_size_in_memory",
    "enable_caching_on_provider_specific_optional_params",
];

// === impl CacheSettings ===

impl CacheSettings {
    /// Reads `cache` and `cache_params` out of `litellm_settings`; nothing when nothing is cached.
    pub(super) fn read_switched(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let on = fields.read("cache", Reader::boolean).unwrap_or_default();
        let given = fields.get("cache_params");
        // Read although it is switched off: what is wrong is wrong.
        let settings = match &given {
            Some(at) => Self::read(fields.reader(), at),
            None => {
                let redis = RedisSettings::of_environment(fields.reader().environment());
                Some(Self { redis, ..Self::default() })
            }
        };
        settings.filter(|_| on)
    }

    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let kind = fields.read("type", kind);
        let named = RedisSettings::read(&mut fields, &redis::PLAIN);
        let settings = Self {
            redis: None,
            ttl: fields.read("ttl", Reader::timeout),
            namespace: fields.read("namespace", Reader::word),
            mode: fields
                .read("mode", |reader, at| {
                    let modes = [("default_on", CacheMode::On), ("default_off", CacheMode::Off)];
                    reader.choice(at, &modes)
                })
                .unwrap_or_default(),
            calls: fields.read("supported_call_types", calls),
        };
        fields.unsupported_if(|key| {
            ["s3_", "gcs_", "qdrant_", "azure_", "redis_semantic_", "valkey_", "disk_"]
                .iter()
                .any(|family| key.starts_with(family))
        });
        let unsupported = [UNSUPPORTED, redis::UNSUPPORTED].concat();
        fields.finish(&unsupported, |_| None);
        let redis = match kind {
            Some(Kind::Local | Kind::Unsupported) => None,
            Some(Kind::Redis) => {
                let redis = named.or_else(|| RedisSettings::of_environment(reader.environment()));
                if redis.is_none() {
                    let message = "a cache of type `redis` needs a `host` or a `url`, or the \
                                   variable `REDIS_HOST` or `REDIS_URL`";
                    reader.error(at, message);
                }
                redis
            }
            None => named.or_else(|| RedisSettings::of_environment(reader.environment())),
        };
        Some(Self { redis, ..settings })
    }

    /// Whether calls of this kind are looked up.
    #[must_use]
    pub fn serves(&self, calls: CachedCalls) -> bool {
        self.calls.as_ref().is_none_or(|served| served.contains(&calls))
    }
}

fn kind(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Kind> {
    let kind = reader.choice(at, KINDS)?;
    if let Kind::Unsupported = kind {
        let message = "this type of cache is not supported: `local` and `redis` are";
        reader.error(at, message);
    }
    Some(kind)
}

fn calls(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<CachedCalls>> {
    let items = reader.items(at, "a sequence of call types")?;
    let read: Vec<_> = items.iter().map(|item| reader.choice(item, CALLS)).collect();
    let mut calls: Vec<CachedCalls> = read.into_iter().collect::<Option<_>>()?;
    calls.dedup();
    Some(calls)
}
