//! What those who ask get to read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use ziggurat_core::{
    Call, Cost, CutOptions, Cutter, Dialect, Error, Frame, Frames, RateLimits, Reply, ReplyBody,
    ReplyHead, Scope,
};

use super::entry::Kept;
use super::flight::{Begun, Seat, Whole, WholeBody};
use super::memory::{Alias, Held};
use super::service::written;

/// Answers with what is kept. It costs nothing.
pub(super) fn hit(held: &Arc<Held>, call: &Call, alias: Alias) -> Reply {
    repeat(held, call.scope(), alias)
}

pub(super) fn repeat(held: &Arc<Held>, scope: Option<&Scope>, alias: Alias) -> Reply {
    let mut head = held.entry.head();
    head.cache_key = Some(written(alias.key));
    if let Some(scope) = scope {
        if let Some(usage) = held.entry.usage() {
            scope.report_usage(usage);
        }
        scope.report_cost(Cost::default());
        scope.set_cached(true);
    }
    let body = match held.entry.body() {
        Kept::Whole(bytes) => ReplyBody::Whole(bytes.clone()),
        Kept::Frames(_) => {
            let replayed = Replayed { held: Arc::clone(held), next: 0, usage: alias.usage };
            ReplyBody::Frames(Box::new(replayed))
        }
    };
    Reply::new(head, body)
}

/// A stream that is kept.
struct Replayed {
    held: Arc<Held>,
    next: usize,
    /// Whether usage was asked for.
    usage: bool,
}

impl Frames for Replayed {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let Kept::Frames(frames) = self.held.entry.body() else { return Poll::Ready(None) };
        let frame = frames.get(self.next).cloned();
        self.next += 1;
        Poll::Ready(frame.map(|frame| Ok(if self.usage { shown(frame) } else { frame })))
    }
}

/// A frame with the events that were withheld from somebody else.
fn shown(frame: Frame) -> Frame {
    let Some(withheld) = frame.withheld() else { return frame };
    let mut bytes = BytesMut::with_capacity(frame.bytes().len() + withheld.len());
    bytes.extend_from_slice(frame.bytes());
    bytes.extend_from_slice(withheld);
    let mut frame = frame.with_bytes(bytes.freeze());
    frame.set_withheld(Bytes::new());
    frame
}

/// What a follower is told apart from the frames.
pub(super) struct Place {
    pub(super) seat: Seat,
    pub(super) scope: Option<Scope>,
    pub(super) dialect: Option<Dialect>,
    pub(super) alias: Alias,
}

impl Place {
    pub(super) fn of(seat: Seat, call: &Call, alias: Alias) -> Self {
        Self { seat, scope: call.scope().cloned(), dialect: call.dialect(), alias }
    }

    /// A whole answer that several wait for.
    pub(super) fn whole(self, whole: Arc<Whole>) -> Reply {
        // Nothing is copied of what nobody else reads.
        let Whole { mut head, body, usage } = Arc::unwrap_or_clone(whole);
        // By now it is known who pays.
        if !self.seat.bears() {
            as_cached(&mut head);
            if let Some(scope) = &self.scope {
                if let Some(usage) = &usage {
                    scope.report_usage(usage);
                }
                scope.report_cost(Cost::default());
                scope.set_cached(true);
            }
        }
        let body = match body {
            WholeBody::Bytes(bytes) => ReplyBody::Whole(bytes),
            WholeBody::Answer(answer) => ReplyBody::Answer(answer),
        };
        Reply::new(head, body)
    }

    /// A stream that several read.
    pub(super) fn stream(self, begun: &Begun) -> Result<Reply, Error> {
        let mut head = begun.head.clone();
        if !self.seat.bears() {
            as_cached(&mut head);
            if let Some(scope) = &self.scope {
                // Until it takes over what the flight costs.
                scope.set_cached(true);
            }
        }
        let usage = self.usage(begun);
        let attempt = match self.scope.as_ref().filter(|scope| scope.attempt_number().is_none()) {
            None => None,
            Some(scope) => {
                // What is read here is paid by the flight, whose books one of the followers takes over.
                let attempt = scope.attempt().map_err(|_| Error::closed())?;
                attempt.scope().report_cost(Cost::default());
                self.seat.leave_with(&attempt.scope())?;
                Some(attempt)
            }
        };
        let decodes = begun.decodes;
        let followed = Followed { seat: self.seat, usage, decodes };
        let mut reply = Reply::new(head, ReplyBody::Frames(Box::new(followed)));
        if let Some(attempt) = attempt {
            reply.hold(attempt);
        }
        Ok(reply)
    }

    /// What this follower sees of usage. Callers of other dialects read the events, in which all of it is.
    fn usage(&self, begun: &Begun) -> ShowUsage {
        let Some(dialect) = begun.head.dialect.filter(|theirs| Some(*theirs) == self.dialect)
        else {
            return ShowUsage::AsIs;
        };
        let plan = self.seat.plan();
        let withheld = plan.dialect == Some(dialect) && !plan.usage && !begun.decodes;
        match (self.seat.is_first(), self.alias.usage, withheld) {
            (true, ..) | (_, false, true) => ShowUsage::AsIs,
            (_, true, _) => ShowUsage::Yes,
            (_, false, false) => {
                let cutter = dialect.cutter(&CutOptions::default().withhold_usage(true));
                ShowUsage::No(Box::new(Hidden { cutter, ready: VecDeque::new() }))
            }
        }
    }
}

/// The head of an answer that was made for somebody else: what the provider and the limits said was said to them.
fn as_cached(head: &mut ReplyHead) {
    head.cached = true;
    head.attempts = 0;
    head.limits = RateLimits::default();
    head.headers = HeaderMap::new();
    head.request_id = None;
    head.provider_time = None;
}

/// The frames of a flight, as one of its followers reads them.
struct Followed {
    seat: Seat,
    usage: ShowUsage,
    decodes: bool,
}

enum ShowUsage {
    /// As whoever began the flight asked for.
    AsIs,
    Yes,
    No(Box<Hidden>),
}

/// Takes usage out of frames that show it.
struct Hidden {
    cutter: Box<dyn Cutter>,
    ready: VecDeque<Frame>,
}

impl Hidden {
    fn take(&mut self, frame: Frame) -> Result<(), Error> {
        if frame.is_changed() {
            // It is written anew, by somebody who knows what was asked for.
            self.ready.push_back(frame);
            return Ok(());
        }
        let mut events = frame.events().map(<[_]>::to_vec);
        self.cutter.push(frame.into_bytes());
        while let Some(mut frame) = self.cutter.next_frame()? {
            if let Some(all) = &mut events {
                frame.set_events(std::mem::take(all));
            }
            self.ready.push_back(frame);
        }
        Ok(())
    }
}

impl Frames for Followed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            if let ShowUsage::No(hidden) = &mut self.usage
                && let Some(frame) = hidden.ready.pop_front()
            {
                return Poll::Ready(Some(Ok(frame)));
            }
            let frame = match ready!(self.seat.poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match &mut self.usage {
                ShowUsage::AsIs => return Poll::Ready(Some(Ok(frame))),
                ShowUsage::Yes => return Poll::Ready(Some(Ok(shown(frame)))),
                ShowUsage::No(hidden) => {
                    if let Err(error) = hidden.take(frame) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    fn decodes(&self) -> bool {
        self.decodes
    }
}
