//! What a wire format must be able to do.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    Answer, Capabilities, Content, Error, Event, Frame, Loss, Losses, Members, Operation, Payload,
    RawJson, Secret, Str, Typed, Usage,
};

/// A wire format: a handle on its [`Codec`]. Two dialects are equal when their names are.
#[derive(Clone, Copy)]
pub struct Dialect(&'static dyn Codec);

impl Dialect {
    /// The dialect of this codec.
    #[must_use]
    pub const fn new(codec: &'static dyn Codec) -> Self {
        Self(codec)
    }
}

impl Deref for Dialect {
    type Target = dyn Codec;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        // Not by address: codecs without fields may share one.
        self.0.name() == other.0.name()
    }
}

impl Eq for Dialect {}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Reads and writes one wire format: bytes in, vocabulary out, and back. No sockets, no clocks.
///
/// The dialects of this project are in `ziggurat-dialects`; an embedder can bring one of their own and make it a
/// [`Dialect`] with `Dialect::new(&MyCodec)`.
pub trait Codec: Send + Sync + 'static {
    /// A short name: `openai`, `anthropic`.
    fn name(&self) -> &'static str;

    /// What the bare address of a server (`http://localhost:8000`) lacks before this dialect's paths: `/v1`, where they do not
    /// name a version themselves.
    fn root(&self) -> &'static str {
        ""
    }

    /// Where requests for `operation` go, below a provider's base address.
    fn path(&self, operation: Operation, model: &str, stream: bool) -> Cow<'static, str>;

    /// Headers of a caller's request that go on to a provider of the same dialect.
    fn request_headers(&self) -> &'static [HeaderName];

    /// Those of them that change what a model answers (`anthropic-beta`): calls that differ in them are not equal.
    fn steering_headers(&self) -> &'static [HeaderName] {
        self.request_headers()
    }

    /// Headers of a provider's answer that go on to the caller: its request id and rate limits.
    fn reply_headers(&self) -> &'static [HeaderName];

    /// The name of the header in which this dialect's providers name the request.
    fn request_id_header(&self) -> HeaderName;

    /// Adds the credential as this dialect's providers take it, and headers that they need (an API version).
    ///
    /// # Errors
    ///
    /// When the key cannot be a header's value.
    fn authorize(&self, headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error>;

    /// Reads a request. Members come one by one, so that what is not asked for is not parsed.
    ///
    /// # Errors
    ///
    /// A 400 that names the field at fault.
    fn decode_request(&self, operation: Operation, members: &Members) -> Result<Typed, Error>;

    /// Writes a request for a provider of this dialect.
    ///
    /// # Errors
    ///
    /// When the request says something that cannot be said here and must not be lost.
    fn encode_request(
        &self,
        request: &Typed,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<EncodedRequest, Error>;

    /// Edits a request that leaves in the dialect it came in: asks for usage where the caller did not.
    ///
    /// # Errors
    ///
    /// When a member that must be looked at cannot be read.
    fn prepare(&self, payload: &mut Payload, stream: bool) -> Result<Prepared, Error>;

    /// The most output tokens that a request asks for, all its answers together, read without decoding it; `None` when it sets
    /// no bound, or the dialect does not know.
    fn output_bound(&self, payload: &Payload) -> Option<u64> {
        let _ = payload;
        None
    }

    /// How many inputs one request may hold, where an operation takes a list of them; `None` for no bound that is known.
    fn most_inputs(&self, operation: Operation, model: &str) -> Option<usize> {
        let _ = (operation, model);
        None
    }

    /// Whether a medium that is named by its address has to be in the request itself here, so that somebody fetches it first.
    fn inlines(&self, content: &Content) -> bool {
        let _ = content;
        false
    }

    /// Puts a parameter that is configured in OpenAI's terms (`max_tokens`, `temperature`) into a wire payload where the caller
    /// says nothing of it. What the dialect has no word for is not put in.
    fn set_default(&self, payload: &mut Payload, name: &Str, value: &RawJson) {
        let _ = (payload, name, value);
    }

    /// What of a request an answer repeats, as one object; `None` where the dialect's answers repeat nothing.
    fn echo(&self, payload: &Payload) -> Option<RawJson> {
        let _ = payload;
        None
    }

    /// Reads what matters to a gateway from a whole answer without decoding it.
    fn glance(&self, operation: Operation, body: &Bytes) -> Glance;

    /// Reads a whole answer.
    ///
    /// # Errors
    ///
    /// When the provider's answer is malformed.
    fn decode_reply(
        &self,
        operation: Operation,
        body: &Bytes,
        restore: &Restore,
    ) -> Result<Answer, Error>;

    /// Writes a whole answer for a caller of this dialect. What cannot be said is noted in `losses`.
    ///
    /// # Errors
    ///
    /// When the answer is of another operation than was asked for.
    fn encode_reply(&self, answer: &Answer, ask: &Ask, losses: &mut Losses)
    -> Result<Bytes, Error>;

    /// Cuts a stream into frames.
    fn cutter(&self, options: &CutOptions) -> Box<dyn Cutter>;

    /// Decodes a stream's frames.
    fn decoder(&self, restore: &Restore) -> Box<dyn StreamDecoder>;

    /// Encodes a stream for a caller of this dialect.
    fn encoder(&self, ask: &Ask) -> Box<dyn StreamEncoder>;

    /// The media type of its streams.
    fn stream_type(&self) -> HeaderValue {
        HeaderValue::from_static("text/event-stream; charset=utf-8")
    }

    /// An event that says nothing, to keep connections open while a model thinks. Empty where the dialect has none: nothing is
    /// sent then.
    fn keep_alive(&self) -> Bytes;

    /// Reads an answer whose status says that the call failed.
    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error;

    /// Writes an error for a caller of this dialect: status and body. `request_id` is repeated where the dialect does that.
    fn encode_error(&self, error: &Error, request_id: Option<&str>) -> (StatusCode, Bytes);

    /// Headers that go with an error, where this dialect's clients tell errors apart by one.
    fn error_headers(&self, error: &Error) -> Vec<(HeaderName, HeaderValue)> {
        let _ = error;
        Vec::new()
    }

    /// Writes an error into a stream that has begun.
    fn encode_stream_error(&self, error: &Error, request_id: Option<&str>) -> Bytes;
}

/// Where a request goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target<'a> {
    /// The model's name as the provider knows it.
    pub model: &'a str,
    /// What the model can do.
    pub capabilities: &'a Capabilities,
    /// The dialect in which the caller spoke: losses name its fields.
    pub source: Option<Dialect>,
}

