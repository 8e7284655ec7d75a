//! Limits that several gateways share.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ziggurat_core::{RateLimits, Str};

use super::estimate::Tokens;
use super::ledger::Shares;
use super::limits::{Limits, Rate};
use super::refusal::Refusal;

/// Counts that several gateways share.
///
/// One call asks once, for all its dimensions together; the store answers in one round trip and takes everything or nothing.
/// A lease lives until it is settled; that of a gateway that died ends by itself, and counts as used what it had reserved.
pub trait SharedLimits: Send + Sync + 'static {
    /// Takes a request, a place and the tokens in all dimensions of the lease, or in none.
    ///
    /// A future that is dropped, or that fails, leaves nothing taken for good.
    fn acquire(&self, lease: Arc<Lease>) -> Acquire;

    /// Takes note of a call that passed while the store did not answer: it is in flight, and counts when the store is back.
    fn adopt(&self, lease: Arc<Lease>);

    /// Ends a lease that was granted or adopted: its place is free, and this is what was used of its tokens. Does not wait.
    fn settle(&self, lease: Arc<Lease>, used: Tokens);
}

/// The answer of [`SharedLimits::acquire`].
pub type Acquire = Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send>>;

/// What the shared limits say of a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It fits, and has taken what it asked for. So much is left.
    Granted(RateLimits),
    /// It does not fit, and has taken nothing.
    Refused {
        /// The place of the dimension in the lease.
        dimension: usize,
        /// The limit in that dimension: the place of its rate, or `None` for the parallel calls.
        rate: Option<usize>,
        /// How long until it fits.
        wait: Duration,
        /// So much is left.
        left: RateLimits,
    },
}

/// The shared limits do not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared rate limits do not answer")]
pub struct Unavailable {
    /// When they are asked again.
    pub retry_after: Duration,
}

/// What happens to calls while the shared limits do not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// Each gateway keeps so many hundredths of each limit by itself; at least one of each. N gateways let pass at most N times
    /// this share.
    Local(u8),
    /// They are refused with a 503 that says when to come back.
    Refuse,
}

/// What one call takes of the limits that are shared.
pub struct Lease {
    id: Str,
    group: Option<Str>,
    shares: Shares,
    tokens: Tokens,
}

/// One of the dimensions of a lease.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LeaseDimension<'a> {
    /// What is counted by: `key`, `model`.
    pub name: &'a str,
    /// Whose count it is.
    pub key: &'a str,
    /// Of what the key is one (of which key a model); mostly empty.
    pub of: &'a str,
    /// How much is allowed.
    pub limits: &'a Limits,
}

impl Lease {
    pub(super) fn new(id: Str, group: Option<Str>, shares: Shares, tokens: Tokens) -> Self {
        Self { id, group, shares, tokens }
    }

    /// A name that no other lease has.
    #[must_use]
    pub fn id(&self) -> &Str {
        &self.id
    }

    /// With whom the limits are shared; see [`RateLimitLayer::group`](super::RateLimitLayer::group).
    #[must_use]
    pub fn group(&self) -> Option<&Str> {
        self.group.as_ref()
    }

    /// What is reserved.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// The dimensions, no two of which count the same.
    pub fn dimensions(&self) -> impl Iterator<Item = LeaseDimension<'_>> {
        self.shares.iter().map(|share| {
            let (name, key, of) = share.account.names();
            LeaseDimension { name, key, of, limits: &share.limits }
        })
    }

    pub(super) fn shares(&self) -> &Shares {
        &self.shares
    }

    pub(super) fn refusal(
        &self,
        dimension: usize,
        rate: Option<usize>,
        wait: Duration,
        left: RateLimits,
    ) -> Option<Refusal> {
        let share = self.shares.get(dimension)?;
        let refusal = match rate {
            None => Refusal::parallel(&share.account, share.limits.most_parallel()?),
            Some(at) => {
                let rate: &Rate = share.limits.rates().nth(at)?;
                let amount = self.tokens.of(rate.kind()).unwrap_or(1);
                Refusal::rate(&share.account, rate, amount, Some(wait))
            }
        };
        Some(refusal.with_limits(left))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
