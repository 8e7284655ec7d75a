//! `ziggurat.redis`: how the Redis server is used that instances share.

use std::time::Duration;

use crate::config::read::{At, Reader};

/// `ziggurat.redis`. Where the server is, LiteLLM's keys say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OwnRedisSettings {
    /// `prefix`: what every key begins with. Instances that share have the same.
    pub prefix: String,
    /// `timeout`: how long an answer is waited for.
    pub timeout: Duration,
    /// `connect_timeout`: how long a connection may take to be made.
    pub connect_timeout: Duration,
    /// `lease`: how long the parallel calls of an instance that died count as running.
    pub lease: Duration,
}

impl Default for OwnRedisSettings {
    fn default() -> Self {
        Self {
            prefix: "ziggurat:".to_owned(),
            timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(1),
            lease: Duration::from_secs(30),
        }
    }
}

impl OwnRedisSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let settings = Self {
            prefix: fields.read("prefix", Reader::word).unwrap_or(usual.prefix),
            timeout: fields.read("timeout", Reader::timeout).unwrap_or(usual.timeout),
            connect_timeout: fields
                .read("connect_timeout", Reader::timeout)
                .unwrap_or(usual.connect_timeout),
            lease: fields.read("lease", lease).unwrap_or(usual.lease),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}

/// A shorter one would not outlive a moment's stall.
fn lease(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Duration> {
    let lease = reader.timeout(at)?;
    if lease < Duration::from_secs(1) {
        reader.error(at, "expected a second at least");
        return None;
    }
    Some(lease)
}
