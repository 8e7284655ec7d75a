//! As much of HTTP/1.1 as the fake upstream and the callers need: heads by `httparse`, bodies by length
//! or in chunks, sans-IO.

use anyhow::{Context, Result, bail, ensure};

/// Most header lines of a head.
const MOST_HEADERS: usize = 64;

/// What matters of a request's or a response's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the head, its empty line included.
    pub len: usize,
    /// A response's status; zero for a request.
    pub status: u16,
    /// A request's path; empty for a response.
    pub path: String,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the peer closes the connection after this exchange.
    pub close: bool,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// Where the connection does.
    UntilClose,
}

impl Head {
    /// Parses a request's head at the start of `input`; `None` when it is not there in full yet.
    ///
    /// # Errors
    ///
    /// When it is not HTTP/1.1.
    pub fn request(input: &[u8]) -> Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(len) = request.parse(input)? else { return Ok(None) };
        let path = request.path.unwrap_or_default().to_owned();
        let (framing, close) = facts(request.headers)?;
        // A request without either header has no body.
        let framing = framing.unwrap_or(Framing::Length(0));
        Ok(Some(Self { len, status: 0, path, framing, close }))
    }

    /// Parses a response's head at the start of `input`; `None` when it is not there in full yet.
    ///
    /// # Errors
    ///
    /// When it is not HTTP/1.1.
    pub fn response(input: &[u8]) -> Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(len) = response.parse(input)? else { return Ok(None) };
        let status = response.code.unwrap_or_default();
        let (framing, close) = facts(response.headers)?;
        let framing = framing.unwrap_or(Framing::UntilClose);
        let close = close || framing == Framing::UntilClose;
        Ok(Some(Self { len, status, path: String::new(), framing, close }))
    }
}

fn facts(headers: &[httparse::Header<'_>]) -> Result<(Option<Framing>, bool)> {
    let mut framing = None;
    let mut close = false;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value)?;
            let length = text.trim().parse().context("content-length")?;
            framing = framing.or(Some(Framing::Length(length)));
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            ensure!(header.value.eq_ignore_ascii_case(b"chunked"), "unknown transfer-encoding");
            framing = Some(Framing::Chunked);
        } else if header.name.eq_ignore_ascii_case("connection") {
            close = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok((framing, close))
}

