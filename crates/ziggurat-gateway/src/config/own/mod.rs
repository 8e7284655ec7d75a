//! `ziggurat`: the settings that LiteLLM has no name for.

mod conversations;
mod disconnect;
mod media;
mod providers;
mod rate_limits;
mod redis;
mod traffic;

use std::num::NonZeroU32;
use std::time::Duration;

use ziggurat_core::LossPolicy;
use ziggurat_providers::Providers;

use super::read::{At, Reader};

pub use self::conversations::ConversationSettings;
pub use self::disconnect::{Disconnect, DisconnectSettings};
pub use self::media::MediaSettings;
pub use self::rate_limits::{Quota, RateLimitSettings};
pub use self::redis::OwnRedisSettings;
pub use self::traffic::{
    CacheScope, HealthCheckSettings, OwnCacheSettings, PeekSettings, ReloadSettings, RetrySettings,
};

/// The section `ziggurat`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// `limits`: bounds on what is read.
    pub limits: Limits,
    /// `admission`: how much may be in flight.
    pub admission: Admission,
    /// `timeouts`: bounds on waiting for providers.
    pub timeouts: Timeouts,
    /// `keepalive_after`: the silence after which a stream to a caller is given a comment, so that
    /// nothing between takes it for dead. Never, when absent.
    pub keepalive_after: Option<Duration>,
    /// `shutdown_grace`: how long calls in flight may go on after the order to stop.
    pub shutdown_grace: Duration,
    /// `headers`: which headers answers carry.
    pub headers: Headers,
    /// `loss_policy`: what becomes of parameters that a model cannot take; over
    /// `litellm_settings.drop_params`.
    pub loss_policy: Option<LossPolicy>,
    /// `http2_shards`: speak HTTP/2 to providers, over so many connections to each host. HTTP/1.1,
    /// when absent.
    pub http2_shards: Option<NonZeroU32>,
    /// `rate_limits`: how much callers may ask for.
    pub rate_limits: RateLimitSettings,
    /// `redis`: how the server is used that instances share.
    pub redis: OwnRedisSettings,
    /// `retry`: how what failed is tried again.
    pub retry: RetrySettings,
    /// `peek`: how long the beginning of a stream is held back.
    pub peek: PeekSettings,
    /// `cache`: of the cache that `litellm_settings.cache` switches on.
    pub cache: OwnCacheSettings,
    /// `conversations`: what is kept of conversations for callers of OpenAI Responses.
    pub conversations: ConversationSettings,
    /// `disconnect`: what becomes of a call whose caller has left.
    pub disconnect: DisconnectSettings,
    /// `media`: pictures and documents that requests name by their address.
    pub media: MediaSettings,
    /// `health_checks`: of the checks that `general_settings.background_health_checks` switches on.
    pub health_checks: HealthCheckSettings,
    /// `reload`: when the configuration is read again.
    pub reload: ReloadSettings,
    /// `providers`: further providers, and others in the place of those that are built in.
    pub providers: Providers,
}

/// `ziggurat.limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// `max_body_bytes`: the largest request body. `general_settings.max_request_size_mb` is
    /// another name for it, which this one wins over.
    pub max_body_bytes: u64,
    /// `max_header_bytes`: the largest request head.
    pub max_header_bytes: u64,
    /// `max_event_bytes`: the largest single event of a provider's stream.
    pub max_event_bytes: u64,
    /// `header_read_timeout`: how long a caller may take for the head of a request.
    pub header_read_timeout: Duration,
    /// `body_read_timeout`: how long a caller may take for the body of a request.
    pub body_read_timeout: Duration,
    /// `idle_timeout`: how long a connection may stay open between two requests.
    pub idle_timeout: Duration,
}

/// `ziggurat.admission`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admission {
    /// `max_calls`: calls in flight; more are refused.
    pub max_calls: NonZeroU32,
    /// `max_bytes`: request bodies held in memory, together.
    pub max_bytes: u64,
    /// `retry_after`: when a refused caller is asked to come back.
    pub retry_after: Duration,
}

/// `ziggurat.timeouts`; those of one deployment are in
/// [`Config::timeouts`](super::Config::timeouts).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// `connect`: until a connection to the provider stands.
    pub connect: Duration,
    /// `first_content`: from sending the request to the first content.
    pub first_content: Duration,
    /// `idle`: silence between two frames of a stream.
    pub idle: Duration,
    /// `attempt`: one attempt at one deployment, to its end.
    pub attempt: Duration,
    /// `call`: a call with all its attempts, to its end.
    pub call: Duration,
}

/// `ziggurat.headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Headers {
    /// `litellm`: answers carry the `x-litellm-…` headers that LiteLLM's have.
    pub litellm: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            admission: Admission::default(),
            timeouts: Timeouts::default(),
            keepalive_after: None,
            shutdown_grace: Duration::from_secs(30),
            headers: Headers::default(),
            loss_policy: None,
            http2_shards: None,
            rate_limits: RateLimitSettings::default(),
            redis: OwnRedisSettings::default(),
            retry: RetrySettings::default(),
            peek: PeekSettings::default(),
            cache: OwnCacheSettings::default(),
            conversations: ConversationSettings::default(),
            disconnect: DisconnectSettings::default(),
            media: MediaSettings::default(),
            health_checks: HealthCheckSettings::default(),
            reload: ReloadSettings::default(),
            providers: Providers::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_header_bytes: 64 << 10,
            max_event_bytes: 16 << 20,
            header_read_timeout: Duration::from_secs(30),
            body_read_timeout: Duration::from_secs(120),
            // Above the 60 seconds of common load balancers, so that they close first.
            idle_timeout: Duration::from_secs(75),
        }
    }
}

