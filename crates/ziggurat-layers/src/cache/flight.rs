//! One call for all who ask the same at one time.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use ziggurat_core::{
    Answer, Ask, Call, Dialect, End, Error, ErrorKind, Facts, FallbackTarget, Frame, Guard,
    Operation, Outcome, Reply, ReplyBody, ReplyHead, Scope, Settle, Settlement, Str, Ticket,
};

use super::caches::{Alias, Held};
use super::entry::Life;
use super::layer::Shared;
use super::policy::Wish;
use super::{Entry, Key};

/// What a ticket stands for: the flight itself, or one of its followers.
const FLIGHT: u64 = 0;
const FOLLOWER: u64 = 1;

/// How the flight's answer begins.
pub(super) type Asked = Pin<Box<dyn Future<Output = Result<Found, Error>> + Send>>;

/// Where the answer was found.
pub(super) enum Found {
    /// A store had it.
    Held(Arc<Held>),
    /// The call was made.
    Reply(Box<Reply>),
}

/// A call of its own, driven by those who wait for it: whoever is polled at the tip reads on, one frame for each poll, and wakes
/// the others. It ends when its answer does, or when the last of them leaves.
pub(super) struct Flight {
    shared: Arc<Shared>,
    plan: Plan,
    scope: Scope,
    state: Mutex<State>,
    parked: Arc<Parked>,
    /// Wakes everyone who waits: whoever drove last may be gone by then, or have a caller who does not read.
    waker: Waker,
}

/// What is known of a flight before it begins.
pub(super) struct Plan {
    pub(super) key: Key,
    /// The key as callers read it.
    pub(super) cache_key: Str,
    /// What the bytes of the first call are called.
    pub(super) name: Option<Key>,
    /// Whether it asked for usage at the end of a stream.
    pub(super) usage: bool,
    pub(super) wish: Wish,
    pub(super) terms: Terms,
    pub(super) dialect: Option<Dialect>,
    /// Whose call it was.
    pub(super) caller: Option<Str>,
    pub(super) ask: Ask,
    pub(super) flushes: u64,
}

/// What must be equal beside the key, so that calls can share a flight: how hard is tried, and how fresh the answer must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Terms {
    max_age: Option<Duration>,
    retries: Option<u32>,
    fallbacks: Option<Vec<FallbackTarget>>,
    disable_fallbacks: bool,
    tags: Vec<Str>,
}

impl Terms {
    pub(super) fn of(call: &Call, wish: &Wish) -> Self {
        let controls = call.controls();
        Self {
            max_age: wish.max_age,
            retries: controls.retries,
            fallbacks: controls.fallbacks.clone(),
            disable_fallbacks: controls.disable_fallbacks,
            tags: controls.tags.clone(),
        }
    }
}

struct State {
    work: Work,
    /// Keeps the flight's books open until there is a reply to do that.
    guard: Option<Guard>,
    landing: Option<Landing>,
    frames: VecDeque<Frame>,
    /// The number of the first frame that is still here.
    first: u64,
    /// What the frames that are here weigh, in bytes.
    bytes: usize,
    /// Whether all frames are here, from the first on.
    recording: bool,
    /// Whether what is recorded may be kept.
    keep: bool,
    /// Whether somebody waits for the slowest.
    blocked: bool,
    end: Option<Result<(), Error>>,
    followers: SmallVec<[Follower; 2]>,
    next: u64,
    /// To whose books the flight's go.
    bearer: Option<Scope>,
    outcome: Option<Outcome>,
}

enum Work {
    Asking(Asked),
    // In a box: it is taken out and put back for every frame.
    Reading(Box<Reply>),
    /// Somebody is driving it.
    Out,
    Done,
}

struct Follower {
    id: u64,
    scope: Option<Scope>,
    /// The number of the frame to read next.
    next: u64,
    bears: bool,
}

/// What came of the call.
#[derive(Clone)]
pub(super) enum Landing {
    /// A store had the answer.
    Held(Arc<Held>),
    /// A whole answer.
    Whole(Arc<Whole>),
    /// A stream has begun.
    Stream(Arc<Begun>),
    /// It failed.
    Failed(Error),
}

