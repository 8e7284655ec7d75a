//! A service that answers one call after the other by script, and notes what it was asked: for the tests of the layers that call
//! more than once.

// Each layer's tests use some of it.
#![cfg_attr(not(all(feature = "retry", feature = "fallback")), allow(dead_code))]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;
use tower_service::Service;
use ziggurat_core::{
    Ambient, Call, Error, Facts, Instant, Outcome, Reply, Settle, Str, Ticket, Usage,
};

use crate::fake::{Act, Dropped, frame, script, start, text};

/// What the service does with a call.
pub(crate) enum Turn {
    /// Answers with one word, complete.
    Answer,
    /// The same, as this deployment.
    AnswerAs(&'static str),
    /// Answers with a stream that does all this.
    Stream(Vec<Act>),
    /// Fails at once.
    Fail(Error),
    /// Fails after a time.
    Late(Duration, Error),
    /// Never answers.
    Hang,
    /// Panics when it is polled.
    Panic,
    /// Panics when it is called.
    PanicAtOnce,
}

/// A call as the service saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) model: Str,
    pub(crate) attempt: Option<u16>,
    pub(crate) at: Duration,
}

/// The service. Its clones follow one script.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Inner>);

struct Inner {
    begun: Instant,
    turns: Mutex<VecDeque<Turn>>,
    seen: Mutex<Vec<(Seen, Call)>>,
    ended: Log,
    dropped: Dropped,
}

/// How attempts ended, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Outcome>>>);

impl Settle for Log {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        self.0.lock().unwrap().push(outcome.clone());
    }
}

impl Log {
    pub(crate) fn all(&self) -> Vec<Outcome> {
        self.0.lock().unwrap().clone()
    }
}

impl Scripted {
    pub(crate) fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        Self(Arc::new(Inner {
            begun: Instant::now(),
            turns: Mutex::new(turns.into_iter().collect()),
            seen: Mutex::default(),
            ended: Log::default(),
            dropped: Dropped::default(),
        }))
    }

    /// What the service was asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap().iter().map(|(seen, _)| seen.clone()).collect()
    }

    /// When it was asked, in milliseconds since it was made.
    pub(crate) fn times(&self) -> Vec<u128> {
        self.seen().iter().map(|seen| seen.at.as_millis()).collect()
    }

    /// Which models it was asked for.
    pub(crate) fn models(&self) -> Vec<Str> {
        self.seen().into_iter().map(|seen| seen.model).collect()
    }

    /// The call that came last.
    pub(crate) fn last(&self) -> Call {
        self.0.seen.lock().unwrap().last().unwrap().1.clone()
    }

    /// How the attempts ended.
    pub(crate) fn ended(&self) -> Vec<Outcome> {
        self.0.ended.all()
    }

    /// How many futures that never answer were dropped.
    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.count()
    }
}

impl Service<Call> for Scripted {
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let scope = call.scope().cloned();
        let attempt = scope.as_ref().and_then(ziggurat_core::Scope::attempt_number);
        if let Some(scope) = scope {
            scope.register(Arc::new(self.0.ended.clone()), Ticket::default()).unwrap();
        }
        let seen = Seen { model: call.model().clone(), attempt, at: self.0.begun.elapsed() };
        self.0.seen.lock().unwrap().push((seen, call));
        let turn = self.0.turns.lock().unwrap().pop_front().expect("asked too often");
        match turn {
            Turn::Answer => Box::pin(std::future::ready(Ok(answer()))),
            Turn::AnswerAs(deployment) => {
                let mut reply = answer();
                reply.head_mut().deployment = Some(deployment.into());
                Box::pin(std::future::ready(Ok(reply)))
            }
            Turn::Stream(acts) => Box::pin(std::future::ready(Ok(script(acts).0))),
            Turn::Fail(error) => Box::pin(std::future::ready(Err(error))),
            Turn::Late(time, error) => Box::pin(async move {
                sleep(time).await;
                Err(error)
            }),
            Turn::Hang => Box::pin(self.0.dropped.never()),
            Turn::Panic => Box::pin(async { panic!("a provider fails") }),
            Turn::PanicAtOnce => panic!("a provider fails at once"),
        }
    }
}

fn answer() -> Reply {
    let mut end = frame("[DONE]", Facts::TERMINATOR);
    end.set_usage(&Usage::new(7, 1));
    script([Act::Frame(start(7)), Act::Frame(text("word")), Act::Frame(end)]).0
}

/// Chance that is always the same: a share of 256 of the most there can be.
#[derive(Debug)]
pub(crate) struct Chance(pub(crate) u8);

impl Ambient for Chance {
    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        u64::from(self.0) << 56
    }
}
