//! How a call is settled: everyone who must know its end is told exactly once.
//!
//! Whoever opens a [`Settlement`] holds its [`Guard`]: first in its future, then in the reply. Calls carry a [`Scope`], which can
//! register and report but keeps nothing open. The end is the guard's: closed with a result, or dropped, which means cancelled.
//! Attempts are numbered scopes in the same allocation; closing the call closes its open attempts first.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use ziggurat_core::{End, Outcome, Settle, Settlement, Ticket, Usage};
//!
//! #[derive(Default)]
//! struct Meter(AtomicU64);
//!
//! impl Settle for Meter {
//!     fn settle(&self, _: Ticket, outcome: &Outcome) {
//!         self.0.fetch_add(outcome.tokens(), Ordering::Relaxed);
//!     }
//! }
//!
//! let meter = Arc::new(Meter::default());
//! let guard = Settlement::open();
//! guard.scope().register(meter.clone(), Ticket::default()).unwrap();
//! guard.scope().report_usage(&Usage::new(10, 5));
//! guard.close(End::Success);
//! assert_eq!(meter.0.load(Ordering::Relaxed), 15);
//! ```

mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use crate::{Cost, Error, Instant, Loss, Outcome, Price, Str, Usage};

use record::{Record, Registrant};

/// Wants to know how a call ended.
pub trait Settle: Send + Sync + 'static {
    /// Learns the end of the call, or attempt, that `ticket` was registered for.
    ///
    /// Synchronous and cheap: it changes memory, uses a queue slot that was reserved, or appends to an open file. It runs with
    /// no lock held, perhaps while a panic unwinds; a panic in here is caught, and the others are still told.
    fn settle(&self, ticket: Ticket, outcome: &Outcome);
}

/// What a registrant needs to find its own books again: two words of its own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64, pub u64);

/// The call, or the attempt, is already over: the ticket stays the layer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call is already over")]
pub struct Closed;

/// How a call, or an attempt, ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum End {
    /// The answer was read to its end.
    Success,
    /// It failed, before the answer began or in the middle.
    Failure(Error),
    /// It was given up: the caller left, or another attempt won.
    Cancelled,
}

/// The books of one call. Made by [`Settlement::open`], reached through guards and scopes.
pub struct Settlement {
    opened: Instant,
    state: Mutex<State>,
}

struct State {
    call: Record,
    attempts: SmallVec<[Record; 1]>,
    losses: Vec<Loss>,
    adopted: Option<Box<Outcome>>,
}

impl Settlement {
    /// Opens the books of a call.
    pub fn open() -> Guard {
        let opened = Instant::now();
        let state = State {
            call: Record::open(opened),
            attempts: SmallVec::new(),
            losses: Vec::new(),
            adopted: None,
        };
        let settlement = Arc::new(Self { opened, state: Mutex::new(state) });
        Guard { settlement, attempt: None, open: true }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody else's code runs under the lock, so that a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, attempt: Option<u16>, end: End, now: Instant) {
        match attempt {
            Some(attempt) => self.close_attempt(attempt, end, now),
            None => self.close_call(end, now),
        }
    }

    fn close_attempt(&self, attempt: u16, end: End, now: Instant) {
        let mut state = self.lock();
        let open =
            state.attempts.get_mut(usize::from(attempt)).filter(|record| !record.is_closed());
        // A late `end` is dropped after the lock, as parameters are: an error's source is somebody else's code.
        let Some(record) = open else { return };
        let registrants = record.close(end, now);
        if registrants.is_empty() {
            return;
        }
        let outcome = record.outcome(Some(attempt));
        drop(state);
        tell(registrants, &outcome);
    }

    fn close_call(&self, end: End, now: Instant) {
        loop {
            let mut state = self.lock();
            if state.call.is_closed() {
                return;
            }
            // Finding no open attempt and marking the call closed is one critical section.
            let open = state.attempts.iter().position(|attempt| !attempt.is_closed());
            if let Some(open) = open.and_then(|open| u16::try_from(open).ok()) {
                drop(state);
                let end = match &end {
                    End::Failure(error) => End::Failure(error.clone()),
                    End::Success | End::Cancelled => End::Cancelled,
                };
                self.close_attempt(open, end, now);
                continue;
            }
            let registrants = state.call.close(end, now);
            if registrants.is_empty() {
                return;
            }
            let outcome = state.outcome();
            drop(state);
            tell(registrants, &outcome);
            return;
        }
    }
}

