//! Shared text: slices of one buffer, so that a part of a body costs no copy.

mod escaped;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use escaped::Escaped;

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
///
/// A long text with escapes that came as JSON stays escaped as it came until somebody reads it: one that goes out as JSON again
/// ([`as_json`](Self::as_json)) is never unescaped. [`is_blank`](Self::is_blank), [`json_len`](Self::json_len) and
/// [`trimmed_end`](Self::trimmed_end) rarely have to read it.
#[derive(Clone)]
pub struct Str(Repr);

#[derive(Clone)]
enum Repr {
    Plain(ByteString),
    Escaped(Arc<Escaped>),
}

impl Str {
    /// An empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self::plain(ByteString::new())
    }

    const fn plain(text: ByteString) -> Self {
        Self(Repr::Plain(text))
    }

    /// Text that lives as long as the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self::plain(ByteString::from_static(text))
    }

    /// The text of a buffer, checked to be UTF-8.
    ///
    /// # Errors
    ///
    /// The place of the first byte that is not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        ByteString::try_from(bytes).map(Self::plain)
    }

    /// The text that a string of JSON means which this text holds, quotes and all: it is unescaped when it is read and not before.
    /// `None` where that gains nothing (it is short, or has letters by their numbers), and where it is no string of JSON.
    ///
    /// ```
    /// use ziggurat_core::Str;
    ///
    /// let json = Str::from(format!("[\"{}\"]", r"line\n".repeat(40)));
    /// let string = &json[1..json.len() - 1];
    /// let text = json.slice_json(string).unwrap();
    /// assert_eq!(text.as_json(), Some(string));
    /// assert_eq!(text, "line\n".repeat(40).as_str());
    /// ```
    #[must_use]
    pub fn slice_json(&self, string: &str) -> Option<Self> {
        if !escaped::may_stay(string) {
            return None;
        }
        let json = self.slice_ref(string).buffer().clone();
        Some(Self(Repr::Escaped(Arc::new(Escaped::new(json)))))
    }

    /// The text as a string of JSON, with its quotes, where it is kept so.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        match &self.0 {
            Repr::Plain(_) => None,
            Repr::Escaped(escaped) => Some(escaped.json()),
        }
    }

    /// About how many bytes it takes as a string of JSON.
    #[must_use]
    pub fn json_len(&self) -> usize {
        match &self.0 {
            Repr::Plain(text) => text.len() + 2,
            Repr::Escaped(escaped) => escaped.json().len(),
        }
    }

    fn buffer(&self) -> &ByteString {
        match &self.0 {
            Repr::Plain(text) => text,
            Repr::Escaped(escaped) => escaped.text(),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.buffer()
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Repr::Plain(text) if text.is_empty())
    }

    /// Whether there is nothing but white space.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        // Neither the quote nor what is certain to be a letter has to be read.
        let begins = self.as_json().and_then(|json| json.as_bytes().get(1));
        !begins.is_some_and(u8::is_ascii_alphanumeric) && self.as_str().trim().is_empty()
    }

    /// Without white space at its end.
    #[must_use]
    pub fn trimmed_end(&self) -> Self {
        if let Some([.., before, last, b'"']) = self.as_json().map(str::as_bytes)
            && *before != b'\\'
            && last.is_ascii_graphic()
        {
            return self.clone();
        }
        self.slice_ref(self.trim_end())
    }

    /// The part of this text that `part` borrows, without a copy.
    ///
    /// `part` may also come from elsewhere (a parser unescapes into its own buffer); then it is copied.
    #[must_use]
    pub fn slice_ref(&self, part: &str) -> Self {
        let buffer = self.buffer();
        let whole = buffer.as_bytes().as_ptr_range();
        let inner = part.as_bytes().as_ptr_range();
        if part.is_empty() {
            Self::new()
        } else if whole.start <= inner.start && inner.end <= whole.end {
            Self::plain(buffer.slice_ref(part))
        } else {
            Self::from(part)
        }
    }

    /// Copies the text out of the buffer that it is a part of, so that it does not keep all of that. A long text stays where it
    /// is: most of its buffer is itself.
    pub fn detach(&mut self) {
        if !self.is_empty() && self.json_len() < LONG {
            *self = Self::from(self.as_str());
        }
    }

    /// The bytes, sharing the buffer.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Plain(text) => text.into_bytes(),
            Repr::Escaped(escaped) => escaped.text().clone().into_bytes(),
        }
    }
}

