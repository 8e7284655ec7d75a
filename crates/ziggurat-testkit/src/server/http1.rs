//! Reading requests: as much of RFC 9112 as clients use.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::Refusal;

/// The most a request's head may take, in bytes.
const MOST_HEAD: usize = 64 << 10;
/// The most a request's body may take, in bytes.
const MOST_BODY: usize = 64 << 20;

/// One request, read whole.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: Method,
    /// Path and query as sent.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) keep_alive: bool,
    /// Whether the client understands chunks.
    pub(super) chunks: bool,
}

/// Reads the next request, or `None` where the connection ends before or within one.
pub(super) async fn read(
    reader: &mut (impl AsyncReadExt + Unpin),
    writer: &mut (impl AsyncWriteExt + Unpin),
    buffer: &mut BytesMut,
) -> Result<Option<Incoming>, Refusal> {
    let mut source = Source { reader, buffer };
    match source.request(writer).await {
        Ok(incoming) => Ok(Some(incoming)),
        Err(Failure::Io) => Ok(None),
        Err(Failure::Refused(refusal)) => Err(refusal),
    }
}

enum Failure {
    /// The client went away.
    Io,
    Refused(Refusal),
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

fn refuse<T>(reason: &'static str) -> Result<T, Failure> {
    Err(Failure::Refused(Refusal(StatusCode::BAD_REQUEST, reason)))
}

struct Source<'a, R> {
    reader: &'a mut R,
    buffer: &'a mut BytesMut,
}

impl<R: AsyncReadExt + Unpin> Source<'_, R> {
    async fn request(
        &mut self,
        writer: &mut (impl AsyncWriteExt + Unpin),
    ) -> Result<Incoming, Failure> {
        let start = loop {
            // Empty lines before a request are skipped (RFC 9112, 2.2).
            let line = self.line().await?;
            if !line.is_empty() {
                break line;
            }
        };
        let mut words = start.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return refuse("malformed request line");
        };
        let Ok(method) = method.parse::<Method>() else {
            return refuse("malformed method");
        };
        let modern = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return refuse("unknown version"),
        };
        let headers = self.headers().await?;
        if modern && !headers.contains_key(header::HOST) {
            return refuse("no host");
        }
        if has_token(&headers, &header::EXPECT, "100-continue") {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = self.body(&headers).await?;
        Ok(Incoming {
            method,
            target: target.to_owned(),
            keep_alive: modern && !has_token(&headers, &header::CONNECTION, "close"),
            chunks: modern,
            headers,
            body,
        })
    }

    async fn headers(&mut self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let mut size = 0;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(headers);
            }
            size += line.len();
            if size > MOST_HEAD {
                return refuse("head too large");
            }
            let Some((name, value)) = line.split_once(':') else {
                return refuse("malformed header");
            };
            let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim()))
            else {
                return refuse("malformed header");
            };
            headers.append(name, value);
        }
    }

    async fn body(&mut self, headers: &HeaderMap) -> Result<Bytes, Failure> {
        let length = headers.get(header::CONTENT_LENGTH);
        if headers.contains_key(header::TRANSFER_ENCODING) {
            if length.is_some() {
                return refuse("both a length and chunks");
            }
            if !has_token(headers, &header::TRANSFER_ENCODING, "chunked") {
                return refuse("unknown transfer coding");
            }
            return self.chunks().await;
        }
        let Some(length) = length else { return Ok(Bytes::new()) };
        let Some(length) = length.to_str().ok().and_then(|text| text.parse::<usize>().ok()) else {
            return refuse("malformed length");
        };
        self.take(length, 0).await
    }

    async fn chunks(&mut self) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return refuse("malformed chunk");
            };
            if size == 0 {
                self.headers().await?;
                return Ok(body.freeze());
            }
            body.extend_from_slice(&self.take(size, body.len()).await?);
            if !self.line().await?.is_empty() {
                return refuse("malformed chunk");
            }
        }
    }

    /// The next `length` bytes of a body that has `before` already.
    async fn take(&mut self, length: usize, before: usize) -> Result<Bytes, Failure> {
        if length > MOST_BODY - before {
            return Err(Failure::Refused(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "body too large")));
        }
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    /// The next line, its end removed.
    async fn line(&mut self) -> Result<String, Failure> {
        let mut seen = 0;
        let end = loop {
            if let Some(found) = self.buffer[seen..].iter().position(|&byte| byte == b'\n') {
                break seen + found;
            }
            seen = self.buffer.len();
            if seen > MOST_HEAD {
                return refuse("line too long");
            }
            self.fill().await?;
        };
        let mut line = self.buffer.split_to(end);
        self.buffer.advance(1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        String::from_utf8(line.into()).or_else(|_| refuse("a head that is not text"))
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        match self.reader.read_buf(self.buffer).await? {
            0 => Err(Failure::Io),
            _ => Ok(()),
        }
    }
}

/// Whether a list-valued header holds this token.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
}
