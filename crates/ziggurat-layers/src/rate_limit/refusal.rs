//! What a caller is told whose call does not fit.

use std::time::Duration;

use ziggurat_core::{Error, ErrorKind, LimitKind, RateLimits};

use super::ledger::Account;
use super::limits::Rate;

/// Nobody knows when a call in flight ends.
const A_PLACE: Duration = Duration::from_secs(1);
/// Keys may be texts of the caller's.
const LONGEST_KEY: usize = 64;

/// Why a call does not fit.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    message: String,
    /// How long until it fits; `None` when it never does.
    wait: Option<Duration>,
    limits: RateLimits,
}

impl Refusal {
    pub(super) fn rate(
        account: &Account,
        rate: &Rate,
        amount: u64,
        wait: Option<Duration>,
    ) -> Self {
        let what = match rate.kind() {
            LimitKind::Requests => "requests",
            LimitKind::InputTokens => "input tokens",
            LimitKind::OutputTokens => "output tokens",
            _ => "tokens",
        };
        let (of, per) = (whose(account), span(rate.period()));
        let limit = rate.amount();
        let message = match wait {
            Some(wait) => {
                format!(
                    "the rate limit of {limit} {what} per {per} is reached for {of}; it resets in {} s",
                    seconds(wait)
                )
            }
            None if rate.kind() == LimitKind::Requests => {
                format!("no requests are allowed for {of}")
            }
            None => format!(
                "the call may take {amount} {what}, which is more than the rate limit of {} at once ({limit} per {per}) for {of} ever lets pass",
                rate.most()
            ),
        };
        Self { message, wait, limits: RateLimits::default() }
    }

    pub(super) fn parallel(account: &Account, most: u64) -> Self {
        let of = whose(account);
        let (message, wait) = match most {
            0 => (format!("no calls are allowed for {of}"), None),
            _ => {
                let message = format!("the limit of {most} parallel calls is reached for {of}");
                (message, Some(A_PLACE))
            }
        };
        Self { message, wait, limits: RateLimits::default() }
    }

    pub(super) fn with_limits(mut self, limits: RateLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps the one for which one must wait longer.
    pub(super) fn worst(known: &mut Option<Self>, other: Option<Self>) {
        if let Some(other) = other
            && known.as_ref().is_none_or(|known| other.outlasts(known))
        {
            *known = Some(other);
        }
    }

    fn outlasts(&self, other: &Self) -> bool {
        match (self.wait, other.wait) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(wait), Some(other)) => wait > other,
        }
    }

    pub(super) fn into_error(self) -> Error {
        let error = Error::new(ErrorKind::RateLimit, self.message).with_limits(self.limits);
        match self.wait {
            Some(wait) => error.with_code("rate_limit_exceeded").with_retry_after(wait),
            None => error.with_code("rate_limit_too_small"),
        }
    }
}

/// The dimension and the id in it.
fn whose(account: &Account) -> String {
    match account.names() {
        (_, "", "") => "all calls together".to_owned(),
        (name, key, "") => format!("the {name} `{}`", short(key)),
        (name, key, of) => format!("the {name} `{}` of `{}`", short(key), short(of)),
    }
}

fn short(key: &str) -> &str {
    let end = key.char_indices().map(|(at, _)| at).nth(LONGEST_KEY).unwrap_or(key.len());
    &key[..end]
}

fn span(period: Duration) -> String {
    match period.as_secs() {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        3600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        _ => format!("{} s", period.as_secs_f64()),
    }
}

/// Rounded up: who comes back then is let through.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
