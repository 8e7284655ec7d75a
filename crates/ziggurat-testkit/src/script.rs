//! What a provider does with one request: the answer, and everything that can go wrong with it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};

/// A point in an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// So many bytes of the body, HTTP framing not counted.
    Bytes(usize),
    /// So many whole events. A body that is not a stream is one event.
    Events(usize),
}

/// One answer of a [`FakeProvider`](crate::FakeProvider), well behaved or not.
///
/// A constructor says what is answered, the modifiers say how. They combine, with one exception:
/// an answer has one end, so that the last of `stall_after`, `cut_after`, `reset_after` and
/// `error_event_after` holds.
///
/// Every offset counts bytes of the *body*, whatever the framing. In a stream each piece that the
/// splitters cut is an HTTP chunk and a write of its own, so that a client which reads slowly
/// still meets the seams.
#[derive(Clone, Debug)]
#[must_use = "a script does nothing until it is given to a provider"]
pub struct Script {
    pub(crate) answer: Answer,
    pub(crate) manner: Manner,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// This reply.
    Reply(Reply),
    /// What the provider's vendor would answer to this very request.
    Vendor,
    /// The vendor's error of this status.
    VendorError(StatusCode),
    /// These bytes in place of a response, then the end of the connection.
    Raw(Bytes),
    /// Nothing, for as long as the client waits.
    Never,
}

/// A status, headers and a body.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The events of a stream, or the whole body as one.
    pub(crate) events: Vec<Bytes>,
    pub(crate) streamed: bool,
}

/// How it is answered; `None` and empty leave a trait as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    pub(crate) headers: HeaderMap,
    pub(crate) split: Option<Split>,
    pub(crate) delay_head: Option<Duration>,
    pub(crate) delay_between: Option<Duration>,
    pub(crate) framing: Option<Framing>,
    pub(crate) end: Option<End>,
}

#[derive(Clone, Debug)]
pub(crate) enum Split {
    Every(usize),
    At(Vec<usize>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// A `content-length` of this, true or not.
    Claimed(u64),
    /// Neither length nor chunks: the body ends with the connection.
    UntilClose,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Stall(After),
    Cut(After),
    Reset(After),
    ErrorEvent(usize),
}

impl Script {
    /// Answers with a whole body.
    ///
    /// # Panics
    ///
    /// If `status` is no HTTP status, or a header's name or value is no legal one.
    pub fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        Self::of(Reply {
            status: status_code(status),
            headers: header_map(headers),
            events: vec![body.into()],
            streamed: false,
        })
    }

    /// Answers 200 with a JSON body.
    pub fn json(value: &serde_json::Value) -> Self {
        Self::reply(200, &[("content-type", "application/json")], value.to_string())
    }

    /// Answers 200 with server-sent events, each given as it goes over the wire, its blank line
    /// included.
    pub fn sse<E: Into<Bytes>>(events: impl IntoIterator<Item = E>) -> Self {
        Self::of(Reply {
            status: StatusCode::OK,
            headers: header_map(&[
                ("content-type", "text/event-stream; charset=utf-8"),
                ("cache-control", "no-cache"),
            ]),
            events: events.into_iter().map(Into::into).collect(),
            streamed: true,
        })
    }

    /// Answers as the provider's vendor would, validation included.
    ///
    /// With modifiers this is the vendor on a bad line: `Script::behave().split_every(1)`.
    pub fn behave() -> Self {
        Self { answer: Answer::Vendor, manner: Manner::default() }
    }

    /// Answers with the vendor's own error of this status, `retry-after` included where the
    /// vendor sends one.
    ///
    /// # Panics
    ///
    /// If `status` is no HTTP status.
    pub fn error(status: u16) -> Self {
        Self { answer: Answer::VendorError(status_code(status)), manner: Manner::default() }
    }

    /// Answers with a page of HTML, as the proxies in front of a vendor do.
    ///
    /// # Panics
    ///
    /// If `status` is no HTTP status.
    pub fn html_error(status: u16) -> Self {
        let code = status_code(status);
        let reason = code.canonical_reason().unwrap_or("Error");
        let page = format!(
            "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n\
             <center><h1>{status} {reason}</h1></center>\r\n<hr><center>cloudflare</center>\r\n\
             </body>\r\n</html>\r\n"
        );
        Self::reply(status, &[("content-type", "text/html"), ("server", "cloudflare")], page)
    }

