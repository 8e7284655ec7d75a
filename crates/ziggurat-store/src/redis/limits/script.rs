//! What is asked of the scripts, and what they answer.

use std::time::Duration;

use redis::{Script, ScriptInvocation};
use ziggurat_core::{LimitKind, LimitState, RateLimits};
use ziggurat_layers::rate_limit::{Lease, LeaseDimension, Limits, Rate, Tokens, Verdict};

use super::keys;

/// The scripts, known to a server by their hashes.
pub(super) struct Scripts {
    pub(super) acquire: Script,
    pub(super) settle: Script,
    pub(super) renew: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            acquire: Script::new(include_str!("acquire.lua")),
            settle: Script::new(include_str!("settle.lua")),
            renew: Script::new(include_str!("renew.lua")),
        }
    }
}

/// Whether calls in flight matter to these limits.
fn is_leased(limits: &Limits) -> bool {
    limits.most_parallel().is_some() || limits.counts_tokens()
}

/// Whether anything must be told when the call ends.
pub(super) fn has_lease(lease: &Lease) -> bool {
    lease.dimensions().any(|dimension| is_leased(dimension.limits))
}

fn leased(lease: &Lease) -> impl Iterator<Item = LeaseDimension<'_>> {
    lease.dimensions().filter(|dimension| is_leased(dimension.limits))
}

fn kind(rate: &Rate) -> &'static str {
    match rate.kind() {
        LimitKind::Tokens => "t",
        LimitKind::InputTokens => "i",
        LimitKind::OutputTokens => "o",
        _ => "r",
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The field of a rate: what it counts, in how many milliseconds.
fn field(rate: &Rate) -> String {
    format!("{}{}", kind(rate), rate.period().as_millis())
}

fn keys(
    to: &mut ScriptInvocation<'_>,
    prefix: &str,
    lease: &Lease,
    dimension: &LeaseDimension<'_>,
) {
    for key in keys::pair(prefix, lease.group().map(|group| group.as_str()), dimension) {
        to.key(key);
    }
}

pub(super) fn acquire<'a>(
    scripts: &'a Scripts,
    prefix: &str,
    time: Duration,
    lease: &Lease,
) -> ScriptInvocation<'a> {
    let Tokens { input, output, .. } = lease.tokens();
    let mut ask = scripts.acquire.prepare_invoke();
    ask.arg(lease.id().as_str()).arg(micros(time) / 1000).arg(input).arg(output);
    for dimension in lease.dimensions() {
        keys(&mut ask, prefix, lease, &dimension);
        let limits = dimension.limits;
        let most = limits.most_parallel().and_then(|most| i64::try_from(most).ok()).unwrap_or(-1);
        ask.arg(most).arg(u8::from(is_leased(limits))).arg(limits.rates().count());
        for rate in limits.rates() {
            ask.arg(field(rate)).arg(kind(rate)).arg(rate.amount()).arg(rate.most());
            ask.arg(micros(rate.period()));
        }
    }
    ask
}

/// Reads the answer; `None` when it is none of ours.
pub(super) fn verdict(lease: &Lease, answer: &[i64]) -> Option<Verdict> {
    let number = |value: &i64| u64::try_from(*value).unwrap_or(0);
    let (head, mut rest) = answer.split_at_checked(4)?;
    let mut next = || {
        let (value, others) = rest.split_first()?;
        rest = others;
        Some(number(value))
    };
    let mut left = RateLimits::default();
    for dimension in lease.dimensions() {
        for rate in dimension.limits.rates() {
            let (remaining, reset) = (next()?, Duration::from_micros(next()?));
            left.tighten(rate.kind(), LimitState::new(rate.amount(), remaining, reset));
        }
        if let Some(most) = dimension.limits.most_parallel() {
            left.tighten(LimitKind::Parallel, LimitState::new(most, next()?, Duration::ZERO));
        }
    }
    if head[0] == 1 {
        return Some(Verdict::Granted(left));
    }
    let dimension = usize::try_from(head[1]).ok()?;
    let rate = usize::try_from(head[2]).ok();
    let wait = Duration::from_micros(number(&head[3]));
    Some(Verdict::Refused { dimension, rate, wait, left })
}

/// Adds a lease that has ended; one that was never asked for here may be new to the server.
pub(super) fn settle(
    to: &mut ScriptInvocation<'_>,
    prefix: &str,
    lease: &Lease,
    used: Tokens,
    adopted: bool,
) {
    let held = lease.tokens();
    to.arg(lease.id().as_str()).arg(held.input).arg(held.output).arg(used.input).arg(used.output);
    to.arg(u8::from(adopted)).arg(leased(lease).count());
    for dimension in leased(lease) {
        keys(to, prefix, lease, &dimension);
        let rates = || dimension.limits.rates().filter(|rate| rate.kind() != LimitKind::Requests);
        to.arg(rates().count());
        for rate in rates() {
            to.arg(field(rate)).arg(kind(rate)).arg(rate.amount()).arg(micros(rate.period()));
        }
    }
}

/// Adds a lease that lives.
pub(super) fn renew(to: &mut ScriptInvocation<'_>, prefix: &str, lease: &Lease) {
    let held = lease.tokens();
    to.arg(lease.id().as_str()).arg(held.input).arg(held.output).arg(leased(lease).count());
    for dimension in leased(lease) {
        keys(to, prefix, lease, &dimension);
    }
}
