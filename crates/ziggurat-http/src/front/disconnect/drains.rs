//! How many drains run at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bounds how many calls are [drained](super::Disconnect) at once; what is beyond is cut. Clones share the bound: a front door
/// that takes another's place goes on with its count.
///
/// ```
/// use ziggurat_http::{Drains, FrontDoorLayer};
///
/// let drains = Drains::new(64);
/// let door = FrontDoorLayer::new().drains(drains.clone());
/// assert_eq!(drains.running(), 0);
/// # let _ = door;
/// ```
#[derive(Clone, Debug)]
pub struct Drains(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    running: AtomicUsize,
    idle: Notify,
}

/// A drain's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Drains);

/// 256 at once.
impl Default for Drains {
    fn default() -> Self {
        Self::new(256)
    }
}

impl Drains {
    /// At most so many at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, running: AtomicUsize::new(0), idle: Notify::new() }))
    }

    /// How many run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Acquire)
    }

    /// Waits until none runs, for a program that wants to end in good order. New ones may begin meanwhile.
    pub async fn idle(&self) {
        loop {
            let idle = self.0.idle.notified();
            let mut idle = std::pin::pin!(idle);
            // Before looking: one that ends in between is not missed.
            idle.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            idle.await;
        }
    }

    pub(super) fn take(&self) -> Option<Place> {
        let next = |running: usize| (running < self.0.most).then_some(running + 1);
        let taken = self.0.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        taken.is_ok().then(|| Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &*self.0.0;
        if shared.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.idle.notify_waiters();
        }
    }
}
