//! Which calls are cached, for whom, and for how long.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::CACHE_CONTROL;
use ziggurat_core::{Ambient, Call, Dialect, Operation, Str, System};

/// Who shares answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheScope {
    /// Nobody: each key has its own. A caller without a key is known by the credentials of the request.
    #[default]
    Key,
    /// The keys of a team; a caller without one is on their own.
    Team,
    /// The keys of an organisation; a caller without one is on their own.
    Organization,
    /// Everybody.
    Global,
}

/// What callers may say about caching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheControl {
    /// Not to be answered from the cache (`no-cache`).
    NoCache,
    /// The answer is not to be kept (`no-store`).
    NoStore,
    /// How long the answer is kept (`ttl`).
    Ttl,
    /// How old the answer may be (`s-maxage`, `max-age`).
    MaxAge,
    /// Which part of the cache is used (`namespace`).
    Namespace,
    /// Whether it is used at all (`use-cache`).
    UseCache,
}

impl CacheControl {
    const ALL: [Self; 6] =
        [Self::NoCache, Self::NoStore, Self::Ttl, Self::MaxAge, Self::Namespace, Self::UseCache];

    /// Reads the name (`no-cache`, `no-store`, `ttl`, `s-maxage`, `namespace`, `use-cache`).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "no-cache" => Self::NoCache,
            "no-store" => Self::NoStore,
            "ttl" => Self::Ttl,
            "s-maxage" | "s-max-age" | "max-age" => Self::MaxAge,
            "namespace" => Self::Namespace,
            "use-cache" => Self::UseCache,
            _ => return None,
        })
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

type Partition = Arc<dyn Fn(&Call) -> Option<Str> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) on: bool,
    pub(super) scope: CacheScope,
    pub(super) partition: Option<Partition>,
    pub(super) namespace: Option<Str>,
    pub(super) ttl: Duration,
    pub(super) max_entry: usize,
    pub(super) window: usize,
    pub(super) single_flight: bool,
    pub(super) dialects: Arc<[Dialect]>,
    pub(super) ambient: Arc<dyn Ambient>,
    allowed: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            on: true,
            scope: CacheScope::default(),
            partition: None,
            namespace: None,
            ttl: Duration::from_secs(600),
            max_entry: 1 << 20,
            window: 1 << 20,
            single_flight: true,
            dialects: Arc::new([]),
            ambient: Arc::new(System),
            allowed: u8::MAX,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("on", &self.on)
            .field("scope", &self.scope)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// What is done about one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// An answer that is kept may be given.
    pub(super) look: bool,
    /// The answer may be kept.
    pub(super) store: bool,
    /// For how long.
    pub(super) ttl: Duration,
    /// How old a kept one may be.
    pub(super) max_age: Option<Duration>,
}

impl Settings {
    pub(super) fn allow(&mut self, controls: impl IntoIterator<Item = CacheControl>) {
        self.allowed = controls.into_iter().fold(0, |set, control| set | control.bit());
    }

    fn allows(&self, control: CacheControl) -> bool {
        self.allowed & control.bit() != 0
    }

    /// What is to be done about a call; `None`: nothing.
    pub(super) fn wish(&self, call: &Call) -> Option<Wish> {
        if call.operation() != Operation::Chat {
            return None;
        }
        let said = &call.controls().cache;
        let asked = said.use_cache.filter(|_| self.allows(CacheControl::UseCache));
        if !asked.unwrap_or(self.on) {
            return None;
        }
        let mut header = Header::default();
        for value in call.head().headers.get_all(CACHE_CONTROL) {
            header.read(value.to_str().unwrap_or_default());
        }
        let mut wish = Wish { look: true, store: true, ttl: self.ttl, max_age: None };
        if self.allows(CacheControl::MaxAge) {
            wish.max_age = said.max_age.or(header.max_age);
            // Nothing is younger than that.
            wish.look = wish.max_age != Some(Duration::ZERO);
        }
        if self.allows(CacheControl::NoCache) && (said.no_cache || header.no_cache) {
            wish.look = false;
        }
        if self.allows(CacheControl::NoStore) && (said.no_store || header.no_store) {
            wish.store = false;
        }
        if self.allows(CacheControl::Ttl) {
            wish.ttl = said.ttl.unwrap_or(self.ttl);
        }
        wish.store &= !wish.ttl.is_zero();
        (wish.look || wish.store).then_some(wish)
    }

