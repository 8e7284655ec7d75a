//! A small stack: who opens a call, who books it, who tries again, and a provider with a script.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tower_service::Service;
use ziggurat_core::{
    Answer, Call, CallService, ChatReply, End, Error, Facts, Frame, Frames, Guard, Reply,
    ReplyBody, ReplyHead,
};

use crate::world::{Kind, World, failure};

type Ready = Poll<Result<(), Error>>;

/// Opens the settlement, sometimes; else the first layer below that needs one does.
#[derive(Clone)]
pub(crate) struct Door<S> {
    inner: S,
    world: Arc<World>,
}

/// Registers with a call, or with an attempt, as a ledger would.
#[derive(Clone)]
pub(crate) struct Budget<S> {
    inner: S,
    world: Arc<World>,
}

/// Opens attempts one after the other, or beside each other.
#[derive(Clone)]
pub(crate) struct Attempts<S> {
    inner: S,
    world: Arc<World>,
}

/// Answers by a script that chance writes.
#[derive(Clone)]
pub(crate) struct Provider {
    world: Arc<World>,
}

/// Passes frames through.
pub(crate) struct Through(pub(crate) Box<dyn Frames>);

// === impl Door ===

pub(crate) struct Opened<F> {
    inner: F,
    guard: Option<Guard>,
    world: Arc<World>,
}

impl<S: CallService> Door<S> {
    pub(crate) fn around(inner: S, world: &Arc<World>) -> Self {
        Self { inner, world: world.clone() }
    }
}

impl<S: CallService<Future: Unpin>> Service<Call> for Door<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Opened<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Ready {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        // Whoever is first opens: the door is, so that `Budget` always has a scope to register with.
        let (scope, guard) = call.open_scope();
        self.world.keep(scope);
        Opened { inner: self.inner.call(call), guard, world: self.world.clone() }
    }
}

impl<F: Future<Output = Result<Reply, Error>> + Unpin> Future for Opened<F> {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
        let guard = self.guard.take();
        Poll::Ready(match result {
            Ok(mut reply) => {
                if let Some(guard) = guard {
                    reply.hold(guard);
                }
                Ok(reply)
            }
            Err(error) => {
                self.world.expect_all(Kind::Failure);
                if let Some(guard) = guard {
                    guard.close(End::Failure(error.clone()));
                }
                Err(error)
            }
        })
    }
}

// === impl Budget ===

pub(crate) enum Booked<F> {
    Refused,
    Inner(F),
}

impl<S> Budget<S> {
    pub(crate) fn around(inner: S, world: &Arc<World>) -> Self {
        Self { inner, world: world.clone() }
    }
}

impl<S: CallService<Future: Unpin>> Service<Call> for Budget<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Booked<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Ready {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let scope = call.scope().unwrap();
        for _ in 0..self.world.below(3) {
            if self.world.register(scope, self.world.below(3)).is_err() {
                return Booked::Refused;
            }
        }
        if self.world.chance(24) {
            return Booked::Refused;
        }
        Booked::Inner(self.inner.call(call))
    }
}

impl<F: Future<Output = Result<Reply, Error>> + Unpin> Future for Booked<F> {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Refused => Poll::Ready(Err(Error::closed())),
            Self::Inner(inner) => Pin::new(inner).poll(cx),
        }
    }
}

// === impl Attempts ===

impl<S> Attempts<S> {
    pub(crate) fn around(inner: S, world: &Arc<World>) -> Self {
        Self { inner, world: world.clone() }
    }
}

pub(crate) struct Trying<S: Service<Call>> {
    inner: S,
    /// What is sent again. It keeps nothing open.
    replay: Call,
    tries: Vec<Try<S::Future>>,
    left: usize,
    straight: bool,
    world: Arc<World>,
}

struct Try<F> {
    number: u16,
    guard: Option<Guard>,
    future: F,
}

impl<S: CallService> Trying<S> {
    fn begin(&mut self) -> Result<(), Error> {
        let mut call = self.replay.clone();
        self.left -= 1;
        if self.straight {
            self.tries.push(Try { number: 0, guard: None, future: self.inner.call(call) });
            return Ok(());
        }
        let scope = call.scope().unwrap();
        let guard = scope.attempt().map_err(|_| Error::closed())?;
        let number = self.world.opened(&guard);
        call.set_scope(guard.scope());
        // The provider below, or the ledger, may panic: then the guard has to be dropped here.
        self.tries.push(Try { number, guard: Some(guard), future: self.inner.call(call) });
        Ok(())
    }
}

