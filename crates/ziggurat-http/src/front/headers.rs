//! Names for requests, and the headers that tell the caller how its call went.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use ziggurat_core::{
    Cost, Dialect, Error, LimitKind, Loss, NanoDollars, RateLimits, ReplyHead, Str,
};

const CALL_ID: HeaderName = HeaderName::from_static("x-ziggurat-call-id");
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-ziggurat-deployment");
const MODEL: HeaderName = HeaderName::from_static("x-ziggurat-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-ziggurat-attempts");
const FALLBACKS: HeaderName = HeaderName::from_static("x-ziggurat-fallbacks");
const COST: HeaderName = HeaderName::from_static("x-ziggurat-cost");
const CACHE_KEY: HeaderName = HeaderName::from_static("x-ziggurat-cache-key");
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
const LITELLM_FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const LITELLM_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const LITELLM_COST_INPUT: HeaderName = HeaderName::from_static("x-litellm-response-cost-input");
const LITELLM_COST_OUTPUT: HeaderName = HeaderName::from_static("x-litellm-response-cost-output");
const LITELLM_COST_READ: HeaderName = HeaderName::from_static("x-litellm-response-cost-cache-read");
const LITELLM_COST_WRITE: HeaderName =
    HeaderName::from_static("x-litellm-response-cost-cache-creation");
const LITELLM_COST_REASONING: HeaderName =
    HeaderName::from_static("x-litellm-response-cost-reasoning");
const LITELLM_COST_TOOLS: HeaderName =
    HeaderName::from_static("x-litellm-response-cost-tool-usage");
const LITELLM_CACHE_KEY: HeaderName = HeaderName::from_static("x-litellm-cache-key");
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
        self.write_attempts(headers, head.attempts, head.fallbacks);
        if let Some(group) = &head.group {
            // Over the model that was asked for: it is another that answered.
            let group = text(group);
            if self.litellm {
                put(headers, &LITELLM_MODEL_GROUP, group.clone());
            }
            put(headers, &MODEL, group);
        }
        if head.cached {
            headers.insert(CACHED, HeaderValue::from_static("true"));
        }
        // What is known already costs nothing, whatever it cost once.
        let cost = if head.cached { Some(Cost::default()) } else { head.cost };
        if let Some(cost) = cost {
            self.write_cost(headers, &cost);
        }
        if let Some(key) = &head.cache_key {
            let key = text(key);
            if self.litellm {
                put(headers, &LITELLM_CACHE_KEY, key.clone());
            }
            put(headers, &CACHE_KEY, key);
        }
        write_limits(headers, &head.limits);
        if let Some(id) = &head.request_id {
            put(headers, &PROVIDER_REQUEST_ID, text(id));
        }
    }

    /// Writes dollars. The parts are there only where they are something.
    fn write_cost(&self, headers: &mut HeaderMap, cost: &Cost) {
        let dollars = |amount: NanoDollars| HeaderValue::try_from(amount.to_string()).ok();
        let total = dollars(cost.total());
        if self.litellm {
            put(headers, &LITELLM_COST, total.clone());
            for (name, amount) in [
                (&LITELLM_COST_INPUT, cost.input),
                (&LITELLM_COST_OUTPUT, cost.output),
                (&LITELLM_COST_READ, cost.cache_read),
                (&LITELLM_COST_WRITE, cost.cache_write),
                (&LITELLM_COST_REASONING, cost.reasoning),
                (&LITELLM_COST_TOOLS, cost.units),
            ] {
                if amount > NanoDollars::ZERO {
                    put(headers, name, dollars(amount));
                }
            }
        }
        put(headers, &COST, total);
    }

    fn write_attempts(&self, headers: &mut HeaderMap, attempts: u32, fallbacks: u32) {
        headers.insert(ATTEMPTS, count(attempts));
        if self.litellm {
            // The first at each model is no retry.
            let firsts = fallbacks.saturating_add(1);
            headers.insert(LITELLM_RETRIES, count(attempts.saturating_sub(firsts)));
            headers.insert(LITELLM_FALLBACKS, count(fallbacks));
        }
        if fallbacks > 0 {
            headers.insert(FALLBACKS, count(fallbacks));
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
        if let Some(attempts) = error.attempts() {
            self.write_attempts(headers, attempts, error.fallbacks());
        }
        if let Some(limits) = error.limits() {
            write_limits(headers, limits);
        }
        if let Some(status) = error.provider_status() {
            headers.insert(PROVIDER_STATUS, HeaderValue::from(status.as_u16()));
        }
        if let Some(id) = error.said().and_then(|said| said.request_id.as_ref()) {
            put(headers, &PROVIDER_REQUEST_ID, text(id));
        }
    }
}

/// Writes what is left of our own limits, over what a provider said of its own: `x-ratelimit-remaining-requests`. A reset is
/// written as OpenAI writes it, `6ms`, `1.5s`, `2m30s`.
fn write_limits(headers: &mut HeaderMap, limits: &RateLimits) {
    for (kind, state) in limits.iter() {
        let [limit, remaining, reset] = limit_names(kind);
        headers.insert(limit, HeaderValue::from(state.limit));
        headers.insert(remaining, HeaderValue::from(state.remaining));
        put(headers, &reset, HeaderValue::try_from(span(state.reset)).ok());
    }
}

fn limit_names(kind: LimitKind) -> [HeaderName; 3] {
    macro_rules! names {
        ($kind:literal) => {
            [
                HeaderName::from_static(concat!("x-ratelimit-limit-", $kind)),
                HeaderName::from_static(concat!("x-ratelimit-remaining-", $kind)),
                HeaderName::from_static(concat!("x-ratelimit-reset-", $kind)),
            ]
        };
    }
    match kind {
        LimitKind::Tokens => names!("tokens"),
        LimitKind::InputTokens => names!("input-tokens"),
        LimitKind::OutputTokens => names!("output-tokens"),
        LimitKind::Parallel => names!("max_parallel_requests"),
        _ => names!("requests"),
    }
}

fn span(time: Duration) -> String {
    let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
    let milliseconds = time.subsec_millis();
    match (minutes, seconds, milliseconds) {
        (0, 0, ms) => format!("{ms}ms"),
        (0, s, 0) => format!("{s}s"),
        (0, s, ms) => format!("{s}.{ms:03}s"),
        (m, s, _) => format!("{m}m{s}s"),
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
    fn a_reset_is_written_as_openai_writes_it() {
        for (ms, text) in
            [(6, "6ms"), (1000, "1s"), (1500, "1.500s"), (150_000, "2m30s"), (0, "0ms")]
        {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
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