    /// The part of the cache that a call uses.
    pub(super) fn namespace<'a>(&'a self, call: &'a Call) -> Option<&'a Str> {
        let said = call.controls().cache.namespace.as_ref();
        said.filter(|_| self.allows(CacheControl::Namespace)).or(self.namespace.as_ref())
    }
}

/// `Cache-Control` in a request (RFC 9111, section 5.2.1).
#[derive(Debug, Default)]
struct Header {
    no_cache: bool,
    no_store: bool,
    max_age: Option<Duration>,
}

impl Header {
    fn read(&mut self, value: &str) {
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match CacheControl::ALL.into_iter().find(|control| control.is_named(name.trim())) {
                Some(CacheControl::NoCache) => self.no_cache = true,
                Some(CacheControl::NoStore) => self.no_store = true,
                Some(CacheControl::MaxAge) => {
                    let seconds = argument.trim().trim_matches('"').parse().ok();
                    self.max_age = seconds.map(Duration::from_secs).or(self.max_age);
                }
                _ => {}
            }
        }
    }
}

impl CacheControl {
    /// Whether a header may call it so.
    fn is_named(self, name: &str) -> bool {
        let names: &[&str] = match self {
            Self::NoCache => &["no-cache"],
            Self::NoStore => &["no-store"],
            Self::MaxAge => &["max-age", "s-maxage"],
            Self::Ttl | Self::Namespace | Self::UseCache => &[],
        };
        names.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, Uri};
    use ziggurat_core::{CallHead, Chat, Payload, Typed};

    use super::*;

    fn call(header: &str) -> Call {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(CACHE_CONTROL, HeaderValue::from_str(header).unwrap());
        }
        let id = Str::from("call");
        let head = CallHead::new(Method::POST, Uri::default(), headers, None, id.clone(), id);
        let payload = Payload::typed(Typed::Chat(Arc::new(Chat::new())));
        Call::new(Arc::new(head), "model", false, payload)
    }

    #[test]
    fn the_header_and_the_body_say_the_same_things() {
        let settings = Settings::default();
        let plain = settings.wish(&call("")).unwrap();
        assert!(plain.look && plain.store);
        for header in ["no-cache", "Max-Age=0", "private, NO-CACHE", "s-maxage=\"0\""] {
            let wish = settings.wish(&call(header)).unwrap();
            assert!(!wish.look && wish.store, "{header}");
        }
        let wish = settings.wish(&call("no-store, max-age=30")).unwrap();
        assert!(wish.look && !wish.store);
        assert_eq!(wish.max_age, Some(Duration::from_secs(30)));
        assert_eq!(settings.wish(&call("no-store, no-cache")), None);
        let mut said = call("max-age=30");
        said.controls_mut().cache.max_age = Some(Duration::from_secs(5));
        said.controls_mut().cache.ttl = Some(Duration::from_secs(7));
        let wish = settings.wish(&said).unwrap();
        assert_eq!(
            (wish.max_age, wish.ttl),
            (said.controls().cache.max_age, Duration::from_secs(7))
        );
        said.controls_mut().cache.ttl = Some(Duration::ZERO);
        assert!(!settings.wish(&said).unwrap().store, "kept for no time");
    }

    #[test]
    fn a_cache_that_is_off_is_on_for_those_who_ask() {
        let mut settings = Settings { on: false, ..Settings::default() };
        assert_eq!(settings.wish(&call("")), None);
        let mut asking = call("");
        asking.controls_mut().cache.use_cache = Some(true);
        assert!(settings.wish(&asking).is_some());
        settings.allow([CacheControl::Ttl]);
        assert_eq!(settings.wish(&asking), None, "unless they may not");
        let mut declining = call("");
        declining.controls_mut().cache.use_cache = Some(false);
        assert_eq!(Settings::default().wish(&declining), None);
    }

    #[test]
    fn controls_that_are_not_allowed_say_nothing() {
        let mut settings = Settings::default();
        settings.allow([]);
        let mut said = call("no-cache, no-store, max-age=1");
        said.controls_mut().cache.ttl = Some(Duration::from_secs(7));
        said.controls_mut().cache.namespace = Some("mine".into());
        let wish = settings.wish(&said).unwrap();
        assert_eq!(wish, Wish { look: true, store: true, ttl: settings.ttl, max_age: None });
        assert_eq!(settings.namespace(&said), None);
    }

    #[test]
    fn only_conversations_are_cached() {
        let payload = Payload::typed(Typed::Models(None));
        let models = Call::new(Arc::clone(call("").head()), "", false, payload);
        assert_eq!(Settings::default().wish(&models), None);
    }
}
