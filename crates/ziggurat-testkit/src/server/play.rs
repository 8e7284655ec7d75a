//! Sending an answer the way its script wants it sent.

use std::{fmt::Write as _, io, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{
    Script,
    script::{self, Answer, End, Framing, Reply, Split},
};

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
    Reset,
}

/// An answer in the form in which it is sent.
pub(super) struct Wire {
    delay_head: Option<Duration>,
    head: Bytes,
    pieces: Vec<Piece>,
    delay_between: Option<Duration>,
    /// Sent together with the last piece.
    tail: &'static [u8],
    end: Finish,
}

/// What is written at once.
struct Piece {
    bytes: Bytes,
    /// How much of it is body.
    body: usize,
}

enum Finish {
    Done(After),
    /// Waits for the client to leave.
    Stall,
}

impl Wire {
    /// Prepares a script whose vendor has been asked already.
    pub(super) fn new(
        script: Script,
        keep_alive: bool,
        chunks: bool,
        error_event: impl FnOnce() -> Bytes,
    ) -> Self {
        let Script { answer, manner } = script;
        let mut wire = Self {
            delay_head: manner.delay_head,
            head: Bytes::new(),
            pieces: Vec::new(),
            delay_between: manner.delay_between,
            tail: b"",
            end: Finish::Done(After::Close),
        };
        let mut reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Raw(bytes) => {
                for (start, end) in cuts(&[bytes.len()], manner.split.as_ref()) {
                    let bytes = bytes.slice(start..end);
                    wire.pieces.push(Piece { body: bytes.len(), bytes });
                }
                return wire;
            }
            Answer::Never | Answer::Vendor | Answer::VendorError(_) => {
                wire.end = Finish::Stall;
                return wire;
            }
        };
        reply.headers.extend(manner.headers);
        if let Some(End::ErrorEvent(events)) = manner.end {
            reply.events.truncate(events);
            reply.events.push(error_event());
        }
        let framing = match manner.framing {
            Some(Framing::Claimed(length)) => Frames::Length(length),
            Some(Framing::UntilClose) => Frames::UntilClose,
            None if !reply.streamed => Frames::Length(length(&reply.events) as u64),
            None if chunks => Frames::Chunks,
            None => Frames::UntilClose,
        };
        let keep_alive = keep_alive
            && manner.framing.is_none()
            && !matches!(framing, Frames::UntilClose)
            && !says_close(&reply.headers);
        let (limit, end) = finish(manner.end, &reply.events, keep_alive);
        let whole = limit.is_none();
        wire.head = head(&reply, &framing, keep_alive);
        wire.pieces = pieces(&reply.events, manner.split.as_ref(), limit, &framing);
        if whole && matches!(framing, Frames::Chunks) {
            wire.tail = b"0\r\n\r\n";
        }
        wire.end = end;
        wire
    }
}

/// Sends an answer, telling `sent` of every piece of body that went out.
pub(super) async fn play(
    writer: &mut (impl AsyncWrite + Unpin),
    wire: Wire,
    sent: impl Fn(usize),
) -> io::Result<After> {
    if let Some(delay) = wire.delay_head {
        tokio::time::sleep(delay).await;
    }
    writer.write_all(&wire.head).await?;
    let last = wire.pieces.len().saturating_sub(1);
    for (at, piece) in wire.pieces.iter().enumerate() {
        if at > 0 {
            match wire.delay_between {
                Some(delay) => tokio::time::sleep(delay).await,
                // Lets a client on the same thread see this piece alone.
                None => tokio::task::yield_now().await,
            }
        }
        if at == last && !wire.tail.is_empty() {
            // In one write: a client that leaves after the last event has had the whole answer.
            writer.write_all(&[&piece.bytes, wire.tail].concat()).await?;
        } else {
            writer.write_all(&piece.bytes).await?;
        }
        sent(piece.body);
    }
    if wire.pieces.is_empty() {
        writer.write_all(wire.tail).await?;
    }
    match wire.end {
        Finish::Done(after) => Ok(after),
        Finish::Stall => std::future::pending().await,
    }
}

