//! Names for requests, and the headers that tell the caller how its call went.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use ziggurat_core::{Dialect, Error, Loss, ReplyHead, Str};

const CALL_ID: HeaderName = HeaderName::from_static("x-ziggurat-call-id");
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-ziggurat-deployment");
const MODEL: HeaderName = HeaderName::from_static("x-ziggurat-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-ziggurat-attempts");
const DURATION: HeaderName = HeaderName::from_static("x-ziggurat-duration-ms");
const OVERHEAD: HeaderName = HeaderName::from_static("x-ziggurat-overhead-ms");
const LOSSES: HeaderName = HeaderName::from_static("x-ziggurat-losses");
const CACHED: HeaderName = HeaderName::from_static("x-ziggurat-cached");
const PROVIDER_REQUEST_ID: HeaderName = HeaderName::from_static("x-ziggurat-provider-request-id");
const PROVIDER_STATUS: HeaderName = HeaderName::from_static("x-ziggurat-provider-status");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

const LITELLM_CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const LITELLM_MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const LITELLM_MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const LITELLM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const LITELLM_DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const LITELLM_OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");

/// The longest list of losses that goes into a header, in bytes.
const MOST_LOSSES: usize = 2048;

/// The caller's name for its request: at most 128 visible ASCII characters in `x-request-id`.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<Str> {
    let value = headers.get(&REQUEST_ID)?.to_str().ok()?;
    let fits =
        !value.is_empty() && value.len() <= 128 && value.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| Str::from(value))
}

/// What the headers of an answer are made of.
pub(super) struct Facts<'a> {
    /// The caller's.
    pub(super) dialect: Dialect,
    pub(super) call_id: &'a Str,
    pub(super) request_id: &'a Str,
    pub(super) model: &'a Str,
    pub(super) elapsed: Duration,
    pub(super) litellm: bool,
}

impl Facts<'_> {
    /// Writes the headers that every answer has. The provider's are there already.
    pub(super) fn write(&self, headers: &mut HeaderMap, provider_time: Option<Duration>) {
        let call_id = text(self.call_id);
        if self.litellm {
            put(headers, &LITELLM_CALL_ID, call_id.clone());
        }
        put(headers, &CALL_ID, call_id);
        put(headers, &REQUEST_ID, text(self.request_id));
        // Where its vendor's clients look for it, if no provider of the vendor's has answered.
        let theirs = self.dialect.request_id_header();
        if !headers.contains_key(&theirs) {
            put(headers, &theirs, text(self.request_id));
        }
        if !self.model.is_empty() {
            let model = text(self.model);
            if self.litellm {
                put(headers, &LITELLM_MODEL_GROUP, model.clone());
            }
            put(headers, &MODEL, model);
        }
        let overhead = provider_time.map(|theirs| self.elapsed.saturating_sub(theirs));
        let (elapsed, overhead) = milliseconds(self.elapsed, overhead);
        if self.litellm {
            put(headers, &LITELLM_DURATION, elapsed.clone());
        }
        put(headers, &DURATION, elapsed);
        if overhead.is_some() {
            if self.litellm {
                put(headers, &LITELLM_OVERHEAD, overhead.clone());
            }
            put(headers, &OVERHEAD, overhead);
        }
    }

    /// Writes what is known of the one who answered.
    pub(super) fn write_reply(&self, headers: &mut HeaderMap, head: &ReplyHead) {
        if let Some(deployment) = &head.deployment {
            let deployment = text(deployment);
            if self.litellm {
                put(headers, &LITELLM_MODEL_ID, deployment.clone());
            }
            put(headers, &DEPLOYMENT, deployment);
        }
        headers.insert(ATTEMPTS, count(head.attempts));
        if self.litellm {
            headers.insert(LITELLM_RETRIES, count(head.attempts.saturating_sub(1)));
        }
        if head.cached {
            headers.insert(CACHED, HeaderValue::from_static("true"));
        }
        if let Some(id) = &head.request_id {
            put(headers, &PROVIDER_REQUEST_ID, text(id));
        }
    }

    /// Writes what is known of an error: when to come back, who failed.
    pub(super) fn write_error(&self, headers: &mut HeaderMap, error: &Error) {
        if let Some(wait) = error.retry_after() {
            // Whole seconds, rounded up: a client that comes back too early is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(ms));
        }
        if let Some(deployment) = error.deployment() {
            let deployment = text(&Str::from(deployment));
            if self.litellm {
                put(headers, &LITELLM_MODEL_ID, deployment.clone());
            }
            put(headers, &DEPLOYMENT, deployment);
        }
        if let Some(status) = error.provider_status() {
            headers.insert(PROVIDER_STATUS, HeaderValue::from(status.as_u16()));
        }
        if let Some(id) = error.said().and_then(|said| said.request_id.as_ref()) {
            put(headers, &PROVIDER_REQUEST_ID, text(id));
        }
    }
}

