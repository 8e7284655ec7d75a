//! Shared text: slices of one buffer, so that a part of a body costs no copy.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text of so many bytes is not [detached](Str::detach).
const LONG: usize = 4 << 10;

/// Immutable UTF-8 text that shares its buffer: cloning and slicing copy nothing.
///
/// ```
/// use ziggurat_core::Str;
///
/// let body = Str::from("{\"model\":\"gpt-4.1\"}".to_owned());
/// let model = body.slice_ref(&body[10..17]);
/// assert_eq!(model, "gpt-4.1");
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(ByteString);

impl Str {
    /// An empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self(ByteString::new())
    }

    /// Text that lives as long as the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// The text of a buffer, checked to be UTF-8.
    ///
    /// # Errors
    ///
    /// The place of the first byte that is not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        // Checking costs a pass over all of it: once when it is text, twice only when it is not.
        match ByteString::try_from(bytes.clone()) {
            Ok(text) => Ok(Self(text)),
            Err(_) => std::str::from_utf8(&bytes).map(|_| Self::new()),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of this text that `part` borrows, without a copy.
    ///
    /// `part` may also come from elsewhere (a parser unescapes into its own buffer); then it is copied.
    #[must_use]
    pub fn slice_ref(&self, part: &str) -> Self {
        let whole = self.0.as_bytes().as_ptr_range();
        let inner = part.as_bytes().as_ptr_range();
        if part.is_empty() {
            Self::new()
        } else if whole.start <= inner.start && inner.end <= whole.end {
            Self(self.0.slice_ref(part))
        } else {
            Self::from(part)
        }
    }

    /// Copies the text out of the buffer that it is a part of, so that it does not keep all of that. A long text stays where it
    /// is: most of its buffer is itself.
    pub fn detach(&mut self) {
        if !self.is_empty() && self.len() < LONG {
            *self = Self::from(self.as_str());
        }
    }

    /// The bytes, sharing the buffer.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(ByteString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(ByteString::from(text))
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl Serialize for Str {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Str {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_shares_the_buffer() {
        let body = Str::from("hello world".to_owned());
        let part = body.slice_ref(&body[6..]);
        assert_eq!(part, "world");
        assert_eq!(part.as_ptr(), body[6..].as_ptr());
    }

    #[test]
    fn text_from_elsewhere_is_copied() {
        let body = Str::from("hello");
        assert_eq!(body.slice_ref("other"), "other");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(Str::from_utf8(Bytes::from_static(b"\xff")).is_err());
        assert_eq!(Str::from_utf8(Bytes::from_static(b"ok")).unwrap(), "ok");
    }
}
