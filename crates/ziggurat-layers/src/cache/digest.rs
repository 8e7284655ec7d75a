//! From a call to the key of its answer.

use bytes::Bytes;
use smallvec::SmallVec;
use ziggurat_core::{Call, Chat, LossPolicy};

use super::Key;
use super::policy::{CacheScope, Settings};
use crate::credentials::credentials;

/// Changes with what is digested, so that keys of two versions never meet.
const VERSION: u8 = 1;

/// Bodies up to this size are known by themselves: to compare them costs less than a digest. Those above are not kept for that.
const SHORT: usize = 8 << 10;
/// What is digested at once: several blocks are done at one time, where pieces are done one after the other.
const USUAL: usize = 4 << 10;
const AT_ONCE: usize = 16 << 10;

/// The very bytes of a call, with its setting.
pub(super) enum Wire {
    /// All of them.
    Text(Vec<u8>),
    /// Their digest.
    Digest(Key),
}

impl Wire {
    /// The digest of what is too long to be kept.
    pub(super) fn digest(&self) -> Option<Key> {
        match self {
            Self::Text(_) => None,
            Self::Digest(key) => Some(*key),
        }
    }

    /// What is to be compared.
    pub(super) fn text(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Digest(_) => &[],
        }
    }

    pub(super) fn into_text(self) -> Box<[u8]> {
        match self {
            Self::Text(text) => text.into_boxed_slice(),
            Self::Digest(_) => Box::default(),
        }
    }
}

/// Digests many pieces, together as far as they fit.
struct Digest {
    gathered: Vec<u8>,
    before: Option<Box<blake3::Hasher>>,
}

impl Digest {
    fn new() -> Self {
        Self { gathered: Vec::with_capacity(USUAL), before: None }
    }

    fn update(&mut self, piece: &[u8]) {
        if self.gathered.len() + piece.len() <= AT_ONCE {
            self.gathered.extend_from_slice(piece);
            return;
        }
        let hasher = self.before.get_or_insert_default();
        hasher.update(&self.gathered);
        self.gathered.clear();
        if piece.len() > AT_ONCE {
            hasher.update(piece);
        } else {
            self.gathered.extend_from_slice(piece);
        }
    }

    fn finish(self) -> Key {
        let hash = match self.before {
            None => blake3::hash(&self.gathered),
            Some(mut hasher) => hasher.update(&self.gathered).finalize(),
        };
        Key::from_bytes(*hash.as_bytes())
    }
}

/// What decides about the answer beside the conversation: who shares it, which model is asked, and how it is to come.
pub(super) struct Setting(SmallVec<[u8; 256]>);

impl Setting {
    pub(super) fn of(call: &Call, settings: &Settings) -> Self {
        let mut to = Self(SmallVec::new());
        to.0.push(VERSION);
        to.text(call.operation().name());
        to.scope(call, settings);
        to.text(call.model());
        to.0.push(u8::from(call.is_streamed()));
        to.option(settings.namespace(call).map(|name| name.as_str()));
        // Who wants it from there does not get what came from elsewhere.
        to.option(call.controls().region.as_deref());
        to.0.push(match call.loss_policy() {
            None => 0,
            Some(LossPolicy::Refuse) => 1,
            Some(LossPolicy::Default) => 2,
            Some(LossPolicy::Allow) => 3,
            // A policy that is not known here shares with nobody who has none.
            Some(_) => 4,
        });
        if let Some(dialect) = call.dialect() {
            for name in dialect.steering_headers() {
                for value in call.head().headers.get_all(name) {
                    to.text(name.as_str());
                    to.bytes(value.as_bytes());
                }
            }
        }
        to
    }

    /// The key of a conversation.
    pub(super) fn conversation(&self, chat: &Chat) -> Key {
        let mut digest = Digest::new();
        self.begin(b'c', &mut |piece| digest.update(piece));
        chat.canonical(&mut |piece| digest.update(piece));
        digest.finish()
    }

    /// A name for the very bytes of a call, if there are bytes: calls of one name have one key, which needs not be made again.
    pub(super) fn wire(&self, call: &Call) -> Option<Wire> {
        let segments = call.payload().segments()?;
        let dialect = call.payload().dialect()?.name();
        let write = |to: &mut dyn FnMut(&[u8])| {
            self.begin(b'w', to);
            to(dialect.as_bytes());
            to(&[0]);
            for segment in &segments {
                to(segment);
            }
        };
        let length: usize = segments.iter().map(Bytes::len).sum();
        if length > SHORT {
            let mut hasher = blake3::Hasher::new();
            write(&mut |piece| {
                hasher.update(piece);
            });
            return Some(Wire::Digest(Key::from_bytes(*hasher.finalize().as_bytes())));
        }
        let mut text = Vec::with_capacity(self.0.len() + dialect.len() + length + 10);
        write(&mut |piece| text.extend_from_slice(piece));
        Some(Wire::Text(text))
    }

    fn begin(&self, kind: u8, to: &mut dyn FnMut(&[u8])) {
        to(&(self.0.len() as u64).to_le_bytes());
        to(&self.0);
        to(&[kind]);
    }

    fn scope(&mut self, call: &Call, settings: &Settings) {
        if let Some(partition) = &settings.partition {
            self.0.push(b'p');
            self.option(partition(call).as_deref());
        }
        let caller = call.caller();
        let shared = match settings.scope {
            CacheScope::Global => {
                self.0.push(b'g');
                return;
            }
            CacheScope::Organization => caller.organization_id().map(|id| (b'o', id)),
            CacheScope::Team => caller.team_id().map(|id| (b't', id)),
            CacheScope::Key => None,
        };
        let key = || caller.key().filter(|key| !key.is_empty()).map(|key| (b'k', key));
        if let Some((kind, id)) = shared.or_else(key) {
            self.0.push(kind);
            self.text(id);
            return;
        }
        // Nobody that we know. Somebody else's proxy may: whoever brings other credentials is somebody else.
        self.0.push(b'a');
        let head = call.head();
        for (name, value) in credentials(call) {
            self.text(name);
            self.bytes(value);
        }
        self.option(head.uri.query());
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn option(&mut self, text: Option<&str>) {
        self.0.push(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }
}
