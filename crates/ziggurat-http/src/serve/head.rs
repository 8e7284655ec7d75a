//! Gives words to what hyper refuses without any.
//!
//! A head that cannot be parsed, is too large, or never comes to its end is refused before there is a request: hyper answers with an
//! empty 400 or 431, and not at all when time runs out. This wrapper around the socket puts a body in, and says 408.
//!
//! It also keeps the time that a head may take once it has begun: hyper has one clock for that and for waiting between requests,
//! which may be much longer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

pub(super) struct HeadGuard {
    stream: TcpStream,
    max_head: usize,
    patience: Duration,
    /// Something was read that nothing was written in answer to.
    unanswered: bool,
    head: Head,
    /// Set when a head does not come in one piece, which is rare.
    timer: Option<Pin<Box<Sleep>>>,
}

/// How far a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// In the middle of a line, or before the first.
    Line,
    /// At the beginning of a line: if it is empty, the head is complete.
    LineStart,
    /// All of it has come.
    Complete,
}

impl HeadGuard {
    pub(super) fn new(stream: TcpStream, max_head: usize, patience: Duration) -> Self {
        Self { stream, max_head, patience, unanswered: false, head: Head::Line, timer: None }
    }

    /// Takes note of what was read.
    fn read(&mut self, bytes: &[u8]) {
        if !self.unanswered {
            self.unanswered = true;
            self.head = Head::Line;
        }
        self.head = self.head.after(bytes);
        if self.head == Head::Complete {
            self.timer = None;
        }
    }

    /// Whether a head has begun, and the rest of it takes too long.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unanswered || self.head == Head::Complete {
            return Poll::Pending;
        }
        let patience = self.patience;
        self.timer.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx)
    }

    /// Says in words what hyper is about to say without; whether it could be said.
    fn put_into_words(&mut self, head: &[u8]) -> bool {
        if !contains(head, b"\r\ncontent-length: 0\r\n") {
            return false;
        }
        // Our own refusals always have a body.
        let words = if head.starts_with(b"HTTP/1.1 431 ") {
            let message = format!("the head of the request is larger than {} bytes", self.max_head);
            refusal("431 Request Header Fields Too Large", &message, "request_headers_too_large")
        } else if head.starts_with(b"HTTP/1.1 400 ") {
            refusal("400 Bad Request", "the head of the request is no HTTP", "bad_request")
        } else {
            return false;
        };
        matches!(self.stream.try_write(words.as_bytes()), Ok(written) if written == words.len())
    }

    fn wrote(&mut self) {
        self.unanswered = false;
    }
}

impl Head {
    fn after(mut self, mut bytes: &[u8]) -> Self {
        if self == Self::Complete {
            return self;
        }
        while let Some(end) = memchr(b'\n', bytes) {
            if self == Self::LineStart && matches!(&bytes[..end], b"" | b"\r") {
                return Self::Complete;
            }
            self = Self::LineStart;
            bytes = &bytes[end + 1..];
        }
        match (self, bytes) {
            // The rest of the line end may come with the next bytes.
            (Self::LineStart, b"" | b"\r") => Self::LineStart,
            _ => Self::Line,
        }
    }
}

impl Drop for HeadGuard {
    fn drop(&mut self) {
        if self.unanswered {
            let words = refusal(
                "408 Request Timeout",
                "the request did not come to its end in time",
                "request_timeout",
            );
            // Whoever has left does not hear it.
            drop(self.stream.try_write(words.as_bytes()));
        }
    }
}

/// An answer whose body both OpenAI's and Anthropic's clients understand: which one it is was never said.
fn refusal(status: &str, message: &str, code: &str) -> String {
    let body = format!(
        r#"{{"type":"error","error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":"{code}"}}}}"#
    );
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

impl AsyncRead for HeadGuard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match buffer.filled().get(before..) {
            Some(read) if !read.is_empty() => self.read(read),
            _ if polled.is_pending() => {
                return self.poll_too_slow(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
            }
            _ => {}
        }
        polled
    }
}

impl AsyncWrite for HeadGuard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A refusal is short; anything longer is an answer.
        if bytes.len() < 256 && self.put_into_words(bytes) {
            self.wrote();
            return Poll::Ready(Ok(bytes.len()));
        }
        self.wrote();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.first().map_or(&[][..], |slice| slice);
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length < 256 && self.put_into_words(first) {
            self.wrote();
            return Poll::Ready(Ok(length));
        }
        self.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heads_end_is_found_however_it_is_chopped() {
        for (head, rest) in
            [("GET / HTTP/1.1\r\na: b\r\n\r\n", "body\r\n\r\n"), ("GET / HTTP/1.1\na: b\n\n", "")]
        {
            let text = [head, rest].concat();
            for size in 1..=text.len() {
                let mut state = Head::Line;
                let mut seen = 0;
                for piece in text.as_bytes().chunks(size) {
                    state = state.after(piece);
                    seen += piece.len();
                    assert_eq!(state == Head::Complete, seen >= head.len(), "{size}: {seen}");
                }
            }
        }
    }
}
