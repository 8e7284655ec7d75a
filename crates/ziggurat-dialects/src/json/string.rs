//! Strings: their escapes undone and written.

use memchr::memchr;
use ziggurat_core::Str;

/// The text of a JSON string, sharing `body` where it holds no escapes, or is long and stays as it is spelled until it is read; `None`
/// if it is no string.
pub(crate) fn shared_text(raw: &str, body: &Str) -> Option<Str> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inner.as_bytes()).is_none() {
        // A value that was only balanced so far may still hold characters that JSON forbids.
        // No early exit: the compiler makes it many bytes a step.
        let control = inner.bytes().fold(false, |any, byte| any | (byte < 0x20));
        return (!control).then(|| body.slice_ref(inner));
    }
    body.slice_json(raw).or_else(|| unescape(inner).map(Str::from))
}

/// The text between the quotes of a JSON string.
fn unescape(inner: &str) -> Option<String> {
    let bytes = inner.as_bytes();
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    loop {
        let start = at;
        at += plain(&bytes[at..]);
        text.push_str(inner.get(start..at)?);
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) => return Some(text),
            (Some(b'\\'), Some(escaped)) => text.push(match escaped {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'"' | b'\\' | b'/' => char::from(*escaped),
                // Letters by their numbers, which may be halves.
                b'u' => return serde_json::from_str(&format!("\"{inner}\"")).ok(),
                _ => return None,
            }),
            _ => return None,
        }
        at += 2;
    }
}

/// Writes a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut at = 0;
    loop {
        let start = at;
        at += plain(&bytes[at..]);
        out.extend_from_slice(&bytes[start..at]);
        let Some(byte) = bytes.get(at) else { break };
        escape(out, *byte);
        at += 1;
    }
    out.push(b'"');
}

/// Writes a byte that JSON has to escape, by its short name if it has one.
fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// How many bytes at the beginning stand for themselves in a JSON string: up to a quote, a backslash or a control character.
pub(super) fn plain(bytes: &[u8]) -> usize {
    /// How many are looked at together, without an early exit, so that the compiler makes it one step.
    const STEP: usize = 32;
    let mut at = 0;
    while let Some(step) = bytes[at..].first_chunk::<STEP>()
        && !step.iter().fold(false, |any, byte| any | is_escaped(*byte))
    {
        at += STEP;
    }
    at + plain_end(&bytes[at..])
}

/// The same, where a short word begins: most end within one step, so that whether there is another is no surprise.
pub(crate) fn plain_word(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some((low, rest)) = bytes[at..].split_first_chunk()
        && let Some(high) = rest.first_chunk()
    {
        let [low, high] = [low, high].map(|word| u128::from(escaped_in(u64::from_le_bytes(*word))));
        let found = low | high << (8 * WORD);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 2 * WORD;
    }
    at + plain_end(&bytes[at..])
}

/// The same, of less than that.
fn plain_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<WORD>() {
        let found = escaped_in(u64::from_le_bytes(*word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += WORD;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|byte| is_escaped(*byte)).unwrap_or(rest.len())
}

const WORD: usize = size_of::<u64>();

/// The high bit of each byte that has to be escaped. The lowest is right, what is above it need not be.
fn escaped_in(word: u64) -> u64 {
    let every = |byte: u8| u64::from_le_bytes([byte; WORD]);
    // The high bit of each byte that is less; what is wrong of it is above the first that is right.
    let less = |word: u64, than: u8| word.wrapping_sub(every(than)) & !word & every(0x80);
    let equal = |byte: u8| less(word ^ every(byte), 1);
    less(word, 0x20) | equal(b'"') | equal(b'\\')
}

fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_string_is_read_as_others_read_it(
            parts in proptest::collection::vec(
                r#"[ -~äé—😀]{0,40}|[\x00-\x1f"]|\\[ntrbf"\\/ux0]|\\u[0-9a-fD]{4}"#, 0..8),
        ) {
            let raw = format!("\"{}\"", parts.concat());
            let read = serde_json::from_str::<String>(&raw).ok();
            // Whoever asks has found its end: what has another within is none.
            let text = shared_text(&raw, &Str::new()).map(|text| text.to_string());
            proptest::prop_assert!(text == read || (read.is_none() && !raw.contains('\\')), "{:?} {:?}", text, raw);
        }

        #[test]
        fn a_string_is_written_as_others_write_it(
            texts in proptest::collection::vec("[ -~äé—😀]{0,40}|[\\x00-\\x1f\"\\\\]", 0..8),
        ) {
            let text = texts.concat();
            let mut out = Vec::new();
            string(&mut out, &text);
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn text_shares_the_body_unless_it_holds_escapes() {
        let body = Str::from(r#""plain""#);
        let text = shared_text(&body, &body).unwrap();
        assert_eq!(text.as_ptr(), body[1..].as_ptr());
        assert_eq!(shared_text(r#""a\nb""#, &body).unwrap(), "a\nb");
        assert_eq!(shared_text("1", &body), None);
        assert_eq!(shared_text("\"a\nb\"", &body), None);
        assert_eq!(shared_text("\"", &body), None);
    }
}
