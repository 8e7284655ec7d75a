//! The body of an answer on its way to the caller.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame as HttpFrame, SizeHint};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use ziggurat_core::{Ask, Body, BoxError, Dialect, End, Error, Frame, Guard, Instant, Reply, Str};

use super::array::ArrayWriter;
use super::disconnect::{Asking, Leave};
use super::layer::Settings;
use super::visit::{past_deadline, shutting_down};

/// The body of an answer. The call is settled when its last bytes are read from here; dropping it before cancels the call, or
/// leaves it to be [drained](super::Disconnect).
pub struct ResponseBody(Kind);

// A body is moved a few times a call: that costs less than a box.
#[allow(clippy::large_enum_variant)]
enum Kind {
    Plain(Body),
    /// A whole answer.
    Whole(Option<Whole>),
    Stream(Box<Stream>),
}

/// A call whose answer has not begun, though the caller was already told that it would come.
pub(super) struct Waiting {
    pub(super) asking: Asking,
    pub(super) guard: Option<Guard>,
    pub(super) ask: Ask,
    pub(super) leave: Option<Box<Leave>>,
}

/// A whole answer; the reply is ended when the bytes are taken.
struct Whole {
    bytes: Bytes,
    reply: Reply,
    /// Whether the call is as good as done, though its client left before it had read this.
    drains: bool,
}

struct Stream {
    state: State,
    dialect: Dialect,
    ask: Ask,
    deadline: Option<Pin<Box<Sleep>>>,
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    keepalive: Option<KeepAlive>,
    request_id: Str,
    leave: Option<Box<Leave>>,
    /// Whether what is below is being polled: where that panics it is not asked again.
    polling: bool,
    /// Whether the deadline's timer was set, which its first poll does.
    deadline_set: bool,
    /// Set while the events go out as one array that is not closed yet.
    array: Option<ArrayWriter>,
}

// There is one of these a stream, in a box already.
#[allow(clippy::large_enum_variant)]
enum State {
    Waiting(Asking, Option<Guard>),
    Streaming(Reply),
    Done,
}

