//! The world that a stack stands in.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Ambient, Body, BoxError, CallService, Instant};
use ziggurat_http::FrontDoorLayer;

use super::chance::Chance;
use super::clock::SimAmbient;
use super::fault::{Fault, Faults, Forecast};
use super::probe::ProbeLayer;
use super::provider::SimTransport;
use super::report::{Moment, Report};
use super::shared::{Kept, Link, Outage};
use super::stack::Stack;

/// The name of the probe that stands under the front door of a stack made by [`World::calls`].
pub const TOP: &str = "top";

/// A simulated world, as one instance of a gateway sees it: clock and chance, providers, state that it shares with others.
///
/// A stack is built over it by the function that a [`Simulation`](super::Simulation) is given. Handles are cheap to clone.
#[derive(Clone)]
pub struct World {
    pub(super) inner: Arc<Inner>,
    pub(super) instance: Arc<Instance>,
}

pub(super) struct Inner {
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) horizon: Duration,
    pub(super) began: Instant,
    pub(super) ambient: Arc<SimAmbient>,
    /// What the network does.
    pub(super) network: Chance,
    pub(super) outage: Outage,
    state: Mutex<State>,
}

/// What is known so far.
#[derive(Default)]
pub(super) struct State {
    pub(super) report: Report,
    pub(super) providers: BTreeMap<String, Provider>,
    shared: BTreeMap<String, Arc<dyn Any + Send + Sync>>,
    gauges: Vec<(String, Gauge)>,
    moments: u64,
}

type Gauge = Arc<dyn Fn() -> u64 + Send + Sync>;

pub(super) struct Provider {
    pub(super) forecast: Forecast,
    pub(super) in_flight: u64,
    /// What happens to the next requests, whatever the weather.
    pub(super) next: std::collections::VecDeque<Option<Fault>>,
}

