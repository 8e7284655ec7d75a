//! Goes on with a call whose client has left.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use ziggurat_core::{Call, End, Error, Guard, Instant, Reply, ReplyBody};

use super::drains::{Drains, Place};
use super::policy::{Disconnect, Policy};
use crate::admission::Permit;
use crate::front::visit::{past_deadline, shutting_down};

/// A question to the layers that may have to move.
pub(in crate::front) type Asking = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// What a call needs to go on without its client. A call that would be cut has none.
pub(in crate::front) struct Leave {
    tokens: u64,
    time: Option<Duration>,
    deadline: Option<Instant>,
    shutdown: Option<CancellationToken>,
    drains: Drains,
    /// The call's place in admission: as long as it is in the process, it counts.
    admitted: Option<Arc<Permit>>,
}

/// What is left behind.
// There is one of these a drain, in the task's own allocation already.
#[allow(clippy::large_enum_variant)]
enum Left {
    Asking(Asking, Option<Guard>),
    Reading(Reply),
    Nothing,
}

// === impl Leave ===

impl Leave {
    /// `None`: cut it.
    pub(in crate::front) fn of(
        call: &Call,
        policy: &Policy,
        drains: &Drains,
        shutdown: Option<&CancellationToken>,
        admitted: Option<Arc<Permit>>,
    ) -> Option<Box<Self>> {
        let Disconnect::Drain { tokens, time } = policy.of(call) else { return None };
        Some(Box::new(Self {
            tokens: tokens.unwrap_or(u64::MAX),
            time,
            deadline: call.deadline(),
            shutdown: shutdown.cloned(),
            drains: drains.clone(),
            admitted,
        }))
    }

    /// The client left before there was an answer.
    pub(in crate::front) fn asking(self: Box<Self>, asking: Asking, guard: Option<Guard>) {
        self.begin(Left::Asking(asking, guard));
    }

    /// The client left while it read.
    pub(in crate::front) fn reading(self: Box<Self>, reply: Reply) {
        // Without a scope it has ended: there is nothing more to learn.
        if reply.scope().is_some() {
            self.begin(Left::Reading(reply));
        }
    }

    /// Whatever stands in the way of a drain, the call is dropped here, and thereby cut.
    fn begin(self: Box<Self>, left: Left) {
        // What unwinds may be in the middle of anything, and is not asked again.
        if std::thread::panicking() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(place) = self.drains.take() else { return };
        runtime.spawn(self.drain(left, place));
    }

    async fn drain(self: Box<Self>, mut left: Left, place: Place) {
        let end = {
            let mut reading = std::pin::pin!(left.read(self.tokens));
            let mut time = std::pin::pin!(self.time.map(tokio::time::sleep));
            let mut deadline = std::pin::pin!(self.deadline.map(tokio::time::sleep_until));
            let shutdown = self.shutdown.as_ref().map(CancellationToken::cancelled);
            let mut shutdown = std::pin::pin!(shutdown);
            poll_fn(|cx| {
                if reading.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(End::Cancelled);
                }
                if has_come(time.as_mut().as_pin_mut(), cx) {
                    return Poll::Ready(End::Cancelled);
                }
                if has_come(deadline.as_mut().as_pin_mut(), cx) {
                    return Poll::Ready(End::Failure(past_deadline()));
                }
                if has_come(shutdown.as_mut().as_pin_mut(), cx) {
                    return Poll::Ready(End::Failure(shutting_down()));
                }
                Poll::Pending
            })
            .await
        };
        // What was read to its end is settled by now.
        left.end(&end);
        drop(self.admitted);
        drop(place);
    }
}

fn has_come<F: Future<Output = ()>>(clock: Option<Pin<&mut F>>, cx: &mut Context<'_>) -> bool {
    clock.is_some_and(|clock| clock.poll(cx).is_ready())
}

// === impl Left ===

impl Left {
    /// Reads to the end, or until more than so many tokens have come.
    async fn read(&mut self, tokens: u64) {
        if let Self::Asking(asking, guard) = self {
            let result = asking.as_mut().await;
            let guard = guard.take();
            *self = match result {
                Ok(mut reply) => {
                    if let Some(guard) = guard {
                        reply.hold(guard);
                    }
                    Self::Reading(reply)
                }
                Err(error) => {
                    if let Some(guard) = guard {
                        guard.close(End::Failure(error));
                    }
                    Self::Nothing
                }
            };
        }
        let Self::Reading(reply) = self else { return };
        match reply.body() {
            ReplyBody::Frames(_) => {}
            // It says nothing of usage and may be long: it is cut.
            ReplyBody::Raw(_) => return,
            _ => return drop(reply.take_body()),
        }
        let mut read = 0_u64;
        while let Some(Ok(frame)) = poll_fn(|cx| reply.poll_frame(cx)).await {
            read = read.saturating_add(u64::from(frame.contents()));
            if read > tokens {
                return;
            }
            // Frames that are all there already must not keep others from the thread.
            tokio::task::consume_budget().await;
        }
    }

    fn end(self, end: &End) {
        match self {
            Self::Asking(asking, guard) => {
                // The request to the provider is given up before the books are closed over it.
                drop(asking);
                if let Some(guard) = guard {
                    guard.close(end.clone());
                }
            }
            Self::Reading(mut reply) => reply.end(end),
            Self::Nothing => {}
        }
    }
}
