//! Whoever reads on for all.

use ziggurat_core::{End, Error, ErrorKind};

use super::Flight;
use super::landing::Landing;
use super::state::Work;

/// Somebody drives the flight. A panic inside is an error to all the others.
pub(super) struct Driving<'a> {
    pub(super) flight: &'a Flight,
    pub(super) done: bool,
}

impl Driving<'_> {
    pub(super) fn put_back(mut self, work: Work) {
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