/// One running gateway.
#[derive(Default)]
pub(super) struct Instance {
    pub(super) index: usize,
    crashed: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults, horizon: Duration) -> Self {
        let inner = Inner {
            seed,
            faults,
            horizon,
            began: Instant::now(),
            ambient: Arc::new(SimAmbient::new(seed)),
            network: Chance::new(seed, "network"),
            outage: Outage::default(),
            state: Mutex::default(),
        };
        inner.lock().report.seed = seed;
        Self { inner: Arc::new(inner), instance: Arc::default() }
    }

    /// The same world, as another instance sees it.
    pub(super) fn at_instance(&self, index: usize) -> Self {
        let instance = Arc::new(Instance { index, ..Instance::default() });
        Self { inner: Arc::clone(&self.inner), instance }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// Which instance this is, counted from 0.
    #[must_use]
    pub fn instance(&self) -> usize {
        self.instance.index
    }

    /// Wall time that jumps and randomness that the seed decides: for every layer that asks for it.
    #[must_use]
    pub fn ambient(&self) -> Arc<dyn Ambient> {
        Arc::clone(&self.inner.ambient) as Arc<dyn Ambient>
    }

    /// A stream of chance of one's own: to build a stack by, for example. The same name gives the same numbers.
    #[must_use]
    pub fn chance(&self, name: &str) -> Chance {
        Chance::new(self.inner.seed, name)
    }

    /// Since the run began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.inner.began.elapsed()
    }

    /// The transport to a provider of this name, to stand under a `TranslateLayer`. It answers in the dialect that the path of a
    /// request asks for. The same name is the same provider, from every instance.
    #[must_use]
    pub fn provider(&self, name: &str) -> SimTransport {
        let mut state = self.inner.lock();
        if !state.providers.contains_key(name) {
            let chance = Chance::new(self.inner.seed, name);
            let forecast = Forecast::draw(&chance, self.inner.faults, self.inner.horizon);
            self.inner.note(&mut state, format_args!("provider {name}: {forecast}"));
            let provider =
                Provider { forecast, in_flight: 0, next: std::collections::VecDeque::new() };
            state.providers.insert(name.to_owned(), provider);
        }
        SimTransport::new(self.clone(), name)
    }

    /// A front door on this world's clock and chance.
    #[must_use]
    pub fn front_door(&self) -> FrontDoorLayer {
        FrontDoorLayer::new().ambient(self.ambient())
    }

    /// A layer that notes every call which passes it, and how it is settled. What it saw is in the [`Report`], under its name.
    #[must_use]
    pub fn probe(&self, name: &str) -> ProbeLayer {
        ProbeLayer::new(self.clone(), name)
    }

    /// State that all instances share, over a network that fails: the same name is the same state.
    ///
    /// # Panics
    ///
    /// When the state of this name is of another type.
    #[must_use]
    #[expect(clippy::panic, reason = "a mistake in a test")]
    pub fn shared<T: Default + Send + 'static>(&self, name: &str) -> Link<T> {
        let mut state = self.inner.lock();
        let shared = state
            .shared
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Mutex::new(Kept::<T>::default())));
        match Arc::clone(shared).downcast::<Mutex<Kept<T>>>() {
            Ok(shared) => {
                drop(state);
                Link::new(self.clone(), name, shared)
            }
            Err(_) => panic!("{name} is a state of another type"),
        }
    }

    /// A number that must be zero when all is over: permits that are out, flights under way.
    pub fn gauge(&self, name: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.inner.lock().gauges.push((name.to_owned(), Arc::new(read)));
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: impl fmt::Display) {
        self.inner.note(&mut self.inner.lock(), format_args!("{line}"));
    }

    /// A stack over calls: a front door, the probe [`TOP`] and this.
    pub fn calls(&self, service: impl CallService) -> Stack {
        self.http(self.front_door().layer(self.probe(TOP).layer(service)))
    }

    /// A stack over http. Whether calls are settled once is only seen where the probe [`TOP`] stands in it, right under its front
    /// door.
    pub fn http<S, B>(&self, service: S) -> Stack
    where
        S: Service<Request<Body>, Response = Response<B>, Error = std::convert::Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: HttpBody<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Stack::new(service)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.inner.seed)
            .field("instance", &self.instance.index)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, state: &mut State, line: fmt::Arguments<'_>) -> Moment {
        let at = self.began.elapsed();
        state.moments += 1;
        state.report.trace.push(format!("{:10.3} {line}", at.as_secs_f64()));
        Moment { number: state.moments, at }
    }

    /// From now on nothing goes wrong.
    pub(super) fn clear_up(&self) {
        let mut state = self.lock();
        for provider in state.providers.values_mut() {
            provider.forecast = Forecast::fair();
            provider.next.clear();
        }
        self.outage.end();
        self.note(&mut state, format_args!("from here on nothing goes wrong"));
    }

    /// What should be zero and is not.
    pub(super) fn leaks(&self) -> Vec<String> {
        let state = self.lock();
        let gauges = state.gauges.clone();
        let flights: Vec<_> = state
            .providers
            .iter()
            .filter(|(_, provider)| provider.in_flight > 0)
            .map(|(name, provider)| {
                format!("{} requests are still open at {name}", provider.in_flight)
            })
            .collect();
        drop(state);
        let gauges = gauges.into_iter().filter_map(|(name, read)| {
            let left = read();
            (left > 0).then(|| format!("{name} is {left}, not 0"))
        });
        flights.into_iter().chain(gauges).collect()
    }
}

impl Instance {
    pub(super) fn is_crashed(&self) -> bool {
        self.crashed.load(Ordering::Relaxed)
    }

    /// Cuts everything off. What waits for the network is woken, to learn of it.
    pub(super) fn crash(&self) {
        self.crashed.store(true, Ordering::Relaxed);
        let wakers =
            std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        for waker in wakers {
            waker.wake();
        }
    }

    /// Ready once the instance has crashed.
    pub(super) fn poll_crashed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_crashed() {
            return Poll::Ready(());
        }
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(super) async fn crashed(&self) {
        std::future::poll_fn(|cx| self.poll_crashed(cx)).await;
    }
}
