//! Headers of a message.

use super::Damage;

/// The headers of a message, one by one.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
    damaged: bool,
}

/// A header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Yes or no.
    Flag(bool),
    /// A whole number of 8, 16, 32 or 64 bits.
    Number(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// A UUID.
    Uuid([u8; 16]),
}

/// The longest name, in bytes.
const LONGEST_NAME: usize = u8::MAX as usize;
/// The longest value, in bytes.
const LONGEST_VALUE: usize = u16::MAX as usize;
/// The type of a text.
const TEXT: u8 = 7;

impl<'a> Headers<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest, damaged: false }
    }

    /// Whether all of them can be read and no name comes twice.
    pub(super) fn check(mut self) -> Result<(), Damage> {
        let mut seen: smallvec::SmallVec<[&str; 8]> = smallvec::SmallVec::new();
        for (name, _) in self.by_ref() {
            // A message has three or so.
            if seen.len() == 256 || seen.contains(&name) {
                return Err(Damage::Headers);
            }
            seen.push(name);
        }
        if self.damaged { Err(Damage::Headers) } else { Ok(()) }
    }

    fn read(&mut self) -> Option<(&'a str, Value<'a>)> {
        let [length] = self.take()?;
        let name = self.slice(usize::from(length))?;
        let [kind] = self.take()?;
        let value = match kind {
            0 => Value::Flag(true),
            1 => Value::Flag(false),
            2 => Value::Number(i8::from_be_bytes(self.take()?).into()),
            3 => Value::Number(i16::from_be_bytes(self.take()?).into()),
            4 => Value::Number(i32::from_be_bytes(self.take()?).into()),
            5 => Value::Number(i64::from_be_bytes(self.take()?)),
            6 | TEXT => {
                let length = u16::from_be_bytes(self.take()?);
                let bytes = self.slice(usize::from(length))?;
                match kind {
                    TEXT => Value::Text(std::str::from_utf8(bytes).ok()?),
                    _ => Value::Bytes(bytes),
                }
            }
            8 => Value::Timestamp(i64::from_be_bytes(self.take()?)),
            9 => Value::Uuid(self.take()?),
            _ => return None,
        };
        Some((std::str::from_utf8(name).ok()?, value))
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(slice)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.rest = &[];
            self.damaged = true;
        }
        read
    }
}

/// Writes a header that is text.
pub(super) fn write(name: &str, value: &str, out: &mut Vec<u8>) {
    let (name, value) = (cut(name, LONGEST_NAME), cut(value, LONGEST_VALUE));
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(name.as_bytes());
    out.push(TEXT);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}

/// The beginning of a text that has at most so many bytes.
fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
