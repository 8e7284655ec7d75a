//! Those who wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use smallvec::SmallVec;

/// Those who wait, by their numbers: there may be very many.
#[derive(Default)]
pub(super) struct Parked(Mutex<SmallVec<[(u64, Waker); 2]>>);

impl Parked {
    fn lock(&self) -> MutexGuard<'_, SmallVec<[(u64, Waker); 2]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn park(&self, id: u64, waker: &Waker) {
        let mut parked = self.lock();
        match parked.binary_search_by_key(&id, |(other, _)| *other) {
            Ok(at) => parked[at].1.clone_from(waker),
            Err(at) => parked.insert(at, (id, waker.clone())),
        }
    }

    pub(super) fn forget(&self, id: u64) {
        let mut parked = self.lock();
        let found = parked.binary_search_by_key(&id, |(other, _)| *other).ok();
        let gone = found.map(|at| parked.remove(at));
        drop(parked);
        drop(gone);
    }

    pub(super) fn wake_all(&self) {
        let parked = std::mem::take(&mut *self.lock());
        for (_, waker) in parked {
            waker.wake();
        }
    }

    pub(super) fn wake_others(&self, id: u64) {
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