impl Default for Str {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Str {}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self::plain(ByteString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self::plain(ByteString::from(text))
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
    use proptest::prelude::*;

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

    fn escaped(inner: &str) -> Option<Str> {
        let json = Str::from(format!("\"{inner}\""));
        json.slice_json(&json)
    }

    #[test]
    fn text_of_json_is_the_same_whether_it_was_read_or_not() {
        let line = r#"one \"line\" \\ and\/or\tanother ø\n"#;
        let (json, text) = (line.repeat(9), "one \"line\" \\ and/or\tanother ø\n".repeat(9));
        let kept = escaped(&json).unwrap();
        assert_eq!(kept.as_json(), Some(&*format!("\"{json}\"")));
        assert_eq!(kept, text.as_str());
        assert_eq!(kept, Str::from(text.as_str()));
        assert_eq!(kept.len(), text.len());
        assert_eq!(kept.slice_ref(&kept[4..8]), "\"lin");
        assert_eq!(serde_json::to_string(&kept).unwrap(), serde_json::to_string(&text).unwrap());
        assert_eq!(kept.trimmed_end(), text.trim_end());
        assert!(!kept.is_empty() && !kept.is_blank());
        assert_eq!(kept.clone().into_bytes(), text.as_bytes());
        let mut short = kept;
        short.detach();
        assert_eq!((short.as_json(), &*short), (None, text.as_str()));
    }

    #[test]
    fn only_strings_with_escapes_of_one_letter_are_kept_as_json() {
        let long = "a".repeat(200);
        assert!(escaped(&long).is_some());
        for end in [r"\", r"\u0041", r"\x", "\"", "\n", "\u{1f}", r"\\\"] {
            assert!(escaped(&(long.clone() + end)).is_none(), "{end:?}");
        }
        assert!(escaped(r"short\n").is_none());
        assert!(Str::from(long.as_str()).slice_json(&long).is_none());
    }

    proptest! {
        #[test]
        fn text_of_json_is_what_a_parser_reads(
            text in r#"[a-c"\\/\n\t€\x{1}\x{8}\x{c} ]{0,300}"#,
            raw in r#"["\\ntu0a-b/ \x{1f}€]{0,200}"#,
        ) {
            let json = serde_json::to_string(&text).unwrap();
            if let Some(kept) = Str::from(json.as_str()).slice_json(&json) {
                prop_assert_eq!(kept.as_json(), Some(&*json));
                prop_assert_eq!(&*kept, &*text);
                prop_assert_eq!(kept.is_blank(), text.trim().is_empty());
                prop_assert_eq!(&*kept.trimmed_end(), text.trim_end());
            } else {
                prop_assert!(json.len() < 130 || json.contains("\\u"), "{}", json);
            }
            let raw = format!("\"{raw}\"");
            if let Some(kept) = Str::from(raw.as_str()).slice_json(&raw) {
                prop_assert_eq!(&*kept, &*serde_json::from_str::<String>(&raw).unwrap());
            }
        }
    }

    #[test]
    fn white_space_is_seen_through_escapes() {
        let blank = escaped(&r"\n \t".repeat(40)).unwrap();
        assert!(blank.is_blank());
        assert_eq!(blank.trimmed_end(), "");
        let words = "word ".repeat(40);
        for end in [r"\n", " ", r"\t ", "\u{a0}", r"\\", r"\\n", r"\/", "."] {
            let text = escaped(&(words.clone() + end)).unwrap();
            assert!(!text.is_blank());
            assert_eq!(text.trimmed_end(), text.as_str().trim_end(), "{end:?}");
        }
    }

    #[test]
    fn a_text_is_as_large_as_its_buffer() {
        assert_eq!(size_of::<Str>(), size_of::<Bytes>());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(Str::from_utf8(Bytes::from_static(b"\xff")).is_err());
        assert_eq!(Str::from_utf8(Bytes::from_static(b"ok")).unwrap(), "ok");
    }
}
