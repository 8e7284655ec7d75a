//! Where strings and values end, without reading them.

use memchr::memchr;

/// Where the string ends whose content, still escaped, begins here.
pub(crate) fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        // Looking back from a quote is cheaper than stopping at each escape on the way.
        let quote = at + memchr(b'"', text.get(at..)?)?;
        let escapes = text[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(quote);
        }
        at = quote + 1;
    }
}

/// Where the white space ends that may begin at `at`.
pub(crate) fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the string that begins at `at`, behind its quote.
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    Some(at + string_end(bytes.get(at + 1..)?)? + 2)
}

/// The end of the value that begins at `at`. Of what is nested only the brackets are counted.
pub(crate) fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string(bytes, at),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut at = at;
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = string(bytes, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let scalar =
                |byte: &u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            let length = bytes[at..].iter().take_while(|byte| scalar(byte)).count();
            (length > 0).then_some(at + length)
        }
    }
}