pub(super) struct Whole {
    pub(super) head: ReplyHead,
    pub(super) body: WholeBody,
    pub(super) usage: Option<ziggurat_core::Usage>,
}

pub(super) enum WholeBody {
    Bytes(Bytes),
    Answer(Answer),
}

pub(super) struct Begun {
    pub(super) head: ReplyHead,
    pub(super) decodes: bool,
}

impl Flight {
    /// A flight whose first follower is the call that began it. `fly` gets the call as the flight makes it.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        plan: Plan,
        mut call: Call,
        fly: impl FnOnce(Call) -> Asked,
    ) -> Seat {
        let outer = call.scope().cloned();
        let guard = Settlement::open();
        let scope = guard.scope();
        call.clear_scope();
        call.set_scope(scope.clone());
        let parked = Arc::new(Parked::default());
        let waker = Waker::from(Arc::clone(&parked));
        let first = Follower { id: 0, scope: outer.clone(), next: 0, bears: true };
        let state = State {
            work: Work::Asking(fly(call)),
            guard: Some(guard),
            landing: None,
            frames: VecDeque::new(),
            first: 0,
            bytes: 0,
            recording: true,
            keep: true,
            blocked: false,
            end: None,
            followers: SmallVec::from_iter([first]),
            next: 1,
            bearer: outer,
            outcome: None,
        };
        let shared = Arc::clone(shared);
        let flight =
            Arc::new(Self { shared, plan, scope, state: Mutex::new(state), parked, waker });
        // It was opened above, so that it cannot be over.
        let _ = flight.scope.register(Arc::clone(&flight) as Arc<dyn Settle>, Ticket(0, FLIGHT));
        Seat { flight, id: 0 }
    }

    /// A place in a flight that is under way, unless it is too late for that.
    pub(super) fn join(self: &Arc<Self>, call: &Call, terms: &Terms) -> Option<Seat> {
        if self.plan.terms != *terms || self.plan.flushes != self.shared.caches.flushes() {
            return None;
        }
        let mut state = self.lock();
        let failed = matches!(state.landing, Some(Landing::Failed(_)));
        let broken = matches!(state.end, Some(Err(_)));
        if state.followers.is_empty() || !state.recording || failed || broken || !state.keep {
            return None;
        }
        let id = state.next;
        state.next += 1;
        let scope = call.scope().cloned();
        state.followers.push(Follower { id, scope, next: 0, bears: false });
        drop(state);
        Some(Seat { flight: Arc::clone(self), id })
    }

    /// Does not keep the answer, and takes nobody in any more.
    pub(super) fn forget(&self) {
        self.lock().keep = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody else's code runs under the lock, so that a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody else finds it any more.
    fn unlist(&self) {
        let mut flights = self.shared.caches.flights();
        let ours = |flight: &Arc<Self>| std::ptr::eq(Arc::as_ptr(flight), self);
        let listed = match flights.get(&self.plan.key).is_some_and(ours) {
            true => flights.remove(&self.plan.key),
            false => None,
        };
        drop(flights);
        drop(listed);
    }

    /// What came of the call, once something has.
    fn poll_landing(&self, id: u64, cx: &mut Context<'_>) -> Poll<Landing> {
        loop {
            let mut state = self.lock();
            if let Some(landing) = &state.landing {
                return Poll::Ready(landing.clone());
            }
            // Before the lock is given back: what happens from then on wakes us.
            self.parked.park(id, cx.waker());
            let mut asked = match std::mem::replace(&mut state.work, Work::Out) {
                Work::Asking(asked) => asked,
                other => {
                    state.work = other;
                    return Poll::Pending;
                }
            };
            drop(state);
            let driving = Driving { flight: self, done: false };
            match asked.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                Poll::Pending => {
                    driving.put_back(Work::Asking(asked));
                    return Poll::Pending;
                }
                Poll::Ready(found) => {
                    drop(asked);
                    self.land(found);
                    driving.finish();
                }
            }
        }
    }

    fn land(&self, found: Result<Found, Error>) {
        let guard = self.lock().guard.take();
        let mut work = Work::Done;
        let landing = match found {
            Err(error) => {
                if let Some(guard) = guard {
                    guard.close(End::Failure(error.clone()));
                }
                Landing::Failed(error)
            }
            Ok(Found::Held(held)) => {
                // Nothing was asked: these books are nobody's.
                self.lock().bearer = None;
                drop(guard);
                Landing::Held(held)
            }
            Ok(Found::Reply(mut reply)) => {
                if let Some(guard) = guard {
                    reply.hold(guard);
                }
                if let Some(frames) = reply.frames_mut() {
                    let decodes = frames.decodes();
                    let head = self.label(reply.head());
                    work = Work::Reading(reply);
                    Landing::Stream(Arc::new(Begun { head, decodes }))
                } else {
                    self.whole(reply)
                }
            }
        };
        let goes_on = matches!(landing, Landing::Stream(_));
        let mut state = self.lock();
        state.landing = Some(landing);
        // Whoever drives is a follower, so that there is somebody to read.
        state.work = work;
        drop(state);
        if !goes_on {
            self.unlist();
        }
        self.parked.wake_all();
    }

    fn label(&self, head: &ReplyHead) -> ReplyHead {
        let mut head = head.clone();
        head.cache_key = Some(self.plan.cache_key.clone());
        head
    }

    fn whole(&self, mut reply: Box<Reply>) -> Landing {
        let head = self.label(reply.head());
        let body = match reply.take_body() {
            ReplyBody::Whole(bytes) => WholeBody::Bytes(bytes),
            ReplyBody::Answer(answer) => WholeBody::Answer(answer),
            _ => {
                let message = "an answer that is neither whole nor a stream cannot be shared";
                return Landing::Failed(Error::new(ErrorKind::Server, message));
            }
        };
        let weight = match &body {
            WholeBody::Bytes(bytes) => bytes.len(),
            WholeBody::Answer(_) => 0,
        };
        if weight <= self.shared.settings.max_entry && head.status.is_success() {
            let life = self.life();
            let entry = match &body {
                WholeBody::Bytes(bytes) => Entry::whole(&head, bytes, life),
                WholeBody::Answer(answer) => Entry::answer(&head, answer, &self.plan.ask, life),
            };
            if let Some(entry) = entry {
                self.keep(&head, entry);
            }
        }
        // The books are closed by now.
        let usage = self.lock().outcome.as_ref().and_then(|outcome| outcome.usage);
        Landing::Whole(Arc::new(Whole { head, body, usage }))
    }

    fn life(&self) -> Life {
        let created = self.shared.settings.ambient.unix_time();
        Life { created, ttl: self.plan.wish.ttl }
    }

    /// Keeps the answer, if that is still wanted.
    fn keep(&self, head: &ReplyHead, entry: Entry) {
        let caches = &self.shared.caches;
        // What another model said is not what this one would say tomorrow.
        let other = head.fallbacks > 0 || head.group.is_some();
        let wanted = self.plan.wish.store && self.lock().keep;
        if other || !wanted || self.plan.flushes != caches.flushes() {
            return;
        }
        if entry.length() > self.shared.settings.max_entry {
            return;
        }
        caches.put(self.plan.key, entry, &*self.shared.settings.ambient);
        if let Some(name) = self.plan.name {
            caches.learn(name, Alias { key: self.plan.key, usage: self.plan.usage });
        }
    }

    /// The next frame of a follower.
    fn poll_frame(&self, id: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            let mut state = self.lock();
            let Some(at) = state.followers.iter().position(|follower| follower.id == id) else {
                return Poll::Ready(None);
            };
            let next = state.followers[at].next;
            let index = usize::try_from(next - state.first).unwrap_or(usize::MAX);
            if let Some(frame) = state.frames.get(index) {
                let frame = frame.clone();
                state.followers[at].next += 1;
                let (read, wake) = state.trim();
                drop(state);
                drop(read);
                if wake {
                    self.parked.wake_all();
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            if let Some(end) = &state.end {
                let end = end.clone();
                // An error is told once.
                state.followers[at].next = u64::MAX;
                return Poll::Ready(end.err().filter(|_| next != u64::MAX).map(Err));
            }
            self.parked.park(id, cx.waker());
            if !state.recording && state.bytes > self.shared.settings.window {
                state.blocked = true;
                return Poll::Pending;
            }
            let mut reply = match std::mem::replace(&mut state.work, Work::Out) {
                Work::Reading(reply) => reply,
                other => {
                    state.work = other;
                    return Poll::Pending;
                }
            };
            drop(state);
            let driving = Driving { flight: self, done: false };
            match reply.poll_frame(&mut Context::from_waker(&self.waker)) {
                Poll::Pending => {
                    driving.put_back(Work::Reading(reply));
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.record(&frame, reply.head());
                    let mut state = self.lock();
                    state.bytes += weight(&frame);
                    state.frames.push_back(frame);
                    drop(state);
                    driving.put_back(Work::Reading(reply));
                    self.parked.wake_others(id);
                }
                Poll::Ready(end) => {
                    let end = match end {
                        Some(Err(error)) => Err(error),
                        _ => Ok(()),
                    };
                    self.lock().end = Some(end);
                    drop(reply);
                    driving.finish();
                    self.unlist();
                    self.parked.wake_others(id);
                }
            }
        }
    }

    /// A frame has come and is not among the others yet: is it the last, is it one too many?
    fn record(&self, last: &Frame, head: &ReplyHead) {
        let facts = last.facts();
        let mut state = self.lock();
        if !state.recording {
            return;
        }
        if last.failure().is_some() {
            state.keep = false;
            drop(state);
            return self.unlist();
        }
        if state.bytes + weight(last) > self.shared.settings.max_entry {
            state.recording = false;
            state.keep = false;
            let (read, _) = state.trim();
            drop(state);
            drop(read);
            return self.unlist();
        }
        if !facts.has(Facts::TERMINATOR) {
            return;
        }
        let wanted = state.keep && self.plan.wish.store && head.status.is_success();
        // Clones of handles: the answer is put together with no lock held.
        let frames: Vec<Frame> = match wanted {
            true => state.frames.iter().chain([last]).cloned().collect(),
            false => Vec::new(),
        };
        drop(state);
        if wanted
            && let Some(entry) = Entry::stream(head, frames.iter(), &self.plan.ask, self.life())
        {
            self.keep(head, entry);
        }
        self.unlist();
    }

    /// A follower leaves, at its end or before. The last one takes the flight down.
    fn leave(&self, id: u64) {
        let mut state = self.lock();
        let Some(at) = state.followers.iter().position(|follower| follower.id == id) else {
            return;
        };
        let gone = state.followers.remove(at);
        if state.followers.is_empty() {
            let work = match &state.work {
                Work::Out => None,
                _ => Some(std::mem::replace(&mut state.work, Work::Done)),
            };
            let guard = state.guard.take();
            drop(state);
            self.unlist();
            self.parked.forget(id);
            // What is inside goes first, then the books are closed: to the account of the one who leaves last.
            drop(work);
            drop(guard);
            return;
        }
        if gone.bears && state.outcome.is_none() {
            // Somebody who is still there: the books of the one who left are about to be closed.
            let heir = state.followers.iter().position(|other| other.scope.is_some()).unwrap_or(0);
            state.followers[heir].bears = true;
            state.bearer = state.followers[heir].scope.clone();
        }
        let (read, _) = state.trim();
        drop(state);
        drop(read);
        self.parked.forget(id);
        // Who left may have been about to read on.
        self.parked.wake_all();
    }
}