/// Takes the framing off a body that arrives in pieces.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of a plain body to come.
    Plain(u64),
    /// Everything until the connection closes.
    Open,
    /// In the digits of a chunk's size.
    Size(u64),
    /// After the digits, before the line's end.
    SizeRest(u64),
    /// So many bytes of a chunk to come.
    Chunk(u64),
    /// At the line's end behind a chunk.
    ChunkEnd,
    /// In the trailers; whether the current line is empty so far.
    Trailer {
        empty: bool,
    },
    Done,
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Plain(length),
            Framing::Chunked => State::Size(0),
            Framing::UntilClose => State::Open,
        };
        Self { state }
    }

    /// Whether the whole body was seen. Never, for one that ends with the connection.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection is the end of the body.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::Open
    }

    /// Hands the contents within `input` to `sink` and returns how much of it belonged to this body.
    ///
    /// # Errors
    ///
    /// When the chunks are malformed.
    pub fn feed(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> Result<usize> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            let rest = &input[at..];
            match self.state {
                State::Open => {
                    sink(rest);
                    at = input.len();
                }
                State::Plain(left) => {
                    let (piece, left) = take(rest, left);
                    sink(piece);
                    at += piece.len();
                    self.state = if left == 0 { State::Done } else { State::Plain(left) };
                }
                State::Chunk(left) => {
                    let (piece, left) = take(rest, left);
                    sink(piece);
                    at += piece.len();
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                }
                _ => {
                    self.step(rest[0])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// One byte of what stands between chunks.
    fn step(&mut self, byte: u8) -> Result<()> {
        self.state = match (self.state, byte) {
            (State::Size(size) | State::SizeRest(size), b'\n') if size > 0 => State::Chunk(size),
            (State::Size(_) | State::SizeRest(_), b'\n') => State::Trailer { empty: true },
            (State::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = size.checked_mul(16).context("a chunk too large")?;
                State::Size(size + u64::from(digit))
            }
            (State::Size(size), b'\r' | b';' | b' ') => State::SizeRest(size),
            (State::SizeRest(size), _) => State::SizeRest(size),
            (State::ChunkEnd, b'\r') => State::ChunkEnd,
            (State::ChunkEnd, b'\n') => State::Size(0),
            (State::Trailer { empty: true }, b'\n') => State::Done,
            (State::Trailer { .. }, b'\n') => State::Trailer { empty: true },
            (State::Trailer { empty }, b'\r') => State::Trailer { empty },
            (State::Trailer { .. }, _) => State::Trailer { empty: false },
            (state, byte) => bail!("byte {byte:#04x} in {state:?}"),
        };
        Ok(())
    }
}

/// The part of `input` that still belongs to `left` bytes, and what is left after it.
fn take(input: &[u8], left: u64) -> (&[u8], u64) {
    // A body larger than the address space is cut by the input's length in any case.
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    (&input[..most], left - most as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"5\r\nhello\r\nA;ext=1\r\n, world!!!\r\n0\r\nx-trailer: 1\r\n\r\nHTTP";

    #[test]
    fn chunks_come_out_the_same_wherever_the_input_was_cut() {
        for cut in 0..=CHUNKED.len() {
            let mut decoder = Decoder::new(Framing::Chunked);
            let mut body = Vec::new();
            let mut used = 0;
            for piece in [&CHUNKED[..cut], &CHUNKED[cut..]] {
                used += decoder.feed(piece, |part| body.extend_from_slice(part)).unwrap();
            }
            assert_eq!(body, b"hello, world!!!", "cut at {cut}");
            assert!(decoder.is_done());
            assert_eq!(used, CHUNKED.len() - 4, "what follows is the next answer's");
        }
    }

    #[test]
    fn a_cut_body_is_not_done() {
        for cut in 0..CHUNKED.len() - 4 {
            let mut decoder = Decoder::new(Framing::Chunked);
            decoder.feed(&CHUNKED[..cut], |_| ()).unwrap();
            assert!(!decoder.is_done(), "cut at {cut}");
        }
    }

    #[test]
    fn a_length_ends_the_body() {
        let mut decoder = Decoder::new(Framing::Length(5));
        let mut body = Vec::new();
        assert_eq!(decoder.feed(b"helloHTTP", |part| body.extend_from_slice(part)).unwrap(), 5);
        assert!(decoder.is_done());
        assert_eq!(body, b"hello");
        assert!(Decoder::new(Framing::Length(0)).is_done());
    }

    #[test]
    fn garbage_between_chunks_is_an_error() {
        assert!(Decoder::new(Framing::Chunked).feed(b"zz\r\n", |_| ()).is_err());
        assert!(Decoder::new(Framing::Chunked).feed(b"1\r\nabc", |_| ()).is_err());
    }

    #[test]
    fn a_head_tells_how_its_body_ends() {
        let head =
            Head::response(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5").unwrap();
        let head = head.unwrap();
        assert_eq!((head.status, head.framing, head.close), (200, Framing::Chunked, false));

        let head =
            Head::response(b"HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 3\r\n\r\n");
        let head = head.unwrap().unwrap();
        assert_eq!((head.status, head.framing, head.close), (500, Framing::Length(3), true));

        let head = Head::response(b"HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.framing, head.close), (Framing::UntilClose, true));

        let head = Head::request(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.path.as_str(), head.framing), ("/health", Framing::Length(0)));

        assert_eq!(Head::request(b"POST /v1/messages HTTP/1.1\r\nhos").unwrap(), None);
        assert!(Head::request(b"\x16\x03\x01").is_err());
    }
}