    /// Reads the request and never says a word.
    pub fn never_answer() -> Self {
        Self { answer: Answer::Never, manner: Manner::default() }
    }

    /// Sends these bytes in place of an HTTP response and closes the connection.
    ///
    /// Only the delays and the splitters apply to it.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { answer: Answer::Raw(bytes.into()), manner: Manner::default() }
    }

    pub(crate) fn of(reply: Reply) -> Self {
        Self { answer: Answer::Reply(reply), manner: Manner::default() }
    }
}

/// How the answer is sent.
impl Script {
    /// Sets a header of the response, in place of those of the same name.
    ///
    /// # Panics
    ///
    /// If the name or the value is no legal one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.manner.headers.extend(header_map(&[(name, value)]));
        self
    }

    /// Sends the body in pieces of `bytes`, across the borders of events. Zero counts as one.
    pub fn split_every(mut self, bytes: usize) -> Self {
        self.manner.split = Some(Split::Every(bytes.max(1)));
        self
    }

    /// Sends the body in pieces that end at these offsets, and nowhere else: without any offset
    /// a whole stream is one piece.
    pub fn split_at(mut self, offsets: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets: Vec<_> = offsets.into_iter().collect();
        offsets.sort_unstable();
        self.manner.split = Some(Split::At(offsets));
        self
    }

    /// Sends one byte at a time, `pause` apart.
    pub fn drip(self, pause: Duration) -> Self {
        self.split_every(1).delay_between(pause)
    }

    /// Waits before the status line.
    pub fn delay_head(mut self, delay: Duration) -> Self {
        self.manner.delay_head = Some(delay);
        self
    }

    /// Waits between the pieces of the body: the events, unless a splitter cut other pieces.
    pub fn delay_between(mut self, delay: Duration) -> Self {
        self.manner.delay_between = Some(delay);
        self
    }

    /// Claims `length` as the `content-length`, whatever the body's.
    ///
    /// The connection is closed after the body: a claim too long makes a truncated body, one too
    /// short leaves bytes that belong to nothing.
    pub fn lie_length(mut self, length: u64) -> Self {
        self.manner.framing = Some(Framing::Claimed(length));
        self
    }

    /// Sends neither a length nor chunks: the body ends where the connection ends.
    pub fn until_close(mut self) -> Self {
        self.manner.framing = Some(Framing::UntilClose);
        self
    }

    /// Goes silent at this point and keeps the connection until the client leaves.
    pub fn stall_after(mut self, events: usize) -> Self {
        self.manner.end = Some(End::Stall(After::Events(events)));
        self
    }

    /// Closes the connection at this point in good order, without the chunk that ends a body.
    ///
    /// A cut inside a chunk leaves that chunk short of the length it announced.
    pub fn cut_after(mut self, point: After) -> Self {
        self.manner.end = Some(End::Cut(point));
        self
    }

    /// Resets the connection at this point (a TCP RST).
    pub fn reset_after(mut self, point: After) -> Self {
        self.manner.end = Some(End::Reset(point));
        self
    }

    /// Sends the vendor's error event after so many events, and ends the body properly.
    pub fn error_event_after(mut self, events: usize) -> Self {
        self.manner.end = Some(End::ErrorEvent(events));
        self
    }
}

impl Manner {
    /// Lays these wishes over those of the answer itself.
    pub(crate) fn over(self, below: Self) -> Self {
        let mut headers = below.headers;
        headers.extend(self.headers);
        Self {
            headers,
            split: self.split.or(below.split),
            delay_head: self.delay_head.or(below.delay_head),
            delay_between: self.delay_between.or(below.delay_between),
            framing: self.framing.or(below.framing),
            end: self.end.or(below.end),
        }
    }
}

impl Reply {
    /// A JSON answer.
    pub(crate) fn json(status: StatusCode, body: String) -> Self {
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { status, headers, events: vec![body.into()], streamed: false }
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a script's status is between 100 and 999")
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let parse = |&(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a script's header names are tokens");
        let value: HeaderValue = value.parse().expect("a script's header values are printable");
        (name, value)
    };
    headers.iter().map(parse).collect()
}