enum Frames {
    Length(u64),
    Chunks,
    UntilClose,
}

/// How many bytes of the body are sent if not all, and what happens then.
fn finish(end: Option<End>, events: &[Bytes], keep_alive: bool) -> (Option<usize>, Finish) {
    let point = |point| {
        Some(match point {
            script::After::Bytes(bytes) => bytes.min(length(events)),
            script::After::Events(count) => length(&events[..count.min(events.len())]),
        })
    };
    match end {
        None | Some(End::ErrorEvent(_)) => {
            (None, Finish::Done(if keep_alive { After::KeepAlive } else { After::Close }))
        }
        Some(End::Stall(at)) => (point(at), Finish::Stall),
        Some(End::Cut(at)) => (point(at), Finish::Done(After::Close)),
        Some(End::Reset(at)) => (point(at), Finish::Done(After::Reset)),
    }
}

fn head(reply: &Reply, framing: &Frames, keep_alive: bool) -> Bytes {
    let status = reply.status;
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let mut head = BytesMut::new();
    let mut line = |line: &dyn Fn(&mut BytesMut) -> std::fmt::Result| {
        line(&mut head).expect("a buffer takes all that is written");
    };
    line(&|head| write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_u16()));
    let bodiless = status == StatusCode::NO_CONTENT || status.is_informational();
    match framing {
        _ if bodiless => {}
        Frames::Length(length) => line(&|head| write!(head, "content-length: {length}\r\n")),
        Frames::Chunks => line(&|head| write!(head, "transfer-encoding: chunked\r\n")),
        Frames::UntilClose => {}
    }
    if !keep_alive && !says_close(&reply.headers) {
        line(&|head| write!(head, "connection: close\r\n"));
    }
    for (name, value) in &reply.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.freeze()
}

/// Cuts the body into pieces, up to `limit`, each framed for itself.
fn pieces(
    events: &[Bytes],
    split: Option<&Split>,
    limit: Option<usize>,
    framing: &Frames,
) -> Vec<Piece> {
    let mut end = 0;
    let borders: Vec<_> = events
        .iter()
        .map(|event| {
            end += event.len();
            end
        })
        .collect();
    let body = events.concat();
    let limit = limit.unwrap_or(body.len());
    let mut pieces = Vec::new();
    for (start, end) in cuts(&borders, split) {
        let shown = &body[start..end.min(limit).max(start)];
        if shown.is_empty() {
            break;
        }
        let bytes = match framing {
            Frames::Length(_) | Frames::UntilClose => Bytes::copy_from_slice(shown),
            // A piece that is cut announces all of itself: that is what makes it cut.
            Frames::Chunks => {
                let mut chunk = format!("{:x}\r\n", end - start).into_bytes();
                chunk.extend_from_slice(shown);
                if shown.len() == end - start {
                    chunk.extend_from_slice(b"\r\n");
                }
                chunk.into()
            }
        };
        pieces.push(Piece { bytes, body: shown.len() });
    }
    pieces
}

/// The ranges of the pieces, given where the events end.
fn cuts(borders: &[usize], split: Option<&Split>) -> Vec<(usize, usize)> {
    let total = borders.last().copied().unwrap_or(0);
    let mut ends: Vec<usize> = match split {
        None => borders.to_vec(),
        Some(Split::Every(bytes)) => (1..=total / bytes).map(|piece| piece * bytes).collect(),
        Some(Split::At(offsets)) => offsets.clone(),
    };
    ends.retain(|&end| end < total);
    ends.push(total);
    let mut start = 0;
    let mut ranges = Vec::with_capacity(ends.len());
    for end in ends {
        if end > start {
            ranges.push((start, end));
            start = end;
        }
    }
    ranges
}

fn length(events: &[Bytes]) -> usize {
    events.iter().map(Bytes::len).sum()
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|value| value.as_bytes() == b"close")
}