impl State {
    fn record(&mut self, attempt: Option<u16>) -> Option<&mut Record> {
        match attempt {
            None => Some(&mut self.call),
            Some(attempt) => self.attempts.get_mut(usize::from(attempt)),
        }
    }

    /// The call's outcome: what was reported on the call itself and on every attempt, added up.
    fn outcome(&mut self) -> Outcome {
        let mut outcome = self.call.outcome(None);
        for attempt in &self.attempts {
            let summary = attempt.summary();
            if let Some(usage) = &summary.usage {
                outcome.usage.get_or_insert_default().add(usage);
            }
            if let Some(cost) = &summary.cost {
                outcome.cost.get_or_insert_default().add(cost);
            }
            outcome.attempts.push(summary);
            let first = attempt.first_content().map(|at| at.duration_since(self.call.opened()));
            outcome.first_content = match (outcome.first_content, first) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if attempt.is_delivered() {
                outcome.deployment = attempt.deployment().cloned();
                outcome.cached |= attempt.is_cached();
            }
        }
        outcome.losses = std::mem::take(&mut self.losses);
        if let Some(other) = self.adopted.take() {
            outcome.usage = other.usage;
            outcome.cost = other.cost;
            outcome.deployment = other.deployment;
            outcome.cached = other.cached;
            outcome.attempts = other.attempts;
            outcome.losses.extend(other.losses);
        }
        // What was lost before, at somebody who was asked, is paid all the same.
        outcome.cached &= outcome.cost.is_none_or(|cost| cost.total().0 == 0);
        outcome
    }
}

fn tell(registrants: SmallVec<[Registrant; 4]>, outcome: &Outcome) {
    for (settle, ticket) in registrants {
        // The payload of the panic is dropped with care: its own drop may panic as well.
        let told = catch_unwind(AssertUnwindSafe(|| settle.settle(ticket, outcome)));
        let dropped = catch_unwind(AssertUnwindSafe(move || drop(settle)));
        for panic in [told.err(), dropped.err()].into_iter().flatten() {
            std::mem::forget(catch_unwind(AssertUnwindSafe(move || drop(panic))));
        }
    }
}

/// Keeps a call, or an attempt, open. Not cloneable: there is one, and its end is the end.
#[must_use = "dropping the guard cancels the call"]
pub struct Guard {
    settlement: Arc<Settlement>,
    attempt: Option<u16>,
    open: bool,
}

