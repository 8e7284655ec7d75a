//! `ziggurat.media`: pictures and documents that requests name by their address.

use std::time::Duration;

use ziggurat_http::fetch::Network;

use crate::config::read::{At, Reader};

/// `ziggurat.media`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaSettings {
    /// `fetch`: whether what a provider takes only as bytes is fetched.
    pub fetch: bool,
    /// `max_bytes`: how much of it for one call.
    pub max_bytes: u64,
    /// `timeout`: how long one address may take.
    pub timeout: Duration,
    /// `allow_networks`: networks that are asked though not everybody reaches them.
    pub allow_networks: Vec<Network>,
    /// `allow_private`: whether all are.
    pub allow_private: bool,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            fetch: true,
            max_bytes: 20 << 20,
            timeout: Duration::from_secs(30),
            allow_networks: Vec::new(),
            allow_private: false,
        }
    }
}

impl MediaSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let settings = Self {
            fetch: fields.read("fetch", Reader::boolean).unwrap_or(usual.fetch),
            max_bytes: fields
                .read("max_bytes", |reader, at| reader.size(at, 1))
                .unwrap_or(usual.max_bytes),
            timeout: fields.read("timeout", Reader::timeout).unwrap_or(usual.timeout),
            allow_networks: fields.read("allow_networks", networks).unwrap_or_default(),
            allow_private: fields
                .read("allow_private", Reader::boolean)
                .unwrap_or(usual.allow_private),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}

fn networks(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<Network>> {
    let words = reader.words(at)?;
    let mut networks = Vec::with_capacity(words.len());
    for word in words {
        match word.parse() {
            Ok(network) => networks.push(network),
            Err(bad) => reader.error(at, format!("{bad}, found `{word}`")),
        }
    }
    Some(networks)
}
