//! A place in a flight.

use std::sync::Arc;
use std::task::{Context, Poll};

use ziggurat_core::{Error, Frame, Scope, Settle, Ticket};

use super::landing::Landing;
use super::plan::Plan;
use super::{FOLLOWER, Flight};

/// A follower's place in a flight. Dropping it leaves.
pub(in crate::cache) struct Seat {
    pub(super) flight: Arc<Flight>,
    pub(super) id: u64,
}

impl Seat {
    pub(in crate::cache) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    pub(in crate::cache) fn poll_landing(&self, cx: &mut Context<'_>) -> Poll<Landing> {
        self.flight.poll_landing(self.id, cx)
    }

    pub(in crate::cache) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Error>>> {
        self.flight.poll_frame(self.id, cx)
    }

    /// Whether this is the call that began the flight.
    pub(in crate::cache) fn is_first(&self) -> bool {
        self.id == 0
    }

    /// Whether the flight's books go to this call, as things stand.
    pub(in crate::cache) fn bears(&self) -> bool {
        self.flight.bears(self.id)
    }

    pub(in crate::cache) fn plan(&self) -> &Plan {
        &self.flight.plan
    }

    /// Leaves when this attempt is closed, before its call is: the flight, if it ends by that, is on the call's books in time.
    pub(in crate::cache) fn leave_with(&self, scope: &Scope) -> Result<(), Error> {
        let flight = Arc::clone(&self.flight) as Arc<dyn Settle>;
        scope.register(flight, Ticket(self.id, FOLLOWER)).map_err(|_| Error::closed())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.flight.leave(self.id);
    }
}
