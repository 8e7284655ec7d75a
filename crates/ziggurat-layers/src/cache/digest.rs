//! From a call to the key of its answer.

use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use smallvec::SmallVec;
use ziggurat_core::{Call, Chat, LossPolicy};

use super::Key;
use super::policy::{CacheScope, Settings};

/// Changes with what is digested, so that keys of two versions never meet.
const VERSION: u8 = 1;

/// Where callers without a key of ours bring their credentials.
const CREDENTIALS: [HeaderName; 5] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    COOKIE,
];

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
        let mut hasher = self.begin(b'c');
        chat.canonical(&mut |piece| {
            hasher.update(piece);
        });
        Key::from_bytes(*hasher.finalize().as_bytes())
    }

    /// A name for the very bytes of a call, if there are bytes: calls of one name have one key, which needs not be made again.
    pub(super) fn wire(&self, call: &Call) -> Option<Key> {
        let segments = call.payload().segments()?;
        let mut hasher = self.begin(b'w');
        hasher.update(call.payload().dialect()?.name().as_bytes());
        hasher.update(&[0]);
        for segment in &segments {
            hasher.update(segment);
        }
        Some(Key::from_bytes(*hasher.finalize().as_bytes()))
    }

    fn begin(&self, kind: u8) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.0.len() as u64).to_le_bytes());
        hasher.update(&self.0);
        hasher.update(&[kind]);
        hasher
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
        for name in &CREDENTIALS {
            for value in head.headers.get_all(name) {
                self.text(name.as_str());
                self.bytes(value.as_bytes());
            }
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