impl Settle for Flight {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        if ticket.1 == FOLLOWER {
            // Who has read all may still read on: to the end of the connection, so that it can serve again.
            if !outcome.is_success() {
                self.leave(ticket.0);
            }
            return;
        }
        let mut state = self.lock();
        state.outcome = Some(outcome.clone());
        let bearer = state.bearer.take();
        drop(state);
        if let Some(bearer) = bearer {
            if bearer.attempt_number().is_none() {
                bearer.adopt(outcome.clone());
            } else {
                // Below something that makes attempts: they are added up there.
                if let Some(usage) = &outcome.usage {
                    bearer.report_usage(usage);
                }
                if let Some(cost) = outcome.cost {
                    bearer.report_cost(cost);
                }
            }
        }
    }
}

impl State {
    /// Takes out what all have read, once it is not recorded any more; whether somebody waited for that.
    fn trim(&mut self) -> (SmallVec<[Frame; 1]>, bool) {
        let mut read = SmallVec::new();
        if self.recording {
            return (read, false);
        }
        let slowest = self.followers.iter().map(|follower| follower.next).min();
        while self.first < slowest.unwrap_or(u64::MAX)
            && let Some(frame) = self.frames.pop_front()
        {
            self.first += 1;
            self.bytes -= weight(&frame);
            read.push(frame);
        }
        let wake = self.blocked && !read.is_empty();
        self.blocked &= !wake;
        (read, wake)
    }
}