struct KeepAlive {
    every: Duration,
    /// When something last went out. The timer is only set again when it fires.
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl ResponseBody {
    pub(super) fn plain(body: Body) -> Self {
        Self(Kind::Plain(body))
    }

    pub(super) fn whole(bytes: Bytes, mut reply: Reply, drains: bool) -> Self {
        if bytes.is_empty() {
            // Nobody reads an empty body: it ends here.
            reply.end(&End::Success);
            return Self(Kind::Whole(None));
        }
        Self(Kind::Whole(Some(Whole { bytes, reply, drains })))
    }

    pub(super) fn stream(
        reply: Reply,
        dialect: Dialect,
        ask: &Ask,
        settings: &Settings,
        deadline: Option<Instant>,
        request_id: Str,
        leave: Option<Box<Leave>>,
    ) -> Self {
        let mut stream =
            Stream::new(State::Done, dialect, ask.clone(), settings, deadline, request_id);
        stream.leave = leave;
        stream.begin(reply);
        Self(Kind::Stream(Box::new(stream)))
    }

    /// Writes the events of a stream as one JSON array.
    pub(super) fn in_array(mut self, array: bool) -> Self {
        if let Kind::Stream(stream) = &mut self.0 {
            stream.array = array.then(ArrayWriter::default);
        }
        self
    }

    pub(super) fn waiting(
        waiting: Waiting,
        dialect: Dialect,
        settings: &Settings,
        deadline: Option<Instant>,
        request_id: Str,
    ) -> Self {
        let Waiting { asking, guard, ask, leave } = waiting;
        let state = State::Waiting(asking, guard);
        let mut stream = Stream::new(state, dialect, ask, settings, deadline, request_id);
        stream.leave = leave;
        if let Some(keepalive) = &mut stream.keepalive {
            // The caller has waited long enough already.
            keepalive.timer.as_mut().reset(Instant::now());
        }
        Self(Kind::Stream(Box::new(stream)))
    }
}

/// An empty body.
impl Default for ResponseBody {
    fn default() -> Self {
        Self::plain(Body::empty())
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Plain(body) => Pin::new(body).poll_frame(cx),
            Kind::Whole(whole) => Poll::Ready(whole.take().map(|mut whole| {
                drop(whole.reply.take_body());
                Ok(HttpFrame::data(std::mem::take(&mut whole.bytes)))
            })),
            Kind::Stream(stream) => {
                stream.poll_bytes(cx).map(|bytes| bytes.map(|bytes| Ok(HttpFrame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.is_end_stream(),
            Kind::Whole(whole) => whole.is_none(),
            Kind::Stream(stream) => matches!(stream.state, State::Done) && stream.array.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Plain(body) => body.size_hint(),
            Kind::Whole(Some(whole)) => SizeHint::with_exact(whole.bytes.len() as u64),
            Kind::Whole(None) => SizeHint::with_exact(0),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl Stream {
    fn new(
        state: State,
        dialect: Dialect,
        ask: Ask,
        settings: &Settings,
        deadline: Option<Instant>,
        request_id: Str,
    ) -> Self {
        let every = settings.keepalive_after.filter(|_| !dialect.keep_alive().is_empty());
        let keepalive = every.map(|every| KeepAlive {
            every,
            last: Instant::now(),
            timer: Box::pin(tokio::time::sleep(every)),
        });
        Self {
            state,
            dialect,
            ask,
            deadline: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline))),
            shutdown: settings
                .shutdown
                .as_ref()
                .map(|token| Box::pin(token.clone().cancelled_owned())),
            keepalive,
            request_id,
            leave: None,
            polling: false,
            deadline_set: false,
            array: None,
        }
    }

    /// The answer begins: from now on frames come.
    fn begin(&mut self, mut reply: Reply) {
        let scope = reply.scope();
        reply.encode(self.dialect, &self.ask, scope);
        self.state = State::Streaming(reply);
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.polling = true;
        let bytes = match self.array.is_some() {
            false => self.poll_next(cx),
            true => self.poll_element(cx),
        };
        self.polling = false;
        bytes
    }

    /// The next elements of the array, or its end.
    fn poll_element(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let events = ready!(self.poll_next(cx));
            let Some(array) = &mut self.array else { return Poll::Ready(events) };
            let Some(events) = events else {
                let end = array.end();
                self.array = None;
                return Poll::Ready(Some(end));
            };
            let elements = array.write(&events);
            if !elements.is_empty() {
                return Poll::Ready(Some(elements));
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_late(cx) {
            return self.give_up(past_deadline());
        }
        loop {
            match &mut self.state {
                State::Done => return Poll::Ready(None),
                State::Waiting(asking, guard) => match asking.as_mut().poll(cx) {
                    Poll::Ready(Ok(mut reply)) => {
                        if let Some(guard) = guard.take() {
                            reply.hold(guard);
                        }
                        if reply.is_streamed() {
                            self.begin(reply);
                            continue;
                        }
                        let error = Error::new(
                            ziggurat_core::ErrorKind::BadUpstream,
                            "a stream was asked for, a whole answer came",
                        );
                        reply.end(&End::Failure(error.clone()));
                        return self.fail(&error);
                    }
                    Poll::Ready(Err(error)) => {
                        if let Some(guard) = guard.take() {
                            guard.close(End::Failure(error.clone()));
                        }
                        return self.fail(&error);
                    }
                    Poll::Pending => {}
                },
                State::Streaming(reply) => match poll_unless_told(reply, cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        let bytes = frame.into_bytes();
                        if bytes.is_empty() {
                            continue;
                        }
                        if let Some(keepalive) = &mut self.keepalive {
                            keepalive.last = Instant::now();
                        }
                        return Poll::Ready(Some(bytes));
                    }
                    Poll::Ready(Some(Err(error))) => return self.fail(&error),
                    Poll::Ready(None) => {
                        self.state = State::Done;
                        return Poll::Ready(None);
                    }
                    Poll::Pending => {}
                },
            }
            return self.poll_clocks(cx);
        }
    }

    /// Whether the deadline has passed. Asked before every read: a caller that reads slowly finds something each time.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.state, State::Done) {
            return false;
        }
        let Some(deadline) = &mut self.deadline else { return false };
        // The first poll sets it; after that a look is enough, until there is nothing to do but wait.
        if std::mem::replace(&mut self.deadline_set, true) {
            deadline.is_elapsed()
        } else {
            deadline.as_mut().poll(cx).is_ready()
        }
    }

    /// Nothing has come: is it time to give up, or to say that we are still here?
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let late =
            self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if late {
            return self.give_up(past_deadline());
        }
        let closing =
            self.shutdown.as_mut().is_some_and(|shutdown| shutdown.as_mut().poll(cx).is_ready());
        if closing {
            return self.give_up(shutting_down());
        }
        if let Some(keepalive) = &mut self.keepalive {
            while keepalive.timer.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                let due = keepalive.last + keepalive.every;
                if due > now {
                    keepalive.timer.as_mut().reset(due);
                    continue;
                }
                keepalive.last = now;
                keepalive.timer.as_mut().reset(now + keepalive.every);
                return Poll::Ready(Some(self.dialect.keep_alive()));
            }
        }
        Poll::Pending
    }

