use std::collections::HashMap;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Service, ServiceExt};
use tower_test::mock;
use ziggurat_core::{
    Ambient, Answer, Call, Caller, ChatReply, End, Error, ErrorKind, Guard, Instant, NanoDollars,
    Price, ProviderError, Reply, ReplyBody, Settlement, Usage,
};

use super::*;
use crate::fake::{Act, close, done, read, script, secs, settled, text};

/// Randomness by a seed.
#[derive(Debug)]
pub(super) struct Seed(AtomicU64);

impl Seed {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Ambient for Seed {
    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        // SplitMix64.
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn registry() -> Registry {
    Registry::with(Seed::new(7))
}

pub(super) fn said(kind: ErrorKind) -> Error {
    Error::provider(kind, "no", ProviderError::default())
}

/// What a fake deployment does next; after the script it answers.
#[derive(Clone, Debug, Default)]
struct Fake {
    fails: Arc<Mutex<HashMap<String, Vec<Error>>>>,
    models: Arc<Mutex<Vec<String>>>,
}

/// One deployment of a [`Fake`].
#[derive(Clone, Debug)]
struct Deployment {
    id: String,
    fake: Fake,
}

impl Fake {
    fn endpoint(&self, id: &str) -> Endpoint<Deployment> {
        Endpoint::new(id.to_owned(), Deployment { id: id.to_owned(), fake: self.clone() })
    }

    fn fail(&self, id: &str, errors: impl IntoIterator<Item = Error>) {
        self.fails.lock().unwrap().entry(id.to_owned()).or_default().extend(errors);
    }
}

impl Service<Call> for Deployment {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.fake.models.lock().unwrap().push(call.model().to_string());
        let mut fails = self.fake.fails.lock().unwrap();
        let fails = fails.get_mut(&self.id).filter(|fails| !fails.is_empty());
        ready(match fails {
            Some(fails) => Err(fails.remove(0)),
            None => {
                let mut answer = ChatReply::new("1", self.id.as_str());
                answer.usage = Some(Usage::new(10, 5));
                Ok(Reply::answer(Answer::Chat(Box::new(answer))))
            }
        })
    }
}

fn call() -> Call {
    Call::chat("m").user("Hello!")
}

/// Asks, reads the answer, and says which deployment gave it.
async fn ask<S>(route: &Route<S>, call: Call) -> Result<String, Error>
where
    S: Service<Call, Response = Reply, Error = Error> + Clone,
{
    let mut reply = route.clone().oneshot(call).await?;
    let deployment = reply.head().deployment.clone().expect("somebody answered");
    drop(reply.take_body());
    Ok(deployment.to_string())
}

async fn count(route: &Route<Deployment>, calls: usize) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..calls {
        *counts.entry(ask(route, call()).await.unwrap()).or_default() += 1;
    }
    counts
}

/// A route over one group `m`.
fn route<S: Clone>(
    registry: &Registry,
    rules: Rules,
    endpoints: impl IntoIterator<Item = Endpoint<S>>,
) -> Route<S> {
    Route::new(Table::builder(registry).rules(rules).group("m", endpoints).build())
}

/// A call that stays open until its guard goes.
fn held() -> (Call, Guard) {
    let guard = Settlement::open();
    let mut call = call();
    call.set_scope(guard.scope());
    (call, guard)
}

fn in_flight(registry: &Registry) -> u32 {
    registry.states().iter().map(|state| state.in_flight).sum()
}

fn condition(registry: &Registry, id: &str) -> Condition {
    registry.state(id).unwrap().condition
}

mod choosing;
mod contract;
mod health;
mod limits;
mod property;
