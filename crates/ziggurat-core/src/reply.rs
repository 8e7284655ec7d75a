//! What comes back.

use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use smallvec::SmallVec;

use crate::raw::RawBody;
use crate::settle::{End, Guard, Scope};
use crate::{
    Answer, Ask, Body, Cost, Dialect, Error, Event, Facts, Frame, Instant, Loss, RateLimits,
    Restore, Str, StreamDecoder, StreamEncoder, Usage,
};

/// An answer: a head, and a body that is whole, in frames, or raw.
///
/// A reply has ended when its last data or the dialect's terminator has been read; the call is settled then, before those last
/// bytes are handed out. A reply dropped before that was cancelled.
pub struct Reply {
    // Most of a reply is its head, and every layer moves the reply: it moves a pointer.
    head: Box<ReplyHead>,
    body: ReplyBody,
    guards: Guards,
    contents: u64,
    seen: Facts,
}

/// Who answered, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplyHead {
    /// The status.
    pub status: StatusCode,
    /// Headers worth passing on to the caller.
    pub headers: HeaderMap,
    /// The dialect of the body's bytes; `None` when it has none.
    pub dialect: Option<Dialect>,
    /// The deployment that answered.
    pub deployment: Option<Str>,
    /// The model that the provider was asked for.
    pub model: Option<Str>,
    /// The provider's name for the request.
    pub request_id: Option<Str>,
    /// Whether the answer comes from a cache.
    pub cached: bool,
    /// Under which key a cache holds the answer, or would.
    pub cache_key: Option<Str>,
    /// How many attempts it took, at all models together.
    pub attempts: u32,
    /// How many other models were asked after the first.
    pub fallbacks: u32,
    /// The model, by the name callers use, that was asked instead of the first.
    pub group: Option<Str>,
    /// How much is left of the gateway's own limits.
    pub limits: RateLimits,
    /// What the answer cost, where that is known before it is delivered. What attempts cost that were lost is not in it.
    pub cost: Option<Cost>,
    /// How long the provider took to begin its answer, where it is known.
    pub provider_time: Option<std::time::Duration>,
    /// What was lost on the way there, and for a whole answer on the way back.
    pub losses: Vec<Loss>,
}

impl Default for ReplyHead {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            dialect: None,
            deployment: None,
            model: None,
            request_id: None,
            cached: false,
            cache_key: None,
            attempts: 1,
            fallbacks: 0,
            group: None,
            limits: RateLimits::default(),
            cost: None,
            provider_time: None,
            losses: Vec::new(),
        }
    }
}

/// The body of a reply.
#[non_exhaustive]
pub enum ReplyBody {
    /// All of it, as the provider's bytes.
    Whole(Bytes),
    /// All of it, typed.
    Answer(Answer),
    /// In frames.
    Frames(Box<dyn Frames>),
    /// Something that is no answer of any dialect (speech, files), passed through.
    Raw(Body),
    /// It was taken.
    Taken,
}

/// A source of frames. One frame of upstream for each poll of downstream: back-pressure reaches the provider.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use ziggurat_core::{Error, Frame, Frames, Reply};
///
/// /// Frames that are all there.
/// struct Ready(Vec<Frame>);
///
/// impl Frames for Ready {
///     fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
///         Poll::Ready(self.0.pop().map(Ok))
///     }
/// }
///
/// let mut reply = Reply::frames(Ready(Vec::new()));
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(matches!(reply.poll_frame(&mut cx), Poll::Ready(None)));
/// ```
pub trait Frames: Send + Unpin {
    /// The next frame. An error is the end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>>;

    /// Whether the frames already carry events.
    fn decodes(&self) -> bool {
        false
    }
}

type Guards = SmallVec<[Guard; 2]>;

impl Reply {
    /// A reply.
    #[must_use]
    pub fn new(head: ReplyHead, body: ReplyBody) -> Self {
        Self { head: Box::new(head), body, guards: Guards::new(), contents: 0, seen: Facts::NONE }
    }

    /// A typed answer.
    #[must_use]
    pub fn answer(answer: Answer) -> Self {
        Self::new(ReplyHead::default(), ReplyBody::Answer(answer))
    }