impl Guard {
    /// The scope to register and report on.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { settlement: Arc::clone(&self.settlement), attempt: self.attempt }
    }

    /// Ends the call, or the attempt. Closing a call closes its open attempts first.
    pub fn close(self, end: End) {
        self.close_at(end, Instant::now());
    }

    /// Ends it as of a time that was read already.
    pub(crate) fn close_at(mut self, end: End, now: Instant) {
        self.open = false;
        self.settlement.close(self.attempt, end, now);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.open {
            self.settlement.close(self.attempt, End::Cancelled, Instant::now());
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// A place to register and report on. Keeps nothing open, so that clones of a call do not keep it alive.
#[derive(Clone)]
pub struct Scope {
    settlement: Arc<Settlement>,
    attempt: Option<u16>,
}

impl Scope {
    /// Asks to be told of the end.
    ///
    /// # Errors
    ///
    /// When it is already over.
    pub fn register(&self, settle: Arc<dyn Settle>, ticket: Ticket) -> Result<(), Closed> {
        let mut state = self.settlement.lock();
        // An attempt of a call that is over is over, too: closing the call closed it.
        let open = state.record(self.attempt).filter(|record| !record.is_closed());
        let Some(record) = open else {
            // `settle` may be the last handle on it, and its drop is somebody else's code: not under the lock.
            drop(state);
            return Err(Closed);
        };
        record.register(settle, ticket);
        Ok(())
    }

    /// Opens the next attempt at the call.
    ///
    /// # Errors
    ///
    /// When the call is already over.
    pub fn attempt(&self) -> Result<Guard, Closed> {
        let mut state = self.settlement.lock();
        if state.call.is_closed() {
            return Err(Closed);
        }
        let number = u16::try_from(state.attempts.len()).map_err(|_| Closed)?;
        state.attempts.push(Record::open(Instant::now()));
        drop(state);
        let settlement = Arc::clone(&self.settlement);
        Ok(Guard { settlement, attempt: Some(number), open: true })
    }

    /// Which attempt this is, counted from 0; `None` when it is the call.
    #[must_use]
    pub fn attempt_number(&self) -> Option<u16> {
        self.attempt
    }

    /// How many attempts have been opened.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.settlement.lock().attempts.len()
    }

    /// The deployments that the other attempts went to, in order.
    #[must_use]
    pub fn tried(&self) -> SmallVec<[Str; 2]> {
        let state = self.settlement.lock();
        let others = state
            .attempts
            .iter()
            .enumerate()
            .filter(|(number, _)| self.attempt.map(usize::from) != Some(*number));
        others.filter_map(|(_, record)| record.deployment().cloned()).collect()
    }

    /// When the call was opened.
    #[must_use]
    pub fn opened(&self) -> Instant {
        self.settlement.opened
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.settlement.lock().record(self.attempt).is_none_or(|record| record.is_closed())
    }

    /// Reports usage so far. The latest holds, field by field. After the end nothing changes any more.
    pub fn report_usage(&self, usage: &Usage) {
        self.report(|record| record.usage(usage));
    }

    /// Reports that at least so many output tokens were produced: an estimate, for an answer that was cut before its provider
    /// told.
    pub fn report_least_output(&self, tokens: u64) {
        self.report(|record| record.least_output(tokens));
    }

    /// Reports a cost that the provider itself tells. It holds against the price's.
    pub fn report_cost(&self, cost: Cost) {
        self.report(|record| record.cost(cost));
    }

    /// Says what this attempt, or call, is billed by.
    pub fn set_price(&self, price: &Price) {
        self.report(|record| record.price(price));
    }

    /// Says where this attempt goes.
    pub fn set_deployment(&self, deployment: Str) {
        self.report(|record| record.set_deployment(deployment));
    }

    /// Registers on an attempt that is about to be sent, and says where it goes and what its tokens cost there.
    ///
    /// # Errors
    ///
    /// When it is already over.
    pub fn dispatch(
        &self,
        deployment: Str,
        price: Option<&Price>,
        settle: Arc<dyn Settle>,
        ticket: Ticket,
    ) -> Result<(), Closed> {
        let mut state = self.settlement.lock();
        let open = state.record(self.attempt).filter(|record| !record.is_closed());
        let Some(record) = open else {
            drop(state);
            return Err(Closed);
        };
        record.register(settle, ticket);
        record.set_deployment(deployment);
        if let Some(price) = price {
            record.price(price);
        }
        Ok(())
    }

    /// Says whether the answer was known already, or is made for somebody else who pays.
    pub fn set_cached(&self, cached: bool) {
        self.report(|record| record.set_cached(cached));
    }

    /// Reports that content has come.
    pub fn report_first_content(&self) {
        let now = Instant::now();
        self.report(|record| record.content(now));
    }

    /// Reports losses.
    pub fn report_losses(&self, losses: &[Loss]) {
        if !losses.is_empty() {
            let mut state = self.settlement.lock();
            if !state.call.is_closed() {
                state.losses.extend_from_slice(losses);
            }
        }
    }

    /// Says that the work for this call was done under books of its own, which ended like this: a flight that several calls share.
    /// Its usage, cost, deployment and attempts are this call's, in place of what was reported here, and so is whether it was
    /// [cached](Outcome::cached); how this call ends is still its own affair. After the end nothing changes any more.
    pub fn adopt(&self, other: Outcome) {
        let other = Box::new(other);
        let mut state = self.settlement.lock();
        // What it replaces is dropped after the lock: an error's source is somebody else's code.
        let old = if state.call.is_closed() { Some(other) } else { state.adopted.replace(other) };
        drop(state);
        drop(old);
    }

    fn report(&self, report: impl FnOnce(&mut Record)) {
        let mut state = self.settlement.lock();
        if let Some(record) = state.record(self.attempt).filter(|record| !record.is_closed()) {
            report(record);
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
