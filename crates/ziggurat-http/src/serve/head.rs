//! Gives words to what hyper refuses without any.
//!
//! A head that cannot be parsed, is too large, or never comes to its end is refused before there is a request: hyper answers with an
//! empty 400 or 431, and not at all when time runs out. This wrapper around the socket puts a body in, and says 408.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

pub(super) struct HeadGuard {
    stream: TcpStream,
    max_head: usize,
    /// Something was read that nothing was written in answer to.
    unanswered: bool,
}

impl HeadGuard {
    pub(super) fn new(stream: TcpStream, max_head: usize) -> Self {
        Self { stream, max_head, unanswered: false }
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
        if buffer.filled().len() > before {
            self.unanswered = true;
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