    /// A stream.
    pub fn frames(frames: impl Frames + 'static) -> Self {
        Self::new(ReplyHead::default(), ReplyBody::Frames(Box::new(frames)))
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &ReplyHead {
        &self.head
    }

    /// The head, to change.
    pub fn head_mut(&mut self) -> &mut ReplyHead {
        &mut self.head
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &ReplyBody {
        &self.body
    }

    /// Whether the body comes in frames.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        matches!(self.body, ReplyBody::Frames(_))
    }

    /// Lets the reply keep the call, or the attempt, open until it ends. Guards are added from the inside out: an attempt's
    /// before its call's.
    pub fn hold(&mut self, guard: Guard) {
        self.guards.push(guard);
    }

    /// The scope that this reply reports to, while it keeps one open: the attempt's, else the call's.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        self.guards.first().map(Guard::scope)
    }

    /// Whether it keeps nothing open, any more or at all: what it was to say about its call is said.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.guards.is_empty()
    }

    /// The source of frames, for a layer that looks ahead. What is read here is not booked and settles nothing: whoever
    /// reads puts it back in front with [`wrap_frames`](Self::wrap_frames), so that it counts when the caller reads it.
    pub fn frames_mut(&mut self) -> Option<&mut dyn Frames> {
        match &mut self.body {
            ReplyBody::Frames(frames) => Some(&mut **frames),
            _ => None,
        }
    }

    /// Puts another source of frames around the one there is. Does nothing to a body without frames.
    pub fn wrap_frames<F: Frames + 'static>(&mut self, wrap: impl FnOnce(Box<dyn Frames>) -> F) {
        self.body = match std::mem::replace(&mut self.body, ReplyBody::Taken) {
            ReplyBody::Frames(frames) => ReplyBody::Frames(Box::new(wrap(frames))),
            other => other,
        };
    }

    /// Asks for events: from now on every frame carries them. To be called before the first frame is read.
    pub fn events(&mut self) {
        let ReplyBody::Frames(frames) = &self.body else { return };
        let Some(dialect) = self.head.dialect.filter(|_| !frames.decodes()) else { return };
        self.wrap_frames(|frames| Decoding {
            frames,
            decoder: dialect.decoder(&Restore::default()),
        });
    }

    /// Asks for bytes in this dialect: from now on every frame carries them. To be called before the first frame is read. What
    /// cannot be said is told to `scope`, before the call is settled. Does nothing to a body without frames.
    pub fn encode(&mut self, dialect: Dialect, ask: &Ask, scope: Option<Scope>) {
        if !self.is_streamed() {
            return;
        }
        let same = self.head.dialect == Some(dialect);
        if !same {
            self.events();
        }
        let decoded = matches!(&self.body, ReplyBody::Frames(frames) if frames.decodes());
        if same && !decoded {
            return;
        }
        let mut ask = ask.clone();
        if !same {
            ask.origin = self.head.model.clone();
        }
        let encoder = dialect.encoder(&ask);
        self.wrap_frames(|frames| Encoding { frames, encoder, same, told: 0, scope });
        self.head.dialect = Some(dialect);
    }

    /// The next frame. The call is settled before the last one is returned.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let ReplyBody::Frames(frames) = &mut self.body else {
            return Poll::Ready(None);
        };
        let next = match frames.poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        match &next {
            Some(Ok(frame)) => {
                let facts = frame.facts();
                self.contents += u64::from(frame.contents());
                if facts.any(Facts::CONTENT) && !self.seen.has(Facts::CONTENT) {
                    self.seen |= Facts::CONTENT;
                    if let Some(guard) = self.guards.first() {
                        guard.scope().report_first_content();
                    }
                }
                if let Some(usage) = frame.usage() {
                    self.seen |= Facts::USAGE;
                    if let Some(guard) = self.guards.first() {
                        guard.scope().report_usage(usage);
                    }
                }
                if let Some(error) = frame.failure() {
                    self.end(&End::Failure(error));
                } else if facts.has(Facts::TERMINATOR) {
                    self.end(&End::Success);
                }
            }
            Some(Err(error)) => self.end(&End::Failure(error.clone())),
            None => self.end(&End::Success),
        }
        Poll::Ready(next)
    }

    /// Takes the body of a reply that is not in frames. The call is settled, with what the body says of itself; with a raw
    /// body that happens where its last data is read.
    pub fn take_body(&mut self) -> ReplyBody {
        let body = std::mem::replace(&mut self.body, ReplyBody::Taken);
        if matches!(body, ReplyBody::Frames(_)) {
            self.body = body;
            return ReplyBody::Taken;
        }
        if let ReplyBody::Answer(answer) = &body
            && let Some(usage) = answer.usage()
        {
            self.report_usage(&usage);
        }
        if let ReplyBody::Raw(body) = body {
            // What was read of it so far is nothing: the guards go with it.
            let guards = std::mem::take(&mut self.guards);
            return ReplyBody::Raw(Body::stream(RawBody::new(body, guards)));
        }
        self.end(&End::Success);
        body
    }

    /// Puts these bytes, in this dialect, in place of a whole body, and settles nothing. Does nothing to any other body.
    pub fn set_whole(&mut self, bytes: Bytes, dialect: Dialect) {
        match &self.body {
            ReplyBody::Answer(answer) => {
                if let Some(usage) = answer.usage() {
                    self.report_usage(&usage);
                }
            }
            ReplyBody::Whole(_) => {}
            _ => return,
        }
        self.body = ReplyBody::Whole(bytes);
        self.head.dialect = Some(dialect);
    }

    /// Reports the usage of a whole reply.
    pub fn report_usage(&mut self, usage: &Usage) {
        self.seen |= Facts::USAGE;
        if let Some(guard) = self.guards.first() {
            guard.scope().report_usage(usage);
        }
    }

    /// Ends the reply: closes the attempt, then the call.
    pub fn end(&mut self, end: &End) {
        if self.guards.is_empty() {
            return;
        }
        self.estimate(end);
        let now = Instant::now();
        for guard in self.guards.drain(..) {
            guard.close_at(end.clone(), now);
        }
    }

    /// What was produced is known even if the provider was cut off before it told: about one token an event.
    fn estimate(&self, end: &End) {
        if matches!(end, End::Success) || self.contents == 0 {
            return;
        }
        if let Some(guard) = self.guards.first() {
            guard.scope().report_least_output(self.contents);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.end(&End::Cancelled);
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("head", &self.head).field("body", &self.body).finish()
    }
}

