//! What providers have in common, whatever the dialect: when to come back after an error, what of it must not be repeated,
//! and how a model is named in a path.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// Whether a message has these words, in any case.
pub(crate) fn contains(message: &str, words: &str) -> bool {
    message.as_bytes().windows(words.len()).any(|at| at.eq_ignore_ascii_case(words.as_bytes()))
}

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Longer waits than a day are no advice.
const LONGEST_WAIT: f64 = 86_400.0;

/// When to come back. A date counts from the answer's own `Date`: our clock may differ.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: &str| {
        let seconds: f64 = text.trim().parse().ok()?;
        (0.0..=LONGEST_WAIT).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
    };
    if let Some(wait) = text_header(headers, &RETRY_AFTER_MS).and_then(seconds) {
        return Some(wait / 1000);
    }
    let text = text_header(headers, &header::RETRY_AFTER)?;
    seconds(text).or_else(|| {
        let now = unix_seconds(text_header(headers, &header::DATE)?)?;
        let then = unix_seconds(text)?;
        let wait = Duration::from_secs(then.checked_sub(now)?);
        (wait.as_secs_f64() <= LONGEST_WAIT).then_some(wait)
    })
}

/// A header's value, if it is text.
pub(crate) fn text_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Reads an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`, RFC 9110, 5.6.7) as seconds since 1970.
fn unix_seconds(date: &str) -> Option<u64> {
    let mut words = date.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let word = words.next()?;
    let month = MONTHS.iter().position(|month| *month == word)? as u64;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let [hour, minute, second] = [clock.next()??, clock.next()??, clock.next()??];
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    // Days since 1970, counting years from March so that a leap day ends one (Howard Hinnant, "chrono-compatible
    // low-level date algorithms").
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let in_year = (153 * month + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + in_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Providers quote keys and organisations in their messages: these are the operator's.
pub(crate) fn redact(message: &str) -> Cow<'_, str> {
    const PREFIXES: [&str; 4] = ["sk-", "org-", "proj_", "AIza"];
    let secret = |word: &str| {
        let word = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        PREFIXES.iter().any(|prefix| word.starts_with(prefix) && word.len() >= prefix.len() + 8)
    };
    if !message.split(' ').any(secret) {
        return Cow::Borrowed(message);
    }
    let words = message.split(' ').map(|word| if secret(word) { "[redacted]" } else { word });
    Cow::Owned(words.collect::<Vec<_>>().join(" "))
}

/// A model's name as part of a path. Names hold slashes and colons, which are sent as they are.
pub(crate) struct InPath<'a>(pub(crate) &'a str);

impl fmt::Display for InPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => write!(f, "{}", char::from(byte))?,
                b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b'@' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}