    fn give_up(&mut self, error: Error) -> Poll<Option<Bytes>> {
        match std::mem::replace(&mut self.state, State::Done) {
            // Its terminator, or its error, has gone out: what is late is the end of the line, and the caller has everything.
            State::Streaming(reply) if reply.is_settled() => return Poll::Ready(None),
            State::Streaming(mut reply) => reply.end(&End::Failure(error.clone())),
            State::Waiting(asking, guard) => {
                drop(asking);
                if let Some(guard) = guard {
                    guard.close(End::Failure(error.clone()));
                }
            }
            State::Done => {}
        }
        self.fail(&error)
    }

    fn fail(&mut self, error: &Error) -> Poll<Option<Bytes>> {
        self.state = State::Done;
        Poll::Ready(Some(self.dialect.encode_stream_error(error, Some(&self.request_id))))
    }
}

/// The next frame. After the terminator, or an error, whatever fails is the end: the caller has been told how it went.
fn poll_unless_told(reply: &mut Reply, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
    let told = reply.is_settled();
    reply.poll_frame(cx).map(|next| next.filter(|frame| !told || frame.is_ok()))
}

/// The client leaves, or has been given everything.
impl Drop for Stream {
    fn drop(&mut self) {
        let Some(leave) = self.leave.take().filter(|_| !self.polling) else { return };
        match std::mem::replace(&mut self.state, State::Done) {
            State::Waiting(asking, guard) => leave.asking(asking, guard),
            State::Streaming(reply) => leave.reading(reply),
            State::Done => {}
        }
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if self.drains && !std::thread::panicking() {
            drop(self.reply.take_body());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::sleep;
    use ziggurat_core::{Facts, Frames, Operation, Settlement};
    use ziggurat_dialects::OPENAI;

    use super::*;

    /// Has always more to say.
    struct Endless;

    impl Frames for Endless {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            Poll::Ready(Some(Ok(Frame::new(Bytes::from_static(b": \n\n"), Facts::KEEP_ALIVE))))
        }
    }

    fn body(frames: impl Frames + 'static, deadline: Instant) -> (ResponseBody, Guard) {
        let mut reply = Reply::frames(frames);
        reply.head_mut().dialect = Some(OPENAI);
        let call = Settlement::open();
        reply.hold(call.scope().attempt().unwrap());
        let settings = Settings::default();
        let ask = Ask::new(Operation::Chat, "model");
        let (deadline, id) = (Some(deadline), Str::from("request"));
        (ResponseBody::stream(reply, OPENAI, &ask, &settings, deadline, id, None), call)
    }

    async fn read(body: &mut ResponseBody) -> Option<Bytes> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(frame.unwrap().into_data().unwrap())
    }

