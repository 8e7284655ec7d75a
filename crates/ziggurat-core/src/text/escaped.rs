//! Text that is still spelled as JSON spells it, until somebody reads it.

use std::sync::OnceLock;

use bytestring::ByteString;

/// Shorter strings are unescaped at once, in bytes.
const SHORT: usize = 128;

/// A string of JSON and, once it is asked for, the text that it means.
#[derive(Debug)]
pub(super) struct Escaped {
    /// With its quotes. All its escapes are known to be of one letter.
    json: ByteString,
    text: OnceLock<ByteString>,
}

/// Whether this is a string of JSON, is long, and has no escapes but of one letter.
pub(super) fn may_stay(json: &str) -> bool {
    let inner = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    inner.is_some_and(|inner| inner.len() >= SHORT && is_plain(inner.as_bytes()))
}

impl Escaped {
    /// A string that [may stay](may_stay) so.
    pub(super) fn new(json: ByteString) -> Self {
        Self { text: OnceLock::new(), json }
    }

    /// As JSON spells it, with its quotes.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    /// The text.
    pub(super) fn text(&self) -> &ByteString {
        self.text.get_or_init(|| {
            // It was checked when it was made: there is nothing that could be refused.
            serde_json::from_str::<String>(&self.json).unwrap_or_default().into()
        })
    }
}

/// Whether this may stand between the quotes of a JSON string, with no escapes but of one letter.
fn is_plain(inner: &[u8]) -> bool {
    let ([first, behind @ ..], [.., last]) = (inner, inner) else { return true };
    // Most texts have no two backslashes in a row and few escapes but these: then each byte tells of the next whether it may stand
    // there. No early exit: the compiler makes it many bytes a step.
    let may_not_stand = |before: u8, byte: u8| {
        let escaped = before == b'\\';
        let letter = (byte == b'n') | (byte == b'"') | (byte == b't');
        (escaped & !letter) | ((byte == b'"') & !escaped) | (byte < 0x20)
    };
    let pairs = inner.iter().zip(behind);
    let doubtful = pairs.fold(false, |any, (before, byte)| any | may_not_stand(*before, *byte));
    if !doubtful && !may_not_stand(b' ', *first) && *last != b'\\' {
        return true;
    }
    if inner.iter().fold(false, |any, byte| any | (*byte < 0x20)) {
        return false;
    }
    let mut rest = inner;
    loop {
        let Some(at) = memchr::memchr2(b'\\', b'"', rest) else { return true };
        match &rest[at..] {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] => {
                rest = behind;
            }
            _ => return false,
        }
    }
}