/// Writes the losses: `seed=dropped, logit_bias=dropped`.
pub(super) fn write_losses(headers: &mut HeaderMap, losses: &[Loss]) {
    if losses.is_empty() {
        return;
    }
    let mut list = String::new();
    for loss in losses {
        let loss = loss.to_string();
        if list.len() + loss.len() > MOST_LOSSES {
            list.push_str(", …");
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(&loss);
    }
    put(headers, &LOSSES, HeaderValue::from_bytes(list.as_bytes()).ok());
}

fn put(headers: &mut HeaderMap, name: &HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// A header of this text, sharing its buffer; none if the text cannot stand in a header.
fn text(text: &Str) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(text.clone().into_bytes()).ok()
}

/// A small number, which costs nothing, or another.
fn count(number: u32) -> HeaderValue {
    match number {
        0 => HeaderValue::from_static("0"),
        1 => HeaderValue::from_static("1"),
        2 => HeaderValue::from_static("2"),
        _ => HeaderValue::from(number),
    }
}

/// One or two times in milliseconds with three decimals, in one buffer.
fn milliseconds(
    first: Duration,
    second: Option<Duration>,
) -> (Option<HeaderValue>, Option<HeaderValue>) {
    let mut text = Digits { digits: [0; 48], length: 0 };
    text.write(first);
    let end = text.length;
    if let Some(second) = second {
        text.write(second);
    }
    let text = Bytes::from_owner(text);
    let value = |part: Bytes| HeaderValue::from_maybe_shared(part).ok();
    (value(text.slice(..end)), second.and_then(|_| value(text.slice(end..))))
}

struct Digits {
    digits: [u8; 48],
    length: usize,
}

impl Digits {
    fn write(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut buffer = itoa::Buffer::new();
        self.push(buffer.format(micros / 1000).as_bytes());
        self.push(b".");
        // 1007 for 7: the leading zeros stay.
        self.push(&buffer.format(1000 + micros % 1000).as_bytes()[1..]);
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = (self.length + bytes.len()).min(self.digits.len());
        self.digits[self.length..end].copy_from_slice(&bytes[..end - self.length]);
        self.length = end;
    }
}

impl AsRef<[u8]> for Digits {
    fn as_ref(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_its_caller_within_bounds() {
        let named = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(name.as_bytes()).unwrap());
            request_id(&headers)
        };
        assert_eq!(named("req-1").unwrap(), "req-1");
        assert_eq!(named(&"x".repeat(129)), None);
        assert_eq!(named("with space"), None);
        assert_eq!(named("é"), None);
    }

    #[test]
    fn times_have_three_decimals() {
        let (first, second) =
            milliseconds(Duration::from_micros(1_234_005), Some(Duration::from_micros(70)));
        assert_eq!(first.unwrap(), "1234.005");
        assert_eq!(second.unwrap(), "0.070");
        let (first, second) = milliseconds(Duration::MAX, None);
        assert_eq!(first.unwrap(), "18446744073709551.615");
        assert_eq!(second, None);
    }

    #[test]
    fn many_losses_stay_within_a_header() {
        let losses: Vec<Loss> = (0..500)
            .map(|n| Loss::new(format!("messages[{n}]"), "", ziggurat_core::LossAction::Dropped))
            .collect();
        let mut headers = HeaderMap::new();
        write_losses(&mut headers, &losses);
        assert!(headers[LOSSES].len() <= MOST_LOSSES + 8);
    }
}
