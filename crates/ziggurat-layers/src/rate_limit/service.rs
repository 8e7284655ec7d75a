use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Call, Error, Reply, Str, Ticket};

use super::estimate::Tokens;
use super::future::{Admitted, Asking};
use super::layer::Settings;
use super::ledger::{self, Shares};
use super::shared::{Lease, Outage, SharedLimits, Unavailable, Verdict};
use super::{Dimensions, Limits, ResponseFuture};

/// Limits requests, tokens and parallel calls. Made by [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S> Service<Call> for RateLimit<S>
where
    S: Service<Call, Response = Reply, Error: Into<Error>> + Clone,
{
    type Response = Reply;
    type Error = Error;
    type Future = ResponseFuture<S, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Limits are those of a key, which comes with the call: being at one is a refusal in `call`, and no waiting for all.
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let settings = &self.settings;
        let (shares, tokens) = settings.asks(&call);
        if shares.is_empty() {
            return ResponseFuture::unlimited(self.inner.call(call));
        }
        if let Some(shared) = &settings.shared {
            if let Some(refusal) = ledger::too_large(&shares, tokens) {
                return ResponseFuture::refused(refusal.into_error());
            }
            let lease = settings.lease(&call, shares, tokens);
            let asking = shared.acquire(Arc::clone(&lease));
            // The instance that was polled is the one to call.
            let clone = self.inner.clone();
            let inner = mem::replace(&mut self.inner, clone);
            let settings = Arc::clone(settings);
            return ResponseFuture::asking(Asking { asking, lease, call, inner, settings });
        }
        match settings.limiter.take(shares, tokens) {
            Err(error) => ResponseFuture::refused(error),
            Ok((ticket, left)) => match settings.admit(&mut call, ticket, left) {
                Err(error) => ResponseFuture::refused(error),
                Ok(admitted) => ResponseFuture::admitted(self.inner.call(call), admitted),
            },
        }
    }
}

impl Settings {
    /// Where the call counts, and which tokens are reserved for it.
    fn asks(&self, call: &Call) -> (Shares, Tokens) {
        let mut dimensions = Dimensions::default();
        self.rules.apply(call, &mut dimensions);
        if dimensions.0.is_empty() {
            return (Shares::new(), Tokens::default());
        }
        let limits = || dimensions.0.iter().map(|dimension| &dimension.limits);
        let tokens = if limits().any(Limits::counts_tokens) {
            self.estimator.estimate(call).reserve(self.unbounded, limits())
        } else {
            Tokens::default()
        };
        (self.limiter.shares(dimensions), tokens)
    }

    fn lease(&self, call: &Call, shares: Shares, tokens: Tokens) -> Arc<Lease> {
        let id = Str::from(format!("{:016x}{:016x}", self.ambient.random(), self.ambient.random()));
        let group = self.group.as_ref().and_then(|group| group(call));
        Arc::new(Lease::new(id, group, shares, tokens))
    }

    /// Registers for the end of a call that was let pass.
    fn admit(
        &self,
        call: &mut Call,
        ticket: Ticket,
        left: ziggurat_core::RateLimits,
    ) -> Result<Admitted, Error> {
        let (scope, guard) = call.open_scope();
        // Before the inner call: a future that is never polled still gives back what it holds.
        if scope.register(self.limiter.settles(), ticket).is_err() {
            self.limiter.release(ticket);
            return Err(Error::closed());
        }
        Ok(Admitted { left, guard, unpolled: Some((self.limiter.clone(), ticket)) })
    }

    /// What the shared limits' answer means for the call.
    pub(super) fn decide(
        &self,
        call: &mut Call,
        lease: Arc<Lease>,
        verdict: Result<Verdict, Unavailable>,
    ) -> Result<Admitted, Error> {
        let (ticket, left) = match verdict {
            Ok(Verdict::Granted(left)) => (self.limiter.book(self.store()?, lease), left),
            Ok(Verdict::Refused { dimension, rate, wait, left }) => {
                let refusal = lease.refusal(dimension, rate, wait, left);
                return Err(refusal.map_or_else(Error::closed, |refusal| refusal.into_error()));
            }
            Err(Unavailable { retry_after }) => match self.outage {
                Outage::Refuse => {
                    let what = "the rate limits cannot be checked for the moment";
                    let error = Error::new(ziggurat_core::ErrorKind::Overloaded, what);
                    return Err(error.with_retry_after(retry_after));
                }
                Outage::Local(percent) => {
                    let mut shares = lease.shares().clone();
                    if percent != 100 {
                        for share in &mut shares {
                            share.limits = share.limits.percent(percent);
                        }
                    }
                    let store = self.store()?;
                    let taken = self.limiter.take(shares, lease.tokens())?;
                    store.adopt(Arc::clone(&lease));
                    self.limiter.share(taken.0, store, lease);
                    taken
                }
            },
        };
        self.admit(call, ticket, left)
    }

    fn store(&self) -> Result<Arc<dyn SharedLimits>, Error> {
        self.shared.clone().ok_or_else(Error::closed)
    }
}