impl<'a> Target<'a> {
    /// A model with these capabilities.
    #[must_use]
    pub fn new(model: &'a str, capabilities: &'a Capabilities, source: Option<Dialect>) -> Self {
        Self { model, capabilities, source }
    }
}

/// A request ready to be sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncodedRequest {
    /// The body.
    pub body: Bytes,
    /// Headers that the body needs (`anthropic-beta`).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What to undo in the answer.
    pub restore: Restore,
}

impl EncodedRequest {
    /// A body that needs nothing else.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        Self { body, headers: Vec::new(), restore: Restore::default() }
    }
}

/// What was changed in a request for the target's sake and has to be undone in its answer.
#[derive(Clone, Debug, Default)]
pub struct Restore(Option<Arc<Changes>>);

/// The changes that [`Restore`] undoes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Changes {
    /// Tools that go by another name there: the name sent, the caller's name.
    pub tool_names: Vec<(Str, Str)>,
    /// Tools that take free text, sent as functions with one string `input` (by the name sent).
    pub custom_tools: Vec<Str>,
    /// The tool whose arguments are the structured answer that was asked for (by the name sent).
    pub answer_tool: Option<Str>,
    /// Whether a Markdown fence around the answer is to be taken off, since JSON was asked for by instruction only.
    pub strip_fence: bool,
    /// Texts that end the answer and that the provider was not told of, since it takes none: the answer is cut at the first.
    pub stop: Vec<Str>,
}

impl Restore {
    /// What undoes these changes.
    #[must_use]
    pub fn new(changes: Changes) -> Self {
        let none = changes.tool_names.is_empty()
            && changes.custom_tools.is_empty()
            && changes.answer_tool.is_none()
            && !changes.strip_fence
            && changes.stop.is_empty();
        Self((!none).then(|| Arc::new(changes)))
    }

    /// The caller's name of a tool.
    #[must_use]
    pub fn tool_name(&self, sent: &str) -> Option<Str> {
        let changes = self.0.as_ref()?;
        changes.tool_names.iter().find(|(name, _)| name == sent).map(|(_, name)| name.clone())
    }

    /// Whether this tool takes free text from the caller's point of view.
    #[must_use]
    pub fn is_custom(&self, sent: &str) -> bool {
        self.0.as_ref().is_some_and(|changes| changes.custom_tools.iter().any(|name| name == sent))
    }

    /// Whether this tool's arguments are the answer.
    #[must_use]
    pub fn is_answer(&self, sent: &str) -> bool {
        self.0.as_ref().and_then(|changes| changes.answer_tool.as_deref()) == Some(sent)
    }

