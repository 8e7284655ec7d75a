//! What providers have in common, whatever the dialect: when to come back after an error, what of it must not be repeated,
//! and how a model is named in a path.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ziggurat_core::{Error, ErrorKind, Secret};

/// Whether a message has these words, in any case.
pub(crate) fn contains(message: &str, words: &str) -> bool {
    let words = words.as_bytes();
    let begins = |at: &[u8]| at[0].eq_ignore_ascii_case(&words[0]);
    let mut places = message.as_bytes().windows(words.len());
    places.any(|at| begins(at) && at.eq_ignore_ascii_case(words))
}

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Longer waits than a day are no advice.
const LONGEST_WAIT: f64 = 86_400.0;

/// When to come back after an answer with this status: what it says, else when the limit that is used up is there again.
pub(crate) fn come_back(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let limited = status == StatusCode::TOO_MANY_REQUESTS;
    retry_after(headers).or_else(|| limited.then(|| reset(headers)).flatten())
}

/// What a wait may be.
fn wait(seconds: f64) -> Option<Duration> {
    (0.0..=LONGEST_WAIT).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// What `Retry-After` says. A date counts from the answer's own `Date`: our clock may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: &str| wait(text.trim().parse().ok()?);
    if let Some(wait) = text_header(headers, &RETRY_AFTER_MS).and_then(seconds) {
        return Some(wait / 1000);
    }
    let text = text_header(headers, &header::RETRY_AFTER)?;
    seconds(text).or_else(|| until(unix_seconds(text)?, headers))
}

/// From the answer's `Date` until a time.
fn until(then: u64, headers: &HeaderMap) -> Option<Duration> {
    let now = unix_seconds(text_header(headers, &header::DATE)?)?;
    let wait = Duration::from_secs(then.checked_sub(now)?);
    (wait.as_secs_f64() <= LONGEST_WAIT).then_some(wait)
}

/// Names of what is left of a limit and of when it is there again: OpenAI's, which many servers have, and Anthropic's.
static LIMITS: [[HeaderName; 2]; 6] = [
    [
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
    ],
];

/// The longest reset of the limits that are used up. One of which something is left says nothing of when it suffices.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    let used_up = |name: &HeaderName| {
        let left = text_header(headers, name).and_then(|left| left.trim().parse::<i64>().ok());
        left.is_some_and(|left| left <= 0)
    };
    let used = LIMITS.iter().filter(|[left, _]| used_up(left));
    let resets = used.filter_map(|[_, reset]| {
        let text = text_header(headers, reset)?.trim();
        span(text).or_else(|| until(rfc3339_seconds(text)?, headers))
    });
    resets.max()
}

/// Reads a time span as Go writes it: `20ms`, `1.5s`, `6m0s`, `1h30m`. A number alone is in seconds.
fn span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return wait(seconds);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (value, behind) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += value.parse::<f64>().ok()? * scale;
        rest = next;
    }
    // An empty text is no span.
    (!text.is_empty()).then(|| wait(total)).flatten()
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
    unix(year, month + 1, day, words.next()?)
}

/// Reads a time of RFC 3339 in UTC (`2025-01-31T08:49:37Z`) as seconds since 1970.
fn rfc3339_seconds(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, clock) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let [year, month, day] = [date.next()??, date.next()??, date.next()??];
    let clock = clock.split_once('.').map_or(clock, |(seconds, _)| seconds);
    unix(year, month, day, clock)
}

/// Seconds since 1970 until a time of day (`08:49:37`) on a date.
fn unix(year: u64, month: u64, day: u64, clock: &str) -> Option<u64> {
    let mut clock = clock.split(':').map(|part| part.parse::<u64>().ok());
    let [hour, minute, second] = [clock.next()??, clock.next()??, clock.next()??];
    let date =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970, counting years from March so that a leap day ends one (Howard Hinnant, "chrono-compatible
    // low-level date algorithms").
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
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

/// Adds a key as a bearer token.
///
/// # Errors
///
/// When the key cannot be a header's value.
pub(crate) fn bearer(headers: &mut HeaderMap, key: Option<&Secret>) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(|_| {
        let message = "the provider's key has characters that a header cannot carry";
        Error::new(ErrorKind::Server, message)
    })?;
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    Ok(())
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

/// A model's name as one segment of a path: all but unreserved characters are escaped.
pub(crate) struct Segment<'a>(pub(crate) &'a str);

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(status: u16, headers: &[(&'static str, &str)]) -> Option<f64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let wait = come_back(StatusCode::from_u16(status).unwrap(), &headers.collect());
        wait.map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_to_come_back() {
        const REQUESTS: &str = "x-ratelimit-remaining-requests";
        const RESET: &str = "x-ratelimit-reset-requests";
        for (reset, seconds) in
            [("20ms", 0.02), ("1.5s", 1.5), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("7", 7.0)]
        {
            assert_eq!(waits(429, &[(REQUESTS, "0"), (RESET, reset)]), Some(seconds));
        }
        for reset in ["", "s", "5x", "1s2", "-1s", "48h", "1.2.3s", "soon", "\u{e9}s"] {
            assert_eq!(waits(429, &[(REQUESTS, "0"), (RESET, reset)]), None, "{reset}");
        }
        assert_eq!(waits(429, &[(REQUESTS, "3"), (RESET, "1s")]), None, "something is left");
        assert_eq!(waits(503, &[(REQUESTS, "0"), (RESET, "1s")]), None, "it is not the limit");
        let told = [("retry-after", "2"), (REQUESTS, "0"), (RESET, "1m")];
        assert_eq!(waits(429, &told), Some(2.0), "what is said outright holds");
        let both = [
            (REQUESTS, "0"),
            (RESET, "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "9s"),
        ];
        assert_eq!(waits(429, &both), Some(9.0), "all of them must be there again");
    }

    #[test]
    fn anthropics_resets_are_times() {
        const LEFT: &str = "anthropic-ratelimit-input-tokens-remaining";
        const RESET: &str = "anthropic-ratelimit-input-tokens-reset";
        let date = ("date", "Sat, 28 Feb 2026 23:59:50 GMT");
        for reset in ["2026-03-01T00:00:05Z", "2026-03-01T00:00:05.250+00:00"] {
            assert_eq!(waits(429, &[date, (LEFT, "0"), (RESET, reset)]), Some(15.0), "{reset}");
        }
        for reset in ["2026-02-28T23:59:49Z", "2026-13-01T00:00:05Z", "2026-03-01", "T", "Z"] {
            assert_eq!(waits(429, &[date, (LEFT, "0"), (RESET, reset)]), None, "{reset}");
        }
        assert_eq!(waits(429, &[(LEFT, "0"), (RESET, "2026-03-01T00:00:05Z")]), None);
    }
}