impl<S: CallService<Future: Unpin> + Unpin> Service<Call> for Attempts<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Trying<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Ready {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let world = self.world.clone();
        let straight = world.chance(5);
        let left = if straight { 1 } else { 1 + world.below(4) };
        let mut trying = Trying {
            inner: self.inner.clone(),
            replay: call,
            tries: Vec::new(),
            left,
            straight,
            world,
        };
        if trying.world.chance(2) {
            trying.begin().ok();
        }
        trying
    }
}

impl<S: CallService<Future: Unpin> + Unpin> Future for Trying<S> {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if this.tries.is_empty() {
                if this.left == 0 {
                    return Poll::Ready(Err(failure()));
                }
                this.begin()?;
            }
            let mut index = 0;
            while index < this.tries.len() {
                let Poll::Ready(result) = Pin::new(&mut this.tries[index].future).poll(cx) else {
                    index += 1;
                    continue;
                };
                let Try { number, guard, .. } = this.tries.swap_remove(index);
                match (result, guard) {
                    (Ok(mut reply), guard) => {
                        this.world.set_delivered(guard.is_some().then_some(number));
                        if let Some(guard) = guard {
                            reply.hold(guard);
                        }
                        for loser in &this.tries {
                            this.world.expect_attempt(loser.number, Kind::Cancelled);
                        }
                        this.tries.clear();
                        return Poll::Ready(Ok(reply));
                    }
                    (Err(error), None) => return Poll::Ready(Err(error)),
                    (Err(_), Some(guard)) if this.world.chance(4) => {
                        this.world.expect_attempt(number, Kind::Cancelled);
                        drop(guard);
                    }
                    (Err(error), Some(guard)) => {
                        this.world.expect_attempt(number, Kind::Failure);
                        guard.close(End::Failure(error));
                    }
                }
            }
            if !this.tries.is_empty() {
                if this.left == 0 || !this.world.chance(3) {
                    return Poll::Pending;
                }
                // A hedge: one more beside those that are under way.
                this.begin()?;
            }
        }
    }
}

// === impl Provider ===

impl Provider {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { world: world.clone() }
    }
}

pub(crate) struct Sending {
    pending: usize,
    world: Arc<World>,
}

impl Service<Call> for Provider {
    type Response = Reply;
    type Error = Error;
    type Future = Sending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Ready {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        Sending { pending: self.world.below(3), world: self.world.clone() }
    }
}

impl Future for Sending {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.pending > 0 {
            self.pending -= 1;
            return Poll::Pending;
        }
        let world = &self.world;
        Poll::Ready(match world.below(12) {
            0..4 => Err(failure()),
            4 => std::panic::resume_unwind(Box::new("the transport fails")),
            5 => {
                let mut chat = ChatReply::new("1", "model");
                chat.usage = world.chance(2).then(|| world.usage());
                Ok(Reply::answer(Answer::Chat(Box::new(chat))))
            }
            6 => Ok(Reply::new(ReplyHead::default(), ReplyBody::Whole(Bytes::from_static(b"{}")))),
            _ => Ok(Reply::frames(Script { left: world.below(12), world: world.clone() })),
        })
    }
}

/// Frames by chance.
struct Script {
    left: usize,
    world: Arc<World>,
}

impl Frames for Script {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let world = &self.world;
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        let mut frame = Frame::new(Bytes::from_static(b"data: {}\n\n"), Facts::NONE);
        match world.below(24) {
            0..4 => return Poll::Pending,
            4 => return Poll::Ready(Some(Err(failure()))),
            5 => frame.set_error(failure()),
            6 => frame.mark(Facts::TERMINATOR),
            7 => {
                // All at once, as a provider's last segment often is.
                frame.mark(Facts::CONTENT | Facts::STOP | Facts::TERMINATOR);
                frame.set_contents(3);
                frame.set_usage(&world.usage());
            }
            8 => std::panic::resume_unwind(Box::new("a decoder fails")),
            9 if world.chance(3) => frame.mark(Facts::ERROR),
            9 => frame.mark(Facts::KEEP_ALIVE),
            10..13 => frame.set_usage(&world.usage()),
            13 => {
                // An error beats a terminator in the same frame.
                frame.mark(Facts::TERMINATOR);
                frame.set_error(failure());
            }
            _ => {
                frame.mark(Facts::CONTENT);
                frame.set_contents(1 + u16::from(world.chance(2)));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Frames for Through {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        self.0.poll_frame(cx)
    }
}
