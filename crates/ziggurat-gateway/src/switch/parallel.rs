//! How many calls a deployment has at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ziggurat_core::{Call, Closed, Outcome, Settle, Ticket};

/// A deployment's bound on calls in flight.
#[derive(Debug)]
pub(crate) struct Parallel {
    most: AtomicU32,
    taken: AtomicU32,
}

/// A place, given back when it is dropped: when the call has ended and everybody was told.
#[derive(Debug)]
pub(crate) struct Place(Arc<Parallel>);

impl Parallel {
    pub(crate) fn new(most: NonZeroU32) -> Self {
        Self { most: AtomicU32::new(most.get()), taken: AtomicU32::new(0) }
    }

    /// Changes how many there are. Those that are taken stay so.
    pub(crate) fn bound(&self, most: NonZeroU32) {
        self.most.store(most.get(), Ordering::Relaxed);
    }

    /// A place, if there is one.
    pub(crate) fn take(this: &Arc<Self>) -> Option<Place> {
        let most = this.most.load(Ordering::Relaxed);
        let next = |taken: u32| (taken < most).then_some(taken + 1);
        let taken = this.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.is_ok().then(|| Place(Arc::clone(this)))
    }
}

impl Place {
    /// Keeps the place until the call ends.
    pub(crate) fn keep(self, call: &Call) -> Result<(), Closed> {
        match call.scope() {
            Some(scope) => scope.register(Arc::new(self), Ticket::default()),
            None => Err(Closed),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Settle for Place {
    fn settle(&self, _: Ticket, _: &Outcome) {}
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{End, Settlement};

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_call_has_ended() {
        let parallel = Arc::new(Parallel::new(NonZeroU32::MIN));
        let guard = Settlement::open();
        let mut call = Call::chat("m");
        call.set_scope(guard.scope());
        Parallel::take(&parallel).unwrap().keep(&call).unwrap();
        assert!(Parallel::take(&parallel).is_none());
        guard.close(End::Cancelled);
        assert!(Parallel::take(&parallel).is_some());
    }

    #[test]
    fn a_call_that_is_over_keeps_no_place() {
        let parallel = Arc::new(Parallel::new(NonZeroU32::MIN));
        let guard = Settlement::open();
        let mut call = Call::chat("m");
        call.set_scope(guard.scope());
        guard.close(End::Cancelled);
        assert!(Parallel::take(&parallel).unwrap().keep(&call).is_err());
        assert!(Parallel::take(&parallel).unwrap().keep(&Call::chat("m")).is_err());
        assert!(Parallel::take(&parallel).is_some());
    }
}
