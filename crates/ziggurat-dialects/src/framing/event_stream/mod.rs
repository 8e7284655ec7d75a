//! The binary event stream of AWS (`application/vnd.amazon.eventstream`): cut while it comes, without copying, and read again
//! from whole frames.
//!
//! All integers are big-endian:
//!
//! ```text
//! +0     u32 total length      the whole message, both checksums included
//! +4     u32 headers' length
//! +8     u32 checksum          CRC-32 (IEEE) of the 8 bytes before it
//! +12    headers               u8 name length, name, u8 type, value
//! ..     payload
//! end-4  u32 checksum          CRC-32 of every byte before it
//! ```
//!
//! Lengths are believed only after the first checksum, and are bounded before anything is kept for them.

mod cutter;
mod headers;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use cutter::{EventStreamCutter, SideReader};
pub use headers::{Headers, Value};

/// What stands before the headers, in bytes.
const PRELUDE: usize = 12;
/// The shortest message, in bytes: no headers, no payload.
const SHORTEST: usize = 16;
/// The most bytes of headers that are taken, as AWS's own clients do.
const MAX_HEADERS: usize = 128 << 10;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A checksum is wrong.
    #[error("a message of the stream has a wrong checksum")]
    Checksum,
    /// The lengths do not fit together.
    #[error("a message of the stream has lengths that do not fit together")]
    Lengths,
    /// The headers cannot be read.
    #[error("a message of the stream has headers that cannot be read")]
    Headers,
    /// The message is larger than allowed.
    #[error("a message of the stream is larger than allowed")]
    TooLarge,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Bytes,
    headers_end: usize,
}

impl Message {
    /// The message at the beginning of `bytes`, if it is whole.
    ///
    /// # Errors
    ///
    /// When the bytes are no message, or it is larger than `most` bytes. That is known before all of it is there.
    pub fn read(bytes: &Bytes, most: usize) -> Result<Option<Self>, Damage> {
        let Some(prelude) = Prelude::read(bytes, most)? else { return Ok(None) };
        if bytes.len() < prelude.total {
            return Ok(None);
        }
        let bytes = bytes.slice(..prelude.total);
        let (body, checksum) = bytes.split_at(prelude.total - 4);
        if number(checksum, 0) != Some(crc32fast::hash(body)) {
            return Err(Damage::Checksum);
        }
        let message = Self { headers_end: PRELUDE + prelude.headers, bytes };
        message.headers().check()?;
        Ok(Some(message))
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.bytes.get(PRELUDE..self.headers_end).unwrap_or_default())
    }

    /// The value of a header that is a string.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find_map(|(key, value)| match value {
            Value::Text(text) if key == name => Some(text),
            _ => None,
        })
    }

    /// The payload, sharing the stream's buffer.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(self.headers_end..self.bytes.len() - 4)
    }

    /// The length of the whole message, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.bytes.len()
    }
}

/// The messages in bytes that hold whole ones. It ends at the first that is none.
pub fn messages(bytes: &Bytes) -> impl Iterator<Item = Result<Message, Damage>> {
    let mut rest = bytes.clone();
    std::iter::from_fn(move || match Message::read(&rest, usize::MAX) {
        Ok(Some(message)) => {
            rest = rest.slice(message.length()..);
            Some(Ok(message))
        }
        Ok(None) => None,
        Err(damage) => {
            rest = Bytes::new();
            Some(Err(damage))
        }
    })
}

/// Writes a message with these headers, all of them strings. What is too long for the format is cut off.
pub fn write(headers: &[(&str, &str)], payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE]);
    for (name, value) in headers {
        headers::write(name, value, out);
    }
    let headers = out.len() - start - PRELUDE;
    out.extend_from_slice(payload);
    let total = out.len() - start + 4;
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let prelude = &mut out[start..];
    prelude[..4].copy_from_slice(&length(total));
    prelude[4..8].copy_from_slice(&length(headers));
    let checksum = crc32fast::hash(&prelude[..8]);
    prelude[8..12].copy_from_slice(&checksum.to_be_bytes());
    let checksum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// What a message begins with.
#[derive(Clone, Copy, Debug)]
struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
    /// Reads it, if it is there.
    fn read(bytes: &[u8], most: usize) -> Result<Option<Self>, Damage> {
        let (Some(total), Some(headers), Some(checksum)) =
            (number(bytes, 0), number(bytes, 4), number(bytes, 8))
        else {
            return Ok(None);
        };
        if checksum != crc32fast::hash(&bytes[..8]) {
            return Err(Damage::Checksum);
        }
        let length = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (total, headers) = (length(total), length(headers));
        if total < SHORTEST || headers > total - SHORTEST {
            return Err(Damage::Lengths);
        }
        if total > most || headers > MAX_HEADERS {
            return Err(Damage::TooLarge);
        }
        Ok(Some(Self { total, headers }))
    }
}

/// The integer that stands at this place.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}
