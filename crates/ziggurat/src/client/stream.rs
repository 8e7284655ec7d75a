//! An answer in pieces.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::time::Sleep;

use ziggurat_core::{
    End, Error, ErrorKind, Event, Frame, Instant, Reply, ReplyHead, Stop, Str, Usage,
};

use super::answer::ChatAnswer;
use super::fold::Fold;
use super::{past_deadline, unfold};

/// An answer as it comes: text by text, event by event, or collected at once.
///
/// It is also a [`Stream`] of events. The call is settled when the last event has been read, or has failed; dropping the stream
/// before that cancels the call, and the request to the provider with it.
pub struct ChatStream {
    reply: Reply,
    /// What was read and not yet handed out.
    events: std::vec::IntoIter<Event>,
    deadline: Option<Pin<Box<Sleep>>>,
    usage: Option<Usage>,
    stop: Option<Stop>,
    done: bool,
}

impl ChatStream {
    pub(super) fn new(mut reply: Reply, deadline: Option<Instant>) -> Self {
        reply.events();
        let mut stream = Self {
            reply,
            events: Vec::new().into_iter(),
            deadline: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline))),
            usage: None,
            stop: None,
            done: false,
        };
        stream.open_whole();
        stream
    }

    /// Who answers, and what was lost on the way there.
    #[must_use]
    pub fn head(&self) -> &ReplyHead {
        self.reply.head()
    }

    /// The tokens so far; complete when the stream has ended. `None` while nobody told.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Why the first answer ended, once it has.
    #[must_use]
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// The next piece of the first answer's text; `None` when the stream is complete. Everything else is skipped.
    ///
    /// # Errors
    ///
    /// Why the stream broke. Nothing follows.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped: asking again goes on from there.
    pub async fn next_text(&mut self) -> Result<Option<Str>, Error> {
        while let Some(event) = self.next_event().await? {
            if let Event::Text { part, text } = event
                && part.choice == 0
                && !text.is_empty()
            {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// The next event; `None` when the stream is complete.
    ///
    /// # Errors
    ///
    /// Why the stream broke. Nothing follows.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped: asking again goes on from there.
    pub async fn next_event(&mut self) -> Result<Option<Event>, Error> {
        poll_fn(|cx| self.poll_event(cx)).await.transpose()
    }

    /// Reads to the end and puts the answer together. What was read before is not part of it.
    ///
    /// # Errors
    ///
    /// Why the stream broke, or that the answer is larger than 256 MiB.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call.
    pub async fn collect(mut self) -> Result<ChatAnswer, Error> {
        let mut fold = Fold::default();
        while let Some(event) = self.next_event().await? {
            if let Err(error) = fold.take(event) {
                self.reply.end(&End::Failure(error.clone()));
                return Err(error);
            }
        }
        Ok(ChatAnswer::new(std::mem::take(self.reply.head_mut()), fold.finish()))
    }

    /// The next event, polled.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        loop {
            if let Some(event) = self.events.next() {
                return Poll::Ready(Some(self.learn(event)));
            }
            if self.done {
                return Poll::Ready(None);
            }
            if let Some(deadline) = &mut self.deadline
                && deadline.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Some(Err(self.fail(past_deadline()))));
            }
            match ready!(self.reply.poll_frame(cx)) {
                None => self.done = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(self.fail(error)))),
                Some(Ok(frame)) => {
                    if let Err(error) = self.open(frame) {
                        return Poll::Ready(Some(Err(self.fail(error))));
                    }
                }
            }
        }
    }

    /// Takes the events out of a frame.
    fn open(&mut self, mut frame: Frame) -> Result<(), Error> {
        if frame.events().is_none() && !frame.bytes().is_empty() {
            return Err(Error::new(
                ErrorKind::Server,
                "the stream does not say in which dialect it is",
            ));
        }
        let failure = frame.failure();
        let mut events = Vec::new();
        frame.edit(|inside| std::mem::swap(inside, &mut events));
        let told = |event: &Event| matches!(event, Event::Error(_));
        if let Some(error) = failure.filter(|_| !events.iter().any(told)) {
            events.push(Event::Error(error));
        }
        self.events = events.into_iter();
        Ok(())
    }

    /// A layer may answer a streamed call with a whole answer, a cache for one: its events are made here.
    fn open_whole(&mut self) {
        if self.reply.is_streamed() {
            return;
        }
        self.done = true;
        let reply = std::mem::replace(&mut self.reply, empty());
        // Reading settles the call, so the reply is only needed for its head from here on.
        let events = match ChatAnswer::read(reply) {
            Ok(ChatAnswer { head, chat, .. }) => {
                *self.reply.head_mut() = head;
                unfold::events(chat)
            }
            Err(error) => vec![Event::Error(error)],
        };
        self.events = events.into_iter();
    }

    fn learn(&mut self, event: Event) -> Result<Event, Error> {
        match &event {
            Event::Start(start) => {
                if let Some(usage) = &start.usage {
                    self.usage.get_or_insert_default().update(usage);
                }
            }
            Event::Usage(usage) => self.usage.get_or_insert_default().update(usage),
            Event::Stop { choice: 0, stop } => self.stop = Some((**stop).clone()),
            // What is read after it is only the rest of the connection.
            Event::End => self.deadline = None,
            Event::Error(error) => return Err(self.fail(error.clone())),
            _ => {}
        }
        Ok(event)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.done = true;
        self.events = Vec::new().into_iter();
        self.reply.end(&End::Failure(error.clone()));
        // What is left of the provider's stream is dropped, which closes the connection.
        let head = std::mem::take(self.reply.head_mut());
        self.reply = empty();
        *self.reply.head_mut() = head;
        error
    }
}

impl Stream for ChatStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

/// Nothing of what was said: it may quote a prompt.
impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("reply", &self.reply)
            .field("usage", &self.usage)
            .field("stop", &self.stop)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// A reply with nothing in it.
fn empty() -> Reply {
    Reply::new(ReplyHead::default(), ziggurat_core::ReplyBody::Taken)
}
