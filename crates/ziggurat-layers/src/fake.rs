//! A provider by script, and a log of how calls ended: for the tests of all layers.

// Each layer's tests use some of it.
#![cfg_attr(not(all(feature = "peek", feature = "timeout")), allow(dead_code))]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Sleep, sleep};
use ziggurat_core::{
    Call, End, Error, ErrorKind, Facts, Frame, Frames, Guard, Outcome, Reply, Settle, Settlement,
    Ticket, Usage,
};

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn busy() -> Error {
    Error::new(ErrorKind::Overloaded, "busy")
}

/// A frame with one content event.
pub(crate) fn text(text: &'static str) -> Frame {
    let mut frame = frame(text, Facts::CONTENT);
    frame.set_contents(1);
    frame
}

pub(crate) fn comment() -> Frame {
    frame(": wait\n\n", Facts::KEEP_ALIVE)
}

/// An event that begins the answer and tells what went in.
pub(crate) fn start(input: u64) -> Frame {
    let mut frame = frame("start", Facts::NONE);
    frame.set_usage(&Usage::new(input, 1));
    frame
}

pub(crate) fn stop() -> Frame {
    frame("stop", Facts::STOP)
}

pub(crate) fn done() -> Frame {
    frame("[DONE]", Facts::TERMINATOR)
}

pub(crate) fn failed() -> Frame {
    let mut frame = frame("error", Facts::NONE);
    frame.set_error(busy());
    frame
}

pub(crate) fn frame(bytes: &'static str, facts: Facts) -> Frame {
    Frame::new(Bytes::from_static(bytes.as_bytes()), facts)
}

/// What a stream does next.
pub(crate) enum Act {
    Frame(Frame),
    Wait(Duration),
    Fail(Error),
    Panic,
    /// Nothing, ever.
    Hang,
}

/// A stream that does one thing after the other.
pub(crate) struct Script {
    acts: VecDeque<Act>,
    sleep: Option<Pin<Box<Sleep>>>,
    dropped: Dropped,
}

/// Counts how many of something were dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dropped(Arc<AtomicUsize>);

impl Dropped {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A future that never ends, and is counted when it is dropped.
    pub(crate) fn never(&self) -> Never {
        Never(self.clone())
    }
}

pub(crate) struct Never(Dropped);

impl Future for Never {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for Never {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.dropped.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Frames for Script {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.acts.pop_front() {
                None => return Poll::Ready(None),
                Some(Act::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Act::Fail(error)) => return Poll::Ready(Some(Err(error))),
                Some(Act::Wait(time)) => self.sleep = Some(Box::pin(sleep(time))),
                Some(Act::Panic) => panic!("a decoder fails"),
                Some(Act::Hang) => {
                    self.acts.push_front(Act::Hang);
                    return Poll::Pending;
                }
            }
        }
    }
}

/// One text, from a source whose frames carry events, or do not.
pub(crate) struct Decoded(pub(crate) bool);

impl Frames for Decoded {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        Poll::Ready(Some(Ok(text("a"))))
    }

    fn decodes(&self) -> bool {
        self.0
    }
}

/// A reply that does all this.
pub(crate) fn script(acts: impl IntoIterator<Item = Act>) -> (Reply, Dropped) {
    let dropped = Dropped::default();
    let acts = acts.into_iter().collect();
    (Reply::frames(Script { acts, sleep: None, dropped: dropped.clone() }), dropped)
}

/// Reads a reply to its end: the bytes of its frames, and the error if there was one.
pub(crate) async fn read(reply: &mut Reply) -> (Vec<Bytes>, Option<Error>) {
    let mut bytes = Vec::new();
    loop {
        match next(reply).await {
            Some(Ok(frame)) => bytes.push(frame.into_bytes()),
            Some(Err(error)) => return (bytes, Some(error)),
            None => return (bytes, None),
        }
    }
}

pub(crate) async fn next(reply: &mut Reply) -> Option<Result<Frame, Error>> {
    std::future::poll_fn(|cx| reply.poll_frame(cx)).await
}

/// How calls ended.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<Outcome>>);

impl Settle for Log {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        self.0.lock().unwrap().push(outcome.clone());
    }
}

impl Log {
    /// The one outcome that was told.
    pub(crate) fn outcome(&self) -> Outcome {
        let outcomes = self.0.lock().unwrap();
        assert_eq!(outcomes.len(), 1, "settled exactly once");
        outcomes[0].clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

/// A streamed call under a settlement that is logged.
pub(crate) fn settled() -> (Call, Guard, Arc<Log>) {
    let log = Arc::new(Log::default());
    let guard = Settlement::open();
    guard.scope().register(log.clone(), Ticket::default()).unwrap();
    let mut call = Call::chat("model").user("Hello!").streamed();
    call.set_scope(guard.scope());
    (call, guard, log)
}

/// What a front door does with what comes back.
pub(crate) fn close(result: Result<Reply, Error>, guard: Guard) -> Result<Reply, Error> {
    match result {
        Ok(mut reply) => {
            reply.hold(guard);
            Ok(reply)
        }
        Err(error) => {
            guard.close(End::Failure(error.clone()));
            Err(error)
        }
    }
}