/// What a frame weighs while it is recorded: itself, its bytes, its events.
fn weight(frame: &Frame) -> usize {
    let events = frame.events().map_or(0, size_of_val);
    size_of::<Frame>() + frame.bytes().len() + frame.withheld().map_or(0, Bytes::len) + events
}

/// Somebody drives the flight. A panic inside is an error to all the others.
struct Driving<'a> {
    flight: &'a Flight,
    done: bool,
}

impl Driving<'_> {
    fn put_back(mut self, work: Work) {
        self.done = true;
        let mut state = self.flight.lock();
        let unwanted = match state.followers.is_empty() {
            // The last one left meanwhile.
            true => {
                state.work = Work::Done;
                Some(work)
            }
            false => {
                state.work = work;
                None
            }
        };
        drop(state);
        drop(unwanted);
    }

    fn finish(mut self) {
        self.done = true;
        let mut state = self.flight.lock();
        if matches!(state.work, Work::Out) {
            state.work = Work::Done;
        }
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let error = Error::new(ErrorKind::Server, "a layer of the gateway failed");
        let mut state = self.flight.lock();
        state.work = Work::Done;
        state.keep = false;
        state.landing.get_or_insert_with(|| Landing::Failed(error.clone()));
        state.end = Some(Err(error.clone()));
        let guard = state.guard.take();
        drop(state);
        if let Some(guard) = guard {
            guard.close(End::Failure(error));
        }
        self.flight.unlist();
        self.flight.parked.wake_all();
    }
}