impl Default for Admission {
    fn default() -> Self {
        const CALLS: NonZeroU32 = match NonZeroU32::new(4096) {
            Some(calls) => calls,
            None => NonZeroU32::MIN,
        };
        Self { max_calls: CALLS, max_bytes: 1 << 30, retry_after: Duration::from_secs(1) }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // LiteLLM's, and the vendors' SDKs': 5 seconds to connect, 10 minutes to answer.
            connect: Duration::from_secs(5),
            first_content: Duration::from_secs(600),
            idle: Duration::from_secs(300),
            attempt: Duration::from_secs(3600),
            call: Duration::from_secs(7200),
        }
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self { litellm: true }
    }
}

/// hyper takes no smaller buffer than this for a head.
const LEAST_HEADER_BYTES: u64 = 8 << 10;

impl Settings {
    /// Reads the section; what it leaves out is as in `usual`.
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>, usual: Self) -> Option<Self> {
        let words = [
            ("default", LossPolicy::Default),
            ("refuse", LossPolicy::Refuse),
            ("allow", LossPolicy::Allow),
        ];
        let mut fields = reader.fields(at)?;
        let settings = Self {
            limits: fields
                .read("limits", |reader, at| Limits::read(reader, at, &usual.limits))
                .unwrap_or(usual.limits),
            admission: fields.read("admission", Admission::read).unwrap_or(usual.admission),
            timeouts: fields.read("timeouts", Timeouts::read).unwrap_or(usual.timeouts),
            keepalive_after: fields.read("keepalive_after", Reader::timeout),
            shutdown_grace: fields
                .read("shutdown_grace", Reader::duration)
                .unwrap_or(usual.shutdown_grace),
            headers: fields.read("headers", Headers::read).unwrap_or(usual.headers),
            loss_policy: fields.read("loss_policy", |reader, at| reader.choice(at, &words)),
            http2_shards: fields
                .read("http2_shards", |reader, at| {
                    reader.whole(at, 1..=64, "an integer from 1 to 64")
                })
                .and_then(NonZeroU32::new),
            rate_limits: fields
                .read("rate_limits", RateLimitSettings::read)
                .unwrap_or(usual.rate_limits),
            redis: fields.read("redis", OwnRedisSettings::read).unwrap_or(usual.redis),
            retry: fields.read("retry", RetrySettings::read).unwrap_or(usual.retry),
            peek: fields.read("peek", PeekSettings::read).unwrap_or(usual.peek),
            cache: fields.read("cache", OwnCacheSettings::read).unwrap_or(usual.cache),
            conversations: fields
                .read("conversations", ConversationSettings::read)
                .unwrap_or(usual.conversations),
            disconnect: fields
                .read("disconnect", DisconnectSettings::read)
                .unwrap_or(usual.disconnect),
            media: fields.read("media", MediaSettings::read).unwrap_or(usual.media),
            health_checks: fields
                .read("health_checks", HealthCheckSettings::read)
                .unwrap_or(usual.health_checks),
            reload: fields.read("reload", ReloadSettings::read).unwrap_or(usual.reload),
            providers: fields.read("providers", providers::read).unwrap_or(usual.providers),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}

impl Limits {
    fn read(reader: &mut Reader<'_>, at: &At<'_>, usual: &Self) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let limits = Self {
            max_body_bytes: fields
                .read("max_body_bytes", |reader, at| reader.size(at, 1))
                .unwrap_or(usual.max_body_bytes),
            max_header_bytes: fields
                .read("max_header_bytes", |reader, at| reader.size(at, LEAST_HEADER_BYTES))
                .unwrap_or(usual.max_header_bytes),
            max_event_bytes: fields
                .read("max_event_bytes", |reader, at| reader.size(at, 1))
                .unwrap_or(usual.max_event_bytes),
            header_read_timeout: fields
                .read("header_read_timeout", Reader::timeout)
                .unwrap_or(usual.header_read_timeout),
            body_read_timeout: fields
                .read("body_read_timeout", Reader::timeout)
                .unwrap_or(usual.body_read_timeout),
            idle_timeout: fields
                .read("idle_timeout", Reader::timeout)
                .unwrap_or(usual.idle_timeout),
        };
        fields.finish(&[], |_| None);
        Some(limits)
    }
}

impl Admission {
    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let admission = Self {
            max_calls: fields.read("max_calls", Reader::positive_count).unwrap_or(usual.max_calls),
            max_bytes: fields
                .read("max_bytes", |reader, at| reader.size(at, 1))
                .unwrap_or(usual.max_bytes),
            retry_after: fields.read("retry_after", Reader::duration).unwrap_or(usual.retry_after),
        };
        fields.finish(&[], |_| None);
        Some(admission)
    }
}

impl Timeouts {
    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let timeouts = Self {
            connect: fields.read("connect", Reader::timeout).unwrap_or(usual.connect),
            first_content: fields
                .read("first_content", Reader::timeout)
                .unwrap_or(usual.first_content),
            idle: fields.read("idle", Reader::timeout).unwrap_or(usual.idle),
            attempt: fields.read("attempt", Reader::timeout).unwrap_or(usual.attempt),
            call: fields.read("call", Reader::timeout).unwrap_or(usual.call),
        };
        fields.finish(&[], |_| None);
        Some(timeouts)
    }
}

impl Headers {
    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let litellm = fields.read("litellm", Reader::boolean).unwrap_or(true);
        fields.finish(&[], |_| None);
        Some(Self { litellm })
    }
}
