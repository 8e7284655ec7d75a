//! What is held back, and for how long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::{Sleep, sleep};
use ziggurat_core::{End, Error, ErrorKind, Facts, Frame, Origin, Reply, Scope};

use super::body::Replayed;

/// How much is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Events with content.
    pub(super) tokens: Option<u64>,
    /// Time after the first content.
    pub(super) elapsed: Option<Duration>,
    /// The most bytes to hold.
    pub(super) max_held: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { tokens: None, elapsed: None, max_held: 1 << 20 }
    }
}

/// A reply in frames whose first ones are read before the reply goes out.
pub(super) struct Peeking {
    // Before the reply, so that what was read is booked before the reply's guards close the books.
    held: Held,
    reply: Option<Reply>,
    window: Window,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Peeking {
    pub(super) fn new(reply: Reply, scope: Option<Scope>, window: Window) -> Self {
        let scope = reply.scope().or(scope);
        Self { held: Held::new(scope), reply: Some(reply), window, timer: None }
    }

    /// The reply, once it is known to be one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        loop {
            let frames = self.reply.as_mut().and_then(Reply::frames_mut);
            let frames = frames.expect("a reply in frames, until it was ready");
            let next = match frames.poll_frame(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    let Some(timer) = &mut self.timer else { return Poll::Pending };
                    ready!(timer.as_mut().poll(cx));
                    return Poll::Ready(self.commit());
                }
            };
            match next {
                Some(Ok(frame)) => {
                    self.held.push(frame);
                    if let Some(error) = self.held.failure() {
                        return Poll::Ready(self.fail(error));
                    }
                    if self.is_enough() {
                        return Poll::Ready(self.commit());
                    }
                }
                Some(Err(error)) => return Poll::Ready(self.fail(error)),
                // The source decides whether an end without a terminator is one; what came before it is an answer.
                None if self.held.has_content() => return Poll::Ready(self.commit()),
                None => return Poll::Ready(self.fail(nothing())),
            }
        }
    }

    fn is_enough(&mut self) -> bool {
        if self.held.is_over() || self.held.bytes > self.window.max_held {
            return true;
        }
        if !self.held.has_content() {
            return false;
        }
        match (self.window.tokens, self.window.elapsed) {
            (None, None) => return true,
            (Some(tokens), _) if self.held.events >= tokens => return true,
            _ => {}
        }
        // Where frames are always ready nobody polls the timer.
        self.window.elapsed.is_some_and(|elapsed| {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(elapsed)));
            timer.deadline() <= ziggurat_core::Instant::now()
        })
    }

    fn commit(&mut self) -> Result<Reply, Error> {
        let mut reply = self.reply.take().expect("a reply, until it was ready");
        let held = self.held.take();
        reply.wrap_frames(|rest| Replayed::new(held, rest));
        Ok(reply)
    }

    fn fail(&mut self, mut error: Error) -> Result<Reply, Error> {
        self.held.book();
        if let Some(mut reply) = self.reply.take() {
            error = of_reply(error, &reply);
            reply.end(&End::Failure(error.clone()));
        }
        Err(error)
    }
}

/// Says whose answer it was.
pub(super) fn of_reply(error: Error, reply: &Reply) -> Error {
    match &reply.head().deployment {
        Some(deployment) if error.deployment().is_none() => {
            error.with_deployment(deployment.clone())
        }
        _ => error,
    }
}

/// An answer without content, and without a reason for that.
pub(super) fn nothing() -> Error {
    Error::new(ErrorKind::BadUpstream, "the provider answered with nothing")
        .with_origin(Origin::Provider)
}

/// Frames that nobody has read yet.
struct Held {
    frames: SmallVec<[Frame; 4]>,
    bytes: usize,
    /// Events with content, at least one a frame that has some.
    events: u64,
    /// Events with content, as the frames count them: about one output token each.
    contents: u64,
    facts: Facts,
    scope: Option<Scope>,
}

impl Held {
    fn new(scope: Option<Scope>) -> Self {
        Self {
            frames: SmallVec::new(),
            bytes: 0,
            events: 0,
            contents: 0,
            facts: Facts::NONE,
            scope,
        }
    }

    fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes().len() + size_of::<Frame>();
        let contents = u64::from(frame.contents());
        self.contents += contents;
        self.events += contents.max(u64::from(frame.facts().has(Facts::CONTENT)));
        self.facts |= frame.facts();
        self.frames.push(frame);
    }

    fn has_content(&self) -> bool {
        self.facts.has(Facts::CONTENT)
    }

    /// Nothing that changes the verdict will come.
    fn is_over(&self) -> bool {
        self.facts.any(Facts::STOP | Facts::TERMINATOR)
    }

    /// Why this is no answer, as far as one sees.
    fn failure(&self) -> Option<Error> {
        let empty =
            self.facts.has(Facts::TERMINATOR) && !self.facts.any(Facts::CONTENT | Facts::STOP);
        self.frames.last().and_then(Frame::failure).or_else(|| empty.then(nothing))
    }

    /// Takes the frames for somebody to read. The usage they tell is reported at once, since nobody knows whether they are
    /// read; a usage that is told twice is one.
    fn take(&mut self) -> SmallVec<[Frame; 4]> {
        self.book_usage();
        self.contents = 0;
        std::mem::take(&mut self.frames)
    }

    /// Reports what came: nobody is going to read it.
    fn book(&mut self) {
        self.book_usage();
        self.frames.clear();
        let contents = std::mem::take(&mut self.contents);
        if let Some(scope) = self.scope.as_ref().filter(|_| contents > 0) {
            scope.report_first_content();
            scope.report_least_output(contents);
        }
    }

    fn book_usage(&self) {
        if let Some(scope) = &self.scope {
            self.frames.iter().filter_map(Frame::usage).for_each(|usage| scope.report_usage(usage));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.book();
    }
}
