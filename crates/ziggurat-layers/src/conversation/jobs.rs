//! What is being written in the background, and its events for whoever follows them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use ziggurat_core::{Error, ErrorKind, Facts, Frame, Frames, RawJson, Str};

use super::Owner;

/// The most that are written at once.
const MOST: usize = 256;
/// The most bytes of one answer's events, and of all those that are complete.
const MOST_BYTES: usize = 16 << 20;
const MOST_COMPLETE: usize = 64 << 20;
/// How long the events of an answer can be followed once it is complete.
const FOLLOWED: Duration = Duration::from_secs(10 * 60);

/// The answers that are being written, and those whose events can still be followed.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<HashMap<(Owner, Str), Arc<Job>>>);

impl Jobs {
    /// Takes an answer in, if there is room for one more.
    pub(super) fn begin(&self, owner: Owner, id: &Str, job: &Arc<Job>) -> Result<(), Error> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut complete: Vec<_> = jobs
            .iter()
            .filter_map(|(key, job)| Some((job.ended()?, job.bytes(), key.clone())))
            .collect();
        complete.sort_unstable_by_key(|(ended, ..)| std::cmp::Reverse(*ended));
        let (now, running) = (Instant::now(), jobs.len() - complete.len());
        let mut kept = 0;
        for (ended, bytes, key) in complete {
            kept += bytes;
            if kept > MOST_COMPLETE || now >= ended + FOLLOWED {
                jobs.remove(&key);
            }
        }
        if running >= MOST {
            let message = format!("{running} answers are being written in the background already");
            return Err(
                Error::new(ErrorKind::Overloaded, message).with_retry_after(Duration::from_secs(1))
            );
        }
        jobs.insert((owner, id.clone()), Arc::clone(job));
        Ok(())
    }

    pub(super) fn find(&self, owner: Owner, id: &Str) -> Option<Arc<Job>> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner, id.clone());
        let job = Arc::clone(jobs.get(&key)?);
        if job.ended().is_some_and(|ended| Instant::now() >= ended + FOLLOWED) {
            jobs.remove(&key);
            return None;
        }
        Some(job)
    }

    /// Forgets an answer. It is not written on.
    pub(super) fn remove(&self, owner: Owner, id: &Str) {
        let job =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(owner, id.clone()));
        if let Some(job) = job {
            job.abort();
        }
    }
}

/// One answer that is being written.
#[derive(Debug)]
pub(super) struct Job {
    state: Mutex<State>,
    task: OnceLock<AbortHandle>,
    /// Whether its events are kept.
    pub(super) streamed: bool,
}

#[derive(Debug)]
struct State {
    /// As it is by now.
    response: RawJson,
    events: Vec<Logged>,
    bytes: usize,
    ended: Option<Instant>,
    followers: Vec<Waker>,
}

#[derive(Clone, Debug)]
struct Logged {
    number: u64,
    bytes: Bytes,
    facts: Facts,
}

impl Job {
    pub(super) fn new(response: RawJson, streamed: bool) -> Arc<Self> {
        let state =
            State { response, events: Vec::new(), bytes: 0, ended: None, followers: Vec::new() };
        Arc::new(Self { state: Mutex::new(state), task: OnceLock::new(), streamed })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody else's code runs under the lock, so that a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn runs_in(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// The answer as it is by now.
    pub(super) fn response(&self) -> RawJson {
        self.lock().response.clone()
    }

    fn ended(&self) -> Option<Instant> {
        self.lock().ended
    }

    /// How much is remembered of it, in bytes.
    fn bytes(&self) -> usize {
        let state = self.lock();
        // And what is set aside for the least.
        state.bytes + state.response.get().len() + 1024
    }

    pub(super) fn set(&self, response: RawJson) {
        self.lock().response = response;
    }

    /// Adds an event, under the number that its writer gave it, or the next where that gave none or went back.
    pub(super) fn push(
        &self,
        number: Option<u64>,
        event: Bytes,
        facts: Facts,
    ) -> Result<(), Error> {
        let followers = {
            let mut state = self.lock();
            state.bytes += event.len();
            if state.bytes > MOST_BYTES {
                let message = format!("the events of an answer are larger than {MOST_BYTES} bytes");
                return Err(Error::new(ErrorKind::BadUpstream, message));
            }
            let next = state.events.last().map_or(0, |last| last.number + 1);
            let number = number.filter(|number| *number >= next).unwrap_or(next);
            state.events.push(Logged { number, bytes: event, facts });
            std::mem::take(&mut state.followers)
        };
        followers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// It ends with this. `false` if it has ended before.
    pub(super) fn end(&self, response: RawJson) -> bool {
        let followers = {
            let mut state = self.lock();
            if state.ended.is_some() {
                return false;
            }
            state.ended = Some(Instant::now());
            state.response = response;
            std::mem::take(&mut state.followers)
        };
        followers.into_iter().for_each(Waker::wake);
        true
    }

    /// Ends it before it is complete.
    pub(super) fn cancel(&self, response: RawJson) -> bool {
        let ends = self.end(response);
        if ends {
            self.abort();
        }
        ends
    }
}

/// The events of an answer, as they come.
pub(super) struct Follow {
    job: Arc<Job>,
    /// The place of the next event.
    next: usize,
}

impl Follow {
    /// From the event after the one with this number.
    pub(super) fn new(job: Arc<Job>, after: Option<u64>) -> Self {
        let next = match after {
            None => 0,
            Some(after) => job.lock().events.partition_point(|event| event.number <= after),
        };
        Self { job, next }
    }
}

impl Frames for Follow {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let mut state = self.job.lock();
        if let Some(event) = state.events.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::new(event.bytes.clone(), event.facts))));
        }
        if state.ended.is_some() {
            return Poll::Ready(None);
        }
        if !state.followers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.followers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