/// A follower's place in a flight. Dropping it leaves.
pub(super) struct Seat {
    flight: Arc<Flight>,
    id: u64,
}

impl Seat {
    pub(super) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    pub(super) fn poll_landing(&self, cx: &mut Context<'_>) -> Poll<Landing> {
        self.flight.poll_landing(self.id, cx)
    }

    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        self.flight.poll_frame(self.id, cx)
    }

    /// Whether this is the call that began the flight.
    pub(super) fn is_first(&self) -> bool {
        self.id == 0
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.flight.plan
    }

    /// Leaves when this attempt is closed, before its call is: the flight, if it ends by that, is on the call's books in time.
    pub(super) fn leave_with(&self, scope: &Scope) -> Result<(), Error> {
        let flight = Arc::clone(&self.flight) as Arc<dyn Settle>;
        scope.register(flight, Ticket(self.id, FOLLOWER)).map_err(|_| Error::closed())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.flight.leave(self.id);
    }
}

/// Those who wait.
#[derive(Default)]
struct Parked(Mutex<SmallVec<[(u64, Waker); 2]>>);

impl Parked {
    fn lock(&self) -> MutexGuard<'_, SmallVec<[(u64, Waker); 2]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn park(&self, id: u64, waker: &Waker) {
        let mut parked = self.lock();
        match parked.iter_mut().find(|(other, _)| *other == id) {
            Some((_, old)) => old.clone_from(waker),
            None => parked.push((id, waker.clone())),
        }
    }

    fn forget(&self, id: u64) {
        self.lock().retain(|(other, _)| *other != id);
    }

    fn wake_all(&self) {
        let parked = std::mem::take(&mut *self.lock());
        for (_, waker) in parked {
            waker.wake();
        }
    }

    fn wake_others(&self, id: u64) {
        self.forget(id);
        self.wake_all();
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// What the encoder of a stream that is kept has to know.
pub(super) fn ask(call: &Call, created: Duration) -> Ask {
    let mut ask = Ask::new(Operation::Chat, call.model().clone());
    ask.stream_usage = true;
    ask.created = created.as_secs();
    ask.call_id = call.id().clone();
    ask
}
