//! Whoever reads on for all.

use ziggurat_core::{End, Error, ErrorKind, Frame};

use super::Flight;
use super::landing::Landing;
use super::state::{Work, weight};

/// Somebody drives the flight. A panic inside is an error to all the others.
pub(super) struct Driving<'a> {
    pub(super) flight: &'a Flight,
    pub(super) done: bool,
}

impl Driving<'_> {
    /// Gives the work back. A frame that was read goes first. Whether there are others who follow.
    pub(super) fn put_back(mut self, work: Work, read: Option<Frame>) -> bool {
        self.done = true;
        let mut state = self.flight.lock();
        if let Some(frame) = read {
            state.bytes += weight(&frame);
            let frame = if state.recording { state.own(frame) } else { frame };
            state.frames.push_back(frame);
        }
        let others = state.followers.len() > 1;
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
        others
    }

    /// There is nothing yet. Whoever asked for all, or for itself `alone`, is woken when there is.
    pub(super) fn wait(self, work: Work, alone: bool) {
        let flight = self.flight;
        if self.put_back(work, None) && alone {
            // Somebody came meanwhile, and must not depend on another to be polled.
            flight.parked.wake_all();
        }
    }

    pub(super) fn finish(mut self) {
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