/// Tells the kind of body; an answer may quote a prompt.
impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Answer(answer) => write!(f, "Answer({})", answer.operation()),
            Self::Frames(_) => f.write_str("Frames"),
            Self::Raw(body) => write!(f, "Raw({body:?})"),
            Self::Taken => f.write_str("Taken"),
        }
    }
}

/// Adds events to every frame.
struct Decoding {
    frames: Box<dyn Frames>,
    decoder: Box<dyn StreamDecoder>,
}

impl Frames for Decoding {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let next = match self.frames.poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        Poll::Ready(next.map(|frame| {
            let mut frame = frame?;
            if frame.events().is_none() {
                let mut events: Vec<Event> = Vec::new();
                self.decoder.decode(frame.bytes(), &mut events)?;
                if let Some(withheld) = frame.withheld() {
                    self.decoder.decode(withheld, &mut events)?;
                }
                // Some servers never send their terminator: the decoder is told, so that it closes what is open.
                if frame.facts().has(Facts::TERMINATOR) {
                    self.decoder.finish(&mut events);
                }
                frame.set_events(events);
            }
            Ok(frame)
        }))
    }

    fn decodes(&self) -> bool {
        true
    }
}

/// Writes every frame anew, or where it is in the right dialect already those that were changed. The encoder sees every event,
/// so that it knows where it is.
struct Encoding {
    frames: Box<dyn Frames>,
    encoder: Box<dyn StreamEncoder>,
    same: bool,
    /// How many losses the books know of.
    told: usize,
    scope: Option<Scope>,
}

impl Encoding {
    fn write(&mut self, frame: Frame) -> Frame {
        let mut out = Vec::new();
        for event in frame.events().unwrap_or_default() {
            self.encoder.encode(event, &mut out);
        }
        if self.same {
            return if frame.is_changed() { frame.with_bytes(out.into()) } else { frame };
        }
        let losses = self.encoder.losses();
        if let (Some(new), Some(scope)) =
            (losses.get(self.told..).filter(|new| !new.is_empty()), &self.scope)
        {
            scope.report_losses(new);
        }
        self.told = losses.len();
        frame.with_bytes(out.into())
    }
}

impl Frames for Encoding {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let next = match self.frames.poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        Poll::Ready(next.map(|frame| frame.map(|frame| self.write(frame))))
    }
}
