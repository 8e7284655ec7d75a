//! `ziggurat.conversations`: what is kept of conversations for callers of OpenAI Responses.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::read::{At, Reader};

/// `ziggurat.conversations`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConversationSettings {
    /// `enabled`: whether answers are kept.
    pub enabled: bool,
    /// `path`: the file in which they are kept; in memory without one.
    pub path: Option<PathBuf>,
    /// `max_bytes`: how much is kept.
    pub max_bytes: u64,
    /// `keep`: for how long.
    pub keep: Duration,
}

impl Default for ConversationSettings {
    fn default() -> Self {
        let keep = Duration::from_secs(30 * 24 * 60 * 60);
        Self { enabled: true, path: None, max_bytes: 64 << 20, keep }
    }
}

/// The same as in memory for who says nothing, more where there is a disk.
const USUAL_IN_A_FILE: u64 = 1 << 30;

impl ConversationSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut fields = reader.fields(at)?;
        let path = fields.read("path", Reader::word).map(PathBuf::from);
        let otherwise = if path.is_some() { USUAL_IN_A_FILE } else { usual.max_bytes };
        let settings = Self {
            enabled: fields.read("enabled", Reader::boolean).unwrap_or(usual.enabled),
            path,
            max_bytes: fields
                .read("max_bytes", |reader, at| reader.size(at, 1 << 20))
                .unwrap_or(otherwise),
            keep: fields.read("keep", Reader::timeout).unwrap_or(usual.keep),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }
}
