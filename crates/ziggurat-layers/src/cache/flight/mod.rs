//! One call for all who ask the same at one time.

mod driving;
mod landing;
mod parked;
mod plan;
mod seat;
mod state;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use smallvec::SmallVec;
use ziggurat_core::{
    Call, End, Error, ErrorKind, Facts, Frame, Outcome, Reply, ReplyBody, ReplyHead, Scope, Settle,
    Settlement, Ticket,
};

use super::Entry;
use super::digest::Wire;
use super::entry::Life;
use super::layer::Shared;
use super::memory::Alias;

use driving::Driving;
pub(super) use landing::{Begun, Landing, Whole, WholeBody};
use parked::Parked;
pub(super) use plan::{Asked, Found, Plan, Terms};
pub(super) use seat::Seat;
use state::{Follower, State, Work, weight};

/// What a ticket stands for: the flight itself, or one of its followers.
const FLIGHT: u64 = 0;
const FOLLOWER: u64 = 1;

/// A call of its own, driven by those who wait for it: whoever is polled at the tip reads on, one frame for each poll, and wakes
/// the others. It ends when its answer does, or when the last of them leaves.
pub(super) struct Flight {
    shared: Arc<Shared>,
    plan: Plan,
    scope: Scope,
    state: Mutex<State>,
    /// Whether it may be among those that others find.
    listed: AtomicBool,
    parked: Arc<Parked>,
    /// Wakes everyone who waits: whoever drove last may be gone by then, or have a caller who does not read.
    waker: Waker,
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
            room: BytesMut::new(),
            recording: true,
            keep: true,
            blocked: false,
            end: None,
            followers: SmallVec::from_iter([first]),
            next: 1,
            bearer: outer,
            usage: None,
        };
        let shared = Arc::clone(shared);
        let state = Mutex::new(state);
        let listed = AtomicBool::new(true);
        let flight = Arc::new(Self { shared, plan, scope, state, listed, parked, waker });
        // It was opened above, so that it cannot be over.
        let _ = flight.scope.register(Arc::clone(&flight) as Arc<dyn Settle>, Ticket(0, FLIGHT));
        Seat { flight, id: 0 }
    }

    /// A place in a flight that is under way, unless it is too late for that.
    pub(super) fn join(self: &Arc<Self>, call: &Call, terms: &Terms) -> Option<Seat> {
        if !self.plan.terms.suit(terms) || self.plan.flushes != self.shared.caches.flushes() {
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

    fn bears(&self, id: u64) -> bool {
        let state = self.lock();
        state.find(id).is_some_and(|at| state.followers[at].bears)
    }

    /// Nobody else finds it any more.
    fn unlist(&self) {
        if !self.listed.swap(false, Ordering::Relaxed) {
            return;
        }
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
        let mut state = self.lock();
        if let Some(landing) = &state.landing {
            return Poll::Ready(landing.clone());
        }
        // Before the lock is given back: what happens from then on wakes us.
        self.parked.park(id, cx.waker());
        let alone = state.followers.len() == 1;
        let mut asked = match std::mem::replace(&mut state.work, Work::Out) {
            Work::Asking(asked) => asked,
            other => {
                state.work = other;
                return Poll::Pending;
            }
        };
        drop(state);
        let driving = Driving { flight: self, done: false };
        match asked.as_mut().poll(&mut Context::from_waker(self.waker(cx, alone))) {
            Poll::Pending => {
                driving.wait(Work::Asking(asked), alone);
                Poll::Pending
            }
            Poll::Ready(found) => {
                drop(asked);
                let landing = self.land(found);
                driving.finish();
                Poll::Ready(landing)
            }
        }
    }

    /// Who is woken when there is more. One who is alone is woken without a detour.
    fn waker<'a>(&'a self, cx: &'a Context<'_>, alone: bool) -> &'a Waker {
        if alone { cx.waker() } else { &self.waker }
    }

    /// The answer begins, or there is none. Whoever drives gets it at once.
    fn land(&self, found: Result<Found, Error>) -> Landing {
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
                let bearer = self.lock().bearer.take();
                drop(bearer);
                drop(guard);
                Landing::Held(held)
            }
            Ok(Found::Reply(mut reply)) => {
                if let Some(guard) = guard {
                    reply.hold(guard);
                }
                if let Some(frames) = reply.frames_mut() {
                    let decodes = frames.decodes();
                    let head = self.label(reply.head().clone());
                    work = Work::Reading(reply);
                    Landing::Stream(Arc::new(Begun { head, decodes }))
                } else {
                    self.whole(*reply)
                }
            }
        };
        let goes_on = matches!(landing, Landing::Stream(_));
        let mut state = self.lock();
        let others = state.followers.len() > 1;
        if others || goes_on {
            state.landing = Some(landing.clone());
        } else {
            // Whoever drives takes it along, whole: it is too late for others.
            state.keep = false;
        }
        // Whoever drives is a follower, so that there is somebody to read.
        state.work = work;
        drop(state);
        if !goes_on {
            self.unlist();
        }
        if others {
            self.parked.wake_all();
        }
        landing
    }

    fn label(&self, mut head: ReplyHead) -> ReplyHead {
        head.cache_key = Some(self.plan.cache_key.clone());
        head
    }

    fn whole(&self, mut reply: Reply) -> Landing {
        let body = match reply.take_body() {
            ReplyBody::Whole(bytes) => WholeBody::Bytes(bytes),
            ReplyBody::Answer(answer) => WholeBody::Answer(answer),
            _ => {
                let message = "an answer that is neither whole nor a stream cannot be shared";
                return Landing::Failed(Error::new(ErrorKind::Server, message));
            }
        };
        let head = self.label(std::mem::take(reply.head_mut()));
        let weight = match &body {
            WholeBody::Bytes(bytes) => bytes.len(),
            WholeBody::Answer(_) => 0,
        };
        let caches = &self.shared.caches;
        if weight <= self.shared.settings.max_entry && head.status.is_success() && caches.keep() {
            let life = self.life();
            let entry = match &body {
                WholeBody::Bytes(bytes) => Entry::whole(&head, bytes, life),
                WholeBody::Answer(answer) => {
                    let ask = self.plan.ask(life.created);
                    Entry::answer(&head, answer, &ask, self.plan.dialect, life)
                }
            };
            if let Some(entry) = entry {
                self.keep(&head, entry);
            }
        }
        // The books are closed by now.
        let usage = self.lock().usage.flatten();
        Landing::Whole(Arc::new(Whole { head, body, usage }))
    }

    fn life(&self) -> Life {
        let created = self.shared.settings.ambient.unix_time();
        Life { created, ttl: self.plan.wish.ttl }
    }

    /// Keeps the answer, if that is still wanted.
    fn keep(&self, head: &ReplyHead, entry: Entry) {
        let caches = &self.shared.caches;
        let wanted = self.plan.wish.store && self.lock().keep;
        // What another model said is not what this one would say tomorrow, nor is it everybody's to read.
        if is_of_another(head) || !wanted || self.plan.flushes != caches.flushes() {
            return;
        }
        if entry.length() > self.shared.settings.max_entry {
            return;
        }
        caches.put(self.plan.key, entry);
        if let Some(name) = self.plan.name {
            caches.learn(Wire::Digest(name), Alias { key: self.plan.key, usage: self.plan.usage });
        }
    }

    /// The next frame of a follower.
    fn poll_frame(&self, id: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            let mut state = self.lock();
            let Some(at) = state.find(id) else {
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
            let alone = state.followers.len() == 1;
            let mut reply = match std::mem::replace(&mut state.work, Work::Out) {
                Work::Reading(reply) => reply,
                other => {
                    state.work = other;
                    return Poll::Pending;
                }
            };
            drop(state);
            let driving = Driving { flight: self, done: false };
            match reply.poll_frame(&mut Context::from_waker(self.waker(cx, alone))) {
                Poll::Pending => {
                    driving.wait(Work::Reading(reply), alone);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.record(&frame, reply.head());
                    // One who is alone stays parked, and is woken once too often at most.
                    if driving.put_back(Work::Reading(reply), Some(frame)) {
                        self.parked.wake_others(id);
                    }
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
        let wanted = state.keep
            && self.plan.wish.store
            && head.status.is_success()
            && self.shared.caches.keep();
        // Clones of handles: the answer is put together with no lock held.
        let frames: Vec<Frame> = match wanted {
            true => state.frames.iter().chain([last]).cloned().collect(),
            false => Vec::new(),
        };
        drop(state);
        if wanted {
            let life = self.life();
            let ask = self.plan.ask(life.created);
            let entry = Entry::stream(head, frames.iter(), &ask, self.plan.dialect, life);
            if let Some(entry) = entry {
                self.keep(head, entry);
            }
        }
        self.unlist();
    }

    /// A follower leaves, at its end or before. The last one takes the flight down.
    fn leave(&self, id: u64) {
        let mut state = self.lock();
        let Some(at) = state.find(id) else {
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
        if gone.bears && state.usage.is_none() {
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

/// Whether another model than the one that was asked for gave the answer.
pub(super) fn is_of_another(head: &ReplyHead) -> bool {
    head.fallbacks > 0 || head.group.is_some()
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
        state.usage = Some(outcome.usage);
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
                bearer.set_cached(false);
            }
        }
    }
}