    /// Whether a Markdown fence is to be taken off the answer.
    #[must_use]
    pub fn strips_fence(&self) -> bool {
        self.0.as_ref().is_some_and(|changes| changes.strip_fence)
    }

    /// Texts at which the answer is to be cut.
    #[must_use]
    pub fn stops(&self) -> &[Str] {
        self.0.as_ref().map_or(&[], |changes| &changes.stop)
    }

    /// Whether there is nothing to undo.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// What [`Codec::prepare`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// The usage event was asked for by us and not by the caller: it is withheld.
    pub withhold_usage: bool,
}

impl Prepared {
    /// With the usage event withheld or not.
    #[must_use]
    pub fn withholding_usage(withhold_usage: bool) -> Self {
        Self { withhold_usage }
    }
}

/// What matters to a gateway in a whole answer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Glance {
    /// The tokens it took.
    pub usage: Option<Usage>,
    /// The model that answered.
    pub model: Option<Str>,
    /// An error in an answer whose status says success, or a body that is no answer at all.
    pub error: Option<Error>,
}

/// What the caller asked for, as far as writing the answer needs it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ask {
    /// The operation.
    pub operation: Operation,
    /// The model by the caller's name for it.
    pub model: Str,
    /// Whether a stream ends with its usage.
    pub stream_usage: bool,
    /// Whether reasoning is shown to callers whose dialect has no field for it (`reasoning_content`).
    pub show_reasoning: bool,
    /// When the answer began, in seconds since 1970.
    pub created: u64,
    /// From which ids are made when the provider's do not fit.
    pub call_id: Str,
    /// The model that answers, by its provider's name for it, where that provider speaks another dialect than the caller. What
    /// only this model can read of its answer later is marked with it.
    pub origin: Option<Str>,
    /// What of the request the answer repeats, where the dialect does that: see [`Codec::echo`].
    pub echo: Option<RawJson>,
}

impl Ask {
    /// An ask for this operation of this model.
    pub fn new(operation: Operation, model: impl Into<Str>) -> Self {
        Self {
            operation,
            model: model.into(),
            stream_usage: false,
            show_reasoning: true,
            created: 0,
            call_id: Str::new(),
            origin: None,
            echo: None,
        }
    }
}

/// How a stream is cut.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CutOptions {
    /// The largest event, in bytes.
    pub max_event: usize,
    /// Whether usage events are withheld.
    pub withhold_usage: bool,
}

impl Default for CutOptions {
    fn default() -> Self {
        Self { max_event: 16 << 20, withhold_usage: false }
    }
}

impl CutOptions {
    /// Bounds the size of an event, in bytes.
    #[must_use]
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// Withholds usage events.
    #[must_use]
    pub fn withhold_usage(mut self, withhold: bool) -> Self {
        self.withhold_usage = withhold;
        self
    }
}

/// Cuts bytes into frames of whole events and reads their facts on the side.
///
/// However the bytes were chopped, the same events come out.
pub trait Cutter: Send {
    /// Asks that frames carry their events, as a decoder with `restore` would read them. To be called before any bytes come.
    ///
    /// `false`: facts are read without the events, and a [`StreamDecoder`] has to read them. A cutter that reads events in full anyway says
    /// `true`, and none is read twice. It then ends with the decoder's error where an event is malformed, after what came before it.
    fn carry_events(&mut self, restore: &Restore) -> bool {
        let _ = restore;
        false
    }

    /// Takes bytes in. Frames are fetched until there is none before the next bytes are.
    fn push(&mut self, bytes: Bytes);

    /// The next frame of whole events.
    ///
    /// # Errors
    ///
    /// When an event is larger than allowed, or is malformed and [was to be decoded](Self::carry_events).
    fn next_frame(&mut self) -> Result<Option<Frame>, Error>;

    /// The input has ended: the last frame, if an event was complete but for its blank line.
    ///
    /// # Errors
    ///
    /// When the stream ended in the middle: before its terminator, or within an event.
    fn finish(&mut self) -> Result<Option<Frame>, Error>;
}

/// Decodes a stream's frames into events.
pub trait StreamDecoder: Send {
    /// Decodes the whole events in `bytes`.
    ///
    /// # Errors
    ///
    /// When an event is malformed.
    fn decode(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), Error>;

    /// The input has ended: whatever is still open is closed.
    fn finish(&mut self, events: &mut Vec<Event>);
}

/// Encodes events into a stream.
pub trait StreamEncoder: Send {
    /// Writes what an event means on the wire. Some events are held back until a later one.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>);

    /// What could not be said so far. The list only grows.
    fn losses(&self) -> &[Loss] {
        &[]
    }
}
