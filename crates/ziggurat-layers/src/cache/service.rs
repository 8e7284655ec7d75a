use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, CallService, Dialect, Error, Reply, Str};

use super::body::Place;
use super::digest::{Setting, Wire};
use super::flight::{Asked, Flight, Found, Plan, Terms};
use super::layer::Shared;
use super::memory::Alias;
use super::policy::Wish;
use super::{CacheScope, Key, ResponseFuture, body};

/// Answers equal calls with what is known already. Made by [`CacheLayer`](super::CacheLayer).
#[derive(Clone, Debug)]
pub struct Cache<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What the answer to a call is called.
struct Names {
    /// The very bytes of the call, if there are bytes.
    wire: Option<Wire>,
    alias: Alias,
    /// Whether the bytes came before.
    known: bool,
}

impl<S> Cache<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// Names the answer: by the call's very bytes if they came before, else by what they say. `None` for what cannot be read; it
    /// gets its error below.
    fn names(&self, call: &Call) -> Option<Names> {
        let setting = Setting::of(call, &self.shared.settings);
        // Names are kept in this process alone.
        let wire = self.shared.caches.has_memory().then(|| setting.wire(call)).flatten();
        if let Some(alias) = wire.as_ref().and_then(|wire| self.shared.caches.alias(wire)) {
            return Some(Names { wire, alias, known: true });
        }
        let chat = call.payload().chat().ok()?;
        let key = setting.conversation(chat);
        let alias = Alias { key, usage: chat.stream_usage == Some(true) };
        Some(Names { wire, alias, known: false })
    }
}

impl<S: CallService> Cache<S> {
    /// The call is made, or joins one that is under way.
    fn fly(&mut self, call: Call, wish: Wish, names: Names) -> ResponseFuture<S> {
        // The one that is ready flies; the clone stays.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let shared = &self.shared;
        let caches = &shared.caches;
        let Names { wire, alias, .. } = names;
        let terms = Terms::of(&call, &wish);
        let alone = !(wish.look && shared.settings.single_flight);
        let mut flights = (!alone).then(|| caches.flights());
        if let Some(listed) = &flights {
            let under_way = listed.get(&alias.key).and_then(|flight| flight.join(&call, &terms));
            if let Some(seat) = under_way {
                drop(flights);
                caches.shared();
                // What the one who began it may or may not do is no answer to anybody else. In the narrowest scope nobody else is
                // here; in a wider one somebody without a key is not known to be the same.
                let key = call.caller().key();
                let same = shared.settings.scope == CacheScope::Key
                    || key.is_some() && key == seat.plan().caller.as_deref();
                let place = Place::of(seat, &call, alias);
                let own = (!same).then(|| Box::new((ready, call)));
                return ResponseFuture::following(place, own);
            }
            // It may have landed just now.
            if let Some(held) = caches.get(alias.key, wish.max_age) {
                drop(flights);
                caches.hit();
                return ResponseFuture::done(Ok(body::hit(&held, &call, alias)));
            }
        }
        let plan = Plan {
            key: alias.key,
            cache_key: written(alias.key),
            // What is short is learnt when it comes again.
            name: wire.and_then(|wire| wire.digest()),
            usage: alias.usage,
            wish,
            terms,
            dialect: call.dialect(),
            caller: call.caller().key().map(Str::from),
            model: call.model().clone(),
            call_id: call.id().clone(),
            flushes: caches.flushes(),
        };
        let begin = |call| ask(shared, ready, call, wish, alias.key);
        let (dialect, scope) = (call.dialect(), call.scope().cloned());
        let seat = Flight::begin(shared, plan, call, begin);
        let old = flights.as_mut().and_then(|flights| {
            let flight = Arc::clone(seat.flight());
            flights.insert(alias.key, flight)
        });
        drop(flights);
        drop(old);
        ResponseFuture::following(Place { seat, scope, dialect, alias }, None)
    }
}

impl<S: CallService> Service<Call> for Cache<S> {
    type Response = Reply;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Some(wish) = self.shared.settings.wish(&call) else {
            return ResponseFuture::passing(self.inner.call(call));
        };
        let Some(names) = self.names(&call) else {
            return ResponseFuture::passing(self.inner.call(call));
        };
        let caches = &self.shared.caches;
        let key = names.alias.key;
        let held = wish.look.then(|| caches.get(key, wish.max_age)).flatten();
        if let Some(held) = held {
            let alias = names.alias;
            if let Some(wire) = names.wire.filter(|_| !names.known) {
                caches.learn(wire, alias);
            }
            caches.hit();
            return ResponseFuture::done(Ok(body::hit(&held, &call, alias)));
        }
        if wish.store {
            return self.fly(call, wish, names);
        }
        if !caches.has_store() {
            caches.miss();
            return ResponseFuture::passing(self.inner.call(call));
        }
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let asked = ask(&self.shared, ready, call.clone(), wish, key);
        ResponseFuture::alone(asked, call, names.alias)
    }
}

/// Asks the store, and then the service.
fn ask<S: CallService>(
    shared: &Arc<Shared>,
    mut service: S,
    call: Call,
    wish: Wish,
    key: Key,
) -> Asked {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let Shared { caches, settings } = &*shared;
        if wish.look && caches.has_store() {
            let known: Vec<Dialect> =
                call.dialect().into_iter().chain(settings.dialects.iter().copied()).collect();
            let held = caches.fetch(key, &known, &*settings.ambient).await;
            if let Some(held) = held.filter(|held| held.is_fresh(wish.max_age)) {
                caches.hit();
                return Ok(Found::Held(held));
            }
        }
        caches.miss();
        service.call(call).await.map(|reply| Found::Reply(Box::new(reply)))
    })
}

/// A key as callers read it.
pub(super) fn written(key: Key) -> Str {
    // An owner is shared from the start, where a vector would be moved to be shared.
    Str::from_utf8(bytes::Bytes::from_owner(key.to_hex())).unwrap_or_default()
}