    /// The clocks were looked at when nothing was there to be read alone: who read slowly kept a call for as long as there was.
    #[tokio::test(start_paused = true)]
    async fn the_deadline_holds_for_those_who_read_slowly() {
        let second = Duration::from_secs(1);
        let (mut body, _call) = body(Endless, Instant::now() + 10 * second);
        for number in 0..10 {
            assert_eq!(read(&mut body).await.unwrap(), ": \n\n", "{number}");
            sleep(second).await;
        }
        let last = read(&mut body).await.unwrap();
        assert!(last.starts_with(br#"data: {"error""#), "{last:?}");
        assert!(read(&mut body).await.is_none());
    }

    /// These frames, and then an error of the line.
    struct Failing(Vec<Frame>);

    impl Frames for Failing {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            let late = || Error::new(ziggurat_core::ErrorKind::Timeout, "silence for 20 s");
            Poll::Ready(Some(self.0.pop().ok_or_else(late)))
        }
    }

    /// A provider that had failed in its stream and then kept the line open was late, too: the caller was told of two errors.
    #[tokio::test(start_paused = true)]
    async fn a_caller_is_told_once_how_it_went() {
        let late = Instant::now() + Duration::from_secs(9);
        let (mut silent, _call) = body(Failing(Vec::new()), late);
        assert!(read(&mut silent).await.unwrap().starts_with(br#"data: {"error""#));
        assert!(read(&mut silent).await.is_none());
        let texts: [&'static [u8]; 2] =
            [b"data: [DONE]\n\n", b"data: {\"error\":{\"message\":\"\"}}\n\n"];
        for text in texts {
            let mut cutter = OPENAI.cutter(&ziggurat_core::CutOptions::default());
            cutter.push(Bytes::from_static(text));
            let frame = cutter.next_frame().unwrap().unwrap();
            let (mut body, _call) = body(Failing(vec![frame]), late);
            assert_eq!(read(&mut body).await.unwrap(), text);
            assert!(read(&mut body).await.is_none());
        }
    }

    /// Ends, and keeps the line open.
    struct Lingering(bool);

    impl Frames for Lingering {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Pending;
            }
            let done = Bytes::from_static(b"data: [DONE]\n\n");
            Poll::Ready(Some(Ok(Frame::new(done, Facts::TERMINATOR))))
        }
    }

    /// An error was told after the end of an answer whose provider was slow to end the line.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_complete_is_never_late() {
        let (mut body, _call) = body(Lingering(false), Instant::now() + Duration::from_secs(1));
        assert_eq!(read(&mut body).await.unwrap(), "data: [DONE]\n\n");
        assert!(read(&mut body).await.is_none());
    }

    /// Keeps how a call ended.
    #[derive(Default)]
    struct Book(std::sync::Mutex<Vec<String>>);

    impl ziggurat_core::Settle for Book {
        fn settle(&self, _: ziggurat_core::Ticket, outcome: &ziggurat_core::Outcome) {
            let losses = outcome.losses.iter().map(ToString::to_string);
            self.0.lock().unwrap().extend(losses);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_said_in_a_stream_is_in_the_books() {
        use ziggurat_core::{Event, PartId, PartKind, RawJson};

        let part = PartId::default();
        let source = RawJson::parse(Str::from(r#"{"type":"char_location"}"#)).unwrap();
        let cited = Event::Citation { part, citation: Box::new(source) };
        // What the last frame cannot say is told before the books are closed.
        let kind = ziggurat_core::PartKind::Opaque { kind: "x".into(), value: RawJson::NULL };
        let mut last = Frame::of_events(vec![
            Event::PartStart { part: PartId::first(1), kind: Box::new(kind) },
            Event::End,
        ]);
        last.mark(Facts::TERMINATOR);
        let frames = vec![
            last,
            Frame::of_events(vec![cited.clone()]),
            Frame::of_events(vec![cited]),
            Frame::of_events(vec![
                Event::PartStart { part, kind: Box::new(PartKind::Text) },
                Event::Text { part, text: "Hello".into() },
            ]),
        ];
        let late = Instant::now() + Duration::from_secs(9);
        let mut reply = Reply::frames(Failing(frames));
        let call = Settlement::open();
        let book = std::sync::Arc::new(Book::default());
        let ticket = ziggurat_core::Ticket::default();
        let listens: std::sync::Arc<dyn ziggurat_core::Settle> =
            std::sync::Arc::<Book>::clone(&book);
        call.scope().register(listens, ticket).unwrap();
        reply.hold(call);
        let (settings, ask) = (Settings::default(), Ask::new(Operation::Chat, "model"));
        let id = Str::from("request");
        let mut body = ResponseBody::stream(reply, OPENAI, &ask, &settings, Some(late), id, None);
        while read(&mut body).await.is_some() {}
        // Each is told once.
        assert_eq!(*book.0.lock().unwrap(), ["citations=dropped", "x=dropped"]);
    }
}
